import { setU16, setU32 } from '../bytes.ts';
import { type AsSize, encodeAsPath, needsFourOctets } from './as-path.ts';
import type { AttributeFields, UnknownAttribute } from './attributes.ts';
import { AS_TRANS, Attr, AttrFlag } from './constants.ts';

const WELL_KNOWN = AttrFlag.transitive;
const OPTIONAL = AttrFlag.optional;
const OPTIONAL_TRANSITIVE = AttrFlag.optional | AttrFlag.transitive;

/**
 * The path attributes field: flags (1), type (1), length (1, or 2 with the extended-length bit), value; in order of
 * type as RFC 4271 §5 asks of a sender. With AS numbers of two bytes, AS4_PATH and AS4_AGGREGATOR are added where
 * something did not fit (RFC 6793 §4.2.2). MP attributes are not part of it.
 */
export function encodeAttributes(fields: AttributeFields, size: AsSize): Uint8Array {
  const parts: Uint8Array[] = [
    attribute(WELL_KNOWN, Attr.origin, Uint8Array.of(fields.origin)),
    attribute(WELL_KNOWN, Attr.asPath, encodeAsPath(fields.asPath, size)),
  ];
  if (fields.nextHop !== null) parts.push(attribute(WELL_KNOWN, Attr.nextHop, words([fields.nextHop])));
  if (fields.med !== null) parts.push(attribute(OPTIONAL, Attr.med, words([fields.med])));
  if (fields.localPref !== null) parts.push(attribute(WELL_KNOWN, Attr.localPref, words([fields.localPref])));
  if (fields.atomicAggregate) parts.push(attribute(WELL_KNOWN, Attr.atomicAggregate, new Uint8Array(0)));
  if (fields.aggregator !== null) {
    parts.push(attribute(OPTIONAL_TRANSITIVE, Attr.aggregator, aggregatorValue(fields.aggregator, size)));
  }
  if (fields.communities.length > 0) {
    parts.push(attribute(OPTIONAL_TRANSITIVE, Attr.communities, words(fields.communities)));
  }
  if (fields.originatorId !== null) {
    parts.push(attribute(OPTIONAL, Attr.originatorId, words([fields.originatorId])));
  }
  if (fields.clusterList.length > 0)
    parts.push(attribute(OPTIONAL, Attr.clusterList, words(fields.clusterList)));
  if (fields.extendedCommunities.length > 0) {
    const value = words(fields.extendedCommunities.flat());
    parts.push(attribute(OPTIONAL_TRANSITIVE, Attr.extendedCommunities, value));
  }
  if (size === 2 && needsFourOctets(fields.asPath)) {
    parts.push(attribute(OPTIONAL_TRANSITIVE, Attr.as4Path, encodeAsPath(fields.asPath, 4)));
  }
  if (size === 2 && fields.aggregator !== null && fields.aggregator.asn > 0xffff) {
    parts.push(attribute(OPTIONAL_TRANSITIVE, Attr.as4Aggregator, aggregatorValue(fields.aggregator, 4)));
  }
  if (fields.largeCommunities.length > 0) {
    const value = words(fields.largeCommunities.flat());
    parts.push(attribute(OPTIONAL_TRANSITIVE, Attr.largeCommunities, value));
  }
  return concatenate(mergeUnknown(parts, fields.unknown));
}

/** One attribute with its header. */
export function attribute(flags: number, type: number, value: Uint8Array): Uint8Array {
  const extended = value.length > 255;
  const encoded = new Uint8Array((extended ? 4 : 3) + value.length);
  encoded[0] = extended ? flags | AttrFlag.extendedLength : flags & ~AttrFlag.extendedLength;
  encoded[1] = type;
  if (extended) setU16(encoded, 2, value.length);
  else encoded[2] = value.length;
  encoded.set(value, extended ? 4 : 3);
  return encoded;
}

function mergeUnknown(
  parts: readonly Uint8Array[],
  unknown: readonly UnknownAttribute[],
): readonly Uint8Array[] {
  if (unknown.length === 0) return parts;
  const all = [...parts, ...unknown.map(({ flags, type, value }) => attribute(flags, type, value))];
  return all.sort((a, b) => a[1]! - b[1]!);
}

function aggregatorValue(
  { asn, address }: { readonly asn: number; readonly address: number },
  size: AsSize,
): Uint8Array {
  const value = new Uint8Array(size + 4);
  if (size === 4) setU32(value, 0, asn);
  else setU16(value, 0, asn > 0xffff ? AS_TRANS : asn);
  setU32(value, size, address);
  return value;
}

function words(values: readonly number[]): Uint8Array {
  const encoded = new Uint8Array(4 * values.length);
  for (const [i, value] of values.entries()) setU32(encoded, 4 * i, value);
  return encoded;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
