import { u16, u32 } from '../bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4 } from '../ethernet.ts';
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
import { isGroupMac, readMac } from '../mac.ts';

/** Whether a frame, Ethernet header first, is wanted. Takes any bytes. */
export type FrameFilter = (frame: Uint8Array) => boolean;

/** Which end of a packet a primitive looks at. */
export type End = 'src' | 'dst' | 'src or dst' | 'src and dst';

function hasType(frame: Uint8Array, type: number): boolean {
  return frame.length >= ETH_HLEN && u16(frame, 12) === type;
}

function isIpv4(frame: Uint8Array): boolean {
  return hasType(frame, ETHERTYPE_IPV4) && frame.length >= ETH_HLEN + IPV4_HLEN;
}

/** ARP for IPv4: sender's address at 14, target's at 24 of the packet (RFC 826). */
const ARP_SPA = ETH_HLEN + 14;
const ARP_TPA = ETH_HLEN + 24;

function isArp(frame: Uint8Array): boolean {
  return hasType(frame, ETHERTYPE_ARP) && frame.length >= ARP_TPA + 4;
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

/** TCP or UDP ports; of a fragmented packet only the first fragment has them. */
export function portIn(end: End, in_: 'tcp' | 'udp' | 'any', from: number, to: number): FrameFilter {
  const hit = (port: number) => port >= from && port <= to;
  return (frame) => {
    if (!isIpv4(frame) || ipFragmentOffset(frame, ETH_HLEN) > 0) return false;
    const proto = ipProto(frame, ETH_HLEN);
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return false;
    if (in_ !== 'any' && proto !== (in_ === 'tcp' ? PROTO_TCP : PROTO_UDP)) return false;
    const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
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
