import { BinaryHeap } from '../protocols/heap.ts';
import type { EventId } from './events/record.ts';
import type { TimerHandle, Timers } from './runtime.ts';

interface Timer extends TimerHandle {
  readonly seq: number;
  /** Cause under which it was set, and under which it fires. */
  readonly cause: EventId;
  fire: (() => void) | null;
}

/** The machine's timers: a heap by time, then by order of setting. Cancelled entries leave when they surface. */
export class TimerQueue implements Timers {
  readonly #heap = new BinaryHeap<Timer>((a, b) => a.at - b.at || a.seq - b.seq);
  readonly #cause: () => EventId;
  #seq = 0;

  /** `cause` gives the machine's current cause, which each timer keeps. */
  constructor(cause: () => EventId) {
    this.#cause = cause;
  }

  set(at: number, fire: () => void): TimerHandle {
    const timer: Timer = { at, seq: this.#seq++, cause: this.#cause(), fire };
    this.#heap.push(timer);
    return timer;
  }

  cancel(timer: TimerHandle): void {
    (timer as Timer).fire = null;
  }

  /** Time of the next timer, `Infinity` if none is set. */
  next(): number {
    for (;;) {
      const top = this.#heap.peek();
      if (top === undefined) return Number.POSITIVE_INFINITY;
      if (top.fire !== null) return top.at;
      this.#heap.pop();
    }
  }

  /** Fires every timer due at `now`, those included that the fired ones set for `now`. */
  run(now: number, fire: (callback: () => void, cause: EventId) => void): void {
    while (this.next() <= now) {
      const timer = this.#heap.pop();
      if (timer === undefined || timer.fire === null) return;
      const callback = timer.fire;
      timer.fire = null;
      fire(callback, timer.cause);
    }
  }
}
