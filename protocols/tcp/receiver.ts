import { ReceiveBuffer } from './receive-buffer.ts';
import { FIN, type TcpSegment } from './segment.ts';
import { seqAdd, seqDiff } from './sequence.ts';

/** Where a receiver's bytes go. Each call may close it. */
export interface ReceiverOutput {
  /** Bytes in order. The array is the receiver's to keep. */
  data(bytes: Uint8Array): void;
  /** The peer has sent FIN: no more data will come. */
  peerClosed(): void;
}

const WINDOW = 65_535;

/**
 * The receiving half of a connection: what is acceptable (RFC 9293 §3.4), bytes put in order, bytes held while the
 * application does not read, and the window that follows from it.
 */
export class Receiver {
  readonly #out: ReceiverOutput;
  readonly #early = new ReceiveBuffer();
  /** RCV.NXT */
  #next = 0;
  #state: 'reading' | 'paused' | 'closed' = 'reading';
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** The peer's FIN has come behind bytes that are held. */
  #heldEof = false;

  constructor(out: ReceiverOutput) {
    this.#out = out;
  }

  /** Sequence number that is expected next. */
  get next(): number {
    return this.#next;
  }

  get window(): number {
    return Math.max(WINDOW - this.#heldBytes, 0);
  }

  /** Takes what the peer's SYN says. */
  learnSyn(segment: TcpSegment): void {
    this.#next = seqAdd(segment.seq, 1);
  }

  /** RFC 9293 §3.10.7.4, first check. */
  acceptable(seq: number, length: number): boolean {
    const { window } = this;
    const first = seqDiff(seq, this.#next);
    if (length === 0) return window === 0 ? first === 0 : first >= 0 && first < window;
    const last = seqDiff(seqAdd(seq, length - 1), this.#next);
    if (window === 0) return false;
    return (first >= 0 && first < window) || (last >= 0 && last < window);
  }

  /**
   * With our window closed, nothing but an empty segment at its edge is acceptable, yet ACK and RST count of all that
   * a peer may send then: probes, and what it sends behind them (RFC 9293 §3.10.7.4). Their bytes are dropped.
   */
  beyondClosedWindow(seq: number, length: number): boolean {
    if (this.window > 0) return false;
    const first = seqDiff(seq, this.#next);
    return first >= 0 && first <= WINDOW && (first > 0 || length > 0);
  }

  /**
   * Takes the bytes of an acceptable segment and delivers what is in order now. 'complete': that was all of it and left
   * no gap; 'incomplete': the peer is to be told what is missing; 'fin': the peer's FIN is next, which `takeFin` takes.
   */
  take(segment: TcpSegment): 'complete' | 'incomplete' | 'fin' {
    const skip = Math.max(seqDiff(this.#next, segment.seq), 0);
    const start = seqAdd(segment.seq, skip);
    const room = seqDiff(seqAdd(this.#next, this.window), start);
    const bytes = segment.payload.subarray(Math.min(skip, segment.payload.length), skip + Math.max(room, 0));
    if (start !== this.#next) {
      // A FIN ahead of its turn is not kept: the peer repeats it once the gap is filled.
      if (bytes.length > 0) this.#early.add(start, bytes, WINDOW);
      return 'incomplete';
    }
    const end = seqAdd(start, bytes.length);
    const gap = this.#early.bytes > 0;
    if (bytes.length > 0) this.#deliver(bytes);
    while (this.#state !== 'closed') {
      const next = this.#early.take(this.#next);
      if (next === null) break;
      this.#deliver(next);
    }
    const whole = skip + bytes.length >= segment.payload.length;
    if (whole && (segment.flags & FIN) !== 0 && end === this.#next) return 'fin';
    return gap || !whole ? 'incomplete' : 'complete';
  }

  /** The FIN takes its sequence number. */
  takeFin(): void {
    this.#next = seqAdd(this.#next, 1);
  }

  /** Tells of the peer's FIN, once what is before it has been read. */
  deliverFin(): void {
    if (this.#held.length > 0) this.#heldEof = true;
    else this.#out.peerClosed();
  }

  /** Bytes are held from here on, and the window closes. */
  pause(): void {
    if (this.#state === 'reading') this.#state = 'paused';
  }

  /** Delivers what was held; false if nothing was paused. */
  resume(): boolean {
    if (this.#state !== 'paused') return false;
    this.#state = 'reading';
    while (this.#reading()) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#heldBytes -= bytes.length;
      this.#out.data(bytes);
    }
    return true;
  }

  /** Tells of a FIN that had to wait for the bytes before it. */
  resumeFin(): void {
    if (!this.#heldEof || !this.#reading()) return;
    this.#heldEof = false;
    this.#out.peerClosed();
  }

  /** Delivers nothing more. */
  close(): void {
    this.#state = 'closed';
  }

  #reading(): boolean {
    return this.#state === 'reading';
  }

  #deliver(bytes: Uint8Array): void {
    this.#next = seqAdd(this.#next, bytes.length);
    if (this.#state === 'paused') {
      this.#held.push(bytes.slice());
      this.#heldBytes += bytes.length;
    } else this.#out.data(bytes);
  }
}
