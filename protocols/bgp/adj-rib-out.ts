import type { PathAttributes } from './attributes.ts';
import type { Destination } from './loc-rib.ts';

/** What a destination waits for: to be announced with these attributes, or withdrawn. */
interface Pending {
  /** null to withdraw. */
  readonly attributes: PathAttributes | null;
  /** Event that it follows from. */
  readonly cause: number;
}

/**
 * Adj-RIB-Out of one peer: what it has been told, and what it is still to be told. Changes to one destination replace
 * each other until they are sent, and a change back to what the peer has already vanishes: nothing is ever announced
 * that it holds, or withdrawn that it does not.
 *
 * Destinations that wait stand in queues, one for each attribute set and one for withdrawals, ready to be packed.
 * An entry of a queue counts only as long as it is what the destination still waits for.
 */
export class AdjRibOut {
  readonly #advertised = new Map<Destination, PathAttributes>();
  readonly #pending = new Map<Destination, Pending>();
  readonly #announcements = new Map<PathAttributes, Destination[]>();
  #withdrawals: Destination[] = [];
  #pendingWithdrawals = 0;
  /** Entries in all queues, those that count no more included. */
  #queued = 0;
  #lastQueue: { readonly attributes: PathAttributes; readonly queue: Destination[] } | null = null;

  /** Destinations that the peer has been told of. */
  get size(): number {
    return this.#advertised.size;
  }

  get pendingWithdrawals(): number {
    return this.#pendingWithdrawals;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** What the peer holds. */
  advertised(): Iterable<readonly [Destination, PathAttributes]> {
    return this.#advertised;
  }

  /** The peer is to have this route from now on; null for none. */
  schedule(destination: Destination, attributes: PathAttributes | null, cause: number): void {
    const waiting = this.#pending.size === 0 ? undefined : this.#pending.get(destination);
    const held = this.#advertised.get(destination) ?? null;
    if (waiting?.attributes === null) this.#pendingWithdrawals--;
    if (held === attributes) {
      if (waiting !== undefined) this.#pending.delete(destination);
      return;
    }
    this.#pending.set(destination, { attributes, cause });
    if (attributes === null) this.#pendingWithdrawals++;
    if (waiting === undefined || waiting.attributes !== attributes) this.#enqueue(destination, attributes);
  }

  #enqueue(destination: Destination, attributes: PathAttributes | null): void {
    if (attributes === null) this.#withdrawals.push(destination);
    else this.#queueOf(attributes).push(destination);
    this.#queued++;
    if (this.#queued > 1024 + 2 * this.#pending.size) this.#rebuild();
  }

  #queueOf(attributes: PathAttributes): Destination[] {
    if (this.#lastQueue?.attributes === attributes) return this.#lastQueue.queue;
    let queue = this.#announcements.get(attributes);
    if (queue === undefined) {
      queue = [];
      this.#announcements.set(attributes, queue);
    }
    this.#lastQueue = { attributes, queue };
    return queue;
  }

  /** Routes that flap while they wait leave entries behind that count no more. */
  #rebuild(): void {
    this.#announcements.clear();
    this.#withdrawals = [];
    this.#lastQueue = null;
    this.#queued = 0;
    for (const [destination, { attributes }] of this.#pending) this.#enqueue(destination, attributes);
  }

  /**
   * Takes what is to be withdrawn, in order: `take` gets each destination with its cause, and returns 'stop' to leave it
   * and the rest for another time. What it takes counts as sent.
   */
  takeWithdrawals(take: (destination: Destination, cause: number) => 'taken' | 'stop'): void {
    const queue = this.#withdrawals;
    this.#withdrawals = [];
    const left = this.#takeFrom(queue, null, take);
    if (left.length > 0) this.#withdrawals = left;
  }

  /** As `takeWithdrawals`, for each attribute set in turn; `begin` is told of the set, `end` closes it. */
  takeAnnouncements(taker: {
    begin(attributes: PathAttributes): void;
    take(destination: Destination, cause: number): 'taken' | 'stop';
    end(): 'go-on' | 'stop';
  }): void {
    for (const [attributes, queue] of this.#announcements) {
      taker.begin(attributes);
      const left = this.#takeFrom(queue, attributes, (destination, cause) => taker.take(destination, cause));
      this.#lastQueue = null;
      if (left.length === 0) this.#announcements.delete(attributes);
      else this.#announcements.set(attributes, left);
      if (taker.end() === 'stop') return;
    }
  }

  #takeFrom(
    queue: readonly Destination[],
    attributes: PathAttributes | null,
    take: (destination: Destination, cause: number) => 'taken' | 'stop',
  ): Destination[] {
    for (const [i, destination] of queue.entries()) {
      const waiting = this.#pending.get(destination);
      if (waiting !== undefined && waiting.attributes === attributes) {
        if (take(destination, waiting.cause) === 'stop') {
          this.#queued -= i;
          return queue.slice(i);
        }
        this.#pending.delete(destination);
        this.#told(destination, attributes);
      }
    }
    this.#queued -= queue.length;
    return [];
  }

  #told(destination: Destination, attributes: PathAttributes | null): void {
    if (attributes === null) {
      this.#pendingWithdrawals--;
      if (this.#advertised.delete(destination)) destination.holders--;
      return;
    }
    const { size } = this.#advertised;
    this.#advertised.set(destination, attributes);
    if (this.#advertised.size > size) destination.holders++;
  }

  /** The session is gone, and the peer's knowledge with it. Returns the destinations it had. */
  clear(): readonly Destination[] {
    const destinations = [...this.#advertised.keys()];
    for (const destination of destinations) destination.holders--;
    this.#advertised.clear();
    this.#pending.clear();
    this.#announcements.clear();
    this.#withdrawals = [];
    this.#pendingWithdrawals = 0;
    this.#queued = 0;
    this.#lastQueue = null;
    return destinations;
  }
}
