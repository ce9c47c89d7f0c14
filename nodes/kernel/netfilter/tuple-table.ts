import type { IpAddress } from '../../../protocols/ip.ts';
import { ip6Word } from '../../../protocols/ip6.ts';
import type { CtDirection, CtTuple } from './conntrack-entry.ts';
import type { Flow } from './flow.ts';

/** A tuple that a hash table can hold: one direction of a flow (`struct nf_conntrack_tuple_hash`). */
export class TupleHash implements CtTuple {
  readonly flow: Flow;
  readonly direction: CtDirection;
  src: IpAddress = 0;
  dst: IpAddress = 0;
  proto = 0;
  srcPort = 0;
  dstPort = 0;
  next: TupleHash | null = null;

  constructor(flow: Flow, direction: CtDirection) {
    this.flow = flow;
    this.direction = direction;
  }

  set(tuple: CtTuple): void {
    this.src = tuple.src;
    this.dst = tuple.dst;
    this.proto = tuple.proto;
    this.srcPort = tuple.srcPort;
    this.dstPort = tuple.dstPort;
  }

  isSame(other: CtTuple): boolean {
    return sameTuple(this, other);
  }
}

export function sameTuple(a: CtTuple, b: CtTuple): boolean {
  return (
    a.src === b.src &&
    a.dst === b.dst &&
    a.srcPort === b.srcPort &&
    a.dstPort === b.dstPort &&
    a.proto === b.proto
  );
}

function hashOf({ src, dst, proto, srcPort, dstPort }: CtTuple): number {
  let hash = Math.imul(wordOf(src), 0x9e3779b1) ^ Math.imul(wordOf(dst), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ (srcPort * 65_536 + dstPort), 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 13) ^ proto, 0x27d4eb2f);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** An address as one word. */
function wordOf(address: IpAddress): number {
  if (typeof address === 'number') return address;
  let word = 0;
  for (let i = 0; i < 4; i++) word = Math.imul(word ^ ip6Word(address, i), 0x9e3779b1) ^ (word >>> 15);
  return word;
}

const LEAST = 64;

/** Tuples by their values: a chained hash table that grows with what it holds. */
export class TupleTable {
  #buckets: (TupleHash | null)[] = new Array<TupleHash | null>(LEAST).fill(null);
  #size = 0;

  find(tuple: CtTuple): TupleHash | null {
    let entry = this.#buckets[hashOf(tuple) & (this.#buckets.length - 1)] ?? null;
    while (entry !== null && !sameTuple(entry, tuple)) entry = entry.next;
    return entry;
  }

  add(entry: TupleHash): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    this.#link(entry);
    this.#size++;
  }

  remove(entry: TupleHash): void {
    const at = hashOf(entry) & (this.#buckets.length - 1);
    let before: TupleHash | null = null;
    for (let here = this.#buckets[at] ?? null; here !== null; before = here, here = here.next) {
      if (here !== entry) continue;
      if (before === null) this.#buckets[at] = entry.next;
      else before.next = entry.next;
      entry.next = null;
      this.#size--;
      return;
    }
  }

  /** Visits the entries of some buckets, from that of a tuple on, until one bucket had something to take. */
  scan(tuple: CtTuple, buckets: number, take: (entry: TupleHash) => boolean): boolean {
    const mask = this.#buckets.length - 1;
    const start = hashOf(tuple);
    for (let i = 0; i < buckets && i <= mask; i++) {
      let taken = false;
      for (let here = this.#buckets[(start + i) & mask] ?? null; here !== null; ) {
        // Taking it takes it out of the chain.
        const { next }: TupleHash = here;
        if (take(here)) taken = true;
        here = next;
      }
      if (taken) return true;
    }
    return false;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array<TupleHash | null>(old.length * 2).fill(null);
    for (const head of old) {
      for (let here = head; here !== null; ) {
        const { next }: TupleHash = here;
        this.#link(here);
        here = next;
      }
    }
  }

  #link(entry: TupleHash): void {
    const at = hashOf(entry) & (this.#buckets.length - 1);
    entry.next = this.#buckets[at] ?? null;
    this.#buckets[at] = entry;
  }
}
