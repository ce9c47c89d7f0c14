import type { AsSize } from '../bgp/as-path.ts';
import { decodeAttributes, type UpdateContext } from '../bgp/attribute-decode.ts';
import { attribute, encodeAttributes } from '../bgp/attribute-encode.ts';
import type { AttributeFields } from '../bgp/attributes.ts';
import { Attr, AttrFlag } from '../bgp/constants.ts';
import { ErrorCode, notification, notificationText } from '../bgp/notification.ts';
import { bytesKey, u16, u32 } from '../bytes.ts';

const WELL_KNOWN = AttrFlag.transitive;
const OPTIONAL = AttrFlag.optional;
const KIND = OPTIONAL | AttrFlag.transitive;

/** What flags an attribute must have. BIRD dumps those that it has made itself without any. */
const FLAGS: ReadonlyMap<number, number> = new Map<number, number>([
  [Attr.origin, WELL_KNOWN],
  [Attr.asPath, WELL_KNOWN],
  [Attr.med, OPTIONAL],
  [Attr.localPref, WELL_KNOWN],
  [Attr.atomicAggregate, WELL_KNOWN],
  [Attr.aggregator, KIND],
  [Attr.communities, KIND],
  [Attr.originatorId, OPTIONAL],
  [Attr.clusterList, OPTIONAL],
  [Attr.extendedCommunities, KIND],
  [Attr.as4Path, KIND],
  [Attr.as4Aggregator, KIND],
  [Attr.largeCommunities, KIND],
]);

/** Collectors hear internal peers too, so that nothing is discarded for coming from outside. */
const CONTEXTS: Readonly<Record<AsSize, UpdateContext>> = {
  2: { asSize: 2, peer: 'internal', pathIds: { ipv4: 'none', ipv6: 'none' } },
  4: { asSize: 4, peer: 'internal', pathIds: { ipv4: 'none', ipv6: 'none' } },
};

type NextHops = Pick<AttributeFields, 'nextHop' | 'nextHop6'>;

interface Sifted extends NextHops {
  /** The attributes without NEXT_HOP and those of RFC 4760, their flags mended. */
  readonly rest: Uint8Array;
}

/**
 * Attributes of a route in a routing table dump: `asSize` is 4 in TABLE_DUMP_V2, 2 in TABLE_DUMP. MP_REACH_NLRI may have
 * RFC 6396 §4.3.4's short form, next hop length (1) and next hop, or the one of RFC 4760, which GoBGP and old
 * collectors write; its prefixes count for nothing. A next hop is taken as it is, 0.0.0.0 too; attributes that RFC 7606
 * discards are left out. Anything worse gives a text that says what it is.
 */
export function decodeRibAttributes(bytes: Uint8Array, asSize: AsSize): AttributeFields | string {
  const sifted = sift(bytes);
  if (typeof sifted === 'string') return sifted;
  const { rest, nextHop, nextHop6 } = sifted;
  const { fields, present, faults } = decodeAttributes(rest, 0, rest.length, CONTEXTS[asSize]);
  const fault = faults.find(({ action }) => action !== 'attribute-discard');
  if (fault !== undefined) {
    const text = notificationText(notification(ErrorCode.updateMessage, fault.subcode));
    return `attribute ${fault.attribute}: ${text}`;
  }
  if (!present.includes(Attr.origin)) return 'no ORIGIN';
  if (!present.includes(Attr.asPath)) return 'no AS_PATH';
  if (nextHop === null && nextHop6 === null) return 'no next hop';
  return { ...fields, nextHop, nextHop6 };
}

function sift(bytes: Uint8Array): Sifted | string {
  const rest = new Uint8Array(bytes.length);
  let kept = 0;
  let classic: number | null = null;
  let mp: NextHops | null = null;
  let at = 0;
  while (at < bytes.length) {
    const flags = bytes[at]!;
    const extended = (flags & AttrFlag.extendedLength) !== 0;
    const valueAt = at + (extended ? 4 : 3);
    if (valueAt > bytes.length) return 'the attributes run over their length';
    const type = bytes[at + 1]!;
    const end = valueAt + (extended ? u16(bytes, at + 2) : bytes[at + 2]!);
    if (end > bytes.length) return `attribute ${type} runs over the length of the attributes`;
    if (type === Attr.nextHop) {
      if (end - valueAt !== 4) return `a NEXT_HOP of ${end - valueAt} bytes`;
      classic ??= u32(bytes, valueAt);
    } else if (type === Attr.mpReach) {
      const nextHops = reachNextHop(bytes.subarray(valueAt, end));
      if (typeof nextHops === 'string') return nextHops;
      mp ??= nextHops;
    } else if (type !== Attr.mpUnreach) {
      rest.set(bytes.subarray(at, end), kept);
      const known = FLAGS.get(type);
      if (known !== undefined) rest[kept] = (flags & ~KIND) | known;
      kept += end - at;
    }
    at = end;
  }
  return { rest: rest.subarray(0, kept), ...(mp ?? { nextHop: classic, nextHop6: null }) };
}

/** Both forms: the long one begins with an address family, of which the first byte is 0. */
function reachNextHop(value: Uint8Array): NextHops | string {
  const lengthAt = value[0] === 0 ? 3 : 0;
  const length = value[lengthAt];
  const from = lengthAt + 1;
  if (length === undefined || from + length > value.length) return 'MP_REACH_NLRI is cut short';
  if (length === 4) return { nextHop: u32(value, from), nextHop6: null };
  if (length !== 16 && length !== 32) return `MP_REACH_NLRI has a next hop of ${length} bytes`;
  return { nextHop: null, nextHop6: bytesKey(value, from, from + length) };
}

/** As TABLE_DUMP_V2 has them: AS numbers of four bytes, an IPv6 next hop in MP_REACH_NLRI's short form. */
export function encodeRibAttributes(fields: AttributeFields): Uint8Array {
  const own = encodeAttributes(fields, 4);
  const { nextHop6 } = fields;
  if (nextHop6 === null) return own;
  const value = Uint8Array.from([nextHop6.length, ...[...nextHop6].map((char) => char.charCodeAt(0))]);
  const reach = attribute(OPTIONAL, Attr.mpReach, value);
  const at = offsetBehind(own, Attr.mpReach);
  const whole = new Uint8Array(own.length + reach.length);
  whole.set(own.subarray(0, at));
  whole.set(reach, at);
  whole.set(own.subarray(at), at + reach.length);
  return whole;
}

/** Where the first attribute of a higher type begins. */
function offsetBehind(bytes: Uint8Array, type: number): number {
  let at = 0;
  while (at < bytes.length && bytes[at + 1]! <= type) {
    const extended = (bytes[at]! & AttrFlag.extendedLength) !== 0;
    at += extended ? 4 + u16(bytes, at + 2) : 3 + bytes[at + 2]!;
  }
  return at;
}
