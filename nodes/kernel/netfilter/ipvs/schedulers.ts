import { HashScheduler } from './scheduler-hash.ts';
import { WeightedRoundRobin } from './scheduler-wrr.ts';
import type { Destination, Service } from './service.ts';

/** `none` finds no server for anybody (`ip_vs_add_service`). */
export const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq', 'none'] as const;
export type SchedulerName = (typeof SCHEDULERS)[number];

/** What a scheduler sees of the first packet of a connection. */
export interface ScheduledPacket {
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
}

/** Chooses the destination of a new connection (`struct ip_vs_scheduler`). */
export interface Scheduler {
  /** Null: none can take it. */
  schedule(packet: ScheduledPacket): Destination | null;
  /** A destination was added, changed or, where it is said which, taken out. */
  changed(removed: Removed | null): void;
}

export interface Removed {
  readonly destination: Destination;
  /** What stood before it in the list. */
  readonly before: Destination | null;
}

export function makeScheduler(service: Service): Scheduler {
  const { destinations } = service;
  const { scheduler } = service.spec;
  switch (scheduler) {
    case 'rr':
      return new RoundRobin(destinations);
    case 'wrr':
      return new WeightedRoundRobin(destinations);
    case 'sh':
    case 'dh':
      return new HashScheduler(service, scheduler);
    case 'nq':
      return { schedule: () => idle(destinations) ?? least(destinations, byExpectedDelay), changed: noted };
    case 'lc':
      return { schedule: () => leastUnweighted(destinations), changed: noted };
    case 'wlc':
      return { schedule: () => least(destinations, byConnections), changed: noted };
    case 'sed':
      return { schedule: () => least(destinations, byExpectedDelay), changed: noted };
    case 'none':
      return { schedule: () => null, changed: noted };
  }
}

function noted(): void {}

function isUsable(destination: Destination): boolean {
  return destination.weight > 0 && !destination.overloaded;
}

/** An active connection costs as much as 256 others (`ip_vs_dest_conn_overhead`). */
function byConnections({ active, inactive }: Destination): number {
  return active * 256 + inactive;
}

/** Connections it would have with this one (`ip_vs_sed_dest_overhead`). */
function byExpectedDelay({ active }: Destination): number {
  return active + 1;
}

/** The one with the least cost for its weight, the first of several (`ip_vs_wlc_schedule`, `ip_vs_sed_schedule`). */
function least(destinations: readonly Destination[], cost: (of: Destination) => number): Destination | null {
  let best: Destination | null = null;
  for (const each of destinations) {
    if (!isUsable(each)) continue;
    if (best === null || cost(best) * each.weight > cost(each) * best.weight) best = each;
  }
  return best;
}

/** `ip_vs_lc_schedule` */
function leastUnweighted(destinations: readonly Destination[]): Destination | null {
  let best: Destination | null = null;
  for (const each of destinations)
    if (isUsable(each) && (best === null || byConnections(each) < byConnections(best))) best = each;
  return best;
}

/** The first that has nothing to do (`ip_vs_nq_schedule`). */
function idle(destinations: readonly Destination[]): Destination | null {
  return destinations.find((each) => isUsable(each) && each.active === 0) ?? null;
}

/** ip_vs_rr.c: the next in the list after the one chosen last. */
class RoundRobin implements Scheduler {
  readonly #destinations: readonly Destination[];
  /** Null: the list is begun anew. */
  #last: Destination | null = null;

  constructor(destinations: readonly Destination[]) {
    this.#destinations = destinations;
  }

  schedule(): Destination | null {
    const all = this.#destinations;
    const from = this.#last === null ? -1 : all.indexOf(this.#last);
    for (let i = 1; i <= all.length; i++) {
      const next = all[(from + i) % all.length]!;
      if (!isUsable(next)) continue;
      this.#last = next;
      return next;
    }
    return null;
  }

  changed(removed: Removed | null): void {
    if (removed !== null && removed.destination === this.#last) this.#last = removed.before;
  }
}
