import { ARP_REQUEST, decodeArp } from './arp.ts';
import { u16, u32 } from './bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, etherType } from './ethernet.ts';
import { formatIp4 } from './ip4.ts';
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
import { formatMac } from './mac.ts';
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
  if (proto === PROTO_TCP && at + 14 <= buf.length) {
    const flags = TCP_FLAGS.filter(([, bit]) => (buf[at + 13]! & bit) !== 0).map(([name]) => name);
    return `TCP ${src}:${u16(buf, at)} > ${dst}:${u16(buf, at + 2)} [${flags.join('')}] ${tail}`;
  }
  if (proto === PROTO_UDP && whole) {
    return `UDP ${src}:${u16(buf, at)} > ${dst}:${u16(buf, at + 2)} ${tail}`;
  }
  if (proto === PROTO_ICMP && whole) {
    const type = buf[at]!;
    const echo = type === 0 || type === 8 ? ` id ${u32(buf, at + 4) >>> 16} seq ${u16(buf, at + 6)}` : '';
    return `ICMP ${src} > ${dst} ${ICMP_NAMES[type] ?? `type ${type}`}${type === 3 ? ` code ${buf[at + 1]}` : ''}${echo} ${tail}`;
  }
  return `${(protocolName(proto) ?? `protocol ${proto}`).toUpperCase()} ${src} > ${dst} ${tail}`;
}
