import { ARP_REQUEST, decodeArp } from './arp.ts';
import { u16, u32 } from './bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherType } from './ethernet.ts';
import { formatIp4 } from './ip4.ts';
import { formatIp6, readIp6 } from './ip6.ts';
import {
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTotalLength,
  ipTtl,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from './ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, ip6HopLimit, ip6PayloadLength, PROTO_ICMPV6 } from './ipv6.ts';
import { lastHeader } from './ipv6-headers.ts';
import { formatMac } from './mac.ts';
import { decodeNdp } from './ndp.ts';
import { protocolName } from './protocol-names.ts';

/** Flags of a TCP header as tcpdump writes them. */
const TCP_FLAGS = [
  ['S', 0x02],
  ['F', 0x01],
  ['P', 0x08],
  ['R', 0x04],
  ['.', 0x10],
] as const;

const ICMP_NAMES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'unreachable',
  5: 'redirect',
  8: 'echo request',
  11: 'time exceeded',
};

/** A frame in a few words, as `TCP 10.0.0.1:4000 > 10.0.0.2:80 [S] length 40 ttl 63`. */
export function packetSummary(frame: Uint8Array): string {
  if (frame.length < ETH_HLEN) return `frame of ${frame.length} bytes`;
  const type = etherType(frame);
  if (type === ETHERTYPE_ARP) return arpSummary(frame);
  // A packet of the host's own has no Ethernet header yet.
  const isIpv4 = type === ETHERTYPE_IPV4 || (type === 0 && frame[ETH_HLEN]! >> 4 === 4);
  if (isIpv4 && frame.length >= ETH_HLEN + 20) return ipSummary(frame, ETH_HLEN);
  const isIpv6 = type === ETHERTYPE_IPV6 || (type === 0 && frame[ETH_HLEN]! >> 4 === 6);
  if (isIpv6 && frame.length >= ETH_HLEN + IPV6_HLEN) return ip6Summary(frame, ETH_HLEN);
  return `ethertype 0x${type.toString(16).padStart(4, '0')}, ${frame.length} bytes`;
}

function arpSummary(frame: Uint8Array): string {
  const arp = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
  if (arp === null) return 'ARP, malformed';
  const { op, spa, tpa, sha } = arp;
  return op === ARP_REQUEST
    ? `ARP who-has ${formatIp4(tpa)} tell ${formatIp4(spa)}`
    : `ARP ${formatIp4(spa)} is-at ${formatMac(sha)}`;
}

function ipSummary(buf: Uint8Array, off: number): string {
  const proto = ipProto(buf, off);
  const at = off + ipHeaderLength(buf, off);
  const [src, dst] = [formatIp4(ipSrc(buf, off)), formatIp4(ipDst(buf, off))];
  const tail = `length ${ipTotalLength(buf, off)} ttl ${ipTtl(buf, off)}`;
  const fragment = ipFragmentOffset(buf, off);
  if (fragment > 0) return `IP ${src} > ${dst} fragment at ${fragment} ${tail}`;
  const whole = at + 8 <= buf.length;
  const ports = portsSummary(buf, at, proto, src, dst, tail);
  if (ports !== null) return ports;
  if (proto === PROTO_ICMP && whole) {
    const type = buf[at]!;
    const echo = type === 0 || type === 8 ? ` id ${u32(buf, at + 4) >>> 16} seq ${u16(buf, at + 6)}` : '';
    return `ICMP ${src} > ${dst} ${ICMP_NAMES[type] ?? `type ${type}`}${type === 3 ? ` code ${buf[at + 1]}` : ''}${echo} ${tail}`;
  }
  return `${(protocolName(proto) ?? `protocol ${proto}`).toUpperCase()} ${src} > ${dst} ${tail}`;
}

/** Of TCP and UDP; null of anything else, and of what is cut off. */
function portsSummary(
  buf: Uint8Array,
  at: number,
  proto: number,
  src: string,
  dst: string,
  tail: string,
): string | null {
  if (proto === PROTO_TCP && at + 14 <= buf.length) {
    const flags = TCP_FLAGS.filter(([, bit]) => (buf[at + 13]! & bit) !== 0).map(([name]) => name);
    return `TCP ${src}:${u16(buf, at)} > ${dst}:${u16(buf, at + 2)} [${flags.join('')}] ${tail}`;
  }
  if (proto !== PROTO_UDP || at + 8 > buf.length) return null;
  return `UDP ${src}:${u16(buf, at)} > ${dst}:${u16(buf, at + 2)} ${tail}`;
}

const ICMPV6_NAMES: Readonly<Record<number, string>> = {
  1: 'unreachable',
  2: 'packet too big',
  3: 'time exceeded',
  4: 'parameter problem',
  128: 'echo request',
  129: 'echo reply',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbour solicitation',
  136: 'neighbour advertisement',
  137: 'redirect',
};

function ip6Summary(buf: Uint8Array, off: number): string {
  const [src, dst] = [formatIp6(readIp6(buf, off + IP6_SRC)), formatIp6(readIp6(buf, off + IP6_DST))];
  const tail = `length ${ip6PayloadLength(buf, off) + IPV6_HLEN} hlim ${ip6HopLimit(buf, off)}`;
  const upper = lastHeader(buf, off, buf.length);
  if (upper === null) return `IP6 ${src} > ${dst} malformed ${tail}`;
  const { proto, offset: at, fragment } = upper;
  if (fragment > 0) return `IP6 ${src} > ${dst} fragment at ${fragment} ${tail}`;
  const ports = portsSummary(buf, at, proto, `[${src}]`, `[${dst}]`, tail);
  if (ports !== null) return ports;
  if (proto === PROTO_ICMPV6 && at + 8 <= buf.length) {
    const type = buf[at]!;
    const ndp = type === 135 || type === 136 ? ndpSummary(buf, at, src) : null;
    if (ndp !== null) return ndp;
    const echo = type === 128 || type === 129 ? ` id ${u16(buf, at + 4)} seq ${u16(buf, at + 6)}` : '';
    return `ICMPv6 ${src} > ${dst} ${ICMPV6_NAMES[type] ?? `type ${type}`}${type === 1 ? ` code ${buf[at + 1]}` : ''}${echo} ${tail}`;
  }
  return `${(protocolName(proto) ?? `protocol ${proto}`).toUpperCase()} ${src} > ${dst} ${tail}`;
}

/** As that of ARP. */
function ndpSummary(buf: Uint8Array, at: number, src: string): string | null {
  const message = decodeNdp(buf, at, buf.length - at);
  if (message?.type === 'neighbor-solicit') return `NDP who-has ${formatIp6(message.target)} tell ${src}`;
  if (message?.type !== 'neighbor-advert') return null;
  const { targetMac } = message.options;
  return `NDP ${formatIp6(message.target)} is-at ${targetMac === undefined ? src : formatMac(targetMac)}`;
}
