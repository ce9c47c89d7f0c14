import { ETH_HLEN } from '../../protocols/ethernet.ts';
import { IPV4_HLEN, ipDst, ipSrc, ipTtl, PROTO_TCP } from '../../protocols/ipv4.ts';
import {
  type TcpCloseReason,
  TcpConnection,
  type TcpOutput,
  type TcpState,
} from '../../protocols/tcp/connection.ts';
import { resetFor } from '../../protocols/tcp/reset.ts';
import { ACK, decodeTcp, encodeTcp, RST, SYN, type TcpSegment } from '../../protocols/tcp/segment.ts';
import type { EventId } from '../events/record.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';
import { EPHEMERAL_MAX, EPHEMERAL_MIN, PortInUseError } from './udp.ts';

export interface TcpEndpoint {
  readonly addr: number;
  readonly port: number;
}

/** A connection as a daemon sees it. The handlers are set before anything can arrive: in `onAccept`, or at `connect`. */
export interface TcpSocket {
  readonly local: TcpEndpoint;
  readonly remote: TcpEndpoint;
  readonly state: TcpState;
  /** Bytes sent and not yet acknowledged; bytes not yet sent. */
  readonly unacked: number;
  readonly queued: number;
  onConnected: (() => void) | null;
  onData: ((bytes: Uint8Array) => void) | null;
  onPeerClosed: (() => void) | null;
  onClosed: ((reason: TcpCloseReason) => void) | null;
  onDrained: (() => void) | null;
  /** Queues bytes under the current cause; returns how many were taken. */
  send(bytes: Uint8Array): number;
  close(): void;
  abort(): void;
  /** Stops and resumes reading; while stopped the window closes. */
  pause(): void;
  resume(): void;
}

export interface TcpConnectOptions {
  /** 0 takes what routing prefers. */
  readonly src: number;
  readonly dst: number;
  readonly port: number;
  readonly ttl?: number;
  /** Segments with a lower TTL are dropped, IP_MINTTL of ip(7); 0 for none. */
  readonly minTtl?: number;
}

/** Options of one socket, as setsockopt(2) sets them. */
export type TcpSocketOptions = Pick<TcpConnectOptions, 'ttl' | 'minTtl'>;

export interface TcpListener {
  close(): void;
}

interface Listening {
  readonly addr: number;
  readonly optionsFor: (remote: number) => TcpSocketOptions;
  readonly onAccept: (socket: TcpSocket) => void;
}

/** Linux' `tcp_retries2` of 15 comes to about this, ms. */
const USER_TIMEOUT = 924_600;

/** TCP sockets of a namespace. */
export class TcpLayer {
  readonly #ns: Netns;
  readonly #listeners = new Map<number, Listening[]>();
  /** Connections by local port, then by remote address and port. */
  readonly #sockets = new Map<number, Map<number, KernelTcpSocket>>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** `optionsFor` tells how the socket with a remote address is to be. @throws PortInUseError */
  listen(
    local: TcpEndpoint,
    onAccept: (socket: TcpSocket) => void,
    optionsFor: (remote: number) => TcpSocketOptions = () => ({}),
  ): TcpListener {
    const listeners = this.#listeners.get(local.port) ?? [];
    if (listeners.some((other) => other.addr === local.addr)) throw new PortInUseError(local.port);
    const listening: Listening = { addr: local.addr, optionsFor, onAccept };
    this.#listeners.set(local.port, [...listeners, listening]);
    return {
      close: () => {
        const left = (this.#listeners.get(local.port) ?? []).filter((other) => other !== listening);
        this.#listeners.set(local.port, left);
      },
    };
  }

  /** Starts to connect; `onClosed` tells of failure, after this call has returned. */
  connect(options: TcpConnectOptions): TcpSocket {
    const { kernel } = this.#ns;
    const { dst, port } = options;
    const path = this.#ns.lookup(dst, 0);
    const src =
      options.src !== 0 || path === null
        ? options.src
        : path.src !== 0
          ? path.src
          : this.#ns.sourceFor(path.device, path.nexthop);
    const local = { addr: src, port: this.#ephemeral(dst, port) };
    const socket = new KernelTcpSocket(this.#ns, local, { addr: dst, port }, options, () =>
      this.#remove(socket),
    );
    this.#add(socket);
    const unreachable = path === null || path.type === 'unreachable' || path.type === 'blackhole';
    if (unreachable) {
      kernel.rt.timers.set(kernel.rt.now, () => {
        this.#remove(socket);
        socket.onClosed?.('unreachable');
      });
    } else socket.connect();
    return socket;
  }

  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const src = ipSrc(frame, ETH_HLEN);
    const dst = ipDst(frame, ETH_HLEN);
    const segment = decodeTcp(frame, at, length, src, dst);
    if (segment === null || !this.#ns.isLocal(dst)) {
      this.#ns.kernel.drop('tcp-malformed');
      return;
    }
    const socket = this.#sockets.get(segment.dstPort)?.get(remoteKey(src, segment.srcPort));
    const ttl = ipTtl(frame, ETH_HLEN);
    if (socket !== undefined && socket.local.addr === dst) {
      if (ttl < socket.minTtl) {
        this.#ns.kernel.drop('tcp-min-ttl');
        return;
      }
      socket.receive(segment);
      // A segment that the connection took is proof that the first hop towards its sender works.
      if (device.hasLinkLayer && (segment.flags & ACK) !== 0) this.#confirm(src, device);
      return;
    }
    const listener = this.#listeners
      .get(segment.dstPort)
      ?.find((candidate) => candidate.addr === dst || candidate.addr === 0);
    if (listener !== undefined && (segment.flags & (SYN | ACK | RST)) === SYN)
      this.#accept(listener, segment, src, dst, ttl);
    else if ((segment.flags & RST) === 0) this.#send(resetFor(segment), dst, src, undefined);
  }

  #confirm(src: number, device: Device): void {
    const path = this.#ns.lookup(src, 0);
    if (path !== null && path.device === device) device.neighbors.confirm(path.nexthop);
  }

  /** An ICMP error about a segment from a local port. */
  error(
    localPort: number,
    dst: number,
    dstPort: number,
    kind: 'unreachable' | 'frag-needed',
    mtu: number,
  ): void {
    this.#sockets.get(localPort)?.get(remoteKey(dst, dstPort))?.icmpError(kind, mtu);
  }

  /** Resets every connection, as the kernel does for a process that dies. */
  abortAll(): void {
    for (const byRemote of [...this.#sockets.values()])
      for (const socket of [...byRemote.values()]) socket.abort();
  }

  #accept(listener: Listening, syn: TcpSegment, src: number, dst: number, ttl: number): void {
    const options = listener.optionsFor(src);
    if (ttl < (options.minTtl ?? 0)) {
      this.#ns.kernel.drop('tcp-min-ttl');
      return;
    }
    const local = { addr: dst, port: syn.dstPort };
    const remote = { addr: src, port: syn.srcPort };
    const socket = new KernelTcpSocket(this.#ns, local, remote, options, () => this.#remove(socket));
    this.#add(socket);
    socket.onConnected = () => {
      socket.onConnected = null;
      listener.onAccept(socket);
    };
    socket.accept(syn);
  }

  #send(segment: TcpSegment, src: number, dst: number, ttl: number | undefined): void {
    sendSegment(this.#ns, segment, src, dst, ttl);
  }

  #add(socket: KernelTcpSocket): void {
    const byRemote = this.#sockets.get(socket.local.port) ?? new Map<number, KernelTcpSocket>();
    byRemote.set(remoteKey(socket.remote.addr, socket.remote.port), socket);
    this.#sockets.set(socket.local.port, byRemote);
  }

  #remove(socket: KernelTcpSocket): void {
    const byRemote = this.#sockets.get(socket.local.port);
    const key = remoteKey(socket.remote.addr, socket.remote.port);
    if (byRemote?.get(key) !== socket) return;
    byRemote.delete(key);
    if (byRemote.size === 0) this.#sockets.delete(socket.local.port);
  }

  #ephemeral(dst: number, dstPort: number): number {
    const { random } = this.#ns.kernel.rt;
    for (;;) {
      const port = random.int(EPHEMERAL_MIN, EPHEMERAL_MAX);
      if (!this.#sockets.get(port)?.has(remoteKey(dst, dstPort))) return port;
    }
  }
}

function remoteKey(addr: number, port: number): number {
  return addr * 65_536 + port;
}

/** What a packet of `mtu` bytes has room for behind its headers. */
function mssOf(mtu: number): number {
  return Math.min(mtu - 40, 65_495);
}

function sendSegment(
  ns: Netns,
  segment: TcpSegment,
  src: number,
  dst: number,
  ttl: number | undefined,
): void {
  const bytes = encodeTcp(segment, src, dst);
  const packet = new Uint8Array(ETH_HLEN + IPV4_HLEN + bytes.length);
  packet.set(bytes, ETH_HLEN + IPV4_HLEN);
  ns.ip.output(packet, { src, dst, proto: PROTO_TCP, df: true, ttl });
}

/** A connection with its one kernel timer. */
class KernelTcpSocket implements TcpSocket {
  readonly local: TcpEndpoint;
  readonly remote: TcpEndpoint;
  onConnected: (() => void) | null = null;
  onData: ((bytes: Uint8Array) => void) | null = null;
  onPeerClosed: (() => void) | null = null;
  onClosed: ((reason: TcpCloseReason) => void) | null = null;
  onDrained: (() => void) | null = null;
  readonly #ns: Netns;
  readonly minTtl: number;
  readonly #ttl: number | undefined;
  readonly #gone: () => void;
  #connection: TcpConnection | null = null;
  #timer: TimerHandle | null = null;

  constructor(
    ns: Netns,
    local: TcpEndpoint,
    remote: TcpEndpoint,
    { ttl, minTtl = 0 }: TcpSocketOptions,
    gone: () => void,
  ) {
    this.#ns = ns;
    this.minTtl = minTtl;
    this.local = local;
    this.remote = remote;
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

  icmpError(kind: 'unreachable' | 'frag-needed', mtu: number): void {
    this.#connection?.icmpError(kind, this.#ns.kernel.rt.now, mtu);
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
    const path = this.#ns.lookup(this.remote.addr, 0);
    return {
      localPort: this.local.port,
      remotePort: this.remote.port,
      iss: rt.random.int(0, 0xffffffff),
      mss: mssOf(path?.device.mtu ?? 1500),
      ...(path === null ? {} : { pathMss: mssOf(this.#ns.pathMtus.of(this.remote.addr, path)) }),
      timings: { ...timings.tcp, userTimeout: USER_TIMEOUT },
    };
  }

  #output(): TcpOutput {
    const { rt } = this.#ns.kernel;
    return {
      segment: (segment: TcpSegment, cause: EventId) => {
        const saved = rt.cause;
        rt.cause = cause;
        sendSegment(this.#ns, segment, this.local.addr, this.remote.addr, this.#ttl);
        rt.cause = saved;
      },
      connected: () => this.onConnected?.(),
      data: (bytes) => this.onData?.(bytes),
      peerClosed: () => this.onPeerClosed?.(),
      closed: (reason) => {
        this.#gone();
        this.onClosed?.(reason);
      },
      drained: () => this.onDrained?.(),
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
