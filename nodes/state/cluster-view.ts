import { compareIp, parseIpPrefix } from '../../protocols/ip.ts';
import type { BlockFacts, LeaseFacts, SandboxFacts } from '../events/cluster.ts';

/** An address that this node has assigned to a container. */
interface AssignedFacts {
  readonly ip: string;
  /** Container id. */
  readonly handle: string;
}

/** This node's subnet lease and what flanneld wrote to subnet.env with it. */
export interface OwnLease {
  readonly lease: LeaseFacts;
  readonly mtu: number;
}

/** State of a node's cluster daemons. Lists are in canonical order: by namespace and pod, by address, by prefix. */
export interface ClusterView {
  readonly sandboxes: readonly SandboxFacts[];
  readonly ipam: IpamView;
  readonly flannel: FlannelView;
}

export interface IpamView {
  /** Calico: blocks with an affinity to this node. */
  readonly blocks: readonly BlockFacts[];
  readonly assigned: readonly AssignedFacts[];
  /** Address assigned last, whether or not it still is (host-local's `last_reserved_ip`); '' if none ever was. */
  readonly last: string;
}

export interface FlannelView {
  /** What subnet.env says: survives a reboot and the loss of the lease. */
  readonly own: OwnLease | null;
  /** The lease was lost, and flanneld has shut down. */
  readonly revoked: boolean;
  readonly peers: readonly LeaseFacts[];
}

/** What a reboot finds on the node's disk: checkpointed sandboxes, IPAM's files, subnet.env with the VTEP's MAC. */
export interface ClusterDisk {
  readonly sandboxes: readonly SandboxFacts[];
  readonly ipam: IpamView;
  readonly lease: OwnLease | null;
}

/** Canonical order of sandboxes: by `namespace/pod`, code unit by code unit. */
export function inPodOrder(sandboxes: Iterable<SandboxFacts>): SandboxFacts[] {
  const named = Array.from(sandboxes, (sandbox) => ({
    name: `${sandbox.namespace}/${sandbox.pod}`,
    sandbox,
  }));
  named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return named.map(({ sandbox }) => sandbox);
}

/** Canonical order of what has an address or a prefix: by number, IPv4 before IPv6. */
export function inPrefixOrder<T>(items: Iterable<T>, prefixOf: (item: T) => string): T[] {
  const keyed = Array.from(items, (item) => {
    const { addr, len } = parseIpPrefix(prefixOf(item)) ?? { addr: -1, len: 0 };
    return { addr, len, item };
  });
  keyed.sort((a, b) => compareIp(a.addr, b.addr) || a.len - b.len);
  return keyed.map(({ item }) => item);
}
