import { type KernelView, viewOrder } from '../state/kernel-view.ts';
import { BridgeDevice } from './bridge.ts';
import type { Kernel } from './kernel.ts';
import { flowFacts } from './netfilter/flow-facts.ts';
import type { Netns } from './netns.ts';
import { WireguardDevice } from './tunnels/wireguard.ts';

/** The live kernel's state, in the shape that the fold of its events has. */
export function snapshotKernel(kernel: Kernel): KernelView {
  const collect = <T>(list: (ns: Netns) => T[], order: (item: T) => string): Record<string, T[]> =>
    Object.fromEntries(
      kernel.namespaces().map((ns) => {
        const keyed = list(ns).map((item) => ({ key: order(item), item }));
        keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
        return [ns.name, keyed.map(({ item }) => item)];
      }),
    );
  return {
    links: collect((ns) => ns.devices().map((device) => device.facts()), viewOrder.link),
    addresses: collect((ns) => [...ns.addresses.list(), ...ns.ipv6.addresses.list()], viewOrder.address),
    routes: collect((ns) => [...ns.routes.list(), ...ns.ipv6.routes.list()], viewOrder.route),
    tables: collect((ns) => [...ns.tables.others(), ...ns.ipv6.tables.others()], viewOrder.table),
    rules: Object.fromEntries(kernel.namespaces().map((ns) => [ns.name, ns.rules.list()])),
    rules6: Object.fromEntries(kernel.namespaces().map((ns) => [ns.name, ns.ipv6.rules.list()])),
    neighbors: collect((ns) => [...ns.neighbors(), ...ns.neighbors6()], viewOrder.neighbor),
    bridgeVlans: collect(
      (ns) => ns.devices().flatMap((device) => (device instanceof BridgeDevice ? device.vlanRows() : [])),
      viewOrder.bridgeVlans,
    ),
    fdb: collect((ns) => ns.fdb(), viewOrder.fdb),
    sysctls: collect((ns) => ns.sysctls.list(), viewOrder.sysctl),
    pathMtus: collect((ns) => [...ns.pathMtus.list(), ...ns.ipv6.pathMtus.list()], viewOrder.pathMtu),
    redirects: collect((ns) => [...ns.redirects.list(), ...ns.ipv6.redirects.list()], viewOrder.redirect),
    qdiscs: collect((ns) => ns.impairments.qdiscs(), viewOrder.qdisc),
    cuts: collect((ns) => ns.impairments.cuts(), viewOrder.cut),
    conntrack: collect((ns) => ns.conntrack.flows().map(flowFacts), viewOrder.conntrack),
    xtables: collect((ns) => [...ns.xtables.list(), ...ns.ipv6.xtables.list()], viewOrder.xtables),
    recent: collect((ns) => ns.recent.list(), viewOrder.recent),
    ipsets: collect((ns) => ns.ipsets.list(), viewOrder.ipset),
    xfrmStates: collect((ns) => ns.xfrm.sad.facts(), viewOrder.xfrmState),
    xfrmPolicies: collect((ns) => ns.xfrm.spd.facts(), viewOrder.xfrmPolicy),
    wireguard: collect(
      (ns) => ns.devices().flatMap((device) => (device instanceof WireguardDevice ? device.state() : [])),
      viewOrder.wireguard,
    ),
    ipvs: collect((ns) => ns.ipvs.list(), viewOrder.ipvs),
    ipvsConnections: collect((ns) => ns.ipvs.connectionList(), viewOrder.ipvsConnection),
    ipvsTimeouts: collect((ns) => ns.ipvs.changedTimeouts(), viewOrder.ipvsTimeouts),
  };
}
