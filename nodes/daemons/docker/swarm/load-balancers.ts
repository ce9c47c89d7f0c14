import { formatIp4, type Prefix, parseAddress, parseIp4 } from '../../../../protocols/ip4.ts';
import type {
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerPeerFacts,
  DockerServiceFacts,
} from '../../../events/docker.ts';
import { unjoined } from '../create.ts';
import { DockerError } from '../error.ts';
import type { IngressFirewall } from '../network/ingress-firewall.ts';
import type { Networks } from '../network/networks.ts';
import { GATEWAY_NETWORK, plainAddress, type Sandbox, type Sandboxes } from '../sandbox.ts';
import { type Backend, VirtualServices } from './virtual-services.ts';

/** The first mark (`fwMarkCtr`). */
const FIRST_MARK = 256;

export interface LoadBalancersOptions {
  readonly sandboxes: Sandboxes;
  readonly networks: Networks;
  /** Gets an address of a network. */
  readonly allocate: (network: DockerNetworkFacts, done: (result: Prefix | DockerError) => void) => void;
  /** Gives one back that nobody has used. */
  readonly free: (networkId: string, address: Prefix) => void;
  /** The sandbox is there: others are to know where. */
  readonly onJoined: (endpoint: DockerEndpointFacts) => void;
  /** What takes the ports of the routing mesh on this host, for an ingress sandbox at this address. */
  readonly ingress: (gateway: string) => IngressFirewall;
}

/** A network's load balancer on this node, as long as the network has a container here; that of the ingress network always. */
interface Balancer {
  readonly network: DockerNetworkFacts;
  sandbox: Sandbox | null;
  endpoint: DockerEndpointFacts | null;
  services: VirtualServices | null;
}

interface Bound {
  readonly mark: number;
  readonly backends: Map<string, Backend>;
}

/**
 * The load balancing sandboxes of a node (libnetwork's `createLoadBalancerSandbox`, from 18.09 on): a namespace in each overlay
 * network, with an address of its own there and all virtual addresses, which answers the containers of this node for them.
 */
export class LoadBalancers {
  readonly #options: LoadBalancersOptions;
  readonly #balancers = new Map<string, Balancer>();
  /** Services by network and id. */
  readonly #bound = new Map<string, Map<string, Bound>>();
  #mark = FIRST_MARK;

  constructor(options: LoadBalancersOptions) {
    this.#options = options;
  }

  /** Those that are there, as `docker network inspect` lists them beside the containers. */
  endpointIn(networkId: string): DockerEndpointFacts | null {
    return this.#balancers.get(networkId)?.endpoint ?? null;
  }

  open(network: DockerNetworkFacts): void {
    if (this.#balancers.has(network.id)) return;
    const balancer: Balancer = { network, sandbox: null, endpoint: null, services: null };
    this.#balancers.set(network.id, balancer);
    this.#options.allocate(network, (address) => {
      if (address instanceof DockerError) {
        // As with libnetwork, there is no balancing then.
        if (this.#balancers.get(network.id) === balancer) this.#balancers.delete(network.id);
      } else if (this.#balancers.get(network.id) !== balancer) this.#options.free(network.id, address);
      else this.#join(balancer, address);
    });
  }

  close(networkId: string): void {
    const balancer = this.#balancers.get(networkId);
    if (balancer === undefined) return;
    this.#balancers.delete(networkId);
    balancer.services?.close();
    const { sandboxes } = this.#options;
    if (balancer.sandbox === null) return;
    sandboxes.empty(balancer.sandbox);
    sandboxes.delete(balancer.sandbox);
  }

  /** An endpoint is there, here or elsewhere, or what its service says of it has changed. */
  bind(
    networkId: string,
    endpointId: string,
    address: string,
    service: DockerServiceFacts | undefined,
  ): void {
    if (service === undefined) return;
    const inNetwork = this.#bound.get(networkId) ?? new Map<string, Bound>();
    this.#bound.set(networkId, inNetwork);
    const bound = inNetwork.get(service.id) ?? { mark: this.#mark++, backends: new Map<string, Backend>() };
    inNetwork.set(service.id, bound);
    bound.backends.set(endpointId, { address: parseIp4(address.split('/')[0] ?? '') ?? 0, service });
    this.#balancers.get(networkId)?.services?.set(service.id, bound);
  }

  unbind(networkId: string, endpointId: string): void {
    const inNetwork = this.#bound.get(networkId);
    for (const [serviceId, bound] of inNetwork ?? []) {
      if (!bound.backends.delete(endpointId)) continue;
      if (bound.backends.size === 0) inNetwork?.delete(serviceId);
      this.#balancers.get(networkId)?.services?.set(serviceId, bound.backends.size === 0 ? null : bound);
    }
    if (inNetwork?.size === 0) this.#bound.delete(networkId);
  }

  /** Nobody tells of a network's endpoints any more. */
  forget(networkId: string): void {
    this.#bound.delete(networkId);
  }

  #join(balancer: Balancer, address: Prefix): void {
    const { sandboxes, networks, onJoined } = this.#options;
    const { network } = balancer;
    const kind = network.ingress ? 'ingress' : 'load-balancer';
    const sandbox = sandboxes.create(kind, network.ingress ? 'ingress_sbox' : `lb_${network.id.slice(0, 9)}`);
    const owner = { id: balancerName(network), macAddress: '' };
    networks.attached(owner.id, network.id, address);
    let endpoint: DockerEndpointFacts;
    try {
      endpoint = sandboxes.join(sandbox, owner, unjoined(network.name, { ip: '', aliases: [], links: [] }));
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
      networks.dropAttachments(owner.id);
      sandboxes.delete(sandbox);
      this.#balancers.delete(network.id);
      return;
    }
    sandbox.ns.sysctls.set('ipv4.vs.expire_nodest_conn', 1);
    balancer.sandbox = sandbox;
    balancer.endpoint = endpoint;
    const gateway = sandbox.joined.find(({ plan }) => plan.network.name === GATEWAY_NETWORK)?.plan.address;
    balancer.services = new VirtualServices({
      ns: sandbox.ns,
      address: parseAddress(endpoint.address) ?? address,
      ingress: network.ingress && gateway != null ? this.#options.ingress(formatIp4(gateway.addr)) : null,
    });
    onJoined(endpoint);
    for (const [serviceId, bound] of this.#bound.get(network.id) ?? [])
      balancer.services.set(serviceId, bound);
  }
}

/** `lb-over`; of the ingress network `ingress-sbox`. */
export function balancerName({ name, ingress }: DockerNetworkFacts): string {
  return ingress ? 'ingress-sbox' : `lb-${name}`;
}

/** A load balancer as others learn of it. */
export function balancerPeer(endpoint: DockerEndpointFacts, vtep: string, node: string): DockerPeerFacts {
  const { networkId, endpointId, mac } = endpoint;
  return {
    networkId,
    endpointId,
    address: plainAddress(endpoint),
    mac,
    vtep,
    node,
    names: [],
    role: 'load-balancer',
  };
}
