interface Chunk {
  readonly bytes: Uint8Array;
  /** Stream offset of the first byte. */
  readonly start: number;
  readonly cause: number;
}

/**
 * Bytes accepted from the application and not yet acknowledged, by their offset in the stream, with the causal
 * event of each.
 */
export class SendBuffer {
  readonly #limit: number;
  #chunks: Chunk[] = [];
  #head = 0;
  #start = 0;
  #end = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Stream offset of the first unacknowledged byte. */
  get start(): number {
    return this.#start;
  }

  /** Stream offset behind the last byte accepted. */
  get end(): number {
    return this.#end;
  }

  get space(): number {
    return this.#limit - (this.#end - this.#start);
  }

  /** Whether whoever waits for room is to be woken: a third of it is free (`sk_stream_is_writeable` of Linux). */
  get isWritable(): boolean {
    return this.space >= (this.#limit - this.space) / 2;
  }

  /** Takes what fits; returns how much that was. The bytes are kept, not copied. */
  push(bytes: Uint8Array, cause: number): number {
    const taken = Math.min(bytes.length, this.space);
    if (taken === 0) return 0;
    this.#chunks.push({
      bytes: taken === bytes.length ? bytes : bytes.subarray(0, taken),
      start: this.#end,
      cause,
    });
    this.#end += taken;
    return taken;
  }

  /** Forgets everything before a stream offset. */
  acknowledge(offset: number): void {
    this.#start = offset;
    for (;;) {
      const chunk = this.#chunks[this.#head];
      if (chunk === undefined || chunk.start + chunk.bytes.length > offset) break;
      this.#head++;
    }
    if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Copies up to `length` bytes from a stream offset; `cause` is that of the last byte. */
  read(offset: number, length: number): { readonly bytes: Uint8Array; readonly cause: number } {
    const wanted = Math.min(length, this.#end - offset);
    const bytes = new Uint8Array(wanted);
    let cause = 0;
    let filled = 0;
    for (let i = this.#find(offset); filled < wanted; i++) {
      const chunk = this.#chunks[i]!;
      const from = offset + filled - chunk.start;
      const part = chunk.bytes.subarray(from, from + wanted - filled);
      bytes.set(part, filled);
      filled += part.length;
      cause = chunk.cause;
    }
    return { bytes, cause };
  }

  /** Index of the chunk that holds an offset. */
  #find(offset: number): number {
    let low = this.#head;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#chunks[middle]!.start <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
