import type { NeighborState } from '../events/kernel.ts';
import type { Kernel } from './kernel.ts';

/** An entry that counts against the limits: all but the permanent ones. */
export interface PooledNeighbor {
  readonly state: NeighborState;
  /** Time of its last change, ms. */
  readonly updated: number;
  /** Takes it out of its table. */
  discard(): void;
}

/** Least time between two forced collections below the hard limit, and age that saves an entry from one, ms. */
const FORCED_GC = 5_000;

/**
 * The size of the neighbour table and its limits, as arp(7) has them. The table is one for all namespaces of a node,
 * as `arp_tbl` is: a node with many pods runs into the limits of its root namespace.
 */
export class NeighborPool {
  /** Entries below which none is collected for age. */
  gcThresh1 = 128;
  /** Entries that may be exceeded for 5 s. */
  gcThresh2 = 512;
  /** Entries that are never exceeded. */
  gcThresh3 = 1024;
  readonly #kernel: Kernel;
  /** In the order in which they were made (`gc_list`). */
  readonly #entries = new Set<PooledNeighbor>();
  #forcedAt = Number.NEGATIVE_INFINITY;
  #periodic = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Whether there is room for one more, made by force if need be (`neigh_alloc`). Counts it if not. */
  admits(): boolean {
    const { now } = this.#kernel.rt;
    const { size } = this.#entries;
    if (size < this.gcThresh3 && (size < this.gcThresh2 || now <= this.#forcedAt + FORCED_GC)) return true;
    if (this.#forceGc(now) > 0 || size < this.gcThresh3) return true;
    this.#kernel.drop('neighbor-table-full');
    return false;
  }

  add(entry: PooledNeighbor): void {
    this.#entries.add(entry);
    if (this.#entries.size >= this.gcThresh1) this.#armPeriodic();
  }

  remove(entry: PooledNeighbor): void {
    this.#entries.delete(entry);
  }

  /** Frees down to the second limit what nobody is waiting for; how many that were (`neigh_forced_gc`). */
  #forceGc(now: number): number {
    const wanted = this.#entries.size + 1 - this.gcThresh2;
    let freed = 0;
    for (const entry of this.#entries) {
      if (entry.state !== 'FAILED' && (entry.state !== 'STALE' || now - entry.updated <= FORCED_GC)) continue;
      entry.discard();
      if (++freed >= wanted) break;
    }
    this.#forcedAt = now;
    return freed;
  }

  /** `neigh_periodic_work`, which need not run while the table is small. */
  #armPeriodic(): void {
    if (this.#periodic) return;
    this.#periodic = true;
    const { rt, timings } = this.#kernel;
    rt.timers.set(rt.now + timings.neighbor.reachable / 2, () => {
      this.#periodic = false;
      if (this.#entries.size < this.gcThresh1) return;
      for (const entry of this.#entries)
        if (entry.state === 'STALE' && rt.now - entry.updated >= timings.neighbor.gcStale) entry.discard();
      if (this.#entries.size >= this.gcThresh1) this.#armPeriodic();
    });
  }
}
