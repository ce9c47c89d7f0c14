import type { FamilyName } from './config.ts';
import type { Destination } from './destination.ts';
import { familyOf } from './nlri.ts';
import type { Path } from './path.ts';

/** A path as one destination has it. */
export interface Route {
  readonly destination: Destination;
  readonly path: Path;
}

/** What of a family is there, and how much of it the peer has not told again. */
interface Tally {
  /** Paths of an earlier telling are stale. */
  telling: number;
  size: number;
  stale: number;
}

/**
 * Adj-RIB-In of one peer: every path it advertises, those included that a check or a policy keeps from being candidates.
 * A peer without ADD-PATH has one path to a destination; further ones of a peer with it are kept by their identifiers.
 *
 * When the peer goes, or begins to tell all of a family anew, a new telling of that family begins: what was heard in an
 * earlier one is stale until it is told again.
 */
export class AdjRibIn {
  readonly #destinations: () => Iterable<Destination>;
  /** By the destinations' indexes. */
  readonly #paths: (Path | undefined)[] = [];
  readonly #more = new Map<Destination, Map<number, Path>>();
  readonly #tallies: Readonly<Record<FamilyName, Tally>> = {
    ipv4: { telling: 0, size: 0, stale: 0 },
    ipv6: { telling: 0, size: 0, stale: 0 },
  };

  /** `destinations` are all those that there are. */
  constructor(destinations: () => Iterable<Destination>) {
    this.#destinations = destinations;
  }

  get size(): number {
    return this.#tallies.ipv4.size + this.#tallies.ipv6.size;
  }

  get staleCount(): number {
    return this.#tallies.ipv4.stale + this.#tallies.ipv6.stale;
  }

  get(destination: Destination, pathId: number): Path | undefined {
    const path = this.#paths[destination.index];
    if (path?.pathId === pathId) return path;
    return this.#more.size === 0 ? undefined : this.#more.get(destination)?.get(pathId);
  }

  /** Walks through all destinations. */
  *routes(): Generator<Route> {
    if (this.size === 0) return;
    for (const destination of this.#destinations()) yield* this.routesTo(destination);
  }

  *routesTo(destination: Destination): Generator<Route> {
    const path = this.#paths[destination.index];
    if (path !== undefined) yield { destination, path };
    if (this.#more.size === 0) return;
    for (const other of this.#more.get(destination)?.values() ?? []) yield { destination, path: other };
  }

  /** What a path of this family that is heard now belongs to. */
  telling(family: FamilyName): number {
    return this.#tallies[family].telling;
  }

  /** Puts a path in the place of the one with its identifier. */
  set(destination: Destination, path: Path): void {
    const { index } = destination;
    const first = this.#paths[index];
    if (first === undefined || first.pathId === path.pathId) {
      this.#paths[index] = path;
      this.#count(destination, first, path);
      return;
    }
    let more = this.#more.get(destination);
    if (more === undefined) {
      more = new Map();
      this.#more.set(destination, more);
    }
    const old = more.get(path.pathId);
    more.set(path.pathId, path);
    this.#count(destination, old, path);
  }

  delete(destination: Destination, { pathId }: Path): void {
    const { index } = destination;
    const first = this.#paths[index];
    if (first?.pathId === pathId) {
      this.#paths[index] = undefined;
      this.#count(destination, first, undefined);
      return;
    }
    const more = this.#more.get(destination);
    const old = more?.get(pathId);
    if (more === undefined || old === undefined) return;
    more.delete(pathId);
    if (more.size === 0) this.#more.delete(destination);
    this.#count(destination, old, undefined);
  }

  #count(destination: Destination, old: Path | undefined, path: Path | undefined): void {
    const tally = this.#tallies[familyOf(destination.key)];
    if (old === undefined) {
      tally.size++;
      destination.holders++;
    } else if (old.telling !== tally.telling) tally.stale--;
    if (path === undefined) {
      tally.size--;
      destination.holders--;
    } else if (path.telling !== tally.telling) tally.stale++;
  }

  /** Every path of the family that is here is stale until it is told again. */
  markStale(family: FamilyName): void {
    const tally = this.#tallies[family];
    tally.telling++;
    tally.stale = tally.size;
  }

  hasStale(family: FamilyName): boolean {
    return this.#tallies[family].stale > 0;
  }

  isStale({ key }: Destination, path: Path): boolean {
    return path.telling !== this.#tallies[familyOf(key)].telling;
  }

  /** The stale paths of a family. */
  stale(family: FamilyName): Route[] {
    if (!this.hasStale(family)) return [];
    const { telling } = this.#tallies[family];
    const stale: Route[] = [];
    for (const route of this.routes()) {
      if (route.path.telling !== telling && familyOf(route.destination.key) === family) stale.push(route);
    }
    return stale;
  }
}
