import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { formatPrefix, parseIp4, parsePrefix } from '../../protocols/ip4.ts';
import { type Ip6, parseIp6 } from '../../protocols/ip6.ts';
import { LpmTrie } from '../../protocols/trie.ts';
import type { RouteChange, RouteFacts, RouteType } from '../events/kernel.ts';
import type { Device } from './device.ts';
import { gateway6 } from './ipv6/gateway.ts';
import type { Netns } from './netns.ts';
import { RouteError } from './route-error.ts';

/** Main, as in /etc/iproute2/rt_tables. */
export const MAIN_TABLE = 254;
export const LOCAL_TABLE = 255;
export const DEFAULT_TABLE = 253;

export interface Nexthop<A extends IpAddress = number> {
  readonly device: Device;
  /** The family's unspecified address for a destination that is attached directly, or that is reached by `via6`. */
  readonly via: A;
  /** The IPv6 neighbour that packets of IPv4 go to (`RTA_VIA`; RFC 8950, RFC 5549); null of all other next hops. */
  readonly via6: Ip6 | null;
  readonly weight: number;
}

/** Whether what goes by a next hop has its destination on the link itself. */
export function isAttached<A extends IpAddress>({ via, via6 }: Nexthop<A>, unspecified: A): boolean {
  return via === unspecified && via6 === null;
}

/** A route as the forwarding path uses it. */
export interface Route<A extends IpAddress = number> {
  readonly type: RouteType;
  readonly nexthops: readonly Nexthop<A>[];
  /** Preferred source, the unspecified address if none. */
  readonly src: A;
  readonly metric: number;
  /** Prefix length. */
  readonly len: number;
  /** Number of the table that it is in. */
  readonly table: number;
  readonly facts: RouteFacts;
}

interface FamilyPrefix<A> {
  readonly addr: A;
  readonly len: number;
}

interface PrefixTrie<A, T> {
  set(addr: A, len: number, value: T): void;
  get(addr: A, len: number): T | undefined;
  delete(addr: A, len: number): boolean;
  lookup(addr: A): T | undefined;
  /** Shortest prefix first. */
  lookupAll(addr: A): T[];
  entries(): IterableIterator<{ readonly value: T }>;
}

/** What a route table must know of the addresses in it. */
export interface RouteFamily<A extends IpAddress> {
  readonly name: 'inet' | 'inet6';
  readonly unspecified: A;
  /** Metric of a route that names none (IP6_RT_PRIO_USER). */
  readonly metric: number;
  /** Whether routes of one prefix and metric by different devices are different routes, as in IPv6. */
  readonly rowPerDevice: boolean;
  trie(): PrefixTrie<A, Route<A>[]>;
  parse(text: string): A | null;
  parsePrefix(text: string): FamilyPrefix<A> | null;
  formatPrefix(prefix: FamilyPrefix<A>): string;
  /** Whether a gateway needs no route to it, only a device: a link-local one. */
  onLink(via: A): boolean;
}

const INET: RouteFamily<number> = {
  name: 'inet',
  unspecified: 0,
  metric: 0,
  rowPerDevice: false,
  trie: () => new LpmTrie(),
  parse: parseIp4,
  parsePrefix,
  formatPrefix,
  onLink: () => false,
};

export function inetRouteTable(ns: Netns, table = MAIN_TABLE): RouteTable {
  return new RouteTable(ns, INET, table, table === MAIN_TABLE ? null : ns.routes);
}

/** One route table of a namespace. Rows of one prefix differ in their metric; the lowest one that is usable wins. */
export class RouteTable<A extends IpAddress = number> {
  readonly #ns: Netns;
  readonly #family: RouteFamily<A>;
  readonly id: number;
  readonly #main: RouteTable<A> | null;
  readonly #trie: PrefixTrie<A, Route<A>[]>;
  #count = 0;

  /** `main`: the family's main table, unless this is it. */
  constructor(ns: Netns, family: RouteFamily<A>, table = MAIN_TABLE, main: RouteTable<A> | null = null) {
    this.#ns = ns;
    this.#family = family;
    this.id = table;
    this.#main = main;
    this.#trie = family.trie();
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

  /** Removes a route; false if there is none of that prefix and metric, and by that device where one is named. */
  delete(dst: string, metric = 0, dev = ''): boolean {
    const prefix = this.#family.parsePrefix(dst);
    if (prefix === null) return false;
    const gone = this.#remove(prefix, metric, dev);
    if (gone === null) return false;
    this.#emit([gone]);
    return true;
  }

  /** Applies changes as one event. A row that is already as asked is left out. */
  replaceBatch(changes: readonly RouteChange[]): void {
    const made: RouteChange[] = [];
    try {
      for (const change of changes) {
        const prefix = this.#parsePrefix(change.dst);
        if (change.op === 'del') {
          const gone = this.#remove(prefix, change.metric, change.dev ?? '');
          if (gone !== null) made.push(gone);
          continue;
        }
        const { op: _op, ...facts } = change;
        const route = this.#resolve(facts);
        if (this.#insert(prefix, route)) made.push({ op: 'set', ...route.facts });
      }
    } finally {
      this.#emit(made);
    }
  }

  /** The route for an address: longest prefix, then lowest metric, of those with a usable next hop. */
  lookup(addr: A): Route<A> | null {
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
  lookupWhere(addr: A, accepts: (route: Route<A>) => boolean): Route<A> | null {
    const all = this.#trie.lookupAll(addr);
    for (let i = all.length - 1; i >= 0; i--) {
      const best = usableOf(all[i]!.filter(accepts));
      if (best !== null) return best;
    }
    return null;
  }

  get(dst: string, metric = 0, dev = ''): RouteFacts | undefined {
    const prefix = this.#family.parsePrefix(dst);
    if (prefix === null) return undefined;
    const rows = this.#trie.get(prefix.addr, prefix.len);
    return rows?.find((row) => this.#isRow(row, metric, dev))?.facts;
  }

  /** All rows, by prefix and metric. */
  list(): RouteFacts[] {
    return [...this.#trie.entries()].flatMap((entry) => entry.value.map((route) => route.facts));
  }

  /** Removes the rows that fail a test, as one event. */
  removeWhere(test: (route: Route<A>) => boolean): void {
    const gone: RouteChange[] = [];
    for (const { value } of [...this.#trie.entries()])
      for (const route of value.filter(test)) gone.push(deletionOf(route.facts, this.#family.rowPerDevice));
    this.replaceBatch(gone);
  }

  #insert({ addr, len }: FamilyPrefix<A>, route: Route<A>): boolean {
    const rows = this.#trie.get(addr, len);
    if (rows === undefined) {
      this.#trie.set(addr, len, [route]);
      this.#count++;
      return true;
    }
    const old = rows.find((row) => this.#sameRow(row, route));
    if (old !== undefined && sameRoute(old, route)) return false;
    const next = rows.filter((row) => row !== old);
    next.push(route);
    next.sort((a, b) => a.metric - b.metric);
    this.#count += next.length - rows.length;
    this.#trie.set(addr, len, next);
    return true;
  }

  #remove({ addr, len }: FamilyPrefix<A>, metric: number, dev: string): RouteChange | null {
    const rows = this.#trie.get(addr, len);
    const exact = (row: Route<A>) => this.#isRow(row, metric, '') && deviceKey(row.facts) === dev;
    const gone = rows?.find(exact) ?? rows?.find((row) => this.#isRow(row, metric, dev));
    if (rows === undefined || gone === undefined) return null;
    this.#count--;
    if (rows.length === 1) this.#trie.delete(addr, len);
    else
      this.#trie.set(
        addr,
        len,
        rows.filter((row) => row !== gone),
      );
    return deletionOf(gone.facts, this.#family.rowPerDevice);
  }

  #isRow({ metric, facts }: Route<A>, wanted: number, dev: string): boolean {
    return metric === (wanted || this.#family.metric) && (dev === '' || facts.nexthops[0]?.dev === dev);
  }

  #sameRow(a: Route<A>, b: Route<A>): boolean {
    if (a.metric !== b.metric) return false;
    return !this.#family.rowPerDevice || deviceKey(a.facts) === deviceKey(b.facts);
  }

  /** @throws RouteError */
  #parsePrefix(text: string): FamilyPrefix<A> {
    const prefix = this.#family.parsePrefix(text);
    if (prefix === null)
      throw new RouteError(`Error: ${this.#family.name} prefix is expected rather than "${text}".`);
    return prefix;
  }

  #resolve(facts: RouteFacts): Route<A> {
    const { formatPrefix, onLink, parse, unspecified, name } = this.#family;
    const prefix = this.#parsePrefix(facts.dst);
    const src = facts.src === '' ? unspecified : (parse(facts.src) ?? unspecified);
    const nexthops = facts.nexthops.map((nexthop): Nexthop<A> => {
      const { weight } = nexthop;
      if (name === 'inet' && nexthop.via.includes(':')) {
        const via6 = parseIp6(nexthop.via);
        if (via6 === null)
          throw new RouteError(`Error: inet6 address is expected rather than "${nexthop.via}".`);
        return { device: gateway6(this.#ns, via6, nexthop), via: unspecified, via6, weight };
      }
      const via = nexthop.via === '' ? unspecified : parse(nexthop.via);
      if (via === null)
        throw new RouteError(`Error: ${name} address is expected rather than "${nexthop.via}".`);
      const attachedByItself = via !== unspecified && onLink(via);
      if (attachedByItself && nexthop.dev === '') throw new RouteError('Error: Egress device not specified.');
      const device = nexthop.dev === '' ? this.#deviceFor(via) : this.#ns.device(nexthop.dev);
      if (device === undefined) {
        const unknown = name === 'inet6' && nexthop.dev === '';
        throw new RouteError(
          unknown ? 'RTNETLINK answers: No route to host' : `Cannot find device "${nexthop.dev}"`,
        );
      }
      if (!device.up && facts.type !== 'local') throw new RouteError('RTNETLINK answers: Network is down');
      if (via !== unspecified && !attachedByItself && !nexthop.onlink && !this.#attached(via, device)) {
        throw new RouteError(
          name === 'inet6' ? 'RTNETLINK answers: No route to host' : 'Error: Nexthop has invalid gateway.',
        );
      }
      return { device, via, via6: null, weight };
    });
    const shown = nexthops.map((nexthop, i) => ({
      via: isAttached(nexthop, unspecified) ? '' : formatIp(nexthop.via6 ?? nexthop.via),
      dev: nexthop.device.name,
      onlink: facts.nexthops[i]?.onlink ?? false,
      weight: nexthop.weight,
    }));
    const metric = facts.metric || this.#family.metric;
    const canonical = { ...facts, metric, dst: formatPrefix(prefix), nexthops: shown };
    return { type: facts.type, nexthops, src, metric, len: prefix.len, table: this.id, facts: canonical };
  }

  #deviceFor(via: A): Device | undefined {
    const nexthop = (this.lookup(via) ?? this.#main?.lookup(via))?.nexthops[0];
    return nexthop !== undefined && isAttached(nexthop, this.#family.unspecified)
      ? nexthop.device
      : undefined;
  }

  #attached(via: A, device: Device): boolean {
    const { unspecified } = this.#family;
    const rows = this.#trie.lookupAll(via);
    const attached = rows.some((row) =>
      row.some((route) =>
        route.nexthops.some((hop) => hop.device === device && isAttached(hop, unspecified)),
      ),
    );
    // `fib_check_nh_v4_gw`: this table first, then as any packet is routed.
    const main = this.#main;
    return attached || (main === null ? false : main.#attached(via, device));
  }

  #emit(changes: readonly RouteChange[]): void {
    if (changes.length > 0) this.#ns.routesChanged(this.id, changes);
  }
}

/** By which device a route differs from others of its prefix and metric: that of an attached destination. */
function deviceKey({ nexthops }: RouteFacts): string {
  return nexthops.length === 1 && nexthops[0]?.via === '' ? nexthops[0].dev : '';
}

function deletionOf(facts: RouteFacts, rowPerDevice: boolean): RouteChange {
  const { dst, metric } = facts;
  const dev = rowPerDevice ? deviceKey(facts) : '';
  return dev === '' ? { op: 'del', dst, metric } : { op: 'del', dst, metric, dev };
}

function usableOf<A extends IpAddress>(rows: readonly Route<A>[]): Route<A> | null {
  for (const route of rows) {
    const { nexthops } = route;
    if (nexthops.length === 0) return route;
    for (const nexthop of nexthops) if (nexthop.device.usable) return route;
  }
  return null;
}

function sameRoute<A extends IpAddress>(a: Route<A>, b: Route<A>): boolean {
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
