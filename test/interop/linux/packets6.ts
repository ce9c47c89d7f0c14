import fc from 'fast-check';
import { setU16, setU32 } from '../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import type { Ip6 } from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN, PROTO_ICMPV6, writeFragmentHeader, writeIpv6Header } from '../../../protocols/ipv6.ts';
import {
  NEXT_DEST_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from '../../../protocols/ipv6-headers.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../support/router.ts';
import { PACKET_ID } from './settle.ts';

/** A packet of IPv6 as a test draws it. */
export interface Drawn6 {
  readonly port: number;
  readonly src: Ip6;
  readonly dst: Ip6;
  readonly proto: number;
  readonly srcPort: number;
  readonly dstPort: number;
  /** TCP flags, or the type and code of ICMPv6. */
  readonly flags: number;
  readonly size: number;
  readonly hopLimit: number;
  readonly trafficClass: number;
  /** Extension headers before what is above IP. */
  readonly headers: readonly ('hop' | 'dst' | 'route')[];
  /** What is wrong with it. */
  readonly fault: 'none' | 'checksum' | 'trailer' | 'cut' | 'short';
  /** Bytes of each fragment's part; 0 for whole. */
  readonly part: number;
}

export const ICMPV6_TYPES = [0x8000, 0x8000, 0x8100, 0x0100, 0x0104, 0x0300, 0x0401, 0x8b00];
const TCP_FLAGS = [0x02, 0x02, 0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x00, 0x3f];

export interface Ends6 {
  readonly ports: number;
  readonly src: readonly Ip6[];
  readonly dst: readonly Ip6[];
}

export function drawnPacket6({ ports, src, dst }: Ends6): fc.Arbitrary<Drawn6> {
  return fc.record({
    port: fc.nat(ports - 1),
    src: fc.constantFrom(...src),
    dst: fc.constantFrom(...dst),
    proto: fc.constantFrom(PROTO_TCP, PROTO_TCP, PROTO_UDP, PROTO_UDP, PROTO_ICMPV6, PROTO_ICMPV6, 200),
    srcPort: fc.constantFrom(1_000, 1_001, 53),
    dstPort: fc.constantFrom(80, 443, 53, 8_080),
    flags: fc.nat(1_000),
    size: fc.constantFrom(0, 1, 7, 20, 101, 1_400),
    hopLimit: fc.constantFrom(64, 64, 64, 64, 1, 2, 255),
    trafficClass: fc.constantFrom(0, 0, 0, 0x10, 0x08, 0xb8, 0x03),
    headers: fc.oneof(
      { weight: 7, arbitrary: fc.constant([]) },
      {
        weight: 1,
        arbitrary: fc.constantFrom<Drawn6['headers']>(
          ['hop'],
          ['dst'],
          ['hop', 'dst'],
          ['dst', 'route'],
          ['route'],
        ),
      },
    ),
    fault: fc.oneof(
      { weight: 9, arbitrary: fc.constant('none' as const) },
      { weight: 1, arbitrary: fc.constantFrom('checksum', 'trailer', 'cut', 'short') },
    ),
    part: fc.oneof(
      { weight: 9, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.constantFrom(16, 64, 800) },
    ),
  });
}

function transport(drawn: Drawn6): Uint8Array {
  const { src, dst, proto, srcPort, dstPort, flags, size } = drawn;
  const head = proto === PROTO_TCP ? (flags % 2 === 0 ? 24 : 20) : 8;
  const bytes = new Uint8Array(head + size).map((_, i) => i);
  bytes.fill(0, 0, head);
  setU16(bytes, 0, srcPort);
  setU16(bytes, 2, dstPort);
  let at = 6;
  if (proto === PROTO_TCP) {
    setU32(bytes, 4, 1_000_000);
    bytes[12] = (head / 4) << 4;
    bytes[13] = TCP_FLAGS[flags % TCP_FLAGS.length]!;
    if ((bytes[13] & 0x10) !== 0) setU32(bytes, 8, 77);
    setU16(bytes, 14, 8_192);
    if (head === 24) setU32(bytes, 20, 0x0204_05b4);
    at = 16;
  } else if (proto === PROTO_UDP) setU16(bytes, 4, bytes.length);
  else if (proto === PROTO_ICMPV6) {
    setU16(bytes, 0, ICMPV6_TYPES[flags % ICMPV6_TYPES.length]!);
    setU16(bytes, 2, 0);
    setU16(bytes, 4, srcPort);
    setU16(bytes, 6, 1);
    at = 2;
  } else return bytes;
  setU16(bytes, at, internetChecksum(bytes, 0, bytes.length, pseudoHeaderSum(src, dst, proto, bytes.length)));
  return bytes;
}

const NUMBERS = { hop: NEXT_HOP_BY_HOP, dst: NEXT_DEST_OPTIONS, route: NEXT_ROUTING } as const;

/** An extension header of 8 bytes: options of padding alone, or a routing header that has no segments left. */
function extension(kind: 'hop' | 'dst' | 'route', next: number): Uint8Array {
  return kind === 'route'
    ? Uint8Array.of(next, 0, 4, 0, 0, 0, 0, 0)
    : Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0);
}

/** The frames of a packet, from a neighbour to the router. */
export function framesOf6(drawn: Drawn6): Uint8Array[] {
  const { src, dst, proto, hopLimit, trafficClass, headers, fault, part } = drawn;
  let payload = transport(drawn);
  if (fault === 'checksum') payload[payload.length - 1]! ^= 1;
  if (fault === 'short') payload = payload.slice(0, 6);
  const frameOf = (first: number, body: Uint8Array): Uint8Array => {
    const numbers = [...headers.map((kind) => NUMBERS[kind]), first];
    const before = headers.map((kind, i) => extension(kind, numbers[i + 1]!));
    const length = before.length * 8 + body.length;
    const frame = new Uint8Array(ETH_HLEN + IPV6_HLEN + length);
    writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV6);
    const header = { src, dst, nextHeader: numbers[0]!, hopLimit, trafficClass, payloadLength: length };
    writeIpv6Header(frame, ETH_HLEN, header);
    for (const [i, bytes] of before.entries()) frame.set(bytes, ETH_HLEN + IPV6_HLEN + 8 * i);
    frame.set(body, ETH_HLEN + IPV6_HLEN + 8 * before.length);
    return frame;
  };
  if (part === 0 || payload.length <= part || payload.length > 8 * part) {
    const frame = frameOf(proto, payload);
    if (fault === 'trailer') return [Uint8Array.of(...frame, 1, 2, 3)];
    return [fault === 'cut' ? frame.slice(0, frame.length - Math.min(3, payload.length)) : frame];
  }
  const frames: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += part) {
    const piece = payload.subarray(at, at + part);
    const body = new Uint8Array(8 + piece.length);
    const more = at + part < payload.length;
    writeFragmentHeader(body, 0, { nextHeader: proto, offset: at, more, id: PACKET_ID });
    body.set(piece, 8);
    frames.push(frameOf(NEXT_FRAGMENT, body));
  }
  return frames;
}
