import type { DockerContainerFacts } from '../nodes/events/docker.ts';
import type { Snapshot } from './observe/verify.ts';
import { NodeDownError, type RunningLab } from './running-lab.ts';

/** A container of a node's Docker Engine that runs. */
export interface LabContainer {
  readonly node: string;
  readonly facts: DockerContainerFacts;
}

/** Where one asks from: a pod or container of this node, or the node itself (''). */
export interface Vantage {
  readonly node: string;
  readonly pod: string;
}

export async function listContainers(lab: RunningLab): Promise<LabContainer[]> {
  const running = (await lab.nodes()).filter(({ state }) => state === 'running');
  const lists = await Promise.all(
    running.map(async ({ name: node }): Promise<LabContainer[]> => {
      try {
        const reply = await lab.command(node, { type: 'snapshot' });
        if (reply.type !== 'value') return [];
        return (reply.value as Snapshot).view.docker.containers.flatMap((facts) =>
          facts.state.status === 'running' ? [{ node, facts }] : [],
        );
      } catch (error) {
        if (error instanceof NodeDownError) return [];
        throw error;
      }
    }),
  );
  return lists.flat();
}

/** Finds a container by `node/name`, or by name alone: that of the node where one is, else the only one. */
export function findContainer(
  containers: readonly LabContainer[],
  text: string,
  from: Vantage | null,
): LabContainer | undefined {
  const exact = containers.find(({ node, facts }) => `${node}/${facts.name}` === text);
  if (exact !== undefined) return exact;
  const named = containers.filter(({ facts }) => facts.name === text);
  return named.find(({ node }) => node === from?.node) ?? (named.length === 1 ? named[0] : undefined);
}

/** Address of a container: in a network that it shares with where one is, else its first; '' for none. */
export function containerAddress(
  { facts }: LabContainer,
  containers: readonly LabContainer[],
  from: Vantage | null,
): string {
  const own =
    from === null || from.pod === ''
      ? []
      : (findContainer(containers, `${from.node}/${from.pod}`, from)?.facts.endpoints ?? []);
  const joined = facts.endpoints.filter(({ address }) => address !== '');
  const shared = joined.find(({ networkId }) => own.some((other) => other.networkId === networkId));
  return (shared ?? joined[0])?.address.split('/')[0] ?? '';
}
