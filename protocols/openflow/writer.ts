import { setU16, setU32 } from '../bytes.ts';

/** Grows as it is written to. */
export class OfWriter {
  length = 0;
  #buf = new Uint8Array(128);

  u8(value: number): void {
    const at = this.#take(1);
    this.#buf[at] = value;
  }

  u16(value: number): void {
    const at = this.#take(2);
    setU16(this.#buf, at, value);
  }

  u32(value: number): void {
    const at = this.#take(4);
    setU32(this.#buf, at, value);
  }

  u64(value: bigint): void {
    this.big(value, 8);
  }

  big(value: bigint, bytes: number): void {
    const at = this.#take(bytes);
    let rest = value;
    for (let i = bytes - 1; i >= 0; i--) {
      this.#buf[at + i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    this.#buf.set(bytes, at);
  }

  /** Text in a field of `size` bytes, the last of them 0. */
  text(text: string, size: number): void {
    const at = this.#take(size);
    this.#buf.set(new TextEncoder().encode(text).subarray(0, size - 1), at);
  }

  zeros(count: number): void {
    this.#take(count);
  }

  /** Zeros up to a multiple of 8 from `start`. */
  align(start: number): void {
    this.#take((8 - ((this.length - start) & 7)) & 7);
  }

  setU16(at: number, value: number): void {
    setU16(this.#buf, at, value);
  }

  take(): Uint8Array {
    return this.#buf.slice(0, this.length);
  }

  #take(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#buf.length) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.#buf.length));
      larger.set(this.#buf);
      this.#buf = larger;
    }
    return at;
  }
}
