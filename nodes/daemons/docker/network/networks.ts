import {
  formatIp4,
  formatPrefix,
  type Prefix,
  parseIp4,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from '../../../../protocols/ip4.ts';
import { parseMac } from '../../../../protocols/mac.ts';
import type { DockerDriver, DockerIpamFacts, DockerNetworkFacts } from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import { randomHex } from '../../random-names.ts';
import { DockerError } from '../error.ts';
import type { DockerLedger } from '../ledger.ts';
import { AddressPool } from './address-pool.ts';
import type { NetworkDriver } from './driver.ts';
import type { SubnetPools } from './pools.ts';

/** What `docker network create` asks for. */
export interface NetworkSpec {
  readonly name: string;
  readonly driver: string;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  readonly ipam: readonly DockerIpamFacts[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

interface Subnet {
  readonly prefix: Prefix;
  readonly pool: AddressPool;
  readonly facts: DockerIpamFacts;
}

interface Live {
  readonly subnets: readonly Subnet[];
  /** Endpoints by id, with the container each is of. */
  readonly endpoints: Map<string, string>;
}

/** An address that an endpoint has got. */
export interface ReservedAddress {
  readonly address: Prefix;
  readonly gateway: string;
}

const PREDEFINED = ['bridge', 'host', 'none', 'default'];

const DRIVERS: readonly DockerDriver[] = ['bridge', 'host', 'null', 'macvlan', 'ipvlan', 'overlay'];

export interface NetworksOptions {
  readonly ledger: DockerLedger;
  readonly drivers: Readonly<Partial<Record<DockerDriver, NetworkDriver>>>;
  readonly pools: SubnetPools;
  /** Takes back an address of a swarm's network. */
  readonly onSwarmRelease: (networkId: string, endpointId: string, address: Prefix) => void;
  /** Subnets that the host has routes to: no default pool may be in their way. */
  readonly hostSubnets: () => readonly Prefix[];
}

/** The networks of one host and the addresses in them (libnetwork's controller and its default IPAM). */
export class Networks {
  readonly #rt: Runtime;
  readonly #options: NetworksOptions;
  readonly #live = new Map<string, Live>();
  /** Addresses that a swarm has given, by container and network, until they are used. */
  readonly #attached = new Map<string, Prefix>();

  constructor(rt: Runtime, options: NetworksOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  driver(network: DockerNetworkFacts): NetworkDriver {
    const driver = this.#options.drivers[network.driver];
    if (driver === undefined) throw new DockerError(`plugin "${network.driver}" not found`);
    return driver;
  }

  /** What the disk has, after a reboot. */
  restore(): void {
    for (const network of this.#options.ledger.networks) {
      const local = network.scope === 'local' ? network.ipam : [];
      const subnets = local.map((facts) => {
        const prefix = parsePrefix(facts.subnet)!;
        this.#options.pools.take(prefix);
        return this.#subnet(prefix, facts, network);
      });
      this.#live.set(network.id, { subnets, endpoints: new Map() });
      this.driver(network).createNetwork(network);
    }
  }

  /** @throws DockerError */
  create(spec: NetworkSpec): DockerNetworkFacts {
    const { ledger, pools } = this.#options;
    if (PREDEFINED.includes(spec.name) && ledger.networks.some(({ name }) => name === spec.name))
      throw new DockerError(`operation is not permitted on predefined ${spec.name} network`);
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(spec.name))
      throw new DockerError(
        spec.name === ''
          ? 'invalid name: name is empty'
          : `invalid network name: ${spec.name}, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
      );
    if (ledger.networks.some(({ name }) => name === spec.name))
      throw new DockerError(`network with name ${spec.name} already exists`);
    const driver = DRIVERS.find((known) => known === spec.driver);
    if (driver === undefined)
      throw new DockerError(`could not find a v2 driver: plugin "${spec.driver}" not found`);
    if ((driver === 'host' || driver === 'null') && ledger.networks.some((other) => other.driver === driver))
      throw new DockerError(`only one instance of "${driver}" network is allowed`);
    const draft: DockerNetworkFacts = {
      id: randomHex(this.#rt.random, 64),
      name: spec.name,
      created: this.#rt.now,
      driver,
      scope: 'local',
      internal: spec.internal,
      attachable: spec.attachable,
      ingress: spec.ingress,
      ipam: [],
      options: spec.options,
      labels: spec.labels,
    };
    this.driver(draft).validate(draft);
    const hasAddresses = driver !== 'host' && driver !== 'null';
    const requests = spec.ipam.length > 0 || !hasAddresses ? spec.ipam : [NO_REQUEST];
    const taken: Prefix[] = [];
    try {
      const subnets = requests.map((request) => {
        const prefix = this.#takePool(request);
        taken.push(prefix);
        return this.#subnet(prefix, request, draft);
      });
      const network = { ...draft, ipam: subnets.map(({ facts }) => facts) };
      this.driver(network).createNetwork(network);
      this.#live.set(network.id, { subnets, endpoints: new Map() });
      ledger.putNetwork(network);
      return network;
    } catch (error) {
      for (const prefix of taken) pools.release(prefix);
      throw error;
    }
  }

  /** A network of the swarm's that this node is to know. */
  adopt(network: DockerNetworkFacts): void {
    if (this.#live.has(network.id)) return;
    this.#live.set(network.id, { subnets: [], endpoints: new Map() });
    this.#options.ledger.putNetwork(network);
  }

  /** A network of the swarm's that this node has nothing to do with any more. */
  disown(network: DockerNetworkFacts): void {
    this.driver(network).deleteNetwork(network);
    this.#live.delete(network.id);
    this.#options.ledger.removeNetwork(network);
  }

  /** The swarm has given a container an address, to be used when it joins. */
  attached(containerId: string, networkId: string, address: Prefix): void {
    this.#attached.set(`${containerId} ${networkId}`, address);
  }

  /** Gives back what a container that did not start has not used. */
  dropAttachments(containerId: string): void {
    for (const [key, address] of [...this.#attached]) {
      const [container, networkId = ''] = key.split(' ');
      if (container !== containerId) continue;
      this.#attached.delete(key);
      this.#options.onSwarmRelease(networkId, '', address);
    }
  }

  /** @throws DockerError while there are endpoints, or for what is predefined */
  remove(network: DockerNetworkFacts): void {
    if (PREDEFINED.includes(network.name))
      throw new DockerError(`${network.name} is a pre-defined network and cannot be removed`);
    const { endpoints } = this.#require(network);
    if (endpoints.size > 0)
      throw new DockerError(
        `error while removing network: network ${network.name} id ${network.id} has active endpoints`,
      );
    this.driver(network).deleteNetwork(network);
    for (const { facts } of this.#require(network).subnets)
      this.#options.pools.release(parsePrefix(facts.subnet)!);
    this.#live.delete(network.id);
    this.#options.ledger.removeNetwork(network);
  }

  /** CreateEndpoint: reserves an address, the one asked for if any; null in a network without. @throws DockerError */
  reserve(
    network: DockerNetworkFacts,
    endpointId: string,
    containerId: string,
    requested: string,
  ): ReservedAddress | null {
    const { subnets, endpoints } = this.#require(network);
    if (network.scope === 'swarm') {
      const key = `${containerId} ${network.id}`;
      const address = this.#attached.get(key);
      if (address === undefined)
        throw new DockerError(`Could not attach to network ${network.name}: the swarm has given no address`);
      this.#attached.delete(key);
      endpoints.set(endpointId, containerId);
      return { address, gateway: '' };
    }
    if (subnets.length === 0) {
      endpoints.set(endpointId, containerId);
      return null;
    }
    const wanted = requested === '' ? null : parseIp4(requested);
    for (const { prefix, pool, facts } of subnets) {
      if (wanted !== null && !prefixContains(prefix, wanted)) continue;
      if (wanted !== null) pool.take(wanted);
      const addr = wanted ?? pool.next();
      if (addr === null) continue;
      endpoints.set(endpointId, containerId);
      return { address: { addr, len: prefix.len }, gateway: facts.gateway };
    }
    if (wanted !== null)
      throw new DockerError(
        `Invalid address ${requested}: It does not belong to any of this network's subnets`,
      );
    throw new DockerError(
      `no available IPv4 addresses on this network's address pools: ${network.name} (${network.id})`,
    );
  }

  /** DeleteEndpoint: its address is free again. */
  release(network: DockerNetworkFacts, endpointId: string, address: Prefix | null): void {
    const live = this.#live.get(network.id);
    if (live === undefined) return;
    live.endpoints.delete(endpointId);
    if (address === null) return;
    if (network.scope === 'swarm') this.#options.onSwarmRelease(network.id, endpointId, address);
    live.subnets.find(({ prefix }) => prefixContains(prefix, address.addr))?.pool.release(address.addr);
  }

  #takePool(request: DockerIpamFacts): Prefix {
    const { pools, hostSubnets } = this.#options;
    if (request.subnet === '') return pools.next(hostSubnets());
    const prefix = parsePrefix(request.subnet);
    if (prefix === null) throw new DockerError(`invalid CIDR address: ${request.subnet}`);
    pools.take(prefix);
    return prefix;
  }

  /** Lays out a subnet: foreign addresses and the gateway are taken. @throws DockerError */
  #subnet(prefix: Prefix, request: DockerIpamFacts, network: DockerNetworkFacts): Subnet {
    const range = request.ipRange === '' ? prefix : parsePrefix(request.ipRange);
    if (range === null || range.len < prefix.len || !prefixesOverlap(prefix, range))
      throw new DockerError(`failed to parse sub pool ${request.ipRange} for ${formatPrefix(prefix)}`);
    const pool = new AddressPool(prefix, range, 'lowest');
    let { gateway } = request;
    // macvlan and ipvlan in L2 mode leave the gateway to the outside, but keep its address for it all the same.
    if (gateway === '') {
      const addr = pool.next();
      if (addr === null)
        throw new DockerError(
          `failed to allocate gateway (): no available IPv4 addresses on this network's address pools: ${network.name} (${network.id})`,
        );
      gateway = formatIp4(addr);
    } else {
      const addr = parseIp4(gateway);
      if (addr === null) throw new DockerError(`Invalid address ${gateway}`);
      if (!prefixContains(prefix, addr))
        throw new DockerError(
          `failed to allocate gateway (${gateway}): No matching subnet for gateway ${gateway}`,
        );
      try {
        pool.take(addr);
      } catch (error) {
        if (error instanceof DockerError)
          throw new DockerError(`failed to allocate gateway (${gateway}): ${error.message}`);
        throw error;
      }
    }
    for (const [name, text] of Object.entries(request.auxAddress)) {
      const addr = parseIp4(text);
      if (addr === null || !prefixContains(prefix, addr))
        throw new DockerError(
          `failed to allocate secondary ip address (${name}:${text}): Requested address is out of range`,
        );
      if (!pool.isTaken(addr)) pool.take(addr);
    }
    return { prefix, pool, facts: { ...request, subnet: formatPrefix(prefix), gateway } };
  }

  #require(network: DockerNetworkFacts): Live {
    const live = this.#live.get(network.id);
    if (live === undefined) throw new DockerError(`network ${network.name} not found`);
    return live;
  }
}

const NO_REQUEST: DockerIpamFacts = { subnet: '', ipRange: '', gateway: '', auxAddress: {} };

/** A MAC as `--mac-address` gives it. @throws DockerError */
export function macOf(text: string): number {
  if (text === '') return 0;
  const mac = parseMac(text);
  if (mac === null) throw new DockerError(`invalid mac address: address ${text}: invalid MAC address`);
  return mac;
}
