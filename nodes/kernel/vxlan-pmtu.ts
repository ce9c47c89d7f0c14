import { u16 } from '../../protocols/bytes.ts';
import {
  ETH_HLEN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
  writeEthernet,
} from '../../protocols/ethernet.ts';
import { encodeIcmpError, ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../protocols/icmp.ts';
import { encodeIcmpv6Error, ICMPV6_PACKET_TOO_BIG, sealIcmpv6 } from '../../protocols/icmpv6.ts';
import { isLoopback, isMulticast, LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import { ANY_IP6, isMulticastIp6, readIp6 } from '../../protocols/ip6.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTtl,
  PROTO_ICMP,
  writeIpv4Header,
} from '../../protocols/ipv4.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  IPV6_MIN_MTU,
  ip6HopLimit,
  PROTO_ICMPV6,
  upperLayer,
  writeIpv6Header,
} from '../../protocols/ipv6.ts';
import { readMac } from '../../protocols/mac.ts';

/** Smallest MTU that a bridged sender is told of. */
const LEAST = 576;
const NDISC_REDIRECT = 137;
/** There is nothing behind the headers (RFC 8200 §4.7). */
const NEXT_NONE = 59;

/**
 * What the sender of a bridged frame is told whose packet is larger than the path of the tunnel takes: ICMP 'fragmentation needed'
 * or 'packet too big', as if from the packet's destination; null where nobody is told (`skb_tunnel_check_pmtu`).
 */
export function tooBigReply(frame: Uint8Array, mtu: number): Uint8Array | null {
  switch (etherType(frame)) {
    case ETHERTYPE_IPV4:
      return frame.length >= ETH_HLEN + IPV4_HLEN && answers(frame, mtu) ? reply(frame, mtu) : null;
    case ETHERTYPE_IPV6:
      return frame.length >= ETH_HLEN + IPV6_HLEN && answers6(frame, mtu) ? reply6(frame, mtu) : null;
    default:
      return null;
  }
}

/** `iptunnel_pmtud_check_icmp` */
function answers(frame: Uint8Array, mtu: number): boolean {
  if (mtu < LEAST || u16(frame, ETH_HLEN + 6) !== 0x4000) return false;
  const src = ipSrc(frame, ETH_HLEN);
  const dst = ipDst(frame, ETH_HLEN);
  if (dst === LIMITED_BROADCAST || isMulticast(dst) || src === 0 || isLoopback(src)) return false;
  if (src === LIMITED_BROADCAST || isMulticast(src)) return false;
  if (ipProto(frame, ETH_HLEN) !== PROTO_ICMP) return true;
  const type = frame[ETH_HLEN + ipHeaderLength(frame, ETH_HLEN)];
  return type !== undefined && !ICMP_ERRORS.includes(type);
}

/** `icmp_is_err`: destination unreachable, source quench, redirect, time exceeded, parameter problem. */
const ICMP_ERRORS = [3, 4, 5, 11, 12];

/** `iptunnel_pmtud_build_icmp` */
function reply(frame: Uint8Array, mtu: number): Uint8Array {
  const message = encodeIcmpError(
    ICMP_DEST_UNREACHABLE,
    UNREACH_FRAG_NEEDED,
    mtu,
    frame,
    ETH_HLEN,
    frame.length - ETH_HLEN,
  );
  const answer = new Uint8Array(ETH_HLEN + IPV4_HLEN + message.length);
  writeEthernet(answer, readMac(frame, 6), readMac(frame, 0), ETHERTYPE_IPV4);
  writeIpv4Header(answer, ETH_HLEN, {
    src: ipDst(frame, ETH_HLEN),
    dst: ipSrc(frame, ETH_HLEN),
    proto: PROTO_ICMP,
    ttl: ipTtl(frame, ETH_HLEN),
    totalLength: IPV4_HLEN + message.length,
    id: 0,
    df: true,
  });
  answer.set(message, ETH_HLEN + IPV4_HLEN);
  return answer;
}

/** `iptunnel_pmtud_check_icmpv6`, which means to except ::1 too, and does not. */
function answers6(frame: Uint8Array, mtu: number): boolean {
  const src = readIp6(frame, ETH_HLEN + IP6_SRC);
  if (mtu < IPV6_MIN_MTU || src === ANY_IP6 || isMulticastIp6(src)) return false;
  const upper = upperLayer(frame, ETH_HLEN, frame.length);
  if (upper.type === 'fragment') return (u16(frame, upper.offset + 2) & 0xfff8) === 0;
  if (upper.type !== 'upper' || upper.proto === NEXT_NONE) return false;
  if (upper.proto !== PROTO_ICMPV6) return true;
  const type = frame[upper.offset];
  return type !== undefined && type >= 128 && type !== NDISC_REDIRECT;
}

/** `iptunnel_pmtud_build_icmpv6` */
function reply6(frame: Uint8Array, mtu: number): Uint8Array {
  const at = ETH_HLEN + IPV6_HLEN;
  const answer = encodeIcmpv6Error(ICMPV6_PACKET_TOO_BIG, 0, mtu, frame.subarray(ETH_HLEN), at);
  const src = readIp6(frame, ETH_HLEN + IP6_DST);
  const dst = readIp6(frame, ETH_HLEN + IP6_SRC);
  writeEthernet(answer, readMac(frame, 6), readMac(frame, 0), ETHERTYPE_IPV6);
  writeIpv6Header(answer, ETH_HLEN, {
    src,
    dst,
    nextHeader: PROTO_ICMPV6,
    hopLimit: ip6HopLimit(frame, ETH_HLEN),
    payloadLength: answer.length - at,
  });
  sealIcmpv6(answer, at, answer.length - at, src, dst);
  return answer;
}
