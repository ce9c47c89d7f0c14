import fc from 'fast-check';
import { setU16, setU32 } from '../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { fragmentIpv4, PROTO_ICMP, PROTO_TCP, PROTO_UDP, writeIpv4Header } from '../../../protocols/ipv4.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../support/router.ts';
import { PACKET_ID } from './settle.ts';

/** A packet as a test draws it. */
export interface Drawn {
  readonly port: number;
  readonly src: number;
  readonly dst: number;
  readonly proto: number;
  readonly srcPort: number;
  readonly dstPort: number;
  /** TCP flags, or the type and code of ICMP. */
  readonly flags: number;
  readonly size: number;
  readonly ttl: number;
  readonly tos: number;
  readonly df: boolean;
  /** What is wrong with it. */
  readonly fault: 'none' | 'checksum' | 'ip-checksum' | 'trailer' | 'cut';
  /** Bytes of what it is divided into; 0 for whole. */
  readonly mtu: number;
}

const ICMP_TYPES = [0x0800, 0x0800, 0x0000, 0x0301, 0x0303, 0x0b00, 0x0c00];
const TCP_FLAGS = [0x02, 0x02, 0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x00, 0x3f];

export interface Ends {
  readonly ports: number;
  readonly src: readonly number[];
  readonly dst: readonly number[];
}

export function drawnPacket({ ports, src, dst }: Ends): fc.Arbitrary<Drawn> {
  return fc.record({
    port: fc.nat(ports - 1),
    src: fc.constantFrom(...src),
    dst: fc.constantFrom(...dst),
    proto: fc.constantFrom(PROTO_TCP, PROTO_TCP, PROTO_UDP, PROTO_UDP, PROTO_ICMP, PROTO_ICMP, 200),
    srcPort: fc.constantFrom(1_000, 1_001, 53),
    dstPort: fc.constantFrom(80, 443, 53, 8_080),
    flags: fc.nat(1_000),
    size: fc.constantFrom(0, 1, 7, 20, 101, 1_400),
    ttl: fc.constantFrom(64, 64, 64, 64, 1, 2, 255),
    tos: fc.constantFrom(0, 0, 0, 0x10, 0x08, 0xb8, 0x03),
    df: fc.boolean(),
    fault: fc.oneof(
      { weight: 9, arbitrary: fc.constant('none' as const) },
      { weight: 1, arbitrary: fc.constantFrom('checksum', 'ip-checksum', 'trailer', 'cut') },
    ),
    mtu: fc.oneof(
      { weight: 9, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.constantFrom(68, 300) },
    ),
  });
}

function transport(drawn: Drawn): Uint8Array {
  const { src, dst, proto, srcPort, dstPort, flags, size } = drawn;
  const head = proto === PROTO_TCP ? (flags % 2 === 0 ? 24 : 20) : 8;
  const bytes = new Uint8Array(head + size).map((_, i) => i);
  bytes.fill(0, 0, head);
  setU16(bytes, 0, srcPort);
  setU16(bytes, 2, dstPort);
  let at = 6;
  let sum = pseudoHeaderSum(src, dst, proto, bytes.length);
  if (proto === PROTO_TCP) {
    setU32(bytes, 4, 1_000_000);
    bytes[12] = (head / 4) << 4;
    bytes[13] = TCP_FLAGS[flags % TCP_FLAGS.length]!;
    if ((bytes[13] & 0x10) !== 0) setU32(bytes, 8, 77);
    setU16(bytes, 14, 8_192);
    if (head === 24) setU32(bytes, 20, 0x0204_05b4);
    at = 16;
  } else if (proto === PROTO_UDP) setU16(bytes, 4, bytes.length);
  else if (proto === PROTO_ICMP) {
    setU16(bytes, 0, ICMP_TYPES[flags % ICMP_TYPES.length]!);
    setU16(bytes, 2, 0);
    setU16(bytes, 4, srcPort);
    setU16(bytes, 6, 1);
    at = 2;
    sum = 0;
  } else return bytes;
  setU16(bytes, at, internetChecksum(bytes, 0, bytes.length, sum));
  return bytes;
}

/** The frames of a packet, from a neighbour to the router. */
export function framesOf(drawn: Drawn): Uint8Array[] {
  const { src, dst, proto, ttl, tos, df, fault, mtu } = drawn;
  const payload = transport(drawn);
  const frame = new Uint8Array(ETH_HLEN + 20 + payload.length);
  writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV4);
  const totalLength = 20 + payload.length;
  const split = mtu > 0 && totalLength > mtu;
  writeIpv4Header(frame, ETH_HLEN, {
    src,
    dst,
    proto,
    ttl,
    tos,
    totalLength,
    id: PACKET_ID,
    df: df && !split,
  });
  frame.set(payload, ETH_HLEN + 20);
  if (fault === 'checksum') frame[frame.length - 1]! ^= 1;
  if (fault === 'ip-checksum') frame[ETH_HLEN + 10]! ^= 1;
  if (fault === 'trailer') return [Uint8Array.of(...frame, 1, 2, 3)];
  if (fault === 'cut') return [frame.slice(0, frame.length - Math.min(3, payload.length))];
  if (!split) return [frame];
  return fragmentIpv4(frame.subarray(ETH_HLEN), mtu).map((part) => {
    const piece = new Uint8Array(ETH_HLEN + part.length);
    piece.set(frame.subarray(0, ETH_HLEN));
    piece.set(part, ETH_HLEN);
    return piece;
  });
}
