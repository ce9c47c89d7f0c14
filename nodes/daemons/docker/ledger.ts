import type {
  DockerContainerFacts,
  DockerNetworkFacts,
  DockerPeerFacts,
  DockerSwarmFacts,
} from '../../events/docker.ts';
import type { Runtime } from '../../runtime.ts';
import { type DockerView, EMPTY_DOCKER_VIEW, inIdOrder } from '../../state/docker-view.ts';
import { ActivityLog } from './activity.ts';
import { DockerError, noSuchContainer, noSuchNetwork } from './error.ts';

/** dockerd's records of networks and containers, on its disk: every change is an event. */
export class DockerLedger {
  readonly #rt: Runtime;
  readonly #networks = new Map<string, DockerNetworkFacts>();
  /** In the order in which they were made. */
  readonly #containers = new Map<string, DockerContainerFacts>();

  readonly #peers = new Map<string, DockerPeerFacts>();
  /** What there is to tell of changes. */
  readonly activity: ActivityLog;
  #swarm: DockerSwarmFacts | null;

  constructor(rt: Runtime, disk: DockerView | null) {
    this.#rt = rt;
    const { networks, containers, swarm } = disk ?? EMPTY_DOCKER_VIEW;
    this.#swarm = swarm;
    this.activity = new ActivityLog(
      () => rt.now,
      (id) => this.#networks.get(id)?.driver ?? '',
    );
    for (const network of networks) this.#networks.set(network.id, network);
    for (const container of containers.toSorted((a, b) => a.created - b.created))
      this.#containers.set(container.id, container);
  }

  get networks(): readonly DockerNetworkFacts[] {
    return [...this.#networks.values()];
  }

  get containers(): readonly DockerContainerFacts[] {
    return [...this.#containers.values()];
  }

  get swarm(): DockerSwarmFacts | null {
    return this.#swarm;
  }

  setSwarm(swarm: DockerSwarmFacts | null): void {
    this.#swarm = swarm;
    this.#rt.emit({ type: 'docker.swarm', swarm });
  }

  /** In the order in which they came. */
  get peers(): readonly DockerPeerFacts[] {
    return [...this.#peers.values()];
  }

  putPeer(peer: DockerPeerFacts): void {
    this.#peers.set(`${peer.networkId} ${peer.endpointId}`, peer);
    this.#rt.emit({ type: 'docker.peer', peer });
  }

  removePeer({ networkId, endpointId }: DockerPeerFacts): void {
    this.#peers.delete(`${networkId} ${endpointId}`);
    this.#rt.emit({ type: 'docker.peer.removed', networkId, endpointId });
  }

  putNetwork(network: DockerNetworkFacts): void {
    if (!this.#networks.has(network.id)) this.activity.network(network, 'create');
    this.#networks.set(network.id, network);
    this.#rt.emit({ type: 'docker.network', network });
  }

  removeNetwork(network: DockerNetworkFacts): void {
    const { id, name } = network;
    if (this.#networks.delete(id)) this.activity.network(network, 'destroy');
    this.#rt.emit({ type: 'docker.network.removed', id, name });
  }

  putContainer(container: DockerContainerFacts): DockerContainerFacts {
    const before = this.#containers.get(container.id);
    this.#containers.set(container.id, container);
    this.#rt.emit({ type: 'docker.container', container });
    this.activity.container(before, container);
    return container;
  }

  removeContainer(container: DockerContainerFacts): void {
    const { id, name } = container;
    this.#containers.delete(id);
    this.#rt.emit({ type: 'docker.container.removed', id, name });
    this.activity.container(container, null);
  }

  /** By id, name or the beginning of an id. @throws DockerError */
  container(ref: string): DockerContainerFacts {
    const name = ref.replace(/^\//, '');
    const exact = this.#containers.get(ref) ?? this.containers.find((other) => other.name === name);
    if (exact !== undefined) return exact;
    return this.#byPrefix(ref, this.containers, 'container') ?? fail(noSuchContainer(ref));
  }

  containerById(id: string): DockerContainerFacts | undefined {
    return this.#containers.get(id);
  }

  /** By id, name or the beginning of an id. @throws DockerError */
  network(ref: string): DockerNetworkFacts {
    const exact = this.#networks.get(ref) ?? this.networks.find((other) => other.name === ref);
    if (exact !== undefined) return exact;
    return this.#byPrefix(ref, this.networks, 'network') ?? fail(noSuchNetwork(ref));
  }

  view(): DockerView {
    return {
      networks: inIdOrder(this.#networks.values()),
      containers: inIdOrder(this.#containers.values()),
      swarm: this.#swarm,
      peers: this.peers,
    };
  }

  #byPrefix<T extends { readonly id: string }>(
    ref: string,
    items: readonly T[],
    what: string,
  ): T | undefined {
    if (!/^[0-9a-z]+$/.test(ref)) return undefined;
    const [first, second] = items.filter(({ id }) => id.startsWith(ref));
    if (second !== undefined)
      throw new DockerError(
        what === 'network'
          ? `network ${ref} is ambiguous (${items.filter(({ id }) => id.startsWith(ref)).length} matches found on ID prefix)`
          : `Multiple IDs found with provided prefix: ${ref}`,
      );
    return first;
  }
}

function fail(error: DockerError): never {
  throw error;
}
