import { type CommandReply, type Impairment, isFinal, type NodeCommand } from '../../nodes/commands.ts';
import type { NodeConfig } from '../../nodes/config.ts';
import type { LabEvent } from '../../nodes/events/index.ts';
import { EVENT_SCHEMA, type EventId, eventId, eventSeq, NO_CAUSE } from '../../nodes/events/record.ts';
import type { PortFilter } from '../../nodes/kernel/device.ts';
import { NodeMachine } from '../../nodes/machine.ts';
import type { NodeInput, NodeOutputs } from '../../nodes/machine-io.ts';
import { deriveSeed, seededRandom } from '../../nodes/random.ts';
import type { Random, StoreResult } from '../../nodes/runtime.ts';
import { NodeFold } from '../../nodes/state/node-fold.ts';
import type { StoreOp } from '../../nodes/store.ts';
import { isGroupMac, parseMac, readMac } from '../../protocols/mac.ts';
import type { NetemParameters } from '../../protocols/netem/parameters.ts';
import { type ActionHost, impairedOf, perform } from '../actions.ts';
import { type AnyRecord, type LabAction, ORCHESTRATOR, type OrchestratorEvent } from '../events.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { refuseDaemons } from '../lab/external.ts';
import { farEnd } from '../lab/links.ts';
import { originateDumps } from '../mrt/originate.ts';
import {
  type CommandOptions,
  NodeDownError,
  type NodeInfo,
  type NodeState,
  ownAddresses,
  type RunningLab,
  type StoreEntry,
  UnknownNodeError,
} from '../running-lab.ts';
import { Scheduler } from './scheduler.ts';
import { SimStore } from './store.ts';

/** One-way time of a frame between two nodes beside the link's own delay, ms: least, and the most that jitter adds. */
const WIRE_LATENCY = 0.05;
const WIRE_JITTER = 0.05;
/** One way between a node and the store, ms. */
const STORE_LATENCY = 0.3;

interface Receiver {
  readonly node: SimNode;
  readonly port: number;
  readonly mac: number;
}

/** A frame put on a wire; the buffer is the receivers', an observer copies what it keeps. */
export interface SimFrame {
  readonly segment: string;
  readonly frame: Uint8Array;
  readonly node: number;
  readonly port: number;
  readonly cause: EventId;
  readonly sentAt: number;
  readonly arrivesAt: number;
}

interface SimPort {
  readonly segment: string;
  readonly others: readonly Receiver[];
  readonly byMac: ReadonlyMap<number, Receiver>;
  /** Arrival of the last frame sent here: a wire does not reorder. */
  lastArrival: number;
}

interface SimNode {
  readonly config: NodeConfig;
  readonly records: AnyRecord[];
  ports: readonly SimPort[];
  machine: NodeMachine | null;
  boot: number;
  /** Earliest wake-up that stands in the agenda for this boot. */
  wakeAt: number;
  unwatch: () => void;
  /** What ports of this boot want beside frames to their own MAC address. */
  readonly filters: Map<number, PortFilter>;
  /** Commands under way, each with what ends it together with the node. */
  readonly commands: Map<string, () => void>;
}

/** Any number of node machines in this process, under a virtual clock that starts at 0. The same seed, the same run. */
export class SimLab implements RunningLab, ActionHost {
  readonly name: string;
  readonly random: Random;
  readonly pulled = new Set<string>();
  readonly impaired = new Map<string, Impairment>();
  readonly #lab: CompiledLab;
  readonly #scheduler = new Scheduler();
  readonly #store = new SimStore();
  /** Whether any port has ever wanted other frames than those to its own address. */
  #filtered = false;
  readonly #wireRandom: Random;
  readonly #nodes = new Map<string, SimNode>();
  readonly #log: AnyRecord[] = [];
  readonly #replies = new Map<string, (reply: CommandReply) => void>();
  #commands = 0;
  /** Is shown every frame that is put on a wire. */
  onFrame: ((sent: SimFrame) => void) | null = null;

  constructor(lab: CompiledLab) {
    refuseDaemons(lab);
    this.name = lab.name;
    this.#lab = lab;
    this.random = seededRandom(deriveSeed(lab.seed, ORCHESTRATOR));
    this.#wireRandom = seededRandom(deriveSeed(lab.seed, 'wire'));
    for (const config of lab.nodes) {
      const node = {
        config,
        records: [],
        ports: [],
        machine: null,
        boot: 0,
        wakeAt: Infinity,
        unwatch: () => {},
        filters: new Map<number, PortFilter>(),
        commands: new Map<string, () => void>(),
      };
      this.#nodes.set(config.name, node);
    }
    for (const node of this.#nodes.values()) node.ports = this.#wire(node);
  }

  /** Boots every node and writes the desired pods, as `up` does. */
  async start(): Promise<EventId> {
    const { seed, name, nodes, pods } = this.#lab;
    const cause = this.record({
      type: 'lab.started',
      lab: name,
      seed,
      nodes: nodes.map((node) => node.name),
    });
    for (const node of this.#nodes.values()) this.#boot(node, cause);
    await originateDumps(this, nodes, cause, (text) => process.stderr.write(`warning: ${text}\n`));
    for (const pod of pods) await this.act({ type: 'pod.create', ...pod });
    return cause;
  }

  now(): number {
    return this.#scheduler.now;
  }

  sleep(ms: number): Promise<void> {
    return this.#scheduler.sleep(ms);
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    return [...this.#nodes.values()].map(({ config, machine, boot }) => ({
      name: config.name,
      number: config.number,
      role: config.role,
      state: machine === null ? 'down' : 'running',
      boot,
      pid: 0,
      addresses: ownAddresses(config),
    }));
  }

  async command(name: string, command: NodeCommand, options: CommandOptions = {}): Promise<CommandReply> {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new UnknownNodeError(name, this.nodeNames);
    if (node.machine === null) throw new NodeDownError(name);
    const { signal, onReply, cause = NO_CAUSE } = options;
    const id = `c${++this.#commands}`;
    const input: NodeInput = { type: 'command', id, command, cause };
    const stop: NodeCommand = { type: 'interrupt', target: id };
    const interruption: NodeInput = { type: 'command', id: `${id}-stop`, command: stop, cause: NO_CAUSE };
    const interrupt = () => this.#later(node, 0, () => this.#step(node, interruption));
    signal?.addEventListener('abort', interrupt);
    const last = await this.#scheduler.wait<CommandReply | null>((resolve) => {
      const done = (reply: CommandReply | null) => {
        this.#replies.delete(id);
        node.commands.delete(id);
        resolve(reply);
      };
      node.commands.set(id, () => done(null));
      this.#replies.set(id, (reply) => {
        onReply?.(reply);
        if (isFinal(reply)) done(reply);
      });
      this.#later(node, 0, () => this.#step(node, input));
    });
    signal?.removeEventListener('abort', interrupt);
    if (last === null) throw new NodeDownError(name);
    return last;
  }

  act(action: LabAction): Promise<EventId> {
    return perform(this, action);
  }

  async list(pattern: string): Promise<readonly StoreEntry[]> {
    return this.#store.list(pattern);
  }

  async *records(name: string): AsyncIterable<AnyRecord> {
    yield* name === ORCHESTRATOR ? this.#log : (this.#nodes.get(name)?.records ?? []);
  }

  record(event: OrchestratorEvent, cause: EventId = NO_CAUSE): EventId {
    const id = eventId(0, this.#log.length + 1);
    this.#log.push({ v: EVENT_SCHEMA, id, cause, at: this.now(), event });
    return id;
  }

  get nodeNames(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  stateOf(name: string): NodeState | undefined {
    const node = this.#nodes.get(name);
    if (node === undefined) return undefined;
    return node.machine === null ? 'down' : 'running';
  }

  farEnd(node: string, device: string) {
    return farEnd(this.#lab, node, device);
  }

  hasDevice(node: string, device: string): boolean {
    return this.devicesOf(node).includes(device);
  }

  netemOf(node: string, device: string): NetemParameters | null {
    const interfaces = this.#nodes.get(node)?.config.interfaces;
    return interfaces?.find(({ name }) => name === device)?.netem ?? null;
  }

  devicesOf(node: string): readonly string[] {
    return this.#nodes.get(node)?.config.interfaces.map((iface) => iface.name) ?? [];
  }

  async halt(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    if (node !== undefined) this.#end(node);
  }

  async startNode(name: string, cause: EventId): Promise<void> {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    this.#boot(node, cause);
    await originateDumps(this, [node.config], cause, (text) => process.stderr.write(`warning: ${text}\n`));
  }

  store(op: StoreOp, cause: EventId): Promise<StoreResult> {
    return Promise.resolve(this.#store.apply(op, cause));
  }

  #wire(node: SimNode): SimPort[] {
    return node.config.interfaces.map((iface) => {
      const segment = this.#lab.segments.find((candidate) => candidate.name === iface.segment);
      const others: Receiver[] = [];
      for (const member of segment?.members ?? []) {
        const peer = this.#nodes.get(member.node);
        const far = peer?.config.interfaces.find((candidate) => candidate.name === member.iface);
        if (peer === undefined || far === undefined || (peer === node && far === iface)) continue;
        others.push({ node: peer, port: far.port, mac: parseMac(far.mac) ?? 0 });
      }
      const byMac = new Map(others.map((receiver) => [receiver.mac, receiver]));
      return { segment: iface.segment, others, byMac, lastArrival: 0 };
    });
  }

  #boot(node: SimNode, cause: EventId): void {
    const { config, records } = node;
    const fold = new NodeFold();
    for (const record of records) fold.apply(record.event as LabEvent);
    const last = records.at(-1);
    node.boot++;
    node.filters.clear();
    node.wakeAt = Number.POSITIVE_INFINITY;
    const boot = {
      number: node.boot,
      nextSeq: last === undefined ? 1 : eventSeq(last.id) + 1,
      disk: node.boot === 1 ? null : fold.disk(),
      carrierDown: config.interfaces
        .map((iface) => iface.name)
        .filter((name) => this.pulled.has(`${config.name}:${name}`)),
      impaired: impairedOf(this, config.name),
      cause,
    };
    const machine = new NodeMachine(config, boot, this.#outputs(node));
    node.machine = machine;
    this.#step(node, { type: 'boot' });
    const stops = machine.watches.map((pattern) =>
      this.#store.watch(pattern, (change) => {
        this.#later(node, STORE_LATENCY, () => this.#step(node, { type: 'store', change }));
      }),
    );
    node.unwatch = () => {
      for (const stop of stops) stop();
    };
  }

  #end(node: SimNode): void {
    node.machine = null;
    node.unwatch();
    for (const giveUp of [...node.commands.values()]) giveUp();
  }

  #outputs(node: SimNode): NodeOutputs {
    return {
      transmit: (port, frame, cause) => this.#transmit(node, port, frame, cause),
      filter: (port, filter) => {
        node.filters.set(port, filter);
        this.#filtered = true;
      },
      record: (record) => node.records.push(record),
      store: (request, op, cause) => {
        this.#scheduler.at(this.now() + STORE_LATENCY, () => {
          const result = this.#store.apply(op, cause);
          this.#later(node, STORE_LATENCY, () => this.#step(node, { type: 'stored', request, result }));
        });
      },
      reply: (id, reply) => this.#replies.get(id)?.(reply),
      // Real daemons live in real time: `refuseDaemons` keeps their labs out.
      external: () => {},
      end: () => this.#later(node, 0, () => this.#end(node)),
    };
  }

  #transmit(node: SimNode, index: number, frame: Uint8Array, cause: EventId): void {
    const port = node.ports[index];
    if (port === undefined || frame.length < 14) return;
    const jitter = this.#wireRandom.unit() * WIRE_JITTER;
    const arrival = Math.max(this.now() + WIRE_LATENCY + jitter, port.lastArrival);
    port.lastArrival = arrival;
    this.onFrame?.({
      segment: port.segment,
      frame,
      node: node.config.number,
      port: index,
      cause,
      sentAt: this.now(),
      arrivesAt: arrival,
    });
    const mac = readMac(frame, 0);
    const unicast = this.#filtered ? receiversOf(port, mac) : [port.byMac.get(mac)];
    const receivers = isGroupMac(mac) ? port.others : unicast;
    for (const [i, receiver] of receivers.entries()) {
      if (receiver === undefined || receiver.node.machine === null) continue;
      const copy = i === receivers.length - 1 ? frame : frame.slice();
      this.#later(receiver.node, arrival - this.now(), () =>
        this.#step(receiver.node, { type: 'frame', port: receiver.port, frame: copy, cause }),
      );
    }
  }

  /** Runs something for a node after a while, unless it has died or rebooted by then. */
  #later(node: SimNode, ms: number, run: () => void): void {
    const { machine } = node;
    this.#scheduler.at(this.now() + ms, () => {
      if (machine !== null && node.machine === machine) run();
    });
  }

  #step(node: SimNode, input: NodeInput): void {
    const { machine } = node;
    if (machine === null) return;
    machine.step(input, this.now());
    const deadline = machine.nextDeadline();
    if (deadline >= node.wakeAt) return;
    node.wakeAt = deadline;
    this.#later(node, deadline - this.now(), () => {
      node.wakeAt = Number.POSITIVE_INFINITY;
      this.#step(node, { type: 'time' });
    });
  }
}

/** Who hears a frame to one MAC address: its owner, and whoever else wants it. */
function receiversOf({ byMac, others }: SimPort, mac: number): (Receiver | undefined)[] {
  const found: (Receiver | undefined)[] = others.filter(({ node, port }) => {
    const filter = node.filters.get(port);
    return filter !== undefined && (filter.promiscuous || filter.macs.includes(mac));
  });
  const owner = byMac.get(mac);
  // A port that wants other frames says so of its own address too.
  return owner === undefined || owner.node.filters.has(owner.port) ? found : [...found, owner];
}
