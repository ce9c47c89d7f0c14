import type { DockerContainerFacts, DockerEvent, DockerNetworkFacts } from '../events/docker.ts';
import { type DockerView, inIdOrder } from './docker-view.ts';

/** Folds the events of dockerd. A boot changes nothing: all of it is on the disk. */
export class DockerFold {
  readonly #networks = new Map<string, DockerNetworkFacts>();
  readonly #containers = new Map<string, DockerContainerFacts>();

  apply(event: DockerEvent): void {
    switch (event.type) {
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
    return { networks: inIdOrder(this.#networks.values()), containers: inIdOrder(this.#containers.values()) };
  }
}
