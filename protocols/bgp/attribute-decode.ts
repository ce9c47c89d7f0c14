import { u16, u32 } from '../bytes.ts';
import { type AsPath, type AsSize, decodeAsPath, mergeAs4Path } from './as-path.ts';
import {
  type Aggregator,
  type AttributeFields,
  NO_ATTRIBUTES,
  type Origin,
  type UnknownAttribute,
} from './attributes.ts';
import type { ExtendedCommunity, LargeCommunity } from './community.ts';
import { AS_TRANS, Attr, AttrFlag } from './constants.ts';
import {
  decodeMpReach,
  decodeMpUnreach,
  type MpFault,
  type MpNlri,
  type MpPathIds,
  type MpReach,
} from './mp-nlri.ts';
import { UpdateError } from './notification.ts';

/** What of the session bears on the meaning of an UPDATE. */
export interface UpdateContext {
  readonly asSize: AsSize;
  readonly peer: 'internal' | 'external';
  readonly pathIds: MpPathIds;
}

/** RFC 7606 §2, from the mildest. */
type FaultAction = 'attribute-discard' | 'treat-as-withdraw' | 'session-reset';

/** What is wrong with an UPDATE and what that calls for. */
export interface UpdateFault {
  readonly action: FaultAction;
  /** Subcode of error code 3 that goes with it (RFC 4271 §6.3). */
  readonly subcode: number;
  /** Type code of the attribute, 0 for the message as a whole. */
  readonly attribute: number;
  /** The erroneous attribute with its header, for the NOTIFICATION's data. */
  readonly data: Uint8Array;
}

export interface DecodedAttributes {
  readonly fields: AttributeFields;
  readonly mpReach: MpReach | null;
  readonly mpUnreach: MpNlri | null;
  /** Attributes present, malformed ones included. */
  readonly present: readonly number[];
  readonly faults: readonly UpdateFault[];
}

/** Attributes under construction. */
type Draft = { -readonly [K in keyof AttributeFields]: AttributeFields[K] };

interface Parse {
  readonly context: UpdateContext;
  readonly draft: Draft;
  readonly unknown: UnknownAttribute[];
  as4Path: AsPath | null;
  as4Aggregator: Aggregator | null;
  mpReach: MpReach | null;
  mpUnreach: MpNlri | null;
}

/** Result of one attribute: fine, or the action and the subcode. */
type Verdict = readonly [FaultAction, number] | null;

interface Known {
  /** Optional and transitive bits that the attribute must have. */
  readonly flags: number;
  readonly parse: (state: Parse, buf: Uint8Array, off: number, end: number) => Verdict;
}

const LENGTH_WITHDRAW: Verdict = ['treat-as-withdraw', UpdateError.attributeLength];
const LENGTH_DISCARD: Verdict = ['attribute-discard', UpdateError.attributeLength];
const OPTIONAL_WITHDRAW: Verdict = ['treat-as-withdraw', UpdateError.optionalAttribute];
const OPTIONAL_DISCARD: Verdict = ['attribute-discard', UpdateError.optionalAttribute];

/** An attribute that runs over the end of the field. */
const OVERRUN: UpdateFault = {
  action: 'treat-as-withdraw',
  subcode: UpdateError.malformedAttributeList,
  attribute: 0,
  data: new Uint8Array(0),
};

const WELL_KNOWN = AttrFlag.transitive;
const OPTIONAL = AttrFlag.optional;
const OPTIONAL_TRANSITIVE = AttrFlag.optional | AttrFlag.transitive;

/** Addresses that no host on a link can have: 0/8, 127/8, and from 224/4 on (RFC 4271 §6.3). */
function isHostAddress(addr: number): boolean {
  const first = addr >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

/** RFC 7606 §7, attribute by attribute. */
const KNOWN: readonly (Known | undefined)[] = byType([
  [Attr.origin, { flags: WELL_KNOWN, parse: parseOrigin }],
  [Attr.asPath, { flags: WELL_KNOWN, parse: parseAsPath }],
  [Attr.nextHop, { flags: WELL_KNOWN, parse: parseNextHop }],
  [Attr.med, { flags: OPTIONAL, parse: parseMed }],
  [Attr.localPref, { flags: WELL_KNOWN, parse: parseLocalPref }],
  [Attr.atomicAggregate, { flags: WELL_KNOWN, parse: parseAtomicAggregate }],
  [Attr.aggregator, { flags: OPTIONAL_TRANSITIVE, parse: parseAggregator }],
  [Attr.communities, { flags: OPTIONAL_TRANSITIVE, parse: parseCommunities }],
  [Attr.originatorId, { flags: OPTIONAL, parse: parseOriginatorId }],
  [Attr.clusterList, { flags: OPTIONAL, parse: parseClusterList }],
  [Attr.mpReach, { flags: OPTIONAL, parse: parseMpReach }],
  [Attr.mpUnreach, { flags: OPTIONAL, parse: parseMpUnreach }],
  [Attr.extendedCommunities, { flags: OPTIONAL_TRANSITIVE, parse: parseExtendedCommunities }],
  [Attr.as4Path, { flags: OPTIONAL_TRANSITIVE, parse: parseAs4Path }],
  [Attr.as4Aggregator, { flags: OPTIONAL_TRANSITIVE, parse: parseAs4Aggregator }],
  [Attr.largeCommunities, { flags: OPTIONAL_TRANSITIVE, parse: parseLargeCommunities }],
]);

function byType(known: readonly (readonly [number, Known])[]): (Known | undefined)[] {
  const table = new Array<Known | undefined>(256).fill(undefined);
  for (const [type, each] of known) table[type] = each;
  return table;
}

/**
 * Decodes the path attributes field. Never fails as a whole: everything wrong with it is a fault with the action
 * that RFC 7606 names, and the caller follows the strongest.
 */
export function decodeAttributes(
  buf: Uint8Array,
  off: number,
  end: number,
  context: UpdateContext,
): DecodedAttributes {
  const draft: Draft = { ...NO_ATTRIBUTES };
  const state: Parse = {
    context,
    draft,
    unknown: [],
    as4Path: null,
    as4Aggregator: null,
    mpReach: null,
    mpUnreach: null,
  };
  const faults: UpdateFault[] = [];
  const present: number[] = [];
  let at = off;
  while (at < end) {
    const extended = (buf[at]! & AttrFlag.extendedLength) !== 0;
    const headLength = extended ? 4 : 3;
    if (at + headLength > end) {
      faults.push(OVERRUN);
      break;
    }
    const type = buf[at + 1]!;
    const valueAt = at + headLength;
    const valueEnd = valueAt + (extended ? u16(buf, at + 2) : buf[at + 2]!);
    if (valueEnd > end) {
      if (!present.includes(type)) present.push(type);
      faults.push(OVERRUN);
      break;
    }
    const again = present.includes(type);
    const verdict = again ? repeated(type) : parseOne(state, buf, at, valueAt, valueEnd);
    if (verdict !== null) {
      faults.push({
        action: verdict[0],
        subcode: verdict[1],
        attribute: type,
        data: buf.slice(at, valueEnd),
      });
    }
    if (!again) present.push(type);
    at = valueEnd;
  }
  draft.unknown = state.unknown.sort((a, b) => a.type - b.type);
  if (context.asSize === 2) applyAs4(state);
  return { fields: draft, mpReach: state.mpReach, mpUnreach: state.mpUnreach, present, faults };
}

/** RFC 7606 §3 g */
function repeated(type: number): Verdict {
  const fatal = type === Attr.mpReach || type === Attr.mpUnreach;
  return [fatal ? 'session-reset' : 'attribute-discard', UpdateError.malformedAttributeList];
}

function parseOne(state: Parse, buf: Uint8Array, at: number, valueAt: number, valueEnd: number): Verdict {
  const flags = buf[at]!;
  const type = buf[at + 1]!;
  const known = KNOWN[type];
  if (known === undefined) return keepUnknown(state, flags, type, buf.slice(valueAt, valueEnd));
  if ((flags & OPTIONAL_TRANSITIVE) !== known.flags) {
    const fatal = type === Attr.mpReach || type === Attr.mpUnreach;
    return [fatal ? 'session-reset' : 'treat-as-withdraw', UpdateError.attributeFlags];
  }
  const mayBeEmpty = type === Attr.asPath || type === Attr.atomicAggregate || type === Attr.as4Path;
  if (valueAt === valueEnd && !mayBeEmpty && type !== Attr.mpReach && type !== Attr.mpUnreach)
    return LENGTH_WITHDRAW;
  return known.parse(state, buf, valueAt, valueEnd);
}

function keepUnknown(state: Parse, flags: number, type: number, value: Uint8Array): Verdict {
  if ((flags & AttrFlag.optional) === 0) return ['session-reset', UpdateError.unrecognizedWellKnown];
  if ((flags & AttrFlag.transitive) !== 0) {
    state.unknown.push({ flags: OPTIONAL_TRANSITIVE | AttrFlag.partial, type, value });
  }
  return null;
}

/** RFC 6793 §4.2.3: an AS4_AGGREGATOR beside an AGGREGATOR without AS_TRANS shows that both AS4 attributes are stale. */
function applyAs4({ draft, as4Path, as4Aggregator }: Parse): void {
  if (draft.aggregator !== null && as4Aggregator !== null) {
    if (draft.aggregator.asn !== AS_TRANS) return;
    draft.aggregator = as4Aggregator;
  }
  if (as4Path !== null) draft.asPath = mergeAs4Path(draft.asPath, as4Path);
}

function parseOrigin({ draft }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (end - off !== 1) return LENGTH_WITHDRAW;
  const value = buf[off]!;
  if (value > 2) return ['treat-as-withdraw', UpdateError.invalidOrigin];
  draft.origin = value as Origin;
  return null;
}

function parseAsPath({ draft, context }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  const path = decodeAsPath(buf, off, end, context.asSize);
  if (path === null) return ['treat-as-withdraw', UpdateError.malformedAsPath];
  draft.asPath = path;
  return null;
}

function parseNextHop({ draft }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (end - off !== 4) return LENGTH_WITHDRAW;
  const nextHop = u32(buf, off);
  if (!isHostAddress(nextHop)) return ['treat-as-withdraw', UpdateError.invalidNextHop];
  draft.nextHop = nextHop;
  return null;
}

function parseMed({ draft }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (end - off !== 4) return LENGTH_WITHDRAW;
  draft.med = u32(buf, off);
  return null;
}

function parseLocalPref({ draft, context }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (context.peer === 'external') return OPTIONAL_DISCARD;
  if (end - off !== 4) return LENGTH_WITHDRAW;
  draft.localPref = u32(buf, off);
  return null;
}

function parseAtomicAggregate({ draft }: Parse, _buf: Uint8Array, off: number, end: number): Verdict {
  if (end !== off) return LENGTH_DISCARD;
  draft.atomicAggregate = true;
  return null;
}

function parseAggregator({ draft, context }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  const size = context.asSize;
  if (end - off !== size + 4) return LENGTH_DISCARD;
  const asn = size === 4 ? u32(buf, off) : u16(buf, off);
  // RFC 7607 §2
  if (asn === 0) return OPTIONAL_DISCARD;
  draft.aggregator = { asn, address: u32(buf, off + size) };
  return null;
}

function parseCommunities({ draft }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if ((end - off) % 4 !== 0) return OPTIONAL_WITHDRAW;
  draft.communities = words(buf, off, end);
  return null;
}

function parseOriginatorId({ draft, context }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (context.peer === 'external') return OPTIONAL_DISCARD;
  if (end - off !== 4) return LENGTH_WITHDRAW;
  draft.originatorId = u32(buf, off);
  return null;
}

function parseClusterList({ draft, context }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (context.peer === 'external') return OPTIONAL_DISCARD;
  if ((end - off) % 4 !== 0) return LENGTH_WITHDRAW;
  draft.clusterList = words(buf, off, end);
  return null;
}

function parseMpReach(state: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  const reach = decodeMpReach(buf, off, end, state.context.pathIds);
  if (typeof reach === 'string') return mpFault(reach);
  state.mpReach = reach;
  return null;
}

function parseMpUnreach(state: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  const unreach = decodeMpUnreach(buf, off, end, state.context.pathIds);
  if (typeof unreach === 'string') return mpFault(unreach);
  state.mpUnreach = unreach;
  return null;
}

function mpFault(fault: MpFault): Verdict {
  return [
    'session-reset',
    fault === 'nlri' ? UpdateError.invalidNetworkField : UpdateError.optionalAttribute,
  ];
}

function parseExtendedCommunities({ draft }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if ((end - off) % 8 !== 0) return OPTIONAL_WITHDRAW;
  const communities: ExtendedCommunity[] = [];
  for (let at = off; at < end; at += 8) communities.push([u32(buf, at), u32(buf, at + 4)]);
  draft.extendedCommunities = communities;
  return null;
}

/**
 * RFC 6793 §6: an AS4_PATH that is malformed, or comes from a speaker with 4-octet AS numbers, is discarded, and of another the
 * segments of confederations are.
 */
function parseAs4Path(state: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (state.context.asSize === 4) return OPTIONAL_DISCARD;
  const path = decodeAsPath(buf, off, end, 4, 'left-out');
  if (path === null || path.length === 0) return OPTIONAL_DISCARD;
  state.as4Path = path;
  return null;
}

function parseAs4Aggregator(state: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if (state.context.asSize === 4 || end - off !== 8 || u32(buf, off) === 0) return OPTIONAL_DISCARD;
  state.as4Aggregator = { asn: u32(buf, off), address: u32(buf, off + 4) };
  return null;
}

function parseLargeCommunities({ draft }: Parse, buf: Uint8Array, off: number, end: number): Verdict {
  if ((end - off) % 12 !== 0) return OPTIONAL_WITHDRAW;
  const seen = new Set<string>();
  const communities: LargeCommunity[] = [];
  for (let at = off; at < end; at += 12) {
    const community: LargeCommunity = [u32(buf, at), u32(buf, at + 4), u32(buf, at + 8)];
    // RFC 8092 §5: repeated values are silently removed.
    if (!seen.has(community.join())) communities.push(community);
    seen.add(community.join());
  }
  draft.largeCommunities = communities;
  return null;
}

function words(buf: Uint8Array, off: number, end: number): number[] {
  const values = new Array<number>((end - off) / 4);
  for (let i = 0; i < values.length; i++) values[i] = u32(buf, off + 4 * i);
  return values;
}
