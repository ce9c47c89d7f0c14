import { prefixMask } from './ip4.ts';

const NONE = -1;
const ROOT = 0;
const INITIAL = 64;

/**
 * Longest-prefix match over IPv4 prefixes: a path-compressed binary trie whose nodes stand in typed arrays, so
 * that a lookup walks integers and allocates nothing. Every inner node without a value has two children.
 */
export class LpmTrie<T> {
  #addr = new Uint32Array(INITIAL);
  #len = new Uint8Array(INITIAL);
  #left = new Int32Array(INITIAL).fill(NONE);
  #right = new Int32Array(INITIAL).fill(NONE);
  readonly #values: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #used = 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds or replaces the value of a prefix. Host bits of `addr` are ignored. */
  set(addr: number, len: number, value: T): void {
    const prefix = (addr & prefixMask(len)) >>> 0;
    let node = ROOT;
    for (;;) {
      if (this.#len[node] === len) {
        if (this.#values[node] === undefined) this.#size++;
        this.#values[node] = value;
        return;
      }
      const child = this.#child(node, prefix);
      if (child === NONE) {
        this.#setChild(node, prefix, this.#alloc(prefix, len, value));
        this.#size++;
        return;
      }
      const common = Math.min(commonBits(prefix, this.#addr[child]!), len, this.#len[child]!);
      if (common === this.#len[child]) {
        node = child;
        continue;
      }
      this.#size++;
      if (common === len) {
        const inserted = this.#alloc(prefix, len, value);
        this.#setChild(inserted, this.#addr[child]!, child);
        this.#setChild(node, prefix, inserted);
        return;
      }
      const fork = this.#alloc((prefix & prefixMask(common)) >>> 0, common, undefined);
      const leaf = this.#alloc(prefix, len, value);
      this.#setChild(fork, this.#addr[child]!, child);
      this.#setChild(fork, prefix, leaf);
      this.#setChild(node, prefix, fork);
      return;
    }
  }

  /** The value of exactly this prefix. */
  get(addr: number, len: number): T | undefined {
    const prefix = (addr & prefixMask(len)) >>> 0;
    let node = ROOT;
    while (node !== NONE && this.#len[node]! < len) node = this.#child(node, prefix);
    if (node === NONE || this.#len[node] !== len || this.#addr[node] !== prefix) return undefined;
    return this.#values[node];
  }

  /** Removes a prefix; false if it was not there. */
  delete(addr: number, len: number): boolean {
    const prefix = (addr & prefixMask(len)) >>> 0;
    let grandparent = NONE;
    let parent = NONE;
    let node = ROOT;
    while (node !== NONE && this.#len[node]! < len) {
      grandparent = parent;
      parent = node;
      node = this.#child(node, prefix);
    }
    if (node === NONE || this.#len[node] !== len || this.#addr[node] !== prefix) return false;
    if (this.#values[node] === undefined) return false;
    this.#values[node] = undefined;
    this.#size--;
    this.#prune(node, parent, grandparent);
    return true;
  }

  /** The value of the longest prefix that contains the address. */
  lookup(addr: number): T | undefined {
    const len = this.#len;
    const addrs = this.#addr;
    let best: T | undefined;
    let node = ROOT;
    while (node !== NONE) {
      const nodeLen = len[node]!;
      if (nodeLen !== 0 && (addr ^ addrs[node]!) >>> (32 - nodeLen) !== 0) break;
      const value = this.#values[node];
      if (value !== undefined) best = value;
      if (nodeLen === 32) break;
      node = ((addr >>> (31 - nodeLen)) & 1) === 0 ? this.#left[node]! : this.#right[node]!;
    }
    return best;
  }

  /** The values of all prefixes that contain the address, shortest first. */
  lookupAll(addr: number): T[] {
    const found: T[] = [];
    let node = ROOT;
    while (node !== NONE) {
      const nodeLen = this.#len[node]!;
      if (nodeLen !== 0 && (addr ^ this.#addr[node]!) >>> (32 - nodeLen) !== 0) break;
      const value = this.#values[node];
      if (value !== undefined) found.push(value);
      node = this.#child(node, addr);
    }
    return found;
  }

  /** All entries by address, then by length. */
  *entries(): IterableIterator<{ readonly addr: number; readonly len: number; readonly value: T }> {
    const stack = [ROOT];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const value = this.#values[node];
      if (value !== undefined) yield { addr: this.#addr[node]!, len: this.#len[node]!, value };
      if (this.#right[node] !== NONE) stack.push(this.#right[node]!);
      if (this.#left[node] !== NONE) stack.push(this.#left[node]!);
    }
  }

  #child(node: number, addr: number): number {
    const len = this.#len[node]!;
    if (len === 32) return NONE;
    return ((addr >>> (31 - len)) & 1) === 0 ? this.#left[node]! : this.#right[node]!;
  }

  #setChild(node: number, addr: number, child: number): void {
    if (((addr >>> (31 - this.#len[node]!)) & 1) === 0) this.#left[node] = child;
    else this.#right[node] = child;
  }

  #alloc(addr: number, len: number, value: T | undefined): number {
    const node = this.#free.pop() ?? this.#used++;
    if (node >= this.#addr.length) this.#grow();
    this.#addr[node] = addr;
    this.#len[node] = len;
    this.#left[node] = NONE;
    this.#right[node] = NONE;
    this.#values[node] = value;
    return node;
  }

  #grow(): void {
    const capacity = this.#addr.length * 2;
    const widen = <A extends Uint32Array | Uint8Array | Int32Array>(next: A, old: A): A => {
      next.set(old);
      return next;
    };
    this.#addr = widen(new Uint32Array(capacity), this.#addr);
    this.#len = widen(new Uint8Array(capacity), this.#len);
    this.#left = widen(new Int32Array(capacity).fill(NONE), this.#left);
    this.#right = widen(new Int32Array(capacity).fill(NONE), this.#right);
  }

  /** Takes out a node that has lost its value, and its parent if that only forked to it. */
  #prune(node: number, parent: number, grandparent: number): void {
    const left = this.#left[node]!;
    const right = this.#right[node]!;
    if (parent === NONE || (left !== NONE && right !== NONE)) return;
    const only = left !== NONE ? left : right;
    const addr = this.#addr[node]!;
    this.#setChild(parent, addr, only);
    this.#free.push(node);
    if (only !== NONE || parent === ROOT || this.#values[parent] !== undefined) return;
    const sibling = this.#left[parent] !== NONE ? this.#left[parent]! : this.#right[parent]!;
    this.#setChild(grandparent, addr, sibling);
    this.#free.push(parent);
  }
}

/** Number of leading bits that two addresses share. */
function commonBits(a: number, b: number): number {
  return Math.clz32(a ^ b);
}
