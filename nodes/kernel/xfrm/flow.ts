import { u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { readIp6Cached } from '../../../protocols/ip6.ts';
import {
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, PROTO_ICMPV6, upperLayer } from '../../../protocols/ipv6.ts';

/** What a policy's selector is held against (`struct flowi`). */
export interface XfrmFlow {
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly proto: number;
  /** Ports; of ICMP type and code. Null where they are not known. */
  readonly sport: number | null;
  readonly dport: number | null;
}

export function versionOf(frame: Uint8Array): number {
  return frame[ETH_HLEN]! >> 4;
}

/** The flow of a packet of either family (`xfrm_decode_session`). */
export function flowOf(frame: Uint8Array): XfrmFlow {
  if (versionOf(frame) === 4) {
    const src = ipSrc(frame, ETH_HLEN);
    const dst = ipDst(frame, ETH_HLEN);
    const proto = ipProto(frame, ETH_HLEN);
    if (ipFragmentOffset(frame, ETH_HLEN) !== 0) return { src, dst, proto, sport: null, dport: null };
    return { src, dst, proto, ...portsAt(frame, ETH_HLEN + ipHeaderLength(frame, ETH_HLEN), proto) };
  }
  const found = upperLayer(frame, ETH_HLEN, frame.length);
  const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
  const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
  if (found.type !== 'upper') return { src, dst, proto: 0, sport: null, dport: null };
  return { src, dst, proto: found.proto, ...portsAt(frame, found.offset, found.proto) };
}

/** What stands at the beginning of a transport's header. */
export function portsAt(
  frame: Uint8Array,
  at: number,
  proto: number,
): { readonly sport: number | null; readonly dport: number | null } {
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && at + 4 <= frame.length)
    return { sport: u16(frame, at), dport: u16(frame, at + 2) };
  if ((proto === PROTO_ICMP || proto === PROTO_ICMPV6) && at + 2 <= frame.length)
    return { sport: frame[at]!, dport: frame[at + 1]! };
  return { sport: null, dport: null };
}
