import { ANY_IP6, type Ip6, isMulticastIp6 } from '../../../protocols/ip6.ts';
import type { Device } from '../device.ts';
import { chooseNexthop, type Path } from '../ip/path.ts';
import type { Netns } from '../netns.ts';
import { LOCAL_TABLE, leads, type Route, type RouteTable } from '../route-table.ts';
import type { FlowKey } from '../rules.ts';
import { flowHash6 } from './flow.ts';
import { ANY_FLOW6 } from './rules.ts';

type Found = Path<Ip6> | 'throw' | null;

/**
 * The hash of a flow, by which it keeps to one of several next hops; or the frame that it is worked out from, which is done
 * where there are several alone.
 */
export type HashOf = number | Uint8Array;

/**
 * The way to an address, by one device only where one is named (`fib6_rule_lookup`). `flow` is what rules look at, null where
 * nothing is known. Null: there is no route.
 */
export function fib6Lookup(
  ns: Netns,
  dst: Ip6,
  hash: HashOf,
  device: Device | null,
  flow: FlowKey<Ip6> | null,
): Path<Ip6> | null {
  const path = lookup(ns, dst, hash, device, flow);
  const { redirects } = ns.ipv6;
  return path !== null && redirects.size > 0 ? redirects.way(dst, path) : path;
}

function lookup(
  ns: Netns,
  dst: Ip6,
  hash: HashOf,
  out: Device | null,
  flow: FlowKey<Ip6> | null,
): Path<Ip6> | null {
  const { rules, routes } = ns.ipv6;
  if (isMulticastIp6(dst)) return multicast(ns, dst, out);
  // The device that an address of a link is of.
  const link = flow?.iif ?? out;
  if (rules.custom) return byRules(ns, dst, hash, out, link, flow ?? { ...ANY_FLOW6, oif: out });
  const found = inLocalTable(ns, dst, hash, out, link) ?? inTable(ns, routes, dst, hash, out);
  return found === 'throw' ? null : found;
}

/** `fib_rules_lookup` with the actions of fib6_rules.c. */
function byRules(
  ns: Netns,
  dst: Ip6,
  hash: HashOf,
  out: Device | null,
  link: Device | null,
  flow: FlowKey<Ip6>,
): Path<Ip6> | null {
  const { rules } = ns.ipv6.rules;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    if (!rule.matches(dst, flow)) continue;
    const { facts } = rule;
    switch (facts.action) {
      case 'lookup': {
        const found = inTableOf(ns, facts.table ?? 0, dst, hash, out, link);
        if (found === null || found === 'throw') continue;
        if (suppressed(found, facts.suppressPrefixLength)) continue;
        return found;
      }
      case 'goto': {
        const target = rules.findIndex((other) => other.facts.priority === facts.target);
        if (target > i) i = target - 1;
        continue;
      }
      case 'nop':
        continue;
      case 'unreachable':
        return null;
      case 'blackhole':
      case 'prohibit':
        return { type: facts.action, device: ns.lo, nexthop: ANY_IP6, src: ANY_IP6, route: null };
    }
  }
  return null;
}

/** `fib6_rule_suppress` */
function suppressed({ type, route }: Path<Ip6>, limit: number | undefined): boolean {
  if (limit === undefined || type === 'blackhole' || type === 'unreachable' || type === 'prohibit')
    return false;
  return (route?.len ?? 128) <= limit;
}

function inTableOf(
  ns: Netns,
  table: number,
  dst: Ip6,
  hash: HashOf,
  out: Device | null,
  link: Device | null,
): Found {
  if (table === LOCAL_TABLE) return inLocalTable(ns, dst, hash, out, link);
  const found = ns.ipv6.tables.get(table);
  return found === undefined ? null : inTable(ns, found, dst, hash, out);
}

/** The rows that follow from the addresses, then those that were put into the local table by hand. */
function inLocalTable(ns: Netns, dst: Ip6, hash: HashOf, out: Device | null, link: Device | null): Found {
  const { addresses, tables } = ns.ipv6;
  // To who is bound to a device, an address of another one is not the host's own (`rt6_check_dev`). What lo brings back is.
  const bound = out === null || out.kind === 'loopback' || out.inet6.holds(dst);
  if (bound && addresses.isLocal(dst, link))
    return { type: 'local', device: ns.lo, nexthop: dst, src: ANY_IP6, route: null };
  const table = tables.customLocal ? tables.get(LOCAL_TABLE) : undefined;
  const found = table === undefined ? null : inTable(ns, table, dst, hash, out);
  return found === 'throw' ? null : found;
}

function inTable(ns: Netns, table: RouteTable<Ip6>, dst: Ip6, hash: HashOf, out: Device | null): Found {
  const route =
    out === null
      ? table.lookup(dst)
      : table.lookupWhere(dst, ({ nexthops }) => nexthops.some((hop) => hop.device === out));
  return route === null ? null : pathOf(ns, route, dst, hash, out);
}

function pathOf({ lo }: Netns, route: Route<Ip6>, dst: Ip6, hash: HashOf, out: Device | null): Found {
  const { type, src } = route;
  switch (type) {
    case 'throw':
      return 'throw';
    case 'blackhole':
    case 'unreachable':
    case 'prohibit':
      return { type, device: lo, nexthop: ANY_IP6, src: ANY_IP6, route };
    case 'local':
      return { type, device: lo, nexthop: dst, src, route };
    default: {
      const hop =
        out === null
          ? chooseNexthop(route, hashOf(route, hash))
          : (route.nexthops.find((candidate) => candidate.device === out && leads(candidate)) ?? null);
      if (hop === null) return null;
      const nexthop = hop.via === ANY_IP6 ? dst : hop.via;
      return { type: 'unicast', device: hop.device, nexthop, src, route };
    }
  }
}

function hashOf({ nexthops }: Route<Ip6>, hash: HashOf): number {
  if (typeof hash === 'number') return hash;
  return nexthops.length > 1 ? flowHash6(hash) : 0;
}

function multicast(ns: Netns, dst: Ip6, out: Device | null): Path<Ip6> | null {
  const device =
    out ?? ns.devices().find((other) => other !== ns.lo && other.usable && other.inet6.enabled) ?? null;
  return device === null ? null : { type: 'unicast', device, nexthop: dst, src: ANY_IP6, route: null };
}
