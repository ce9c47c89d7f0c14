import type { IpAddress } from './ip.ts';

/** The Internet checksum, RFC 1071, and its incremental update, RFC 1624. */

/** Sum of 16-bit big-endian words, not folded; an odd last byte is padded with zero. */
export function partialSum(buf: Uint8Array, off: number, len: number, seed: number): number {
  if (len >= LONG) return seed + longSum(buf, off, len);
  let sum = seed;
  const end = off + len - 1;
  let i = off;
  for (; i < end; i += 2) sum += (buf[i]! << 8) | buf[i + 1]!;
  if (i === end) sum += buf[i]! << 8;
  return sum;
}

/** From here on it pays to read four bytes at a time. */
const LONG = 64;

/** A 32-bit word counts as much as its two halves: 2^16 is 1 modulo 2^16 - 1. The sum stays exact up to 8 MiB. */
function longSum(buf: Uint8Array, off: number, len: number): number {
  const view = new DataView(buf.buffer, buf.byteOffset + off, len);
  let sum = 0;
  let i = 0;
  for (const end = len - 15; i < end; i += 16)
    sum += view.getUint32(i) + view.getUint32(i + 4) + view.getUint32(i + 8) + view.getUint32(i + 12);
  for (const end = len - 1; i < end; i += 2) sum += view.getUint16(i);
  if (i < len) sum += view.getUint8(i) << 8;
  return Math.floor(sum / 0x10000) + (sum % 0x10000);
}

/** Folded complement of the sum: 0 over data that holds its own right checksum. */
export function internetChecksum(buf: Uint8Array, off: number, len: number, seed = 0): number {
  let sum = partialSum(buf, off, len, seed);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/**
 * Sum of the pseudo-header, to seed the checksum of a segment with: that of IPv4 (RFC 768, RFC 9293 §3.1), or of IPv6
 * (RFC 8200 §8.1) where the addresses are such.
 */
export function pseudoHeaderSum(src: IpAddress, dst: IpAddress, proto: number, len: number): number {
  return addressSum(src) + addressSum(dst) + proto + len;
}

function addressSum(address: IpAddress): number {
  if (typeof address === 'number') return (address >>> 16) + (address & 0xffff);
  let sum = 0;
  for (let i = 0; i < 16; i += 2) sum += (address.charCodeAt(i) << 8) | address.charCodeAt(i + 1);
  return sum;
}

/** The checksum after one 16-bit word changed: HC' = ~(~HC + ~m + m'), RFC 1624 eqn. 3. */
export function adjustChecksum16(checksum: number, oldWord: number, newWord: number): number {
  let sum = (~checksum & 0xffff) + (~oldWord & 0xffff) + newWord;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
