import { setU16, setU32, u16 } from '../../../protocols/bytes.ts';
import { adjustChecksum16 } from '../../../protocols/checksum.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import { decrementTtl, ipTtl, PROTO_TCP, PROTO_UDP, setIpDst, setIpSrc } from '../../../protocols/ipv4.ts';
import { writeMac } from '../../../protocols/mac.ts';
import type { Oxm } from '../../../protocols/openflow/oxm.ts';
import type { Offsets } from './packet-key.ts';

/** Writes a field into a frame, checksums and all. A field that the frame does not have is left. */
export function setField(frame: Uint8Array, at: Offsets, { field, value }: Oxm): void {
  const number = Number(value);
  const { network, transport } = at;
  const ipv4 = at.type === ETHERTYPE_IPV4 && frame.length >= network + 20;
  const arp = at.type === ETHERTYPE_ARP && frame.length >= network + 28;
  const tagged = network > 14;
  switch (field) {
    case 'eth_dst':
      writeMac(frame, 0, number);
      break;
    case 'eth_src':
      writeMac(frame, 6, number);
      break;
    case 'vlan_vid':
      if (tagged) setU16(frame, 14, (u16(frame, 14) & 0xf000) | (number & 0xfff));
      break;
    case 'vlan_pcp':
      if (tagged) setU16(frame, 14, (u16(frame, 14) & 0x1fff) | (number << 13));
      break;
    case 'ipv4_src':
    case 'ipv4_dst':
      if (ipv4) setAddress(frame, at, field === 'ipv4_src' ? 'src' : 'dst', number);
      break;
    case 'ip_dscp':
      setTos(frame, at, (tosOf(frame, at) & 3) | (number << 2));
      break;
    case 'ip_ecn':
      setTos(frame, at, (tosOf(frame, at) & 0xfc) | number);
      break;
    case 'ipv6_src':
    case 'ipv6_dst':
      if (at.type === ETHERTYPE_IPV6 && frame.length >= network + 40)
        setAddress6(frame, at, network + (field === 'ipv6_src' ? 8 : 24), value);
      break;
    case 'tcp_src':
    case 'tcp_dst':
    case 'udp_src':
    case 'udp_dst': {
      const proto = field.startsWith('tcp') ? PROTO_TCP : PROTO_UDP;
      if (transport < 0 || at.proto !== proto) break;
      const off = transport + (field.endsWith('src') ? 0 : 2);
      adjustTransport(frame, at, u16(frame, off), number);
      setU16(frame, off, number);
      break;
    }
    case 'arp_op':
      if (arp) setU16(frame, network + 6, number);
      break;
    case 'arp_sha':
      if (arp) writeMac(frame, network + 8, number);
      break;
    case 'arp_spa':
      if (arp) setU32(frame, network + 14, number);
      break;
    case 'arp_tha':
      if (arp) writeMac(frame, network + 18, number);
      break;
    case 'arp_tpa':
      if (arp) setU32(frame, network + 24, number);
      break;
    default:
  }
}

function setAddress(frame: Uint8Array, at: Offsets, end: 'src' | 'dst', addr: number): void {
  const off = at.network + (end === 'src' ? 12 : 16);
  adjustTransport(frame, at, u16(frame, off), addr >>> 16);
  adjustTransport(frame, at, u16(frame, off + 2), addr & 0xffff);
  if (end === 'src') setIpSrc(frame, at.network, addr);
  else setIpDst(frame, at.network, addr);
}

function setAddress6(frame: Uint8Array, at: Offsets, off: number, addr: bigint): void {
  for (let i = 0; i < 8; i++) {
    const word = Number((addr >> BigInt(112 - 16 * i)) & 0xffffn);
    adjustTransport(frame, at, u16(frame, off + 2 * i), word);
    setU16(frame, off + 2 * i, word);
  }
}

/** Type of service of IPv4, traffic class of IPv6; 0 of others. */
function tosOf(frame: Uint8Array, { network, type }: Offsets): number {
  if (type === ETHERTYPE_IPV4 && frame.length >= network + 20) return frame[network + 1]!;
  return type === ETHERTYPE_IPV6 && frame.length >= network + 40 ? (u16(frame, network) >> 4) & 0xff : 0;
}

function setTos(frame: Uint8Array, { network, type }: Offsets, tos: number): void {
  const old = u16(frame, network);
  if (type === ETHERTYPE_IPV4 && frame.length >= network + 20) {
    const word = (old & 0xff00) | tos;
    setU16(frame, network, word);
    setU16(frame, network + 10, adjustChecksum16(u16(frame, network + 10), old, word));
  } else if (type === ETHERTYPE_IPV6 && frame.length >= network + 40)
    setU16(frame, network, (old & 0xf00f) | (tos << 4));
}

/** A higher drop precedence within the class of an assured forwarding code point (RFC 2597 §6): AF11 becomes AF12 or AF13. */
export function remarkDscp(frame: Uint8Array, at: Offsets, by: number): void {
  const tos = tosOf(frame, at);
  const dscp = tos >> 2;
  const precedence = (dscp >> 1) & 3;
  const isAssured = (dscp & 1) === 0 && precedence > 0 && dscp >> 3 >= 1 && dscp >> 3 <= 4;
  if (!isAssured) return;
  setTos(frame, at, (((dscp & 0x38) | (Math.min(3, precedence + by) << 1)) << 2) | (tos & 3));
}

export function setTtl(frame: Uint8Array, { network, type }: Offsets, ttl: number): void {
  if (type === ETHERTYPE_IPV4 && frame.length >= network + 20) {
    const old = u16(frame, network + 8);
    const word = (ttl << 8) | (old & 0xff);
    setU16(frame, network + 8, word);
    setU16(frame, network + 10, adjustChecksum16(u16(frame, network + 10), old, word));
  } else if (type === ETHERTYPE_IPV6 && frame.length >= network + 40) frame[network + 7] = ttl;
}

/** The transport's checksum after a word that it covers has changed; a UDP checksum of 0 is none (RFC 768). */
function adjustTransport(frame: Uint8Array, at: Offsets, old: number, word: number): void {
  if (at.transport < 0 || (at.proto !== PROTO_TCP && at.proto !== PROTO_UDP)) return;
  const off = at.transport + (at.proto === PROTO_TCP ? 16 : 6);
  if (frame.length < off + 2) return;
  const sum = u16(frame, off);
  if (at.proto === PROTO_UDP && sum === 0) return;
  const adjusted = adjustChecksum16(sum, old, word);
  setU16(frame, off, at.proto === PROTO_UDP && adjusted === 0 ? 0xffff : adjusted);
}

/** One hop more; 'expired' if it had none left, and the packet goes no further (§5.12 `OFPR_INVALID_TTL`). */
export function decTtl(frame: Uint8Array, { network, type }: Offsets): 'done' | 'expired' {
  if (type === ETHERTYPE_IPV4 && frame.length >= network + 20) {
    if (ipTtl(frame, network) <= 1) return 'expired';
    decrementTtl(frame, network);
  } else if (type === ETHERTYPE_IPV6 && frame.length >= network + 40) {
    if (frame[network + 7]! <= 1) return 'expired';
    frame[network + 7]!--;
  }
  return 'done';
}
