import type { ForwardingChange } from '../../../protocols/bgp/host.ts';
import { formatKey, isIpv6Key, type PrefixKey } from '../../../protocols/bgp/nlri.ts';
import { formatIp4, parsePrefix, prefixKey, prefixMask } from '../../../protocols/ip4.ts';
import type { NexthopFacts, RouteChange, RouteFacts } from '../../events/kernel.ts';
import type { Device } from '../../kernel/device.ts';
import type { Netns } from '../../kernel/netns.ts';
import { RouteError } from '../../kernel/route-table.ts';

/** Cost of a next hop that is reached by a route without a cost of its own, as BIRD's IGP_METRIC_UNKNOWN. */
export const UNKNOWN_METRIC = 0x8000_0000;

/** Prefix length that an address of ours needs for another to be on its link. */
const HOST_LENGTH = 32;

/** How a BGP next hop is reached. */
export interface Resolution {
  readonly metric: number;
  readonly hops: readonly NexthopFacts[];
}

interface Installed {
  readonly nextHops: readonly number[];
  /** As handed to the kernel; null while it is not in the kernel's table. */
  facts: RouteFacts | null;
}

/** The speaker's routes in the main table: BGP next hops resolved to gateways and devices, as BIRD's kernel protocol does. */
export class BgpFib {
  readonly #netns: Netns;
  readonly #installed = new Map<PrefixKey, Installed>();
  readonly #resolved = new Map<number, Resolution | null>();
  /** Installed prefixes that the kernel's table does not have: another protocol's route is there, or it refused ours. */
  readonly #absent = new Set<PrefixKey>();

  /** Rows of an earlier run of the daemon that this one has not said anything of. */
  readonly #leftOver: Set<string>;

  /** 'adopt' leaves what an earlier run of the daemon has left in the table until `dropLeftOver`. */
  constructor(netns: Netns, rows: 'fresh' | 'adopt' = 'fresh') {
    this.#netns = netns;
    const ours = netns.routes.list().filter((row) => isOurs(row) && row.type === 'unicast');
    this.#leftOver = new Set(rows === 'adopt' ? ours.map(({ dst }) => dst) : []);
  }

  /** Takes out what is left of an earlier run. */
  dropLeftOver(): void {
    const batch = Array.from(this.#leftOver, (dst): RouteChange => ({ op: 'del', dst, metric: 0 }));
    this.#leftOver.clear();
    this.#apply(batch);
  }

  /** How a next hop is reached; null if it is not, or is this node. */
  resolve(addr: number): Resolution | null {
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
      // The kernel has IPv4 alone: IPv6 routes are passed on and not installed, as by a route reflector off the path.
      if (isIpv6Key(prefix)) continue;
      const nextHops = all.filter((addr) => typeof addr === 'number');
      if (nextHops.length > 0) {
        const installed = { nextHops, facts: null };
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
    const row = this.#netns.routes.get(dst);
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
    const row = this.#netns.routes.get(dst);
    if (row !== undefined && isOurs(row)) batch.push({ op: 'del', dst, metric: 0 });
  }

  /** All at once; if the kernel refuses one, each by itself. */
  #apply(batch: readonly RouteChange[]): void {
    if (batch.length === 0) return;
    try {
      this.#netns.routes.replaceBatch(batch);
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
      for (const change of batch) this.#applyOne(change);
    }
  }

  #applyOne(change: RouteChange): void {
    try {
      this.#netns.routes.replaceBatch([change]);
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
      for (const [prefix, installed] of this.#installed) {
        if (installed.facts?.dst !== change.dst) continue;
        installed.facts = null;
        this.#absent.add(prefix);
      }
    }
  }

  #facts(dst: string, nextHops: readonly number[]): RouteFacts | null {
    const hops: NexthopFacts[] = [];
    for (const nextHop of nextHops) {
      for (const hop of this.resolve(nextHop)?.hops ?? []) {
        if (!hops.some((other) => other.via === hop.via && other.dev === hop.dev)) hops.push(hop);
      }
    }
    if (hops.length === 0) return null;
    return { dst, type: 'unicast', protocol: 'bird', scope: 'global', metric: 0, src: '', nexthops: hops };
  }

  #lookup(addr: number): Resolution | null {
    const netns = this.#netns;
    if (netns.isLocal(addr)) return null;
    for (const device of netns.devices()) {
      if (!device.usable || !isOnLink(device, addr)) continue;
      return { metric: 0, hops: [hop(formatIp4(addr), device.name)] };
    }
    // A route of ours that is itself resolved through a route resolves nothing, least of all itself: what is behind it
    // counts, as in FRR, whose next hop tracking passes a route that would resolve itself. What is found so does not
    // depend on what was made of it.
    const route = netns.routes.lookupWhere(
      addr,
      ({ facts }) => facts.protocol !== 'bird' || this.#isDirect(facts.dst),
    );
    if (route === null || route.type !== 'unicast') return null;
    const usable = route.nexthops.filter(({ device }) => device.usable);
    if (usable.length === 0) return null;
    const hops = usable.map(({ via, device }) => hop(formatIp4(via === 0 ? addr : via), device.name));
    const metric = route.facts.protocol === 'bird' ? UNKNOWN_METRIC : route.metric;
    return { metric, hops };
  }

  /** Whether a route of ours has its next hops on our links. */
  #isDirect(dst: string): boolean {
    const prefix = parsePrefix(dst);
    const installed = prefix === null ? undefined : this.#installed.get(prefixKey(prefix.addr, prefix.len));
    if (installed === undefined) return false;
    const devices = this.#netns.devices().filter((device) => device.usable);
    return installed.nextHops.every((addr) => devices.some((device) => isOnLink(device, addr)));
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

function isOnLink(device: Device, addr: number): boolean {
  return device.addresses.some((own) => {
    const mask = prefixMask(own.len);
    return own.len < HOST_LENGTH && own.scope !== 'host' && (own.addr & mask) === (addr & mask);
  });
}

function hop(via: string, dev: string): NexthopFacts {
  return { via, dev, onlink: false, weight: 1 };
}
