import { setU32, u32 } from '../bytes.ts';
import { formatIp4, prefixMask } from '../ip4.ts';

/**
 * NLRI encoding of RFC 4271 §4.3: length in bits (1), then as many bytes as hold them; with ADD-PATH (RFC 7911 §3)
 * a path identifier (4) before each.
 *
 * An IPv4 prefix is one number, its key: `addr * 64 + len`, as `prefixKey` of ip4.ts makes it, so that a table of half
 * a million needs no object for it.
 */
export type PrefixKey = number;

/** Whether NLRI carry path identifiers on this session and family. */
export type PathIds = 'none' | 'present';

export interface Ipv4NlriList {
  readonly keys: readonly PrefixKey[];
  /** Path identifiers, one for each key; null without ADD-PATH. */
  readonly pathIds: readonly number[] | null;
}

export const NO_IPV4_NLRI: Ipv4NlriList = { keys: [], pathIds: null };

export function keyLength(key: PrefixKey): number {
  // A key is below 2^38: the bitwise operators reduce modulo 2^32, which keeps the six low bits.
  return key & 63;
}

export function keyAddress(key: PrefixKey): number {
  return Math.floor(key / 64);
}

export function formatKey(key: PrefixKey): string {
  return `${formatIp4(keyAddress(key))}/${keyLength(key)}`;
}

/** Null if a prefix is longer than 32 bits or runs over the end: the field has no syntax then (RFC 7606 §5.3). */
export function decodeIpv4Nlri(
  buf: Uint8Array,
  off: number,
  end: number,
  pathIds: PathIds,
): Ipv4NlriList | null {
  if (off === end) return NO_IPV4_NLRI;
  const keys: PrefixKey[] = [];
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
export function ipv4NlriSize(key: PrefixKey): number {
  return 1 + ((keyLength(key) + 7) >> 3);
}

/** Writes one prefix, without path identifier; returns the offset after it. */
export function writeIpv4Nlri(buf: Uint8Array, off: number, key: PrefixKey): number {
  const len = keyLength(key);
  const addr = keyAddress(key);
  buf[off] = len;
  const bytes = (len + 7) >> 3;
  for (let i = 0; i < bytes; i++) buf[off + 1 + i] = addr >>> (24 - 8 * i);
  return off + 1 + bytes;
}

/** Encodes a list, each prefix after its path identifier where the list has them. */
export function encodeIpv4Nlri(list: Ipv4NlriList): Uint8Array {
  const { keys, pathIds } = list;
  const size = keys.reduce((sum, key) => sum + ipv4NlriSize(key), pathIds === null ? 0 : 4 * keys.length);
  const encoded = new Uint8Array(size);
  let at = 0;
  for (const [i, key] of keys.entries()) {
    if (pathIds !== null) {
      setU32(encoded, at, pathIds[i]!);
      at += 4;
    }
    at = writeIpv4Nlri(encoded, at, key);
  }
  return encoded;
}

export interface Ipv6Prefix {
  /** 16 bytes, host bits zero. */
  readonly address: Uint8Array;
  readonly len: number;
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
    const address = new Uint8Array(16);
    address.set(buf.subarray(at, at + bytes));
    if (len % 8 !== 0) address[bytes - 1]! &= 0xff << (8 - (len % 8));
    at += bytes;
    prefixes.push({ address, len, pathId });
  }
  return prefixes;
}

export function encodeIpv6Nlri(prefixes: readonly Ipv6Prefix[], pathIds: PathIds): Uint8Array {
  const idLength = pathIds === 'present' ? 4 : 0;
  const size = prefixes.reduce((sum, { len }) => sum + idLength + 1 + ((len + 7) >> 3), 0);
  const encoded = new Uint8Array(size);
  let at = 0;
  for (const { address, len, pathId } of prefixes) {
    if (idLength > 0) setU32(encoded, at, pathId);
    at += idLength;
    const bytes = (len + 7) >> 3;
    encoded[at] = len;
    encoded.set(address.subarray(0, bytes), at + 1);
    at += 1 + bytes;
  }
  return encoded;
}
