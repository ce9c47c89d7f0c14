import type { NextHopAddress } from './nexthops.ts';
import type { PrefixKey } from './nlri.ts';
import type { Path } from './path.ts';

const NO_PATHS: readonly Path[] = [];
const NO_NEXT_HOPS: readonly NextHopAddress[] = [];

/** A prefix with every candidate path to it and the best one. What each peer told and was told of it is in the Adj-RIBs. */
export class Destination {
  readonly key: PrefixKey;
  /** Where the Adj-RIBs have it; another's once this one is forgotten. */
  readonly index: number;
  /** Candidates: rejected paths are in the Adj-RIB-In alone. An array of one may be shared with other destinations. */
  paths: readonly Path[] = NO_PATHS;
  best: Path | null = null;
  /** Next hops in the forwarding table, the best path's first. */
  nextHops: readonly NextHopAddress[] = NO_NEXT_HOPS;
  dirty = false;
  /** Event that made it dirty last. */
  cause = 0;
  /** Adj-RIBs that have it, rejected paths included, and so keep it alive. */
  holders = 0;

  constructor(key: PrefixKey, index: number) {
    this.key = key;
    this.index = index;
  }
}

/** Slots of the hash table at first; a power of two. */
const INITIAL = 256;
const EMPTY = -1;
/** 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, vol. 3, §6.4). */
const MULTIPLIER = 0x9e37_79b1;

/**
 * All destinations by prefix. IPv4 prefixes, which tables of half a million are made of, are found by open addressing with
 * linear probing over a typed array: a look-up makes no object of the key, and touches one line of the processor's cache.
 */
export class DestinationTable {
  readonly #all: (Destination | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #ipv6 = new Map<string, Destination>();
  /** For each slot an IPv4 key, or `EMPTY`, and the index of its destination. */
  #slots = new Float64Array(2 * INITIAL).fill(EMPTY);
  #mask = INITIAL - 1;
  #shift = 32 - Math.log2(INITIAL);
  #ipv4 = 0;

  get(key: PrefixKey): Destination | undefined {
    if (typeof key === 'string') return this.#ipv6.get(key);
    const slot = this.#slotOf(key);
    return this.#slots[2 * slot] === EMPTY ? undefined : this.#all[this.#slots[2 * slot + 1]!];
  }

  /** The destination of a prefix, made if need be. */
  obtain(key: PrefixKey): Destination {
    if (typeof key === 'string') {
      const known = this.#ipv6.get(key);
      if (known !== undefined) return known;
      const made = this.#make(key);
      this.#ipv6.set(key, made);
      return made;
    }
    const slot = this.#slotOf(key);
    if (this.#slots[2 * slot] !== EMPTY) return this.#all[this.#slots[2 * slot + 1]!]!;
    const made = this.#make(key);
    this.#slots[2 * slot] = key;
    this.#slots[2 * slot + 1] = made.index;
    // At most half full, so that a chain is one or two slots long.
    if (2 * ++this.#ipv4 > this.#mask) this.#grow();
    return made;
  }

  delete({ key, index }: Destination): void {
    if (typeof key === 'string') this.#ipv6.delete(key);
    else this.#empty(this.#slotOf(key));
    this.#all[index] = undefined;
    this.#free.push(index);
  }

  /** In order of their indexes. */
  *[Symbol.iterator](): Generator<Destination> {
    for (const destination of this.#all) if (destination !== undefined) yield destination;
  }

  #make(key: PrefixKey): Destination {
    const destination = new Destination(key, this.#free.pop() ?? this.#all.length);
    this.#all[destination.index] = destination;
    return destination;
  }

  /** Where an IPv4 key is, or the empty slot that it would go to. */
  #slotOf(key: number): number {
    const slots = this.#slots;
    for (let slot = this.#home(key); ; slot = (slot + 1) & this.#mask) {
      const found = slots[2 * slot];
      if (found === key || found === EMPTY) return slot;
    }
  }

  /** Multiplicative hashing: the high bits of the product depend on all bits of address and length. */
  #home(key: number): number {
    const address = (key / 64) | 0;
    return Math.imul(address + (key & 63), MULTIPLIER) >>> this.#shift;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Float64Array(2 * old.length).fill(EMPTY);
    this.#mask = old.length - 1;
    this.#shift--;
    for (let from = 0; from < old.length; from += 2) {
      const key = old[from]!;
      if (key === EMPTY) continue;
      const slot = this.#slotOf(key);
      this.#slots[2 * slot] = key;
      this.#slots[2 * slot + 1] = old[from + 1]!;
    }
  }

  /** Empties a slot and closes the gap in the chains that lead over it (Knuth, §6.4, algorithm R). */
  #empty(at: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let gap = at;
    for (let slot = (at + 1) & mask; slots[2 * slot] !== EMPTY; slot = (slot + 1) & mask) {
      const home = this.#home(slots[2 * slot]!);
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      slots[2 * gap] = slots[2 * slot]!;
      slots[2 * gap + 1] = slots[2 * slot + 1]!;
      gap = slot;
    }
    slots[2 * gap] = EMPTY;
    this.#ipv4--;
  }
}
