import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerPortBinding,
} from '../../events/docker.ts';
import { isUserDefined, networkName, unjoined, type WantedEndpoint } from './create.ts';
import { DockerError } from './error.ts';
import type { ContainerFiles } from './files.ts';
import type { DockerLedger } from './ledger.ts';
import type { LinkRules } from './link-rules.ts';
import { startResolver } from './network/resolver.ts';
import { plainAddress, type Sandbox, type Sandboxes } from './sandbox.ts';
import { redirectIngress } from './swarm/virtual-services.ts';

/** runconfig's words for what does not go together. */
const CONFLICT_HOST = 'container cannot be disconnected from host network or connected to host network';
const CONFLICT_SHARED =
  'container sharing network namespace with another container or host cannot be connected to any other network';
const CONFLICT_NONE =
  'container cannot be connected to multiple networks with one of the networks in private (none) mode';

export interface AttachmentsOptions {
  readonly ledger: DockerLedger;
  readonly sandboxes: Sandboxes;
  readonly files: ContainerFiles;
  readonly sandboxOf: (id: string) => Sandbox | undefined;
  readonly onSwarmJoin: (container: DockerContainerFacts, endpoint: DockerEndpointFacts) => void;
  readonly linkRules: LinkRules | null;
}

/** Containers in their networks: joining and leaving, published ports, the embedded DNS server, the files that tell of it. */
export class Attachments {
  readonly #ledger: DockerLedger;
  readonly #sandboxes: Sandboxes;
  readonly #files: ContainerFiles;
  /** Embedded DNS servers by sandbox. */
  readonly #resolvers = new Map<string, { close(): void }>();
  /** Sandbox of a container that runs. */
  readonly #sandboxOf: (id: string) => Sandbox | undefined;
  /** Called when a container has joined a network of the swarm's. */
  readonly #onSwarmJoin: (container: DockerContainerFacts, endpoint: DockerEndpointFacts) => void;

  /** null where containers of docker0 reach each other anyway. */
  readonly #linkRules: LinkRules | null;

  constructor(options: AttachmentsOptions) {
    this.#ledger = options.ledger;
    this.#sandboxes = options.sandboxes;
    this.#files = options.files;
    this.#sandboxOf = options.sandboxOf;
    this.#onSwarmJoin = options.onSwarmJoin;
    this.#linkRules = options.linkRules;
  }

  /** A namespace for a container that is about to run: a new one, the host's, or another container's. @throws DockerError */
  open({ networkMode }: DockerContainerFacts): Sandbox {
    if (networkMode === 'host') return this.#sandboxes.host();
    if (!networkMode.startsWith('container:')) return this.#sandboxes.create();
    const target = networkMode.slice('container:'.length);
    if (this.#ledger.containerById(target) === undefined)
      throw new DockerError(`No such container: ${target}`);
    const sandbox = this.#sandboxOf(target);
    if (sandbox === undefined)
      throw new DockerError(`cannot join network of a non running container: ${target}`);
    return sandbox;
  }

  /** Joins all networks that a container is to be in and publishes its ports. @throws DockerError */
  joinAll(container: DockerContainerFacts, sandbox: Sandbox): DockerContainerFacts {
    if (container.networkMode.startsWith('container:')) return container;
    // What it is linked to has to run, before anything is done.
    this.#files.links(container);
    const first = networkName(container.networkMode);
    const order = container.endpoints.toSorted(
      (a, b) => Number(b.network === first) - Number(a.network === first),
    );
    const endpoints = order.map((endpoint) => this.#join(sandbox, container, endpoint));
    const joined = { ...container, endpoints, sandboxId: sandbox.id };
    this.#sandboxes.publish(sandbox, joined, portsOf(joined));
    return { ...joined, published: sandbox.published.slice() };
  }

  /** What a container that is about to run, and those that are linked to it, are told of its networks. */
  started(container: DockerContainerFacts, sandbox: Sandbox): void {
    this.#files.started(container, this.#files.links(container));
    this.#resolve(container, sandbox);
    this.#files.tellParents(container);
    this.#linkRules?.started(container);
  }

  /** A container's process has ended. Whoever shares its namespace is in an empty one from now on. */
  close(container: DockerContainerFacts, sandbox: Sandbox): DockerContainerFacts {
    this.#linkRules?.stopped(container);
    if (!container.networkMode.startsWith('container:')) {
      this.#resolvers.get(sandbox.id)?.close();
      this.#resolvers.delete(sandbox.id);
      this.#sandboxes.empty(sandbox);
    }
    return outside(container);
  }

  /** `docker network connect`, what it needs being there. @throws DockerError */
  connect(network: DockerNetworkFacts, container: DockerContainerFacts, wanted: WantedEndpoint): void {
    this.checkConnect(network, container, wanted);
    const sandbox = this.#sandboxOf(container.id);
    const endpoint = unjoined(network.name, wanted);
    const joined = sandbox === undefined ? endpoint : this.#join(sandbox, container, endpoint);
    const updated = this.#ledger.putContainer({ ...container, endpoints: [...container.endpoints, joined] });
    if (sandbox === undefined) return;
    this.#files.joined(updated, joined);
    this.#resolve(updated, sandbox);
    this.#publish(updated, sandbox);
  }

  /** `docker network disconnect` @throws DockerError */
  disconnect(network: DockerNetworkFacts, container: DockerContainerFacts): void {
    if (network.driver === 'host') throw new DockerError(CONFLICT_HOST);
    const sandbox = this.#sandboxOf(container.id);
    const endpoint = container.endpoints.find((it) => it.network === network.name);
    if (endpoint === undefined) {
      const what = sandbox === undefined ? 'the network' : 'network';
      throw new DockerError(`container ${container.id} is not connected to ${what} ${network.name}`);
    }
    if (sandbox !== undefined) {
      this.#files.left(container, endpoint);
      this.#sandboxes.leave(sandbox, network.id);
    }
    const left = this.#ledger.putContainer({
      ...container,
      endpoints: container.endpoints.filter((it) => it !== endpoint),
      published: sandbox?.published.slice() ?? [],
    });
    if (sandbox !== undefined) this.#publish(left, sandbox);
  }

  /** `updateNetworkSettings` and what `Networks` cannot know. @throws DockerError */
  checkConnect(network: DockerNetworkFacts, container: DockerContainerFacts, wanted: WantedEndpoint): void {
    const { networkMode, endpoints, name } = container;
    if (networkMode.startsWith('container:')) throw new DockerError(CONFLICT_SHARED);
    if (network.driver === 'host' && networkMode !== 'host') throw new DockerError(CONFLICT_HOST);
    if (endpoints.some((it) => it.network === network.name))
      throw new DockerError(`endpoint with name ${name} already exists in network ${network.name}`);
    if (networkMode === 'host') throw new DockerError(CONFLICT_SHARED);
    if (endpoints.length > 0 && (network.driver === 'null' || endpoints.some((it) => it.network === 'none')))
      throw new DockerError(CONFLICT_NONE);
    if (isUserDefined(network.name)) return;
    if (wanted.ip !== '')
      throw new DockerError('user specified IP address is supported on user defined networks only');
    if (wanted.aliases.length > 0)
      throw new DockerError('network-scoped alias is supported only for containers in user defined networks');
  }

  #join(
    sandbox: Sandbox,
    container: DockerContainerFacts,
    endpoint: DockerEndpointFacts,
  ): DockerEndpointFacts {
    if (!isUserDefined(endpoint.network)) return this.#sandboxes.join(sandbox, container, endpoint);
    const aliases = [...new Set([...endpoint.aliases, container.id.slice(0, 12)])];
    const joined = this.#sandboxes.join(sandbox, container, { ...endpoint, aliases });
    if (this.#ledger.network(joined.networkId).scope !== 'swarm') return joined;
    if (joined.service !== undefined) redirectIngress(sandbox.ns, plainAddress(joined), joined.service);
    this.#onSwarmJoin(container, joined);
    return joined;
  }

  /** Another network may lead outside now. */
  #publish(container: DockerContainerFacts, sandbox: Sandbox): void {
    if (sandbox.publishedBy !== null) return;
    this.#sandboxes.publish(sandbox, container, portsOf(container));
    if (sandbox.published.length > 0)
      this.#ledger.putContainer({ ...container, published: sandbox.published.slice() });
  }

  /** Starts the embedded DNS server once the container is in a network that has one; it stays as long as the namespace. */
  #resolve(container: DockerContainerFacts, sandbox: Sandbox): void {
    const { id, networkMode, endpoints } = container;
    if (this.#resolvers.has(sandbox.id) || networkMode.startsWith('container:')) return;
    if (!endpoints.some(({ network, endpointId }) => isUserDefined(network) && endpointId !== '')) return;
    const current = () => this.#ledger.containerById(id) ?? container;
    const resolver = startResolver(sandbox.ns, {
      ledger: this.#ledger,
      container: current,
      upstream: () => this.#files.upstream(current()),
      hasGateway: () => current().endpoints.some(({ gateway }) => gateway !== ''),
    });
    this.#resolvers.set(sandbox.id, resolver);
  }
}

/** What is to be published: what was asked for, and with -P what is exposed beside it. */
function portsOf({ portBindings, publishAll, exposed }: DockerContainerFacts): DockerPortBinding[] {
  const wanted = [...portBindings];
  if (!publishAll) return wanted;
  for (const text of exposed) {
    const [port = '', proto = 'tcp'] = text.split('/');
    if (wanted.some((binding) => `${binding.port}/${binding.proto}` === text)) continue;
    if (proto === 'tcp' || proto === 'udp' || proto === 'sctp')
      wanted.push({ port: Number(port), proto, hostIp: '0.0.0.0', hostPort: 0 });
  }
  return wanted;
}

/** A container's record while it is in none of its networks. */
export function outside(container: DockerContainerFacts): DockerContainerFacts {
  const endpoints = container.endpoints.map(
    (endpoint): DockerEndpointFacts => ({
      ...endpoint,
      endpointId: '',
      address: '',
      gateway: '',
      mac: '',
      ifname: '',
    }),
  );
  return { ...container, sandboxId: '', published: [], endpoints };
}
