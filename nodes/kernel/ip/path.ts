import { u16, u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { formatIp6, type Ip6 } from '../../../protocols/ip6.ts';
import {
  IPV4_HLEN,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTos,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { leads, type Nexthop, type Route } from '../route-table.ts';
import { ANY_FLOW, type FlowKey } from '../rules.ts';
import type { PacketOptions, SendError } from './output.ts';

/** Where a packet goes next. */
export interface Path<A extends IpAddress = number> {
  readonly type: 'local' | 'broadcast' | 'unicast' | 'blackhole' | 'unreachable' | 'prohibit';
  readonly device: Device;
  /** Address to resolve on the device. */
  readonly nexthop: A;
  /**
   * The IPv6 neighbour that a packet of IPv4 goes to; absent where there is none. `nexthop` is then the destination, as Linux'
   * `rt_nexthop` has it.
   */
  readonly via6?: Ip6;
  /** A router has said that `nexthop` is to stand in the place of the route's. */
  readonly redirected?: true;
  /** Preferred source of the route, the unspecified address if none. */
  readonly src: A;
  /** Null where no row of a table stands for it: the host's own addresses, a rule's refusal. */
  readonly route: Route<A> | null;
}

/** Picks the next hop of a route for a flow; null if none is usable. */
export function chooseNexthop<A extends IpAddress>(route: Route<A>, hash: number): Nexthop<A> | null {
  const { nexthops } = route;
  const first = nexthops[0];
  if (nexthops.length === 1) return first !== undefined && leads(first) ? first : null;
  let total = 0;
  for (const hop of nexthops) if (leads(hop)) total += hop.weight;
  if (total === 0) return null;
  let point = (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0) % total;
  for (const hop of nexthops) {
    if (!leads(hop)) continue;
    point -= hop.weight;
    if (point < 0) return hop;
  }
  return null;
}

/**
 * Hash of a flow, by `fib_multipath_hash_policy`: of its addresses, or (1 and 3) of protocol and ports too where the packet has
 * them.
 */
export function flowHash(buf: Uint8Array, off: number, src: number, dst: number, policy: number): number {
  if ((policy & 1) === 0) {
    const pair = Math.imul(src ^ Math.imul(dst, 0x9e3779b1), 0x85ebca6b);
    return (pair ^ (pair >>> 13)) >>> 0;
  }
  const proto = ipProto(buf, off);
  let hash = Math.imul(src ^ Math.imul(dst, 0x9e3779b1), 0x85ebca6b) ^ proto;
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && (u16(buf, off + 6) & 0x3fff) === 0) {
    const at = off + ipHeaderLength(buf, off);
    if (at + 4 <= buf.length) hash = Math.imul(hash ^ u32(buf, at), 0xc2b2ae35);
  }
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** What a packet meets that cannot go its way; null if it can (`fib_props`). */
export function pathError(path: Pick<Path, 'type'> | null): SendError | null {
  if (path === null) return 'ENETUNREACH';
  switch (path.type) {
    case 'blackhole':
      return 'EINVAL';
    case 'unreachable':
      return 'EHOSTUNREACH';
    case 'prohibit':
      return 'EACCES';
    default:
      return null;
  }
}

/** As `packetFlow`, of a packet that came in; one for all where nothing but the source counts. */
export function receivedFlow(ns: Netns, frame: Uint8Array, device: Device, mark: number): FlowKey {
  if (ns.rules.custom) return packetFlow(frame, device, mark);
  received.src = ipSrc(frame, ETH_HLEN);
  received.iif = device;
  return received;
}

const received: { -readonly [K in keyof FlowKey]: FlowKey[K] } = { ...ANY_FLOW };

/** What policy routing sees of a packet that is complete; `iif` is null for one of the host's own. */
export function packetFlow(frame: Uint8Array, iif: Device | null, mark: number): FlowKey {
  const proto = ipProto(frame, ETH_HLEN);
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const whole = (u16(frame, ETH_HLEN + 6) & 0x3fff) === 0;
  const ports = whole && hasPorts(proto) && at + 4 <= frame.length;
  return {
    src: ipSrc(frame, ETH_HLEN),
    tos: ipTos(frame, ETH_HLEN),
    mark,
    proto,
    sport: ports ? u16(frame, at) : 0,
    dport: ports ? u16(frame, at + 2) : 0,
    iif,
    oif: null,
  };
}

/** The same of a packet that has no IP header yet. */
export function sentFlow(
  buffer: Uint8Array,
  { src, tos = 0, mark = 0, proto, device }: PacketOptions,
): FlowKey {
  const at = ETH_HLEN + IPV4_HLEN;
  const ports = hasPorts(proto) && at + 4 <= buffer.length;
  return {
    src,
    tos,
    mark,
    proto,
    sport: ports ? u16(buffer, at) : 0,
    dport: ports ? u16(buffer, at + 2) : 0,
    iif: null,
    oif: device ?? null,
  };
}

function hasPorts(proto: number): boolean {
  return proto === PROTO_TCP || proto === PROTO_UDP;
}

/** A routing decision as `ip route get` tells it, with the row that it comes from. */
export function describePath<A extends IpAddress>(path: Path<A> | string, dst: A): string {
  if (typeof path === 'string') return path;
  const { type, device, nexthop, via6, route } = path;
  if (type === 'local') return `local ${formatIp(dst)} dev ${device.name}`;
  const row =
    route === null
      ? ''
      : ` (${route.facts.dst}${route.facts.protocol === 'kernel' ? '' : ` proto ${route.facts.protocol}`})`;
  if (type !== 'unicast' && type !== 'broadcast') return `${type}${row}`;
  const gateway = via6 === undefined ? formatIp(nexthop) : `inet6 ${formatIp6(via6)}`;
  const via = nexthop === dst && via6 === undefined ? '' : ` via ${gateway}`;
  return `${type === 'broadcast' ? 'broadcast ' : ''}${formatIp(dst)}${via} dev ${device.name}${row}`;
}
