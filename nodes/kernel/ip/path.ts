import { u16, u32 } from '../../../protocols/bytes.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { ipHeaderLength, ipProto, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import type { Nexthop, Route } from '../route-table.ts';

/** Where a packet goes next. */
export interface Path<A extends IpAddress = number> {
  readonly type: 'local' | 'broadcast' | 'unicast' | 'blackhole' | 'unreachable';
  readonly device: Device;
  /** Address to resolve on the device. */
  readonly nexthop: A;
  /** Preferred source of the route, the unspecified address if none. */
  readonly src: A;
}

/** Picks the next hop of a route for a flow; null if none is usable. */
export function chooseNexthop<A extends IpAddress>(route: Route<A>, hash: number): Nexthop<A> | null {
  const { nexthops } = route;
  const first = nexthops[0];
  if (nexthops.length === 1) return first?.device.usable ? first : null;
  let total = 0;
  for (const hop of nexthops) if (hop.device.usable) total += hop.weight;
  if (total === 0) return null;
  let point = (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0) % total;
  for (const hop of nexthops) {
    if (!hop.device.usable) continue;
    point -= hop.weight;
    if (point < 0) return hop;
  }
  return null;
}

/** Hash of a flow: addresses, protocol, and ports where the packet has them (`fib_multipath_hash_policy=1`). */
export function flowHash(buf: Uint8Array, off: number, src: number, dst: number): number {
  const proto = ipProto(buf, off);
  let hash = Math.imul(src ^ Math.imul(dst, 0x9e3779b1), 0x85ebca6b) ^ proto;
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && (u16(buf, off + 6) & 0x3fff) === 0) {
    const at = off + ipHeaderLength(buf, off);
    if (at + 4 <= buf.length) hash = Math.imul(hash ^ u32(buf, at), 0xc2b2ae35);
  }
  return (hash ^ (hash >>> 13)) >>> 0;
}
