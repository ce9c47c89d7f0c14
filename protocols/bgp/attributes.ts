import { type AsPath, type AsSize, asPathLength, needsFourOctets, neighborAs } from './as-path.ts';
import { encodeAttributes } from './attribute-encode.ts';
import type { ExtendedCommunity, LargeCommunity } from './community.ts';
import type { Exported } from './export.ts';
import type { AttributeFacts } from './facts.ts';

/** ORIGIN: 0 IGP, 1 EGP, 2 INCOMPLETE; lower is preferred. */
export type Origin = 0 | 1 | 2;
export const ORIGIN_NAMES = ['IGP', 'EGP', 'INCOMPLETE'] as const;

export interface Aggregator {
  readonly asn: number;
  readonly address: number;
}

/** An optional transitive attribute that is not known here, kept to be passed on with the Partial bit set. */
export interface UnknownAttribute {
  /** Optional, transitive and partial bits; the extended-length bit follows from the length. */
  readonly flags: number;
  readonly type: number;
  readonly value: Uint8Array;
}

/** The attributes of a path, RFC 4271 §5 and the documents that added to it. Addresses and identifiers are numbers. */
export interface AttributeFields {
  readonly origin: Origin;
  readonly asPath: AsPath;
  /** IPv4 next hop; null where MP_REACH_NLRI has an IPv6 one. */
  readonly nextHop: number | null;
  /** IPv6 next hop, 16 characters, or 32 with the link-local one behind the global one (RFC 2545 §3). */
  readonly nextHop6: string | null;
  readonly med: number | null;
  readonly localPref: number | null;
  readonly atomicAggregate: boolean;
  readonly aggregator: Aggregator | null;
  readonly communities: readonly number[];
  readonly originatorId: number | null;
  readonly clusterList: readonly number[];
  readonly extendedCommunities: readonly ExtendedCommunity[];
  readonly largeCommunities: readonly LargeCommunity[];
  /** In order of type code. */
  readonly unknown: readonly UnknownAttribute[];
}

export const NO_ATTRIBUTES: AttributeFields = {
  origin: 0,
  asPath: [],
  nextHop: null,
  nextHop6: null,
  med: null,
  localPref: null,
  atomicAggregate: false,
  aggregator: null,
  communities: [],
  originatorId: null,
  clusterList: [],
  extendedCommunities: [],
  largeCommunities: [],
  unknown: [],
};

/**
 * An interned set of attributes: within one table equal sets are the same object, so that comparing paths, grouping
 * prefixes into messages and suppressing duplicates compare references. Immutable.
 */
export class PathAttributes implements AttributeFields {
  readonly origin: Origin;
  readonly asPath: AsPath;
  readonly nextHop: number | null;
  readonly nextHop6: string | null;
  readonly med: number | null;
  readonly localPref: number | null;
  readonly atomicAggregate: boolean;
  readonly aggregator: Aggregator | null;
  readonly communities: readonly number[];
  readonly originatorId: number | null;
  readonly clusterList: readonly number[];
  readonly extendedCommunities: readonly ExtendedCommunity[];
  readonly largeCommunities: readonly LargeCommunity[];
  readonly unknown: readonly UnknownAttribute[];
  /** `asPathLength` of the path. */
  readonly pathLength: number;
  /** `neighborAs` of the path. */
  readonly neighborAs: number | null;
  /** What was made of it for export, see export.ts; and its text, see facts.ts. */
  exported: Exported | null = null;
  facts: AttributeFacts | null = null;
  /**
   * Whether its encoding with 4-octet AS numbers has come from a peer with prefixes behind it and was found to be without fault,
   * so that it need not be read again.
   */
  heard = false;
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #length: number;
  #wire2: Uint8Array | null = null;

  /** Its encoding with 4-octet AS numbers is so many `bytes` from `offset` on. Made by `AttributeTable` alone. */
  constructor(fields: AttributeFields, bytes: Uint8Array, offset: number, length: number) {
    this.origin = fields.origin;
    this.asPath = fields.asPath;
    this.nextHop = fields.nextHop;
    this.nextHop6 = fields.nextHop6;
    this.med = fields.med;
    this.localPref = fields.localPref;
    this.atomicAggregate = fields.atomicAggregate;
    this.aggregator = fields.aggregator;
    this.communities = fields.communities;
    this.originatorId = fields.originatorId;
    this.clusterList = fields.clusterList;
    this.extendedCommunities = fields.extendedCommunities;
    this.largeCommunities = fields.largeCommunities;
    this.unknown = fields.unknown;
    this.pathLength = asPathLength(fields.asPath);
    this.neighborAs = neighborAs(fields.asPath);
    this.#bytes = bytes;
    this.#offset = offset;
    this.#length = length;
  }

  /** Bytes of the path attributes field of an UPDATE on a session with AS numbers of this size. */
  wireLength(size: AsSize): number {
    return size === 4 ? this.#length : this.#narrow.length;
  }

  /** Writes that field; returns the offset after it. */
  writeTo(buf: Uint8Array, off: number, size: AsSize): number {
    const wide = size === 4;
    const bytes = wide ? this.#bytes : this.#narrow;
    const from = wide ? this.#offset : 0;
    const length = wide ? this.#length : bytes.length;
    // For so few bytes a loop is faster than what a view would cost.
    for (let i = 0; i < length; i++) buf[off + i] = bytes[from + i]!;
    return off + length;
  }

  /** Whether its encoding with 4-octet AS numbers is these bytes. */
  isEncodedAs(buf: Uint8Array, off: number, length: number): boolean {
    if (this.#length !== length) return false;
    for (let i = 0; i < length; i++) if (this.#bytes[this.#offset + i] !== buf[off + i]) return false;
    return true;
  }

  get #narrow(): Uint8Array {
    this.#wire2 ??= encodeAttributes(this, 2);
    return this.#wire2;
  }

  /** Whether it has nothing that is for internal peers alone: LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST. */
  get mayBeExternal(): boolean {
    return this.localPref === null && this.originatorId === null && this.clusterList.length === 0;
  }

  /** Whether a speaker without 4-octet AS numbers gets AS4_PATH beside AS_PATH. */
  get hasFourOctetAs(): boolean {
    return needsFourOctets(this.asPath);
  }
}
