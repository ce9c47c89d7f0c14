import { RtoEstimator, type RtoLimits } from './rto.ts';
import { ACK, FIN, PSH, type TcpSegment } from './segment.ts';
import { SendBuffer } from './send-buffer.ts';
import { SendWindow } from './send-window.ts';
import { seqAdd, seqDiff } from './sequence.ts';

export interface SenderOptions {
  /** Initial send sequence number. */
  readonly iss: number;
  /** Largest payload of a segment that we can take and send. */
  readonly mss: number;
  /** The same for sending alone, where the path is known to take less. */
  readonly pathMss?: number;
  readonly timings: RtoLimits & {
    /** Time without progress after which the connection is given up, ms (RFC 9293 §3.8.3). */
    readonly userTimeout: number;
    /** The same for the SYN, ms; absent: `userTimeout`. */
    readonly synTimeout?: number;
  };
  /** Most bytes accepted and not yet acknowledged. */
  readonly sendLimit?: number;
}

/** Where a sender's effects go. */
export interface SenderOutput {
  /** Our SYN is to be sent, whose sequence number is the initial one. */
  emitSyn(cause: number): void;
  /** A segment to send, and the event that it follows from. */
  emit(flags: number, seq: number, payload: Uint8Array, cause: number): void;
  /** Everything that was accepted has been acknowledged. */
  drained(): void;
  /** There is room again for what `push` has refused. */
  writable(): void;
}

const NEVER = Number.POSITIVE_INFINITY;
const SEND_LIMIT = 1024 * 1024;
/** A peer that names no MSS takes this (RFC 9293 §3.7.1). */
const DEFAULT_MSS = 536;
const MIN_MSS = 48;
const DUPLICATE_ACKS = 3;
export const NO_BYTES = new Uint8Array(0);

/**
 * The sending half of a connection: what was accepted, sent and acknowledged, retransmission (RFC 6298, fast
 * retransmit of RFC 5681 §3.2), probes of a closed window (RFC 9293 §3.8.6.1), our SYN and FIN.
 *
 * Positions in the sent stream are offsets from the byte after our SYN, which do not wrap.
 */
export class Sender {
  readonly #out: SenderOutput;
  readonly #iss: number;
  readonly #synCause: number;
  readonly #localMss: number;
  readonly #userTimeout: number;
  readonly #synTimeout: number;
  readonly #buffer: SendBuffer;
  readonly #rto: RtoEstimator;
  readonly #window = new SendWindow();
  /** SOCK_NOSPACE: `push` has taken less than it was given. */
  #refused = false;
  #mss: number;
  /** Offset of the oldest unacknowledged byte; -1 while our SYN is. */
  #una = -1;
  /** Offset of the next byte to send. */
  #nxt = 0;
  /** Offset behind the last byte ever sent: `nxt` may step back behind it. Pure ACKs carry it, so that theirs never does. */
  #sent = 0;
  #fin: 'none' | 'queued' | 'sent' = 'none';
  #finCause = 0;
  #retransmitAt = NEVER;
  /** Since when nothing has been acknowledged that should have been. */
  #stalledSince = NEVER;
  #probing = false;
  /** Probes sent since the window closed. */
  #probes = 0;
  #duplicateAcks = 0;
  /** Offset up to which a loss is being repaired. */
  #recover = -1;

  /** `cause` is the event that opens the connection. */
  constructor(options: SenderOptions, cause: number, out: SenderOutput) {
    this.#out = out;
    this.#iss = options.iss;
    this.#synCause = cause;
    this.#localMss = Math.min(options.mss, options.pathMss ?? options.mss);
    this.#mss = Math.min(this.#localMss, DEFAULT_MSS);
    this.#userTimeout = options.timings.userTimeout;
    this.#synTimeout = options.timings.synTimeout ?? options.timings.userTimeout;
    this.#buffer = new SendBuffer(options.sendLimit ?? SEND_LIMIT);
    this.#rto = new RtoEstimator(options.timings);
  }

  /** Bytes sent and not yet acknowledged. */
  get unacked(): number {
    // A FIN that is acknowledged is no byte.
    return Math.max(0, Math.min(this.#nxt, this.#buffer.end) - Math.max(this.#una, 0));
  }

  /** Bytes accepted and not yet sent. */
  get queued(): number {
    return this.#buffer.end - Math.min(this.#nxt, this.#buffer.end);
  }

  /** When `expired` is to be called. */
  get retransmitAt(): number {
    return this.#retransmitAt;
  }

  /** When the peer has been silent for too long. */
  get giveUpAt(): number {
    return this.#stalledSince + (this.#una < 0 ? this.#synTimeout : this.#userTimeout);
  }

  /** Sequence number of a segment without data. */
  get sentSeq(): number {
    return this.#seq(this.#sent);
  }

  /** What acknowledges our SYN, and nothing else. */
  get synAck(): number {
    return this.#seq(0);
  }

  get finQueued(): boolean {
    return this.#fin !== 'none';
  }

  get finAcknowledged(): boolean {
    return this.#fin === 'sent' && this.#una > this.#buffer.end;
  }

  /** The stream offset that a segment acknowledges. */
  offsetOf({ ack }: TcpSegment): number {
    const una = Math.max(this.#una, 0);
    return seqDiff(ack, this.#seq(una)) + una;
  }

  /** Whether an offset is behind what was sent; the peer cannot acknowledge that. */
  isUnsent(offset: number): boolean {
    return offset > this.#sent;
  }

  /** Takes what the peer's SYN says. */
  learnSyn(segment: TcpSegment): void {
    this.#window.learn(segment);
    this.#mss = Math.max(Math.min(this.#localMss, segment.mss ?? DEFAULT_MSS), MIN_MSS);
  }

  /** Sends our SYN, or sends it again. */
  sendSyn(now: number, cause: number): void {
    if (this.#retransmitAt === NEVER) {
      this.#rto.sent(-1, now);
      this.#stalledSince = now;
    } else this.#rto.discard();
    this.#out.emitSyn(cause);
    this.#retransmitAt = now + this.#rto.rto;
  }

  synAcknowledged(segment: TcpSegment, now: number): void {
    this.#una = 0;
    this.stop();
    this.#rto.synAcknowledged(now);
    this.#updateWindow(segment);
  }

  /** Queues bytes; returns how many were taken. */
  push(bytes: Uint8Array, cause: number): number {
    const taken = this.#buffer.push(bytes, cause);
    this.#refused = taken < bytes.length;
    return taken;
  }

  /** Queues FIN behind what is queued. */
  pushFin(cause: number): void {
    this.#fin = 'queued';
    this.#finCause = cause;
  }

  /** Sends what the window allows, then FIN if one is due; nothing before our SYN is acknowledged. */
  transmit(now: number, cause: number): void {
    if (this.#una < 0) return;
    const { end } = this.#buffer;
    while (this.#nxt < end) {
      const room = this.#window.size - (this.#nxt - this.#una);
      const length = Math.min(end - this.#nxt, this.#mss, room);
      if (length <= 0 || this.#isSilly(length)) break;
      this.#sendData(this.#nxt, length, now);
      this.#nxt += length;
    }
    // FIN takes a place in the window like a byte.
    const finDue = this.#fin !== 'none' && this.#nxt === end;
    if (finDue && this.#window.size > this.#nxt - this.#una) this.#sendFin(cause);
    if (this.#nxt > this.#una) this.#armRetransmission(now);
    else if ((this.#nxt < end || finDue) && this.#retransmitAt === NEVER) {
      this.#probing = true;
      this.#stalledSince = now;
      this.#retransmitAt = now + this.#rto.rto;
    }
  }

  /** Takes the acknowledgment of a segment, `acked` by `offsetOf`, and its window. */
  acknowledge(acked: number, segment: TcpSegment, now: number): void {
    // A peer that answers probes keeps the connection alive for ever (RFC 9293 §3.8.6.1).
    if (this.#probing) this.#stalledSince = now;
    if (acked > this.#una) this.#advance(acked, now);
    else if (acked === this.#una && segment.payload.length === 0 && this.#nxt > this.#una)
      this.#duplicate(segment, now);
    if (acked >= this.#una) this.#updateWindow(segment);
  }

  /** The retransmission timer has fired. */
  expired(now: number): void {
    if (this.#probing) {
      this.#probe(now);
      return;
    }
    this.#rto.backOff();
    if (this.#una < 0) this.sendSyn(now, this.#synCause);
    else this.#repair(now);
  }

  /** The path takes no more than this payload: makes smaller segments, and sends what was too big again. */
  lowerMss(mss: number, now: number): void {
    const lowered = Math.max(mss, MIN_MSS);
    if (lowered >= this.#mss) return;
    this.#mss = lowered;
    if (this.#una >= 0 && this.#nxt > this.#una) this.#repair(now);
  }

  /** Stops all timers. */
  stop(): void {
    this.#retransmitAt = NEVER;
    this.#stalledSince = NEVER;
  }

  #advance(acked: number, now: number): void {
    this.#una = acked;
    this.#nxt = Math.max(this.#nxt, acked);
    this.#probing = false;
    this.#probes = 0;
    this.#duplicateAcks = 0;
    this.#buffer.acknowledge(Math.min(acked, this.#buffer.end));
    this.#rto.acknowledged(acked, now);
    if (acked === this.#nxt) this.stop();
    else {
      this.#retransmitAt = now + this.#rto.rto;
      this.#stalledSince = now;
    }
    if (acked < this.#recover) this.#resend(now);
    else this.#recover = -1;
    if (this.#refused && this.#buffer.isWritable) {
      this.#refused = false;
      this.#out.writable();
    }
    if (acked >= this.#buffer.end) this.#out.drained();
  }

  /**
   * Whether a segment would only fill the end of the window, which it is not to be sent for while others are on their way: what is
   * neither full, nor all there is, nor half of the largest window (RFC 9293 §3.8.6.2.1).
   */
  #isSilly(length: number): boolean {
    const partial = length < this.#mss && length < this.#buffer.end - this.#nxt;
    return partial && this.#nxt > this.#una && length < this.#window.largest / 2;
  }

  #duplicate(segment: TcpSegment, now: number): void {
    // Answers to window probes repeat themselves too, and mean no loss.
    if (this.#probing || segment.window !== this.#window.size) return;
    if (++this.#duplicateAcks === DUPLICATE_ACKS && this.#recover < 0) this.#repair(now);
  }

  #updateWindow(segment: TcpSegment): void {
    if (!this.#window.update(segment) || segment.window === 0 || !this.#probing) return;
    this.#probing = false;
    this.#probes = 0;
    this.stop();
    // A probe's byte may have been dropped at the closed window: it is sent again with the rest.
    this.#nxt = Math.max(this.#una, 0);
  }

  /** Sends everything that is not acknowledged again, a segment now and one with every acknowledgment. */
  #repair(now: number): void {
    this.#recover = this.#nxt;
    this.#resend(now);
  }

  /** Sends the oldest unacknowledged segment again. */
  #resend(now: number): void {
    const length = Math.min(this.#buffer.end - this.#una, this.#mss, this.#nxt - this.#una);
    if (length > 0) this.#sendData(this.#una, length, now);
    else if (this.#fin === 'sent')
      this.#out.emit(FIN | ACK, this.#seq(this.#buffer.end), NO_BYTES, this.#finCause);
    this.#rto.discard();
    this.#retransmitAt = now + this.#rto.rto;
  }

  #sendData(offset: number, length: number, now: number): void {
    const { bytes, cause } = this.#buffer.read(offset, length);
    const push = offset + length === this.#buffer.end ? PSH : 0;
    if (offset >= this.#sent) this.#rto.sent(offset, now);
    this.#sent = Math.max(this.#sent, offset + length);
    this.#out.emit(ACK | push, this.#seq(offset), bytes, cause);
  }

  #sendFin(cause: number): void {
    const { end } = this.#buffer;
    this.#fin = 'sent';
    this.#nxt = end + 1;
    this.#sent = end + 1;
    this.#out.emit(FIN | ACK, this.#seq(end), NO_BYTES, this.#finCause || cause);
  }

  /** One byte, or FIN, beyond a closed window, at intervals that double. */
  #probe(now: number): void {
    if (this.#una === this.#buffer.end) this.#sendFin(this.#finCause);
    else {
      const { bytes, cause } = this.#buffer.read(this.#una, 1);
      this.#nxt = Math.max(this.#nxt, this.#una + 1);
      this.#sent = Math.max(this.#sent, this.#nxt);
      this.#out.emit(ACK, this.#seq(this.#una), bytes, cause);
    }
    this.#retransmitAt = now + this.#rto.backedOff(++this.#probes);
  }

  #armRetransmission(now: number): void {
    if (this.#probing) return;
    if (this.#retransmitAt === NEVER) this.#retransmitAt = now + this.#rto.rto;
    if (this.#stalledSince === NEVER) this.#stalledSince = now;
  }

  #seq(offset: number): number {
    return seqAdd(this.#iss, 1 + offset);
  }
}
