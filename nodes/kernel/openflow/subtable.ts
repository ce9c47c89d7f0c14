import type { Rule } from './classifier.ts';
import type { CompiledMatch } from './compiled-match.ts';
import { maskedHash, wordsHash } from './key-hash.ts';

const EMPTY = 0;
const LEAST = 8;

/**
 * The rules of one set of masks, by their values: open addressing, with hashes and values in typed arrays, so that a lookup
 * touches no rule but the one that it finds. Rules of the same values stand in a list, the highest priority first.
 */
export class Subtable<T extends Rule<T>> {
  /** The words that its rules look at, and the masks. */
  readonly shape: CompiledMatch;
  readonly #words: Uint8Array;
  readonly #masks: Uint32Array;
  readonly #width: number;
  /** 0 for a slot that is empty. */
  #hashes = new Int32Array(LEAST);
  #values: Uint32Array;
  #heads: (T | null)[] = new Array(LEAST).fill(null);
  #used = 0;
  /** How many rules have a priority. */
  readonly #priorities = new Map<number, number>();
  #highest = -1;
  size = 0;

  constructor(shape: CompiledMatch) {
    const { words, masks } = shape;
    this.shape = shape;
    this.#words = words;
    this.#masks = masks;
    this.#width = words.length;
    this.#values = new Uint32Array(LEAST * this.#width);
  }

  /** The highest priority of all; -1 without rules. */
  get highest(): number {
    return this.#highest;
  }

  /** The best rule for a packet's key. */
  lookup(key: Uint32Array): T | null {
    const words = this.#words;
    const masks = this.#masks;
    const width = this.#width;
    const hash = maskedHash(key, words, masks);
    const hashes = this.#hashes;
    const values = this.#values;
    const last = hashes.length - 1;
    probe: for (let slot = hash & last; hashes[slot] !== EMPTY; slot = (slot + 1) & last) {
      if (hashes[slot] !== hash) continue;
      const at = slot * width;
      for (let i = 0; i < width; i++)
        if (((values[at + i]! ^ key[words[i]!]!) & masks[i]!) !== 0) continue probe;
      return this.#heads[slot]!;
    }
    return null;
  }

  /** The rules of these values, the highest priority first. */
  find(values: Uint32Array): T | null {
    const slot = this.#slot(values);
    return slot < 0 ? null : (this.#heads[slot] ?? null);
  }

  /** Puts a rule in, in the place of one of the same values and priority, which it returns. */
  insert(rule: T): T | null {
    const { priority } = rule;
    const slot = this.#slot(rule.compiled.values);
    if (slot < 0) {
      rule.next = null;
      this.#add(rule);
    } else {
      let before: T | null = null;
      let at: T | null = this.#heads[slot] ?? null;
      while (at !== null && at.priority > priority) {
        before = at;
        at = at.next;
      }
      const replaced: T | null = at?.priority === priority ? at : null;
      rule.next = replaced === null ? at : replaced.next;
      if (before === null) this.#heads[slot] = rule;
      else before.next = rule;
      if (replaced !== null) return replaced;
    }
    this.size++;
    this.#priorities.set(priority, (this.#priorities.get(priority) ?? 0) + 1);
    this.#highest = Math.max(this.#highest, priority);
    return null;
  }

  remove(rule: T): 'removed' | 'absent' {
    const slot = this.#slot(rule.compiled.values);
    if (slot < 0) return 'absent';
    let before: T | null = null;
    let at: T | null = this.#heads[slot] ?? null;
    while (at !== null && at !== rule) {
      before = at;
      at = at.next;
    }
    if (at === null) return 'absent';
    if (before !== null) before.next = rule.next;
    else if (rule.next !== null) this.#heads[slot] = rule.next;
    else this.#clear(slot);
    rule.next = null;
    this.size--;
    const { priority } = rule;
    const left = (this.#priorities.get(priority) ?? 1) - 1;
    if (left > 0) this.#priorities.set(priority, left);
    else {
      this.#priorities.delete(priority);
      if (priority === this.#highest) {
        this.#highest = -1;
        for (const other of this.#priorities.keys()) this.#highest = Math.max(this.#highest, other);
      }
    }
    return 'removed';
  }

  *rules(): IterableIterator<T> {
    for (const head of this.#heads) for (let rule = head; rule !== null; rule = rule.next) yield rule;
  }

  /** Where these values stand; -1 where they do not. */
  #slot(values: Uint32Array): number {
    const hash = wordsHash(values);
    const last = this.#hashes.length - 1;
    for (let slot = hash & last; this.#hashes[slot] !== EMPTY; slot = (slot + 1) & last)
      if (this.#hashes[slot] === hash && this.#isAt(slot, values)) return slot;
    return -1;
  }

  #isAt(slot: number, values: Uint32Array): boolean {
    for (let i = 0; i < this.#width; i++)
      if (this.#values[slot * this.#width + i] !== values[i]) return false;
    return true;
  }

  #add(rule: T): void {
    if (2 * (this.#used + 1) > this.#hashes.length) this.#grow();
    this.#place(wordsHash(rule.compiled.values), rule.compiled.values, rule);
    this.#used++;
  }

  #place(hash: number, values: Uint32Array, head: T): void {
    const last = this.#hashes.length - 1;
    let slot = hash & last;
    while (this.#hashes[slot] !== EMPTY) slot = (slot + 1) & last;
    this.#hashes[slot] = hash;
    this.#values.set(values, slot * this.#width);
    this.#heads[slot] = head;
  }

  #grow(): void {
    const heads = this.#heads;
    const hashes = this.#hashes;
    const capacity = 2 * hashes.length;
    this.#hashes = new Int32Array(capacity);
    this.#values = new Uint32Array(capacity * this.#width);
    this.#heads = new Array(capacity).fill(null);
    for (const [slot, head] of heads.entries())
      if (head !== null) this.#place(hashes[slot]!, head.compiled.values, head);
  }

  /** Empties a slot, and moves what stands behind it for want of a place (Knuth, TAOCP 3, 6.4 algorithm R). */
  #clear(slot: number): void {
    const last = this.#hashes.length - 1;
    const width = this.#width;
    let hole = slot;
    for (let at = (slot + 1) & last; this.#hashes[at] !== EMPTY; at = (at + 1) & last) {
      const wanted = this.#hashes[at]! & last;
      if (((at - wanted) & last) < ((at - hole) & last)) continue;
      this.#hashes[hole] = this.#hashes[at]!;
      this.#heads[hole] = this.#heads[at]!;
      this.#values.copyWithin(hole * width, at * width, (at + 1) * width);
      hole = at;
    }
    this.#hashes[hole] = EMPTY;
    this.#heads[hole] = null;
    this.#used--;
  }
}
