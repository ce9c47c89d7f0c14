import type { SpeakerTimings } from './config.ts';
import type { SpeakerHost, TimerHandle } from './host.ts';

/** Errors further apart than this many times the longest wait have nothing to do with each other (BIRD: 300 s for 30 s). */
const FORGET = 10;

/**
 * How long a session stays Idle after an error: the IdleHoldTimer, whose time doubles with each error up to a limit
 * (RFC 4271 §8.1.1, DampPeerOscillations).
 */
export class IdleHold {
  readonly #host: SpeakerHost;
  readonly #timings: SpeakerTimings;
  #timer: TimerHandle | null = null;
  #time = 0;
  #lastError = Number.NEGATIVE_INFINITY;

  constructor(host: SpeakerHost, timings: SpeakerTimings) {
    this.#host = host;
    this.#timings = timings;
  }

  /** Time left, ms; null while it does not run. */
  get left(): number | null {
    return this.#timer === null ? null : this.#timer.at - this.#host.now;
  }

  /** Starts it after an error. */
  start(later: (delay: number, run: () => void) => TimerHandle, expired: () => void): void {
    const { now } = this.#host;
    const { idleHold, idleHoldMax } = this.#timings;
    if (now - this.#lastError > FORGET * idleHoldMax) this.#time = 0;
    this.#lastError = now;
    this.#time = this.#time === 0 ? idleHold : Math.min(2 * this.#time, idleHoldMax);
    this.#timer = later(this.#time, () => {
      this.#timer = null;
      expired();
    });
  }

  /** Stops it and forgets the errors so far. */
  reset(): void {
    if (this.#timer !== null) this.#host.timers.cancel(this.#timer);
    this.#timer = null;
    this.#time = 0;
  }
}
