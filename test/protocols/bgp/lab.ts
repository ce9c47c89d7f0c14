import type { SpeakerConfig, SpeakerTimings } from '../../../protocols/bgp/config.ts';
import type { Destination } from '../../../protocols/bgp/destination.ts';
import { type BestPathChange, bestPathChange } from '../../../protocols/bgp/facts.ts';
import type { SessionState } from '../../../protocols/bgp/fsm.ts';
import type {
  ConnectionId,
  ConnectRequest,
  Endpoint,
  ForwardingChange,
  SpeakerHost,
  TimerHandle,
} from '../../../protocols/bgp/host.ts';
import { formatNextHop, type NextHopAddress } from '../../../protocols/bgp/nexthops.ts';
import { formatKey } from '../../../protocols/bgp/nlri.ts';
import { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { BinaryHeap } from '../../../protocols/heap.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { mappedIp4 } from '../../../protocols/ip6.ts';

/** What a speaker records, as the node's log would have it. */
export type LabEvent =
  | {
      readonly type: 'bgp.session';
      readonly peer: string;
      readonly from: SessionState;
      readonly to: SessionState;
      readonly reason: string;
    }
  | {
      readonly type: 'bgp.stale';
      readonly peer: string;
      readonly family: 'ipv4' | 'ipv6';
      readonly what: 'retained' | 'long-lived' | 'swept';
    }
  | { readonly type: 'bgp.vanished'; readonly peer: string }
  | { readonly type: 'bgp.notice'; readonly peer: string; readonly text: string }
  | { readonly type: 'bgp.received'; readonly peer: string; readonly message: Uint8Array }
  | { readonly type: 'bgp.sent'; readonly peer: string; readonly message: Uint8Array }
  | { readonly type: 'bgp.best'; readonly changes: readonly BestPathChange[] }
  | { readonly type: 'bgp.originated'; readonly prefix: string }
  | { readonly type: 'bgp.unoriginated'; readonly prefix: string };

export interface LabRecord {
  readonly id: number;
  readonly cause: number;
  readonly at: number;
  readonly event: LabEvent;
}

interface Scheduled extends TimerHandle {
  readonly seq: number;
  run: (() => void) | null;
}

/** One end of an in-memory TCP connection. */
interface Pipe {
  readonly node: LabNode;
  id: ConnectionId | null;
  far: Pipe | null;
  open: boolean;
  /** Bytes on the way that the other end has not taken yet. */
  inFlight: number;
  blocked: boolean;
}

export const FAST: SpeakerTimings = {
  holdTime: 90_000,
  keepalive: 30_000,
  connectRetry: 5_000,
  connectDelay: 0,
  mraiIbgp: 0,
  mraiEbgp: 0,
  idleHold: 5_000,
  idleHoldMax: 30_000,
};

/** Deterministic dice, so that every run is the same (mulberry32). */
function dice(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class LabNode implements SpeakerHost {
  readonly name: string;
  readonly lab: Lab;
  readonly speaker: BgpSpeaker;
  readonly random: { unit(): number };
  readonly log: LabRecord[] = [];
  /** Forwarding table: prefix to next hops. */
  readonly fib = new Map<string, readonly string[]>();
  /** Next hops that cannot be reached, and costs of those that cost something. */
  readonly unreachable = new Set<number>();
  readonly metrics = new Map<number, number>();
  /** Room in the send buffer of each connection, bytes. */
  window = Number.POSITIVE_INFINITY;
  cause = 0;
  up = true;
  readonly pipes = new Map<ConnectionId, Pipe>();
  readonly own = new Set<IpAddress>();

  constructor(lab: Lab, name: string, config: SpeakerConfig, timings: SpeakerTimings, unit: () => number) {
    this.lab = lab;
    this.name = name;
    this.random = { unit };
    this.speaker = new BgpSpeaker(config, timings, this);
    for (const { localAddress } of config.neighbors) this.own.add(parseIp4(localAddress)!);
  }

  get now(): number {
    return this.lab.now;
  }

  readonly timers = {
    set: (at: number, fire: () => void): TimerHandle => {
      const { cause } = this;
      return this.lab.at(at, () => {
        if (!this.up) return;
        this.cause = cause;
        fire();
      });
    },
    cancel: (timer: TimerHandle): void => {
      (timer as Scheduled).run = null;
    },
  };

  connect(id: ConnectionId, request: ConnectRequest): void {
    this.lab.connect(this, id, request);
  }

  send(id: ConnectionId, bytes: Uint8Array, cause: number): number {
    const pipe = this.pipes.get(id)!;
    const taken = Math.min(bytes.length, this.window - pipe.inFlight);
    if (taken < bytes.length) pipe.blocked = true;
    if (taken <= 0) return 0;
    pipe.inFlight += taken;
    this.lab.carry(pipe, bytes.slice(0, taken), cause);
    return taken;
  }

  close(id: ConnectionId, how: 'fin' | 'rst'): void {
    const pipe = this.pipes.get(id)!;
    this.pipes.delete(id);
    pipe.open = false;
    this.lab.hangUp(pipe, how === 'fin' ? 'Connection closed' : 'Connection reset by peer');
  }

  /** IPv6 next hops count as on the link, but for mapped IPv4 ones. */
  linkTo(): null {
    return null;
  }

  resolveNexthop(nextHop: NextHopAddress): { readonly metric: number } | null {
    const addr = typeof nextHop === 'number' ? nextHop : mappedIp4(nextHop);
    if (addr === null) return { metric: 0 };
    if (this.own.has(addr) || this.unreachable.has(addr)) return null;
    return { metric: this.metrics.get(addr) ?? 0 };
  }

  installRoutes(changes: readonly ForwardingChange[]): void {
    for (const { key, nextHops } of changes) {
      if (nextHops.length === 0) this.fib.delete(formatKey(key));
      else this.fib.set(formatKey(key), nextHops.map(formatNextHop));
    }
  }

  sessionChanged(peer: string, from: SessionState, to: SessionState, reason: string): void {
    this.#emit({ type: 'bgp.session', peer, from, to, reason });
  }

  received(peer: string, message: Uint8Array): void {
    this.#emit({ type: 'bgp.received', peer, message });
  }

  sent(peer: string, message: Uint8Array): void {
    this.#emit({ type: 'bgp.sent', peer, message });
  }

  bestChanged(destinations: readonly Destination[]): void {
    this.#emit({ type: 'bgp.best', changes: destinations.map(bestPathChange) });
  }

  stale(peer: string, family: 'ipv4' | 'ipv6', what: 'retained' | 'long-lived' | 'swept'): void {
    this.#emit({ type: 'bgp.stale', peer, family, what });
  }

  vanished(peer: string): void {
    this.#emit({ type: 'bgp.vanished', peer });
  }

  notice(peer: string, text: string): void {
    this.#emit({ type: 'bgp.notice', peer, text });
  }

  originated(prefix: string): void {
    this.#emit({ type: 'bgp.originated', prefix });
  }

  unoriginated(prefix: string): void {
    this.#emit({ type: 'bgp.unoriginated', prefix });
  }

  #emit(event: LabEvent): void {
    const record = { id: this.lab.nextEvent(), cause: this.cause, at: this.now, event };
    this.log.push(record);
    this.cause = record.id;
  }

  /** Best routes as `prefix via nexthop[,nexthop]`, own ones without next hop. */
  routes(): string[] {
    const rows: string[] = [];
    for (const { key, best, nextHops } of this.speaker.locRib.destinations()) {
      if (best !== null) rows.push([formatKey(key), ...nextHops.map(formatNextHop)].join(' '));
    }
    return rows.sort();
  }

  count(type: LabEvent['type'], since = 0): number {
    return this.log.filter(({ event, at }) => event.type === type && at >= since).length;
  }
}

/** Speakers joined by byte pipes under a virtual clock. */
export class Lab {
  readonly nodes = new Map<string, LabNode>();
  /** One-way time of every pipe, ms. */
  readonly delay: number;
  now = 0;
  readonly #queue = new BinaryHeap<Scheduled>((a, b) => a.at - b.at || a.seq - b.seq);
  #seq = 0;
  #events = 0;
  #port = 40_000;
  readonly #cuts = new Set<string>();
  readonly #unit: (name: string) => () => number;

  constructor(options: { readonly delay?: number; readonly unit?: (name: string) => () => number } = {}) {
    this.delay = options.delay ?? 1;
    this.#unit =
      options.unit ?? ((name) => dice([...name].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7)));
  }

  nextEvent(): number {
    return ++this.#events;
  }

  add(name: string, config: SpeakerConfig, timings: SpeakerTimings = FAST): LabNode {
    const node = new LabNode(this, name, config, timings, this.#unit(name));
    this.nodes.set(name, node);
    return node;
  }

  node(name: string): LabNode {
    return this.nodes.get(name)!;
  }

  start(): void {
    for (const node of this.nodes.values()) node.speaker.start();
  }

  at(at: number, run: () => void): TimerHandle {
    const entry: Scheduled = { at, seq: this.#seq++, run };
    this.#queue.push(entry);
    return entry;
  }

  /** Runs until the virtual clock has moved on by `ms`. */
  run(ms: number): void {
    const until = this.now + ms;
    for (let next = this.#queue.peek(); next !== undefined && next.at <= until; next = this.#queue.peek()) {
      this.#queue.pop();
      if (next.run === null) continue;
      this.now = next.at;
      next.run();
    }
    this.now = until;
  }

  /** Runs until nothing is under way as the reports have it, at most `limit` ms; the time that it took, ms. */
  converge(limit = 600_000): number {
    const started = this.now;
    while (this.now - started < limit) {
      this.run(5);
      if (this.#quiet()) return this.now - started;
    }
    throw new Error('no convergence');
  }

  #quiet(): boolean {
    const reports = [...this.nodes.values()].filter((node) => node.up).map((node) => node.speaker.report());
    if (reports.some(({ pendingWork }) => pendingWork > 0)) return false;
    const ends = reports.flatMap(({ sessions }) => sessions);
    return ends.every((end) => {
      if (!end.settled) return false;
      if (!end.established) return true;
      const far = ends.find((other) => other !== end && other.key === end.key);
      return far !== undefined && far.received === end.sent && far.sent === end.received;
    });
  }

  /** Loses everything between two nodes from now on, silently. */
  cut(a: string, b: string): void {
    this.#cuts.add([a, b].sort().join());
  }

  mend(a: string, b: string): void {
    this.#cuts.delete([a, b].sort().join());
  }

  /** The TCP connections between two nodes fail, as when something on the way resets them. */
  reset(a: string, b: string): void {
    for (const [name, other] of [
      [a, b],
      [b, a],
    ] as const) {
      for (const pipe of [...this.node(name).pipes.values()]) {
        if (pipe.far?.node.name === other) this.#closed(pipe, 'Connection reset by peer');
      }
    }
  }

  /** Power cut: the node is gone, its peers hear nothing. */
  kill(name: string): void {
    this.node(name).up = false;
  }

  #isCut(a: LabNode, b: LabNode): boolean {
    return !a.up || !b.up || this.#cuts.has([a.name, b.name].sort().join());
  }

  #later(run: () => void): void {
    this.at(this.now + this.delay, run);
  }

  connect(from: LabNode, id: ConnectionId, request: ConnectRequest): void {
    const to = [...this.nodes.values()].find((node) => node.own.has(request.address));
    const local: Endpoint = { addr: request.localAddress, port: this.#port++ };
    const remote: Endpoint = { addr: request.address, port: 179 };
    const near: Pipe = { node: from, id, far: null, open: true, inFlight: 0, blocked: false };
    from.pipes.set(id, near);
    this.#later(() => {
      if (to === undefined || this.#isCut(from, to) || !near.open) return;
      const far: Pipe = { node: to, id: null, far: near, open: true, inFlight: 0, blocked: false };
      near.far = far;
      to.cause = 0;
      const accepted = to.speaker.admit(local.addr);
      if (accepted === null) {
        this.#later(() => this.#closed(near, 'Connection refused'));
        return;
      }
      far.id = accepted;
      to.pipes.set(accepted, far);
      this.#later(() => {
        if (this.#isCut(from, to) || !near.open) return;
        from.cause = 0;
        from.speaker.tcpConnected(id, local, remote);
      });
      to.speaker.tcpAccepted(accepted, remote, local);
    });
  }

  carry(pipe: Pipe, bytes: Uint8Array, cause: number): void {
    this.#later(() => {
      const { far } = pipe;
      pipe.inFlight -= bytes.length;
      if (pipe.blocked && pipe.open && pipe.id !== null) {
        pipe.blocked = false;
        pipe.node.cause = 0;
        pipe.node.speaker.tcpWritable(pipe.id);
      }
      if (far === null || !far.open || far.id === null || this.#isCut(pipe.node, far.node)) return;
      far.node.cause = cause;
      far.node.speaker.tcpData(far.id, bytes);
    });
  }

  hangUp(pipe: Pipe, reason: string): void {
    this.#later(() => {
      const { far } = pipe;
      if (far === null || this.#isCut(pipe.node, far.node)) return;
      this.#closed(far, reason);
    });
  }

  #closed(pipe: Pipe, reason: string): void {
    if (!pipe.open || !pipe.node.up || pipe.id === null) return;
    pipe.open = false;
    pipe.node.pipes.delete(pipe.id);
    pipe.node.cause = 0;
    pipe.node.speaker.tcpClosed(pipe.id, reason);
  }
}
