import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import type { IpAddress } from '../../../../protocols/ip.ts';
import { readIp6Cached } from '../../../../protocols/ip6.ts';
import { ipDst, ipFragmentOffset, ipHeaderLength, ipSrc, ipTos, ipTtl } from '../../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, ip6HopLimit, ip6TrafficClass } from '../../../../protocols/ipv6.ts';
import type { Skb } from '../skb.ts';

export function isIpv6({ frame }: Skb): boolean {
  return (frame[ETH_HLEN]! & 0xf0) === 0x60;
}

/**
 * Where the transport header of a packet begins; -1 where there is none: in a later fragment, and where it is cut off. What is cut
 * off is no packet, and dropped.
 */
export function transportAt(skb: Skb, length: number): number {
  const at = transportOffset(skb);
  if (at < 0 || at + length <= skb.frame.length) return at;
  skb.hotdrop = true;
  return -1;
}

/** The same, be it cut off or not. */
export function transportOffset(skb: Skb): number {
  const { frame } = skb;
  if (isIpv6(skb)) {
    const { upper } = skb;
    return upper === null || upper.fragment !== 0 ? -1 : upper.offset;
  }
  return ipFragmentOffset(frame, ETH_HLEN) > 0 ? -1 : ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
}

/** Where a TCP header would begin: of IPv4 behind that of IP, be the packet a later fragment or not; -1 for nowhere. */
export function tcpHeaderAt(skb: Skb): number {
  return isIpv6(skb) ? transportOffset(skb) : ETH_HLEN + ipHeaderLength(skb.frame, ETH_HLEN);
}

/** The protocol above IP; of IPv6 what the extension headers lead to, -1 where they lead nowhere. */
export function protoOf(skb: Skb): number {
  return isIpv6(skb) ? (skb.upper?.proto ?? -1) : skb.frame[ETH_HLEN + 9]!;
}

export function sourceOf(skb: Skb): IpAddress {
  const { frame } = skb;
  return isIpv6(skb) ? readIp6Cached(frame, ETH_HLEN + IP6_SRC) : ipSrc(frame, ETH_HLEN);
}

export function destinationOf(skb: Skb): IpAddress {
  const { frame } = skb;
  return isIpv6(skb) ? readIp6Cached(frame, ETH_HLEN + IP6_DST) : ipDst(frame, ETH_HLEN);
}

/** Type of service, or traffic class: DSCP and ECN. */
export function tosOf(skb: Skb): number {
  return isIpv6(skb) ? ip6TrafficClass(skb.frame, ETH_HLEN) : ipTos(skb.frame, ETH_HLEN);
}

/** TTL, or hop limit. */
export function ttlOf(skb: Skb): number {
  return isIpv6(skb) ? ip6HopLimit(skb.frame, ETH_HLEN) : ipTtl(skb.frame, ETH_HLEN);
}

/** Where an option of the TCP header at `at` stands (RFC 9293 §3.1); -1 if it has none of that kind. */
export function findTcpOption(frame: Uint8Array, at: number, kind: number): number {
  const end = Math.min(at + (frame[at + 12]! >> 4) * 4, frame.length);
  for (let i = at + 20; i < end; ) {
    if (frame[i] === kind) return i;
    if (frame[i] === 0) return -1;
    i += frame[i] === 1 ? 1 : Math.max(frame[i + 1] ?? 0, 2);
  }
  return -1;
}
