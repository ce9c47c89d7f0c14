import { formatIp4, formatPrefix, parseIp4, parsePrefix } from '../../protocols/ip4.ts';
import { LpmTrie } from '../../protocols/trie.ts';
import type { RouteChange, RouteFacts, RouteType } from '../events/kernel.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';

/** Main, as in /etc/iproute2/rt_tables. */
export const MAIN_TABLE = 254;

export class RouteError extends Error {
  override readonly name = 'RouteError';
}

export interface Nexthop {
  readonly device: Device;
  /** 0 for a destination that is attached directly. */
  readonly via: number;
  readonly weight: number;
}

/** A route as the forwarding path uses it. */
export interface Route {
  readonly type: RouteType;
  readonly nexthops: readonly Nexthop[];
  /** Preferred source, 0 if none. */
  readonly src: number;
  readonly metric: number;
  readonly facts: RouteFacts;
}

/** One route table of a namespace. Rows of one prefix differ in their metric; the lowest one that is usable wins. */
export class RouteTable {
  readonly #ns: Netns;
  readonly #table: number;
  readonly #trie = new LpmTrie<Route[]>();
  #count = 0;

  constructor(ns: Netns, table = MAIN_TABLE) {
    this.#ns = ns;
    this.#table = table;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * Adds a route, or replaces the one of the same prefix and metric (`ip route replace`).
   * @throws RouteError when a device does not exist or a gateway cannot be reached.
   */
  set(facts: RouteFacts): void {
    this.replaceBatch([{ op: 'set', ...facts }]);
  }

  /** Removes a route; false if there is none of that prefix and metric. */
  delete(dst: string, metric = 0): boolean {
    const prefix = parsePrefix(dst);
    if (prefix === null || !this.#remove(prefix.addr, prefix.len, metric)) return false;
    this.#emit([{ op: 'del', dst: formatPrefix(prefix), metric }]);
    return true;
  }

  /** Applies changes as one event. A row that is already as asked is left out. */
  replaceBatch(changes: readonly RouteChange[]): void {
    const made: RouteChange[] = [];
    try {
      for (const change of changes) {
        const prefix = parsePrefix(change.dst);
        if (prefix === null) throw new RouteError(`inet prefix is expected rather than "${change.dst}".`);
        if (change.op === 'del') {
          if (this.#remove(prefix.addr, prefix.len, change.metric))
            made.push({ op: 'del', dst: formatPrefix(prefix), metric: change.metric });
          continue;
        }
        const { op: _op, ...facts } = change;
        const route = this.#resolve(facts);
        if (this.#insert(prefix.addr, prefix.len, route)) made.push({ op: 'set', ...route.facts });
      }
    } finally {
      this.#emit(made);
    }
  }

  /** The route for an address: longest prefix, then lowest metric, of those with a usable next hop. */
  lookup(addr: number): Route | null {
    const rows = this.#trie.lookup(addr);
    if (rows === undefined) return null;
    const best = usableOf(rows);
    if (best !== null) return best;
    const all = this.#trie.lookupAll(addr);
    for (let i = all.length - 2; i >= 0; i--) {
      const shorter = usableOf(all[i]!);
      if (shorter !== null) return shorter;
    }
    return null;
  }

  /** As `lookup`, among the routes that are accepted alone: a shorter one if the longest is not. */
  lookupWhere(addr: number, accepts: (route: Route) => boolean): Route | null {
    const all = this.#trie.lookupAll(addr);
    for (let i = all.length - 1; i >= 0; i--) {
      const best = usableOf(all[i]!.filter(accepts));
      if (best !== null) return best;
    }
    return null;
  }

  get(dst: string, metric = 0): RouteFacts | undefined {
    const prefix = parsePrefix(dst);
    if (prefix === null) return undefined;
    return this.#trie.get(prefix.addr, prefix.len)?.find((route) => route.metric === metric)?.facts;
  }

  /** All rows, by prefix and metric. */
  list(): RouteFacts[] {
    return [...this.#trie.entries()].flatMap((entry) => entry.value.map((route) => route.facts));
  }

  /** Removes the rows that fail a test, as one event. */
  removeWhere(test: (route: Route) => boolean): void {
    const gone: RouteChange[] = [];
    for (const { value } of [...this.#trie.entries()]) {
      for (const route of value.filter(test))
        gone.push({ op: 'del', dst: route.facts.dst, metric: route.metric });
    }
    this.replaceBatch(gone);
  }

  #insert(addr: number, len: number, route: Route): boolean {
    const rows = this.#trie.get(addr, len);
    if (rows === undefined) {
      this.#trie.set(addr, len, [route]);
      this.#count++;
      return true;
    }
    const at = rows.findIndex((row) => row.metric === route.metric);
    const old = rows[at];
    if (old !== undefined && sameRoute(old, route)) return false;
    const next = rows.filter((row) => row.metric !== route.metric);
    next.push(route);
    next.sort((a, b) => a.metric - b.metric);
    this.#count += next.length - rows.length;
    this.#trie.set(addr, len, next);
    return true;
  }

  #remove(addr: number, len: number, metric: number): boolean {
    const rows = this.#trie.get(addr, len);
    const left = rows?.filter((row) => row.metric !== metric);
    if (rows === undefined || left === undefined || left.length === rows.length) return false;
    this.#count--;
    if (left.length === 0) this.#trie.delete(addr, len);
    else this.#trie.set(addr, len, left);
    return true;
  }

  #resolve(facts: RouteFacts): Route {
    const prefix = parsePrefix(facts.dst);
    if (prefix === null) throw new RouteError(`inet prefix is expected rather than "${facts.dst}".`);
    const src = facts.src === '' ? 0 : (parseIp4(facts.src) ?? 0);
    const nexthops = facts.nexthops.map((nexthop): Nexthop => {
      const via = nexthop.via === '' ? 0 : parseIp4(nexthop.via);
      if (via === null) throw new RouteError(`inet address is expected rather than "${nexthop.via}".`);
      const device = nexthop.dev === '' ? this.#deviceFor(via) : this.#ns.device(nexthop.dev);
      if (device === undefined) throw new RouteError(`Cannot find device "${nexthop.dev}"`);
      if (!device.up) throw new RouteError('RTNETLINK answers: Network is down');
      if (via !== 0 && !nexthop.onlink && !this.#attached(via, device)) {
        throw new RouteError('Error: Nexthop has invalid gateway.');
      }
      return { device, via, weight: nexthop.weight };
    });
    const shown = nexthops.map((nexthop, i) => ({
      via: nexthop.via === 0 ? '' : formatIp4(nexthop.via),
      dev: nexthop.device.name,
      onlink: facts.nexthops[i]?.onlink ?? false,
      weight: nexthop.weight,
    }));
    const canonical = { ...facts, dst: formatPrefix(prefix), nexthops: shown };
    return { type: facts.type, nexthops, src, metric: facts.metric, facts: canonical };
  }

  #deviceFor(via: number): Device | undefined {
    const nexthop = this.lookup(via)?.nexthops[0];
    return nexthop?.via === 0 ? nexthop.device : undefined;
  }

  #attached(via: number, device: Device): boolean {
    const rows = this.#trie.lookupAll(via);
    return rows.some((row) =>
      row.some((route) => route.nexthops.some((hop) => hop.via === 0 && hop.device === device)),
    );
  }

  #emit(changes: readonly RouteChange[]): void {
    if (changes.length > 0) this.#ns.routesChanged(this.#table, changes);
  }
}

function usableOf(rows: readonly Route[]): Route | null {
  for (const route of rows) {
    const { nexthops } = route;
    if (nexthops.length === 0) return route;
    for (const nexthop of nexthops) if (nexthop.device.usable) return route;
  }
  return null;
}

function sameRoute(a: Route, b: Route): boolean {
  const x = a.facts;
  const y = b.facts;
  return (
    x.type === y.type &&
    x.protocol === y.protocol &&
    x.scope === y.scope &&
    x.src === y.src &&
    x.nexthops.length === y.nexthops.length &&
    x.nexthops.every((hop, i) => {
      const other = y.nexthops[i];
      return (
        other !== undefined &&
        hop.via === other.via &&
        hop.dev === other.dev &&
        hop.onlink === other.onlink &&
        hop.weight === other.weight &&
        a.nexthops[i]?.device === b.nexthops[i]?.device
      );
    })
  );
}
