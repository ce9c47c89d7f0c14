import type { CniConfig, FlannelBackend } from '../../nodes/config.ts';
import { formatPrefix, type Prefix, prefixesOverlap } from '../../protocols/ip4.ts';
import { formatPrefix6, type Prefix6 } from '../../protocols/ip6.ts';
import type { AddressedPort, Addressing } from './addressing.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Reporter } from './problem.ts';
import type { Broken } from './read.ts';
import type { ClusterSpec } from './schema.ts';

/** The `cluster` section with its defaults. */
export interface Cluster {
  readonly spec: ClusterSpec;
  readonly podCIDR: Prefix;
  /** Null where pods have IPv4 alone. */
  readonly podCIDR6: Prefix6 | null;
  /** Calico's block or flannel's subnet. */
  readonly nodeCidrLen: number;
  /** Nodes and reflectors. */
  readonly members: readonly ResolvedNode[];
  /** The interface whose address is the node's in the cluster. */
  readonly ports: ReadonlyMap<string, AddressedPort>;
  readonly asNumber: number;
  readonly mesh: 'full' | 'reflectors';
}

/** As in Calico's and flannel's own manifests. */
const CALICO_POOL: Prefix = { addr: 0xc0a80000, len: 16 };
const FLANNEL_NETWORK: Prefix = { addr: 0x0af40000, len: 16 };
const CALICO_AS = 64512;

const VXLAN_PORT = 8472;
const UDP_PORT = 8285;
const WIREGUARD_PORT = 51_820;

export function isClusterNode(node: ResolvedNode): boolean {
  return node.kind === 'node' || node.kind === 'reflector';
}

/** Settings that mean nothing to the other CNI. */
const CALICO_KEYS = ['calico', 'blockSize', 'blockSize6'] as const;
const FLANNEL_KEYS = ['flannel', 'backend', 'subnetLen'] as const;

export function resolveCluster(
  spec: ClusterSpec,
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  broken: Broken,
  reporter: Reporter,
): Cluster {
  const members = nodes.filter((node) => isClusterNode(node) && !broken.nodes.has(node.name));
  const reflectors = members.filter((node) => node.kind === 'reflector');
  const calico = spec.cni === 'calico';
  for (const key of calico ? FLANNEL_KEYS : CALICO_KEYS) {
    if (spec[key] === undefined) continue;
    const other = calico ? 'flannel' : 'calico';
    reporter.problem(
      ['cluster', key],
      `${key} is ${other}'s and the CNI is ${spec.cni}`,
      `remove it, or set cni: ${other}`,
      'key',
    );
  }
  if (!calico && reflectors.length > 0) {
    const first = reflectors[0]!;
    reporter.problem(
      first.origin('kind'),
      'flannel speaks no BGP and has no reflectors',
      'make it a node, or set cni: calico',
    );
  }
  const mesh = spec.calico?.mesh ?? (reflectors.length > 0 ? 'reflectors' : 'full');
  if (mesh === 'reflectors' && reflectors.length === 0 && broken.nodes.size === 0) {
    reporter.problem(
      ['cluster', 'calico', 'mesh'],
      'there is no node of kind reflector',
      'add one, or set mesh: full',
    );
  }
  const podCIDR = spec.podCIDR ?? (calico ? CALICO_POOL : FLANNEL_NETWORK);
  const nodeCidrLen = calico ? (spec.blockSize ?? 26) : (spec.subnetLen ?? 24);
  const least = calico ? podCIDR.len : podCIDR.len + 1;
  if (nodeCidrLen < least) {
    const key = calico ? 'blockSize' : 'subnetLen';
    const path = spec[key] === undefined ? ['cluster', 'podCIDR'] : ['cluster', key];
    const mend = `take at least ${least}, or a larger podCIDR`;
    reporter.problem(path, `a /${nodeCidrLen} for each node does not fit in ${formatPrefix(podCIDR)}`, mend);
  }
  for (const [wire, subnet] of addressing.subnets) {
    if (subnet.len === 0 || !prefixesOverlap(podCIDR, subnet)) continue;
    const path = spec.podCIDR === undefined ? ['cluster'] : ['cluster', 'podCIDR'];
    const message = `pods' ${formatPrefix(podCIDR)} overlaps ${formatPrefix(subnet)} of ${wire.name}`;
    reporter.problem(
      path,
      message,
      'set podCIDR to a range of its own',
      spec.podCIDR === undefined ? 'key' : 'value',
    );
  }
  const podCIDR6 = calico
    ? podCidr6(spec, reporter)
    : flannelCidr6(spec, nodeCidrLen - podCIDR.len, reporter);
  const ports = clusterPorts(spec, members, addressing, reporter);
  if (spec.cni === 'flannel' && spec.backend === 'host-gw') warnHostGw(members, ports, reporter);
  if (spec.cni === 'flannel' && spec.backend === 'ipsec') checkIpsec(spec, members, reporter);
  const asNumber = spec.calico?.asNumber ?? CALICO_AS;
  return { spec, podCIDR, podCIDR6, nodeCidrLen, members, ports, asNumber, mesh };
}

/** Calico's own default for blocks of an IPv6 pool. */
const BLOCK_SIZE6 = 122;

function podCidr6({ podCIDR6, blockSize6 }: ClusterSpec, reporter: Reporter): Prefix6 | null {
  if (podCIDR6 === undefined) {
    if (blockSize6 !== undefined)
      reporter.problem(['cluster', 'blockSize6'], 'pods have no IPv6 addresses', 'set podCIDR6', 'key');
    return null;
  }
  const size = blockSize6 ?? BLOCK_SIZE6;
  if (size < podCIDR6.len) {
    const message = `a /${size} for each node does not fit in ${formatPrefix6(podCIDR6)}`;
    reporter.problem(['cluster', 'podCIDR6'], message, 'take a shorter prefix: a /64');
  }
  return podCIDR6;
}

/** Prefixes of IPv6 that a node has, unless there is no room for as long ones (`IPv6SubnetLen`). */
const SUBNET_LEN6 = 64;
const SUBNET_LEN6_MAX = 126;

function subnetLen6(podCIDR6: Prefix6, bits: number): number {
  return Math.max(SUBNET_LEN6, podCIDR6.len + bits);
}

function flannelCidr6(
  { podCIDR6, backend = 'udp' }: ClusterSpec,
  bits: number,
  reporter: Reporter,
): Prefix6 | null {
  if (podCIDR6 === undefined) return null;
  if (backend !== 'host-gw' && backend !== 'wireguard')
    reporter.problem(
      ['cluster', 'podCIDR6'],
      `flannel's ${backend} carries no IPv6 here`,
      'set backend: host-gw or wireguard',
      'key',
    );
  if (subnetLen6(podCIDR6, bits) > SUBNET_LEN6_MAX)
    reporter.problem(
      ['cluster', 'podCIDR6'],
      `there is no IPv6 subnet for each of IPv4 in ${formatPrefix6(podCIDR6)}`,
      'take a shorter prefix: a /56',
    );
  return podCIDR6;
}

function clusterPorts(
  spec: ClusterSpec,
  members: readonly ResolvedNode[],
  addressing: Addressing,
  reporter: Reporter,
): Map<string, AddressedPort> {
  const ports = new Map<string, AddressedPort>();
  for (const node of members) {
    const own = addressing.ports.get(node.name) ?? [];
    const port = spec.interface === undefined ? own[0] : own.find(({ iface }) => iface === spec.interface);
    if (port !== undefined) ports.set(node.name, port);
    else if (spec.interface === undefined) {
      const message = `${node.name} is in the cluster and has no interface`;
      reporter.problem(node.origin(), message, 'put it on a segment or a link', 'key');
    } else {
      const known = own.map(({ iface }) => iface).join(', ');
      const message = `${node.name} has no interface ${spec.interface}`;
      reporter.problem(['cluster', 'interface'], message, known === '' ? '' : `it has ${known}`);
    }
  }
  return ports;
}

function warnHostGw(
  members: readonly ResolvedNode[],
  ports: ReadonlyMap<string, AddressedPort>,
  reporter: Reporter,
): void {
  const wires = new Set(members.map((node) => ports.get(node.name)?.wire));
  if (wires.size < 2) return;
  const message = 'host-gw reaches only nodes on the same segment, and the nodes are on several';
  reporter.warning(['cluster', 'backend'], message, 'use vxlan or udp');
}

/** Policies take what is routed already: without a route to the pods of others there is nothing to be sealed. */
function checkIpsec(spec: ClusterSpec, members: readonly ResolvedNode[], reporter: Reporter): void {
  if (spec.flannel?.psk === undefined) {
    const message = 'ipsec needs a key that all nodes share';
    reporter.problem(['cluster', 'backend'], message, 'set flannel.psk, of at least 96 characters');
  }
  const lost = members.find(
    ({ definition: { gateway, routes } }) => gateway === undefined && routes === undefined,
  );
  if (lost === undefined) return;
  const message = `ipsec makes no routes, and ${lost.name} has none to the pods of other nodes`;
  reporter.warning(['cluster', 'backend'], message, "set the nodes' gateway");
}

/** What a node of the cluster is told of its CNI plug-in. */
export function cniConfig(
  { spec, podCIDR, podCIDR6, nodeCidrLen, ports }: Cluster,
  node: ResolvedNode,
): CniConfig | null {
  const port = ports.get(node.name);
  if (port === undefined) return null;
  if (spec.cni === 'calico') {
    return {
      type: 'calico',
      pool: formatPrefix(podCIDR),
      blockSize: nodeCidrLen,
      mtu: port.mtu,
      ...(podCIDR6 === null
        ? {}
        : { ipv6: { pool: formatPrefix6(podCIDR6), blockSize: spec.blockSize6 ?? BLOCK_SIZE6 } }),
    };
  }
  const network = formatPrefix(podCIDR);
  return {
    type: 'flannel',
    network,
    subnetLen: nodeCidrLen,
    backend: flannelBackend(spec),
    iface: port.iface,
    ...(podCIDR6 === null
      ? {}
      : {
          ipv6: {
            network: formatPrefix6(podCIDR6),
            subnetLen: subnetLen6(podCIDR6, nodeCidrLen - podCIDR.len),
          },
        }),
  };
}

/** A net-conf without a Backend means udp to flanneld, though every manifest says vxlan. */
function flannelBackend({ backend = 'udp', flannel = {} }: ClusterSpec): FlannelBackend {
  switch (backend) {
    case 'udp':
      return { type: 'udp', port: flannel.port ?? UDP_PORT };
    case 'vxlan':
      return {
        type: 'vxlan',
        vni: flannel.vni ?? 1,
        port: flannel.port ?? VXLAN_PORT,
        directRouting: flannel.directRouting ?? false,
      };
    case 'host-gw':
      return { type: 'host-gw' };
    case 'ipip':
      return { type: 'ipip', directRouting: flannel.directRouting ?? false };
    case 'ipsec':
      return { type: 'ipsec', psk: flannel.psk ?? '' };
    case 'wireguard':
      return { type: 'wireguard', port: flannel.port ?? WIREGUARD_PORT };
  }
}
