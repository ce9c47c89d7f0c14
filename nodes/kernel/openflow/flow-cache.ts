import { maskedHash } from './key-hash.ts';

/** Packets whose rule is kept. */
const CAPACITY = 4_096;

/**
 * The rules of packets that came not long ago, in front of a classifier, as Open vSwitch's exact-match cache. A packet is known by
 * the words that any rule looks at, so that those that differ in nothing else are one.
 */
export class FlowCache<T> {
  #words: Uint8Array = new Uint8Array(0);
  #masks: Uint32Array = new Uint32Array(0);
  #values = new Uint32Array(0);
  /** The generation that a slot was filled in. */
  readonly #filled = new Int32Array(CAPACITY);
  readonly #rules: (T | null)[] = new Array(CAPACITY).fill(null);
  #generation = 1;

  /** Forgets all. */
  clear(): void {
    this.#generation++;
  }

  /** From here on packets are known by these words under these masks. */
  look(words: Uint8Array, masks: Uint32Array): void {
    this.clear();
    this.#words = words;
    this.#masks = masks;
    if (this.#values.length < CAPACITY * words.length)
      this.#values = new Uint32Array(CAPACITY * words.length);
  }

  /** Where a packet's rule stands or is to stand. */
  slot(key: Uint32Array): number {
    return maskedHash(key, this.#words, this.#masks) & (CAPACITY - 1);
  }

  /** Its rule, null for none that takes it; undefined where that is not known. */
  get(slot: number, key: Uint32Array): T | null | undefined {
    if (this.#filled[slot] !== this.#generation) return undefined;
    const words = this.#words;
    const masks = this.#masks;
    const values = this.#values;
    const at = slot * words.length;
    for (let i = 0; i < words.length; i++)
      if (((values[at + i]! ^ key[words[i]!]!) & masks[i]!) !== 0) return undefined;
    return this.#rules[slot];
  }

  set(slot: number, key: Uint32Array, rule: T | null): void {
    const at = slot * this.#words.length;
    for (let i = 0; i < this.#words.length; i++) this.#values[at + i] = key[this.#words[i]!]!;
    this.#filled[slot] = this.#generation;
    this.#rules[slot] = rule;
  }
}
