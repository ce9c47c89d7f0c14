/** A set of prefixes by open addressing, each with a slot of its own: the receiver has to be much faster than any target. */
class PrefixSlots {
  readonly #mask: number;
  readonly #keys: Float64Array;

  constructor(keys: Iterable<number>, count: number) {
    const size = 2 ** Math.ceil(Math.log2(count * 2 + 2));
    this.#mask = size - 1;
    this.#keys = new Float64Array(size).fill(-1);
    for (const key of keys) this.#keys[this.#slot(key)] = key;
  }

  get size(): number {
    return this.#keys.length;
  }

  /** -1 if the prefix is not in the set. */
  find(key: number): number {
    const slot = this.#slot(key);
    return this.#keys[slot] === key ? slot : -1;
  }

  #slot(key: number): number {
    const hash = Math.imul(Math.floor(key / 64) ^ (key & 63), 0x9e37_79b1);
    let at = (hash ^ (hash >>> 15)) & this.#mask;
    while (this.#keys[at] !== key && this.#keys[at] !== -1) at = (at + 1) & this.#mask;
    return at;
  }
}

/**
 * What the target tells its receiver: of each prefix the length of the AS path last told, held against that of the best path.
 * It is done when all are as they should be.
 */
export class Received {
  readonly #slots: PrefixSlots;
  readonly #expected: Uint8Array;
  readonly #told: Uint8Array;
  readonly #total: number;
  #right = 0;
  /** NLRI and withdrawn routes that came, repetitions counted. */
  prefixes = 0;
  /** Prefixes that nobody has announced. */
  unknown = 0;
  /** When all was as it should be, ms on the clock of `performance.now`; `Infinity` while it is not. */
  rightAt = Number.POSITIVE_INFINITY;
  /** When the last UPDATE came. */
  lastAt = 0;
  /** Called each time that all is as it should be. */
  complete: () => void = () => {};
  /** Called when a single prefix that is waited for has come. */
  awaited: { readonly key: number; readonly come: () => void } | null = null;

  /** `best` gives path lengths as injected; the target puts one AS number before. */
  constructor(best: ReadonlyMap<number, number>) {
    this.#slots = new PrefixSlots(best.keys(), best.size);
    this.#expected = new Uint8Array(this.#slots.size);
    this.#told = new Uint8Array(this.#slots.size);
    this.#total = best.size;
    for (const [key, length] of best) this.#expected[this.#slots.find(key)] = length + 1;
  }

  /** Prefixes that are as they should be. */
  get right(): number {
    return this.#right;
  }

  update(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    const withdrawnEnd = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
    this.#take(bytes, at + 2, withdrawnEnd, 0);
    at = withdrawnEnd;
    const attributesEnd = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
    if (attributesEnd < end) {
      this.#take(bytes, attributesEnd, end, asPathLength(bytes, at + 2, attributesEnd));
    }
    this.lastAt = performance.now();
    if (this.#right < this.#total) {
      this.rightAt = Number.POSITIVE_INFINITY;
    } else if (this.rightAt === Number.POSITIVE_INFINITY) {
      this.rightAt = this.lastAt;
      this.complete();
    }
  }

  #take(bytes: Uint8Array, start: number, end: number, pathLength: number): void {
    for (let at = start; at < end; ) {
      const len = bytes[at++]!;
      let addr = 0;
      for (let shift = 24; shift > 24 - len; shift -= 8) addr |= bytes[at++]! << shift;
      this.#one((addr >>> 0) * 64 + len, pathLength);
    }
  }

  #one(key: number, pathLength: number): void {
    this.prefixes++;
    const slot = this.#slots.find(key);
    if (slot === -1) {
      const { awaited } = this;
      if (awaited === null || awaited.key !== key || pathLength === 0) {
        this.unknown++;
        return;
      }
      this.awaited = null;
      awaited.come();
      return;
    }
    const expected = this.#expected[slot];
    if (this.#told[slot] === expected) this.#right--;
    if (pathLength === expected) this.#right++;
    this.#told[slot] = pathLength;
  }
}

/** AS numbers in the AS_PATH, of four octets each. */
function asPathLength(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; ) {
    const extended = (bytes[at]! & 0x10) !== 0;
    const type = bytes[at + 1]!;
    const length = extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
    at += extended ? 4 : 3;
    if (type === 2) {
      let count = 0;
      for (let segment = at; segment < at + length; segment += 2 + 4 * bytes[segment + 1]!) {
        count += bytes[segment + 1]!;
      }
      return count;
    }
    at += length;
  }
  return 0;
}
