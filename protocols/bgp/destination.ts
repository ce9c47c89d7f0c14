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
 * linear probing over typed arrays: a look-up makes no object of the key and touches no other destination.
 */
export class DestinationTable {
  readonly #all: (Destination | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #ipv6 = new Map<string, Destination>();
  /** Indexes of IPv4 destinations by hash, and their keys by index. */
  #slots = new Int32Array(INITIAL).fill(EMPTY);
  #keys = new Float64Array(INITIAL);
  #shift = 32 - Math.log2(INITIAL);
  #ipv4 = 0;

  get(key: PrefixKey): Destination | undefined {
    if (typeof key === 'string') return this.#ipv6.get(key);
    const index = this.#slots[this.#slotOf(key)]!;
    return index === EMPTY ? undefined : this.#all[index];
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
    const index = this.#slots[slot]!;
    if (index !== EMPTY) return this.#all[index]!;
    const made = this.#make(key);
    if (made.index >= this.#keys.length) this.#keys = doubled(this.#keys);
    this.#keys[made.index] = key;
    this.#slots[slot] = made.index;
    // At most half full, so that a chain is one or two slots long.
    if (2 * ++this.#ipv4 > this.#slots.length) this.#grow();
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
    const mask = slots.length - 1;
    for (let slot = this.#home(key); ; slot = (slot + 1) & mask) {
      const index = slots[slot]!;
      if (index === EMPTY || this.#keys[index] === key) return slot;
    }
  }

  /** Multiplicative hashing: the high bits of the product depend on all bits of address and length. */
  #home(key: number): number {
    const address = (key / 64) | 0;
    return Math.imul(address + (key & 63), MULTIPLIER) >>> this.#shift;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length).fill(EMPTY);
    this.#shift--;
    for (const index of old) if (index !== EMPTY) this.#slots[this.#slotOf(this.#keys[index]!)] = index;
  }

  /** Empties a slot and closes the gap in the chains that lead over it (Knuth, §6.4, algorithm R). */
  #empty(at: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = at;
    for (let slot = (at + 1) & mask; slots[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const home = this.#home(this.#keys[slots[slot]!]!);
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      slots[gap] = slots[slot]!;
      gap = slot;
    }
    slots[gap] = EMPTY;
    this.#ipv4--;
  }
}

function doubled(old: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const next = new Float64Array(2 * old.length);
  next.set(old);
  return next;
}
