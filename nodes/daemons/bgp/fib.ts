import type { ForwardingChange, PeerLink } from '../../../protocols/bgp/host.ts';
import { type NextHopAddress, splitNextHop } from '../../../protocols/bgp/nexthops.ts';
import { formatKey, isIpv6Key, type PrefixKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { prefixMask } from '../../../protocols/ip4.ts';
import { ANY_IP6, commonBits6, type Ip6, mappedIp4 } from '../../../protocols/ip6.ts';
import type { NexthopFacts, RouteChange, RouteFacts } from '../../events/kernel.ts';
import type { Device } from '../../kernel/device.ts';
import type { Netns } from '../../kernel/netns.ts';
import { RouteError } from '../../kernel/route-error.ts';
import { isAttached, type RouteTable } from '../../kernel/route-table.ts';

/** Cost of a next hop that is reached by a route without a cost of its own, as BIRD's IGP_METRIC_UNKNOWN. */
export const UNKNOWN_METRIC = 0x8000_0000;

/** How a BGP next hop is reached. */
export interface Resolution {
  readonly metric: number;
  readonly hops: readonly NexthopFacts[];
}

interface Installed {
  readonly nextHops: readonly NextHopAddress[];
  /** As handed to the kernel; null while it is not in the kernel's table. */
  facts: RouteFacts | null;
}

/** Where a next hop is: an address that is routed to, and the neighbour that it stands for on a link of ours. */
interface Target<A> {
  readonly addr: A | null;
  readonly neighbor: { readonly via: A; readonly dev: string } | null;
}

/** What an address family has to do with routes of BGP. */
interface FibFamily<A extends IpAddress> {
  readonly unspecified: A;
  readonly routes: RouteTable<A>;
  owns(prefix: PrefixKey): boolean;
  /** Whether the kernel has a way to destinations of this family by the next hop. */
  takes(nextHop: NextHopAddress): boolean;
  /** Of a next hop that is an address of this family. */
  target(nextHop: A): Target<A>;
  isLocal(addr: A): boolean;
  /** Whether an address of the device is of a subnet that another is in. */
  isOnLink(device: Device, addr: A): boolean;
}

/** Next hops of both families, as routes of either have them. */
interface NextHopResolver {
  resolve(nextHop: NextHopAddress): Resolution | null;
  /** Whether it is on a link of ours. */
  isDirect(nextHop: NextHopAddress): boolean;
}

/** The speaker's routes in the main tables: BGP next hops resolved to gateways and devices, as BIRD's kernel protocol does. */
export class BgpFib implements NextHopResolver {
  readonly #netns: Netns;
  readonly #inet: FamilyFib<number>;
  readonly #inet6: FamilyFib<Ip6>;

  /** 'adopt' leaves what an earlier run of the daemon has left in the tables until `dropLeftOver`. */
  constructor(netns: Netns, rows: 'fresh' | 'adopt' = 'fresh') {
    this.#netns = netns;
    this.#inet = new FamilyFib(netns, inet(netns), this, rows);
    this.#inet6 = new FamilyFib(netns, inet6(netns), this, rows);
  }

  /** Takes out what is left of an earlier run. */
  dropLeftOver(): void {
    this.#inet.dropLeftOver();
    this.#inet6.dropLeftOver();
  }

  /**
   * How a next hop is reached; null if it is not, or is this node. A node without IPv6 passes its routes on as a route
   * reflector off the path does: there, those next hops count as reached.
   */
  resolve(addr: NextHopAddress): Resolution | null {
    if (typeof addr === 'number') return this.#inet.resolve(addr);
    const mapped = mappedIp4(addr);
    if (mapped !== null) return this.#inet.resolve(mapped);
    return this.#hasIpv6 ? this.#inet6.resolve(addr) : { metric: 0, hops: [] };
  }

  /** Whether there is a way to a peer's address. */
  reaches(address: IpAddress, zone: string): boolean {
    return this.resolve(zone === '' ? address : `${address}%${zone}`) !== null;
  }

  isDirect(nextHop: NextHopAddress): boolean {
    return typeof nextHop === 'number' ? this.#inet.isOnLink(nextHop) : this.#inet6.isOnLink(nextHop);
  }

  /** See `SpeakerHost.linkTo`. An address that is still being claimed will be ours by the time that anybody sends to it. */
  linkTo(address: IpAddress, zone: string): PeerLink | null {
    const device =
      zone !== ''
        ? this.#netns.device(zone)
        : typeof address === 'number'
          ? this.#inet.linkOf(address)
          : this.#inet6.linkOf(address);
    if (device === undefined) return null;
    const own = device.inet6.addresses.find(({ scope, dad }) => scope === 'link' && dad !== 'failed');
    return { dev: device.name, linkLocal: own?.addr ?? null };
  }

  install(changes: readonly ForwardingChange[]): void {
    this.#inet.install(changes);
    if (this.#hasIpv6) this.#inet6.install(changes);
  }

  /**
   * The kernel's tables or links have changed: looks up anew what was looked up before. Tells whether anything is
   * reached by another way now; the speaker is to ask again then, and `reinstall` to follow.
   */
  refresh(): 'same' | 'changed' {
    const outcomes = [this.#inet.refresh(), this.#inet6.refresh()];
    return outcomes.includes('changed') ? 'changed' : 'same';
  }

  /** Puts right what the kernel's tables should hold by now: all rows, or those alone that could not go in before. */
  reinstall(which: 'all' | 'absent'): void {
    this.#inet.reinstall(which);
    this.#inet6.reinstall(which);
  }

  /** The route as it is in the kernel's table; undefined if the prefix is not routed by BGP there. */
  route(prefix: PrefixKey): RouteFacts | undefined {
    return this.#inet.route(prefix) ?? this.#inet6.route(prefix);
  }

  get #hasIpv6(): boolean {
    return this.#netns.ipv6.sysctls.all.disable_ipv6 === 0;
  }
}

/** Those of one address family. */
class FamilyFib<A extends IpAddress> {
  readonly #netns: Netns;
  readonly #family: FibFamily<A>;
  readonly #nextHops: NextHopResolver;
  readonly #installed = new Map<PrefixKey, Installed>();
  readonly #resolved = new Map<A, Resolution | null>();
  /** Installed prefixes that the kernel's table does not have: another protocol's route is there, or it refused ours. */
  readonly #absent = new Set<PrefixKey>();

  /** Rows of an earlier run of the daemon that this one has not said anything of. */
  readonly #leftOver: Set<string>;

  constructor(netns: Netns, family: FibFamily<A>, nextHops: NextHopResolver, rows: 'fresh' | 'adopt') {
    this.#netns = netns;
    this.#nextHops = nextHops;
    this.#family = family;
    const ours = family.routes.list().filter((row) => isOurs(row) && row.type === 'unicast');
    this.#leftOver = new Set(rows === 'adopt' ? ours.map(({ dst }) => dst) : []);
  }

  /** Takes out what is left of an earlier run. */
  dropLeftOver(): void {
    const batch = Array.from(this.#leftOver, (dst): RouteChange => ({ op: 'del', dst, metric: 0 }));
    this.#leftOver.clear();
    this.#apply(batch);
  }

  /** How a next hop is reached; null if it is not, or is this node. */
  resolve(addr: A): Resolution | null {
    let resolved = this.#resolved.get(addr);
    if (resolved === undefined) {
      resolved = this.#lookup(addr);
      this.#resolved.set(addr, resolved);
    }
    return resolved;
  }

  install(changes: readonly ForwardingChange[]): void {
    const batch: RouteChange[] = [];
    for (const { key: prefix, nextHops: all } of changes) {
      if (!this.#family.owns(prefix)) continue;
      const nextHops = all.every((addr) => this.#family.takes(addr))
        ? all
        : all.filter((addr) => this.#family.takes(addr));
      if (nextHops.length > 0) {
        const installed: Installed = { nextHops, facts: null };
        this.#installed.set(prefix, installed);
        this.#stage(batch, prefix, installed);
      } else {
        this.#unstage(batch, prefix);
      }
    }
    this.#apply(batch);
  }

  /**
   * The kernel's tables or links have changed: looks up anew what was looked up before. Tells whether anything is
   * reached by another way now; the speaker is to ask again then, and `reinstall` to follow.
   */
  refresh(): 'same' | 'changed' {
    let outcome: 'same' | 'changed' = 'same';
    for (const [addr, old] of this.#resolved) {
      const resolved = this.#lookup(addr);
      if (sameResolution(old, resolved)) continue;
      this.#resolved.set(addr, resolved);
      outcome = 'changed';
    }
    return outcome;
  }

  /** Puts right what the kernel's table should hold by now: all rows, or those alone that could not go in before. */
  reinstall(which: 'all' | 'absent'): void {
    const batch: RouteChange[] = [];
    const prefixes = which === 'all' ? [...this.#installed.keys()] : [...this.#absent];
    for (const prefix of prefixes) {
      const installed = this.#installed.get(prefix);
      if (installed !== undefined) this.#stage(batch, prefix, installed);
    }
    this.#apply(batch);
  }

  /** The route as it is in the kernel's table; undefined if the prefix is not routed by BGP there. */
  route(prefix: PrefixKey): RouteFacts | undefined {
    return this.#installed.get(prefix)?.facts ?? undefined;
  }

  #stage(batch: RouteChange[], prefix: PrefixKey, installed: Installed): void {
    const dst = formatKey(prefix);
    this.#leftOver.delete(dst);
    const facts = this.#facts(dst, installed.nextHops);
    const row = this.#family.routes.get(dst);
    installed.facts = null;
    if (facts === null || (row !== undefined && !isOurs(row))) {
      this.#absent.add(prefix);
      if (facts === null && row !== undefined && isOurs(row)) batch.push({ op: 'del', dst, metric: 0 });
      return;
    }
    this.#absent.delete(prefix);
    installed.facts = facts;
    batch.push({ op: 'set', ...facts });
  }

  #unstage(batch: RouteChange[], prefix: PrefixKey): void {
    this.#installed.delete(prefix);
    this.#absent.delete(prefix);
    const dst = formatKey(prefix);
    const row = this.#family.routes.get(dst);
    if (row !== undefined && isOurs(row)) batch.push({ op: 'del', dst, metric: 0 });
  }

  /** All at once; if the kernel refuses one, each by itself. */
  #apply(batch: readonly RouteChange[]): void {
    if (batch.length === 0) return;
    try {
      this.#family.routes.replaceBatch(batch);
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
      for (const change of batch) this.#applyOne(change);
    }
  }

  #applyOne(change: RouteChange): void {
    try {
      this.#family.routes.replaceBatch([change]);
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
      for (const [prefix, installed] of this.#installed) {
        if (installed.facts?.dst !== change.dst) continue;
        installed.facts = null;
        this.#absent.add(prefix);
      }
    }
  }

  #facts(dst: string, nextHops: readonly NextHopAddress[]): RouteFacts | null {
    const hops: NexthopFacts[] = [];
    for (const nextHop of nextHops) {
      for (const hop of this.#nextHops.resolve(nextHop)?.hops ?? []) {
        if (!hops.some((other) => other.via === hop.via && other.dev === hop.dev)) hops.push(hop);
      }
    }
    if (hops.length === 0) return null;
    return { dst, type: 'unicast', protocol: 'bird', scope: 'global', metric: 0, src: '', nexthops: hops };
  }

  /** The link of ours that an address is on. */
  linkOf(addr: A): Device | undefined {
    return this.#netns.devices().find((device) => device.usable && this.#family.isOnLink(device, addr));
  }

  isOnLink(nextHop: A): boolean {
    const { addr } = this.#family.target(nextHop);
    return addr === null || this.linkOf(addr) !== undefined;
  }

  #lookup(nextHop: A): Resolution | null {
    const family = this.#family;
    const { addr, neighbor } = family.target(nextHop);
    if (addr === null) return neighbor === null ? null : this.#onLink(neighbor.via, neighbor.dev);
    if (family.isLocal(addr)) return null;
    const link = this.linkOf(addr);
    if (link !== undefined) {
      const via = neighbor?.dev === link.name ? neighbor.via : addr;
      return { metric: 0, hops: [hop(formatIp(via), link.name)] };
    }
    // A route of ours that is itself resolved through a route resolves nothing, least of all itself: what is behind it
    // counts, as in FRR, whose next hop tracking passes a route that would resolve itself. What is found so does not
    // depend on what was made of it.
    const route = family.routes.lookupWhere(
      addr,
      ({ facts }) => facts.protocol !== 'bird' || this.#isDirect(facts.dst),
    );
    if (route === null || route.type !== 'unicast') return null;
    const usable = route.nexthops.filter(({ device }) => device.usable);
    if (usable.length === 0) return null;
    const hops = usable.map((next) =>
      hop(formatIp(isAttached(next, family.unspecified) ? addr : (next.via6 ?? next.via)), next.device.name),
    );
    const metric = route.facts.protocol === 'bird' ? UNKNOWN_METRIC : route.metric;
    return { metric, hops };
  }

  #onLink(via: A, dev: string): Resolution | null {
    const usable = this.#netns.device(dev)?.usable === true && !this.#family.isLocal(via);
    return usable ? { metric: 0, hops: [hop(formatIp(via), dev)] } : null;
  }

  /** Whether a route of ours has its next hops on our links. */
  #isDirect(dst: string): boolean {
    const key = parseKey(dst);
    const installed = key === null ? undefined : this.#installed.get(key);
    return installed?.nextHops.every((nextHop) => this.#nextHops.isDirect(nextHop)) ?? false;
  }
}

function sameResolution(a: Resolution | null, b: Resolution | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.metric === b.metric &&
    a.hops.length === b.hops.length &&
    a.hops.every(({ via, dev }, i) => via === b.hops[i]?.via && dev === b.hops[i]?.dev)
  );
}

function isOurs(row: RouteFacts): boolean {
  return row.protocol === 'bird' && row.type === 'unicast';
}

function inet(netns: Netns): FibFamily<number> {
  return {
    unspecified: 0,
    routes: netns.routes,
    owns: (prefix) => !isIpv6Key(prefix),
    // By an IPv6 neighbour too (RFC 8950), but not one of an IPv4-mapped address.
    takes: (nextHop) => typeof nextHop === 'number' || mappedIp4(nextHop) === null,
    target: (addr) => ({ addr, neighbor: null }),
    isLocal: (addr) => netns.isLocal(addr),
    isOnLink: ({ addresses }, addr) =>
      addresses.some((own) => {
        const mask = prefixMask(own.len);
        return own.len < 32 && own.scope !== 'host' && (own.addr & mask) === (addr & mask);
      }),
  };
}

function inet6(netns: Netns): FibFamily<Ip6> {
  return {
    unspecified: ANY_IP6,
    routes: netns.ipv6.routes,
    owns: isIpv6Key,
    // The kernel has no way to an IPv6 destination by an IPv4 gateway.
    takes: (nextHop) => typeof nextHop === 'string' && mappedIp4(nextHop) === null,
    target: (nextHop) => {
      const { global, linkLocal, zone } = splitNextHop(nextHop);
      return {
        addr: global,
        neighbor: linkLocal === null || zone === '' ? null : { via: linkLocal, dev: zone },
      };
    },
    isLocal: (addr) => netns.devices().some((device) => device.inet6.find(addr) !== undefined),
    isOnLink: ({ inet6: { addresses } }, addr) =>
      addresses.some(
        (own) => own.len < 128 && own.scope === 'global' && commonBits6(own.addr, addr) >= own.len,
      ),
  };
}

function hop(via: string, dev: string): NexthopFacts {
  return { via, dev, onlink: false, weight: 1 };
}
