import { formatPrefix, parseIp4, parsePrefix } from '../../../../../protocols/ip4.ts';
import { dockerMac, parseMac } from '../../../../../protocols/mac.ts';
import type { DockerNetworkFacts, DockerPeerFacts } from '../../../../events/docker.ts';
import type { Kernel } from '../../../../kernel/kernel.ts';
import type { Netns } from '../../../../kernel/netns.ts';
import type { Runtime } from '../../../../runtime.ts';
import { randomHex, randomMac } from '../../../random-names.ts';
import { DockerError } from '../../error.ts';
import type { EndpointPlan, JoinInfo, NetworkDriver } from '../driver.ts';

export const VXLAN_IDS = 'com.docker.network.driver.overlay.vxlanid_list';
const MTU_OPTION = 'com.docker.network.driver.mtu';
/** RFC 7348's own port (`docker swarm init --data-path-port`). */
const VXLAN_PORT = 4789;
const OVERHEAD = 50;
const BRIDGE = 'br0';
const VXLAN = 'vxlan0';

/** What an overlay network has on this host: a namespace with a bridge, a VXLAN device and a veth pair for each container. */
interface Segment {
  readonly ns: Netns;
  readonly endpoints: Map<string, { readonly host: string; readonly role: EndpointPlan['role'] }>;
  /** veth pairs are numbered on. */
  next: number;
}

/** A network is there on this host; has its first container; its last has gone; it is no more. */
export type SegmentChange = 'opened' | 'used' | 'idle' | 'closed';

export interface OverlayOptions {
  /** Address that VXLAN goes out from, null while the node is in no swarm. */
  readonly vtep: () => string | null;
  readonly onSegment: (network: DockerNetworkFacts, change: SegmentChange) => void;
}

/** The overlay driver: a network over VXLAN among the hosts of a swarm, whose ARP and FDB rows are set, never learned. */
export class OverlayDriver implements NetworkDriver {
  readonly #rt: Runtime;
  readonly #kernel: Kernel;
  readonly #options: OverlayOptions;
  readonly #segments = new Map<string, Segment>();

  constructor(rt: Runtime, kernel: Kernel, options: OverlayOptions) {
    this.#rt = rt;
    this.#kernel = kernel;
    this.#options = options;
  }

  validate(network: DockerNetworkFacts): void {
    if (network.options.encrypted !== undefined)
      throw new DockerError('overlay networks are not encrypted here so far: leave out -o encrypted');
    if (network.ingress) throw new DockerError('the ingress network comes with the swarm');
  }

  /** Nothing is made before there is a container (`initSandbox`). */
  createNetwork(): void {}

  deleteNetwork(network: DockerNetworkFacts): void {
    const segment = this.#segments.get(network.id);
    if (segment !== undefined) this.#close(network, segment);
  }

  join(plan: EndpointPlan): JoinInfo {
    const { network, ns, ifname, address, endpointId } = plan;
    if (address === null) throw new DockerError('invalid interface address: none given');
    const segment = this.#segments.get(network.id) ?? this.#open(network);
    const mac = plan.mac === 0 ? dockerMac(address.addr) : plan.mac;
    const host = `veth${segment.next++}`;
    const mtu = this.#mtu(network);
    segment.ns.addVeth({ name: host, mac: randomMac(this.#rt.random), mtu, peer: { ns, name: ifname, mac } });
    segment.ns.setMaster(host, BRIDGE);
    segment.ns.setUp(host);
    ns.addAddress(ifname, formatPrefix(address));
    ns.setUp(ifname);
    const first = plan.role === 'container' && !hasContainers(segment);
    segment.endpoints.set(endpointId, { host, role: plan.role });
    if (first) this.#options.onSegment(network, 'used');
    return { mac, gateway: { type: 'none' } };
  }

  leave({ network, endpointId }: EndpointPlan): void {
    const segment = this.#segments.get(network.id);
    const endpoint = segment?.endpoints.get(endpointId);
    if (segment === undefined || endpoint === undefined) return;
    segment.endpoints.delete(endpointId);
    segment.ns.removeDevice(endpoint.host);
    if (endpoint.role === 'container' && !hasContainers(segment)) this.#options.onSegment(network, 'idle');
    if (segment.endpoints.size === 0 && this.#segments.get(network.id) === segment)
      this.#close(network, segment);
  }

  /** Whether the network is there on this host. */
  isOpen(networkId: string): boolean {
    return this.#segments.has(networkId);
  }

  /** Sets the rows for an address behind another host (`peerAdd`). */
  addPeer({ networkId, address, mac, vtep }: DockerPeerFacts): void {
    const ns = this.#segments.get(networkId)?.ns;
    if (ns === undefined) return;
    ns.setNeighbor(VXLAN, parseIp4(address)!, parseMac(mac)!);
    ns.addVxlanFdb(VXLAN, parseMac(mac)!, parseIp4(vtep)!, 'permanent');
  }

  deletePeer({ networkId, address, mac, vtep }: DockerPeerFacts): void {
    const ns = this.#segments.get(networkId)?.ns;
    if (ns === undefined) return;
    ns.deleteVxlanFdb(VXLAN, parseMac(mac)!, parseIp4(vtep)!);
    ns.deleteNeighbor(VXLAN, parseIp4(address)!);
  }

  #open(network: DockerNetworkFacts): Segment {
    const vtep = this.#options.vtep();
    const vni = Number(network.options[VXLAN_IDS]?.split(',')[0]);
    if (vtep === null || !Number.isInteger(vni))
      throw new DockerError(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
      );
    const { root } = this.#kernel;
    const mtu = this.#mtu(network);
    const ns = this.#kernel.addNetns(`1-${network.id.slice(0, 10)}`);
    ns.addBridge({ name: BRIDGE, mac: randomMac(this.#rt.random), mtu });
    for (const { subnet, gateway } of network.ipam)
      ns.addAddress(BRIDGE, `${gateway}/${parsePrefix(subnet)?.len ?? 24}`);
    ns.setUp(BRIDGE);
    // Made where the underlay is, and moved: its datagrams go by the host's routes wherever it is.
    const made = `vx-${vni.toString(16).padStart(6, '0')}-${randomHex(this.#rt.random, 5)}`;
    const local = parseIp4(vtep)!;
    const vxlan = { vni, local, dstPort: VXLAN_PORT, checksum: 'zero' } as const;
    const options = { ...vxlan, learning: 'off', proxy: 'on' } as const;
    root.addVxlan({ name: made, mac: randomMac(this.#rt.random), mtu, ...options });
    root.links.move(made, ns, VXLAN);
    ns.setMaster(VXLAN, BRIDGE);
    ns.setUp(VXLAN);
    const segment: Segment = { ns, endpoints: new Map(), next: 0 };
    this.#segments.set(network.id, segment);
    this.#options.onSegment(network, 'opened');
    return segment;
  }

  #close(network: DockerNetworkFacts, segment: Segment): void {
    this.#segments.delete(network.id);
    this.#options.onSegment(network, 'closed');
    this.#kernel.removeNetns(segment.ns.name);
  }

  #mtu({ options }: DockerNetworkFacts): number {
    const vtep = parseIp4(this.#options.vtep() ?? '') ?? 0;
    const below = this.#kernel.root
      .devices()
      .find(({ addresses }) => addresses.some(({ addr }) => addr === vtep));
    return Number(options[MTU_OPTION] ?? (below?.mtu ?? 1500) - OVERHEAD);
  }
}

function hasContainers({ endpoints }: Segment): boolean {
  return [...endpoints.values()].some(({ role }) => role === 'container');
}
