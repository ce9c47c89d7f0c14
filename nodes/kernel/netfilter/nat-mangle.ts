import { setU16, u16 } from '../../../protocols/bytes.ts';
import { adjustChecksum16, internetChecksum } from '../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMP_HLEN, ICMP_REDIRECT } from '../../../protocols/icmp.ts';
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
import type { CtTuple } from './conntrack-entry.ts';
import { type Flow, isIcmpQueryOrAnswer } from './flow.ts';
import { hasPorts } from './packet-tuple.ts';
import type { Skb } from './skb.ts';

export type Manip = 'src' | 'dst';

const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** What UDP sends where its sum comes to 0, which means none. */
const UDP_ZERO_SUM = 0xffff;

/**
 * Writes an address, and a port or id, as source or destination into the packet at `off` (`nf_nat_ipv4_manip_pkt`), and mends its checksums
 * by what has changed (RFC 1624). A quoted packet may end before its checksum: that is left, then.
 */
export function manipulate(
  frame: Uint8Array,
  off: number,
  newAddr: number,
  newPort: number,
  manip: Manip,
): void {
  const at = off + ipHeaderLength(frame, off);
  const proto = ipProto(frame, off);
  const oldAddr = manip === 'src' ? ipSrc(frame, off) : ipDst(frame, off);
  if (proto === PROTO_ICMP) {
    if (frame.length - at >= ICMP_HLEN && isIcmpQueryOrAnswer(frame[at]!)) setIcmpId(frame, at, newPort);
  } else if (hasPorts(proto) && frame.length - at >= 4) {
    const field = manip === 'src' ? at : at + 2;
    const oldPort = u16(frame, field);
    setU16(frame, field, newPort);
    mendTransport(frame, at, proto, oldAddr, newAddr, oldPort, newPort);
  }
  if (manip === 'src') setIpSrc(frame, off, newAddr);
  else setIpDst(frame, off, newAddr);
}

function setIcmpId(frame: Uint8Array, at: number, id: number): void {
  const old = u16(frame, at + 4);
  if (old === id) return;
  setU16(frame, at + 4, id);
  setU16(frame, at + 2, adjustChecksum16(u16(frame, at + 2), old, id));
}

function mendTransport(
  frame: Uint8Array,
  at: number,
  proto: number,
  oldAddr: number,
  newAddr: number,
  oldPort: number,
  newPort: number,
): void {
  const field = proto === PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  if ((proto !== PROTO_TCP && proto !== PROTO_UDP) || frame.length - at < field + 2) return;
  const old = u16(frame, at + field);
  if (proto === PROTO_UDP && old === 0) return;
  let sum = adjustChecksum16(old, oldAddr >>> 16, newAddr >>> 16);
  sum = adjustChecksum16(sum, oldAddr & 0xffff, newAddr & 0xffff);
  sum = adjustChecksum16(sum, oldPort, newPort);
  setU16(frame, at + field, proto === PROTO_UDP && sum === 0 ? UDP_ZERO_SUM : sum);
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
  if (manip === 'src') manipulate(frame, ETH_HLEN, dst, proto === PROTO_ICMP ? srcPort : dstPort, manip);
  else manipulate(frame, ETH_HLEN, src, srcPort, manip);
}

/**
 * The same for an ICMP error about a packet of the flow: of what it quotes the other end is changed, and of the message what
 * an answer would be (`nf_nat_icmp_reply_translation`). False: it is to be dropped.
 */
export function applyToError(skb: Skb, flow: Flow, manip: Manip): boolean {
  const { frame } = skb;
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  if (internetChecksum(frame, at, frame.length - at) !== 0) return false;
  // Who is told of a better way would not know the addresses that it is about.
  if (frame[at] === ICMP_REDIRECT && (flow.srcNat || flow.dstNat || !flow.srcNatDone || !flow.dstNatDone))
    return false;
  if (!isManipulated(flow, skb.ctDirection, manip)) return true;
  const answer = skb.ctDirection === 0 ? flow.reply : flow.original;
  const { src, dst, srcPort, dstPort, proto } = answer;
  if (manip === 'src')
    manipulate(frame, at + ICMP_HLEN, dst, proto === PROTO_ICMP ? srcPort : dstPort, 'dst');
  else manipulate(frame, at + ICMP_HLEN, src, srcPort, 'src');
  setU16(frame, at + 2, 0);
  setU16(frame, at + 2, internetChecksum(frame, at, frame.length - at));
  becomeAnswered(frame, answer, manip);
  return true;
}
