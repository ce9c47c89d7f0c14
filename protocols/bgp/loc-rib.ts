import type { OutEntry } from './adj-rib-out.ts';
import { type DecisionOptions, decide } from './decision.ts';
import type { NextHop, NextHopAddress } from './nexthops.ts';
import type { PrefixKey } from './nlri.ts';
import type { Path, Peer } from './path.ts';

const NO_NEXT_HOPS: readonly NextHopAddress[] = [];

/** A prefix with every candidate path to it and the best one. */
export class Destination {
  readonly key: PrefixKey;
  /** Candidates: rejected paths are in the Adj-RIB-In alone. */
  paths: Path[] = [];
  best: Path | null = null;
  /** Next hops in the forwarding table, the best path's first. */
  nextHops: readonly NextHopAddress[] = NO_NEXT_HOPS;
  dirty = false;
  /** Event that made it dirty last. */
  cause = 0;
  /** What each peer has been told of it, by the peer's slot. */
  readonly out: (OutEntry | undefined)[] = [];
  /** Adj-RIBs that have it, rejected paths included, and so keep it alive. */
  holders = 0;

  constructor(key: PrefixKey) {
    this.key = key;
  }
}

/** What the decision changed at one destination. */
export interface DestinationChange {
  readonly destination: Destination;
  /** The best path is another, or has other attributes: the peers are concerned. */
  readonly bestChanged: boolean;
  /** The forwarding table is concerned. */
  readonly nextHopsChanged: boolean;
}

/** Destinations that changed under one cause. */
export interface DecisionBatch {
  readonly cause: number;
  readonly changes: readonly DestinationChange[];
}

/** Loc-RIB: all destinations, and the set of those to be decided anew. */
export class LocRib {
  readonly #destinations = new Map<PrefixKey, Destination>();
  readonly #options: DecisionOptions;
  #dirty: Destination[] = [];
  #routes = 0;
  #slots = 0;
  readonly #freeSlots: number[] = [];
  /** Peers that are told of more than the best path, and so of every change of the candidates. */
  #watchers = 0;

  constructor(options: DecisionOptions) {
    this.#options = options;
  }

  /** A place for one more peer in every destination's `out`; to be given back by `releaseSlot`, emptied. */
  acquireSlot(): number {
    return this.#freeSlots.pop() ?? this.#slots++;
  }

  releaseSlot(slot: number): void {
    this.#freeSlots.push(slot);
  }

  get options(): DecisionOptions {
    return this.#options;
  }

  /** From now on every change of a destination's candidates is reported, also one that leaves the best as it is. */
  watchCandidates(): void {
    this.#watchers++;
  }

  unwatchCandidates(): void {
    this.#watchers--;
  }

  /** Destinations with a best path. */
  get routes(): number {
    return this.#routes;
  }

  get dirty(): number {
    return this.#dirty.length;
  }

  destinations(): Iterable<Destination> {
    return this.#destinations.values();
  }

  get(key: PrefixKey): Destination | undefined {
    return this.#destinations.get(key);
  }

  /** The destination of a prefix, made if need be. */
  destination(key: PrefixKey): Destination {
    let destination = this.#destinations.get(key);
    if (destination === undefined) {
      destination = new Destination(key);
      this.#destinations.set(key, destination);
    }
    return destination;
  }

  /** Takes `added` as a candidate in the place of `removed`. */
  replace(destination: Destination, removed: Path | null, added: Path | null, cause: number): void {
    const { paths } = destination;
    const at = removed === null ? -1 : paths.indexOf(removed);
    if (at >= 0 && added !== null) paths[at] = added;
    else if (at >= 0) paths.splice(at, 1);
    else if (added === null) return;
    // Most destinations have one path: pushing onto an empty array would make room for seventeen.
    else if (paths.length === 0) destination.paths = [added];
    else paths.push(added);
    this.#touch(destination, cause);
  }

  /** Marks what depends on any of these next hops. */
  touchUsersOf(nextHops: ReadonlySet<NextHop>, cause: number): void {
    for (const destination of this.#destinations.values()) {
      if (destination.paths.some((path) => path.nextHop !== null && nextHops.has(path.nextHop))) {
        this.#touch(destination, cause);
      }
    }
  }

  /** Runs the decision process over what is dirty; returns the changes by cause, in order of their first. */
  decideDirty(): DecisionBatch[] {
    if (this.#dirty.length === 0) return [];
    const dirty = this.#dirty;
    this.#dirty = [];
    const batches = new Map<number, DestinationChange[]>();
    for (const destination of dirty) {
      destination.dirty = false;
      const change = this.#decide(destination);
      if (change === null) {
        this.sweep(destination);
        continue;
      }
      const batch = batches.get(destination.cause);
      if (batch === undefined) batches.set(destination.cause, [change]);
      else batch.push(change);
    }
    return [...batches].map(([cause, changes]) => ({ cause, changes }));
  }

  /** Forgets a destination that nothing refers to any more. */
  sweep(destination: Destination): void {
    const { paths, best, holders, dirty, key } = destination;
    if (holders === 0 && paths.length === 0 && best === null && !dirty) this.#destinations.delete(key);
  }

  #touch(destination: Destination, cause: number): void {
    destination.cause = cause;
    if (destination.dirty) return;
    destination.dirty = true;
    this.#dirty.push(destination);
  }

  #decide(destination: Destination): DestinationChange | null {
    const { best, nextHops } = decide(destination.paths, this.#options);
    const old = destination.best;
    const bestChanged =
      old?.attributes !== best?.attributes ||
      old?.pathId !== best?.pathId ||
      !samePeer(old?.peer, best?.peer);
    const nextHopsChanged = !equal(destination.nextHops, nextHops);
    destination.best = best;
    if (!bestChanged && !nextHopsChanged && this.#watchers === 0) return null;
    if (old === null && best !== null) this.#routes++;
    if (old !== null && best === null) this.#routes--;
    destination.nextHops = nextHops;
    return { destination, bestChanged, nextHopsChanged };
  }
}

function equal(a: readonly NextHopAddress[], b: readonly NextHopAddress[]): boolean {
  return a === b || (a.length === b.length && a.every((value, i) => value === b[i]));
}

/** Also across sessions: a peer that tells after a restart what it told before has changed nothing. */
function samePeer(a: Peer | null | undefined, b: Peer | null | undefined): boolean {
  return a === b || (a?.name === b?.name && a?.identifier === b?.identifier && a?.client === b?.client);
}
