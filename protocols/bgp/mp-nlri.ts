import { bytesKey, setU16, u16, u32 } from '../bytes.ts';
import { attribute } from './attribute-encode.ts';

import { Attr, AttrFlag, type Family, IPV4_UNICAST, IPV6_UNICAST, sameFamily } from './constants.ts';
import {
  decodeIpv4Nlri,
  decodeIpv6Nlri,
  encodeIpv4Nlri,
  encodeIpv6Nlri,
  type Ipv4NlriList,
  type Ipv6Prefix,
  type PathIds,
  type PrefixKey,
} from './nlri.ts';

/** The NLRI of an MP attribute; a family without a decoder here stays as bytes. */
export type MpNlri =
  | { readonly type: 'ipv4'; readonly family: Family; readonly list: Ipv4NlriList }
  | { readonly type: 'ipv6'; readonly family: Family; readonly prefixes: readonly Ipv6Prefix[] }
  | { readonly type: 'opaque'; readonly family: Family; readonly bytes: Uint8Array };

export interface MpReach {
  /** 4 bytes for IPv4; for IPv6 16, or 32 with a link-local address after the global one (RFC 2545 §3). */
  readonly nextHop: Uint8Array;
  readonly nlri: MpNlri;
}

export interface MpPathIds {
  readonly ipv4: PathIds;
  readonly ipv6: PathIds;
}

/** Why an MP attribute cannot be used; each one is a session reset (RFC 7606 §7.11, §5.3). */
export type MpFault = 'truncated' | 'next-hop-length' | 'nlri';

/**
 * MP_REACH_NLRI, RFC 4760 §3: AFI (2), SAFI (1), next hop length (1), next hop, reserved (1), NLRI. IPv4 with an IPv6
 * next hop (RFC 8950) is taken too.
 */
export function decodeMpReach(
  buf: Uint8Array,
  off: number,
  end: number,
  pathIds: MpPathIds,
): MpReach | MpFault {
  if (end - off < 5) return 'truncated';
  const family = { afi: u16(buf, off), safi: buf[off + 2]! };
  const length = buf[off + 3]!;
  const nlriAt = off + 4 + length + 1;
  if (nlriAt > end) return 'truncated';
  const valid = sameFamily(family, IPV4_UNICAST)
    ? length === 4 || length === 16 || length === 32
    : !sameFamily(family, IPV6_UNICAST) || length === 16 || length === 32;
  if (!valid) return 'next-hop-length';
  const nlri = decodeMpNlri(family, buf, nlriAt, end, pathIds);
  return nlri === null ? 'nlri' : { nextHop: buf.slice(off + 4, off + 4 + length), nlri };
}

/** MP_UNREACH_NLRI, RFC 4760 §4: AFI (2), SAFI (1), withdrawn routes. */
export function decodeMpUnreach(
  buf: Uint8Array,
  off: number,
  end: number,
  pathIds: MpPathIds,
): MpNlri | MpFault {
  if (end - off < 3) return 'truncated';
  const family = { afi: u16(buf, off), safi: buf[off + 2]! };
  return decodeMpNlri(family, buf, off + 3, end, pathIds) ?? 'nlri';
}

function decodeMpNlri(
  family: Family,
  buf: Uint8Array,
  off: number,
  end: number,
  pathIds: MpPathIds,
): MpNlri | null {
  if (sameFamily(family, IPV4_UNICAST)) {
    const list = decodeIpv4Nlri(buf, off, end, pathIds.ipv4);
    return list === null ? null : { type: 'ipv4', family, list };
  }
  if (sameFamily(family, IPV6_UNICAST)) {
    const prefixes = decodeIpv6Nlri(buf, off, end, pathIds.ipv6);
    return prefixes === null ? null : { type: 'ipv6', family, prefixes };
  }
  return { type: 'opaque', family, bytes: buf.slice(off, end) };
}

/** Keys of the prefixes, and their path identifiers, null without ADD-PATH; none of a family without a decoder. */
export function nlriKeys(nlri: MpNlri): {
  readonly keys: readonly PrefixKey[];
  readonly pathIds: readonly number[] | null;
} {
  if (nlri.type === 'ipv4') return nlri.list;
  if (nlri.type === 'opaque') return { keys: [], pathIds: null };
  return { keys: nlri.prefixes.map(({ key }) => key), pathIds: nlri.prefixes.map(({ pathId }) => pathId) };
}

/** IPv6 next hop of an MP_REACH_NLRI as 16 characters, or 32 with a link-local one behind it; null if it is not one. */
export function ipv6NextHop({ nextHop }: MpReach): string | null {
  if (nextHop.length !== 16 && nextHop.length !== 32) return null;
  return bytesKey(nextHop, 0, nextHop.length);
}

/** IPv4 next hop of an MP_REACH_NLRI; null if it is an IPv6 one. */
export function ipv4NextHop(reach: MpReach): number | null {
  return reach.nextHop.length === 4 ? u32(reach.nextHop, 0) : null;
}

/** The whole attribute. `pathIds` says whether IPv6 prefixes get theirs; an IPv4 list knows it itself. */
export function encodeMpReach({ nextHop, nlri }: MpReach, pathIds: PathIds): Uint8Array {
  const bytes = encodeMpNlri(nlri, pathIds);
  const value = new Uint8Array(5 + nextHop.length + bytes.length);
  writeFamily(value, nlri.family);
  value[3] = nextHop.length;
  value.set(nextHop, 4);
  value.set(bytes, 5 + nextHop.length);
  return attribute(AttrFlag.optional, Attr.mpReach, value);
}

export function encodeMpUnreach(nlri: MpNlri, pathIds: PathIds): Uint8Array {
  const bytes = encodeMpNlri(nlri, pathIds);
  const value = new Uint8Array(3 + bytes.length);
  writeFamily(value, nlri.family);
  value.set(bytes, 3);
  return attribute(AttrFlag.optional, Attr.mpUnreach, value);
}

function encodeMpNlri(nlri: MpNlri, pathIds: PathIds): Uint8Array {
  if (nlri.type === 'ipv4') return encodeIpv4Nlri(nlri.list);
  return nlri.type === 'ipv6' ? encodeIpv6Nlri(nlri.prefixes, pathIds) : nlri.bytes;
}

function writeFamily(value: Uint8Array, family: Family): void {
  setU16(value, 0, family.afi);
  value[2] = family.safi;
}
