/** What may come late, of what has been seen last (`COUNTER_WINDOW_SIZE`). */
const BITS = 8192;
const WORDS = BITS / 32;
export const WINDOW_SIZE = BITS - 64;

/** Which counters of a session have come already (RFC 6479): each is taken once, and none that is too old. */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  /** One more than the highest that has come. */
  #next = 0;

  /** False where a packet is to be dropped. To be called for those alone that are authentic. */
  take(counter: number): boolean {
    if (!Number.isSafeInteger(counter)) return false;
    if (counter + WINDOW_SIZE < this.#next) return false;
    const word = Math.floor(counter / 32);
    if (counter >= this.#next) {
      const last = Math.floor(Math.max(this.#next - 1, 0) / 32);
      const skipped = Math.min(word - last, WORDS);
      for (let i = 1; i <= skipped; i++) this.#bits[(last + i) % WORDS] = 0;
      this.#next = counter + 1;
    }
    const bit = 1 << (counter % 32);
    const at = word % WORDS;
    if ((this.#bits[at]! & bit) !== 0) return false;
    this.#bits[at]! |= bit;
    return true;
  }
}
