import type { FamilyName } from './config.ts';
import type { Destination } from './loc-rib.ts';
import { familyOf } from './nlri.ts';
import type { Path } from './path.ts';

/**
 * Adj-RIB-In of one peer: every path it advertises, those included that a check or a policy keeps from being candidates.
 * A peer without ADD-PATH has one path to a destination; further ones of a peer with it are kept by their identifiers.
 */
export class AdjRibIn {
  readonly #paths = new Map<Destination, Path>();
  readonly #more = new Map<Destination, Map<number, Path>>();
  /** Paths that the peer has not told again since it went, or since it began to tell all anew. */
  #stale: Set<Path> | null = null;
  #moreCount = 0;

  get size(): number {
    return this.#paths.size + this.#moreCount;
  }

  get staleCount(): number {
    return this.#stale?.size ?? 0;
  }

  get(destination: Destination, pathId: number): Path | undefined {
    const path = this.#paths.get(destination);
    if (path?.pathId === pathId) return path;
    return this.#moreCount === 0 ? undefined : this.#more.get(destination)?.get(pathId);
  }

  *paths(): Generator<Path> {
    yield* this.#paths.values();
    for (const paths of this.#more.values()) yield* paths.values();
  }

  /** Puts a path in the place of the one with its identifier. */
  set(path: Path): void {
    const { destination, pathId } = path;
    const first = this.#paths.get(destination);
    if (first === undefined || first.pathId === pathId) {
      if (first === undefined) destination.holders++;
      else this.#stale?.delete(first);
      this.#paths.set(destination, path);
      return;
    }
    let more = this.#more.get(destination);
    if (more === undefined) {
      more = new Map();
      this.#more.set(destination, more);
    }
    const old = more.get(pathId);
    if (old === undefined) {
      this.#moreCount++;
      destination.holders++;
    } else this.#stale?.delete(old);
    more.set(pathId, path);
  }

  delete(path: Path): void {
    const { destination, pathId } = path;
    this.#stale?.delete(path);
    if (this.#paths.get(destination)?.pathId === pathId) {
      this.#paths.delete(destination);
      destination.holders--;
      return;
    }
    const more = this.#more.get(destination);
    if (more === undefined || !more.delete(pathId)) return;
    this.#moreCount--;
    destination.holders--;
    if (more.size === 0) this.#more.delete(destination);
  }

  clear(): void {
    for (const path of [...this.paths()]) this.delete(path);
    this.#stale = null;
  }

  hasStale(family: FamilyName): boolean {
    for (const path of this.#stale ?? []) if (familyOf(path.destination.key) === family) return true;
    return false;
  }

  /** Every path of the family that is here counts as stale until it is told again. */
  markStale(family: FamilyName): void {
    this.#stale ??= new Set();
    for (const path of this.paths()) if (familyOf(path.destination.key) === family) this.#stale.add(path);
  }

  /** The peer has told this path again. */
  confirm(path: Path): void {
    this.#stale?.delete(path);
  }

  /** The stale paths of a family, to be swept: they do not count as stale any more. */
  takeStale(family: FamilyName): readonly Path[] {
    const taken: Path[] = [];
    for (const path of this.#stale ?? []) {
      if (familyOf(path.destination.key) === family) taken.push(path);
    }
    for (const path of taken) this.#stale?.delete(path);
    return taken;
  }
}
