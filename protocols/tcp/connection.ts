import { Receiver, type ReceiverOutput } from './receiver.ts';
import { resetFor } from './reset.ts';
import { ACK, FIN, RST, SYN, segmentLength, type TcpSegment } from './segment.ts';
import { NO_BYTES, Sender, type SenderOptions } from './sender.ts';
import { seqAdd } from './sequence.ts';

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
export interface TcpOutput extends ReceiverOutput {
  /** A segment to send, and the event that it follows from. */
  segment(segment: TcpSegment, cause: number): void;
  connected(): void;
  /** The connection is gone; the last call, made once. */
  closed(reason: TcpCloseReason): void;
  /** Everything handed to `send` so far has been acknowledged. */
  drained?(): void;
  /** There is room again, after a `send` that took less than it was given. */
  writable?(): void;
}

export interface TcpOptions extends SenderOptions {
  readonly localPort: number;
  readonly remotePort: number;
  readonly timings: SenderOptions['timings'] & {
    /** Maximum segment lifetime, ms. */
    readonly msl: number;
  };
}

const NEVER = Number.POSITIVE_INFINITY;
/** Longest that in-order data waits for its acknowledgment, ms; Linux `TCP_DELACK_MIN` (RFC 9293 §3.8.6.3 asks for < 500). */
const ACK_DELAY = 40;

/**
 * One TCP connection (RFC 9293) without input or output of its own: segments, calls and the time come in, segments and
 * notifications go out. RFC 6298 retransmission, RFC 5961 reset protection. No congestion control, window scaling or SACK.
 */
export class TcpConnection {
  readonly localPort: number;
  readonly remotePort: number;
  readonly #out: TcpOutput;
  readonly #options: TcpOptions;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  #state: TcpState;
  #ackAt = NEVER;
  #ackCause = 0;
  #timeWaitAt = NEVER;

  private constructor(options: TcpOptions, out: TcpOutput, state: TcpState, cause: number) {
    this.localPort = options.localPort;
    this.remotePort = options.remotePort;
    this.#out = out;
    this.#options = options;
    this.#state = state;
    this.#receiver = new Receiver(out);
    this.#sender = new Sender(options, cause, {
      emitSyn: (why) => this.#emitSyn(why),
      emit: (flags, seq, payload, why) => this.#emit(flags, seq, payload, why),
      drained: () => this.#isOpen() && out.drained?.(),
      writable: () => out.writable?.(),
    });
  }

  /** Active open: sends a SYN. */
  static connect(options: TcpOptions, out: TcpOutput, now: number, cause: number): TcpConnection {
    const connection = new TcpConnection(options, out, 'SYN-SENT', cause);
    connection.#sender.sendSyn(now, cause);
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
    connection.#sender.sendSyn(now, cause);
    return connection;
  }

  get state(): TcpState {
    return this.#state;
  }

  /** Bytes sent and not yet acknowledged. */
  get unacked(): number {
    return this.#sender.unacked;
  }

  /** Bytes accepted and not yet sent. */
  get queued(): number {
    return this.#sender.queued;
  }

  /** Whether our SYN has been acknowledged and the peer's has come. */
  get synchronized(): boolean {
    return this.#state !== 'SYN-SENT' && this.#state !== 'SYN-RECEIVED' && this.#isOpen();
  }

  nextDeadline(): number {
    const sender = this.#sender;
    return Math.min(sender.retransmitAt, sender.giveUpAt, this.#timeWaitAt, this.#ackAt);
  }

  /** Queues bytes; returns how many were taken, less than given when the send buffer is full, 0 after `close`. */
  send(bytes: Uint8Array, now: number, cause: number): number {
    if (this.#sender.finQueued || !this.#isOpen()) return 0;
    const taken = this.#sender.push(bytes, cause);
    this.#transmit(now, cause);
    return taken;
  }

  /** Sends FIN behind what is queued. */
  close(now: number, cause: number): void {
    if (this.#state === 'SYN-SENT') {
      this.#end('closed');
      return;
    }
    if (this.#sender.finQueued || !this.#isOpen()) return;
    this.#sender.pushFin(cause);
    if (this.#state === 'SYN-RECEIVED') return;
    this.#state = this.#state === 'CLOSE-WAIT' ? 'LAST-ACK' : 'FIN-WAIT-1';
    this.#transmit(now, cause);
  }

  /** Sends RST and forgets everything. */
  abort(cause: number): void {
    if (!this.#isOpen()) return;
    const mute = this.#state === 'SYN-SENT' || this.#state === 'TIME-WAIT';
    if (!mute) this.#emit(RST | ACK, this.#sender.sentSeq, NO_BYTES, cause);
    this.#end('aborted');
  }

  /** Stops reading: bytes are held and the window closes. */
  pause(): void {
    this.#receiver.pause();
  }

  resume(cause: number): void {
    const small = this.#receiver.window < this.#options.mss;
    if (!this.#receiver.resume()) return;
    if (small && this.synchronized) this.#ack(cause);
    this.#receiver.resumeFin();
  }

  /**
   * An ICMP error about this connection: hard while connecting, soft afterwards (RFC 9293 §3.9.2.2); 'frag-needed'
   * lowers the MSS to what the path takes and sends again (RFC 1191 §6.4).
   */
  icmpError(kind: 'unreachable' | 'frag-needed', now: number, mss = 0): void {
    if (kind === 'frag-needed') this.#sender.lowerMss(mss, now);
    else if (this.#state === 'SYN-SENT' || this.#state === 'SYN-RECEIVED') this.#end('unreachable');
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
    if (this.#timeWaitAt <= now) this.#end('closed');
    else if (this.#sender.giveUpAt <= now) this.#end('timeout');
    else {
      if (this.#ackAt <= now) this.#ack(this.#ackCause);
      if (this.#sender.retransmitAt <= now) this.#sender.expired(now);
    }
  }

  #receiveSynSent(segment: TcpSegment, now: number, cause: number): void {
    const { flags } = segment;
    const acks = (flags & ACK) !== 0;
    if (acks && segment.ack !== this.#sender.synAck) {
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
      this.#sender.sendSyn(now, cause);
      return;
    }
    this.#sender.synAcknowledged(segment, now);
    this.#state = 'ESTABLISHED';
    this.#ack(cause);
    this.#out.connected();
    this.#transmit(now, cause);
  }

  #receiveSynchronized(segment: TcpSegment, now: number, cause: number): void {
    const { flags, seq } = segment;
    const receiver = this.#receiver;
    const length = segmentLength(segment);
    const peerSyn = seq === seqAdd(receiver.next, -1);
    if (this.#state === 'SYN-RECEIVED' && (flags & (SYN | ACK | RST)) === SYN && peerSyn) {
      // The peer's SYN again: our SYN-ACK was lost.
      this.#sender.sendSyn(now, cause);
      return;
    }
    const beyond = receiver.beyondClosedWindow(seq, length);
    if (!beyond && !receiver.acceptable(seq, length)) {
      if ((flags & RST) === 0) this.#ack(cause);
      if (this.#state === 'TIME-WAIT' && (flags & FIN) !== 0) this.#enterTimeWait(now);
      return;
    }
    if ((flags & RST) !== 0) {
      // RFC 5961 §3.2: exactly the next byte resets; elsewhere in the window asks the peer to confirm.
      if (seq !== receiver.next) this.#ack(cause);
      else if (this.#state === 'SYN-RECEIVED') this.#end('refused');
      else this.#end(this.#state === 'TIME-WAIT' ? 'closed' : 'reset');
      return;
    }
    if ((flags & SYN) !== 0) {
      // RFC 5961 §4.2.
      this.#ack(cause);
      return;
    }
    if ((flags & ACK) === 0 || !this.#receiveAck(segment, now, cause)) return;
    if (length > 0) {
      if (beyond) this.#ack(cause);
      else this.#receiveData(segment, now, cause);
    }
    if (this.#isOpen()) this.#transmit(now, cause);
  }

  /** Handles the acknowledgment; false if the segment is to be dropped. */
  #receiveAck(segment: TcpSegment, now: number, cause: number): boolean {
    const sender = this.#sender;
    const acked = sender.offsetOf(segment);
    if (this.#state === 'SYN-RECEIVED') {
      if (acked < 0 || sender.isUnsent(acked)) {
        this.#out.segment(resetFor(segment), cause);
        return false;
      }
      sender.synAcknowledged(segment, now);
      this.#state = sender.finQueued ? 'FIN-WAIT-1' : 'ESTABLISHED';
      this.#out.connected();
      return this.#isOpen();
    }
    if (sender.isUnsent(acked)) {
      this.#ack(cause);
      return false;
    }
    sender.acknowledge(acked, segment, now);
    if (sender.finAcknowledged) this.#finAcknowledged(now);
    return this.#isOpen();
  }

  #finAcknowledged(now: number): void {
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

  #receiveData(segment: TcpSegment, now: number, cause: number): void {
    switch (this.#state) {
      case 'ESTABLISHED':
      case 'FIN-WAIT-1':
      case 'FIN-WAIT-2':
        break;
      default:
        this.#ack(cause);
        if (this.#state === 'TIME-WAIT') this.#enterTimeWait(now);
        return;
    }
    const taken = this.#receiver.take(segment);
    if (!this.#isOpen()) return;
    if (taken === 'fin') this.#receiveFin(now, cause);
    else if (taken === 'incomplete' || this.#ackAt !== NEVER) this.#ack(cause);
    else {
      this.#ackAt = now + Math.min(ACK_DELAY, this.#options.timings.rtoMin / 2);
      this.#ackCause = cause;
    }
  }

  #receiveFin(now: number, cause: number): void {
    this.#receiver.takeFin();
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
    this.#receiver.deliverFin();
  }

  #enterTimeWait(now: number): void {
    this.#state = 'TIME-WAIT';
    this.#sender.stop();
    this.#timeWaitAt = now + 2 * this.#options.timings.msl;
  }

  #transmit(now: number, cause: number): void {
    if (this.#state !== 'TIME-WAIT' && this.#isOpen()) this.#sender.transmit(now, cause);
  }

  #learnSyn(segment: TcpSegment): void {
    this.#receiver.learnSyn(segment);
    this.#sender.learnSyn(segment);
  }

  #emitSyn(cause: number): void {
    const first = this.#state === 'SYN-SENT';
    this.#out.segment(
      {
        srcPort: this.localPort,
        dstPort: this.remotePort,
        seq: this.#options.iss,
        ack: first ? 0 : this.#receiver.next,
        flags: first ? SYN : SYN | ACK,
        window: this.#receiver.window,
        urgent: 0,
        mss: this.#options.mss,
        payload: NO_BYTES,
      },
      cause,
    );
  }

  #ack(cause: number): void {
    this.#emit(ACK, this.#sender.sentSeq, NO_BYTES, cause);
  }

  #emit(flags: number, seq: number, payload: Uint8Array, cause: number): void {
    this.#ackAt = NEVER;
    this.#out.segment(
      {
        srcPort: this.localPort,
        dstPort: this.remotePort,
        seq,
        ack: this.#receiver.next,
        flags,
        window: this.#receiver.window,
        urgent: 0,
        payload,
      },
      cause,
    );
  }

  #isOpen(): boolean {
    return this.#state !== 'CLOSED';
  }

  #end(reason: TcpCloseReason): void {
    if (!this.#isOpen()) return;
    this.#state = 'CLOSED';
    this.#sender.stop();
    this.#receiver.close();
    this.#ackAt = NEVER;
    this.#timeWaitAt = NEVER;
    this.#out.closed(reason);
  }
}
