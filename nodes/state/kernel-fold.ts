import type {
  AddressFacts,
  ConntrackFacts,
  CutFacts,
  FdbFacts,
  KernelEvent,
  LinkFacts,
  NeighborFacts,
  PathMtuFacts,
  QdiscFacts,
  RedirectFacts,
  RuleFacts,
  SysctlFacts,
} from '../events/kernel.ts';
import type { NodeEvent } from '../events/node.ts';
import { IpsetSlice } from './ipset-fold.ts';
import { IpvsSlice } from './ipvs-fold.ts';
import {
  type DeviceVlans,
  type KernelView,
  type TableRouteFacts,
  tupleKey,
  viewOrder,
} from './kernel-view.ts';
import { RouteSlice } from './route-fold.ts';
import { WireguardSlice } from './wireguard-fold.ts';
import { XfrmSlice } from './xfrm-fold.ts';
import { XtablesSlice } from './xtables-fold.ts';

interface Slices {
  readonly links: Map<string, LinkFacts>;
  readonly addresses: Map<string, AddressFacts>;
  readonly routes: RouteSlice;
  /** Other tables than main, by number. */
  readonly tables: Map<number, RouteSlice>;
  /** In the order in which they are asked. */
  readonly rules: RuleFacts[];
  readonly rules6: RuleFacts[];
  readonly neighbors: Map<string, NeighborFacts>;
  readonly fdb: Map<string, FdbFacts>;
  readonly bridgeVlans: Map<string, DeviceVlans>;
  readonly sysctls: Map<string, SysctlFacts>;
  readonly pathMtus: Map<string, PathMtuFacts>;
  readonly redirects: Map<string, RedirectFacts>;
  readonly qdiscs: Map<string, QdiscFacts>;
  readonly cuts: Map<string, CutFacts>;
  readonly conntrack: Map<string, ConntrackFacts>;
  readonly xtables: XtablesSlice;
  readonly ipsets: IpsetSlice;
  readonly wireguard: WireguardSlice;
  readonly ipvs: IpvsSlice;
  readonly xfrm: XfrmSlice;
}

/** Folds kernel events. Shares nothing with the kernel but the facts' types, so that equality with it means something. */
export class KernelFold {
  readonly #namespaces = new Map<string, Slices>();

  apply(event: KernelEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    if (event.type === 'node.booted') {
      this.#namespaces.clear();
      return;
    }
    if (event.type === 'netns.removed') {
      this.#namespaces.delete(event.ns);
      return;
    }
    const slices = this.#slices(event.ns);
    switch (event.type) {
      case 'netns.added':
      case 'packet.step':
        return;
      case 'ipset.created':
      case 'ipset.destroyed':
      case 'ipset.renamed':
      case 'ipset.swapped':
      case 'ipset.added':
      case 'ipset.removed':
        slices.ipsets.apply(event);
        return;
      case 'wireguard.set':
      case 'wireguard.peer.set':
      case 'wireguard.peer.removed':
      case 'wireguard.session':
        slices.wireguard.apply(event);
        return;
      case 'ipvs.service.set':
      case 'ipvs.service.removed':
      case 'ipvs.destination.set':
      case 'ipvs.destination.removed':
      case 'ipvs.connection.set':
      case 'ipvs.connection.removed':
      case 'ipvs.timeouts.set':
        slices.ipvs.apply(event);
        return;
      case 'xfrm.state.set':
      case 'xfrm.state.removed':
      case 'xfrm.state.expired':
      case 'xfrm.policy.set':
      case 'xfrm.policy.removed':
        slices.xfrm.apply(event);
        return;
      case 'xtables.changed':
      case 'recent.added':
      case 'recent.removed':
      case 'packet.logged':
      case 'packet.nflog':
      case 'packet.trace':
        slices.xtables.apply(event);
        return;
      case 'link.set':
        slices.links.set(event.link.name, event.link);
        return;
      case 'link.removed':
        slices.links.delete(event.name);
        slices.qdiscs.delete(event.name);
        slices.cuts.delete(event.name);
        slices.wireguard.remove(event.name);
        for (const [key, { dev }] of slices.sysctls) if (dev === event.name) slices.sysctls.delete(key);
        return;
      case 'addr.added': {
        const { type: _type, ns: _ns, ...facts } = event;
        slices.addresses.set(`${facts.dev} ${facts.address}`, facts);
        return;
      }
      case 'addr.removed':
        slices.addresses.delete(`${event.dev} ${event.address}`);
        return;
      case 'route.changed':
        if (event.table !== MAIN) {
          const table = slices.tables.get(event.table) ?? new RouteSlice();
          slices.tables.set(event.table, table);
          table.apply(event.changes);
        } else slices.routes.apply(event.changes);
        return;
      case 'rule.added': {
        const rules = event.family === 'inet6' ? slices.rules6 : slices.rules;
        const at = rules.findIndex((rule) => rule.priority > event.rule.priority);
        rules.splice(at < 0 ? rules.length : at, 0, event.rule);
        return;
      }
      case 'rule.removed': {
        const rules = event.family === 'inet6' ? slices.rules6 : slices.rules;
        const text = JSON.stringify(event.rule);
        const at = rules.findIndex((rule) => JSON.stringify(rule) === text);
        if (at >= 0) rules.splice(at, 1);
        return;
      }
      case 'neighbor.set':
        slices.neighbors.set(`${event.neighbor.dev} ${event.neighbor.ip}`, event.neighbor);
        return;
      case 'neighbor.removed':
        slices.neighbors.delete(`${event.dev} ${event.ip}`);
        return;
      case 'fdb.set':
        slices.fdb.set(
          `${event.fdb.dev} ${event.fdb.mac} ${event.fdb.dst} ${event.fdb.vlan ?? 0}`,
          event.fdb,
        );
        return;
      case 'fdb.removed':
        slices.fdb.delete(`${event.dev} ${event.mac} ${event.dst} ${event.vlan ?? 0}`);
        return;
      case 'bridge-vlan.set':
        slices.bridgeVlans.set(event.dev, { dev: event.dev, vlans: event.vlans });
        return;
      case 'bridge-vlan.reset':
        slices.bridgeVlans.delete(event.dev);
        return;
      case 'sysctl.set':
        setSysctl(slices.sysctls, event.sysctl);
        return;
      case 'redirect.set':
        slices.redirects.set(event.redirect.dst, event.redirect);
        return;
      case 'redirect.removed':
        slices.redirects.delete(event.dst);
        return;
      case 'pmtu.set':
        slices.pathMtus.set(event.pmtu.dst, event.pmtu);
        return;
      case 'pmtu.removed':
        slices.pathMtus.delete(event.dst);
        return;
      case 'qdisc.set':
        slices.qdiscs.set(event.qdisc.dev, event.qdisc);
        return;
      case 'qdisc.removed':
        slices.qdiscs.delete(event.dev);
        return;
      case 'link.cut':
        if (event.cut === 'none') slices.cuts.delete(event.dev);
        else slices.cuts.set(event.dev, { dev: event.dev, cut: event.cut });
        return;
      case 'conntrack.new':
      case 'conntrack.updated':
        slices.conntrack.set(tupleKey(event.flow.original), event.flow);
        return;
      case 'conntrack.destroyed':
        slices.conntrack.delete(tupleKey(event.original));
    }
  }

  view(): KernelView {
    return {
      links: this.#slice((slices) => slices.links, viewOrder.link),
      addresses: this.#slice((slices) => slices.addresses, viewOrder.address),
      routes: this.#rows((slices) => slices.routes.list(), viewOrder.route),
      tables: this.#rows((slices) => tableRows(slices.tables), viewOrder.table),
      rules: Object.fromEntries([...this.#namespaces].map(([ns, { rules }]) => [ns, [...rules]])),
      rules6: Object.fromEntries([...this.#namespaces].map(([ns, { rules6 }]) => [ns, [...rules6]])),
      neighbors: this.#slice((slices) => slices.neighbors, viewOrder.neighbor),
      bridgeVlans: this.#slice((slices) => slices.bridgeVlans, viewOrder.bridgeVlans),
      fdb: this.#slice((slices) => slices.fdb, viewOrder.fdb),
      sysctls: this.#slice((slices) => slices.sysctls, viewOrder.sysctl),
      pathMtus: this.#slice((slices) => slices.pathMtus, viewOrder.pathMtu),
      redirects: this.#slice((slices) => slices.redirects, viewOrder.redirect),
      qdiscs: this.#slice((slices) => slices.qdiscs, viewOrder.qdisc),
      cuts: this.#slice((slices) => slices.cuts, viewOrder.cut),
      conntrack: this.#slice((slices) => slices.conntrack, viewOrder.conntrack),
      xtables: this.#slice((slices) => keyed(slices.xtables.chains(), viewOrder.xtables), viewOrder.xtables),
      recent: this.#slice((slices) => keyed(slices.xtables.recent(), viewOrder.recent), viewOrder.recent),
      ipsets: this.#slice((slices) => keyed(slices.ipsets.list(), viewOrder.ipset), viewOrder.ipset),
      xfrmStates: this.#slice((slices) => slices.xfrm.states, viewOrder.xfrmState),
      xfrmPolicies: this.#slice((slices) => slices.xfrm.policies, viewOrder.xfrmPolicy),
      wireguard: this.#slice(
        (slices) => keyed(slices.wireguard.list(), viewOrder.wireguard),
        viewOrder.wireguard,
      ),
      ipvs: this.#slice((slices) => keyed(slices.ipvs.services(), viewOrder.ipvs), viewOrder.ipvs),
      ipvsConnections: this.#slice((slices) => slices.ipvs.connections, viewOrder.ipvsConnection),
      ipvsTimeouts: this.#slice(
        (slices) => keyed(slices.ipvs.timeouts(), viewOrder.ipvsTimeouts),
        viewOrder.ipvsTimeouts,
      ),
    };
  }

  #slice<T>(pick: (slices: Slices) => Map<string, T>, order: (item: T) => string): Record<string, T[]> {
    return this.#rows((slices) => [...pick(slices).values()], order);
  }

  #rows<T>(list: (slices: Slices) => T[], order: (item: T) => string): Record<string, T[]> {
    const view: Record<string, T[]> = {};
    for (const [name, slices] of this.#namespaces) view[name] = sortBy(list(slices), order);
    return view;
  }

  #slices(ns: string): Slices {
    let slices = this.#namespaces.get(ns);
    if (slices === undefined) {
      slices = {
        links: new Map(),
        addresses: new Map(),
        routes: new RouteSlice(),
        tables: new Map(),
        rules: [...FIRST_RULES],
        rules6: [...FIRST_RULES6],
        neighbors: new Map(),
        fdb: new Map(),
        bridgeVlans: new Map(),
        sysctls: new Map(),
        pathMtus: new Map(),
        redirects: new Map(),
        qdiscs: new Map(),
        cuts: new Map(),
        conntrack: new Map(),
        xtables: new XtablesSlice(),
        ipsets: new IpsetSlice(),
        wireguard: new WireguardSlice(),
        ipvs: new IpvsSlice(),
        xfrm: new XfrmSlice(),
      };
      this.#namespaces.set(ns, slices);
    }
    return slices;
  }
}

const MAIN = 254;

/** The rules that a namespace begins with: the tables local, main and default. */
const FIRST_RULES: readonly RuleFacts[] = [
  { priority: 0, action: 'lookup', table: 255, protocol: 2 },
  { priority: 32_766, action: 'lookup', table: MAIN, protocol: 2 },
  { priority: 32_767, action: 'lookup', table: 253, protocol: 2 },
];

const FIRST_RULES6 = FIRST_RULES.slice(0, 2);

function tableRows(tables: ReadonlyMap<number, RouteSlice>): TableRouteFacts[] {
  return [...tables].flatMap(([table, rows]) => rows.list().map((route) => ({ table, route })));
}

/** Roots below `net` that a name begins with, but in logs from before there were others than ipv4. */
const SYSCTL_ROOT = /^(ipv4|ipv6|core|netfilter|bridge|unix|ipvs|mptcp)\./;

function setSysctl(sysctls: Map<string, SysctlFacts>, facts: SysctlFacts): void {
  let { dev, name } = facts;
  if (!SYSCTL_ROOT.test(name)) {
    const ofAll = name.startsWith('conf.all.') ? name.slice('conf.all.'.length) : null;
    if (ofAll !== null) dev = 'all';
    name = dev === '' ? `ipv4.${name}` : `ipv4.conf.*.${ofAll ?? name}`;
  }
  sysctls.set(`${dev} ${name}`, { ...facts, dev, name });
}

function sortBy<T>(items: T[], order: (item: T) => string): T[] {
  return items.sort((a, b) => {
    const x = order(a);
    const y = order(b);
    return x < y ? -1 : x > y ? 1 : 0;
  });
}

function keyed<T>(items: readonly T[], key: (item: T) => string): Map<string, T> {
  return new Map(items.map((item) => [key(item), item]));
}
