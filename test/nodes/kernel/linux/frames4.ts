import { setU16 } from '../../../../protocols/bytes.ts';
import { internetChecksum } from '../../../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../../protocols/ethernet.ts';
import {
  encodeIcmpError,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HLEN,
  writeEcho,
} from '../../../../protocols/icmp.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { IPV4_HLEN, PROTO_ICMP, writeIpv4Header } from '../../../../protocols/ipv4.ts';
import { PACKET_ID } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../../support/router.ts';
import { counted, rest, type Upper } from './transport.ts';

/** Packets of IPv4 as cases tell of them, and the frames that they are. */

/** @throws Error */
export function ip(text: string): number {
  const address = parseIp4(text);
  if (address === null) throw new Error(`no IPv4 address: ${text}`);
  return address;
}

export interface Packet4 {
  readonly src: string;
  readonly dst: string;
  readonly upper: Upper<number>;
  readonly ttl?: number;
  readonly tos?: number;
  readonly df?: boolean;
  readonly id?: number;
  /** Options, which are padded to words with ends of the list. */
  readonly options?: readonly number[];
  /** MAC that it is sent to, and that it comes from; the router's and the neighbour's unless given. */
  readonly to?: number;
  readonly from?: number;
}

interface Place {
  readonly offset: number;
  readonly more: boolean;
}

/** The frame of a packet from a neighbour. */
export function packet4(packet: Packet4): Uint8Array {
  return piece4(packet, packet.upper.bytes(ip(packet.src), ip(packet.dst)), { offset: 0, more: false });
}

/** A fragment of a packet: some bytes of what is above IP. */
export function fragment4(packet: Packet4, start: number, end: number): Uint8Array {
  const whole = packet.upper.bytes(ip(packet.src), ip(packet.dst));
  return piece4(packet, whole.slice(start, end), { offset: start, more: end < whole.length });
}

/** The fragments of a packet, each with so many bytes of what is above IP, the last one with what is left. */
export function fragments4(packet: Packet4, part: number): Uint8Array[] {
  const { length } = packet.upper.bytes(ip(packet.src), ip(packet.dst));
  const starts = [...Array(Math.ceil(length / part)).keys()].map((i) => i * part);
  return starts.map((start) => fragment4(packet, start, start + part));
}

/** Bytes with a header before them. */
export function piece4(packet: Packet4, bytes: Uint8Array, { offset, more }: Place): Uint8Array {
  const { options = [], ttl = 64, tos = 0, id = PACKET_ID, upper } = packet;
  const { to = ROUTER_MAC, from = NEIGHBOR_MAC, df = offset === 0 && !more } = packet;
  const headerLength = IPV4_HLEN + Math.ceil(options.length / 4) * 4;
  const frame = new Uint8Array(ETH_HLEN + headerLength + bytes.length);
  writeEthernet(frame, to, from, ETHERTYPE_IPV4);
  writeIpv4Header(frame, ETH_HLEN, {
    ...{ src: ip(packet.src), dst: ip(packet.dst), proto: upper.proto, ttl, tos, id, df, mf: more },
    ...{ totalLength: headerLength + bytes.length, fragmentOffset: offset },
  });
  frame[ETH_HLEN] = 0x40 | (headerLength / 4);
  frame.set(options, ETH_HLEN + IPV4_HLEN);
  setU16(frame, ETH_HLEN + 10, 0);
  setU16(frame, ETH_HLEN + 10, internetChecksum(frame, ETH_HLEN, headerLength));
  frame.set(bytes, ETH_HLEN + headerLength);
  return frame;
}

export function icmpEcho(kind: 'request' | 'reply', size = 0, id = 7): Upper<number> {
  const bytes = counted(ICMP_HLEN, size);
  writeEcho(bytes, 0, kind === 'request' ? ICMP_ECHO_REQUEST : ICMP_ECHO_REPLY, id, 1, size);
  return rest(PROTO_ICMP, bytes);
}

/** An error about a frame. */
export function icmpError(type: number, code: number, about: Uint8Array, extra = 0): Upper<number> {
  return rest(PROTO_ICMP, encodeIcmpError(type, code, extra, about, ETH_HLEN, about.length - ETH_HLEN));
}
