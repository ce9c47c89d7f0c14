import type { SpeakerTimings } from './config.ts';
import type { Connection } from './connection.ts';
import type { FsmEvent, SessionState } from './fsm.ts';

/** Well above the idle hold time that others do not let their neighbours' operators choose: GoBGP's is 5 s, ms. */
const OTHERS_IDLE_HOLD = 8_000;

/** Above what ARP and TCP wait for before they send again, 1 s, ms. */
const UNANSWERED = 2_000;
/** EHOSTUNREACH: nobody has answered ARP, which may have been asked for all of its 3 s over a link that was down. */
const NO_ROUTE = 'No route to host';

/** How an attempt to set a session up has ended. */
interface FailedAttempt {
  /** The state that its connection was in. */
  readonly from: SessionState;
  readonly event: FsmEvent;
  readonly origin: Connection['origin'];
  /** Why TCP says that the connection is gone. */
  readonly reason: string;
}

interface Attempt {
  /** How often the session had had to be tried anew by then. */
  readonly epoch: number;
  readonly at: number;
}

/** Attempts in a row that all ended in one way, which does not show yet that another would be in vain. */
interface Row {
  readonly how: 'turned-away' | 'unanswered';
  /** When the first of them was begun, ms. */
  readonly since: number;
}

const NONE: Attempt = { epoch: -1, at: -1 };

/**
 * Whether there is any use in waiting for a session: not once it is established, or once a whole attempt has failed since
 * the speaker started it, lost it, or the node's topology changed. An attempt begun before such a change tells
 * nothing about what came after it.
 */
export class Settling {
  #settled = false;
  #openedAt = 0;
  #triedAt = -1;
  #epoch = 0;
  #attempt = NONE;
  #attemptBefore = NONE;
  #row: Row | null = null;

  get settled(): boolean {
    return this.#settled;
  }

  /** When it last had to be tried anew, ms. The other end's attempts of before then count for nothing either. */
  get openedAt(): number {
    return this.#openedAt;
  }

  /** When the last attempt that failed was begun, ms; -1 if none has. */
  get triedAt(): number {
    return this.#triedAt;
  }

  /** Whether the peer is there and has not wanted the session so far, but may do so in a moment. */
  get turnedAway(): boolean {
    return !this.#settled && this.#row?.how === 'turned-away';
  }

  /** It has to be tried, or tried again. */
  reopen(now: number): void {
    this.#row = null;
    this.#epoch++;
    this.#openedAt = now;
    this.#settled = false;
  }

  /** A connect has begun. */
  attempted(now: number): void {
    this.#attemptBefore = this.#attempt;
    this.#attempt = { epoch: this.#epoch, at: now };
  }

  /** An attempt has failed: whether that is enough to know that there is no use in waiting. */
  attemptFailed(
    { from, event, origin, reason }: FailedAttempt,
    now: number,
    { connectRetry, idleHoldMax }: SpeakerTimings,
  ): void {
    if (event === 'ConnectRetryTimer_Expires') this.#unanswered('before', now);
    else if (event !== 'TcpConnectionFails') this.#failed();
    else if (from !== 'Connect' && origin === 'outgoing')
      this.#refusedInSilence(now, Math.max(idleHoldMax, OTHERS_IDLE_HOLD));
    else if (reason === NO_ROUTE && connectRetry < UNANSWERED) this.#unanswered('this', now);
    else this.#failed();
  }

  #failed(): void {
    this.#row = null;
    this.#giveUp(this.#attempt);
  }

  /**
   * Nothing has come of an attempt, this one or the one before it, within a short retry time. That may be the neighbour's
   * address, still asked for, or a lost SYN: it has failed once this has gone on for a while.
   */
  #unanswered(which: 'this' | 'before', now: number): void {
    const attempt = which === 'this' ? this.#attempt : this.#attemptBefore;
    if (attempt.epoch === this.#epoch && this.#hasGoneOn('unanswered', attempt, now, UNANSWERED))
      this.#giveUp(attempt);
  }

  /**
   * The peer has taken the connection and closed it without a word, as one does in its Idle state (GoBGP, BIRD). That may be
   * over by the next attempt, so it has failed only once this has gone on for `patience` ms.
   */
  #refusedInSilence(now: number, patience: number): void {
    if (this.#hasGoneOn('turned-away', this.#attempt, now, patience)) this.#giveUp(this.#attempt);
    else this.#settled = false;
  }

  /** Whether attempts have ended in one way for so long. */
  #hasGoneOn(how: Row['how'], { at }: Attempt, now: number, patience: number): boolean {
    if (this.#row?.how !== how) this.#row = { how, since: at };
    return now - this.#row.since >= patience;
  }

  #giveUp({ epoch, at }: Attempt): void {
    if (epoch !== this.#epoch) return;
    this.#triedAt = at;
    this.#settled = true;
  }

  /** It is established, or has been stopped. */
  settle(): void {
    this.#row = null;
    this.#settled = true;
    this.#triedAt = Number.POSITIVE_INFINITY;
  }

  /** For an end that cannot try by itself: a callback that settles it unless it is reopened in the meantime. */
  deadline(): () => void {
    const epoch = this.#epoch;
    return () => {
      if (epoch === this.#epoch) this.settle();
    };
  }
}
