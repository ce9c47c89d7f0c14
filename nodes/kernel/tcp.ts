import type { IpAddress } from '../../protocols/ip.ts';
import { isMulticast } from '../../protocols/ip4.ts';
import type { TcpCloseReason, TcpState } from '../../protocols/tcp/connection.ts';
import { resetFor } from '../../protocols/tcp/reset.ts';
import { ACK, decodeTcp, RST, SYN, type TcpSegment } from '../../protocols/tcp/segment.ts';
import type { Device } from './device.ts';
import type { InetLayer } from './inet.ts';
import { isGroupFrame } from './ip/icmp-error.ts';
import { type Path, pathError } from './ip/path.ts';
import { ephemeralPort } from './local-ports.ts';
import type { Netns } from './netns.ts';
import type { SocketError } from './socket-error.ts';
import { KernelTcpSocket, sendSegment } from './tcp-socket.ts';
import { PortInUseError } from './udp.ts';

/** Explicit congestion notification in the type of service (RFC 3168 §5). */
const ECN_MASK = 3;

export interface TcpEndpoint<A extends IpAddress = number> {
  readonly addr: A;
  readonly port: number;
}

/** A connection as a daemon sees it. The handlers are set before anything can arrive: in `onAccept`, or at `connect`. */
export interface TcpSocket<A extends IpAddress = number> {
  readonly local: TcpEndpoint<A>;
  readonly remote: TcpEndpoint<A>;
  /** The link that the remote address is of, where it means something there alone. */
  readonly scope: Device | undefined;
  readonly state: TcpState;
  /** SO_ERROR: what it has ended with, from `onClosed` on; null while it goes on, or where it ended in order. */
  readonly error: SocketError | null;
  /** Bytes sent and not yet acknowledged; bytes not yet sent. */
  readonly unacked: number;
  readonly queued: number;
  onConnected: (() => void) | null;
  onData: ((bytes: Uint8Array) => void) | null;
  onPeerClosed: (() => void) | null;
  onClosed: ((reason: TcpCloseReason) => void) | null;
  /** All that was sent has been acknowledged. */
  onDrained: (() => void) | null;
  /** POLLOUT: there is room again, after a `send` that took less than it was given. */
  onWritable: (() => void) | null;
  /** Queues bytes under the current cause; returns how many were taken. */
  send(bytes: Uint8Array): number;
  close(): void;
  abort(): void;
  /** Stops and resumes reading; while stopped the window closes. */
  pause(): void;
  resume(): void;
}

export interface TcpConnectOptions<A extends IpAddress = number> {
  /** The unspecified address takes what routing prefers. */
  readonly src: A;
  readonly dst: A;
  readonly port: number;
  /** The only device to connect by: the scope of a link-local address (`sin6_scope_id`). */
  readonly device?: Device | undefined;
  /** Port to connect from; absent: any that is free. */
  readonly srcPort?: number;
  readonly ttl?: number;
  /** Segments with a lower TTL are dropped, IP_MINTTL of ip(7); 0 for none. */
  readonly minTtl?: number;
  /** Absent: 'one'. */
  readonly stack?: SocketStack;
}

/** Options of one socket, as setsockopt(2) sets them. */
export type TcpSocketOptions = Pick<TcpConnectOptions, 'ttl' | 'minTtl' | 'stack'>;

/**
 * Whether a socket is of its family alone, or a half of one of IPv6 without IPV6_V6ONLY: then that of IPv4 is seen as one of
 * IPv6 with a mapped address, `::ffff:10.0.0.1` (RFC 3493 §3.7, §5.3).
 */
export type SocketStack = 'one' | 'both';

export interface TcpListener {
  close(): void;
}

interface Listening<A extends IpAddress> {
  readonly addr: A;
  readonly optionsFor: (remote: A, device: Device) => TcpSocketOptions;
  readonly onAccept: (socket: TcpSocket<A>) => void;
  readonly stack: SocketStack;
}

/** A socket as ss(8) lists it. */
export type TcpSocketFacts<A extends IpAddress = number> =
  | { readonly state: 'LISTEN'; readonly local: TcpEndpoint<A>; readonly stack: SocketStack }
  | (Pick<TcpSocket<A>, 'local' | 'remote' | 'scope' | 'state' | 'unacked' | 'queued'> & {
      readonly stack: SocketStack;
    });

/** TCP sockets of a namespace. */
export class TcpLayer<A extends IpAddress = number> {
  readonly #ns: Netns;
  readonly #inet: InetLayer<A>;
  readonly #listeners = new Map<number, Listening<A>[]>();
  /** Connections by local port, then by remote address and port. */
  readonly #sockets = new Map<number, Map<number | string, KernelTcpSocket<A>>>();

  constructor(ns: Netns, inet: InetLayer<A>) {
    this.#ns = ns;
    this.#inet = inet;
  }

  /**
   * `optionsFor` tells how the socket with a remote address, heard by a device, is to be.
   * @throws PortInUseError
   */
  listen(
    local: TcpEndpoint<A>,
    onAccept: (socket: TcpSocket<A>) => void,
    optionsFor: (remote: A, device: Device) => TcpSocketOptions = () => ({}),
    stack: SocketStack = 'one',
  ): TcpListener {
    const listeners = this.#listeners.get(local.port) ?? [];
    const { unspecified } = this.#inet;
    const any = local.addr === unspecified;
    // Two that listen are in each other's way, SO_REUSEADDR or not (`inet_csk_bind_conflict`).
    if (listeners.some(({ addr }) => any || addr === unspecified || addr === local.addr))
      throw new PortInUseError(local.port);
    const listening: Listening<A> = { addr: local.addr, optionsFor, onAccept, stack };
    this.#listeners.set(local.port, [...listeners, listening]);
    return {
      close: () => {
        const left = (this.#listeners.get(local.port) ?? []).filter((other) => other !== listening);
        this.#listeners.set(local.port, left);
      },
    };
  }

  /** Listeners, then connections, in the order in which they were made by port. */
  list(): TcpSocketFacts<A>[] {
    const listeners = [...this.#listeners].flatMap(([port, all]) =>
      all.map(({ addr, stack }) => ({ state: 'LISTEN' as const, local: { addr, port }, stack })),
    );
    return [...listeners, ...[...this.#sockets.values()].flatMap((byRemote) => [...byRemote.values()])];
  }

  /**
   * Starts to connect; `onClosed` tells of failure, after this call has returned.
   * @throws PortInUseError where `srcPort` is taken towards this remote end
   */
  connect(options: TcpConnectOptions<A>): TcpSocket<A> {
    const { kernel } = this.#ns;
    const { dst, port, device } = options;
    const path = this.#inet.lookup(dst, device);
    // What is for an own address comes back by lo, which has no scope.
    const scoped = device !== undefined && path?.type !== 'local';
    const scope = scoped ? this.#inet.scope(dst, device) : undefined;
    const src =
      options.src !== this.#inet.unspecified || path === null ? options.src : this.#inet.sourceFor(path, dst);
    const { srcPort } = options;
    if (
      srcPort !== undefined &&
      this.#sockets.get(srcPort)?.has(this.#inet.remoteKey(dst, port, scope)) === true
    )
      throw new PortInUseError(srcPort);
    const local = { addr: src, port: srcPort ?? this.#ephemeral(this.#inet.remoteKey(dst, port, scope)) };
    const socket: KernelTcpSocket<A> = new KernelTcpSocket(
      this.#ns,
      this.#inet,
      local,
      { addr: dst, port },
      options,
      scope,
      () => this.#remove(socket),
    );
    this.#add(socket);
    const error = this.#connectError(options, path, src);
    if (error === null) socket.connect();
    else
      kernel.rt.timers.set(kernel.rt.now, () => {
        this.#remove(socket);
        socket.fail(error);
      });
    return socket;
  }

  /** What connect(2) itself refuses. */
  #connectError(
    { src: asked, dst, device }: TcpConnectOptions<A>,
    path: Path<A> | null,
    src: A,
  ): SocketError | null {
    const { unspecified } = this.#inet;
    if (asked !== unspecified && !this.#inet.isLocal(asked)) return 'EADDRNOTAVAIL';
    const group = typeof dst === 'number' && isMulticast(dst);
    if (group || this.#inet.reachesAll(dst)) return 'ENETUNREACH';
    if (device === undefined && this.#inet.needsScope(dst)) return 'EINVAL';
    if (path === null) return this.#inet.hasAddress() ? 'ENETUNREACH' : 'EADDRNOTAVAIL';
    if (pathError(path) !== null) return path.type === 'blackhole' ? 'EINVAL' : 'EHOSTUNREACH';
    return src === unspecified && !this.#inet.hasAddress() ? 'EADDRNOTAVAIL' : null;
  }

  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const src = this.#inet.source(frame);
    const dst = this.#inet.destination(frame);
    if (isGroupFrame(frame)) {
      // RFC 9293 §3.9.2.3: TCP is between two.
      this.#ns.kernel.drop('tcp-link-broadcast');
      return;
    }
    const segment = decodeTcp(frame, at, length, src, dst);
    if (segment === null || !this.#inet.isLocal(dst)) {
      this.#ns.kernel.drop('tcp-malformed');
      return;
    }
    const socket = this.#sockets
      .get(segment.dstPort)
      ?.get(this.#inet.remoteKey(src, segment.srcPort, this.#inet.scope(src, device)));
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0)
      tracer.step(this.#ns, { at: 'socket.receive', socket: `TCP port ${segment.dstPort}` }, frame);
    const ttl = this.#inet.ttl(frame);
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
      ?.find((candidate) => candidate.addr === dst || candidate.addr === this.#inet.unspecified);
    if (listener !== undefined && (segment.flags & (SYN | ACK | RST)) === SYN)
      this.#accept(listener, segment, device, { src, dst }, ttl);
    // The DSCP is that of the segment that is answered (`tcp_v4_send_reset`).
    else if ((segment.flags & RST) === 0)
      sendSegment(this.#inet, resetFor(segment), dst, src, {
        tos: this.#inet.tos(frame) & ~ECN_MASK,
        inReplyTo: frame,
        device: this.#inet.scope(src, device),
      });
  }

  #confirm(src: A, device: Device): void {
    const path = this.#inet.lookup(src, this.#inet.scope(src, device));
    if (path !== null && path.device === device) this.#inet.confirm(path);
  }

  /** An ICMP error about a segment from a local port to a remote end. */
  error(
    localPort: number,
    { addr, port }: TcpEndpoint<A>,
    scope: Device | undefined,
    kind: 'unreachable' | 'frag-needed',
    mtu: number,
    error: SocketError = 'EHOSTUNREACH',
  ): void {
    const key = this.#inet.remoteKey(addr, port, scope);
    this.#sockets.get(localPort)?.get(key)?.icmpError(kind, mtu, error);
  }

  /** Whether there is a connection from a local port, begun or made. */
  isConnected(localPort: number, { addr, port }: TcpEndpoint<A>): boolean {
    return this.#sockets.get(localPort)?.has(this.#inet.remoteKey(addr, port, undefined)) === true;
  }

  /** Resets every connection, as the kernel does for a process that dies. */
  abortAll(): void {
    for (const byRemote of [...this.#sockets.values()])
      for (const socket of [...byRemote.values()]) socket.abort();
  }

  #accept(
    listener: Listening<A>,
    syn: TcpSegment,
    device: Device,
    { src, dst }: { readonly src: A; readonly dst: A },
    ttl: number,
  ): void {
    const options = { stack: listener.stack, ...listener.optionsFor(src, device) };
    if (ttl < (options.minTtl ?? 0)) {
      this.#ns.kernel.drop('tcp-min-ttl');
      return;
    }
    const local = { addr: dst, port: syn.dstPort };
    const remote = { addr: src, port: syn.srcPort };
    const scope = this.#inet.scope(src, device);
    const socket: KernelTcpSocket<A> = new KernelTcpSocket(
      this.#ns,
      this.#inet,
      local,
      remote,
      options,
      scope,
      () => this.#remove(socket),
    );
    this.#add(socket);
    socket.onConnected = () => {
      socket.onConnected = null;
      listener.onAccept(socket);
    };
    socket.accept(syn);
  }

  #add(socket: KernelTcpSocket<A>): void {
    const byRemote = this.#sockets.get(socket.local.port) ?? new Map<number | string, KernelTcpSocket<A>>();
    byRemote.set(this.#keyOf(socket), socket);
    this.#sockets.set(socket.local.port, byRemote);
  }

  #remove(socket: KernelTcpSocket<A>): void {
    const byRemote = this.#sockets.get(socket.local.port);
    const key = this.#keyOf(socket);
    if (byRemote?.get(key) !== socket) return;
    byRemote.delete(key);
    if (byRemote.size === 0) this.#sockets.delete(socket.local.port);
  }

  #keyOf({ remote, scope }: TcpSocket<A>): number | string {
    return this.#inet.remoteKey(remote.addr, remote.port, scope);
  }

  #ephemeral(key: number | string): number {
    const port = ephemeralPort(this.#ns, (candidate) => this.#sockets.get(candidate)?.has(key) !== true);
    if (port === null) throw new PortInUseError(0);
    return port;
  }
}
