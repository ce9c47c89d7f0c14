import type { PathAttributes } from './attributes.ts';
import type { PrefixKey } from './nlri.ts';

/** What a peer can be told of: a destination, or with ADD-PATH one path to it. */
export interface OutTarget {
  readonly key: PrefixKey;
  /** Where the Adj-RIBs-Out have it. */
  readonly index: number;
  /** Adj-RIBs that refer to it. */
  holders: number;
}

/** Takes destinations that wait, and packs them into messages; 'stop' leaves that one and the rest for another time. */
export interface Taker<T extends OutTarget> {
  take(destination: T, cause: number): 'taken' | 'stop';
}

export interface AnnouncementTaker<T extends OutTarget> extends Taker<T> {
  begin(attributes: PathAttributes): void;
  end(): 'go-on' | 'stop';
}

/** Entries that count no more are tolerated in the queues up to this many, and as many again as those that count. */
const STALE_ENTRIES = 1024;

/**
 * Adj-RIB-Out of one peer: what it has been told, and what it is still to be told. Changes to one destination replace
 * each other until they are sent, and a change back to what the peer has already vanishes: nothing is ever announced
 * that it holds, or withdrawn that it does not.
 *
 * Destinations that wait stand in queues, one for each attribute set and one for withdrawals, ready to be packed.
 * A queue's entry counts only as long as it is what the destination still waits for.
 */
export class AdjRibOut<T extends OutTarget> {
  readonly #targets: () => Iterable<T>;
  /** What the peer has been told of each destination, and what it is to be told, by index. The same object where nothing is due. */
  readonly #told: (PathAttributes | null)[] = [];
  readonly #wanted: (PathAttributes | null)[] = [];
  /** Event that `wanted` follows from. */
  readonly #causes: number[] = [];
  /** Indexes of what is to be told once more though nothing has changed. */
  readonly #again = new Set<number>();
  readonly #announcements = new Map<PathAttributes, T[]>();
  #withdrawals: T[] = [];
  #size = 0;
  #pending = 0;
  #pendingWithdrawals = 0;
  #queued = 0;
  #lastAttributes: PathAttributes | null = null;
  #lastQueue: T[] = [];

  /** `targets` are all those that there are. */
  constructor(targets: () => Iterable<T>) {
    this.#targets = targets;
  }

  /** Destinations that the peer has been told of. */
  get size(): number {
    return this.#size;
  }

  get pendingWithdrawals(): number {
    return this.#pendingWithdrawals;
  }

  get pending(): number {
    return this.#pending;
  }

  /** What the peer holds. Walks through all destinations. */
  *advertised(): Generator<readonly [T, PathAttributes]> {
    if (this.#size === 0) return;
    for (const destination of this.#targets()) {
      const told = this.#told[destination.index] ?? null;
      if (told !== null) yield [destination, told];
    }
  }

  /** The peer is to have this route from now on; null for none. */
  schedule(destination: T, attributes: PathAttributes | null, cause: number): void {
    const { index } = destination;
    const told = this.#told[index] ?? null;
    const wanted = this.#wanted[index] ?? null;
    if (told === null && wanted === null) {
      if (attributes === null) return;
      destination.holders++;
      this.#told[index] = null;
    }
    this.#causes[index] = cause;
    if (wanted === attributes) return;
    const again = this.#again.delete(index);
    if (again || told !== wanted) this.#count(wanted, -1);
    this.#wanted[index] = attributes;
    if (told !== attributes) {
      this.#count(attributes, 1);
      this.#enqueue(destination, attributes);
    } else if (attributes === null) destination.holders--;
  }

  /** Everything that the peer holds and `which` accepts is to be told once more (RFC 2918 §4). */
  retell(which: (destination: T) => boolean): void {
    for (const destination of this.#targets()) {
      const { index } = destination;
      const told = this.#told[index] ?? null;
      if (told === null || this.#isDue(index) || !which(destination)) continue;
      this.#again.add(index);
      this.#count(told, 1);
      this.#enqueue(destination, told);
    }
  }

  /** Whether the peer is yet to be told. */
  #isDue(index: number): boolean {
    return this.#told[index] !== this.#wanted[index] || (this.#again.size > 0 && this.#again.has(index));
  }

  #count(wanted: PathAttributes | null, by: 1 | -1): void {
    this.#pending += by;
    if (wanted === null) this.#pendingWithdrawals += by;
  }

  #enqueue(destination: T, attributes: PathAttributes | null): void {
    if (attributes === null) this.#withdrawals.push(destination);
    else this.#queueOf(attributes).push(destination);
    this.#queued++;
    if (this.#queued > STALE_ENTRIES + 2 * this.#pending) this.#weed();
  }

  #queueOf(attributes: PathAttributes): T[] {
    if (this.#lastAttributes === attributes) return this.#lastQueue;
    let queue = this.#announcements.get(attributes);
    if (queue === undefined) {
      queue = [];
      this.#announcements.set(attributes, queue);
    }
    this.#lastAttributes = attributes;
    this.#lastQueue = queue;
    return queue;
  }

  /** Routes that flap while they wait leave entries behind that count no more. */
  #weed(): void {
    this.#lastAttributes = null;
    this.#withdrawals = this.#waiting(this.#withdrawals, null);
    this.#queued = this.#withdrawals.length;
    for (const [attributes, queue] of this.#announcements) {
      const left = this.#waiting(queue, attributes);
      this.#queued += left.length;
      if (left.length === 0) this.#announcements.delete(attributes);
      else this.#announcements.set(attributes, left);
    }
  }

  #waiting(queue: readonly T[], attributes: PathAttributes | null): T[] {
    return [...new Set(queue)].filter((destination) => this.#waits(destination, attributes));
  }

  #waits({ index, holders }: T, attributes: PathAttributes | null): boolean {
    // One without holders is gone, and its index may be another's.
    return holders > 0 && this.#wanted[index] === attributes && this.#isDue(index);
  }

  /** Takes what is to be withdrawn, in order, until `take` says stop. What it takes counts as sent. */
  takeWithdrawals(taker: Taker<T>): void {
    const queue = this.#withdrawals;
    this.#withdrawals = [];
    const left = this.#takeFrom(queue, null, taker);
    if (left.length > 0) this.#withdrawals = left;
  }

  /** As `takeWithdrawals`, for one attribute set after the other. */
  takeAnnouncements(taker: AnnouncementTaker<T>): void {
    for (const [attributes, queue] of this.#announcements) {
      taker.begin(attributes);
      const left = this.#takeFrom(queue, attributes, taker);
      this.#lastAttributes = null;
      if (left.length === 0) this.#announcements.delete(attributes);
      else this.#announcements.set(attributes, left);
      if (taker.end() === 'stop') return;
    }
  }

  #takeFrom(queue: readonly T[], attributes: PathAttributes | null, taker: Taker<T>): T[] {
    for (let i = 0; i < queue.length; i++) {
      const destination = queue[i]!;
      const { index } = destination;
      if (!this.#waits(destination, attributes)) continue;
      if (taker.take(destination, this.#causes[index]!) === 'stop') {
        this.#queued -= i;
        return queue.slice(i);
      }
      this.#count(attributes, -1);
      if (this.#again.size > 0) this.#again.delete(index);
      if (this.#told[index] === null) this.#size++;
      this.#told[index] = attributes;
      if (attributes === null) {
        this.#size--;
        destination.holders--;
      }
    }
    this.#queued -= queue.length;
    return [];
  }

  /** The session is gone, and the peer's knowledge with it. Returns the destinations that it was about. */
  clear(): readonly T[] {
    const destinations: T[] = [];
    if (this.#size > 0 || this.#pending > 0) {
      for (const destination of this.#targets()) {
        const { index } = destination;
        if ((this.#told[index] ?? null) === null && (this.#wanted[index] ?? null) === null) continue;
        destination.holders--;
        destinations.push(destination);
      }
    }
    this.#told.length = 0;
    this.#wanted.length = 0;
    this.#causes.length = 0;
    this.#again.clear();
    this.#announcements.clear();
    this.#withdrawals = [];
    this.#size = 0;
    this.#pending = 0;
    this.#pendingWithdrawals = 0;
    this.#queued = 0;
    this.#lastAttributes = null;
    return destinations;
  }
}
