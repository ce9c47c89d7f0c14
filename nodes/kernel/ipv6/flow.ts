import { u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { type Ip6, readIp6Cached } from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { IP6_SRC, IPV6_HLEN, ip6TrafficClass, upperLayer } from '../../../protocols/ipv6.ts';
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
