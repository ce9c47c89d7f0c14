import { u16, u32 } from '../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_HLEN,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
} from '../../../protocols/icmp.ts';
import { ICMPV6_HLEN } from '../../../protocols/icmpv6.ts';
import { readIp6Cached } from '../../../protocols/ip6.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, PROTO_ICMPV6 } from '../../../protocols/ipv6.ts';
import { ND_OPT_REDIRECTED, ND_REDIRECT, ND_REDIRECT_HLEN } from '../../../protocols/ndp.ts';
import { PROTO_SCTP, SCTP_CHECKSUM, SCTP_HLEN, sctpChecksum } from '../../../protocols/sctp.ts';
import { UDP_HLEN } from '../../../protocols/udp.ts';
import type { Skb } from './skb.ts';
import { isWholeTcp } from './tcp-read.ts';
import { areValidFlags } from './tcp-states.ts';

/** Highest type of ICMP that is known (NR_ICMP_TYPES). */
const LAST_ICMP_TYPE = 18;
const ICMP_SOURCE_QUENCH = 4;

export type TransportProblem = 'ok' | 'malformed' | 'bad-checksum' | 'bad-flags';

/**
 * What makes a packet no part of any flow (`tcp_error`, `udp_error`, `sctp_error`, `nf_conntrack_icmpv4_error`, `nf_conntrack_icmpv6_error`);
 * `at` is where what is above IP begins.
 */
export function checkTransport(
  frame: Uint8Array,
  proto: number,
  at: number,
  verify: boolean,
): TransportProblem {
  const length = frame.length - at;
  switch (proto) {
    case PROTO_TCP: {
      if (!isWholeTcp(frame, at, length)) return 'malformed';
      if (verify && !isSumRight(frame, at, length, proto)) return 'bad-checksum';
      return areValidFlags(frame[at + 13]!) ? 'ok' : 'bad-flags';
    }
    case PROTO_UDP: {
      if (length < UDP_HLEN) return 'malformed';
      const udpLength = u16(frame, at + 4);
      if (udpLength > length || udpLength < UDP_HLEN) return 'malformed';
      if (!verify || u16(frame, at + 6) === 0) return 'ok';
      return isSumRight(frame, at, udpLength, proto) ? 'ok' : 'bad-checksum';
    }
    case PROTO_SCTP:
      if (length < SCTP_HLEN) return 'malformed';
      return verify && u32(frame, at + SCTP_CHECKSUM) !== sctpChecksum(frame, at, frame.length)
        ? 'bad-checksum'
        : 'ok';
    case PROTO_ICMP:
      if (length < ICMP_HLEN || frame[at]! > LAST_ICMP_TYPE) return 'malformed';
      return verify && internetChecksum(frame, at, length) !== 0 ? 'bad-checksum' : 'ok';
    case PROTO_ICMPV6:
      if (length < ICMPV6_HLEN) return 'malformed';
      return verify && !isSumRight(frame, at, length, proto) ? 'bad-checksum' : 'ok';
    default:
      return 'ok';
  }
}

/** Protocols of which REJECT knows that no checksum is over the whole of their payload. */
const NOT_SUMMED: ReadonlySet<number> = new Set([33, 47, 50, 51, 132, 136]);

/**
 * Whether a packet that is refused may be told of: one with a wrong checksum may be of somebody else (`nf_reject_verify_csum`,
 * `nf_ip_checksum`, `nf_ip6_checksum`). A protocol that Linux does not know is taken for one whose payload adds up, of IPv6 with
 * the pseudo-header. A later fragment is not told of. `known` is what conntrack has summed, which is not summed again.
 */
export function mayTellOfReject({ frame, upper }: Skb, sums: 'known' | 'unknown'): boolean {
  const six = isIpv6(frame);
  if (six ? upper === null || upper.fragment !== 0 : ipFragmentOffset(frame, ETH_HLEN) > 0) return false;
  const proto = six ? upper!.proto : ipProto(frame, ETH_HLEN);
  const at = six ? upper!.offset : ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const length = frame.length - at;
  if (six && length <= 0) return false;
  if (NOT_SUMMED.has(proto)) return true;
  if (proto === PROTO_UDP && length >= UDP_HLEN && u16(frame, at + 6) === 0) return true;
  if (six) return isSumRight(frame, at, length, proto);
  const seen = sums === 'known' && (proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_ICMP);
  if (!seen && !isHeaderSumRight(frame)) return false;
  if (proto === PROTO_TCP || proto === PROTO_UDP) return isSumRight(frame, at, length, proto);
  return internetChecksum(frame, at, length) === 0;
}

/** `nf_ip_checksum` takes the header into the sum, which does not add up where an option was written into it on the way. */
export function isHeaderSumRight(frame: Uint8Array): boolean {
  const length = ipHeaderLength(frame, ETH_HLEN);
  return length === IPV4_HLEN || internetChecksum(frame, ETH_HLEN, length) === 0;
}

function isIpv6(frame: Uint8Array): boolean {
  return frame[ETH_HLEN]! >> 4 === 6;
}

/** Whether the checksum over a pseudo-header and what is above IP is right. */
export function isSumRight(frame: Uint8Array, at: number, length: number, proto: number): boolean {
  const seed = isIpv6(frame)
    ? pseudoHeaderSum(
        readIp6Cached(frame, ETH_HLEN + IP6_SRC),
        readIp6Cached(frame, ETH_HLEN + IP6_DST),
        proto,
        length,
      )
    : pseudoHeaderSum(ipSrc(frame, ETH_HLEN), ipDst(frame, ETH_HLEN), proto, length);
  return internetChecksum(frame, at, length, seed) === 0;
}

/**
 * Where the packet begins that an ICMP error quotes; -1 where the quote is none that a flow can be found by, null where the
 * message is no error.
 */
export function quotedPacket(frame: Uint8Array, at: number, length: number): number | null {
  switch (frame[at]) {
    case ICMP_DEST_UNREACHABLE:
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER_PROBLEM:
      break;
    default:
      return null;
  }
  const inner = at + ICMP_HLEN;
  if (length < ICMP_HLEN + IPV4_HLEN || frame[inner]! >> 4 !== 4) return -1;
  const headerLength = ipHeaderLength(frame, inner);
  if (headerLength < IPV4_HLEN || length < ICMP_HLEN + headerLength) return -1;
  return ipFragmentOffset(frame, inner) > 0 ? -1 : inner;
}

/**
 * The same of an ICMPv6 message: all types below 128 are errors (RFC 4443 §2.1), and a redirect is like one where the packet that it is
 * about is its first option (`nf_conntrack_icmpv6_redirect`).
 */
export function quotedPacket6(frame: Uint8Array, at: number, length: number): number | null {
  const type = frame[at]!;
  if (type >= 128 && type !== ND_REDIRECT) return null;
  let offset = ICMPV6_HLEN;
  if (type === ND_REDIRECT) {
    const option = at + ND_REDIRECT_HLEN;
    if (length < ND_REDIRECT_HLEN + 2 || frame[option] !== ND_OPT_REDIRECTED || frame[option + 1] === 0)
      return -1;
    offset = ND_REDIRECT_HLEN + 8;
  }
  const inner = at + offset;
  return length < offset + IPV6_HLEN || frame[inner]! >> 4 !== 6 ? -1 : inner;
}

/** Messages of ICMPv6 that belong to no flow: those of multicast listeners, of routers and of neighbours (`noct_valid_new`). */
export function isOfTheLink(type: number): boolean {
  return (type >= 130 && type <= 136) || type === 143;
}
