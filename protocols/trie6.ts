import { commonBits6, type Ip6, ip6Word, maskIp6 } from './ip6.ts';

const NONE = -1;
const ROOT = 0;
const INITIAL = 64;

/**
 * Longest-prefix match over IPv6 prefixes: the path-compressed trie of trie.ts with four words an address. A look-up
 * walks integers and allocates nothing.
 */
export class Lpm6Trie<T> {
  /** Four words a node. */
  #words = new Uint32Array(4 * INITIAL);
  #len = new Uint8Array(INITIAL);
  /** Two children a node, for the bit 0 and the bit 1 behind its prefix. */
  #children = new Int32Array(2 * INITIAL).fill(NONE);
  readonly #prefixes: Ip6[] = ['\0'.repeat(16)];
  readonly #values: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #used = 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds or replaces the value of a prefix. Host bits of `addr` are ignored. */
  set(addr: Ip6, len: number, value: T): void {
    const prefix = maskIp6(addr, len);
    let node = ROOT;
    for (;;) {
      if (this.#len[node] === len) {
        if (this.#values[node] === undefined) this.#size++;
        this.#values[node] = value;
        return;
      }
      const slot = this.#slot(node, prefix);
      const child = this.#children[slot]!;
      if (child === NONE) {
        const leaf = this.#alloc(prefix, len, value);
        this.#children[slot] = leaf;
        this.#size++;
        return;
      }
      const common = Math.min(commonBits6(prefix, this.#prefixes[child]!), len, this.#len[child]!);
      if (common === this.#len[child]) {
        node = child;
        continue;
      }
      this.#size++;
      const above = this.#alloc(maskIp6(prefix, common), common, common === len ? value : undefined);
      this.#children[this.#slot(above, this.#prefixes[child]!)] = child;
      if (common !== len) {
        const leaf = this.#alloc(prefix, len, value);
        this.#children[this.#slot(above, prefix)] = leaf;
      }
      this.#children[slot] = above;
      return;
    }
  }

  /** The value of exactly this prefix. */
  get(addr: Ip6, len: number): T | undefined {
    const node = this.#path(addr, len).at(-1)!;
    return this.#len[node] === len && this.#prefixes[node] === maskIp6(addr, len)
      ? this.#values[node]
      : undefined;
  }

  /** Removes a prefix; false if it was not there. */
  delete(addr: Ip6, len: number): boolean {
    const path = this.#path(addr, len);
    const node = path.at(-1)!;
    if (this.#len[node] !== len || this.#prefixes[node] !== maskIp6(addr, len)) return false;
    if (this.#values[node] === undefined) return false;
    this.#values[node] = undefined;
    this.#size--;
    this.#prune(node, path.at(-2) ?? NONE, path.at(-3) ?? NONE);
    return true;
  }

  /** The value of the longest prefix that contains the address. */
  lookup(addr: Ip6): T | undefined {
    const a = ip6Word(addr, 0);
    const b = ip6Word(addr, 1);
    const c = ip6Word(addr, 2);
    const d = ip6Word(addr, 3);
    const words = this.#words;
    const lens = this.#len;
    let best: T | undefined;
    let node = ROOT;
    for (;;) {
      const len = lens[node]!;
      if (!covers(words, 4 * node, len, a, b, c, d)) return best;
      const value = this.#values[node];
      if (value !== undefined) best = value;
      if (len === 128) return best;
      const word = len < 64 ? (len < 32 ? a : b) : len < 96 ? c : d;
      node = this.#children[2 * node + ((word >>> (31 - (len & 31))) & 1)]!;
      if (node === NONE) return best;
    }
  }

  /** The values of all prefixes that contain the address, shortest first. */
  lookupAll(addr: Ip6): T[] {
    const found: T[] = [];
    for (const node of this.#path(addr, 128)) {
      const value = this.#values[node];
      if (value !== undefined && commonBits6(this.#prefixes[node]!, addr) >= this.#len[node]!)
        found.push(value);
    }
    return found;
  }

  /** All entries by address, then by length. */
  *entries(): IterableIterator<{ readonly addr: Ip6; readonly len: number; readonly value: T }> {
    const stack = [ROOT];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const value = this.#values[node];
      if (value !== undefined) yield { addr: this.#prefixes[node]!, len: this.#len[node]!, value };
      for (const child of [this.#children[2 * node + 1]!, this.#children[2 * node]!])
        if (child !== NONE) stack.push(child);
    }
  }

  /** The nodes from the root towards a prefix, to the first that is as long or is not on its way. */
  #path(addr: Ip6, len: number): number[] {
    const path = [ROOT];
    for (let node = ROOT; this.#len[node]! < len; ) {
      if (commonBits6(this.#prefixes[node]!, addr) < this.#len[node]!) break;
      node = this.#children[this.#slot(node, addr)]!;
      if (node === NONE) break;
      path.push(node);
    }
    return path;
  }

  /** Where the child of a node stands that leads to an address. */
  #slot(node: number, addr: Ip6): number {
    const len = this.#len[node]!;
    return 2 * node + ((ip6Word(addr, len >> 5) >>> (31 - (len & 31))) & 1);
  }

  #alloc(addr: Ip6, len: number, value: T | undefined): number {
    const node = this.#free.pop() ?? this.#used++;
    if (node >= this.#len.length) this.#grow();
    for (let i = 0; i < 4; i++) this.#words[4 * node + i] = ip6Word(addr, i);
    this.#len[node] = len;
    this.#children.fill(NONE, 2 * node, 2 * node + 2);
    this.#prefixes[node] = addr;
    this.#values[node] = value;
    return node;
  }

  #grow(): void {
    const capacity = 2 * this.#len.length;
    const words = new Uint32Array(4 * capacity);
    words.set(this.#words);
    this.#words = words;
    const len = new Uint8Array(capacity);
    len.set(this.#len);
    this.#len = len;
    const children = new Int32Array(2 * capacity).fill(NONE);
    children.set(this.#children);
    this.#children = children;
  }

  /** Takes out a node that has lost its value, and its parent if that only forked to it. */
  #prune(node: number, parent: number, grandparent: number): void {
    const left = this.#children[2 * node]!;
    const right = this.#children[2 * node + 1]!;
    if (parent === NONE || (left !== NONE && right !== NONE)) return;
    const only = left !== NONE ? left : right;
    const prefix = this.#prefixes[node]!;
    const slot = this.#slot(parent, prefix);
    this.#children[slot] = only;
    this.#free.push(node);
    if (only !== NONE || parent === ROOT || this.#values[parent] !== undefined) return;
    this.#children[this.#slot(grandparent, prefix)] = this.#children[slot ^ 1]!;
    this.#free.push(parent);
  }
}

/** Whether the prefix of `len` bits at `at` holds the address of these words. */
function covers(words: Uint32Array, at: number, len: number, a: number, b: number, c: number, d: number) {
  if (len === 0) return true;
  if (len <= 32) return (a ^ words[at]!) >>> (32 - len) === 0;
  if (a !== words[at]) return false;
  if (len <= 64) return (b ^ words[at + 1]!) >>> (64 - len) === 0;
  if (b !== words[at + 1]) return false;
  if (len <= 96) return (c ^ words[at + 2]!) >>> (96 - len) === 0;
  return c === words[at + 2] && (d ^ words[at + 3]!) >>> (128 - len) === 0;
}
