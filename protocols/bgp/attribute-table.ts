import { encodeForNow } from './attribute-encode.ts';
import { type AttributeFields, PathAttributes } from './attributes.ts';

/** Slots at least; a power of two. */
const MINIMUM = 256;
const EMPTY = -1;
/** Bytes of the arrays that encodings stand in, many in one: an array of its own would cost more than what it holds. */
const CHUNK = 4096;
const HASH_START = 0x811c_9dc5 | 0;
const HASH_FACTOR = 0x0100_0193;
/** 2^32 divided by the golden ratio. */
const MULTIPLIER = 0x9e37_79b1;

/**
 * Interns attribute sets by their encoded bytes. Sets that nothing else refers to any more are forgotten.
 *
 * Found by open addressing with linear probing over the FNV-1a hash of the bytes, so that no key is made of them: every UPDATE
 * looks up one set, and most make two.
 */
export class AttributeTable {
  #slots = new Int32Array(MINIMUM).fill(EMPTY);
  #shift = 32 - Math.log2(MINIMUM);
  /** By the numbers that stand in the slots. */
  #hashes: number[] = [];
  #sets: WeakRef<PathAttributes>[] = [];
  #chunk = new Uint8Array(CHUNK);
  #chunkUsed = 0;

  /** Entries, those of forgotten sets included until the table is full. */
  get size(): number {
    return this.#sets.length;
  }

  /** The set without an IPv6 next hop whose encoding with 4-octet AS numbers is these bytes; undefined if there is none. */
  find(buf: Uint8Array, off: number, length: number): PathAttributes | undefined {
    return this.#find(hashOf(buf, off, length, null), buf, off, length, null);
  }

  intern(fields: AttributeFields): PathAttributes {
    const { bytes, length } = encodeForNow(fields, 4);
    // The IPv6 next hop goes out in MP_REACH_NLRI, which is not part of the encoding.
    const hash = hashOf(bytes, 0, length, fields.nextHop6);
    const known = this.#find(hash, bytes, 0, length, fields.nextHop6);
    if (known !== undefined) return known;
    const made = this.#make(fields, bytes, length);
    if (2 * this.#sets.length >= this.#slots.length) this.#rebuild();
    this.#slots[this.#free(hash)] = this.#sets.length;
    this.#hashes.push(hash);
    this.#sets.push(new WeakRef(made));
    return made;
  }

  #make(fields: AttributeFields, bytes: Uint8Array, length: number): PathAttributes {
    if (length > CHUNK / 4) return new PathAttributes(fields, bytes.slice(0, length), 0, length);
    if (this.#chunkUsed + length > CHUNK) {
      this.#chunk = new Uint8Array(CHUNK);
      this.#chunkUsed = 0;
    }
    const at = this.#chunkUsed;
    for (let i = 0; i < length; i++) this.#chunk[at + i] = bytes[i]!;
    this.#chunkUsed += length;
    return new PathAttributes(fields, this.#chunk, at, length);
  }

  #find(
    hash: number,
    buf: Uint8Array,
    off: number,
    length: number,
    nextHop6: string | null,
  ): PathAttributes | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = this.#home(hash); ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!;
      if (entry === EMPTY) return undefined;
      if (this.#hashes[entry] !== hash) continue;
      const set = this.#sets[entry]?.deref();
      if (set?.nextHop6 === nextHop6 && set.isEncodedAs(buf, off, length)) return set;
    }
  }

  #home(hash: number): number {
    return Math.imul(hash, MULTIPLIER) >>> this.#shift;
  }

  #free(hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = this.#home(hash);
    while (this.#slots[slot] !== EMPTY) slot = (slot + 1) & mask;
    return slot;
  }

  /** Leaves out what is forgotten, and makes room for four times what is left. */
  #rebuild(): void {
    const hashes = this.#hashes;
    const sets = this.#sets;
    this.#hashes = [];
    this.#sets = [];
    for (let i = 0; i < sets.length; i++) {
      if (sets[i]!.deref() === undefined) continue;
      this.#hashes.push(hashes[i]!);
      this.#sets.push(sets[i]!);
    }
    const bits = Math.max(Math.log2(MINIMUM), Math.ceil(Math.log2(this.#sets.length)) + 3);
    this.#slots = new Int32Array(2 ** bits).fill(EMPTY);
    this.#shift = 32 - bits;
    for (const [entry, hash] of this.#hashes.entries()) this.#slots[this.#free(hash)] = entry;
  }
}

function hashOf(buf: Uint8Array, off: number, length: number, nextHop6: string | null): number {
  let hash = HASH_START;
  for (let i = off; i < off + length; i++) hash = Math.imul(hash ^ buf[i]!, HASH_FACTOR);
  if (nextHop6 === null) return hash;
  for (let i = 0; i < nextHop6.length; i++) hash = Math.imul(hash ^ nextHop6.charCodeAt(i), HASH_FACTOR);
  return hash;
}
