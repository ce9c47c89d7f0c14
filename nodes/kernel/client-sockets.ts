import type { IpAddress } from '../../protocols/ip.ts';
import { ANY_IP6, type Ip6, isLinkLocal, LOOPBACK_IP6, mappedIp4 } from '../../protocols/ip6.ts';
import type { Device } from './device.ts';
import { inet4 } from './inet.ts';
import { pathError } from './ip/path.ts';
import type { SendError } from './ip.ts';
import { scopeDevice } from './ipv6/icmp.ts';
import type { Netns } from './netns.ts';
import type { SocketError } from './socket-error.ts';
import type { TcpSocket } from './tcp.ts';
import type { UdpSocket } from './udp.ts';

/** Where a client connects to: an address of either family, with the device that it is of where it means something there alone. */
export interface Peer {
  readonly addr: IpAddress;
  readonly device?: Device | undefined;
}

/** What a client has bound its socket to before it connects. */
interface From {
  /** Of the family of the peer; absent: what routing prefers. */
  readonly addr?: IpAddress | undefined;
  /** Absent: any that is free. */
  readonly port?: number | undefined;
}

/** 127.0.0.1 */
const LOOPBACK = 0x7f000001;

/**
 * The IPv4 address that a socket connects to for a peer: its own, or that which one of IPv6 maps. Null: none. Whoever connects to
 * no address connects to the loopback's (`ip_route_output_key_hash_rcu`, `tcp_v6_connect`).
 */
function inetOf({ addr }: Peer): number | null {
  const inet = typeof addr === 'number' ? addr : mappedIp4(addr);
  return inet === 0 ? LOOPBACK : inet;
}

/** The IPv6 address of a peer that has none of IPv4. */
function inet6Of({ addr }: Peer): Ip6 {
  return typeof addr === 'number' || addr === ANY_IP6 ? LOOPBACK_IP6 : addr;
}

/** Connects by TCP; see `TcpLayer.connect`. @throws PortInUseError */
export function connectTcp(ns: Netns, peer: Peer, port: number, from: From = {}): TcpSocket<IpAddress> {
  const srcPort = from.port === undefined ? {} : { srcPort: from.port };
  const inet = inetOf(peer);
  if (inet !== null) {
    const src = typeof from.addr === 'number' ? from.addr : 0;
    const stack = typeof peer.addr === 'number' ? 'one' : 'both';
    return ns.tcp.connect({ src, dst: inet, port, stack, ...srcPort });
  }
  const { device } = peer;
  const src = typeof from.addr === 'string' ? from.addr : ANY_IP6;
  return ns.ipv6.tcp.connect({ src, dst: inet6Of(peer), port, device, ...srcPort });
}

/** A UDP socket that is connected to one peer. */
export interface ConnectedUdp {
  readonly port: number;
  send(payload: Uint8Array): SendError | null;
  close(): void;
}

export interface ConnectedUdpHandlers {
  onPayload(payload: Uint8Array): void;
  /** The peer has nobody at that port, or cannot be reached. */
  onUnreachable?(): void;
}

/** Opens a UDP socket that hears of one peer alone. @throws PortInUseError */
export function connectUdp(
  ns: Netns,
  peer: Peer,
  port: number,
  handlers: ConnectedUdpHandlers,
  from: From = {},
): ConnectedUdp {
  const inet = inetOf(peer);
  if (inet !== null) {
    const local = { addr: typeof from.addr === 'number' ? from.addr : 0, port: from.port ?? 0 };
    const stack = typeof peer.addr === 'number' ? 'one' : 'both';
    const socket = ns.udp.bind(local, heard(inet, port, handlers), stack);
    return connected(socket, inet, port, undefined, handlers);
  }
  const dst = inet6Of(peer);
  const local = { addr: typeof from.addr === 'string' ? from.addr : ANY_IP6, port: from.port ?? 0 };
  const socket = ns.ipv6.udp.bind(local, heard(dst, port, handlers));
  return connected(socket, dst, port, peer.device, handlers);
}

function heard<A extends IpAddress>(dst: A, port: number, handlers: ConnectedUdpHandlers) {
  return ({ src, srcPort, payload }: { src: A; srcPort: number; payload: Uint8Array }) => {
    if (src === dst && srcPort === port) handlers.onPayload(payload);
  };
}

function connected<A extends IpAddress>(
  socket: UdpSocket<A>,
  dst: A,
  port: number,
  device: Device | undefined,
  handlers: ConnectedUdpHandlers,
): ConnectedUdp {
  socket.onError = (report) => {
    if (report.dst === dst && report.dstPort === port && report.type === 'dest-unreachable')
      handlers.onUnreachable?.();
  };
  return {
    port: socket.port,
    send: (payload) => socket.sendTo(dst, port, payload, { device }),
    close: () => socket.close(),
  };
}

/** What connect(2) of a UDP socket finds out: the address it would send from, or why it cannot. */
export type Reached =
  | { readonly ok: true; readonly src: IpAddress }
  | { readonly ok: false; readonly error: SocketError };

/** Routes a peer as connect(2) of a UDP socket does, which sends nothing. */
export function routeTo(ns: Netns, peer: Peer): Reached {
  const inet = inetOf(peer);
  if (inet !== null) {
    const path = ns.lookup(inet, inet);
    const error = pathError(path);
    if (path === null || error !== null) return { ok: false, error: error ?? 'ENETUNREACH' };
    return { ok: true, src: inet4(ns).sourceFor(path, inet) };
  }
  const dst = inet6Of(peer);
  const { ipv6 } = ns;
  const scoped = peer.device === undefined ? undefined : scopeDevice(peer.device, dst);
  if (scoped === undefined && isLinkLocal(dst)) return { ok: false, error: 'EINVAL' };
  const path = ipv6.layer.lookup(dst, 0, scoped ?? null);
  if (path === null) return { ok: false, error: ipv6.addresses.usable ? 'ENETUNREACH' : 'EADDRNOTAVAIL' };
  const error = pathError(path);
  if (error !== null) return { ok: false, error };
  const src = ipv6.sourceFor(path, dst);
  return src === ANY_IP6 ? { ok: false, error: 'EADDRNOTAVAIL' } : { ok: true, src };
}

/** The device by which packets to a peer leave; null for one of the host's own, or where none leads there. */
export function routeDevice(ns: Netns, peer: Peer): Device | null {
  const inet = inetOf(peer);
  const dst = inet6Of(peer);
  const scope = peer.device === undefined ? undefined : scopeDevice(peer.device, dst);
  const path = inet !== null ? ns.lookup(inet, inet) : ns.ipv6.layer.lookup(dst, 0, scope ?? null);
  return path === null || path.type === 'local' ? null : path.device;
}
