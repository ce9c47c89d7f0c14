import type { Destination } from './loc-rib.ts';
import type { Path } from './path.ts';

/**
 * Adj-RIB-In of one peer: every path it advertises, those included that a loop check keeps from being candidates.
 * A peer without ADD-PATH has one path to a destination.
 */
export class AdjRibIn {
  readonly #paths = new Map<Destination, Path>();

  get size(): number {
    return this.#paths.size;
  }

  get(destination: Destination): Path | undefined {
    return this.#paths.get(destination);
  }

  paths(): Iterable<Path> {
    return this.#paths.values();
  }

  set(path: Path): void {
    const { size } = this.#paths;
    this.#paths.set(path.destination, path);
    if (this.#paths.size > size) path.destination.holders++;
  }

  delete(destination: Destination): void {
    if (this.#paths.delete(destination)) destination.holders--;
  }

  clear(): void {
    for (const destination of this.#paths.keys()) destination.holders--;
    this.#paths.clear();
  }
}
