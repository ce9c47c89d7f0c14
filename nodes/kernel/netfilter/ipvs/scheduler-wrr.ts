import type { Scheduler } from './schedulers.ts';
import type { Destination } from './service.ts';

/**
 * ip_vs_wrr.c: goes through the list again and again, taking those of the greatest weight alone at first, then those of a weight
 * that is less by the common divisor of all, down to 1.
 */
export class WeightedRoundRobin implements Scheduler {
  readonly #destinations: readonly Destination[];
  /** Where the last one stands that was chosen; -1 is the head of the list. */
  #at = -1;
  /** Weight that is asked for now, the greatest that is, and the step from one to the next. */
  #current: number;
  #most: number;
  #step: number;

  constructor(destinations: readonly Destination[]) {
    this.#destinations = destinations;
    this.#step = commonDivisor(destinations);
    this.#most = mostOf(destinations) - (this.#step - 1);
    this.#current = this.#most;
  }

  /** `ip_vs_wrr_dest_changed` */
  changed(): void {
    this.#at = -1;
    this.#step = commonDivisor(this.#destinations);
    this.#most = mostOf(this.#destinations) - (this.#step - 1);
    if (this.#current > this.#most || this.#current === 0) this.#current = this.#most;
    else if (this.#step > 1) this.#current = Math.floor(this.#current / this.#step) * this.#step + 1;
  }

  /** `ip_vs_wrr_schedule` */
  schedule(): Destination | null {
    const all = this.#destinations;
    if (this.#most === 0) return null;
    const last = this.#at;
    let at = last;
    let stop: number | null = null;
    let lastPass = false;
    let restarted = false;
    for (;;) {
      for (at++; at < all.length; at++) {
        const each = all[at]!;
        if (!each.overloaded && each.weight >= this.#current) {
          this.#at = at;
          return each;
        }
        if (at === stop) {
          this.#at = at;
          return null;
        }
      }
      at = -1;
      this.#current -= this.#step;
      if (this.#current <= 0) {
        this.#current = this.#most;
        // All of them were asked for no more than 1, since it began where the list does or in a pass before.
        if (lastPass || last === -1) {
          this.#at = -1;
          return null;
        }
        restarted = true;
      }
      lastPass = this.#current <= this.#step;
      if (lastPass && restarted && last !== -1) stop = last;
    }
  }
}

/** `ip_vs_wrr_gcd_weight` */
function commonDivisor(destinations: readonly Destination[]): number {
  let divisor = 0;
  for (const { weight } of destinations) {
    let [a, b] = [divisor, weight];
    while (b > 0) [a, b] = [b, a % b];
    divisor = a;
  }
  return divisor === 0 ? 1 : divisor;
}

function mostOf(destinations: readonly Destination[]): number {
  return destinations.reduce((most, { weight }) => Math.max(most, weight), 0);
}
