import { type AsPath, type AsSize, asPathLength, needsFourOctets, neighborAs } from './as-path.ts';
import { attributesKey } from './attribute-encode.ts';
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
  /** What was made of it for export, see `ExportCache`; and its text, see facts.ts. */
  readonly exported: (Exported | undefined)[] = [];
  facts: AttributeFacts | null = null;
  /**
   * Whether its encoding with 4-octet AS numbers has come from a peer with prefixes behind it and was found to be without fault,
   * so that it need not be read again.
   */
  heard = false;
  readonly #wire4: string;
  #wire2: string | null = null;

  /** `wire` is the encoding with 4-octet AS numbers, a character for each byte. Made by `AttributeTable` alone. */
  constructor(fields: AttributeFields, wire: string) {
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
    this.#wire4 = wire;
  }

  /** Bytes of the path attributes field of an UPDATE on a session with AS numbers of this size. */
  wireLength(size: AsSize): number {
    return this.#wire(size).length;
  }

  /** Writes that field; returns the offset after it. */
  writeTo(buf: Uint8Array, off: number, size: AsSize): number {
    const wire = this.#wire(size);
    for (let i = 0; i < wire.length; i++) buf[off + i] = wire.charCodeAt(i);
    return off + wire.length;
  }

  #wire(size: AsSize): string {
    if (size === 4) return this.#wire4;
    this.#wire2 ??= attributesKey(this, 2);
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

/** Sweeping starts above this many entries. */
const SWEEP_MINIMUM = 1024;

/** Interns attribute sets by their encoded bytes. Sets that nothing else refers to any more are forgotten. */
export class AttributeTable {
  readonly #sets = new Map<string, WeakRef<PathAttributes>>();
  #sweepAt = SWEEP_MINIMUM;

  /** Entries, swept or not. */
  get size(): number {
    return this.#sets.size;
  }

  /** The set with an IPv4 next hop, if any, and this encoding with 4-octet AS numbers; undefined if there is none. */
  find(wire: string): PathAttributes | undefined {
    return this.#sets.get(wire)?.deref();
  }

  /** `guess` is its encoding with 4-octet AS numbers, maybe: it saves making one. */
  intern(fields: AttributeFields, guess = ''): PathAttributes {
    const wire = attributesKey(fields, 4, guess);
    // The IPv6 next hop goes out in MP_REACH_NLRI, which is not part of the encoding.
    const key = fields.nextHop6 === null ? wire : `${wire}|${fields.nextHop6}`;
    const known = this.#sets.get(key)?.deref();
    if (known !== undefined) return known;
    const made = new PathAttributes(fields, wire);
    this.#sets.set(key, new WeakRef(made));
    if (this.#sets.size > this.#sweepAt) this.#sweep();
    return made;
  }

  #sweep(): void {
    for (const [key, ref] of this.#sets) if (ref.deref() === undefined) this.#sets.delete(key);
    this.#sweepAt = Math.max(SWEEP_MINIMUM, 2 * this.#sets.size);
  }
}
