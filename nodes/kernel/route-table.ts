import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { type Ip6, parseIp6 } from '../../protocols/ip6.ts';
import type { RouteChange, RouteFacts, RouteType } from '../events/kernel.ts';
import type { Device } from './device.ts';
import { gateway6 } from './ipv6/gateway.ts';
import type { Netns } from './netns.ts';
import { RouteError } from './route-error.ts';
import type { FamilyPrefix, PrefixTrie, RouteFamily } from './route-family.ts';

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

/** Whether packets may go by a next hop: its device is up. It may lack its carrier, unless such routes are to be ignored. */
export function leads<A extends IpAddress>({ device, via }: Nexthop<A>): boolean {
  if (!device.up || device.carrier) return device.up;
  return !(typeof via === 'number' ? device.ignoresLinkdown : device.inet6.ignoresLinkdown);
}

/** Whether a route goes with a device that has gone down: no next hop of it is up any more (`fib_sync_down_dev`). */
export function isDead<A extends IpAddress>({ nexthops }: Route<A>, down: Device): boolean {
  return nexthops.some(({ device }) => device === down) && nexthops.every(({ device }) => !device.up);
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
  /** Among routes of one metric: 1 before 0 before -1. */
  readonly preference: number;
  readonly facts: RouteFacts;
}

/**
 * One route table of a namespace. Of the rows of one prefix the one of the lowest metric that is usable wins, of those of one
 * metric the first. Usually there is one of each metric, or in IPv6 one by each device; others have to be appended.
 */
export class RouteTable<A extends IpAddress = number> {
  readonly #ns: Netns;
  readonly #family: RouteFamily<A>;
  readonly id: number;
  readonly #main: RouteTable<A> | null;
  readonly #trie: PrefixTrie<A, readonly Route<A>[]>;
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

  /**
   * Adds a route behind those of its prefix and metric, or before them (`ip route append`, `prepend`).
   * @throws RouteError as `set`, and where there is the very same already.
   */
  add(facts: RouteFacts, place: 'first' | 'last'): void {
    this.replaceBatch([{ op: 'set', ...facts, place }]);
  }

  /** Puts a route in the place of a row of the same prefix and metric. @throws RouteError as `add`. */
  replace(row: RouteFacts, facts: RouteFacts): void {
    const found = this.#find(row);
    if (found !== null) this.replaceBatch([{ op: 'set', ...facts, at: found.at }]);
  }

  /** Removes a row, one that `list` gave; false if it is not there any more. */
  remove(row: RouteFacts): boolean {
    const found = this.#find(row);
    if (found === null) return false;
    this.#emit([this.#take(found.prefix, found.rows, found.route)]);
    return true;
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
          const gone = this.#remove(prefix, change.metric, change.dev ?? '', change.at);
          if (gone !== null) made.push(gone);
          continue;
        }
        const { op: _op, place, at, ...facts } = change;
        const set = this.#insert(prefix, this.#resolve(facts), place, at);
        if (set !== null) made.push(set);
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

  /** The rows of one prefix, in the order in which they are asked. */
  rowsOf(dst: string): RouteFacts[] {
    const prefix = this.#family.parsePrefix(dst);
    const rows = prefix === null ? undefined : this.#trie.get(prefix.addr, prefix.len);
    return (rows ?? []).map(({ facts }) => facts);
  }

  /** All rows, by prefix and metric. */
  list(): RouteFacts[] {
    return [...this.#trie.entries()].flatMap((entry) => entry.value.map((route) => route.facts));
  }

  /** Whether any row passes a test. */
  some(test: (route: Route<A>) => boolean): boolean {
    for (const { value } of this.#trie.entries()) if (value.some(test)) return true;
    return false;
  }

  /** Removes the rows that fail a test, as one event. */
  removeWhere(test: (route: Route<A>) => boolean): void {
    const gone: RouteChange[] = [];
    for (const { value } of [...this.#trie.entries()])
      for (const route of value.filter(test)) {
        const found = this.#find(route.facts);
        if (found !== null) gone.push(this.#take(found.prefix, found.rows, found.route));
      }
    this.#emit(gone);
  }

  /** @throws RouteError where `place` asks for another row, or `at` for another in its place, and there is the very same. */
  #insert(
    prefix: FamilyPrefix<A>,
    route: Route<A>,
    place: 'first' | 'last' | undefined,
    at: number | undefined,
  ): RouteChange | null {
    const { addr, len } = prefix;
    const { metric, facts } = route;
    const rows = this.#trie.get(addr, len);
    if (rows === undefined) {
      this.#trie.set(addr, len, [route]);
      this.#count++;
      return { op: 'set', ...facts };
    }
    const peers = rows.filter((row) => row.metric === metric);
    const given = at === undefined ? peers.find((row) => this.#sameRow(row, route)) : peers[at];
    const old = place === undefined ? given : undefined;
    if (old !== undefined && sameRoute(old, route)) return null;
    if (peers.some((row) => sameRoute(row, route))) throw new RouteError('RTNETLINK answers: File exists');
    if (old !== undefined) {
      this.#trie.set(addr, len, rows.with(rows.indexOf(old), route));
      return at === undefined ? { op: 'set', ...facts } : { op: 'set', ...facts, at };
    }
    const before = rows.findIndex((row) => (place === 'first' ? row.metric >= metric : row.metric > metric));
    this.#trie.set(addr, len, rows.toSpliced(before < 0 ? rows.length : before, 0, route));
    this.#count++;
    return place === undefined || peers.length === 0
      ? { op: 'set', ...facts }
      : { op: 'set', ...facts, place };
  }

  #remove(prefix: FamilyPrefix<A>, metric: number, dev: string, at?: number): RouteChange | null {
    const rows = this.#trie.get(prefix.addr, prefix.len);
    if (rows === undefined) return null;
    const peers = rows.filter((row) => this.#isRow(row, metric, ''));
    const exact = this.#family.rowPerDevice ? peers.find((row) => deviceKey(row.facts) === dev) : undefined;
    const meant = at === undefined ? (exact ?? rows.find((row) => this.#isRow(row, metric, dev))) : peers[at];
    return meant === undefined ? null : this.#take(prefix, rows, meant);
  }

  /** Takes a row out. The change tells which it was where its key does not. */
  #take({ addr, len }: FamilyPrefix<A>, rows: readonly Route<A>[], gone: Route<A>): RouteChange {
    this.#count--;
    if (rows.length === 1) this.#trie.delete(addr, len);
    else
      this.#trie.set(
        addr,
        len,
        rows.filter((row) => row !== gone),
      );
    const change = deletionOf(gone.facts, this.#family.rowPerDevice);
    if (rows.find((row) => this.#sameRow(row, gone)) === gone) return change;
    return { ...change, at: rows.filter(({ metric }) => metric === gone.metric).indexOf(gone) };
  }

  /** Where a row of this table is. */
  #find(row: RouteFacts) {
    const prefix = this.#parsePrefix(row.dst);
    const rows = this.#trie.get(prefix.addr, prefix.len) ?? [];
    const route = rows.find(({ facts }) => facts === row);
    if (route === undefined) return null;
    return { prefix, rows, route, at: rows.filter(({ metric }) => metric === route.metric).indexOf(route) };
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
    const family = this.#family;
    const { formatPrefix, parse, unspecified, name } = family;
    const prefix = this.#parsePrefix(facts.dst);
    const src = facts.src === '' ? unspecified : (parse(facts.src) ?? unspecified);
    const nexthops = facts.nexthops.map((nexthop): Nexthop<A> => {
      const { weight } = nexthop;
      if (name === 'inet' && nexthop.via.includes(':')) {
        const via6 = parseIp6(nexthop.via);
        if (via6 === null)
          throw new RouteError(`Error: inet6 address is expected rather than "${nexthop.via}".`);
        return {
          device: gateway6(this.#ns, via6, nexthop, this.#ns.ipv6.routes),
          via: unspecified,
          via6,
          weight,
        };
      }
      const via = nexthop.via === '' ? unspecified : parse(nexthop.via);
      if (via === null)
        throw new RouteError(`Error: ${name} address is expected rather than "${nexthop.via}".`);
      const device =
        via === unspecified ? this.#ns.device(nexthop.dev) : family.gateway(this.#ns, via, nexthop, this);
      if (device === undefined) throw new RouteError(`Cannot find device "${nexthop.dev}"`);
      if (via === unspecified && facts.type !== 'local') family.checkDevice(device);
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
    const preference = facts.preference === undefined ? 0 : facts.preference === 'high' ? 1 : -1;
    return {
      ...{ type: facts.type, nexthops, src, metric, len: prefix.len, table: this.id },
      preference,
      facts: canonical,
    };
  }

  /** The device by which a gateway is reached that is on a link; undefined: there is none. */
  deviceTo(via: A): Device | undefined {
    const nexthop = (this.lookup(via) ?? this.#main?.lookup(via))?.nexthops[0];
    return nexthop !== undefined && isAttached(nexthop, this.#family.unspecified)
      ? nexthop.device
      : undefined;
  }

  /** Whether a gateway is on the link of a device. */
  attaches(via: A, device: Device): boolean {
    const { unspecified } = this.#family;
    const rows = this.#trie.lookupAll(via);
    const attached = rows.some((row) =>
      row.some((route) =>
        route.nexthops.some((hop) => hop.device === device && isAttached(hop, unspecified)),
      ),
    );
    // `fib_check_nh_v4_gw`: this table first, then as any packet is routed.
    const main = this.#main;
    return attached || (main === null ? false : main.attaches(via, device));
  }

  #emit(changes: readonly RouteChange[]): void {
    if (changes.length > 0) this.#ns.routesChanged(this.id, changes);
  }
}

/** By which device a route differs from others of its prefix and metric: that of an attached destination. */
function deviceKey({ nexthops }: RouteFacts): string {
  return nexthops.length === 1 && nexthops[0]?.via === '' ? nexthops[0].dev : '';
}

function deletionOf(facts: RouteFacts, rowPerDevice: boolean): Extract<RouteChange, { op: 'del' }> {
  const { dst, metric } = facts;
  const dev = rowPerDevice ? deviceKey(facts) : '';
  return dev === '' ? { op: 'del', dst, metric } : { op: 'del', dst, metric, dev };
}

/** The first usable row of the lowest metric, or one there that is preferred to it (`find_rr_leaf`). */
function usableOf<A extends IpAddress>(rows: readonly Route<A>[]): Route<A> | null {
  let best: Route<A> | null = null;
  for (const route of rows) {
    if (best !== null && route.metric !== best.metric) return best;
    if ((best === null || route.preference > best.preference) && isUsable(route)) best = route;
  }
  return best;
}

function isUsable<A extends IpAddress>({ nexthops }: Route<A>): boolean {
  if (nexthops.length === 0) return true;
  for (const nexthop of nexthops) if (leads(nexthop)) return true;
  return false;
}

function sameRoute<A extends IpAddress>(a: Route<A>, b: Route<A>): boolean {
  const x = a.facts;
  const y = b.facts;
  return (
    x.type === y.type &&
    x.protocol === y.protocol &&
    x.scope === y.scope &&
    x.src === y.src &&
    x.expires === y.expires &&
    x.mtu === y.mtu &&
    x.hopLimit === y.hopLimit &&
    x.preference === y.preference &&
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
