import { setU16, setU32, u16, u32 } from './bytes.ts';
import { adjustChecksum16, internetChecksum } from './checksum.ts';
import { blankUncopiedOptions } from './ipv4-options.ts';

/**
 * The IPv4 header, RFC 791 §3.1: version and header length (1), TOS (1), total length (2), identification (2),
 * flags and fragment offset (2), TTL (1), protocol (1), checksum (2), source (4), destination (4), options.
 * The accessors take the buffer and the offset of the header, of bounds checked by `validateIpv4`.
 */
export const IPV4_HLEN = 20;
export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;

const DF = 0x4000;
const MF = 0x2000;
const OFFSET_MASK = 0x1fff;

export type Ipv4Validity =
  | 'ok'
  | 'truncated'
  | 'bad-version'
  | 'bad-header-length'
  | 'bad-checksum'
  | 'bad-total-length';

/** The checks of RFC 1812 §5.2.2, on `len` bytes from `off`. Bytes past the total length are padding. */
export function validateIpv4(buf: Uint8Array, off: number, len: number): Ipv4Validity {
  if (len < IPV4_HLEN) return 'truncated';
  if (buf[off]! >> 4 !== 4) return 'bad-version';
  const headerLength = ipHeaderLength(buf, off);
  if (headerLength < IPV4_HLEN) return 'bad-header-length';
  if (headerLength > len) return 'truncated';
  const total = ipTotalLength(buf, off);
  if (total < headerLength) return 'bad-total-length';
  if (total > len) return 'truncated';
  return internetChecksum(buf, off, headerLength) === 0 ? 'ok' : 'bad-checksum';
}

/** In bytes. */
export function ipHeaderLength(buf: Uint8Array, off: number): number {
  return (buf[off]! & 0x0f) * 4;
}

export function ipTos(buf: Uint8Array, off: number): number {
  return buf[off + 1]!;
}

export function ipTotalLength(buf: Uint8Array, off: number): number {
  return u16(buf, off + 2);
}

export function ipId(buf: Uint8Array, off: number): number {
  return u16(buf, off + 4);
}

export function ipDf(buf: Uint8Array, off: number): boolean {
  return (u16(buf, off + 6) & DF) !== 0;
}

export function ipMf(buf: Uint8Array, off: number): boolean {
  return (u16(buf, off + 6) & MF) !== 0;
}

/** In bytes. */
export function ipFragmentOffset(buf: Uint8Array, off: number): number {
  return (u16(buf, off + 6) & OFFSET_MASK) * 8;
}

export function ipTtl(buf: Uint8Array, off: number): number {
  return buf[off + 8]!;
}

export function ipProto(buf: Uint8Array, off: number): number {
  return buf[off + 9]!;
}

export function ipSrc(buf: Uint8Array, off: number): number {
  return u32(buf, off + 12);
}

export function ipDst(buf: Uint8Array, off: number): number {
  return u32(buf, off + 16);
}

/** Takes one off the TTL and mends the checksum. The caller has checked that the TTL is above 0. */
export function decrementTtl(buf: Uint8Array, off: number): void {
  const old = u16(buf, off + 8);
  const next = old - 0x100;
  setU16(buf, off + 10, adjustChecksum16(u16(buf, off + 10), old, next));
  buf[off + 8] = next >>> 8;
}

/** Forbids to fragment a packet, and mends the checksum. */
export function setIpDf(buf: Uint8Array, off: number): void {
  const old = u16(buf, off + 6);
  setU16(buf, off + 6, old | DF);
  setU16(buf, off + 10, adjustChecksum16(u16(buf, off + 10), old, old | DF));
}

function setAddress(buf: Uint8Array, header: number, field: number, addr: number): void {
  let checksum = u16(buf, header + 10);
  checksum = adjustChecksum16(checksum, u16(buf, field), addr >>> 16);
  checksum = adjustChecksum16(checksum, u16(buf, field + 2), addr & 0xffff);
  setU32(buf, field, addr);
  setU16(buf, header + 10, checksum);
}

export function setIpSrc(buf: Uint8Array, off: number, addr: number): void {
  setAddress(buf, off, off + 12, addr);
}

export function setIpDst(buf: Uint8Array, off: number, addr: number): void {
  setAddress(buf, off, off + 16, addr);
}

export interface Ipv4Header {
  readonly src: number;
  readonly dst: number;
  readonly proto: number;
  readonly ttl: number;
  /** Header and payload, bytes. */
  readonly totalLength: number;
  readonly id?: number;
  readonly tos?: number;
  readonly df?: boolean;
  readonly mf?: boolean;
  /** Bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
}

/** Writes a header of 20 bytes with its checksum. */
export function writeIpv4Header(buf: Uint8Array, off: number, header: Ipv4Header): void {
  buf[off] = 0x45;
  buf[off + 1] = header.tos ?? 0;
  setU16(buf, off + 2, header.totalLength);
  setU16(buf, off + 4, header.id ?? 0);
  const flags = (header.df ? DF : 0) | (header.mf ? MF : 0);
  setU16(buf, off + 6, flags | ((header.fragmentOffset ?? 0) >>> 3));
  buf[off + 8] = header.ttl;
  buf[off + 9] = header.proto;
  setU16(buf, off + 10, 0);
  setU32(buf, off + 12, header.src);
  setU32(buf, off + 16, header.dst);
  setU16(buf, off + 10, internetChecksum(buf, off, IPV4_HLEN));
}

/** Whether fragments of these sizes may be sent as they are (`ip_do_fragment`). */
function areFitting(sizes: readonly number[], most: number, whole: number): boolean {
  let sum = 0;
  for (const [i, size] of sizes.entries()) {
    if (size > most || (size % 8 !== 0 && i < sizes.length - 1)) return false;
    sum += size;
  }
  return sum === whole;
}

/**
 * Splits a packet to fit an MTU (RFC 791 §3.2). Options that are not to be copied are in the first fragment alone. `sizes`: of the
 * data of the fragments that it came in, which it goes on in where all of them fit, and without DF then.
 */
export function fragmentIpv4(
  packet: Uint8Array,
  mtu: number,
  sizes: readonly number[] | null = null,
): Uint8Array[] {
  const headerLength = ipHeaderLength(packet, 0);
  const total = ipTotalLength(packet, 0);
  const chunk = (mtu - headerLength) & ~7;
  if (total <= mtu || chunk <= 0) return [packet];
  const base = ipFragmentOffset(packet, 0);
  const lastIsMf = ipMf(packet, 0);
  const fragments: Uint8Array[] = [];
  const asItCame = sizes !== null && areFitting(sizes, chunk, total - headerLength) ? sizes : null;
  for (let at = headerLength, end = at; at < total; at = end) {
    end = Math.min(at + (asItCame?.[fragments.length] ?? chunk), total);
    const fragment = new Uint8Array(headerLength + end - at);
    fragment.set(packet.subarray(0, headerLength));
    fragment.set(packet.subarray(at, end), headerLength);
    if (at > headerLength && headerLength > IPV4_HLEN)
      blankUncopiedOptions(fragment, IPV4_HLEN, headerLength);
    setU16(fragment, 2, fragment.length);
    const mf = end < total || lastIsMf ? MF : 0;
    const df = asItCame === null ? u16(packet, 6) & DF : 0;
    setU16(fragment, 6, df | mf | ((base + at - headerLength) >>> 3));
    setU16(fragment, 10, 0);
    setU16(fragment, 10, internetChecksum(fragment, 0, headerLength));
    fragments.push(fragment);
  }
  return fragments;
}
