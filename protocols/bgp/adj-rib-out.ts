import type { PathAttributes } from './attributes.ts';
import type { Destination } from './loc-rib.ts';

/** Destinations to be announced with one attribute set, each with the event that its announcement follows from. */
type Bucket = Map<Destination, number>;

/**
 * Adj-RIB-Out of one peer: what it has been told, and what it is still to be told. Changes to one destination replace
 * each other until they are sent, and a change back to what the peer has already vanishes: nothing is ever announced
 * that it holds, or withdrawn that it does not. Announcements wait in one bucket an attribute set, ready to be
 * packed.
 */
export class AdjRibOut {
  readonly #advertised = new Map<Destination, PathAttributes>();
  readonly #withdrawals: Bucket = new Map();
  readonly #announced = new Map<Destination, PathAttributes>();
  readonly #buckets = new Map<PathAttributes, Bucket>();

  /** Destinations that the peer has been told of. */
  get size(): number {
    return this.#advertised.size;
  }

  get pendingAnnouncements(): number {
    return this.#announced.size;
  }

  get pendingWithdrawals(): number {
    return this.#withdrawals.size;
  }

  get pending(): number {
    return this.#announced.size + this.#withdrawals.size;
  }

  /** What the peer holds. */
  advertised(): Iterable<readonly [Destination, PathAttributes]> {
    return this.#advertised;
  }

  get(destination: Destination): PathAttributes | undefined {
    return this.#advertised.get(destination);
  }

  /** The peer is to have this route from now on; null for none. */
  schedule(destination: Destination, attributes: PathAttributes | null, cause: number): void {
    this.#unschedule(destination);
    const held = this.#advertised.get(destination);
    if (attributes === null) {
      if (held !== undefined) this.#withdrawals.set(destination, cause);
      return;
    }
    if (held === attributes) return;
    this.#announced.set(destination, attributes);
    let bucket = this.#buckets.get(attributes);
    if (bucket === undefined) {
      bucket = new Map();
      this.#buckets.set(attributes, bucket);
    }
    bucket.set(destination, cause);
  }

  #unschedule(destination: Destination): void {
    if (this.#withdrawals.delete(destination)) return;
    const attributes = this.#announced.get(destination);
    if (attributes === undefined) return;
    this.#announced.delete(destination);
    const bucket = this.#buckets.get(attributes);
    bucket?.delete(destination);
    if (bucket?.size === 0) this.#buckets.delete(attributes);
  }

  withdrawals(): Iterable<readonly [Destination, number]> {
    return this.#withdrawals;
  }

  /** Buckets in the order in which they were begun. */
  buckets(): Iterable<readonly [PathAttributes, Iterable<readonly [Destination, number]>]> {
    return this.#buckets;
  }

  /** The withdrawal has gone out. */
  withdrawn(destination: Destination): void {
    this.#withdrawals.delete(destination);
    if (this.#advertised.delete(destination)) destination.holders--;
  }

  /** The announcement has gone out. */
  announced(destination: Destination, attributes: PathAttributes): void {
    this.#announced.delete(destination);
    const bucket = this.#buckets.get(attributes);
    bucket?.delete(destination);
    if (bucket?.size === 0) this.#buckets.delete(attributes);
    if (!this.#advertised.has(destination)) destination.holders++;
    this.#advertised.set(destination, attributes);
  }

  /** The session is gone, and the peer's knowledge with it. Returns the destinations it had. */
  clear(): readonly Destination[] {
    const destinations = [...this.#advertised.keys()];
    for (const destination of destinations) destination.holders--;
    this.#advertised.clear();
    this.#withdrawals.clear();
    this.#announced.clear();
    this.#buckets.clear();
    return destinations;
  }
}
