import { NO_CAUSE } from './events/record.ts';
import type { Kernel } from './kernel/kernel.ts';
import type { Runtime, TimerHandle } from './runtime.ts';

/** Least time between two `frames.dropped` events, ms. */
const INTERVAL = 1_000;

/** Puts into the log how many frames the kernel has dropped, and why, without an event for each. */
export class DropReport {
  readonly #rt: Runtime;
  readonly #kernel: Kernel;
  #reported = new Map<string, number>();
  #total = 0;
  #timer: TimerHandle | null = null;

  constructor(rt: Runtime, kernel: Kernel) {
    this.#rt = rt;
    this.#kernel = kernel;
  }

  /** To be called after frames that may have been dropped. */
  check(): void {
    if (this.#kernel.dropped === this.#total || this.#timer !== null) return;
    this.#timer = this.#rt.timers.set(this.#rt.now + INTERVAL, () => this.#report());
  }

  #report(): void {
    this.#timer = null;
    const { drops, dropped } = this.#kernel;
    const reasons: Record<string, number> = {};
    for (const [reason, count] of drops) {
      const fresh = count - (this.#reported.get(reason) ?? 0);
      if (fresh > 0) reasons[reason] = fresh;
    }
    this.#reported = new Map(drops);
    this.#total = dropped;
    this.#rt.cause = NO_CAUSE;
    this.#rt.emit({ type: 'frames.dropped', reasons });
  }
}
