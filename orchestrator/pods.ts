import { type PodSpec, type PodStatus, storeKeys } from '../nodes/store.ts';
import type { RunningLab } from './running-lab.ts';
import { matches, type Selector } from './selector.ts';

/** A pod as the store knows it: what is asked for and what has become of it. */
export interface Pod {
  readonly spec: PodSpec;
  /** null until its node's kubelet has written one for this very pod (uid). */
  readonly status: PodStatus | null;
}

const byName = new Intl.Collator('en', { numeric: true });

export async function listPods(lab: RunningLab): Promise<Pod[]> {
  const [specs, statuses] = await Promise.all([lab.list('pods.>'), lab.list('podstatus.>')]);
  const byKey = new Map(statuses.map((entry) => [entry.key, entry.value as PodStatus]));
  return specs
    .map((entry) => {
      const spec = entry.value as PodSpec;
      const status = byKey.get(storeKeys.podStatus(spec.node, spec.namespace, spec.name));
      return { spec, status: status?.uid === spec.uid ? status : null };
    })
    .sort((a, b) => byName.compare(podName(a), podName(b)));
}

/** Pods that run, on nodes that do: the status of a pod outlives its node. */
export async function runningPods(lab: RunningLab): Promise<Pod[]> {
  const [pods, nodes] = await Promise.all([listPods(lab), lab.nodes()]);
  const up = new Set(nodes.filter((node) => node.state === 'running').map((node) => node.name));
  return pods.filter((pod) => pod.status?.phase === 'Running' && up.has(pod.spec.node));
}

export function podName(pod: Pod): string {
  return `${pod.spec.namespace}/${pod.spec.name}`;
}

export function selectPods(pods: readonly Pod[], selector: Selector): Pod[] {
  return pods.filter((pod) => matches(selector, pod.spec.labels));
}

/** Finds a pod by `namespace/name`, or by name alone where that is unambiguous. */
export function findPod(pods: readonly Pod[], name: string): Pod | undefined {
  const exact = pods.find((pod) => podName(pod) === name);
  if (exact !== undefined) return exact;
  const named = pods.filter((pod) => pod.spec.name === name);
  return named.length === 1 ? named[0] : named.find((pod) => pod.spec.namespace === 'default');
}
