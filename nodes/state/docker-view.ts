import type {
  DockerContainerFacts,
  DockerNetworkFacts,
  DockerPeerFacts,
  DockerSwarmFacts,
} from '../events/docker.ts';

/** State of a node's dockerd. All but the peers it keeps in /var/lib/docker: a reboot finds it as it was. By id. */
export interface DockerView {
  readonly networks: readonly DockerNetworkFacts[];
  readonly containers: readonly DockerContainerFacts[];
  /** null while the node is in no swarm. */
  readonly swarm: DockerSwarmFacts | null;
  /** Those in networks that have containers here, in the order in which they came. */
  readonly peers: readonly DockerPeerFacts[];
}

export const EMPTY_DOCKER_VIEW: DockerView = { networks: [], containers: [], swarm: null, peers: [] };

/** Canonical order of networks and of containers. */
export function inIdOrder<T extends { readonly id: string }>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
