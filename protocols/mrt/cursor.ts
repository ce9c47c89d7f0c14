import { u16, u32 } from '../bytes.ts';

const NOTHING = new Uint8Array(0);

/**
 * Big-endian fields one after another. Past the end it gives zeros and no bytes, and remembers that it did, so that a
 * decoder of many fields checks once.
 */
export class Cursor {
  readonly #buf: Uint8Array;
  #at = 0;
  #overrun = false;

  constructor(buf: Uint8Array) {
    this.#buf = buf;
  }

  /** Whether a field ran over the end. */
  get overrun(): boolean {
    return this.#overrun;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#buf.length - this.#at;
  }

  u8(): number {
    return this.#take(1) ? this.#buf[this.#at - 1]! : 0;
  }

  u16(): number {
    return this.#take(2) ? u16(this.#buf, this.#at - 2) : 0;
  }

  u32(): number {
    return this.#take(4) ? u32(this.#buf, this.#at - 4) : 0;
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    return this.#take(length) ? this.#buf.subarray(this.#at - length, this.#at) : NOTHING;
  }

  #take(length: number): boolean {
    if (this.#overrun || length > this.left) {
      this.#overrun = true;
      return false;
    }
    this.#at += length;
    return true;
  }
}
