import { setU16, setU32, u16 } from '../bytes.ts';
import type { AsSize } from './as-path.ts';
import {
  type DecodedAttributes,
  decodeAttributes,
  type UpdateContext,
  type UpdateFault,
} from './attribute-decode.ts';
import type { AttributeTable } from './attribute-table.ts';
import type { PathAttributes } from './attributes.ts';
import {
  Attr,
  AttrFlag,
  type Family,
  HEADER_LENGTH,
  IPV4_UNICAST,
  IPV6_UNICAST,
  MAX_MESSAGE,
  MessageType,
} from './constants.ts';
import { frameMessage } from './header.ts';
import { ipv4NextHop, ipv6NextHop, type MpNlri, type MpPathIds, type MpReach } from './mp-nlri.ts';
import {
  decodeIpv4Nlri,
  type Ipv4NlriList,
  NO_IPV4_NLRI,
  nlriSize,
  type PrefixKey,
  writeNlri,
} from './nlri.ts';
import { ErrorCode, type Notification, notification, UpdateError } from './notification.ts';

/** Routes that one family of an UPDATE makes reachable. */
export interface MpAnnouncement {
  readonly reach: MpReach;
  /** Its attributes; `nextHop` is that of the MP attribute if it is an IPv4 one, else null. */
  readonly attributes: PathAttributes;
}

export interface Update {
  readonly withdrawn: Ipv4NlriList;
  /** Attributes of `reach`; null if nothing is announced. */
  readonly attributes: PathAttributes | null;
  readonly reach: Ipv4NlriList;
  readonly mpReach: MpAnnouncement | null;
  readonly mpWithdrawn: readonly MpNlri[];
  /** The family whose initial table is complete, if the message is an End-of-RIB marker (RFC 4724 §2). */
  readonly endOfRib: Family | null;
}

/**
 * What an UPDATE calls for, RFC 7606 §2. With `attribute-discard`, `update` lacks the attributes in question; with
 * `treat-as-withdraw`, it has its routes among the withdrawn.
 */
export type UpdateResult =
  | { readonly action: 'ok'; readonly update: Update }
  | { readonly action: 'attribute-discard'; readonly update: Update; readonly faults: readonly UpdateFault[] }
  | { readonly action: 'treat-as-withdraw'; readonly update: Update; readonly faults: readonly UpdateFault[] }
  | { readonly action: 'session-reset'; readonly error: Notification };

/** Decodes UPDATEs of any session into the attribute sets of one table. */
export class UpdateDecoder {
  readonly #table: AttributeTable;

  constructor(table: AttributeTable) {
    this.#table = table;
  }

  /**
   * The body of an UPDATE: withdrawn routes length (2), withdrawn routes, total path attribute length (2), path
   * attributes, NLRI. Errors of every kind are in the result (RFC 4271 §6.3 as revised by RFC 7606).
   */
  decode(body: Uint8Array, context: UpdateContext): UpdateResult {
    if (body.length < 4) return reset(UpdateError.malformedAttributeList);
    const withdrawnEnd = 2 + u16(body, 0);
    if (withdrawnEnd + 2 > body.length) return reset(UpdateError.malformedAttributeList);
    const attributesAt = withdrawnEnd + 2;
    const attributesEnd = attributesAt + u16(body, withdrawnEnd);
    if (attributesEnd > body.length) return reset(UpdateError.malformedAttributeList);
    const withdrawn = decodeIpv4Nlri(body, 2, withdrawnEnd, context.pathIds.ipv4);
    const reach = decodeIpv4Nlri(body, attributesEnd, body.length, context.pathIds.ipv4);
    if (withdrawn === null || reach === null) return reset(UpdateError.invalidNetworkField);
    if (attributesAt === attributesEnd) return this.#withoutAttributes(withdrawn, reach);
    return this.#withAttributes(body, attributesAt, attributesEnd, withdrawn, reach, context);
  }

  #withoutAttributes(withdrawn: Ipv4NlriList, reach: Ipv4NlriList): UpdateResult {
    const nothing = { attributes: null, reach: NO_IPV4_NLRI, mpReach: null, mpWithdrawn: [] };
    if (reach.keys.length > 0) {
      const update = { ...nothing, withdrawn: joined(withdrawn, reach), endOfRib: null };
      return { action: 'treat-as-withdraw', update, faults: [missing(Attr.origin)] };
    }
    const endOfRib = withdrawn.keys.length === 0 ? IPV4_UNICAST : null;
    return { action: 'ok', update: { ...nothing, withdrawn, endOfRib } };
  }

  #withAttributes(
    body: Uint8Array,
    off: number,
    end: number,
    withdrawn: Ipv4NlriList,
    reach: Ipv4NlriList,
    context: UpdateContext,
  ): UpdateResult {
    // Most sets have come before, with other prefixes, or from other peers.
    const findable = context.asSize === 4 && reach.keys.length > 0;
    const known = findable ? this.#table.find(body, off, end - off) : undefined;
    if (known?.heard && (context.peer === 'internal' || known.mayBeExternal)) {
      const update = { withdrawn, attributes: known, reach, mpReach: null, mpWithdrawn: [], endOfRib: null };
      return { action: 'ok', update };
    }
    const decoded = decodeAttributes(body, off, end, context);
    const faults = [...decoded.faults, ...missingMandatory(decoded, reach)];
    const fatal = faults.find((fault) => fault.action === 'session-reset');
    if (fatal !== undefined) return reset(fatal.subcode, fatal.data);
    const bad = faults.find((fault) => fault.action === 'treat-as-withdraw');
    if (bad !== undefined) {
      // RFC 7606 §5.2: without reachable NLRI there is nothing to withdraw in its place, and withdrawals may be lost.
      if (reach.keys.length === 0 && decoded.mpReach === null) return reset(bad.subcode, bad.data);
      return { action: 'treat-as-withdraw', update: asWithdrawal(decoded, withdrawn, reach), faults };
    }
    const attributes = reach.keys.length > 0 ? this.#table.intern(decoded.fields) : null;
    const { mpReach, mpUnreach } = decoded;
    const update: Update = {
      withdrawn,
      attributes,
      reach,
      mpReach: mpReach === null ? null : this.#announcement(decoded, mpReach),
      mpWithdrawn: mpUnreach === null ? [] : [mpUnreach],
      endOfRib: endOfRib(decoded, withdrawn, reach),
    };
    if (faults.length > 0) return { action: 'attribute-discard', update, faults };
    if (findable && attributes?.isEncodedAs(body, off, end - off)) attributes.heard = true;
    return { action: 'ok', update };
  }

  #announcement(decoded: DecodedAttributes, reach: MpReach): MpAnnouncement {
    const nextHops = { nextHop: ipv4NextHop(reach), nextHop6: ipv6NextHop(reach) };
    return { reach, attributes: this.#table.intern({ ...decoded.fields, ...nextHops }) };
  }
}

function reset(subcode: number, data?: Uint8Array): UpdateResult {
  return { action: 'session-reset', error: notification(ErrorCode.updateMessage, subcode, data) };
}

function missing(attribute: number): UpdateFault {
  const data = Uint8Array.of(attribute);
  return { action: 'treat-as-withdraw', subcode: UpdateError.missingWellKnown, attribute, data };
}

/**
 * RFC 7606 §3 d. LOCAL_PREF is not among them: a path from an internal peer without one gets the default, as it
 * does in BIRD.
 */
function missingMandatory(decoded: DecodedAttributes, reach: Ipv4NlriList): UpdateFault[] {
  const classic = reach.keys.length > 0;
  if (!classic && decoded.mpReach === null) return [];
  const wanted = classic ? [Attr.origin, Attr.asPath, Attr.nextHop] : [Attr.origin, Attr.asPath];
  return wanted.filter((attribute) => !decoded.present.includes(attribute)).map(missing);
}

function asWithdrawal(decoded: DecodedAttributes, withdrawn: Ipv4NlriList, reach: Ipv4NlriList): Update {
  const mpWithdrawn: MpNlri[] = [];
  if (decoded.mpUnreach !== null) mpWithdrawn.push(decoded.mpUnreach);
  if (decoded.mpReach !== null) mpWithdrawn.push(decoded.mpReach.nlri);
  return {
    withdrawn: joined(withdrawn, reach),
    attributes: null,
    reach: NO_IPV4_NLRI,
    mpReach: null,
    mpWithdrawn,
    endOfRib: null,
  };
}

function joined(a: Ipv4NlriList, b: Ipv4NlriList): Ipv4NlriList {
  const pathIds =
    a.pathIds === null && b.pathIds === null ? null : [...(a.pathIds ?? []), ...(b.pathIds ?? [])];
  return { keys: [...a.keys, ...b.keys], pathIds };
}

function endOfRib(decoded: DecodedAttributes, withdrawn: Ipv4NlriList, reach: Ipv4NlriList): Family | null {
  const { mpUnreach, present } = decoded;
  if (mpUnreach === null || present.length !== 1) return null;
  if (withdrawn.keys.length > 0 || reach.keys.length > 0) return null;
  return isEmpty(mpUnreach) ? mpUnreach.family : null;
}

function isEmpty(nlri: MpNlri): boolean {
  if (nlri.type === 'ipv4') return nlri.list.keys.length === 0;
  return nlri.type === 'ipv6' ? nlri.prefixes.length === 0 : nlri.bytes.length === 0;
}

/** Offsets in an UPDATE: the message's length, that of the withdrawn routes, and of the attributes where no routes are withdrawn. */
const LENGTH_AT = 16;
const WITHDRAWN_AT = HEADER_LENGTH;
const ATTRIBUTES_AT = HEADER_LENGTH + 4;
/** Header of an MP attribute with a length of two bytes; AFI, SAFI, and of MP_REACH next hop length and reserved byte. */
const MP_HEADER = 4;
const MP_REACH_HEAD = MP_HEADER + 5;
/** Path identifier, length and address of the longest prefix. */
const LONGEST_NLRI = 4 + 17;

/** What of a session bears on the messages that go over it. */
export interface PackContext {
  readonly asSize: AsSize;
  readonly pathIds: MpPathIds;
  /** Longest message that the peer takes, bytes. */
  readonly maxMessage: number;
}

/** Whether an UPDATE with these attributes has room for a prefix; RFC 4271 §9.2: what has not is not advertised. */
export function fitsMessage(attributes: PathAttributes, asSize: AsSize, maxMessage: number): boolean {
  const mp = attributes.nextHop6 === null ? 0 : MP_REACH_HEAD + attributes.nextHop6.length;
  return ATTRIBUTES_AT + mp + attributes.wireLength(asSize) + LONGEST_NLRI <= maxMessage;
}

/**
 * Packs prefixes of one family into one UPDATE up to the message limit: announced with the attributes, or withdrawn when
 * there are none. IPv4 prefixes with an IPv4 next hop go in the classic fields, all others in MP attributes (RFC 4760), which
 * come first (RFC 7606 §5.1).
 */
export class UpdatePacker {
  #buffer = blank(MAX_MESSAGE);
  #attributes: PathAttributes | null = null;
  #context: PackContext | null = null;
  #family: 'ipv4' | 'ipv6' = 'ipv4';
  #form: 'announced' | 'withdrawn' | 'mp' = 'announced';
  /** Where the next prefix goes, 0 while there is none; and where prefixes must end. */
  #at = 0;
  #end = 0;

  /** Begins a message, forgetting what was added since the last. */
  begin(attributes: PathAttributes | null, context: PackContext): void {
    this.#attributes = attributes;
    this.#context = context;
    this.#at = 0;
    if (this.#buffer.length < context.maxMessage) this.#buffer = blank(context.maxMessage);
  }

  get isEmpty(): boolean {
    return this.#at === 0;
  }

  /** Adds a prefix; false, and nothing added, if there is no room left for it or it is of another family. */
  add(key: PrefixKey, pathId: number): boolean {
    const context = this.#context;
    if (context === null) return false;
    const family = typeof key === 'number' ? 'ipv4' : 'ipv6';
    if (this.#at > 0 && family !== this.#family) return false;
    let at = this.#at === 0 ? this.#head(family, context) : this.#at;
    const idLength = context.pathIds[family] === 'present' ? 4 : 0;
    if (at + idLength + nlriSize(key) > this.#end) return false;
    if (idLength > 0) {
      setU32(this.#buffer, at, pathId);
      at += idLength;
    }
    this.#at = writeNlri(this.#buffer, at, key);
    return true;
  }

  /** Writes what comes before the prefixes; returns where they begin. */
  #head(family: 'ipv4' | 'ipv6', { asSize, maxMessage }: PackContext): number {
    const buffer = this.#buffer;
    const attributes = this.#attributes;
    const own = attributes?.wireLength(asSize) ?? 0;
    this.#family = family;
    setU16(buffer, WITHDRAWN_AT, 0);
    if (family === 'ipv4' && attributes === null) {
      this.#form = 'withdrawn';
      // The length of the attributes comes behind.
      this.#end = maxMessage - 2;
      return WITHDRAWN_AT + 2;
    }
    if (own > maxMessage - ATTRIBUTES_AT) {
      this.#end = 0;
      return ATTRIBUTES_AT;
    }
    if (family === 'ipv4' && attributes !== null && attributes.nextHop !== null) {
      this.#form = 'announced';
      this.#end = maxMessage;
      setU16(buffer, ATTRIBUTES_AT - 2, own);
      return attributes.writeTo(buffer, ATTRIBUTES_AT, asSize);
    }
    this.#form = 'mp';
    this.#end = maxMessage - own;
    return this.#mpHead(attributes);
  }

  #mpHead(attributes: PathAttributes | null): number {
    const buffer = this.#buffer;
    const { afi, safi } = this.#family === 'ipv4' ? IPV4_UNICAST : IPV6_UNICAST;
    let at = ATTRIBUTES_AT;
    buffer[at] = AttrFlag.optional | AttrFlag.extendedLength;
    buffer[at + 1] = attributes === null ? Attr.mpUnreach : Attr.mpReach;
    at += MP_HEADER;
    setU16(buffer, at, afi);
    buffer[at + 2] = safi;
    at += 3;
    if (attributes === null) return at;
    const nextHop = attributes.nextHop6 ?? '';
    buffer[at++] = nextHop.length;
    for (let i = 0; i < nextHop.length; i++) buffer[at++] = nextHop.charCodeAt(i);
    buffer[at++] = 0;
    return at;
  }

  /** The message, a copy of its own. */
  finish(): Uint8Array {
    const buffer = this.#buffer;
    let end = this.#at;
    this.#at = 0;
    if (this.#form === 'withdrawn') {
      setU16(buffer, WITHDRAWN_AT, end - WITHDRAWN_AT - 2);
      setU16(buffer, end, 0);
      end += 2;
    } else if (this.#form === 'mp') {
      setU16(buffer, ATTRIBUTES_AT + 2, end - ATTRIBUTES_AT - MP_HEADER);
      end = this.#attributes?.writeTo(buffer, end, this.#context?.asSize ?? 4) ?? end;
      setU16(buffer, ATTRIBUTES_AT - 2, end - ATTRIBUTES_AT);
    }
    setU16(buffer, LENGTH_AT, end);
    return buffer.slice(0, end);
  }
}

/** Room for a message, its marker and type written. */
function blank(size: number): Uint8Array {
  const buffer = new Uint8Array(size);
  buffer.set(frameMessage(MessageType.update, 0));
  return buffer;
}

const NOTHING = new Uint8Array(0);

/** A whole UPDATE from its parts, as they are: MP attributes go with the other attributes. */
export function encodeUpdate(withdrawn: Uint8Array, attributes: Uint8Array, nlri: Uint8Array): Uint8Array {
  const message = frameMessage(MessageType.update, 4 + withdrawn.length + attributes.length + nlri.length);
  setU16(message, HEADER_LENGTH, withdrawn.length);
  message.set(withdrawn, HEADER_LENGTH + 2);
  setU16(message, HEADER_LENGTH + 2 + withdrawn.length, attributes.length);
  message.set(attributes, HEADER_LENGTH + 4 + withdrawn.length);
  message.set(nlri, HEADER_LENGTH + 4 + withdrawn.length + attributes.length);
  return message;
}

/** The End-of-RIB marker, RFC 4724 §2: an UPDATE with nothing in it, or with an MP_UNREACH_NLRI of no prefixes. */
export function encodeEndOfRib(family: 'ipv4' | 'ipv6'): Uint8Array {
  if (family === 'ipv4') return frameMessage(MessageType.update, 4);
  const { afi, safi } = IPV6_UNICAST;
  return encodeUpdate(NOTHING, Uint8Array.of(AttrFlag.optional, Attr.mpUnreach, 3, 0, afi, safi), NOTHING);
}
