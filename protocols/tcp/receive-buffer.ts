import { seqAdd, seqDiff, seqLt } from './sequence.ts';

interface Piece {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** Segments that arrived ahead of their turn, bounded by the receive window. */
export class ReceiveBuffer {
  /** By sequence number, overlaps allowed: what is used first wins. */
  #pieces: Piece[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps an early piece (copied: the frame it came in is not ours to keep), unless it would take more than `limit`. */
  add(seq: number, bytes: Uint8Array, limit: number): void {
    if (
      this.#bytes + bytes.length > limit ||
      this.#pieces.some((piece) => piece.seq === seq && piece.bytes.length >= bytes.length)
    ) {
      return;
    }
    const piece = { seq, bytes: bytes.slice() };
    const at = this.#pieces.findIndex((other) => seqLt(seq, other.seq));
    if (at < 0) this.#pieces.push(piece);
    else this.#pieces.splice(at, 0, piece);
    this.#bytes += bytes.length;
  }

  /** Takes the bytes that follow on `next`, if they are here. */
  take(next: number): Uint8Array | null {
    while (this.#pieces.length > 0) {
      const piece = this.#pieces[0]!;
      const skip = seqDiff(next, piece.seq);
      if (skip < 0) return null;
      this.#pieces.shift();
      this.#bytes -= piece.bytes.length;
      if (seqLt(next, seqAdd(piece.seq, piece.bytes.length))) return piece.bytes.subarray(skip);
    }
    return null;
  }
}
