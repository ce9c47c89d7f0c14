import { ETH_HLEN } from '../../protocols/ethernet.ts';
import { frameBuffer } from '../../protocols/frame-buffer.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { PROTO_TCP } from '../../protocols/ipv4.ts';
import {
  type TcpCloseReason,
  TcpConnection,
  type TcpOutput,
  type TcpState,
} from '../../protocols/tcp/connection.ts';
import { encodeTcp, type TcpSegment } from '../../protocols/tcp/segment.ts';
import type { EventId } from '../events/record.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { InetLayer } from './inet.ts';
import type { Netns } from './netns.ts';
import { closeError, type SocketError } from './socket-error.ts';
import type { SocketStack, TcpEndpoint, TcpSocket, TcpSocketOptions } from './tcp.ts';

/** Linux' `tcp_retries2` of 15 comes to about this, ms; `tcp_syn_retries` of 6, with its first at one second. */
const USER_TIMEOUT = 924_600;
const SYN_TIMEOUT = 127_000;

/** What a packet of `mtu` bytes has room for behind its IP header and that of TCP. */
function mssOf(mtu: number, headerLength: number): number {
  return Math.min(mtu - headerLength - 20, 65_495);
}

/** Gives a segment to the stack. */
export function sendSegment<A extends IpAddress>(
  inet: InetLayer<A>,
  segment: TcpSegment,
  src: A,
  dst: A,
  options: {
    readonly ttl?: number | undefined;
    readonly tos?: number;
    readonly inReplyTo?: Uint8Array;
    readonly device?: Device | undefined;
  },
): void {
  const bytes = encodeTcp(segment, src, dst);
  const at = ETH_HLEN + inet.headerLength;
  const packet = frameBuffer(at + bytes.length);
  packet.set(bytes, at);
  inet.output(packet, { src, dst, proto: PROTO_TCP, df: true, ...options });
}

/** A connection with its one kernel timer. */
export class KernelTcpSocket<A extends IpAddress> implements TcpSocket<A> {
  readonly local: TcpEndpoint<A>;
  readonly remote: TcpEndpoint<A>;
  onConnected: (() => void) | null = null;
  onData: ((bytes: Uint8Array) => void) | null = null;
  onPeerClosed: (() => void) | null = null;
  onClosed: ((reason: TcpCloseReason) => void) | null = null;
  onDrained: (() => void) | null = null;
  onWritable: (() => void) | null = null;
  readonly #ns: Netns;
  readonly #inet: InetLayer<A>;
  readonly minTtl: number;
  readonly stack: SocketStack;
  readonly scope: Device | undefined;
  readonly #ttl: number | undefined;
  readonly #gone: () => void;
  #connection: TcpConnection | null = null;
  #timer: TimerHandle | null = null;
  #unreachable: SocketError | null = null;
  error: SocketError | null = null;

  constructor(
    ns: Netns,
    inet: InetLayer<A>,
    local: TcpEndpoint<A>,
    remote: TcpEndpoint<A>,
    { ttl, minTtl = 0, stack = 'one' }: TcpSocketOptions,
    scope: Device | undefined,
    gone: () => void,
  ) {
    this.#ns = ns;
    this.#inet = inet;
    this.minTtl = minTtl;
    this.stack = stack;
    this.local = local;
    this.remote = remote;
    this.scope = scope;
    this.#ttl = ttl;
    this.#gone = gone;
  }

  get state(): TcpState {
    return this.#connection?.state ?? 'CLOSED';
  }

  get unacked(): number {
    return this.#connection?.unacked ?? 0;
  }

  get queued(): number {
    return this.#connection?.queued ?? 0;
  }

  connect(): void {
    const { rt } = this.#ns.kernel;
    this.#connection = TcpConnection.connect(this.#options(), this.#output(), rt.now, rt.cause);
    this.#arm();
  }

  accept(syn: TcpSegment): void {
    const { rt } = this.#ns.kernel;
    this.#connection = TcpConnection.accept(this.#options(), syn, this.#output(), rt.now, rt.cause);
    this.#arm();
  }

  receive(segment: TcpSegment): void {
    const { rt } = this.#ns.kernel;
    this.#connection?.receive(segment, rt.now, rt.cause);
    this.#arm();
  }

  /** It could not even begin. */
  fail(error: SocketError): void {
    this.error = error;
    this.onClosed?.('unreachable');
  }

  icmpError(kind: 'unreachable' | 'frag-needed', mtu: number, error: SocketError): void {
    if (kind === 'unreachable') this.#unreachable = error;
    const mss = mssOf(mtu, this.#inet.headerLength);
    this.#connection?.icmpError(kind, this.#ns.kernel.rt.now, mss);
    this.#arm();
  }

  send(bytes: Uint8Array): number {
    const { rt } = this.#ns.kernel;
    const taken = this.#connection?.send(bytes, rt.now, rt.cause) ?? 0;
    this.#arm();
    return taken;
  }

  close(): void {
    const { rt } = this.#ns.kernel;
    this.#connection?.close(rt.now, rt.cause);
    this.#arm();
  }

  abort(): void {
    this.#connection?.abort(this.#ns.kernel.rt.cause);
    this.#arm();
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume(this.#ns.kernel.rt.cause);
  }

  #options() {
    const { rt, timings } = this.#ns.kernel;
    const path = this.#inet.lookup(this.remote.addr, this.scope);
    const { headerLength } = this.#inet;
    return {
      localPort: this.local.port,
      remotePort: this.remote.port,
      iss: rt.random.int(0, 0xffffffff),
      mss: mssOf(path?.device.mtu ?? 1500, headerLength),
      ...(path === null ? {} : { pathMss: mssOf(this.#inet.pathMtu(this.remote.addr, path), headerLength) }),
      timings: { ...timings.tcp, userTimeout: USER_TIMEOUT, synTimeout: SYN_TIMEOUT },
    };
  }

  #output(): TcpOutput {
    const { rt } = this.#ns.kernel;
    return {
      segment: (segment: TcpSegment, cause: EventId) => {
        const saved = rt.cause;
        rt.cause = cause;
        sendSegment(this.#inet, segment, this.local.addr, this.remote.addr, {
          ttl: this.#ttl,
          device: this.scope,
        });
        rt.cause = saved;
      },
      connected: () => this.onConnected?.(),
      data: (bytes) => this.onData?.(bytes),
      peerClosed: () => this.onPeerClosed?.(),
      closed: (reason) => {
        this.#gone();
        this.error = closeError(reason, this.#unreachable);
        this.onClosed?.(reason);
      },
      drained: () => this.onDrained?.(),
      writable: () => this.onWritable?.(),
    };
  }

  /** One timer, left alone while it stands early enough: the connection's deadlines mostly move later. */
  #arm(): void {
    const { rt } = this.#ns.kernel;
    const deadline = this.#connection?.nextDeadline() ?? Number.POSITIVE_INFINITY;
    if (this.#timer !== null) {
      if (this.#timer.at <= deadline && deadline < Number.POSITIVE_INFINITY) return;
      rt.timers.cancel(this.#timer);
      this.#timer = null;
    }
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.#timer = rt.timers.set(Math.max(deadline, rt.now), () => {
      this.#timer = null;
      this.#connection?.tick(rt.now);
      this.#arm();
    });
  }
}
