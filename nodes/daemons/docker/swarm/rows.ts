import { parseIp4, parsePrefix } from '../../../../protocols/ip4.ts';
import { parseMac } from '../../../../protocols/mac.ts';
import type { DockerNetworkFacts, DockerPeerFacts } from '../../../events/docker.ts';
import type { StoreValue } from '../../../store.ts';

/**
 * What the nodes of a swarm know together, in the lab's store, which is their Raft log and their gossip:
 *
 *     docker.cluster                    ClusterRow: there is one swarm in a lab
 *     docker.node.<node>                NodeRow
 *     docker.nodestatus.<node>          NodeStatusRow: written by the leader
 *     docker.leader                     LeaderRow: who leads the managers, in place of a Raft term
 *     docker.allocator                  AllocatorRow: subnets and VNIs given out
 *     docker.network.<id>               {network: DockerNetworkFacts}: an overlay network
 *     docker.addresses.<network id>     AddressesRow: addresses given out in it
 *     docker.service.<id>, docker.task.<id>, docker.status.<task id>   see service-rows.ts
 *     docker.peer.<network id>.<endpoint id>   PeerRow: an endpoint and the VTEP that it is behind
 */
export const swarmKeys = {
  all: 'docker.>',
  cluster: 'docker.cluster',
  node: (node: string) => `docker.node.${node}`,
  nodeStatus: (node: string) => `docker.nodestatus.${node}`,
  leader: 'docker.leader',
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

/** `lost`: its node is down, and nobody is to send anything there. */
export interface PeerRow extends StoreValue {
  readonly peer: DockerPeerFacts;
  readonly lost: boolean;
}

export interface NodeRow extends StoreValue {
  /** 25 characters, as swarmkit's. */
  readonly id: string;
  readonly hostname: string;
  /** Where it takes VXLAN. */
  readonly address: string;
  readonly role: 'manager' | 'worker';
  /** 'drain': its tasks are moved away; 'pause': it gets no new ones. */
  readonly availability: 'active' | 'pause' | 'drain';
  readonly labels: Readonly<Record<string, string>>;
}

export interface NodeStatusRow extends StoreValue {
  /** Of the node that it is said of: one that joins anew is another. */
  readonly id: string;
  readonly state: 'ready' | 'down';
  /** ms */
  readonly at: number;
  readonly message: string;
}

export interface LeaderRow extends StoreValue {
  readonly node: string;
  readonly term: number;
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
  /** Who has taken each: `<node>.<boot>`, `<node>.<boot>.vip`; none for a gateway. */
  readonly holders: Readonly<Record<string, string>>;
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
  const { availability = 'active', labels = {} } = value;
  if (availability !== 'active' && availability !== 'pause' && availability !== 'drain') return null;
  if (!isRecord(labels) || !areTexts(labels)) return null;
  return { id, hostname, address, role, availability, labels: labels as Record<string, string> };
}

export function parseNodeStatus(value: StoreValue): NodeStatusRow | null {
  const { id, state, at, message } = value;
  if (!areTexts([id, message]) || typeof at !== 'number') return null;
  return state === 'ready' || state === 'down' ? (value as NodeStatusRow) : null;
}

export function parseLeader(value: StoreValue): LeaderRow | null {
  const { node, term } = value;
  return typeof node === 'string' && typeof term === 'number' ? { node, term } : null;
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
  const { last, taken, holders } = value;
  if (typeof last !== 'number' || !Array.isArray(taken)) return null;
  if (!isRecord(holders) || !areTexts(holders)) return null;
  return {
    last,
    taken: taken.filter((addr): addr is number => Number.isInteger(addr)),
    holders: holders as Record<string, string>,
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function areTexts(values: unknown): boolean {
  if (Array.isArray(values)) return values.every((text) => typeof text === 'string');
  return isRecord(values) && Object.values(values).every((text) => typeof text === 'string');
}

/** Rows are written by dockerds alone: what is checked is all that a bad row could break. */
export function parseNetwork(value: StoreValue): DockerNetworkFacts | null {
  const { network } = value;
  if (!isRecord(network) || network.driver !== 'overlay' || network.scope !== 'swarm') return null;
  const { id, name, created, ipam, options, labels } = network;
  if (!areTexts([id, name]) || typeof created !== 'number' || !Array.isArray(ipam) || ipam.length === 0)
    return null;
  const whole = ipam.every(
    (subnet) =>
      isRecord(subnet) &&
      areTexts([subnet.subnet, subnet.ipRange, subnet.gateway]) &&
      parsePrefix(String(subnet.subnet)) !== null &&
      parseIp4(String(subnet.gateway)) !== null,
  );
  return whole && areTexts(options) && areTexts(labels) ? (network as unknown as DockerNetworkFacts) : null;
}

export function parsePeer(value: StoreValue): PeerRow | null {
  const { peer, lost = false } = value;
  if (typeof lost !== 'boolean') return null;
  if (!isRecord(peer) || !Array.isArray(peer.names) || !areTexts(peer.names)) return null;
  const { networkId, endpointId, address, mac, vtep, node } = peer;
  if (!areTexts([networkId, endpointId, address, mac, vtep, node])) return null;
  const whole =
    [address, vtep].every((text) => parseIp4(String(text)) !== null) && parseMac(String(mac)) !== null;
  if (peer.service !== undefined && !isService(peer.service)) return null;
  return whole ? { peer: peer as unknown as DockerPeerFacts, lost } : null;
}

function isService(value: unknown): boolean {
  if (!isRecord(value) || !areTexts([value.id, value.name, value.vip]) || !areTexts(value.aliases))
    return false;
  if (value.vip !== '' && parseIp4(String(value.vip)) === null) return false;
  return Array.isArray(value.aliases) && Array.isArray(value.ports) && value.ports.every(isIngressPort);
}

function isIngressPort(port: unknown): boolean {
  return isRecord(port) && isProtocol(port.proto) && [port.published, port.target].every(isPort);
}

export function isProtocol(value: unknown): boolean {
  return value === 'tcp' || value === 'udp' || value === 'sctp';
}

export function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;
}
