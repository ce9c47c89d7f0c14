import { asPathContains, prependAs } from './as-path.ts';
import type { AttributeTable, PathAttributes } from './attributes.ts';
import { WellKnown } from './community.ts';
import type { LoopAvoidance } from './config.ts';
import { DEFAULT_LOCAL_PREF } from './constants.ts';
import type { Path, Peer } from './path.ts';
import { mayReflect, reflected } from './reflection.ts';
import { fitsMessage } from './update.ts';

/** What of the speaker bears on what it tells its peers. */
export interface ExportContext {
  readonly asn: number;
  /** null if the speaker is no route reflector. */
  readonly clusterId: number | null;
  readonly loopAvoidance: LoopAvoidance;
  readonly attributes: AttributeTable;
  readonly cache: ExportCache;
}

interface Made {
  readonly source: Peer | null;
  readonly result: PathAttributes;
}

/** Attribute sets made for export, shared by the peers that get the same of them: clients of one reflector do. */
export class ExportCache {
  readonly #variants = new Map<string, WeakMap<PathAttributes, Made>>();

  /** What was made for the peers of one kind, by the attributes it was made of. */
  of({ kind, nextHopSelf, localAddress }: Peer): WeakMap<PathAttributes, Made> {
    const variant = `${kind} ${nextHopSelf ? 'self' : ''} ${localAddress}`;
    let made = this.#variants.get(variant);
    if (made === undefined) {
      made = new WeakMap();
      this.#variants.set(variant, made);
    }
    return made;
  }
}

/** The way from the best path to what one peer is told of it. One a session. */
export class Exporter {
  readonly #peer: Peer;
  readonly #context: ExportContext;
  readonly #made: WeakMap<PathAttributes, Made>;
  /** The last result: a run of destinations with one path's attributes is worked out once. */
  #lastAttributes: PathAttributes | null = null;
  #lastSource: Peer | null = null;
  #lastResult: PathAttributes | null = null;

  constructor(peer: Peer, context: ExportContext) {
    this.#peer = peer;
    this.#context = context;
    this.#made = context.cache.of(peer);
  }

  /** Attributes to advertise the path with; null if the peer is not to have it. */
  export(path: Path): PathAttributes | null {
    if (path.attributes === this.#lastAttributes && path.peer === this.#lastSource) return this.#lastResult;
    const result = this.#maySend(path) ? this.#attributes(path) : null;
    this.#lastAttributes = path.attributes;
    this.#lastSource = path.peer;
    this.#lastResult = result;
    return result;
  }

  #maySend({ peer: source, attributes }: Path): boolean {
    const peer = this.#peer;
    const { loopAvoidance, clusterId } = this.#context;
    if (loopAvoidance !== 'plain' && source === peer) return false;
    if (loopAvoidance === 'sender-side-loop-detection' && peer.kind === 'external') {
      if (asPathContains(attributes.asPath, peer.asn)) return false;
    }
    if (attributes.communities.includes(WellKnown.noAdvertise)) return false;
    if (peer.kind === 'external') {
      const { communities } = attributes;
      return !communities.includes(WellKnown.noExport) && !communities.includes(WellKnown.noExportSubconfed);
    }
    return source?.kind !== 'internal' || (clusterId !== null && mayReflect(source, peer));
  }

  #attributes(path: Path): PathAttributes | null {
    let made = this.#made.get(path.attributes);
    if (made === undefined || made.source !== path.peer) {
      const result = this.#peer.kind === 'external' ? this.#toExternal(path) : this.#toInternal(path);
      made = { source: path.peer, result };
      this.#made.set(path.attributes, made);
    }
    return fitsMessage(made.result.wire(this.#peer.asSize)) ? made.result : null;
  }

  /**
   * RFC 4271 §5.1.2 b, §5.1.3, §5.1.4, §5.1.5: own AS in front, own address as next hop; LOCAL_PREF and the reflection
   * attributes stay inside the AS, and a MED that came from another AS goes no further.
   */
  #toExternal({ attributes, peer: source }: Path): PathAttributes {
    return this.#context.attributes.intern({
      ...attributes,
      asPath: prependAs(attributes.asPath, this.#context.asn),
      nextHop: this.#peer.localAddress,
      med: source === null ? attributes.med : null,
      localPref: null,
      originatorId: null,
      clusterList: [],
    });
  }

  /** The next hop is kept but for own routes, and with next-hop-self for what came from another AS. */
  #toInternal({ attributes, peer: source }: Path): PathAttributes {
    const { attributes: table, clusterId } = this.#context;
    const self = source === null || (this.#peer.nextHopSelf && source.kind === 'external');
    const changed = {
      ...attributes,
      nextHop: self ? this.#peer.localAddress : attributes.nextHop,
      localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF,
    };
    if (source?.kind !== 'internal' || clusterId === null) return table.intern(changed);
    return table.intern(reflected(changed, source, clusterId));
  }
}
