import type {
  DockerContainerFacts,
  DockerEvent,
  DockerNetworkFacts,
  DockerPeerFacts,
  DockerSwarmFacts,
} from '../events/docker.ts';
import type { NodeEvent } from '../events/node.ts';
import { type DockerView, inIdOrder } from './docker-view.ts';

/** Folds the events of dockerd. At a boot the peers are gone; all else is on the disk. */
export class DockerFold {
  readonly #networks = new Map<string, DockerNetworkFacts>();
  readonly #containers = new Map<string, DockerContainerFacts>();

  #swarm: DockerSwarmFacts | null = null;
  readonly #peers = new Map<string, DockerPeerFacts>();

  apply(event: DockerEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
        this.#peers.clear();
        break;
      case 'docker.swarm':
        this.#swarm = event.swarm;
        break;
      case 'docker.peer':
        this.#peers.set(`${event.peer.networkId} ${event.peer.endpointId}`, event.peer);
        break;
      case 'docker.peer.removed':
        this.#peers.delete(`${event.networkId} ${event.endpointId}`);
        break;
      case 'docker.command':
        break;
      case 'docker.network':
        this.#networks.set(event.network.id, event.network);
        break;
      case 'docker.network.removed':
        this.#networks.delete(event.id);
        break;
      case 'docker.container':
        this.#containers.set(event.container.id, event.container);
        break;
      case 'docker.container.removed':
        this.#containers.delete(event.id);
        break;
    }
  }

  view(): DockerView {
    return {
      networks: inIdOrder(this.#networks.values()),
      containers: inIdOrder(this.#containers.values()),
      swarm: this.#swarm,
      peers: [...this.#peers.values()],
    };
  }
}
