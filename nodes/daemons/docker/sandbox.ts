import { formatPrefix, parseAddress } from '../../../protocols/ip4.ts';
import { formatMac } from '../../../protocols/mac.ts';
import type { DockerContainerFacts, DockerEndpointFacts, DockerPortBinding } from '../../events/docker.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Runtime } from '../../runtime.ts';
import { randomHex } from '../random-names.ts';
import { gatewayRoute, linkRoute } from '../route-facts.ts';
import { DockerError } from './error.ts';
import type { DockerLedger } from './ledger.ts';
import type { EndpointPlan, JoinInfo } from './network/driver.ts';
import { macOf, type Networks } from './network/networks.ts';
import type { PortAllocator } from './network/port-allocator.ts';
import { PortProxy } from './network/port-proxy.ts';

interface Joined {
  readonly plan: EndpointPlan;
  readonly info: JoinInfo;
}

/** A container's network namespace and its places in networks (libnetwork's Sandbox). */
export interface Sandbox {
  readonly id: string;
  /** Of a container; or of a node's load balancer in an overlay network, in that of the routing mesh. */
  readonly kind: 'container' | 'load-balancer' | 'ingress';
  readonly ns: Netns;
  readonly joined: Joined[];
  /** Interfaces are numbered on, however many have gone. */
  nextInterface: number;
  readonly published: DockerPortBinding[];
  /** The endpoint that ports are published by. */
  publishedBy: EndpointPlan | null;
  readonly proxies: PortProxy[];
}

export interface SandboxesOptions {
  readonly kernel: Kernel;
  readonly ledger: DockerLedger;
  readonly networks: Networks;
  readonly ports: PortAllocator;
  /** `userland-proxy` of daemon.json. */
  readonly userlandProxy: boolean;
  /** Called before a namespace goes. */
  readonly onNamespaceRemoved: (ns: Netns) => void;
}

/** The namespaces of the containers that run, and who shares them. */
export class Sandboxes {
  readonly #rt: Runtime;
  readonly #options: SandboxesOptions;

  constructor(rt: Runtime, options: SandboxesOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  /** A new namespace with nothing but lo, as `--network none` leaves it. */
  create(kind: Sandbox['kind'] = 'container', name = ''): Sandbox {
    const id = randomHex(this.#rt.random, 64);
    const ns = this.#options.kernel.addNetns(name === '' ? id.slice(0, 12) : name);
    // No network here has IPv6 addresses: it is off in the container, lo included (`setIPv6`).
    ns.sysctls.set('ipv6.conf.*.disable_ipv6', 1, 'all');
    return sandboxOf(id, ns, kind);
  }

  /** `--network host`: the node's own. */
  host(): Sandbox {
    return sandboxOf(randomHex(this.#rt.random, 64), this.#options.kernel.root, 'container');
  }

  /**
   * Creates an endpoint and joins it: reserves an address, makes the interface, sets the default route.
   * @throws DockerError when nothing has changed
   */
  join(sandbox: Sandbox, container: Owner, wanted: DockerEndpointFacts): DockerEndpointFacts {
    const { ledger, networks } = this.#options;
    const network = ledger.network(wanted.networkId === '' ? wanted.network : wanted.networkId);
    const endpointId = randomHex(this.#rt.random, 64);
    const reserved = networks.reserve(network, endpointId, container.id, wanted.requestedIp);
    const address = reserved?.address ?? null;
    const plan: EndpointPlan = {
      endpointId,
      network,
      containerId: container.id,
      address,
      mac: macOf(container.macAddress),
      ns: sandbox.ns,
      ifname: `eth${sandbox.nextInterface}`,
      role: sandbox.kind === 'container' ? 'container' : 'load-balancer',
    };
    let info: JoinInfo;
    try {
      info = networks.driver(network).join(plan);
    } catch (error) {
      networks.release(network, endpointId, address);
      throw error;
    }
    const hasInterface = address !== null;
    if (hasInterface) sandbox.nextInterface++;
    sandbox.joined.push({ plan, info });
    if (network.driver === 'overlay') this.#joinGateway(sandbox, container);
    this.#updateGateway(sandbox);
    return {
      ...wanted,
      network: network.name,
      networkId: network.id,
      endpointId,
      address: address === null ? '' : formatPrefix(address),
      gateway: info.gateway.type === 'address' ? info.gateway.address : '',
      mac: info.mac === 0 ? '' : formatMac(info.mac),
      ifname: hasInterface ? plan.ifname : '',
    };
  }

  /** Leave and DeleteEndpoint. */
  leave(sandbox: Sandbox, networkId: string): void {
    const at = sandbox.joined.findIndex(({ plan }) => plan.network.id === networkId);
    const joined = sandbox.joined[at];
    if (joined === undefined) return;
    const { plan } = joined;
    if (sandbox.publishedBy === plan) this.unpublish(sandbox);
    sandbox.joined.splice(at, 1);
    const { networks } = this.#options;
    networks.driver(plan.network).leave(plan);
    networks.release(plan.network, plan.endpointId, plan.address);
    const [left] = sandbox.joined;
    const onlyGateway = sandbox.joined.length === 1 && left?.plan.network.name === GATEWAY_NETWORK;
    if (onlyGateway && plan.network.driver === 'overlay') this.leave(sandbox, left.plan.network.id);
    else this.#updateGateway(sandbox);
  }

  /** An overlay network leads nowhere else: a container that has no other way out gets one by docker_gwbridge. */
  #joinGateway(sandbox: Sandbox, container: Owner): void {
    const { ledger, networks } = this.#options;
    if (sandbox.kind === 'load-balancer') return;
    if (sandbox.joined.some(({ info }) => info.gateway.type !== 'none')) return;
    const network = ledger.networks.find(({ name }) => name === GATEWAY_NETWORK);
    if (network === undefined) return;
    const endpointId = randomHex(this.#rt.random, 64);
    const address = networks.reserve(network, endpointId, container.id, '')?.address ?? null;
    const ifname = `eth${sandbox.nextInterface++}`;
    const plan: EndpointPlan = {
      endpointId,
      network,
      containerId: container.id,
      address,
      mac: 0,
      ns: sandbox.ns,
      ifname,
      role: 'container',
    };
    sandbox.joined.push({ plan, info: networks.driver(network).join(plan) });
  }

  /**
   * Publishes ports by the endpoint that leads outside, if there is one that can and none are published yet.
   * @throws DockerError; none is published then
   */
  publish(sandbox: Sandbox, container: DockerContainerFacts, wanted: readonly DockerPortBinding[]): void {
    if (sandbox.publishedBy !== null || wanted.length === 0) return;
    const plan = this.#outward(sandbox)?.plan;
    if (plan?.address == null || plan.network.internal) return;
    const driver = this.#options.networks.driver(plan.network);
    if (driver.publish === undefined) return;
    const { ports, kernel, userlandProxy } = this.#options;
    const published: DockerPortBinding[] = [];
    const proxies: PortProxy[] = [];
    try {
      for (const { port, proto, hostIp, hostPort } of wanted) {
        const taken = ports.request(hostIp, proto, hostPort);
        const binding = { port, proto, hostIp, hostPort: taken };
        published.push(binding);
        if (userlandProxy) proxies.push(PortProxy.listen(kernel.root, binding, plan.address.addr));
      }
      driver.publish(plan, published);
    } catch (error) {
      for (const { proto, hostIp, hostPort } of published) ports.release(hostIp, proto, hostPort);
      for (const proxy of proxies) proxy.close();
      if (!(error instanceof DockerError)) throw error;
      throw new DockerError(
        `driver failed programming external connectivity on endpoint ${container.name} (${plan.endpointId}): ${error.message}`,
      );
    }
    sandbox.published.push(...published);
    sandbox.proxies.push(...proxies);
    sandbox.publishedBy = plan;
  }

  unpublish(sandbox: Sandbox): void {
    const plan = sandbox.publishedBy;
    if (plan === null) return;
    const { ports, networks } = this.#options;
    networks.driver(plan.network).unpublish?.(plan, sandbox.published);
    for (const { proto, hostIp, hostPort } of sandbox.published) ports.release(hostIp, proto, hostPort);
    for (const proxy of sandbox.proxies) proxy.close();
    sandbox.published.length = 0;
    sandbox.proxies.length = 0;
    sandbox.publishedBy = null;
  }

  /** All endpoints leave; what is left is lo. */
  empty(sandbox: Sandbox): void {
    this.unpublish(sandbox);
    for (const { plan } of [...sandbox.joined]) this.leave(sandbox, plan.network.id);
  }

  /** The namespace goes. */
  delete(sandbox: Sandbox): void {
    if (sandbox.ns === this.#options.kernel.root) return;
    this.#options.onNamespaceRemoved(sandbox.ns);
    this.#options.kernel.removeNetns(sandbox.ns.name);
  }

  /** The endpoint whose network leads outside: the first by name that does (`epHeap.Less`). */
  #outward(sandbox: Sandbox): Joined | undefined {
    return sandbox.joined
      .filter(({ info }) => info.gateway.type !== 'none')
      .toSorted((a, b) => (a.plan.network.name < b.plan.network.name ? -1 : 1))[0];
  }

  #updateGateway(sandbox: Sandbox): void {
    const { ns } = sandbox;
    if (ns === this.#options.kernel.root) return;
    const outward = this.#outward(sandbox);
    if (ns.routes.get(DEFAULT_ROUTE) !== undefined) ns.routes.delete(DEFAULT_ROUTE);
    if (outward === undefined) return;
    const { plan, info } = outward;
    if (info.gateway.type === 'address')
      ns.routes.set(gatewayRoute(DEFAULT_ROUTE, info.gateway.address, plan.ifname));
    else ns.routes.set(linkRoute(DEFAULT_ROUTE, plan.ifname));
  }
}

/** Whose a sandbox is. */
type Owner = Pick<DockerContainerFacts, 'id' | 'macAddress'>;

function sandboxOf(id: string, ns: Netns, kind: Sandbox['kind']): Sandbox {
  return { id, kind, ns, joined: [], nextInterface: 0, published: [], publishedBy: null, proxies: [] };
}

/** The bridge by which containers in overlay networks reach what is elsewhere. */
export const GATEWAY_NETWORK = 'docker_gwbridge';

const DEFAULT_ROUTE = '0.0.0.0/0';

/** The address of an endpoint without its prefix length, '' for none. */
export function plainAddress(endpoint: Pick<DockerEndpointFacts, 'address'> | undefined): string {
  return endpoint?.address.split('/')[0] ?? '';
}

/** Prefix length of an endpoint's address, 0 for none. */
export function prefixLength(endpoint: Pick<DockerEndpointFacts, 'address'>): number {
  return endpoint.address === '' ? 0 : (parseAddress(endpoint.address)?.len ?? 0);
}
