import type { DockerContainerFacts, DockerNetworkFacts } from '../events/docker.ts';

/** State of a node's dockerd, which is what it keeps in /var/lib/docker: a reboot finds it as it was. By id. */
export interface DockerView {
  readonly networks: readonly DockerNetworkFacts[];
  readonly containers: readonly DockerContainerFacts[];
}

export const EMPTY_DOCKER_VIEW: DockerView = { networks: [], containers: [] };

/** Canonical order of networks and of containers. */
export function inIdOrder<T extends { readonly id: string }>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
