import type { IpsetFacts } from '../events/ipset.ts';
import type { IpvsConnectionFacts, IpvsServiceView, IpvsTimeoutFacts } from '../events/ipvs.ts';
import type {
  AddressFacts,
  BridgeVlanFacts,
  ConntrackFacts,
  CtTupleFacts,
  CutFacts,
  FdbFacts,
  LinkFacts,
  NeighborFacts,
  PathMtuFacts,
  QdiscFacts,
  RedirectFacts,
  RouteFacts,
  RuleFacts,
  SysctlFacts,
} from '../events/kernel.ts';
import type { XfrmPolicyFacts, XfrmStateFacts } from '../events/xfrm.ts';
import type { RecentFacts, XtablesChainFacts } from '../events/xtables.ts';
import type { WireguardState } from './wireguard-fold.ts';
import { policyKey, stateKey } from './xfrm-fold.ts';

/** The VLANs that a bridge or a port of one is in. */
export interface DeviceVlans {
  readonly dev: string;
  readonly vlans: readonly BridgeVlanFacts[];
}

/** A route of another table than main. */
export interface TableRouteFacts {
  readonly table: number;
  readonly route: RouteFacts;
}

/** The kernel's state by slice and namespace ('' is the root), each list in a fixed order. */
export interface KernelView {
  readonly links: Readonly<Record<string, readonly LinkFacts[]>>;
  readonly addresses: Readonly<Record<string, readonly AddressFacts[]>>;
  /** The main table of each namespace. */
  readonly routes: Readonly<Record<string, readonly RouteFacts[]>>;
  /** Rows of the other tables, but what follows from the addresses by itself. */
  readonly tables: Readonly<Record<string, readonly TableRouteFacts[]>>;
  /** In the order in which they are asked, of IPv4 and of IPv6. */
  readonly rules: Readonly<Record<string, readonly RuleFacts[]>>;
  readonly rules6: Readonly<Record<string, readonly RuleFacts[]>>;
  readonly neighbors: Readonly<Record<string, readonly NeighborFacts[]>>;
  /** VLANs of bridges and their ports, where they are others than those of all. */
  readonly bridgeVlans: Readonly<Record<string, readonly DeviceVlans[]>>;
  readonly fdb: Readonly<Record<string, readonly FdbFacts[]>>;
  /** What has been written since boot. */
  readonly sysctls: Readonly<Record<string, readonly SysctlFacts[]>>;
  readonly pathMtus: Readonly<Record<string, readonly PathMtuFacts[]>>;
  readonly redirects: Readonly<Record<string, readonly RedirectFacts[]>>;
  readonly qdiscs: Readonly<Record<string, readonly QdiscFacts[]>>;
  readonly cuts: Readonly<Record<string, readonly CutFacts[]>>;
  readonly conntrack: Readonly<Record<string, readonly ConntrackFacts[]>>;
  /** Chains of the tables of iptables that are in use. */
  readonly xtables: Readonly<Record<string, readonly XtablesChainFacts[]>>;
  /** Addresses on the lists of `-m recent`. */
  readonly recent: Readonly<Record<string, readonly RecentFacts[]>>;
  readonly ipsets: Readonly<Record<string, readonly IpsetFacts[]>>;
  /** Security associations and policies of IPsec. */
  readonly xfrmStates: Readonly<Record<string, readonly XfrmStateFacts[]>>;
  readonly xfrmPolicies: Readonly<Record<string, readonly XfrmPolicyFacts[]>>;
  /** WireGuard devices, their peers in the order in which they were added. */
  readonly wireguard: Readonly<Record<string, readonly WireguardState[]>>;
  readonly ipvs: Readonly<Record<string, readonly IpvsServiceView[]>>;
  readonly ipvsConnections: Readonly<Record<string, readonly IpvsConnectionFacts[]>>;
  /** One where they are not those of boot. */
  readonly ipvsTimeouts: Readonly<Record<string, readonly IpvsTimeoutFacts[]>>;
}

/** Order of a view's lists. Links go by index, the others by their text. */
export const viewOrder = {
  link: (link: LinkFacts) => String(link.ifindex).padStart(8, '0'),
  address: (address: AddressFacts) => `${address.dev} ${address.address}`,
  route: (route: RouteFacts) =>
    `${route.dst} ${String(route.metric).padStart(10, '0')} ${route.nexthops[0]?.dev ?? ''}`,
  table: ({ table, route }: TableRouteFacts) =>
    `${String(table).padStart(10, '0')} ${route.dst} ${String(route.metric).padStart(10, '0')} ${route.nexthops[0]?.dev ?? ''}`,
  neighbor: (neighbor: NeighborFacts) => `${neighbor.dev} ${neighbor.ip}`,
  bridgeVlans: ({ dev }: DeviceVlans) => dev,
  fdb: (row: FdbFacts) => `${row.dev} ${row.mac} ${row.dst} ${row.vlan ?? 0}`,
  sysctl: (sysctl: SysctlFacts) => `${sysctl.dev} ${sysctl.name}`,
  pathMtu: (pmtu: PathMtuFacts) => pmtu.dst,
  redirect: (redirect: RedirectFacts) => redirect.dst,
  qdisc: (qdisc: QdiscFacts) => qdisc.dev,
  cut: (cut: CutFacts) => cut.dev,
  conntrack: ({ original }: ConntrackFacts) => tupleKey(original),
  xtables: ({ family, table, chain }: XtablesChainFacts) => `${family ?? 'inet'} ${table} ${chain}`,
  recent: ({ list, address }: RecentFacts) => `${list} ${address}`,
  ipset: ({ name }: IpsetFacts) => name,
  wireguard: ({ dev }: WireguardState) => dev,
  ipvs: ({ service }: IpvsServiceView) => service,
  ipvsConnection: (connection: Pick<IpvsConnectionFacts, 'protocol' | 'client' | 'virtual' | 'template'>) =>
    `${connection.protocol} ${connection.client} ${connection.virtual}${connection.template ? ' template' : ''}`,
  ipvsTimeouts: (_: IpvsTimeoutFacts) => '',
  xfrmState: (state: XfrmStateFacts) => stateKey(state),
  xfrmPolicy: (policy: XfrmPolicyFacts) => policyKey(policy),
} as const;

/** What names a flow in its namespace. */
export function tupleKey({ src, dst, proto, srcPort, dstPort }: CtTupleFacts): string {
  return `${proto} ${src} ${srcPort} ${dst} ${dstPort}`;
}
