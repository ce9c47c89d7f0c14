import { u16, u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { type Ip6, readIp6Cached } from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { IP6_SRC, IPV6_HLEN, ip6NextHeader, ip6TrafficClass, upperLayer } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { PacketOptions } from '../ip/output.ts';
import type { FlowKey } from '../rules.ts';

/** What policy routing sees of a packet that is complete; `iif` is null for one of the host's own. */
export function packetFlow6(frame: Uint8Array, iif: Device | null, mark: number): FlowKey<Ip6> {
  const found = upperLayer(frame, ETH_HLEN, frame.length);
  const proto = found.type === 'upper' ? found.proto : 0;
  const at = found.type === 'upper' ? found.offset : frame.length;
  const ports = (proto === PROTO_TCP || proto === PROTO_UDP) && at + 4 <= frame.length;
  return {
    src: readIp6Cached(frame, ETH_HLEN + IP6_SRC),
    tos: ip6TrafficClass(frame, ETH_HLEN),
    mark,
    proto,
    sport: ports ? u16(frame, at) : 0,
    dport: ports ? u16(frame, at + 2) : 0,
    iif,
    oif: null,
  };
}

/** The same of a packet that has no header of IPv6 yet. */
export function sentFlow6(
  buffer: Uint8Array,
  { src, tos = 0, mark = 0, proto, device }: PacketOptions<Ip6>,
): FlowKey<Ip6> {
  const at = ETH_HLEN + IPV6_HLEN;
  const ports = (proto === PROTO_TCP || proto === PROTO_UDP) && at + 4 <= buffer.length;
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

/** Hash of a flow that is on its way: addresses, protocol, and ports where they follow at once. */
export function flowHash6(frame: Uint8Array): number {
  const proto = ip6NextHeader(frame, ETH_HLEN);
  let hash = proto;
  for (let at = ETH_HLEN + IP6_SRC; at < ETH_HLEN + IPV6_HLEN; at += 4)
    hash = Math.imul(hash ^ u32(frame, at), 0x9e3779b1) ^ (hash >>> 15);
  const at = ETH_HLEN + IPV6_HLEN;
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && at + 4 <= frame.length)
    hash = Math.imul(hash ^ u32(frame, at), 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The same of a packet that has no header of IPv6 yet: of its addresses and protocol. */
export function sentHash6({ src, dst, proto }: PacketOptions<Ip6>): number {
  let hash = proto;
  for (let i = 0; i < 16; i++)
    hash = Math.imul(hash ^ (src.charCodeAt(i) << 8) ^ dst.charCodeAt(i), 0x9e3779b1);
  return hash >>> 0;
}
