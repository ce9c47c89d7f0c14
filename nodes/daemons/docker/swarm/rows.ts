import { parseIp4, parsePrefix } from '../../../../protocols/ip4.ts';
import { parseMac } from '../../../../protocols/mac.ts';
import type { DockerNetworkFacts, DockerPeerFacts } from '../../../events/docker.ts';
import type { StoreValue } from '../../../store.ts';

/**
 * What the nodes of a swarm know together, in the lab's store, which is their Raft log and their gossip:
 *
 *     docker.cluster                    ClusterRow: there is one swarm in a lab
 *     docker.node.<node>                NodeRow
 *     docker.allocator                  AllocatorRow: subnets and VNIs given out
 *     docker.network.<id>               {network: DockerNetworkFacts}: an overlay network
 *     docker.addresses.<network id>     AddressesRow: addresses given out in it
 *     docker.peer.<network id>.<endpoint id>   {peer: DockerPeerFacts}: an endpoint and the VTEP that it is behind
 */
export const swarmKeys = {
  all: 'docker.>',
  cluster: 'docker.cluster',
  node: (node: string) => `docker.node.${node}`,
  allocator: 'docker.allocator',
  network: (id: string) => `docker.network.${id}`,
  addresses: (networkId: string) => `docker.addresses.${networkId}`,
  peer: (networkId: string, endpointId: string) => `docker.peer.${networkId}.${endpointId}`,
} as const;

export interface ClusterRow extends StoreValue {
  readonly id: string;
  readonly workerToken: string;
  readonly managerToken: string;
}

export interface NodeRow extends StoreValue {
  /** 25 characters, as swarmkit's. */
  readonly id: string;
  readonly hostname: string;
  /** Where it takes VXLAN. */
  readonly address: string;
  readonly role: 'manager' | 'worker';
}

export interface AllocatorRow extends StoreValue {
  readonly lastSubnet: string;
  readonly subnets: readonly string[];
  readonly lastVni: number;
}

export interface AddressesRow extends StoreValue {
  readonly last: number;
  /** Addresses as numbers. */
  readonly taken: readonly number[];
}

export function parseCluster(value: StoreValue): ClusterRow | null {
  const { id, workerToken, managerToken } = value;
  if (typeof id !== 'string' || typeof workerToken !== 'string' || typeof managerToken !== 'string')
    return null;
  return { id, workerToken, managerToken };
}

export function parseNode(value: StoreValue): NodeRow | null {
  const { id, hostname, address, role } = value;
  if (typeof id !== 'string' || typeof hostname !== 'string' || typeof address !== 'string') return null;
  if (parseIp4(address) === null || (role !== 'manager' && role !== 'worker')) return null;
  return { id, hostname, address, role };
}

export function parseAllocator(value: StoreValue): AllocatorRow | null {
  const { lastSubnet, subnets, lastVni } = value;
  if (typeof lastSubnet !== 'string' || typeof lastVni !== 'number' || !Array.isArray(subnets)) return null;
  const texts = subnets.filter(
    (text): text is string => typeof text === 'string' && parsePrefix(text) !== null,
  );
  return { lastSubnet, subnets: texts, lastVni };
}

export function parseAddresses(value: StoreValue): AddressesRow | null {
  const { last, taken } = value;
  if (typeof last !== 'number' || !Array.isArray(taken)) return null;
  return { last, taken: taken.filter((addr): addr is number => Number.isInteger(addr)) };
}

/** Rows are written by dockerds alone: what is checked is what a bad row could break. */
export function parseNetwork(value: StoreValue): DockerNetworkFacts | null {
  const network = value.network as DockerNetworkFacts | null;
  if (typeof network !== 'object' || network === null || typeof network.id !== 'string') return null;
  if (typeof network.name !== 'string' || network.driver !== 'overlay' || !Array.isArray(network.ipam))
    return null;
  const subnets = network.ipam.every(
    ({ subnet }) => typeof subnet === 'string' && parsePrefix(subnet) !== null,
  );
  return subnets && typeof network.options === 'object' && network.options !== null ? network : null;
}

export function parsePeer(value: StoreValue): DockerPeerFacts | null {
  const peer = value.peer as DockerPeerFacts | null;
  if (typeof peer !== 'object' || peer === null || !Array.isArray(peer.names)) return null;
  const { networkId, endpointId, address, mac, vtep, node } = peer;
  if (typeof networkId !== 'string' || typeof endpointId !== 'string' || typeof node !== 'string')
    return null;
  const whole = [address, mac, vtep].every((text) => typeof text === 'string');
  if (!whole || parseIp4(address) === null || parseMac(mac) === null || parseIp4(vtep) === null) return null;
  return peer;
}
