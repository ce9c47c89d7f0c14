import type { SpeakerHost, TimerHandle } from './host.ts';

type TimerEvent =
  | 'ConnectRetryTimer_Expires'
  | 'DelayOpenTimer_Expires'
  | 'HoldTimer_Expires'
  | 'KeepaliveTimer_Expires';

export interface TimerOwner {
  readonly host: SpeakerHost;
  /** Runs a callback later as an input of the speaker. */
  later(delay: number, run: () => void): TimerHandle;
  /** RFC 4271 §10: between 0.75 and 1 times the value. */
  jittered(time: number): number;
}

/**
 * The timers of one connection's state machine, RFC 4271 §8 and §10. Messages only move the times of the last one sent and
 * received: the hold and keepalive timers look at those when they fire, so that an UPDATE costs no timer.
 */
export class ConnectionTimers {
  readonly #owner: TimerOwner;
  readonly #expired: (event: TimerEvent) => void;
  #connectRetry: TimerHandle | null = null;
  #delayOpen: TimerHandle | null = null;
  #hold: TimerHandle | null = null;
  #holdTime = 0;
  #lastReceived = 0;
  #keepalive: TimerHandle | null = null;
  #keepaliveTime = 0;
  #lastSent = 0;

  constructor(owner: TimerOwner, expired: (event: TimerEvent) => void) {
    this.#owner = owner;
    this.#expired = expired;
  }

  /** Times left, ms; null where the timer does not run. */
  get holdLeft(): number | null {
    return this.#hold === null ? null : this.#lastReceived + this.#holdTime - this.#owner.host.now;
  }

  get keepaliveLeft(): number | null {
    return this.#keepalive === null ? null : this.#lastSent + this.#keepaliveTime - this.#owner.host.now;
  }

  get connectRetryLeft(): number | null {
    return this.#connectRetry === null ? null : this.#connectRetry.at - this.#owner.host.now;
  }

  get delaysOpen(): boolean {
    return this.#delayOpen !== null;
  }

  /** A message has come. */
  received(): void {
    this.#lastReceived = this.#owner.host.now;
  }

  /** A message has gone. */
  sent(): void {
    this.#lastSent = this.#owner.host.now;
  }

  startConnectRetry(time: number): void {
    this.stopConnectRetry();
    this.#connectRetry = this.#owner.later(this.#owner.jittered(time), () => {
      this.#connectRetry = null;
      this.#expired('ConnectRetryTimer_Expires');
    });
  }

  stopConnectRetry(): void {
    this.#connectRetry = this.#cancel(this.#connectRetry);
  }

  startDelayOpen(time: number): void {
    this.stopDelayOpen();
    this.#delayOpen = this.#owner.later(time, () => {
      this.#delayOpen = null;
      this.#expired('DelayOpenTimer_Expires');
    });
  }

  stopDelayOpen(): void {
    this.#delayOpen = this.#cancel(this.#delayOpen);
  }

  /** 0 for none. */
  startHold(time: number): void {
    this.#hold = this.#cancel(this.#hold);
    this.#holdTime = time;
    this.received();
    if (time > 0) this.#armHold(time);
  }

  /** 0 for none. Each interval is drawn anew. */
  startKeepalive(time: number): void {
    this.#keepalive = this.#cancel(this.#keepalive);
    if (time <= 0) return;
    this.#keepaliveTime = this.#owner.jittered(time);
    this.#armKeepalive(this.#keepaliveTime);
  }

  stopHoldAndKeepalive(): void {
    this.#hold = this.#cancel(this.#hold);
    this.#keepalive = this.#cancel(this.#keepalive);
  }

  #armHold(delay: number): void {
    this.#hold = this.#owner.later(delay, () => {
      const left = this.#lastReceived + this.#holdTime - this.#owner.host.now;
      if (left > 0) {
        this.#armHold(left);
      } else {
        this.#hold = null;
        this.#expired('HoldTimer_Expires');
      }
    });
  }

  #armKeepalive(delay: number): void {
    this.#keepalive = this.#owner.later(delay, () => {
      const left = this.#lastSent + this.#keepaliveTime - this.#owner.host.now;
      if (left > 0) {
        this.#armKeepalive(left);
      } else {
        this.#keepalive = null;
        this.#expired('KeepaliveTimer_Expires');
      }
    });
  }

  #cancel(timer: TimerHandle | null): null {
    if (timer !== null) this.#owner.host.timers.cancel(timer);
    return null;
  }
}
