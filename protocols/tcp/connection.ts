import { ReceiveBuffer } from './receive-buffer.ts';
import { RtoEstimator } from './rto.ts';
import { ACK, FIN, PSH, RST, SYN, type TcpSegment, URG } from './segment.ts';
import { SendBuffer } from './send-buffer.ts';
import { seqAdd, seqDiff, seqLe, seqLt } from './sequence.ts';

/** RFC 9293 §3.3.2. LISTEN belongs to the listener, not to a connection. */
export type TcpState =
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSE-WAIT'
  | 'CLOSING'
  | 'LAST-ACK'
  | 'TIME-WAIT'
  | 'CLOSED';

export type TcpCloseReason = 'closed' | 'reset' | 'timeout' | 'refused' | 'unreachable' | 'aborted';

/** Where a connection's effects go. Called from within the methods of the connection. */
export interface TcpOutput {
  /** A segment to send, and the event that it follows from. */
  segment(segment: TcpSegment, cause: number): void;
  connected(): void;
  /** Bytes in order. The array is the receiver's to keep. */
  data(bytes: Uint8Array): void;
  /** The peer has sent FIN: no more data will come. */
  peerClosed(): void;
  /** The connection is gone; the last call, made once. */
  closed(reason: TcpCloseReason): void;
  /** Everything handed to `send` so far has been acknowledged. */
  drained?(): void;
}

export interface TcpOptions {
  readonly localPort: number;
  readonly remotePort: number;
  /** Initial send sequence number. */
  readonly iss: number;
  /** Largest payload of a segment that we can take and send. */
  readonly mss: number;
  readonly timings: {
    readonly rtoInitial: number;
    readonly rtoMin: number;
    readonly rtoMax: number;
    /** Maximum segment lifetime, ms. */
    readonly msl: number;
    /** Time without progress after which the connection is given up, ms (RFC 9293 §3.8.3). */
    readonly userTimeout: number;
  };
  readonly sendLimit?: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const WINDOW = 65_535;
const SEND_LIMIT = 1024 * 1024;
/** A peer that names no MSS takes this (RFC 9293 §3.7.1). */
const DEFAULT_MSS = 536;
const MIN_MSS = 48;
const DUPLICATE_ACKS = 3;
/** Longest that in-order data waits for its acknowledgment, ms; Linux `TCP_DELACK_MIN` (RFC 9293 §3.8.6.3 asks for < 500). */
const ACK_DELAY = 40;

/**
 * One TCP connection (RFC 9293) without input or output of its own: segments, calls and the time come in, segments and
 * notifications go out. RFC 6298 retransmission, RFC 5961 reset protection. No congestion control, window scaling or SACK.
 *
 * Positions in the sent stream are offsets from the byte after our SYN, which do not wrap.
 */
export class TcpConnection {
  readonly localPort: number;
  readonly remotePort: number;
  readonly #out: TcpOutput;
  readonly #iss: number;
  readonly #timings: TcpOptions['timings'];
  readonly #localMss: number;
  readonly #sendBuffer: SendBuffer;
  readonly #early = new ReceiveBuffer();
  readonly #rto: RtoEstimator;
  #state: TcpState;
  #mss: number;
  #synCause: number;
  /** Offset of the oldest unacknowledged byte; -1 while our SYN is. */
  #una = -1;
  /** Offset of the next byte to send. */
  #nxt = 0;
  /** Offset behind the last byte ever sent: `nxt` may step back behind it. Pure ACKs carry it, so that theirs never does. */
  #sent = 0;
  #peerWindow = 0;
  #wl1 = 0;
  #wl2 = 0;
  #rcvNxt = 0;
  #fin: 'none' | 'queued' | 'sent' = 'none';
  #finCause = 0;
  #paused = false;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** The peer's FIN has come behind bytes that are held. */
  #heldEof = false;
  #ackAt = NEVER;
  #ackCause = 0;
  #rtxAt = NEVER;
  #timeWaitAt = NEVER;
  /** Since when nothing has been acknowledged that should have been. */
  #stalledSince = NEVER;
  #probing = false;
  /** Probes sent since the window closed. */
  #probes = 0;
  #rttOffset = NEVER;
  #rttSentAt = 0;
  #duplicateAcks = 0;
  /** Offset up to which a loss is being repaired. */
  #recover = -1;

  private constructor(options: TcpOptions, out: TcpOutput, state: TcpState, cause: number) {
    this.localPort = options.localPort;
    this.remotePort = options.remotePort;
    this.#out = out;
    this.#iss = options.iss;
    this.#timings = options.timings;
    this.#localMss = options.mss;
    this.#mss = Math.min(options.mss, DEFAULT_MSS);
    this.#sendBuffer = new SendBuffer(options.sendLimit ?? SEND_LIMIT);
    this.#rto = new RtoEstimator(options.timings);
    this.#state = state;
    this.#synCause = cause;
  }

  /** Active open: sends a SYN. */
  static connect(options: TcpOptions, out: TcpOutput, now: number, cause: number): TcpConnection {
    const connection = new TcpConnection(options, out, 'SYN-SENT', cause);
    connection.#sendSyn(now, cause);
    return connection;
  }

  /** Passive open from a SYN that came to a listener: answers SYN-ACK. */
  static accept(
    options: TcpOptions,
    syn: TcpSegment,
    out: TcpOutput,
    now: number,
    cause: number,
  ): TcpConnection {
    const connection = new TcpConnection(options, out, 'SYN-RECEIVED', cause);
    connection.#learnSyn(syn);
    connection.#sendSyn(now, cause);
    return connection;
  }

  get state(): TcpState {
    return this.#state;
  }

  /** Bytes sent and not yet acknowledged. */
  get unacked(): number {
    return Math.min(this.#nxt, this.#sendBuffer.end) - Math.max(this.#una, 0);
  }

  /** Bytes accepted and not yet sent. */
  get queued(): number {
    return this.#sendBuffer.end - Math.min(this.#nxt, this.#sendBuffer.end);
  }

  /** Whether our SYN has been acknowledged and the peer's has come. */
  get synchronized(): boolean {
    return this.#state !== 'SYN-SENT' && this.#state !== 'SYN-RECEIVED' && this.#state !== 'CLOSED';
  }

  nextDeadline(): number {
    return Math.min(this.#rtxAt, this.#timeWaitAt, this.#ackAt, this.#userTimeoutAt());
  }

  /** Queues bytes; returns how many were taken, less than given when the send buffer is full, 0 after `close`. */
  send(bytes: Uint8Array, now: number, cause: number): number {
    if (this.#fin !== 'none' || this.#state === 'CLOSED') return 0;
    const taken = this.#sendBuffer.push(bytes, cause);
    this.#transmit(now, cause);
    return taken;
  }

  /** Sends FIN behind what is queued. */
  close(now: number, cause: number): void {
    if (this.#state === 'SYN-SENT') {
      this.#end('closed');
      return;
    }
    if (this.#fin !== 'none' || this.#state === 'CLOSED') return;
    this.#fin = 'queued';
    this.#finCause = cause;
    if (this.#state === 'SYN-RECEIVED') return;
    this.#state = this.#state === 'CLOSE-WAIT' ? 'LAST-ACK' : 'FIN-WAIT-1';
    this.#transmit(now, cause);
  }

  /** Sends RST and forgets everything. */
  abort(cause: number): void {
    if (this.#state === 'CLOSED') return;
    const mute = this.#state === 'SYN-SENT' || this.#state === 'TIME-WAIT';
    if (!mute) this.#emit(RST | ACK, this.#seq(this.#sent), new Uint8Array(0), cause);
    this.#end('aborted');
  }

  /** Stops reading: bytes are held and the window closes. */
  pause(): void {
    this.#paused = true;
  }

  resume(cause: number): void {
    if (!this.#paused) return;
    this.#paused = false;
    const closed = this.#window() < this.#localMss;
    while (!this.#paused && this.#isOpen()) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#heldBytes -= bytes.length;
      this.#out.data(bytes);
    }
    if (closed && this.synchronized) this.#ack(cause);
    if (this.#heldEof && !this.#paused && this.#isOpen()) {
      this.#heldEof = false;
      this.#out.peerClosed();
    }
  }

  /**
   * An ICMP error about this connection: hard while connecting, soft afterwards (RFC 9293 §3.9.2.2); 'frag-needed'
   * lowers the MSS to the path's MTU and sends again (RFC 1191 §6.4).
   */
  icmpError(kind: 'unreachable' | 'frag-needed', now: number, mtu = 0): void {
    if (kind === 'unreachable') {
      if (this.#state === 'SYN-SENT' || this.#state === 'SYN-RECEIVED') this.#end('unreachable');
      return;
    }
    const mss = Math.max(mtu - 40, MIN_MSS);
    if (mss >= this.#mss) return;
    this.#mss = mss;
    if (this.#una >= 0 && this.#nxt > this.#una) {
      this.#recover = this.#nxt;
      this.#resend(now);
    }
  }

  /** A segment for this connection, its checksum verified. */
  receive(segment: TcpSegment, now: number, cause: number): void {
    switch (this.#state) {
      case 'CLOSED':
        return;
      case 'SYN-SENT':
        this.#receiveSynSent(segment, now, cause);
        return;
      default:
        this.#receiveSynchronized(segment, now, cause);
    }
  }

  /** Fires what is due. */
  tick(now: number): void {
    if (this.#timeWaitAt <= now) {
      this.#end('closed');
      return;
    }
    if (this.#userTimeoutAt() <= now) {
      this.#end('timeout');
      return;
    }
    if (this.#ackAt <= now) this.#ack(this.#ackCause);
    if (this.#rtxAt > now) return;
    if (this.#probing) {
      this.#probe(now);
      return;
    }
    this.#rto.backOff();
    this.#rttOffset = NEVER;
    if (this.#una < 0) this.#sendSyn(now, this.#synCause);
    else {
      this.#recover = this.#nxt;
      this.#resend(now);
    }
  }

  #receiveSynSent(segment: TcpSegment, now: number, cause: number): void {
    const { flags } = segment;
    const acks = (flags & ACK) !== 0;
    if (acks && segment.ack !== this.#seq(0)) {
      if ((flags & RST) === 0) this.#out.segment(resetFor(segment), cause);
      return;
    }
    if ((flags & RST) !== 0) {
      if (acks) this.#end('refused');
      return;
    }
    if ((flags & SYN) === 0) return;
    this.#learnSyn(segment);
    if (!acks) {
      // Simultaneous open (RFC 9293 §3.5, figure 7).
      this.#state = 'SYN-RECEIVED';
      this.#sendSyn(now, cause);
      return;
    }
    this.#synAcknowledged(now);
    this.#state = 'ESTABLISHED';
    this.#updateWindow(segment);
    this.#ack(cause);
    this.#out.connected();
    this.#transmit(now, cause);
  }

  #synAcknowledged(now: number): void {
    this.#una = 0;
    this.#rtxAt = NEVER;
    this.#stalledSince = NEVER;
    if (this.#rttOffset === -1) this.#rto.measure(now - this.#rttSentAt);
    else this.#rto.unmeasured();
    this.#rttOffset = NEVER;
  }

  #receiveSynchronized(segment: TcpSegment, now: number, cause: number): void {
    const { flags } = segment;
    const length = lengthOf(segment);
    const peerSyn = segment.seq === seqAdd(this.#rcvNxt, -1);
    if (this.#state === 'SYN-RECEIVED' && (flags & (SYN | ACK | RST)) === SYN && peerSyn) {
      // The peer's SYN again: our SYN-ACK was lost.
      this.#sendSyn(now, cause);
      return;
    }
    const beyond = this.#beyondClosedWindow(segment.seq, length);
    if (!beyond && !this.#acceptable(segment.seq, length)) {
      if ((flags & RST) === 0) this.#ack(cause);
      if (this.#state === 'TIME-WAIT' && (flags & FIN) !== 0) this.#enterTimeWait(now);
      return;
    }
    if ((flags & RST) !== 0) {
      // RFC 5961 §3.2: exactly the next byte resets; elsewhere in the window asks the peer to confirm.
      if (segment.seq !== this.#rcvNxt) this.#ack(cause);
      else
        this.#end(
          this.#state === 'SYN-RECEIVED' ? 'refused' : this.#state === 'TIME-WAIT' ? 'closed' : 'reset',
        );
      return;
    }
    if ((flags & SYN) !== 0) {
      // RFC 5961 §4.2.
      this.#ack(cause);
      return;
    }
    if ((flags & ACK) === 0 || !this.#receiveAck(segment, now, cause)) return;
    if (beyond) {
      if (length > 0) this.#ack(cause);
    } else if (length > 0) this.#receiveData(segment, now, cause);
    if (this.#isOpen()) this.#transmit(now, cause);
  }

  #isOpen(): boolean {
    return this.#state !== 'CLOSED';
  }

  /** RFC 9293 §3.10.7.4, first check. */
  #acceptable(seq: number, length: number): boolean {
    const window = this.#window();
    const first = seqDiff(seq, this.#rcvNxt);
    if (length === 0) return window === 0 ? first === 0 : first >= 0 && first < window;
    const last = seqDiff(seqAdd(seq, length - 1), this.#rcvNxt);
    if (window === 0) return false;
    return (first >= 0 && first < window) || (last >= 0 && last < window);
  }

  /**
   * With our window closed, nothing but an empty segment at its edge is acceptable, yet ACK and RST count of all that
   * a peer may send then: probes, and what it sends behind them (RFC 9293 §3.10.7.4). Their bytes are dropped.
   */
  #beyondClosedWindow(seq: number, length: number): boolean {
    if (this.#window() > 0) return false;
    const first = seqDiff(seq, this.#rcvNxt);
    return first >= 0 && first <= WINDOW && (first > 0 || length > 0);
  }

  /** Handles the acknowledgment; false if the segment is to be dropped. */
  #receiveAck(segment: TcpSegment, now: number, cause: number): boolean {
    const acked = seqDiff(segment.ack, this.#seq(Math.max(this.#una, 0))) + Math.max(this.#una, 0);
    if (this.#state === 'SYN-RECEIVED') {
      if (acked < 0 || acked > this.#nxt) {
        this.#out.segment(resetFor(segment), cause);
        return false;
      }
      this.#synAcknowledged(now);
      this.#state = this.#fin === 'none' ? 'ESTABLISHED' : 'FIN-WAIT-1';
      this.#updateWindow(segment);
      this.#out.connected();
      return this.#isOpen();
    }
    if (acked > this.#sent) {
      this.#ack(cause);
      return false;
    }
    // A peer that answers probes keeps the connection alive for ever (RFC 9293 §3.8.6.1).
    if (this.#probing) this.#stalledSince = now;
    if (acked > this.#una) this.#advance(acked, now);
    else if (acked === this.#una && segment.payload.length === 0 && this.#nxt > this.#una)
      this.#duplicate(segment, now);
    if (acked >= this.#una) this.#updateWindow(segment);
    this.#finAcknowledged(now);
    return this.#isOpen();
  }

  #advance(acked: number, now: number): void {
    this.#una = acked;
    this.#nxt = Math.max(this.#nxt, acked);
    this.#probing = false;
    this.#probes = 0;
    this.#duplicateAcks = 0;
    this.#sendBuffer.acknowledge(Math.min(acked, this.#sendBuffer.end));
    if (acked > this.#rttOffset) {
      this.#rto.measure(now - this.#rttSentAt);
      this.#rttOffset = NEVER;
    }
    if (acked === this.#nxt) {
      this.#rtxAt = NEVER;
      this.#stalledSince = NEVER;
    } else {
      this.#rtxAt = now + this.#rto.rto;
      this.#stalledSince = now;
    }
    if (acked < this.#recover) this.#resend(now);
    else this.#recover = -1;
    if (acked >= this.#sendBuffer.end) this.#out.drained?.();
  }

  #duplicate(segment: TcpSegment, now: number): void {
    // Answers to window probes repeat themselves too, and mean no loss.
    if (this.#probing || segment.window !== this.#peerWindow) return;
    if (++this.#duplicateAcks !== DUPLICATE_ACKS || this.#recover >= 0) return;
    this.#recover = this.#nxt;
    this.#resend(now);
  }

  #finAcknowledged(now: number): void {
    if (this.#fin !== 'sent' || this.#una <= this.#sendBuffer.end) return;
    switch (this.#state) {
      case 'FIN-WAIT-1':
        this.#state = 'FIN-WAIT-2';
        break;
      case 'CLOSING':
        this.#enterTimeWait(now);
        break;
      case 'LAST-ACK':
        this.#end('closed');
        break;
      default:
    }
  }

  #updateWindow(segment: TcpSegment): void {
    // By acknowledgment first: what a peer repeats has an older sequence number, but not an older window.
    const newer =
      seqLt(this.#wl2, segment.ack) || (this.#wl2 === segment.ack && seqLe(this.#wl1, segment.seq));
    if (!newer) return;
    this.#peerWindow = segment.window;
    this.#wl1 = segment.seq;
    this.#wl2 = segment.ack;
    if (segment.window > 0 && this.#probing) {
      this.#probing = false;
      this.#probes = 0;
      this.#rtxAt = NEVER;
      this.#stalledSince = NEVER;
      // A probe's byte may have been dropped at the closed window: it is sent again with the rest.
      this.#nxt = Math.max(this.#una, 0);
    }
  }

  #receiveData(segment: TcpSegment, now: number, cause: number): void {
    const states: readonly TcpState[] = ['ESTABLISHED', 'FIN-WAIT-1', 'FIN-WAIT-2'];
    if (!states.includes(this.#state)) {
      this.#ack(cause);
      if (this.#state === 'TIME-WAIT') this.#timeWaitAt = now + 2 * this.#timings.msl;
      return;
    }
    const skip = Math.max(seqDiff(this.#rcvNxt, segment.seq), 0);
    const start = seqAdd(segment.seq, skip);
    const room = seqDiff(seqAdd(this.#rcvNxt, this.#window()), start);
    const bytes = segment.payload.subarray(Math.min(skip, segment.payload.length), skip + Math.max(room, 0));
    const whole = skip + bytes.length >= segment.payload.length;
    const fin = (segment.flags & FIN) !== 0 && whole;
    if (start !== this.#rcvNxt) {
      // A FIN ahead of its turn is not kept: the peer repeats it once the gap is filled.
      if (bytes.length > 0) this.#early.add(start, bytes, WINDOW);
      this.#ack(cause);
      return;
    }
    const finSeq = seqAdd(start, bytes.length);
    const gap = this.#early.bytes > 0;
    if (bytes.length > 0) this.#deliver(bytes);
    for (
      let next = this.#early.take(this.#rcvNxt);
      next !== null && this.#isOpen();
      next = this.#early.take(this.#rcvNxt)
    ) {
      this.#deliver(next);
    }
    if (!this.#isOpen()) return;
    if (fin && finSeq === this.#rcvNxt) this.#receiveFin(now, cause);
    else if (gap || !whole || this.#ackAt !== NEVER) this.#ack(cause);
    else {
      this.#ackAt = now + Math.min(ACK_DELAY, this.#timings.rtoMin / 2);
      this.#ackCause = cause;
    }
  }

  #deliver(bytes: Uint8Array): void {
    this.#rcvNxt = seqAdd(this.#rcvNxt, bytes.length);
    if (this.#paused) {
      this.#held.push(bytes.slice());
      this.#heldBytes += bytes.length;
    } else this.#out.data(bytes);
  }

  #receiveFin(now: number, cause: number): void {
    this.#rcvNxt = seqAdd(this.#rcvNxt, 1);
    this.#ack(cause);
    switch (this.#state) {
      case 'ESTABLISHED':
        this.#state = 'CLOSE-WAIT';
        break;
      case 'FIN-WAIT-1':
        this.#state = 'CLOSING';
        break;
      case 'FIN-WAIT-2':
        this.#enterTimeWait(now);
        break;
      default:
    }
    if (this.#held.length > 0) this.#heldEof = true;
    else this.#out.peerClosed();
  }

  #enterTimeWait(now: number): void {
    this.#state = 'TIME-WAIT';
    this.#rtxAt = NEVER;
    this.#stalledSince = NEVER;
    this.#timeWaitAt = now + 2 * this.#timings.msl;
  }

  #userTimeoutAt(): number {
    return this.#stalledSince === NEVER ? NEVER : this.#stalledSince + this.#timings.userTimeout;
  }

  /** Sends what the window allows, then FIN if one is due. */
  #transmit(now: number, cause: number): void {
    if (this.#una < 0 || this.#state === 'TIME-WAIT' || this.#state === 'CLOSED') return;
    const { end } = this.#sendBuffer;
    while (this.#nxt < end) {
      const room = this.#peerWindow - (this.#nxt - this.#una);
      const length = Math.min(end - this.#nxt, this.#mss, room);
      if (length <= 0) break;
      this.#sendData(this.#nxt, length, now);
      this.#nxt += length;
    }
    // FIN takes a place in the window like a byte.
    const finDue = this.#fin !== 'none' && this.#nxt === end;
    if (finDue && this.#peerWindow > this.#nxt - this.#una) this.#sendFin(cause);
    if (this.#nxt > this.#una) this.#armRetransmission(now);
    else if ((this.#nxt < end || finDue) && this.#rtxAt === NEVER) {
      this.#probing = true;
      this.#stalledSince = now;
      this.#rtxAt = now + this.#rto.rto;
    }
  }

  #sendFin(cause: number): void {
    const { end } = this.#sendBuffer;
    this.#fin = 'sent';
    this.#nxt = end + 1;
    this.#sent = end + 1;
    this.#emit(FIN | ACK, this.#seq(end), new Uint8Array(0), this.#finCause || cause);
  }

  #sendData(offset: number, length: number, now: number): void {
    const { bytes, cause } = this.#sendBuffer.read(offset, length);
    const push = offset + length === this.#sendBuffer.end ? PSH : 0;
    // Karn: what is sent again is not timed.
    if (this.#rttOffset === NEVER && offset >= this.#sent) {
      this.#rttOffset = offset;
      this.#rttSentAt = now;
    }
    this.#sent = Math.max(this.#sent, offset + length);
    this.#emit(ACK | push, this.#seq(offset), bytes, cause);
  }

  /** Sends the oldest unacknowledged segment again. */
  #resend(now: number): void {
    const length = Math.min(this.#sendBuffer.end - this.#una, this.#mss, this.#nxt - this.#una);
    this.#rttOffset = NEVER;
    if (length > 0) this.#sendData(this.#una, length, now);
    else if (this.#fin === 'sent')
      this.#emit(FIN | ACK, this.#seq(this.#sendBuffer.end), new Uint8Array(0), this.#finCause);
    this.#rttOffset = NEVER;
    this.#rtxAt = now + this.#rto.rto;
  }

  /** One byte, or FIN, beyond a closed window (RFC 9293 §3.8.6.1), at intervals that double. */
  #probe(now: number): void {
    if (this.#una === this.#sendBuffer.end) this.#sendFin(this.#finCause);
    else {
      const { bytes, cause } = this.#sendBuffer.read(this.#una, 1);
      this.#nxt = Math.max(this.#nxt, this.#una + 1);
      this.#sent = Math.max(this.#sent, this.#nxt);
      this.#emit(ACK, this.#seq(this.#una), bytes, cause);
    }
    this.#probes++;
    this.#rtxAt = now + Math.min(this.#rto.rto * 2 ** this.#probes, this.#timings.rtoMax);
  }

  #armRetransmission(now: number): void {
    if (this.#probing) return;
    if (this.#rtxAt === NEVER) this.#rtxAt = now + this.#rto.rto;
    if (this.#stalledSince === NEVER) this.#stalledSince = now;
  }

  #learnSyn(segment: TcpSegment): void {
    this.#rcvNxt = seqAdd(segment.seq, 1);
    this.#wl1 = segment.seq;
    this.#wl2 = segment.ack;
    this.#peerWindow = segment.window;
    this.#mss = Math.max(Math.min(this.#localMss, segment.mss ?? DEFAULT_MSS), MIN_MSS);
  }

  #sendSyn(now: number, cause: number): void {
    const flags = this.#state === 'SYN-SENT' ? SYN : SYN | ACK;
    if (this.#rtxAt === NEVER) {
      this.#rttOffset = -1;
      this.#rttSentAt = now;
      this.#stalledSince = now;
    } else this.#rttOffset = NEVER;
    this.#out.segment(
      {
        srcPort: this.localPort,
        dstPort: this.remotePort,
        seq: this.#iss,
        ack: this.#state === 'SYN-SENT' ? 0 : this.#rcvNxt,
        flags,
        window: this.#window(),
        urgent: 0,
        mss: this.#localMss,
        payload: new Uint8Array(0),
      },
      cause,
    );
    this.#rtxAt = now + this.#rto.rto;
  }

  #ack(cause: number): void {
    this.#emit(ACK, this.#seq(this.#sent), new Uint8Array(0), cause);
  }

  #emit(flags: number, seq: number, payload: Uint8Array, cause: number): void {
    this.#ackAt = NEVER;
    this.#out.segment(
      {
        srcPort: this.localPort,
        dstPort: this.remotePort,
        seq,
        ack: this.#rcvNxt,
        flags: flags & ~URG,
        window: this.#window(),
        urgent: 0,
        payload,
      },
      cause,
    );
  }

  #window(): number {
    return Math.max(WINDOW - this.#heldBytes, 0);
  }

  #seq(offset: number): number {
    return seqAdd(this.#iss, 1 + offset);
  }

  #end(reason: TcpCloseReason): void {
    if (this.#state === 'CLOSED') return;
    this.#state = 'CLOSED';
    this.#rtxAt = NEVER;
    this.#ackAt = NEVER;
    this.#stalledSince = NEVER;
    this.#timeWaitAt = NEVER;
    this.#out.closed(reason);
  }
}

/** The RST that answers a segment for which there is no connection (RFC 9293 §3.10.7.1). Not for a segment with RST. */
export function resetFor(segment: TcpSegment): TcpSegment {
  const { flags } = segment;
  const ports = { srcPort: segment.dstPort, dstPort: segment.srcPort };
  const rest = { window: 0, urgent: 0, payload: new Uint8Array(0) };
  if ((flags & ACK) !== 0) return { ...ports, ...rest, seq: segment.ack, ack: 0, flags: RST };
  return { ...ports, ...rest, seq: 0, ack: seqAdd(segment.seq, lengthOf(segment)), flags: RST | ACK };
}

/** SEG.LEN: sequence numbers that a segment takes. */
function lengthOf({ flags, payload }: TcpSegment): number {
  return payload.length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
}
