import type { PathAttributes } from './attributes.ts';
import type { PrefixKey } from './nlri.ts';

/** What a peer can be told of: a destination, or with ADD-PATH one path to it. */
export interface OutTarget {
  readonly key: PrefixKey;
  /** Entries of the peers, by slot. */
  readonly out: (OutEntry | undefined)[];
  /** Adj-RIBs that refer to it. */
  holders: number;
}

/**
 * What one peer has been told of a destination, and what it is to be told; null for nothing. It stands at the
 * peer's slot of the destination, and only there, so that a change costs no look-up.
 */
export interface OutEntry {
  told: PathAttributes | null;
  wanted: PathAttributes | null;
  /** It is to be told once more though nothing has changed. */
  again?: true;
  /** Event that `wanted` follows from. */
  cause: number;
}

/** Where the entries are. */
export interface OutEntries<T extends OutTarget> {
  /** Index of this peer's entry in every destination's `out`. */
  readonly slot: number;
  destinations(): Iterable<T>;
}

/** Takes destinations that wait, and packs them into messages; 'stop' leaves that one and the rest for another time. */
export interface AnnouncementTaker<T extends OutTarget> {
  begin(attributes: PathAttributes): void;
  take(destination: T, cause: number): 'taken' | 'stop';
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
  readonly #entries: OutEntries<T>;
  readonly #slot: number;
  readonly #announcements = new Map<PathAttributes, T[]>();
  #withdrawals: T[] = [];
  #size = 0;
  #pending = 0;
  #pendingWithdrawals = 0;
  #queued = 0;
  #lastQueue: { readonly attributes: PathAttributes; readonly queue: T[] } | null = null;

  constructor(entries: OutEntries<T>) {
    this.#entries = entries;
    this.#slot = entries.slot;
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
    for (const destination of this.#entries.destinations()) {
      const told = destination.out[this.#slot]?.told ?? null;
      if (told !== null) yield [destination, told];
    }
  }

  /** The peer is to have this route from now on; null for none. */
  schedule(destination: T, attributes: PathAttributes | null, cause: number): void {
    const entry = destination.out[this.#slot];
    if (entry === undefined) {
      if (attributes === null) return;
      destination.out[this.#slot] = { told: null, wanted: attributes, cause };
      destination.holders++;
      this.#pending++;
      this.#enqueue(destination, attributes);
      return;
    }
    entry.cause = cause;
    if (entry.wanted === attributes) return;
    this.#count(entry, -1);
    delete entry.again;
    entry.wanted = attributes;
    this.#count(entry, 1);
    if (entry.told !== attributes) this.#enqueue(destination, attributes);
    else if (attributes === null) this.#forget(destination);
  }

  /** Everything that the peer holds and `which` accepts is to be told once more (RFC 2918 §4). */
  retell(which: (destination: T) => boolean): void {
    for (const destination of this.#entries.destinations()) {
      const entry = destination.out[this.#slot];
      if (entry === undefined || entry.told === null || isDue(entry) || !which(destination)) continue;
      entry.again = true;
      this.#count(entry, 1);
      this.#enqueue(destination, entry.wanted);
    }
  }

  #count(entry: OutEntry, by: 1 | -1): void {
    if (!isDue(entry)) return;
    const { wanted } = entry;
    this.#pending += by;
    if (wanted === null) this.#pendingWithdrawals += by;
  }

  #forget(destination: T): void {
    destination.out[this.#slot] = undefined;
    destination.holders--;
  }

  #enqueue(destination: T, attributes: PathAttributes | null): void {
    if (attributes === null) this.#withdrawals.push(destination);
    else this.#queueOf(attributes).push(destination);
    this.#queued++;
    if (this.#queued > STALE_ENTRIES + 2 * this.#pending) this.#weed();
  }

  #queueOf(attributes: PathAttributes): T[] {
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
  #weed(): void {
    this.#lastQueue = null;
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
    return [...new Set(queue)].filter(({ out }) => {
      const entry = out[this.#slot];
      return entry !== undefined && entry.wanted === attributes && isDue(entry);
    });
  }

  /** Takes what is to be withdrawn, in order, until `take` says stop. What it takes counts as sent. */
  takeWithdrawals(take: (destination: T, cause: number) => 'taken' | 'stop'): void {
    const queue = this.#withdrawals;
    this.#withdrawals = [];
    const left = this.#takeFrom(queue, null, take);
    if (left.length > 0) this.#withdrawals = left;
  }

  /** As `takeWithdrawals`, for one attribute set after the other. */
  takeAnnouncements(taker: AnnouncementTaker<T>): void {
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
    queue: readonly T[],
    attributes: PathAttributes | null,
    take: (destination: T, cause: number) => 'taken' | 'stop',
  ): T[] {
    for (let i = 0; i < queue.length; i++) {
      const destination = queue[i]!;
      const entry = destination.out[this.#slot];
      if (entry === undefined || entry.wanted !== attributes || !isDue(entry)) continue;
      if (take(destination, entry.cause) === 'stop') {
        this.#queued -= i;
        return queue.slice(i);
      }
      this.#count(entry, -1);
      delete entry.again;
      if (entry.told === null) this.#size++;
      entry.told = attributes;
      if (attributes === null) {
        this.#size--;
        this.#forget(destination);
      }
    }
    this.#queued -= queue.length;
    return [];
  }

  /** The session is gone, and the peer's knowledge with it. Returns the destinations that it was about. */
  clear(): readonly T[] {
    const destinations: T[] = [];
    if (this.#size > 0 || this.#pending > 0) {
      for (const destination of this.#entries.destinations()) {
        if (destination.out[this.#slot] === undefined) continue;
        this.#forget(destination);
        destinations.push(destination);
      }
    }
    this.#announcements.clear();
    this.#withdrawals = [];
    this.#size = 0;
    this.#pending = 0;
    this.#pendingWithdrawals = 0;
    this.#queued = 0;
    this.#lastQueue = null;
    return destinations;
  }
}

/** Whether the peer is yet to be told. */
function isDue({ told, wanted, again }: OutEntry): boolean {
  return told !== wanted || again === true;
}
