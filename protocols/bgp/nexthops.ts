import { formatIp4 } from '../ip4.ts';
import { formatIp6, IP6_LENGTH } from '../ip6.ts';

/** IPv4 as a number; IPv6 as 16 characters, or 32 with the link-local address behind the global one. */
export type NextHopAddress = number | string;

/** Without the link-local address, which means something on its link alone. */
export function formatNextHop(addr: NextHopAddress): string {
  return typeof addr === 'number' ? formatIp4(addr) : formatIp6(addr.slice(0, IP6_LENGTH));
}

/** A next hop that paths refer to, and what the forwarding table says of it. */
export interface NextHop {
  readonly addr: NextHopAddress;
  /** Cost of reaching it; null while it cannot be reached. */
  readonly metric: number | null;
  /** `[addr]`, shared by all destinations that have it as their only one. */
  readonly alone: readonly NextHopAddress[];
}

interface Entry extends NextHop {
  metric: number | null;
  users: number;
}

type Resolve = (addr: NextHopAddress) => { readonly metric: number } | null;

/** Every next hop in use, resolved once and again when the forwarding table has changed. */
export class NextHopTable {
  readonly #entries = new Map<NextHopAddress, Entry>();
  readonly #resolve: Resolve;

  constructor(resolve: Resolve) {
    this.#resolve = resolve;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The entry of an address, made if need be; it stays from its first `acquire` to its last `release`. */
  get(addr: NextHopAddress): NextHop {
    let entry = this.#entries.get(addr);
    if (entry === undefined) {
      entry = { addr, metric: this.#metric(addr), users: 0, alone: [addr] };
      this.#entries.set(addr, entry);
    }
    return entry;
  }

  acquire(nextHop: NextHop): void {
    // Nobody else makes them.
    (nextHop as Entry).users++;
  }

  release(nextHop: NextHop): void {
    const entry = nextHop as Entry;
    if (--entry.users === 0) this.#entries.delete(entry.addr);
  }

  /** Resolves all anew; returns those whose reachability or cost is another now. */
  refresh(): ReadonlySet<NextHop> {
    const changed = new Set<NextHop>();
    for (const entry of this.#entries.values()) {
      const metric = this.#metric(entry.addr);
      if (metric === entry.metric) continue;
      entry.metric = metric;
      changed.add(entry);
    }
    return changed;
  }

  #metric(addr: NextHopAddress): number | null {
    return this.#resolve(addr)?.metric ?? null;
  }
}
