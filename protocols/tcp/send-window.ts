import type { TcpSegment } from './segment.ts';
import { seqLe, seqLt } from './sequence.ts';

/** What the peer lets us send: SND.WND with the segment it was last learned from (SND.WL1, SND.WL2; RFC 9293 §3.3.1). */
export class SendWindow {
  #size = 0;
  #seq = 0;
  #ack = 0;
  #largest = 0;

  /** The largest that the peer has had, Max(SND.WND). */
  get largest(): number {
    return this.#largest;
  }

  get size(): number {
    return this.#size;
  }

  /** Takes the window of a segment, whatever was known before. */
  learn({ window, seq, ack }: TcpSegment): void {
    this.#size = window;
    this.#largest = Math.max(this.#largest, window);
    this.#seq = seq;
    this.#ack = ack;
  }

  /**
   * Takes the window of a segment unless a later one has been seen; whether it did. By acknowledgment first: what a peer
   * repeats has an older sequence number, but not an older window.
   */
  update(segment: TcpSegment): boolean {
    const newer =
      seqLt(this.#ack, segment.ack) || (this.#ack === segment.ack && seqLe(this.#seq, segment.seq));
    if (newer) this.learn(segment);
    return newer;
  }
}
