import {
  type BfdState,
  type ControlFields,
  type ControlPacket,
  DIAG_ADMIN_DOWN,
  DIAG_DETECTION_TIME,
  DIAG_NEIGHBOR_DOWN,
  DIAG_NONE,
  FLAG_AUTHENTICATION,
  FLAG_CONTROL_PLANE_INDEPENDENT,
  FLAG_DEMAND,
  FLAG_FINAL,
  FLAG_POLL,
} from './control.ts';
import type { BfdParameters, BfdRole, BfdSessionHost, TimerHandle } from './host.ts';

/** Least Desired Min TX of a session that is not up, µs (RFC 5880 §6.8.3). */
export const SLOW_INTERVAL = 1_000_000;

/** Jitter (RFC 5880 §6.8.7): shares of the interval, the least and what is left to chance, also where one loss is failure. */
const LEAST_SHARE = 0.75;
const JITTER = 0.25;
const JITTER_SINGLE = 0.15;

/**
 * Share of the peer's interval by which the detection timer may be late. Beyond it this system was held up itself, and packets
 * that came in time may still wait to be read: the peer is given one interval more.
 */
const HELD_UP = 0.25;

export interface BfdSessionOptions {
  /** Not 0, and unique on the system. */
  readonly discriminator: number;
  readonly parameters: BfdParameters;
  readonly role: BfdRole;
  /** `SLOW_INTERVAL`, unless the lab's time runs faster; µs. */
  readonly slowInterval: number;
}

/** Why a session discards a packet that is well-formed and its own. */
export type SessionDiscard = 'auth-unexpected';

/**
 * One BFD session in asynchronous mode, without authentication and without the Echo function (RFC 5880 §6). Never asks for
 * Demand mode, and honours it in the peer. Reads no clock and no dice but the host's.
 */
export class BfdSession implements ControlFields {
  readonly myDiscriminator: number;
  readonly #host: BfdSessionHost;
  readonly #slowInterval: number;
  #role: BfdRole;
  #wanted: BfdParameters;

  #state: BfdState = 'Down';
  #diag = DIAG_NONE;
  /** As advertised. */
  #desiredMinTx: number;
  #requiredMinRx: number;
  /** What of these is in use: they lag behind in the cases of RFC 5880 §6.8.3, until a Poll Sequence has ended. */
  #minTxInUse: number;
  #minRxInUse: number;

  #remoteState: BfdState = 'Down';
  #remoteDiag = DIAG_NONE;
  #remoteDiscriminator = 0;
  #remoteFlags = 0;
  #remoteMinTx = 0;
  #remoteMinRx = 1;
  #remoteDetectMult = 0;

  /**
   * 'settling' between the Final and the first packet without one: a Final until then may answer to the sequence that has
   * ended, so that none can begin (RFC 5880 §6.8.3).
   */
  #poll: 'idle' | 'polling' | 'settling' = 'idle';
  #pollAgain = false;

  /** The peer has not been sent what the fields say. */
  #news = true;
  #sentAt = Number.NEGATIVE_INFINITY;
  #receivedAt = 0;
  /** The packet after which the detection timer was late. */
  #reprievedAt = Number.NEGATIVE_INFINITY;
  #transmitTimer: TimerHandle | null = null;
  #detectionTimer: TimerHandle | null = null;
  /** As the host was told last. */
  #toldState: BfdState = 'Down';
  #toldTransmit: number;
  #toldDetection = 0;

  constructor(host: BfdSessionHost, options: BfdSessionOptions) {
    const { discriminator, parameters, role, slowInterval } = options;
    this.#host = host;
    this.myDiscriminator = discriminator;
    this.#slowInterval = slowInterval;
    this.#role = role;
    this.#wanted = parameters;
    this.#desiredMinTx = Math.max(parameters.desiredMinTx, slowInterval);
    this.#requiredMinRx = parameters.requiredMinRx;
    this.#minTxInUse = this.#desiredMinTx;
    this.#minRxInUse = this.#requiredMinRx;
    this.#toldTransmit = this.#transmitInterval();
  }

  get state(): BfdState {
    return this.#state;
  }

  /** Why the state changed last. */
  get diag(): number {
    return this.#diag;
  }

  get detectMult(): number {
    return this.#wanted.detectMult;
  }

  /** The peer's discriminator, 0 while it is not known. */
  get yourDiscriminator(): number {
    return this.#remoteDiscriminator;
  }

  /** As advertised, µs. */
  get desiredMinTx(): number {
    return this.#desiredMinTx;
  }

  /** As advertised, µs. */
  get requiredMinRx(): number {
    return this.#requiredMinRx;
  }

  get remoteState(): BfdState {
    return this.#remoteState;
  }

  get remoteDiag(): number {
    return this.#remoteDiag;
  }

  /** What the peer has advertised last; 0 or 1 where it has not. */
  get remoteParameters(): BfdParameters {
    return {
      desiredMinTx: this.#remoteMinTx,
      requiredMinRx: this.#remoteMinRx,
      detectMult: this.#remoteDetectMult,
    };
  }

  /** Whether the peer's BFD goes on when its control plane does not (the C bit). */
  get remoteIndependent(): boolean {
    return (this.#remoteFlags & FLAG_CONTROL_PLANE_INDEPENDENT) !== 0;
  }

  /** Whether Demand mode is active on the peer, which then wants no periodic packets (RFC 5880 §6.6). */
  get remoteDemandActive(): boolean {
    return (this.#remoteFlags & FLAG_DEMAND) !== 0 && this.#state === 'Up' && this.#remoteState === 'Up';
  }

  get polling(): boolean {
    return this.#poll === 'polling';
  }

  /** Time between two packets before jitter, ms. */
  get transmitInterval(): number {
    return this.#transmitInterval() / 1000;
  }

  /** Time without a packet after which the session has failed, ms; 0 while the peer is not known (RFC 5880 §6.8.4). */
  get detectionTime(): number {
    return this.#detectionTime() / 1000;
  }

  /** Begins to transmit, where the role allows it. */
  start(): void {
    this.#settle('none');
  }

  /** For good, and without a word to the peer. */
  stop(): void {
    this.#cancelTransmit();
    if (this.#detectionTimer !== null) this.#host.timers.cancel(this.#detectionTimer);
    this.#detectionTimer = null;
  }

  /** Takes effect as RFC 5880 §6.8.3 has it; while a Poll Sequence runs, after it. */
  configure(parameters: BfdParameters, role: BfdRole): void {
    if (parameters.detectMult !== this.#wanted.detectMult) this.#news = true;
    this.#wanted = parameters;
    this.#role = role;
    this.#settle('none');
  }

  /** RFC 5880 §6.8.16. The session goes on telling the peer so, until it is stopped. */
  disable(): void {
    if (this.#state !== 'AdminDown') this.#enter('AdminDown', DIAG_ADMIN_DOWN);
    this.#settle('none');
  }

  enable(): void {
    if (this.#state === 'AdminDown') this.#enter('Down', DIAG_NONE);
    this.#settle('none');
  }

  /** A packet that `readControl` has accepted and the discriminators, or the addresses, say is this session's. */
  receive(packet: ControlPacket): SessionDiscard | null {
    if ((packet.flags & FLAG_AUTHENTICATION) !== 0) return 'auth-unexpected';
    if (packet.myDiscriminator !== this.#remoteDiscriminator) {
      this.#remoteDiscriminator = packet.myDiscriminator;
      this.#news = true;
    }
    this.#remoteState = packet.state;
    this.#remoteDiag = packet.diag;
    this.#remoteFlags = packet.flags;
    this.#remoteMinTx = packet.desiredMinTx;
    this.#remoteMinRx = packet.requiredMinRx;
    this.#remoteDetectMult = packet.detectMult;
    this.#receivedAt = this.#host.now;
    this.#advancePoll((packet.flags & FLAG_FINAL) !== 0);
    const disabled = this.#state === 'AdminDown';
    if (!disabled) this.#follow(packet.state);
    this.#settle(!disabled && (packet.flags & FLAG_POLL) !== 0 ? 'final' : 'none');
    return null;
  }

  /** RFC 5880 §6.8.6, from "If received state is AdminDown" on. */
  #follow(remote: BfdState): void {
    switch (this.#state) {
      case 'Down':
        if (remote === 'Down') this.#enter('Init', DIAG_NONE);
        else if (remote === 'Init') this.#enter('Up', DIAG_NONE);
        break;
      case 'Init':
        if (remote === 'AdminDown') this.#enter('Down', DIAG_NEIGHBOR_DOWN);
        else if (remote !== 'Down') this.#enter('Up', DIAG_NONE);
        break;
      case 'Up':
        if (remote === 'AdminDown' || remote === 'Down') this.#enter('Down', DIAG_NEIGHBOR_DOWN);
        break;
      case 'AdminDown':
    }
  }

  #enter(state: BfdState, diag: number): void {
    this.#state = state;
    this.#diag = diag;
    this.#news = true;
  }

  /** What follows from a change, in this order: intervals, the host is told, the peer is told, timers. */
  #settle(answer: 'final' | 'none'): void {
    this.#advertise();
    if (this.#news && this.remoteDemandActive) this.#requestPoll();
    this.#tell();
    if (answer === 'final') {
      this.#news = false;
      this.#host.transmit(FLAG_FINAL);
    } else if (this.#news && this.#mayTransmit()) this.#transmit();
    this.#armTransmit();
    this.#armDetection();
  }

  /** Takes what is wanted into what is advertised, and into use where it need not wait (RFC 5880 §6.8.3). */
  #advertise(): void {
    const up = this.#state === 'Up';
    const { desiredMinTx, requiredMinRx } = this.#wanted;
    const minTx = up ? desiredMinTx : Math.max(desiredMinTx, this.#slowInterval);
    if (minTx === this.#desiredMinTx && requiredMinRx === this.#requiredMinRx) return;
    // A Final could not be told to belong to the one change or the other.
    if (up && this.#toldState === 'Up' && this.#poll !== 'idle') return;
    this.#desiredMinTx = minTx;
    this.#requiredMinRx = requiredMinRx;
    if (!up || minTx < this.#minTxInUse) this.#minTxInUse = minTx;
    if (!up || requiredMinRx > this.#minRxInUse) this.#minRxInUse = requiredMinRx;
    this.#news = true;
    this.#requestPoll();
  }

  /** A peer that is not known learns everything from the first packet. */
  #requestPoll(): void {
    if (this.#remoteDiscriminator === 0) return;
    if (this.#poll === 'idle') this.#poll = 'polling';
    else this.#pollAgain = true;
  }

  #advancePoll(final: boolean): void {
    if (final) {
      if (this.#poll !== 'polling') return;
      this.#poll = 'settling';
      this.#minTxInUse = this.#desiredMinTx;
      this.#minRxInUse = this.#requiredMinRx;
    } else if (this.#poll === 'settling') {
      this.#poll = this.#pollAgain ? 'polling' : 'idle';
      this.#pollAgain = false;
    }
  }

  #tell(): void {
    const state = this.#state;
    const from = this.#toldState;
    const transmit = this.#transmitInterval();
    const detection = this.#detectionTime();
    const sameIntervals = transmit === this.#toldTransmit && detection === this.#toldDetection;
    if (state === from && sameIntervals) return;
    this.#toldState = state;
    this.#toldTransmit = transmit;
    this.#toldDetection = detection;
    if (state !== from) this.#host.stateChanged(from, state);
    else this.#host.intervalsChanged();
  }

  // ---- transmission, RFC 5880 §6.8.7

  #transmitInterval(): number {
    return Math.max(this.#minTxInUse, this.#remoteMinRx);
  }

  #mayTransmit(): boolean {
    return this.#role === 'active' || this.#remoteDiscriminator !== 0;
  }

  #periodic(): boolean {
    if (!this.#mayTransmit() || this.#remoteMinRx === 0) return false;
    return this.#poll === 'polling' || !this.remoteDemandActive;
  }

  #transmit(): void {
    this.#cancelTransmit();
    this.#sentAt = this.#host.now;
    this.#news = false;
    this.#host.transmit(this.#poll === 'polling' ? FLAG_POLL : 0);
  }

  readonly #transmitDue = () => {
    this.#transmitTimer = null;
    this.#transmit();
    this.#armTransmit();
  };

  /** A new interval counts at once, from the last packet on. */
  #armTransmit(): void {
    if (!this.#periodic()) {
      this.#cancelTransmit();
      return;
    }
    const { timers, random, now } = this.#host;
    const interval = this.#transmitInterval() / 1000;
    const earliest = this.#sentAt + interval * LEAST_SHARE;
    const range = interval * (this.detectMult === 1 ? JITTER_SINGLE : JITTER);
    const timer = this.#transmitTimer;
    if (timer !== null && timer.at >= earliest && timer.at <= earliest + range) return;
    const due = Math.max(now, earliest + range * random.unit());
    this.#cancelTransmit();
    this.#transmitTimer = timers.set(due, this.#transmitDue);
  }

  #cancelTransmit(): void {
    if (this.#transmitTimer !== null) this.#host.timers.cancel(this.#transmitTimer);
    this.#transmitTimer = null;
  }

  // ---- detection, RFC 5880 §6.8.4

  #detectionTime(): number {
    return this.#remoteDetectMult * Math.max(this.#minRxInUse, this.#remoteMinTx);
  }

  /** The timer is not moved with each packet: it looks when it fires, and is set anew for the rest. */
  #armDetection(): void {
    if (this.#remoteDiscriminator === 0) return;
    const { timers } = this.#host;
    const deadline = this.#receivedAt + this.#detectionTime() / 1000;
    if (this.#detectionTimer !== null) {
      if (this.#detectionTimer.at <= deadline) return;
      timers.cancel(this.#detectionTimer);
    }
    this.#detectionTimer = timers.set(deadline, this.#detectionDue);
  }

  readonly #detectionDue = () => {
    const { now, timers } = this.#host;
    const late = now - (this.#detectionTimer?.at ?? now);
    this.#detectionTimer = null;
    if (now < this.#receivedAt + this.#detectionTime() / 1000) {
      this.#armDetection();
      return;
    }
    const interval = this.#detectionTime() / 1000 / this.#remoteDetectMult;
    if (late > interval * HELD_UP && this.#reprievedAt !== this.#receivedAt) {
      this.#reprievedAt = this.#receivedAt;
      this.#detectionTimer = timers.set(now + interval, this.#detectionDue);
    } else this.#expire();
  };

  #expire(): void {
    this.#remoteState = 'Down';
    this.#remoteDiag = DIAG_NONE;
    this.#remoteDiscriminator = 0;
    this.#remoteFlags = 0;
    this.#remoteMinTx = 0;
    this.#remoteMinRx = 1;
    this.#remoteDetectMult = 0;
    this.#poll = 'idle';
    this.#pollAgain = false;
    this.#news = true;
    if (this.#state === 'Init' || this.#state === 'Up') this.#enter('Down', DIAG_DETECTION_TIME);
    this.#settle('none');
  }
}
