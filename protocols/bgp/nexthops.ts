/** A next hop that paths refer to, and what the forwarding table says of it. */
export interface NextHop {
  readonly addr: number;
  /** Cost of reaching it; null while it cannot be reached. */
  readonly metric: number | null;
  /** `[addr]`, shared by all destinations that have it as their only one. */
  readonly alone: readonly number[];
}

interface Entry extends NextHop {
  metric: number | null;
  users: number;
}

/** Every next hop in use, resolved once and again when the forwarding table has changed. */
export class NextHopTable {
  readonly #entries = new Map<number, Entry>();
  readonly #resolve: (addr: number) => { readonly metric: number } | null;

  constructor(resolve: (addr: number) => { readonly metric: number } | null) {
    this.#resolve = resolve;
  }

  get size(): number {
    return this.#entries.size;
  }

  acquire(addr: number): NextHop {
    let entry = this.#entries.get(addr);
    if (entry === undefined) {
      entry = { addr, metric: this.#resolve(addr)?.metric ?? null, users: 0, alone: [addr] };
      this.#entries.set(addr, entry);
    }
    entry.users++;
    return entry;
  }

  release(nextHop: NextHop): void {
    const entry = this.#entries.get(nextHop.addr);
    if (entry !== undefined && --entry.users === 0) this.#entries.delete(nextHop.addr);
  }

  /** Resolves all anew; returns those whose reachability or cost is another now. */
  refresh(): ReadonlySet<NextHop> {
    const changed = new Set<NextHop>();
    for (const entry of this.#entries.values()) {
      const metric = this.#resolve(entry.addr)?.metric ?? null;
      if (metric === entry.metric) continue;
      entry.metric = metric;
      changed.add(entry);
    }
    return changed;
  }
}
