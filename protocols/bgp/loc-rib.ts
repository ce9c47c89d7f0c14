import { type DecisionOptions, decide } from './decision.ts';
import { type Destination, DestinationTable } from './destination.ts';
import type { NextHop, NextHopAddress } from './nexthops.ts';
import type { PrefixKey } from './nlri.ts';
import type { Path, Peer } from './path.ts';

/** What the decision changed under one cause. */
export interface DecisionBatch {
  readonly cause: number;
  /** Destinations with another best path, or other attributes of it, or other next hops. */
  readonly decided: readonly Destination[];
  /** Those with another best path or other attributes of it: the peers are concerned. */
  readonly best: readonly Destination[];
  /** Those with other next hops: the forwarding table is concerned. */
  readonly forwarding: readonly Destination[];
  /** Where peers are told of more than the best path, those with other candidates as well; else `decided`. */
  readonly touched: readonly Destination[];
}

const NO_PATHS: readonly Path[] = [];

/** Loc-RIB: all destinations, and the set of those to be decided anew. */
export class LocRib {
  readonly #destinations = new DestinationTable();
  readonly #options: DecisionOptions;
  #dirty: Destination[] = [];
  #routes = 0;
  /** The array of one path given out last: most destinations have one path, and share it with those told of together. */
  #alone: readonly [Path] | null = null;
  /** Peers that are told of more than the best path, and so of every change of the candidates. */
  #watchers = 0;

  constructor(options: DecisionOptions) {
    this.#options = options;
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
    return this.#destinations;
  }

  get(key: PrefixKey): Destination | undefined {
    return this.#destinations.get(key);
  }

  /** The destination of a prefix, made if need be. */
  destination(key: PrefixKey): Destination {
    return this.#destinations.obtain(key);
  }

  /** Takes `added` as a candidate in the place of `removed`. */
  replace(destination: Destination, removed: Path | null, added: Path | null, cause: number): void {
    const { paths } = destination;
    const at = removed === null ? -1 : paths.indexOf(removed);
    if (at === -1 && added === null) return;
    if (paths.length === 0 || (at === 0 && paths.length === 1)) {
      destination.paths = added === null ? NO_PATHS : this.#only(added);
    } else if (at === -1 && added !== null) destination.paths = [...paths, added];
    else if (added === null) destination.paths = paths.filter((path) => path !== removed);
    else destination.paths = paths.map((path) => (path === removed ? added : path));
    this.#touch(destination, cause);
  }

  #only(path: Path): readonly Path[] {
    if (this.#alone?.[0] !== path) this.#alone = [path];
    return this.#alone;
  }

  /** Marks what depends on any of these next hops. */
  touchUsersOf(nextHops: ReadonlySet<NextHop>, cause: number): void {
    for (const destination of this.#destinations) {
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
    const batches = new Map<number, Batch>();
    let batch: Batch | undefined;
    for (const destination of dirty) {
      destination.dirty = false;
      const { cause } = destination;
      if (batch?.cause !== cause) {
        batch = batches.get(cause);
        if (batch === undefined) {
          batch = new Batch(cause, this.#watchers > 0);
          batches.set(cause, batch);
        }
      }
      this.#decide(destination, batch);
    }
    return [...batches.values()];
  }

  /** Forgets a destination that nothing refers to any more. */
  sweep(destination: Destination): void {
    const { paths, best, holders, dirty } = destination;
    if (holders > 0 || paths.length > 0 || best !== null || dirty) return;
    // Once alone: after that its index is another's.
    if (this.#destinations.get(destination.key) === destination) this.#destinations.delete(destination);
  }

  #touch(destination: Destination, cause: number): void {
    destination.cause = cause;
    if (destination.dirty) return;
    destination.dirty = true;
    this.#dirty.push(destination);
  }

  #decide(destination: Destination, batch: Batch): void {
    const { best, nextHops } = decide(destination.paths, this.#options);
    const old = destination.best;
    const bestChanged =
      old?.attributes !== best?.attributes ||
      old?.pathId !== best?.pathId ||
      !samePeer(old?.peer, best?.peer);
    const nextHopsChanged = !equal(destination.nextHops, nextHops);
    destination.best = best;
    if (old === null && best !== null) this.#routes++;
    if (old !== null && best === null) this.#routes--;
    destination.nextHops = nextHops;
    if (bestChanged) batch.best.push(destination);
    if (nextHopsChanged) batch.forwarding.push(destination);
    if (bestChanged || nextHopsChanged) batch.decided.push(destination);
    if (this.#watchers > 0) batch.touched.push(destination);
    else if (!bestChanged && !nextHopsChanged) this.sweep(destination);
  }
}

function equal(a: readonly NextHopAddress[], b: readonly NextHopAddress[]): boolean {
  return a === b || (a.length === b.length && a.every((value, i) => value === b[i]));
}

/** Also across sessions: a peer that tells after a restart what it told before has changed nothing. */
function samePeer(a: Peer | null | undefined, b: Peer | null | undefined): boolean {
  return a === b || (a?.name === b?.name && a?.identifier === b?.identifier && a?.client === b?.client);
}

class Batch implements DecisionBatch {
  readonly cause: number;
  readonly decided: Destination[] = [];
  readonly best: Destination[] = [];
  readonly forwarding: Destination[] = [];
  readonly touched: Destination[];

  constructor(cause: number, watched: boolean) {
    this.cause = cause;
    this.touched = watched ? [] : this.decided;
  }
}
