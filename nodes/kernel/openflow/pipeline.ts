import type { Action, Instruction } from '../../../protocols/openflow/action.ts';
import {
  ALL_TABLES,
  BAD_INSTRUCTION,
  BAD_REQUEST,
  ERROR,
  FLOW_FLAGS,
  FLOW_MOD_FAILED,
  OpenFlowError,
} from '../../../protocols/openflow/constants.ts';
import type { FlowMod, FlowRemovedReason, PacketInReason } from '../../../protocols/openflow/message.ts';
import type { TimerHandle, Timers } from '../../runtime.ts';
import { Flow, inOrder } from './flow.ts';
import { type FlowFilter, FlowTable, filterOf } from './flow-table.ts';
import { GroupTable } from './group-table.ts';
import { MeterTable } from './meter-table.ts';
import { PacketRun } from './packet-run.ts';

/** Tables that flows can go to by number, as Open vSwitch has them. The next one is the switch's own, and nobody's to change. */
export const TABLES = 254;

export interface PacketIn {
  readonly frame: Uint8Array;
  readonly inPort: number;
  readonly metadata: bigint;
  readonly reason: PacketInReason;
  readonly table: number;
  readonly cookie: bigint;
  readonly maxLen: number;
}

/** What becomes of packets and flows. */
export interface PipelineHost {
  readonly now: number;
  readonly timers: Timers;
  /** Sends by a port or a reserved one (`FLOOD`, `ALL`, `NORMAL`, `LOCAL`, `IN_PORT`); the frame is the host's own. */
  output(port: number, frame: Uint8Array, inPort: number): void;
  packetIn(packet: PacketIn): void;
  flowSet(flow: Flow): void;
  flowRemoved(flow: Flow, reason: FlowRemovedReason): void;
  /** A table has been asked for a packet's flow; null: it has none. */
  looked(table: number, flow: Flow | null): void;
  dropped(reason: string): void;
  /** Whether a port can be sent by. */
  isLive(port: number): boolean;
}

/** What a packet meets on its way beside flow tables. */
export interface PacketPath {
  readonly host: PipelineHost;
  readonly groups: GroupTable;
  readonly meters: MeterTable;
  /** Through the tables from the first one (`TABLE`). */
  again(frame: Uint8Array, inPort: number): void;
  /** Through a bucket of a group that `from` has come to, in a frame of its own. */
  bucket(from: PacketRun, frame: Uint8Array, actions: readonly Action[], flow: Flow | null): void;
}

/** Groups whose buckets go to groups, and packets that go to `TABLE`, are followed so far (`MAX_DEPTH` of ofproto-dpif-xlate.c). */
const MAX_DEPTH = 64;

/** The tables of a switch and how a packet goes through them (OpenFlow 1.3.5 §5). Nothing is taken where no flow says so. */
export class Pipeline implements PacketPath {
  readonly host: PipelineHost;
  readonly groups: GroupTable;
  readonly meters = new MeterTable();
  readonly #tables: (FlowTable | undefined)[] = new Array(TABLES).fill(undefined);
  /** Flows that time can take away. */
  readonly #timed = new Set<Flow>();
  /** What one packet needs on its way, for each that is on its way while another one is. */
  readonly #runs: PacketRun[] = [];
  #depth = 0;
  #timer: TimerHandle | null = null;

  constructor(host: PipelineHost) {
    this.host = host;
    this.groups = new GroupTable((port) => host.isLive(port));
  }

  /** By table, the highest priority first. */
  flows(): Flow[] {
    return this.#tables.flatMap((table) => table?.flows() ?? []);
  }

  select(table: number, filter: FlowFilter): Flow[] {
    return this.#which(table).flatMap((one) => one.select(filter));
  }

  table(number: number): Pick<FlowTable, 'size' | 'lookups' | 'matched'> {
    return this.#tables[number] ?? { size: 0, lookups: 0, matched: 0 };
  }

  /** §6.4. @throws OpenFlowError */
  flowMod(mod: FlowMod): void {
    const { command, table, instructions } = mod;
    const isDelete = command === 'delete' || command === 'delete_strict';
    if (table === TABLES)
      throw new OpenFlowError(`table ${table} is the switch's own`, ERROR.BAD_REQUEST, BAD_REQUEST.EPERM);
    if (table >= TABLES && !(isDelete && table === ALL_TABLES))
      throw new OpenFlowError(
        `there is no table ${table}`,
        ERROR.FLOW_MOD_FAILED,
        FLOW_MOD_FAILED.BAD_TABLE_ID,
      );
    if (!isDelete) checkInstructions(instructions, table);
    if (command === 'add') {
      const flow = new Flow(mod, this.host.now);
      const overlap = (mod.flags & FLOW_FLAGS.CHECK_OVERLAP) === 0 ? 'allowed' : 'checked';
      const replaced = this.#make(table).add(flow, overlap);
      if (replaced !== null) this.#timed.delete(replaced);
      this.host.flowSet(flow);
      if (flow.expires < Number.POSITIVE_INFINITY) {
        this.#timed.add(flow);
        this.#arm(flow.expires);
      }
      return;
    }
    for (const flow of this.select(table, filterOf(mod))) {
      if (isDelete) this.#remove(flow, 'delete');
      else {
        flow.instructions = inOrder(instructions);
        if ((mod.flags & FLOW_FLAGS.RESET_COUNTS) !== 0) {
          flow.packets = 0;
          flow.bytes = 0;
        }
        this.host.flowSet(flow);
      }
    }
  }

  /** A packet from a port, which the pipeline may change. */
  process(frame: Uint8Array, inPort: number): void {
    const run = this.#begin(frame, inPort, frame.length);
    try {
      if (run !== null) this.#through(run);
    } finally {
      this.#depth--;
    }
  }

  again(frame: Uint8Array, inPort: number): void {
    this.process(frame, inPort);
  }

  bucket(from: PacketRun, frame: Uint8Array, actions: readonly Action[], flow: Flow | null): void {
    const run = this.#begin(frame, from.inPort, from.length);
    try {
      run?.bucket(from, actions, flow);
    } finally {
      this.#depth--;
    }
  }

  #through(run: PacketRun): void {
    for (let table = 0; ; ) {
      const flow = this.#tables[table]?.lookup(run.key) ?? null;
      this.host.looked(table, flow);
      if (flow === null) {
        this.host.dropped('openflow-miss');
        // As Open vSwitch, which carries out what earlier tables have written into the action set.
        run.end();
        return;
      }
      flow.count(run.length, this.host.now);
      const next = run.take(flow);
      if (next === 'ended') {
        run.flush();
        return;
      }
      if (next === 'last') {
        run.end();
        return;
      }
      table = next;
    }
  }

  /** Carries out a packet-out; `TABLE` sends it through the tables. */
  packetOut(frame: Uint8Array, inPort: number, actions: readonly Action[]): void {
    const run = this.#begin(frame, inPort, frame.length);
    try {
      run?.apply(actions, null);
      run?.end();
    } finally {
      this.#depth--;
    }
  }

  /** Null where a packet goes round in groups without end. The caller lowers the depth again. */
  #begin(frame: Uint8Array, inPort: number, length: number): PacketRun | null {
    let run = this.#runs[this.#depth++];
    if (this.#depth > MAX_DEPTH) {
      this.host.dropped('openflow-depth');
      return null;
    }
    if (run === undefined) {
      run = new PacketRun(this);
      this.#runs.push(run);
    }
    run.begin(frame, inPort, length);
    return run;
  }

  /** Takes the flows away that use what is gone. */
  dropUsers(uses: (flow: Flow) => boolean, reason: FlowRemovedReason): void {
    for (const flow of this.flows()) if (uses(flow)) this.#remove(flow, reason);
  }

  #which(number: number): FlowTable[] {
    const tables = number === ALL_TABLES ? this.#tables : [this.#tables[number]];
    return tables.filter((table) => table !== undefined);
  }

  #make(number: number): FlowTable {
    const table = this.#tables[number] ?? new FlowTable();
    this.#tables[number] = table;
    return table;
  }

  #remove(flow: Flow, reason: FlowRemovedReason): void {
    this.#tables[flow.table]?.remove(flow);
    this.#timed.delete(flow);
    this.host.flowRemoved(flow, reason);
  }

  #arm(next: number): void {
    if (this.#timer !== null) {
      if (this.#timer.at <= next) return;
      this.host.timers.cancel(this.#timer);
    }
    this.#timer = this.host.timers.set(next, () => {
      this.#timer = null;
      this.#expire();
    });
  }

  #expire(): void {
    const { now } = this.host;
    let next = Number.POSITIVE_INFINITY;
    for (const flow of [...this.#timed]) {
      const { expires } = flow;
      if (expires > now) {
        next = Math.min(next, expires);
        continue;
      }
      const hard = flow.hardTimeout !== 0 && flow.created + 1000 * flow.hardTimeout <= now;
      this.#remove(flow, hard ? 'hard_timeout' : 'idle_timeout');
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
  }
}

function checkInstructions(instructions: readonly Instruction[], table: number): void {
  if (new Set(instructions.map(({ type }) => type)).size < instructions.length)
    throw new OpenFlowError('an instruction is there twice', ERROR.BAD_INSTRUCTION, BAD_INSTRUCTION.DUP_INST);
  for (const one of instructions)
    if (one.type === 'goto_table' && (one.table <= table || one.table >= TABLES))
      throw new OpenFlowError(
        `table ${table} cannot go to ${one.table}: it is to be a later one`,
        ERROR.BAD_INSTRUCTION,
        BAD_INSTRUCTION.BAD_TABLE_ID,
      );
}
