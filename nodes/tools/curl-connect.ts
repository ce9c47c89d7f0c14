import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import type { SocketError } from '../kernel/socket-error.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import type { Runtime, TimerHandle } from '../runtime.ts';
import type { HostPeer } from './resolve.ts';
import { sendErrorText } from './send-error.ts';

/** A connection that is begun, or why it is not: curl's exit code, and its message where it is one of its own. */
export type Opened =
  | { readonly ok: true; readonly socket: TcpSocket<IpAddress> }
  | ({ readonly ok: false } & ConnectFailure);

export interface ConnectFailure {
  readonly code: 7 | 28 | 45;
  /** Null: curl's words for the code. */
  readonly message: string | null;
}

export interface ConnectPlan {
  readonly rt: Runtime;
  /** In the order in which the resolver has them. */
  readonly peers: readonly HostPeer[];
  readonly port: number;
  readonly family: 'any' | 'ipv4' | 'ipv6';
  /** For all of it, ms. */
  readonly timeout: number;
  /** How long the first family has for itself, ms. */
  readonly headStart: number;
  open(peer: HostPeer): Opened;
  verbose(text: string): void;
}

export type Connected =
  | { readonly ok: true; readonly socket: TcpSocket<IpAddress>; readonly peer: HostPeer }
  /** 'nothing-tried': there was no address of the family. */
  | { readonly ok: false; readonly failure: ConnectFailure | 'nothing-tried' };

/** `CURL_HET_DEFAULT`, ms. */
export const HEAD_START = 200;

/**
 * The addresses of one family, tried one after the other (`struct eyeballer`). An attempt that others follow has half of the time
 * that is left.
 */
interface Eyeballer {
  readonly name: 'ipv4' | 'ipv6';
  readonly peers: HostPeer[];
  state: 'waiting' | 'running' | 'done';
  socket: TcpSocket<IpAddress> | null;
  startedAt: number;
  /** Of the attempt that runs, ms. */
  timeout: number;
  failure: ConnectFailure;
}

/** Connects as curl 7.88 does, to the addresses of two families side by side (`cf_he_connect`, RFC 8305). */
export class HappyEyeballs {
  readonly #plan: ConnectPlan;
  readonly #done: (connected: Connected) => void;
  readonly #ballers: readonly Eyeballer[];
  readonly #startedAt: number;
  readonly #timers: TimerHandle[] = [];
  #over = false;
  /** What the last socket that failed has failed with. */
  #errno: SocketError | null = null;

  constructor(plan: ConnectPlan, done: (connected: Connected) => void) {
    this.#plan = plan;
    this.#done = done;
    this.#startedAt = plan.rt.now;
    const first = typeof plan.peers[0]?.addr === 'number' ? 'ipv4' : 'ipv6';
    const order = first === 'ipv4' ? (['ipv4', 'ipv6'] as const) : (['ipv6', 'ipv4'] as const);
    this.#ballers = order
      .filter((name) => plan.family === 'any' || plan.family === name)
      .map((name) => eyeballer(name, plan.peers))
      .filter(({ peers }) => peers.length > 0);
    const [one, other] = this.#ballers;
    if (one === undefined) {
      this.#end({ ok: false, failure: 'nothing-tried' });
      return;
    }
    if (other !== undefined) this.#after(plan.headStart, () => this.#start(other));
    this.#start(one);
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#release(null);
  }

  #start(baller: Eyeballer): void {
    if (this.#over || baller.state !== 'waiting') return;
    baller.state = 'running';
    this.#next(baller);
  }

  #next(baller: Eyeballer): void {
    const { rt, port, timeout } = this.#plan;
    const peer = baller.peers.shift();
    if (peer === undefined) {
      this.#exhausted(baller);
      return;
    }
    const address = formatIp(peer.addr);
    this.#plan.verbose(`  Trying ${baller.name === 'ipv6' ? `[${address}]` : address}:${port}...`);
    const left = this.#startedAt + timeout - rt.now;
    baller.startedAt = rt.now;
    baller.timeout = baller.peers.length > 0 ? Math.floor(left / 2) : left;
    this.#after(baller.timeout, () => this.#expire());
    const opened = this.#plan.open(peer);
    if (!opened.ok) {
      baller.failure = opened;
      this.#next(baller);
      return;
    }
    const { socket } = opened;
    baller.socket = socket;
    socket.onConnected = () => {
      if (!this.#over) this.#end({ ok: true, socket, peer });
    };
    socket.onClosed = () => {
      if (this.#over || baller.socket !== socket) return;
      const error = socket.error ?? 'ECONNREFUSED';
      this.#errno = error;
      // What connect(2) itself refuses, and what comes later.
      this.#plan.verbose(
        rt.now === baller.startedAt && error !== 'ECONNREFUSED'
          ? `Immediate connect fail for ${address}: ${sendErrorText(error)}`
          : `connect to ${address} port ${port} failed: ${sendErrorText(error)}`,
      );
      baller.socket = null;
      baller.failure = { code: 7, message: null };
      this.#next(baller);
    };
  }

  #exhausted(baller: Eyeballer): void {
    baller.state = 'done';
    const waiting = this.#ballers.find(({ state }) => state === 'waiting');
    if (waiting !== undefined) this.#start(waiting);
    else if (this.#ballers.every(({ state }) => state === 'done')) {
      const { failure } = this.#ballers[0]!;
      const timedOut = failure.code === 7 && this.#errno === 'ETIMEDOUT';
      this.#end({ ok: false, failure: timedOut ? { code: 28, message: CONNECT_FAILED } : failure });
    }
  }

  #expire(): void {
    const { rt, verbose } = this.#plan;
    for (const baller of this.#ballers) {
      if (this.#over || baller.socket === null || rt.now < baller.startedAt + baller.timeout) continue;
      verbose(`${baller.name} connect timeout after ${Math.round(baller.timeout)}ms, move on!`);
      const { socket } = baller;
      baller.socket = null;
      socket.abort();
      baller.failure = { code: 28, message: null };
      this.#next(baller);
    }
  }

  #after(ms: number, run: () => void): void {
    const { rt } = this.#plan;
    this.#timers.push(rt.timers.set(rt.now + ms, run));
  }

  #end(connected: Connected): void {
    if (this.#over) return;
    this.#over = true;
    this.#release(connected.ok ? connected.socket : null);
    this.#done(connected);
  }

  #release(kept: TcpSocket<IpAddress> | null): void {
    for (const timer of this.#timers.splice(0)) this.#plan.rt.timers.cancel(timer);
    for (const { socket } of this.#ballers) if (socket !== null && socket !== kept) socket.abort();
  }
}

/** `curl_easy_strerror` of 7. */
export const CONNECT_FAILED = "Couldn't connect to server";

/** What curl says of a code where it has no more to say. */
export function connectErrorText({ code, message }: ConnectFailure): string {
  if (code === 45) return 'Failed binding local connection end';
  return message ?? (code === 28 ? 'Timeout was reached' : CONNECT_FAILED);
}

function eyeballer(name: 'ipv4' | 'ipv6', all: readonly HostPeer[]): Eyeballer {
  const peers = all.filter(({ addr }) => (typeof addr === 'number') === (name === 'ipv4'));
  return {
    name,
    peers,
    state: 'waiting',
    socket: null,
    startedAt: 0,
    timeout: 0,
    failure: { code: 7, message: null },
  };
}
