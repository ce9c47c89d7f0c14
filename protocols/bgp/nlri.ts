import { setU32, u32 } from '../bytes.ts';
import { formatIp4, parsePrefix, prefixKey, prefixMask } from '../ip4.ts';
import { formatIp6, IP6_LENGTH, type Ip6, maskIp6, parseIp6, readIp6 } from '../ip6.ts';
import type { FamilyName } from './config.ts';

/**
 * NLRI encoding of RFC 4271 §4.3: length in bits (1), then as many bytes as hold them; with ADD-PATH (RFC 7911 §3)
 * a path identifier (4) before each.
 *
 * An IPv4 prefix is one number, its key: `addr * 64 + len`, as `prefixKey` of ip4.ts makes it, so that a table of half
 * a million needs no object for it. An IPv6 prefix is a string: the 16 bytes of its address, and its length.
 */
export type PrefixKey = number | string;

export function isIpv6Key(key: PrefixKey): key is string {
  return typeof key === 'string';
}

/** Whether NLRI carry path identifiers on this session and family. */
export type PathIds = 'none' | 'present';

export interface Ipv4NlriList {
  readonly keys: readonly number[];
  /** Path identifiers, one for each key; null without ADD-PATH. */
  readonly pathIds: readonly number[] | null;
}

export const NO_IPV4_NLRI: Ipv4NlriList = { keys: [], pathIds: null };

export function familyOf(key: PrefixKey): FamilyName {
  return typeof key === 'number' ? 'ipv4' : 'ipv6';
}

export function keyLength(key: PrefixKey): number {
  // An IPv4 key is below 2^38: the bitwise operators reduce modulo 2^32, which keeps the six low bits.
  return typeof key === 'number' ? key & 63 : key.charCodeAt(IP6_LENGTH);
}

/** Address of an IPv4 key. */
export function keyAddress(key: number): number {
  return Math.floor(key / 64);
}

/** Bits of the address behind the length count for nothing. */
export function ipv6Key(address: Ip6, len: number): string {
  return maskIp6(address, len) + String.fromCharCode(len);
}

export function formatKey(key: PrefixKey): string {
  if (typeof key === 'number') return `${formatIp4(keyAddress(key))}/${keyLength(key)}`;
  return `${formatIp6(key.slice(0, IP6_LENGTH))}/${keyLength(key)}`;
}

/** A prefix of either family, `10.0.0.0/8` or `2001:db8::/32`; null if it is none. */
export function parseKey(text: string): PrefixKey | null {
  const prefix = parsePrefix(text);
  if (prefix !== null) return prefixKey(prefix.addr, prefix.len);
  const match = /^([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(text);
  const address = match === null ? null : parseIp6(match[1] ?? '');
  const len = Number(match?.[2]);
  return address === null || len > 128 ? null : ipv6Key(address, len);
}

/** IPv4 before IPv6, then by address, then by length. */
export function compareKeys(a: PrefixKey, b: PrefixKey): number {
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1;
  return typeof b === 'number' ? 1 : a < b ? -1 : a > b ? 1 : 0;
}

/** Null if a prefix is longer than 32 bits or runs over the end: the field has no syntax then (RFC 7606 §5.3). */
export function decodeIpv4Nlri(
  buf: Uint8Array,
  off: number,
  end: number,
  pathIds: PathIds,
): Ipv4NlriList | null {
  if (off === end) return NO_IPV4_NLRI;
  const keys: number[] = [];
  const ids: number[] | null = pathIds === 'present' ? [] : null;
  let at = off;
  while (at < end) {
    if (ids !== null) {
      if (at + 4 > end) return null;
      ids.push(u32(buf, at));
      at += 4;
      if (at === end) return null;
    }
    const len = buf[at++]!;
    const bytes = (len + 7) >> 3;
    if (len > 32 || at + bytes > end) return null;
    let addr = 0;
    for (let i = 0; i < bytes; i++) addr |= buf[at + i]! << (24 - 8 * i);
    at += bytes;
    keys.push(((addr & prefixMask(len)) >>> 0) * 64 + len);
  }
  return { keys, pathIds: ids };
}

/** Bytes that a prefix takes, its path identifier not counted. */
export function nlriSize(key: PrefixKey): number {
  return 1 + ((keyLength(key) + 7) >> 3);
}

/** Writes one prefix, without path identifier; returns the offset after it. */
export function writeNlri(buf: Uint8Array, off: number, key: PrefixKey): number {
  const len = keyLength(key);
  const bytes = (len + 7) >> 3;
  buf[off] = len;
  if (typeof key === 'number') {
    const addr = keyAddress(key);
    for (let i = 0; i < bytes; i++) buf[off + 1 + i] = addr >>> (24 - 8 * i);
  } else {
    for (let i = 0; i < bytes; i++) buf[off + 1 + i] = key.charCodeAt(i);
  }
  return off + 1 + bytes;
}

/** Encodes a list, each prefix after its path identifier where the list has them. */
export function encodeIpv4Nlri(list: Ipv4NlriList): Uint8Array {
  const { keys, pathIds } = list;
  const size = keys.reduce((sum, key) => sum + nlriSize(key), pathIds === null ? 0 : 4 * keys.length);
  const encoded = new Uint8Array(size);
  let at = 0;
  for (const [i, key] of keys.entries()) {
    if (pathIds !== null) {
      setU32(encoded, at, pathIds[i]!);
      at += 4;
    }
    at = writeNlri(encoded, at, key);
  }
  return encoded;
}

export interface Ipv6Prefix {
  readonly key: string;
  /** 0 without ADD-PATH. */
  readonly pathId: number;
}

/** As `decodeIpv4Nlri`, for prefixes of up to 128 bits. */
export function decodeIpv6Nlri(
  buf: Uint8Array,
  off: number,
  end: number,
  pathIds: PathIds,
): Ipv6Prefix[] | null {
  const prefixes: Ipv6Prefix[] = [];
  const address = new Uint8Array(IP6_LENGTH);
  let at = off;
  while (at < end) {
    let pathId = 0;
    if (pathIds === 'present') {
      if (at + 5 > end) return null;
      pathId = u32(buf, at);
      at += 4;
    }
    const len = buf[at++]!;
    const bytes = (len + 7) >> 3;
    if (len > 128 || at + bytes > end) return null;
    address.fill(0);
    address.set(buf.subarray(at, at + bytes));
    at += bytes;
    prefixes.push({ key: ipv6Key(readIp6(address, 0), len), pathId });
  }
  return prefixes;
}

export function encodeIpv6Nlri(prefixes: readonly Ipv6Prefix[], pathIds: PathIds): Uint8Array {
  const idLength = pathIds === 'present' ? 4 : 0;
  const size = prefixes.reduce((sum, { key }) => sum + idLength + nlriSize(key), 0);
  const encoded = new Uint8Array(size);
  let at = 0;
  for (const { key, pathId } of prefixes) {
    if (idLength > 0) setU32(encoded, at, pathId);
    at = writeNlri(encoded, at + idLength, key);
  }
  return encoded;
}
