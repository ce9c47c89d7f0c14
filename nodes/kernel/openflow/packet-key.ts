import { u16, u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import { ipHeaderLength, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { VID_PRESENT } from '../../../protocols/openflow/constants.ts';
import { FIELDS } from '../../../protocols/openflow/oxm.ts';
import { vlanProtocol } from '../../../protocols/vlan.ts';
import { wordsHash } from './key-hash.ts';

/** Offsets of a frame's headers; -1 where it has none. */
export interface Offsets {
  /** Of what follows the tags. */
  network: number;
  type: number;
  transport: number;
  proto: number;
}

export const IP_ICMP = 1;

/** Fills a packet's key with what a match can look at. Metadata and tunnel id are the caller's. */
export function readKey(frame: Uint8Array, inPort: number, key: Uint32Array, at: Offsets): void {
  const metadata = key[FIELDS.metadata.word]!;
  const metadataLow = key[FIELDS.metadata.word + 1]!;
  key.fill(0);
  key[FIELDS.metadata.word] = metadata;
  key[FIELDS.metadata.word + 1] = metadataLow;
  key[FIELDS.in_port.word] = inPort;
  setMac(key, FIELDS.eth_dst.word, frame, 0);
  setMac(key, FIELDS.eth_src.word, frame, 6);
  at.network = ETH_HLEN;
  at.transport = -1;
  at.proto = -1;
  if (vlanProtocol(frame) !== null) {
    const tci = u16(frame, ETH_HLEN);
    key[FIELDS.vlan_vid.word] = (tci & 0xfff) | VID_PRESENT;
    key[FIELDS.vlan_pcp.word] = tci >>> 13;
    at.network = ETH_HLEN + 4;
    // Type and what follows are those below all tags (§7.2.3.7).
    for (let type = u16(frame, at.network - 2); isTag(type) && frame.length >= at.network + 4; ) {
      at.network += 4;
      type = u16(frame, at.network - 2);
    }
  }
  at.type = u16(frame, at.network - 2);
  key[FIELDS.eth_type.word] = at.type;
  if (at.type === ETHERTYPE_IPV4) readIpv4(frame, key, at);
  else if (at.type === ETHERTYPE_ARP) readArp(frame, key, at.network);
  else if (at.type === ETHERTYPE_IPV6) readIpv6(frame, key, at);
}

function isTag(type: number): boolean {
  return type === 0x8100 || type === 0x88a8;
}

function readIpv4(frame: Uint8Array, key: Uint32Array, at: Offsets): void {
  const off = at.network;
  if (frame.length < off + 20) return;
  at.proto = frame[off + 9]!;
  key[FIELDS.ip_dscp.word] = frame[off + 1]! >> 2;
  key[FIELDS.ip_ecn.word] = frame[off + 1]! & 3;
  key[FIELDS.ip_proto.word] = at.proto;
  key[FIELDS.ipv4_src.word] = u32(frame, off + 12);
  key[FIELDS.ipv4_dst.word] = u32(frame, off + 16);
  // What is no first fragment has no ports.
  if ((u16(frame, off + 6) & 0x1fff) === 0) readTransport(frame, key, at, off + ipHeaderLength(frame, off));
}

function readIpv6(frame: Uint8Array, key: Uint32Array, at: Offsets): void {
  const off = at.network;
  if (frame.length < off + 40) return;
  at.proto = frame[off + 6]!;
  const traffic = (u16(frame, off) >> 4) & 0xff;
  key[FIELDS.ip_dscp.word] = traffic >> 2;
  key[FIELDS.ip_ecn.word] = traffic & 3;
  key[FIELDS.ip_proto.word] = at.proto;
  for (let i = 0; i < 4; i++) {
    key[FIELDS.ipv6_src.word + i] = u32(frame, off + 8 + 4 * i);
    key[FIELDS.ipv6_dst.word + i] = u32(frame, off + 24 + 4 * i);
  }
  readTransport(frame, key, at, off + 40);
}

function readTransport(frame: Uint8Array, key: Uint32Array, at: Offsets, off: number): void {
  if (frame.length < off + 8) return;
  at.transport = off;
  if (at.proto === PROTO_TCP || at.proto === PROTO_UDP) {
    key[FIELDS.tcp_src.word] = u16(frame, off);
    key[FIELDS.tcp_dst.word] = u16(frame, off + 2);
  } else if (at.proto === IP_ICMP) {
    key[FIELDS.icmpv4_type.word] = frame[off]!;
    key[FIELDS.icmpv4_code.word] = frame[off + 1]!;
  }
}

function readArp(frame: Uint8Array, key: Uint32Array, off: number): void {
  if (frame.length < off + 28) return;
  key[FIELDS.arp_op.word] = u16(frame, off + 6);
  setMac(key, FIELDS.arp_sha.word, frame, off + 8);
  key[FIELDS.arp_spa.word] = u32(frame, off + 14);
  setMac(key, FIELDS.arp_tha.word, frame, off + 18);
  key[FIELDS.arp_tpa.word] = u32(frame, off + 24);
}

function setMac(key: Uint32Array, word: number, frame: Uint8Array, off: number): void {
  key[word] = u16(frame, off);
  key[word + 1] = u32(frame, off + 2);
}

/** The same for both ways of what two stations say to each other (`flow_hash_symmetric_l4` of Open vSwitch). */
export function flowHash(key: Uint32Array): number {
  const both = (a: number, b: number) => key[a]! ^ key[b]!;
  const { eth_src, eth_dst, ipv4_src, ipv4_dst, ipv6_src, ipv6_dst, tcp_src, tcp_dst } = FIELDS;
  let addresses = both(ipv4_src.word, ipv4_dst.word);
  for (let i = 0; i < 4; i++) addresses ^= both(ipv6_src.word + i, ipv6_dst.word + i);
  HASHED[0] = both(eth_src.word, eth_dst.word);
  HASHED[1] = both(eth_src.word + 1, eth_dst.word + 1);
  HASHED[2] = key[FIELDS.eth_type.word]! ^ (key[FIELDS.vlan_vid.word]! << 16);
  HASHED[3] = addresses;
  HASHED[4] = key[FIELDS.ip_proto.word]!;
  HASHED[5] = both(tcp_src.word, tcp_dst.word);
  return wordsHash(HASHED);
}

const HASHED = new Uint32Array(6);
