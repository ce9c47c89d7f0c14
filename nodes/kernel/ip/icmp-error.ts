import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { encodeIcmpError, ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, MAX_ERROR } from '../../../protocols/icmp.ts';
import { isMulticast, LIMITED_BROADCAST } from '../../../protocols/ip4.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTos,
  PROTO_ICMP,
} from '../../../protocols/ipv4.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';

/** Bits of the type of service of a packet that an error about it keeps, and the precedence that it has (RFC 1812 §4.3.2.5). */
const IPTOS_TOS_MASK = 0x1e;
const IPTOS_PREC_INTERNETCONTROL = 0xc0;

/** 192.0.0.8: whoever has no address of IPv4 at all sends errors from it (RFC 7600 §4.8, `INADDR_DUMMY`). */
const DUMMY_ADDRESS = 0xc000_0008;

/** Whether a frame came as a link-layer broadcast or multicast; 0 stands in the place of addresses that do not exist. */
export function isGroupFrame(frame: Uint8Array): boolean {
  return (frame[0]! & 1) !== 0;
}

/** Sends an ICMP error about a packet, unless RFC 1122 §3.2.2 forbids one (`icmp_send`). */
export function sendIcmpError(
  ns: Netns,
  type: number,
  code: number,
  extra: number,
  frame: Uint8Array,
  about: Skb | null,
): void {
  const src = ipSrc(frame, ETH_HLEN);
  const dst = ipDst(frame, ETH_HLEN);
  if (ipFragmentOffset(frame, ETH_HLEN) > 0 || src === 0 || isMulticast(src) || isMulticast(dst)) return;
  if (dst === LIMITED_BROADCAST || ns.isBroadcast(dst) || src === LIMITED_BROADCAST) return;
  if (isGroupFrame(frame)) return;
  if (ipProto(frame, ETH_HLEN) === PROTO_ICMP) {
    const icmpType = frame[ETH_HLEN + ipHeaderLength(frame, ETH_HLEN)];
    if (icmpType !== ICMP_ECHO_REQUEST && icmpType !== ICMP_ECHO_REPLY) return;
  }
  const answer = ns.ip.options.answer(frame);
  if (answer === 'unanswerable') return;
  const path = ns.lookup(src, 0);
  // It is not fragmented on the way that is known.
  const room = path === null ? MAX_ERROR : Math.min(MAX_ERROR, ns.pathMtus.of(src, path));
  const left = room - (answer?.bytes.length ?? 0);
  const message = encodeIcmpError(type, code, extra, frame, ETH_HLEN, frame.length - ETH_HLEN, left);
  const buffer = new Uint8Array(ETH_HLEN + IPV4_HLEN + message.length);
  buffer.set(message, ETH_HLEN + IPV4_HLEN);
  const tos = (ipTos(frame, ETH_HLEN) & IPTOS_TOS_MASK) | IPTOS_PREC_INTERNETCONTROL;
  // An error about a packet that was for us comes from the address it was for (icmp_send: saddr = iph->daddr).
  ns.ip.output(buffer, {
    src: ns.isLocal(ns.ip.options.destination(frame)) ? dst : 0,
    fallbackSrc: DUMMY_ADDRESS,
    dst: src,
    proto: PROTO_ICMP,
    tos,
    about,
    inReplyTo: frame,
  });
}
