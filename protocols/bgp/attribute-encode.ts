import { setU16, setU32 } from '../bytes.ts';
import { type AsPath, type AsSize, asPathSize, needsFourOctets, writeAsPath } from './as-path.ts';
import type { Aggregator, AttributeFields, UnknownAttribute } from './attributes.ts';
import { AS_TRANS, Attr, AttrFlag } from './constants.ts';

const WELL_KNOWN = AttrFlag.transitive;
const OPTIONAL = AttrFlag.optional;
const OPTIONAL_TRANSITIVE = AttrFlag.optional | AttrFlag.transitive;

/** `length` bytes from the beginning, until something else is encoded. */
export interface EncodedForNow {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** Attributes one after the other in a buffer that grows. */
class AttributeWriter implements EncodedForNow {
  bytes = new Uint8Array(4096);
  length = 0;

  /** Begins an attribute; returns where its value of so many bytes is to be written. */
  begin(flags: number, type: number, size: number): number {
    const extended = size > 255;
    const at = this.length;
    const valueAt = at + (extended ? 4 : 3);
    this.length = valueAt + size;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(2 * this.length);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    this.bytes[at] = extended ? flags | AttrFlag.extendedLength : flags & ~AttrFlag.extendedLength;
    this.bytes[at + 1] = type;
    if (extended) setU16(this.bytes, at + 2, size);
    else this.bytes[at + 2] = size;
    return valueAt;
  }

  word(flags: number, type: number, value: number): void {
    const at = this.begin(flags, type, 4);
    setU32(this.bytes, at, value);
  }

  words(flags: number, type: number, values: readonly number[]): void {
    const at = this.begin(flags, type, 4 * values.length);
    for (let i = 0; i < values.length; i++) setU32(this.bytes, at + 4 * i, values[i]!);
  }

  /** Sequences of words, `wide` each. */
  tuples(flags: number, type: number, wide: number, tuples: readonly (readonly number[])[]): void {
    let at = this.begin(flags, type, 4 * wide * tuples.length);
    for (const tuple of tuples) {
      for (const value of tuple) {
        setU32(this.bytes, at, value);
        at += 4;
      }
    }
  }

  path(flags: number, type: number, path: AsPath, size: AsSize): void {
    const at = this.begin(flags, type, asPathSize(path, size));
    writeAsPath(this.bytes, at, path, size);
  }

  aggregator(type: number, { asn, address }: Aggregator, size: AsSize): void {
    const at = this.begin(OPTIONAL_TRANSITIVE, type, size + 4);
    if (size === 4) setU32(this.bytes, at, asn);
    else setU16(this.bytes, at, asn > 0xffff ? AS_TRANS : asn);
    setU32(this.bytes, at + size, address);
  }

  raw(flags: number, type: number, value: Uint8Array): void {
    const at = this.begin(flags, type, value.length);
    this.bytes.set(value, at);
  }

  /** The unknown attributes from an index on whose types are below this; the index of the first that is left. */
  unknown(unknown: readonly UnknownAttribute[], from: number, below: number): number {
    let at = from;
    for (let next = unknown[at]; next !== undefined && next.type < below; next = unknown[++at]) {
      this.raw(next.flags, next.type, next.value);
    }
    return at;
  }
}

/** Written anew by each encoding. */
const writer = new AttributeWriter();

/**
 * Writes the path attributes field: flags (1), type (1), length (1, or 2 with the extended-length bit), value; in order of
 * type as RFC 4271 §5 asks of a sender. With AS numbers of two bytes, AS4_PATH and AS4_AGGREGATOR are added where
 * something did not fit (RFC 6793 §4.2.2). MP attributes are not part of it.
 */
function write(fields: AttributeFields, size: AsSize): void {
  const { unknown, asPath, aggregator } = fields;
  writer.length = 0;
  let next = writer.unknown(unknown, 0, Attr.origin);
  const origin = writer.begin(WELL_KNOWN, Attr.origin, 1);
  writer.bytes[origin] = fields.origin;
  writer.path(WELL_KNOWN, Attr.asPath, asPath, size);
  if (fields.nextHop !== null) writer.word(WELL_KNOWN, Attr.nextHop, fields.nextHop);
  if (fields.med !== null) writer.word(OPTIONAL, Attr.med, fields.med);
  if (fields.localPref !== null) writer.word(WELL_KNOWN, Attr.localPref, fields.localPref);
  if (fields.atomicAggregate) writer.begin(WELL_KNOWN, Attr.atomicAggregate, 0);
  if (aggregator !== null) writer.aggregator(Attr.aggregator, aggregator, size);
  if (fields.communities.length > 0) {
    writer.words(OPTIONAL_TRANSITIVE, Attr.communities, fields.communities);
  }
  if (fields.originatorId !== null) writer.word(OPTIONAL, Attr.originatorId, fields.originatorId);
  if (fields.clusterList.length > 0) writer.words(OPTIONAL, Attr.clusterList, fields.clusterList);
  next = writer.unknown(unknown, next, Attr.extendedCommunities);
  if (fields.extendedCommunities.length > 0) {
    writer.tuples(OPTIONAL_TRANSITIVE, Attr.extendedCommunities, 2, fields.extendedCommunities);
  }
  if (size === 2 && needsFourOctets(asPath)) writer.path(OPTIONAL_TRANSITIVE, Attr.as4Path, asPath, 4);
  if (size === 2 && aggregator !== null && aggregator.asn > 0xffff) {
    writer.aggregator(Attr.as4Aggregator, aggregator, 4);
  }
  next = writer.unknown(unknown, next, Attr.largeCommunities);
  if (fields.largeCommunities.length > 0) {
    writer.tuples(OPTIONAL_TRANSITIVE, Attr.largeCommunities, 3, fields.largeCommunities);
  }
  writer.unknown(unknown, next, 256);
}

/** The path attributes field with AS numbers of this size, as `write` has it. */
export function encodeAttributes(fields: AttributeFields, size: AsSize): Uint8Array {
  write(fields, size);
  return writer.bytes.slice(0, writer.length);
}

/** The same without a copy. */
export function encodeForNow(fields: AttributeFields, size: AsSize): EncodedForNow {
  write(fields, size);
  return writer;
}

/** One attribute with its header. */
export function attribute(flags: number, type: number, value: Uint8Array): Uint8Array {
  writer.length = 0;
  writer.raw(flags, type, value);
  return writer.bytes.slice(0, writer.length);
}
