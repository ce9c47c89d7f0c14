import { copyFrame } from '../../../protocols/frame-buffer.ts';
import type { Action, Instruction } from '../../../protocols/openflow/action.ts';
import {
  ALL_TABLES,
  BAD_INSTRUCTION,
  ERROR,
  FLOW_FLAGS,
  FLOW_MOD_FAILED,
  OpenFlowError,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import type { FlowMod, FlowRemovedReason, PacketInReason } from '../../../protocols/openflow/message.ts';
import { FIELDS, KEY_WORDS } from '../../../protocols/openflow/oxm.ts';
import { tagged, untagged, vlanProtocol } from '../../../protocols/vlan.ts';
import type { TimerHandle, Timers } from '../../runtime.ts';
import { Flow, type FlowFilter, FlowTable, filterOf } from './flow-table.ts';
import { type Offsets, readKey } from './packet-key.ts';
import { decTtl, setField } from './rewrite.ts';

/** Tables that flows can go to by number, as Open vSwitch has them. */
export const TABLES = 254;

export interface PacketIn {
  readonly frame: Uint8Array;
  readonly inPort: number;
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
  dropped(reason: string): void;
}

/** The tables of a switch and how a packet goes through them (OpenFlow 1.3.5 §5). Nothing is taken where no flow says so. */
export class Pipeline {
  readonly #host: PipelineHost;
  readonly #tables = new Map<number, FlowTable>();
  readonly #key = new Uint32Array(KEY_WORDS);
  readonly #at: Offsets = { network: 0, type: 0, transport: -1, proto: -1 };
  #timer: TimerHandle | null = null;

  constructor(host: PipelineHost) {
    this.#host = host;
  }

  /** By table, the highest priority first. */
  flows(): Flow[] {
    return [...this.#tables].sort(([a], [b]) => a - b).flatMap(([, { flows }]) => flows);
  }

  select(table: number, filter: FlowFilter): Flow[] {
    return this.#which(table).flatMap((one) => one.select(filter));
  }

  table(number: number): Pick<FlowTable, 'flows' | 'lookups' | 'matched'> {
    return this.#tables.get(number) ?? { flows: [], lookups: 0, matched: 0 };
  }

  /** §6.4. @throws OpenFlowError */
  flowMod(mod: FlowMod): void {
    const { command, table, instructions } = mod;
    const isDelete = command === 'delete' || command === 'delete_strict';
    if (table >= TABLES && !(isDelete && table === ALL_TABLES))
      throw new OpenFlowError(
        `there is no table ${table}`,
        ERROR.FLOW_MOD_FAILED,
        FLOW_MOD_FAILED.BAD_TABLE_ID,
      );
    if (!isDelete) checkInstructions(instructions, table);
    if (command === 'add') {
      const flow = new Flow(mod, this.#host.now);
      const overlap = (mod.flags & FLOW_FLAGS.CHECK_OVERLAP) === 0 ? 'allowed' : 'checked';
      this.#make(table).add(flow, overlap);
      this.#host.flowSet(flow);
      this.#arm();
      return;
    }
    for (const flow of this.select(table, filterOf(mod))) {
      if (isDelete) this.#remove(flow, 'delete');
      else {
        flow.instructions = instructions;
        if ((mod.flags & FLOW_FLAGS.RESET_COUNTS) !== 0) {
          flow.packets = 0;
          flow.bytes = 0;
        }
        this.#host.flowSet(flow);
      }
    }
  }

  /** Takes every flow away, without telling the controller of each. */
  flush(): void {
    for (const flow of this.flows()) this.#remove(flow, 'delete');
  }

  /** A packet from a port, which the pipeline may change. */
  process(frame: Uint8Array, inPort: number): void {
    this.#key[FIELDS.metadata.word] = 0;
    this.#key[FIELDS.metadata.word + 1] = 0;
    readKey(frame, inPort, this.#key, this.#at);
    const run = new Run(this.#host, this.#key, this.#at, frame, inPort);
    const length = frame.length;
    let number = 0;
    for (;;) {
      const flow = this.#tables.get(number)?.lookup(this.#key);
      if (flow === undefined) {
        this.#host.dropped('openflow-miss');
        return;
      }
      flow.count(length, this.#host.now);
      const next = run.take(flow);
      if (next === 'ended') return;
      if (next === 'last') break;
      number = next;
    }
    run.end();
  }

  /** Carries out a packet-out; `TABLE` sends it through the tables. @throws OpenFlowError */
  packetOut(frame: Uint8Array, inPort: number, actions: readonly Action[]): void {
    if (actions.some((action) => action.type === 'output' && action.port === RESERVED_PORTS.TABLE)) {
      this.process(frame, inPort);
      return;
    }
    readKey(frame, inPort, this.#key, this.#at);
    const run = new Run(this.#host, this.#key, this.#at, frame, inPort);
    run.apply(actions, null);
    run.end();
  }

  #which(number: number): FlowTable[] {
    const one = this.#tables.get(number);
    if (number === ALL_TABLES) return [...this.#tables.values()];
    return one === undefined ? [] : [one];
  }

  #make(number: number): FlowTable {
    const table = this.#tables.get(number) ?? new FlowTable();
    this.#tables.set(number, table);
    return table;
  }

  #remove(flow: Flow, reason: FlowRemovedReason): void {
    this.#tables.get(flow.table)?.remove(flow);
    this.#host.flowRemoved(flow, reason);
  }

  #arm(): void {
    let next = Number.POSITIVE_INFINITY;
    for (const { flows } of this.#tables.values())
      for (const { expires } of flows) next = Math.min(next, expires);
    if (this.#timer !== null) {
      if (this.#timer.at <= next) return;
      this.#host.timers.cancel(this.#timer);
      this.#timer = null;
    }
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#host.timers.set(next, () => {
      this.#timer = null;
      for (const flow of this.flows()) {
        if (flow.expires > this.#host.now) continue;
        const hard = flow.hardTimeout !== 0 && flow.created + 1000 * flow.hardTimeout <= this.#host.now;
        this.#remove(flow, hard ? 'hard_timeout' : 'idle_timeout');
      }
      this.#arm();
    });
  }
}

function checkInstructions(instructions: readonly Instruction[], table: number): void {
  for (const one of instructions)
    if (one.type === 'goto_table' && (one.table <= table || one.table >= TABLES))
      throw new OpenFlowError(
        `table ${table} cannot go to ${one.table}: it is to be a later one`,
        ERROR.BAD_INSTRUCTION,
        BAD_INSTRUCTION.BAD_TABLE_ID,
      );
}

/** In which the actions of a set are carried out (§5.10); fields by their place in it, output last. */
const SET_ORDER = ['pop_vlan', 'push_vlan', 'dec_ttl', 'set_field', 'output'] as const;

/** One packet on its way. */
class Run {
  readonly #host: PipelineHost;
  readonly #key: Uint32Array;
  readonly #at: Offsets;
  readonly #inPort: number;
  #frame: Uint8Array;
  /** Where it goes once nothing more is done to it: the last of all is spared a copy. */
  #pending = -1;
  #set: Map<string, Action> | null = null;
  #last: Flow | null = null;

  constructor(host: PipelineHost, key: Uint32Array, at: Offsets, frame: Uint8Array, inPort: number) {
    this.#host = host;
    this.#key = key;
    this.#at = at;
    this.#frame = frame;
    this.#inPort = inPort;
  }

  /** Carries out a flow's instructions; the table that comes next, if any. */
  take(flow: Flow): number | 'last' | 'ended' {
    this.#last = flow;
    let next: number | 'last' = 'last';
    for (const one of flow.instructions) {
      switch (one.type) {
        case 'apply_actions':
          if (this.apply(one.actions, flow) === 'ended') return 'ended';
          break;
        case 'write_actions':
          this.#set ??= new Map();
          for (const action of one.actions)
            this.#set.set(
              action.type === 'set_field' ? `set_field ${action.oxm.field}` : action.type,
              action,
            );
          break;
        case 'clear_actions':
          this.#set = null;
          break;
        case 'write_metadata':
          this.#writeMetadata(one.value, one.mask);
          break;
        case 'goto_table':
          next = one.table;
      }
    }
    return next;
  }

  /** The action set, and what waits to be sent. */
  end(): void {
    if (this.#set !== null) {
      const actions = [...this.#set.values()].sort(
        (a, b) => SET_ORDER.indexOf(a.type) - SET_ORDER.indexOf(b.type),
      );
      if (this.apply(actions, this.#last) === 'ended') return;
    }
    if (this.#pending >= 0) this.#host.output(this.#pending, this.#frame, this.#inPort);
    this.#pending = -1;
  }

  /** `flow` is null for a packet-out. */
  apply(actions: readonly Action[], flow: Flow | null): 'done' | 'ended' {
    for (const action of actions) {
      if (this.#pending >= 0) {
        this.#host.output(this.#pending, copyFrame(this.#frame), this.#inPort);
        this.#pending = -1;
      }
      switch (action.type) {
        case 'output':
          if (action.port === RESERVED_PORTS.CONTROLLER) this.#toController(action.maxLen, flow, 'action');
          else this.#pending = action.port;
          break;
        case 'push_vlan': {
          const tag = action.ethertype === 0x88a8 ? 0x88a8 : 0x8100;
          const old = vlanProtocol(this.#frame) === null ? 0 : this.#key[FIELDS.vlan_vid.word]! & 0xfff;
          this.#replaced(tagged(this.#frame, tag, old, this.#key[FIELDS.vlan_pcp.word]));
          break;
        }
        case 'pop_vlan':
          if (vlanProtocol(this.#frame) !== null) this.#replaced(untagged(this.#frame));
          break;
        case 'dec_ttl':
          if (decTtl(this.#frame, this.#at) === 'done') break;
          this.#toController(0xffff, flow, 'invalid_ttl');
          return 'ended';
        case 'set_field':
          setField(this.#frame, this.#at, action.oxm);
          readKey(this.#frame, this.#inPort, this.#key, this.#at);
      }
    }
    return 'done';
  }

  #replaced(frame: Uint8Array): void {
    this.#frame = frame;
    readKey(frame, this.#inPort, this.#key, this.#at);
  }

  #toController(maxLen: number, flow: Flow | null, reason: PacketInReason): void {
    this.#host.packetIn({
      frame: copyFrame(this.#frame),
      inPort: this.#inPort,
      reason: reason === 'action' && flow?.isTableMiss === true ? 'no_match' : reason,
      table: flow?.table ?? 0,
      cookie: flow?.cookie ?? 0xffffffffffffffffn,
      maxLen,
    });
  }

  #writeMetadata(value: bigint, mask: bigint): void {
    const { word } = FIELDS.metadata;
    const old = (BigInt(this.#key[word]!) << 32n) | BigInt(this.#key[word + 1]!);
    const metadata = (old & ~mask) | (value & mask);
    this.#key[word] = Number((metadata >> 32n) & 0xffffffffn);
    this.#key[word + 1] = Number(metadata & 0xffffffffn);
  }
}
