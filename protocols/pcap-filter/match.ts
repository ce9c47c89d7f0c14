import { u16, u32 } from '../bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../ethernet.ts';
import { IP6_LENGTH, type Ip6 } from '../ip6.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_TCP,
  PROTO_UDP,
} from '../ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, ip6NextHeader } from '../ipv6.ts';
import { isGroupMac, readMac } from '../mac.ts';

/** Whether a frame, Ethernet header first, is wanted. Takes any bytes. */
export type FrameFilter = (frame: Uint8Array) => boolean;

/** Which end of a packet a primitive looks at. */
export type End = 'src' | 'dst' | 'src or dst' | 'src and dst';

export const ETHERTYPE_RARP = 0x8035;
/** 802.1Q, 802.1ad and what was used before that. */
const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG = 4;
const PROTO_SCTP = 132;
const PROTO_FRAGMENT = 44;

export function hasType(frame: Uint8Array, type: number): boolean {
  return frame.length >= ETH_HLEN && u16(frame, 12) === type;
}

export function isIpv4(frame: Uint8Array): boolean {
  return hasType(frame, ETHERTYPE_IPV4) && frame.length >= ETH_HLEN + IPV4_HLEN;
}

export function isIpv6(frame: Uint8Array): boolean {
  return hasType(frame, ETHERTYPE_IPV6) && frame.length >= ETH_HLEN + IPV6_HLEN;
}

/** ARP for IPv4: sender's address at 14, target's at 24 of the packet (RFC 826). */
const ARP_SPA = ETH_HLEN + 14;
const ARP_TPA = ETH_HLEN + 24;

/** ARP or RARP, whose addresses are in the same places. */
function isArp(frame: Uint8Array): boolean {
  return (hasType(frame, ETHERTYPE_ARP) || hasType(frame, ETHERTYPE_RARP)) && frame.length >= ARP_TPA + 4;
}

function ends(end: End, src: boolean, dst: boolean): boolean {
  switch (end) {
    case 'src':
      return src;
    case 'dst':
      return dst;
    case 'src or dst':
      return src || dst;
    case 'src and dst':
      return src && dst;
  }
}

export function etherTypeIs(type: number): FrameFilter {
  return (frame) => hasType(frame, type);
}

/** IPv4 of a protocol, fragments too. */
export function ipProtocolIs(proto: number): FrameFilter {
  return (frame) => isIpv4(frame) && ipProto(frame, ETH_HLEN) === proto;
}

/** IPv6 of a protocol, right behind the header or in a fragment. */
export function ip6ProtocolIs(proto: number): FrameFilter {
  return (frame) => {
    if (!isIpv6(frame)) return false;
    const next = ip6NextHeader(frame, ETH_HLEN);
    return next === proto || (next === PROTO_FRAGMENT && frame[ETH_HLEN + IPV6_HLEN] === proto);
  };
}

/** IPv6 addresses of a prefix. */
export function address6In(end: End, address: Ip6, len: number): FrameFilter {
  const bytes = Uint8Array.from({ length: IP6_LENGTH }, (_, i) => address.charCodeAt(i));
  const hit = (frame: Uint8Array, at: number) => {
    for (let i = 0, bits = len; bits > 0; i++, bits -= 8) {
      const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
      if (((frame[at + i]! ^ bytes[i]!) & mask) !== 0) return false;
    }
    return true;
  };
  return (frame) =>
    isIpv6(frame) && ends(end, hit(frame, ETH_HLEN + IP6_SRC), hit(frame, ETH_HLEN + IP6_DST));
}

/** An IPv4 or IPv6 packet to a group, whatever its MAC address. */
export function ipGroup(frame: Uint8Array): boolean {
  return isIpv4(frame) && ipDst(frame, ETH_HLEN) >>> 28 >= 0xe;
}

export function ip6Group(frame: Uint8Array): boolean {
  return isIpv6(frame) && frame[ETH_HLEN + IP6_DST] === 0xff;
}

/** A frame with a VLAN tag, of this VLAN if one is named. */
export function isVlan(vlan: number | null): FrameFilter {
  return (frame) =>
    frame.length >= ETH_HLEN + VLAN_TAG &&
    VLAN_TYPES.includes(u16(frame, 12)) &&
    (vlan === null || (u16(frame, 14) & 0xfff) === vlan);
}

/** Looks at what stands behind so many VLAN tags. */
export function behindTags(tags: number, inner: FrameFilter): FrameFilter {
  if (tags === 0) return inner;
  return (frame) => {
    const from = 12 + tags * VLAN_TAG;
    if (frame.length < from + 2) return false;
    const untagged = new Uint8Array(frame.length - tags * VLAN_TAG);
    untagged.set(frame.subarray(0, 12));
    untagged.set(frame.subarray(from), 12);
    return inner(untagged);
  };
}

/** IP addresses of a prefix, in IPv4 headers and in ARP's. */
export function addressIn(end: End, in_: 'ip' | 'arp' | 'any', addr: number, mask: number): FrameFilter {
  const hit = (address: number) => ((address ^ addr) & mask) === 0;
  return (frame) => {
    if (in_ !== 'arp' && isIpv4(frame))
      return ends(end, hit(ipSrc(frame, ETH_HLEN)), hit(ipDst(frame, ETH_HLEN)));
    if (in_ !== 'ip' && isArp(frame)) return ends(end, hit(u32(frame, ARP_SPA)), hit(u32(frame, ARP_TPA)));
    return false;
  };
}

/** TCP, UDP or SCTP ports; of a fragmented packet only the first fragment of IPv4 has them. */
export function portIn(end: End, in_: number | 'any', from: number, to: number): FrameFilter {
  const hit = (port: number) => port >= from && port <= to;
  const wanted = (proto: number) =>
    in_ === 'any' ? proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP : proto === in_;
  return (frame) => {
    let at = ETH_HLEN + IPV6_HLEN;
    if (isIpv4(frame)) {
      if (ipFragmentOffset(frame, ETH_HLEN) > 0 || !wanted(ipProto(frame, ETH_HLEN))) return false;
      at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    } else if (!isIpv6(frame) || !wanted(ip6NextHeader(frame, ETH_HLEN))) return false;
    return at + 4 <= frame.length && ends(end, hit(u16(frame, at)), hit(u16(frame, at + 2)));
  };
}

export function macIs(end: End, mac: number): FrameFilter {
  return (frame) =>
    frame.length >= ETH_HLEN && ends(end, readMac(frame, 6) === mac, readMac(frame, 0) === mac);
}

export function isMacGroup(frame: Uint8Array): boolean {
  return frame.length >= ETH_HLEN && isGroupMac(readMac(frame, 0));
}

export function not(inner: FrameFilter): FrameFilter {
  return (frame) => !inner(frame);
}

export function both(left: FrameFilter, right: FrameFilter): FrameFilter {
  return (frame) => left(frame) && right(frame);
}

export function either(left: FrameFilter, right: FrameFilter): FrameFilter {
  return (frame) => left(frame) || right(frame);
}
