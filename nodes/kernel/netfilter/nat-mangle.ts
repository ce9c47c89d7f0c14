import { setU16, setU32, u16 } from '../../../protocols/bytes.ts';
import { adjustChecksum16, internetChecksum, pseudoHeaderSum } from '../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMP_HLEN, ICMP_REDIRECT } from '../../../protocols/icmp.ts';
import { ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST } from '../../../protocols/icmpv6.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { type Ip6, writeIp6 } from '../../../protocols/ip6.ts';
import {
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  setIpDst,
  setIpSrc,
} from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, PROTO_ICMPV6 } from '../../../protocols/ipv6.ts';
import { lastHeader } from '../../../protocols/ipv6-headers.ts';
import { ND_REDIRECT } from '../../../protocols/ndp.ts';
import { PROTO_SCTP, SCTP_CHECKSUM, SCTP_HLEN, sctpChecksum } from '../../../protocols/sctp.ts';
import { UDP_HLEN } from '../../../protocols/udp.ts';
import type { CtTuple } from './conntrack-entry.ts';
import { type Flow, isIcmp, isIcmpQueryOrAnswer } from './flow.ts';
import { isSumRight } from './packet-checks.ts';
import { hasPorts } from './packet-tuple.ts';
import type { Skb } from './skb.ts';
import { destinationOf, isIpv6, sourceOf } from './xtables/packet.ts';

export type Manip = 'src' | 'dst';

const TCP_HLEN = 20;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** What UDP sends where its sum comes to 0, which means none. */
const UDP_ZERO_SUM = 0xffff;

/**
 * Writes an address, and a port or id, as source or destination into the packet at `off` (`nf_nat_ipv4_manip_pkt`,
 * `nf_nat_ipv6_manip_pkt`), and mends its checksums by what has changed (RFC 1624). A quoted packet may end before its checksum:
 * that is left, then.
 */
export function manipulate(
  frame: Uint8Array,
  off: number,
  newAddr: IpAddress,
  newPort: number,
  manip: Manip,
): void {
  if (typeof newAddr === 'string') {
    manipulate6(frame, off, newAddr, newPort, manip);
    return;
  }
  const at = off + ipHeaderLength(frame, off);
  const proto = ipProto(frame, off);
  const oldAddr = manip === 'src' ? ipSrc(frame, off) : ipDst(frame, off);
  if (proto === PROTO_ICMP) {
    if (frame.length - at >= ICMP_HLEN && isIcmpQueryOrAnswer(proto, frame[at]!))
      setIcmpId(frame, at, newPort);
  } else if (hasPorts(proto) && frame.length - at >= 4) {
    const field = checksumField(frame, at, proto);
    if (field > 0) mendAddress(frame, field, oldAddr, newAddr);
    setPort(frame, manip === 'src' ? at : at + 2, newPort, field);
    if (field > 0) sealZero(frame, field, proto);
    if (proto === PROTO_SCTP) sealSctp(frame, at);
  }
  if (manip === 'src') setIpSrc(frame, off, newAddr);
  else setIpDst(frame, off, newAddr);
}

function manipulate6(frame: Uint8Array, off: number, newAddr: Ip6, newPort: number, manip: Manip): void {
  const upper = lastHeader(frame, off, frame.length);
  const addrAt = off + (manip === 'src' ? IP6_SRC : IP6_DST);
  if (upper !== null && upper.fragment === 0) {
    const { proto, offset: at } = upper;
    const field = checksumField(frame, at, proto);
    if (field > 0) {
      for (let i = 0; i < 16; i += 2) {
        const word = (newAddr.charCodeAt(i) << 8) | newAddr.charCodeAt(i + 1);
        setU16(frame, field, adjustChecksum16(u16(frame, field), u16(frame, addrAt + i), word));
      }
    }
    if (proto === PROTO_ICMPV6) {
      if (frame.length - at >= ICMP_HLEN && isEcho6(frame[at]!)) setIcmpId(frame, at, newPort);
    } else if (hasPorts(proto) && frame.length - at >= 4)
      setPort(frame, manip === 'src' ? at : at + 2, newPort, field);
    if (field > 0) sealZero(frame, field, proto);
    if (proto === PROTO_SCTP) sealSctp(frame, at);
  }
  writeIp6(frame, addrAt, newAddr);
}

function isEcho6(type: number): boolean {
  return type === ICMPV6_ECHO_REQUEST || type === ICMPV6_ECHO_REPLY;
}

function setIcmpId(frame: Uint8Array, at: number, id: number): void {
  setPort(frame, at + 4, id, at + 2);
}

/** Writes 16 bits, and mends the checksum at `field` by them; 0 for none. */
function setPort(frame: Uint8Array, at: number, value: number, field: number): void {
  const old = u16(frame, at);
  setU16(frame, at, value);
  if (field > 0) setU16(frame, field, adjustChecksum16(u16(frame, field), old, value));
}

/** Where the checksum stands that is over the addresses too; 0 where there is none, or it has been cut off. */
function checksumField(frame: Uint8Array, at: number, proto: number): number {
  const left = frame.length - at;
  switch (proto) {
    case PROTO_TCP:
      return left >= TCP_HLEN ? at + TCP_CHECKSUM : 0;
    case PROTO_UDP:
      return left >= UDP_HLEN && u16(frame, at + UDP_CHECKSUM) !== 0 ? at + UDP_CHECKSUM : 0;
    case PROTO_ICMPV6:
      return left >= ICMP_HLEN ? at + 2 : 0;
    default:
      return 0;
  }
}

function mendAddress(frame: Uint8Array, field: number, oldAddr: number, newAddr: number): void {
  const sum = adjustChecksum16(u16(frame, field), oldAddr >>> 16, newAddr >>> 16);
  setU16(frame, field, adjustChecksum16(sum, oldAddr & 0xffff, newAddr & 0xffff));
}

/** Its checksum is over all of it, and is none that can be mended; what has lost its end gets that of what there is. */
function sealSctp(frame: Uint8Array, at: number): void {
  if (frame.length - at >= SCTP_HLEN)
    setU32(frame, at + SCTP_CHECKSUM, sctpChecksum(frame, at, frame.length));
}

function sealZero(frame: Uint8Array, field: number, proto: number): void {
  if (proto === PROTO_UDP && u16(frame, field) === 0) setU16(frame, field, UDP_ZERO_SUM);
}

/** Whether packets of a flow's direction are changed at the hooks of a manip: answers the other way round. */
function isManipulated(flow: Flow, direction: 0 | 1, manip: Manip): boolean {
  return (manip === 'src') === (direction === 0) ? flow.srcNat : flow.dstNat;
}

/** Applies a flow's bindings to a packet of it (`nf_nat_packet`). */
export function applyBinding(skb: Skb, flow: Flow, manip: Manip): void {
  if (!isManipulated(flow, skb.ctDirection, manip)) return;
  becomeAnswered(skb.frame, skb.ctDirection === 0 ? flow.reply : flow.original, manip);
}

/** Gives a packet the source or destination of one that a tuple answers. */
function becomeAnswered(frame: Uint8Array, answer: CtTuple, manip: Manip): void {
  const { proto, src, dst, srcPort, dstPort } = answer;
  if (manip === 'src') manipulate(frame, ETH_HLEN, dst, isIcmp(proto) ? srcPort : dstPort, manip);
  else manipulate(frame, ETH_HLEN, src, srcPort, manip);
}

/**
 * The same for an ICMP error about a packet of the flow: of what it quotes the other end is changed, and of the message what
 * an answer would be (`nf_nat_icmp_reply_translation`, `nf_nat_icmpv6_reply_translation`). False: it is to be dropped.
 */
export function applyToError(skb: Skb, flow: Flow, manip: Manip): boolean {
  const { frame } = skb;
  const six = isIpv6(skb);
  const at = six ? (skb.upper?.offset ?? frame.length) : ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const length = frame.length - at;
  if (six ? !isSumRight(frame, at, length, PROTO_ICMPV6) : internetChecksum(frame, at, length) !== 0)
    return false;
  // Who is told of a better way would not know the addresses that it is about.
  const redirects = frame[at] === (six ? ND_REDIRECT : ICMP_REDIRECT);
  if (redirects && (flow.srcNat || flow.dstNat || !flow.srcNatDone || !flow.dstNatDone)) return false;
  if (!isManipulated(flow, skb.ctDirection, manip)) return true;
  const answer = skb.ctDirection === 0 ? flow.reply : flow.original;
  const { src, dst, srcPort, dstPort, proto } = answer;
  if (manip === 'src') manipulate(frame, at + ICMP_HLEN, dst, isIcmp(proto) ? srcPort : dstPort, 'dst');
  else manipulate(frame, at + ICMP_HLEN, src, srcPort, 'src');
  setU16(frame, at + 2, 0);
  if (six) {
    const seed = pseudoHeaderSum(sourceOf(skb), destinationOf(skb), PROTO_ICMPV6, length);
    setU16(frame, at + 2, internetChecksum(frame, at, length, seed));
  } else setU16(frame, at + 2, internetChecksum(frame, at, length));
  becomeAnswered(frame, answer, manip);
  return true;
}
