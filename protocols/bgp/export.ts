import { asPathContains, isPrivateAs, mapAsPath, prependAs } from './as-path.ts';
import type { AttributeTable } from './attribute-table.ts';
import type { AttributeFields, PathAttributes } from './attributes.ts';
import { WellKnown } from './community.ts';
import type { FamilyName, LoopAvoidance } from './config.ts';
import { DEFAULT_LOCAL_PREF } from './constants.ts';
import { splitNextHop } from './nexthops.ts';
import { familyOf, type PrefixKey } from './nlri.ts';
import { type NextHopFields, ownNextHop } from './own-next-hop.ts';
import type { Path, Peer } from './path.ts';
import { mayReflect, reflected } from './reflection.ts';
import type { PolicyContext, RoutePolicy } from './route-policy.ts';
import { fitsMessage } from './update.ts';

/** What of the speaker bears on what it tells its peers. */
export interface ExportContext {
  readonly asn: number;
  /** null if the speaker is no route reflector. */
  readonly clusterId: number | null;
  readonly loopAvoidance: LoopAvoidance;
  readonly ebgpRequiresPolicy: 'on' | 'off';
  readonly attributes: AttributeTable;
  readonly variants: ExportVariants;
}

/** Why a peer is not told of a path. */
export type Withheld =
  | 'split-horizon'
  | 'as-in-path'
  | 'no-advertise'
  | 'no-export'
  | 'not-reflected'
  | 'long-lived-stale'
  | 'export-policy'
  | 'no-export-policy'
  | 'no-next-hop'
  | 'no-extended-next-hop'
  | 'too-long';

/** What was made of an attribute set for export to peers of one kind; then what was made of it for others. */
export interface Exported {
  readonly variant: number;
  source: Peer | null;
  result: PathAttributes | Withheld;
  readonly next: Exported | null;
}

/**
 * The kinds of peers that get the same of the same attribute sets, numbered: clients of one reflector are one kind. What was made
 * for them stands at the set that it was made of.
 */
export class ExportVariants {
  readonly #variants = new Map<string, number>();

  /** The number of a peer's kind. */
  of(peer: Peer, family: FamilyName): number {
    const { kind, asn, nextHopSelf, extendedNextHop, longLived, options } = peer;
    const { privateAs = '', asOverride = 'off', med = '' } = options;
    const override = asOverride === 'on' ? asn : '';
    const own = Object.values(ownNextHop(peer, family) ?? {});
    const name = [
      family,
      kind,
      nextHopSelf,
      extendedNextHop,
      longLived,
      privateAs,
      override,
      med,
      ...own,
    ].join(' ');
    const known = this.#variants.get(name);
    if (known !== undefined) return known;
    this.#variants.set(name, this.#variants.size);
    return this.#variants.size - 1;
  }
}

/** The way from a path to what one peer is told of it. One a session. */
export class Exporter {
  readonly #peer: Peer;
  readonly #context: ExportContext;
  readonly #policy: RoutePolicy | null;
  readonly #variants: Readonly<Record<FamilyName, number>>;
  /** What it says of itself, by family; null: it has nothing to say. */
  readonly #own: Readonly<Record<FamilyName, NextHopFields | null>>;
  /** The last result: a run of destinations with one path's attributes is worked out once. */
  #lastAttributes: PathAttributes | null = null;
  #lastSource: Peer | null = null;
  #lastFamily: FamilyName = 'ipv4';
  #lastResult: PathAttributes | Withheld = 'split-horizon';

  constructor(peer: Peer, context: ExportContext, policy: RoutePolicy | null) {
    this.#peer = peer;
    this.#context = context;
    this.#policy = policy;
    this.#variants = { ipv4: context.variants.of(peer, 'ipv4'), ipv6: context.variants.of(peer, 'ipv6') };
    this.#own = { ipv4: ownNextHop(peer, 'ipv4'), ipv6: ownNextHop(peer, 'ipv6') };
  }

  /** Attributes to advertise the path with; null if the peer is not to have it. */
  export(path: Path, key: PrefixKey): PathAttributes | null {
    const result = this.judge(path, key);
    return typeof result === 'string' ? null : result;
  }

  /** The same with the reason why the peer is not to have it. */
  judge(path: Path, key: PrefixKey): PathAttributes | Withheld {
    const family = familyOf(key);
    if (path.attributes === this.#lastAttributes && path.peer === this.#lastSource) {
      if (family === this.#lastFamily) return this.#lastResult;
    }
    const result = this.#withheld(path) ?? this.#attributes(path, key);
    const shared = this.#policy === null || !this.#policy.dependsOnPrefix;
    this.#lastAttributes = shared ? path.attributes : null;
    this.#lastSource = path.peer;
    this.#lastFamily = family;
    this.#lastResult = result;
    return result;
  }

  #withheld({ peer: source, attributes }: Path): Withheld | null {
    const peer = this.#peer;
    const { loopAvoidance, clusterId, ebgpRequiresPolicy } = this.#context;
    const { communities } = attributes;
    if (loopAvoidance !== 'plain' && source !== null && source.name === peer.name) return 'split-horizon';
    if (loopAvoidance === 'sender-side-loop-detection' && peer.kind === 'external') {
      if (asPathContains(attributes.asPath, peer.asn)) return 'as-in-path';
    }
    if (communities.includes(WellKnown.noAdvertise)) return 'no-advertise';
    if (peer.kind === 'external') {
      const stays =
        communities.includes(WellKnown.noExport) || communities.includes(WellKnown.noExportSubconfed);
      if (stays) return 'no-export';
      // RFC 9494 §4.3: a peer that does not know what it is must not prefer it to anything.
      if (communities.includes(WellKnown.llgrStale) && !knowsLongLived(peer)) return 'long-lived-stale';
      return ebgpRequiresPolicy === 'on' && this.#policy === null ? 'no-export-policy' : null;
    }
    const reflects = source?.kind !== 'internal' || (clusterId !== null && mayReflect(source, peer));
    return reflects ? null : 'not-reflected';
  }

  #attributes(path: Path, key: PrefixKey): PathAttributes | Withheld {
    const made = this.#made(path, key);
    if (typeof made === 'string') return made;
    const decided = this.#policy === null ? made : this.#applyPolicy(path, key, made);
    if (decided === null) return 'export-policy';
    const needsExtended = decided.nextHop === null && typeof key === 'number';
    if (needsExtended && this.#peer.extendedNextHop === 'no') return 'no-extended-next-hop';
    return fitsMessage(decided, this.#peer.asSize, this.#peer.maxMessage) ? decided : 'too-long';
  }

  /** What policy aside the peer is told, worked out once for all peers of its kind. */
  #made(path: Path, key: PrefixKey): PathAttributes | Withheld {
    const { attributes, peer: source } = path;
    const variant = this.#variants[familyOf(key)];
    let made = attributes.exported;
    while (made !== null && made.variant !== variant) made = made.next;
    if (made?.source === source) return made.result;
    const result = this.#peer.kind === 'external' ? this.#toExternal(path, key) : this.#toInternal(path, key);
    if (made === null) attributes.exported = { variant, source, result, next: attributes.exported };
    else {
      made.source = source;
      made.result = result;
    }
    return result;
  }

  /** Export policy sees a route as it would go out, as in BIRD and FRR, but for the next hop that it may set itself. */
  #applyPolicy(path: Path, key: PrefixKey, attributes: PathAttributes): PathAttributes | null {
    const context: PolicyContext = {
      source: path.peer,
      peer: this.#peer,
      direction: 'export',
      asn: this.#context.asn,
    };
    const outcome = this.#policy?.apply(key, attributes, context) ?? null;
    if (outcome === null || outcome === attributes) return outcome === null ? null : attributes;
    return this.#context.attributes.intern(outcome);
  }

  /**
   * RFC 4271 §5.1.2 b, §5.1.3, §5.1.4, §5.1.5: own AS in front, own address as next hop; LOCAL_PREF and the reflection
   * attributes stay inside the AS, and a MED that came from another AS goes no further.
   */
  #toExternal({ attributes, peer: source }: Path, key: PrefixKey): PathAttributes | Withheld {
    const { options } = this.#peer;
    const own = this.#own[familyOf(key)];
    if (own === null) return 'no-next-hop';
    const inherited = source === null ? attributes.med : null;
    return this.#context.attributes.intern({
      ...attributes,
      ...own,
      asPath: prependAs(this.#cleaned(attributes), this.#context.asn),
      med: options.med ?? inherited,
      localPref: null,
      originatorId: null,
      clusterList: [],
    });
  }

  /** The path without what the peer is not to see, before our own AS goes in front. */
  #cleaned({ asPath }: PathAttributes): PathAttributes['asPath'] {
    const { privateAs = 'keep', asOverride = 'off' } = this.#peer.options;
    const { asn } = this.#context;
    let path = asPath;
    if (privateAs !== 'keep') {
      const instead = privateAs === 'replace' ? asn : null;
      path = mapAsPath(path, (each) => (isPrivateAs(each) && each !== this.#peer.asn ? instead : each));
    }
    if (asOverride === 'on') path = mapAsPath(path, (each) => (each === this.#peer.asn ? asn : each));
    return path;
  }

  /** The next hop is kept but for own routes, and with next-hop-self for what came from another AS. */
  #toInternal({ attributes, peer: source }: Path, key: PrefixKey): PathAttributes | Withheld {
    const { attributes: table, clusterId } = this.#context;
    const self = source === null || (this.#peer.nextHopSelf && source.kind === 'external');
    const nextHop = self ? (this.#own[familyOf(key)] ?? 'no-next-hop') : this.#kept(attributes, key);
    if (typeof nextHop === 'string') return nextHop;
    const changed: AttributeFields = {
      ...attributes,
      ...nextHop,
      ...(this.#isDeployedInPart(attributes)
        ? { localPref: 0, communities: withNoExport(attributes.communities) }
        : { localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF }),
    };
    if (source?.kind !== 'internal' || clusterId === null) return table.intern(changed);
    return table.intern(reflected(changed, source, clusterId));
  }

  /** RFC 9494 §4.6: whoever does not know LLGR_STALE is to prefer anything else, and to keep the route inside the AS. */
  #isDeployedInPart({ communities }: PathAttributes): boolean {
    return communities.includes(WellKnown.llgrStale) && !knowsLongLived(this.#peer);
  }

  /** A next hop that is passed on, without what means nothing beyond its link (RFC 2545 §3). */
  #kept({ nextHop, nextHop6 }: PathAttributes, key: PrefixKey): NextHopFields | Withheld {
    const family = familyOf(key);
    if (nextHop6 === null) return { nextHop, nextHop6 };
    const { global } = splitNextHop(nextHop6);
    if (global === null) return this.#own[family] ?? 'no-next-hop';
    if (family === 'ipv4' && this.#peer.extendedNextHop === 'no') return 'no-extended-next-hop';
    return { nextHop: null, nextHop6: global };
  }
}

function withNoExport(communities: readonly number[]): readonly number[] {
  return communities.includes(WellKnown.noExport) ? communities : [...communities, WellKnown.noExport];
}

function knowsLongLived({ longLived }: Peer): boolean {
  return longLived === 'yes';
}
