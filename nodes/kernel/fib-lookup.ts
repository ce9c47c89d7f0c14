import { LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import { chooseNexthop, type Path, pathError } from './ip/path.ts';
import type { Netns } from './netns.ts';
import { DEFAULT_TABLE, LOCAL_TABLE, leads, type Route, type RouteTable } from './route-table.ts';
import type { FlowKey } from './rules.ts';

/** The way of a packet. Null: there is no route. */
export function fibLookup(ns: Netns, dst: number, hash: number, flow: FlowKey): Path | null {
  const path = routed(ns, dst, hash, flow);
  return path !== null && ns.redirects.size > 0 ? ns.redirects.way(dst, path) : path;
}

function routed(ns: Netns, dst: number, hash: number, flow: FlowKey): Path | null {
  const path = lookup(ns, dst, hash, flow);
  if (flow.oif === null || flow.iif !== null) return path;
  // A packet that is bound to a device has its destination there, whatever refuses it (`ip_route_output_key_hash_rcu`).
  if (path !== null && pathError(path) === null) return path;
  return { type: 'unicast', device: flow.oif, nexthop: dst, src: 0, route: null };
}

function lookup(ns: Netns, dst: number, hash: number, flow: FlowKey): Path | null {
  if (dst === LIMITED_BROADCAST) return limitedBroadcast(ns, flow);
  if (ns.rules.custom) return byRules(ns, dst, hash, flow);
  const local = inLocalTable(ns, dst, hash, flow);
  if (local !== null) return local;
  const main = inTable(ns, ns.routes, dst, hash, flow);
  if (main !== null) return main === 'throw' ? null : main;
  const last = ns.tables.get(DEFAULT_TABLE);
  const found = last === undefined ? null : inTable(ns, last, dst, hash, flow);
  return found === 'throw' ? null : found;
}

/** `fib_rules_lookup` with the actions of fib_rules.c (IPv4). */
function byRules(ns: Netns, dst: number, hash: number, flow: FlowKey): Path | null {
  const { rules } = ns.rules;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    if (!rule.matches(dst, flow)) continue;
    const { facts } = rule;
    switch (facts.action) {
      case 'lookup': {
        const found = inTableOf(ns, facts.table ?? 0, dst, hash, flow);
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
        return { type: facts.action, device: ns.lo, nexthop: 0, src: 0, route: null };
    }
  }
  return null;
}

/** `fib4_rule_suppress`: a route that is no longer than the rule has it does not count. */
function suppressed({ type, route }: Path, limit: number | undefined): boolean {
  if (limit === undefined || type === 'blackhole' || type === 'unreachable' || type === 'prohibit')
    return false;
  return (route?.len ?? 32) <= limit;
}

function inTableOf(
  ns: Netns,
  table: number,
  dst: number,
  hash: number,
  flow: FlowKey,
): Path | 'throw' | null {
  if (table === LOCAL_TABLE) return inLocalTable(ns, dst, hash, flow);
  const found = ns.tables.get(table);
  return found === undefined ? null : inTable(ns, found, dst, hash, flow);
}

/** The rows that follow from the addresses, then those that were put into the local table by hand. */
function inLocalTable(ns: Netns, dst: number, hash: number, flow: FlowKey): Path | null {
  // To who is bound to a device, an address of another one is not the host's own (`fib_table_lookup`).
  if (ns.isLocal(dst) && (flow.oif === null || ns.addresses.isOf(flow.oif, dst)))
    return { type: 'local', device: ns.lo, nexthop: dst, src: 0, route: null };
  if (ns.isBroadcast(dst)) {
    const device = ns.addresses.broadcastDevice(dst, flow.oif);
    if (device !== null) return { type: 'broadcast', device, nexthop: dst, src: 0, route: null };
  }
  const table = ns.tables.get(LOCAL_TABLE);
  const found = table === undefined || table.size === 0 ? null : inTable(ns, table, dst, hash, flow);
  return found === 'throw' ? null : found;
}

/** The row of the local table for an address that somebody has put in by hand; null: there is none. */
export function customLocalRoute(ns: Netns, dst: number): Route | null {
  return ns.tables.customLocal ? (ns.tables.get(LOCAL_TABLE)?.lookup(dst) ?? null) : null;
}

function inTable(
  ns: Netns,
  table: RouteTable,
  dst: number,
  hash: number,
  flow: FlowKey,
): Path | 'throw' | null {
  const { oif } = flow;
  const route =
    oif === null
      ? table.lookup(dst)
      : table.lookupWhere(
          dst,
          ({ nexthops }) => nexthops.length === 0 || nexthops.some((hop) => hop.device === oif),
        );
  return route === null ? null : pathOf(ns, route, dst, hash, flow);
}

function pathOf(ns: Netns, route: Route, dst: number, hash: number, { oif }: FlowKey): Path | 'throw' | null {
  const { type, src } = route;
  switch (type) {
    // Of the local table of IPv6 alone.
    case 'multicast':
      return null;
    case 'throw':
      return 'throw';
    case 'blackhole':
    case 'unreachable':
    case 'prohibit':
      return { type, device: ns.lo, nexthop: 0, src: 0, route };
    case 'local':
      return { type, device: ns.lo, nexthop: dst, src, route };
    case 'broadcast':
    case 'unicast': {
      const hop =
        oif === null
          ? chooseNexthop(route, hash)
          : (route.nexthops.find((candidate) => candidate.device === oif && leads(candidate)) ?? null);
      if (hop === null) return null;
      const { device, via, via6 } = hop;
      if (via6 !== null) return { type, device, nexthop: dst, via6, src, route };
      return { type, device, nexthop: via === 0 ? dst : via, src, route };
    }
  }
}

function limitedBroadcast(ns: Netns, { oif }: FlowKey): Path | null {
  const device =
    oif ?? ns.devices().find((candidate) => candidate.kind !== 'loopback' && candidate.usable) ?? null;
  return device === null
    ? null
    : { type: 'broadcast', device, nexthop: LIMITED_BROADCAST, src: 0, route: null };
}
