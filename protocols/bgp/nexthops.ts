import { formatIp4 } from '../ip4.ts';
import { ANY_IP6, formatIp6, IP6_LENGTH, type Ip6, isLinkLocal } from '../ip6.ts';

/**
 * IPv4 as a number; IPv6 as 16 characters, or 32 with the link-local address behind the global one. The next hop of a path has
 * the interface of the link behind it where a link-local address is to be used: `%eth1`.
 */
export type NextHopAddress = number | string;

/** What an IPv6 next hop says: an address that is routed to, a link-local one, or both; and the interface, '' for none. */
export interface Ip6NextHop {
  readonly global: Ip6 | null;
  readonly linkLocal: Ip6 | null;
  readonly zone: string;
}

/**
 * Daemons put a link-local next hop that is the only one by itself, behind `::` (BIRD), or behind itself (FRR), where RFC 2545 §3
 * knows but a global one with or without it.
 */
export function splitNextHop(text: string): Ip6NextHop {
  const percent = text.indexOf('%', IP6_LENGTH);
  const end = percent === IP6_LENGTH || percent === 2 * IP6_LENGTH ? percent : text.length;
  const first = text.slice(0, IP6_LENGTH);
  const second = end > IP6_LENGTH ? text.slice(IP6_LENGTH, end) : null;
  const alone = first === ANY_IP6 || isLinkLocal(first);
  return {
    global: alone ? null : first,
    linkLocal: second !== null && isLinkLocal(second) ? second : isLinkLocal(first) ? first : null,
    zone: text.slice(end + 1),
  };
}

/** The global address, or the link-local one where there is no other. */
export function formatNextHop(addr: NextHopAddress): string {
  if (typeof addr === 'number') return formatIp4(addr);
  const { global, linkLocal } = splitNextHop(addr);
  return formatIp6(global ?? linkLocal ?? addr.slice(0, IP6_LENGTH));
}

/** The same with the link-local address behind the global one, as BIRD prints it. */
export function formatNextHops(addr: NextHopAddress): string {
  if (typeof addr === 'number') return formatIp4(addr);
  const { global, linkLocal } = splitNextHop(addr);
  return global === null || linkLocal === null
    ? formatNextHop(addr)
    : `${formatIp6(global)} ${formatIp6(linkLocal)}`;
}

/** A next hop that came from a peer on a link of ours (`zone`, '' for none), in the form that it is resolved in. */
export function resolvableNextHop(text: string, zone: string): NextHopAddress {
  const { global, linkLocal } = splitNextHop(text);
  if (linkLocal === null || (global !== null && zone === '')) return global ?? text;
  return `${global ?? ''}${linkLocal}%${zone}`;
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
