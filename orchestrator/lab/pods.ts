import { formatPrefix } from '../../protocols/ip4.ts';
import { blockCount } from '../../protocols/ipam/block-order.ts';
import type { Cluster } from './cluster.ts';
import type { DesiredPod } from './compiled.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Path, Reporter } from './problem.ts';

const DEFAULT_NAME = 'web';
const DEFAULT_NAMESPACE = 'default';

/**
 * The pods that a lab asks for: `pods` puts some on every schedulable node (`web-n1-1`), a deployment spreads its
 * replicas over them in turn (`web-1`), the next one going on where it ended.
 */
export function desiredPods(cluster: Cluster, reporter: Reporter): DesiredPod[] {
  const { spec, members } = cluster;
  const schedulable = members.filter((node) => node.definition.schedulable ?? node.kind === 'node');
  const pods: DesiredPod[] = [];
  const taken = new Set<string>();
  const add = (pod: DesiredPod, path: Path) => {
    const key = `${pod.namespace}/${pod.name}`;
    if (taken.has(key)) {
      reporter.problem(path, `pod ${key} is there twice`, 'give one of the two another name or namespace');
      return;
    }
    taken.add(key);
    pods.push(pod);
  };

  const perNode = typeof spec.pods === 'number' ? { perNode: spec.pods } : spec.pods;
  if (perNode !== undefined) {
    const { name = DEFAULT_NAME, namespace = DEFAULT_NAMESPACE, labels = { app: name } } = perNode;
    for (const node of schedulable) {
      for (let i = 1; i <= perNode.perNode; i++) {
        add({ namespace, name: `${name}-${node.name}-${i}`, labels, node: node.name }, ['cluster', 'pods']);
      }
    }
  }
  let turn = 0;
  for (const [i, deployment] of (spec.deployments ?? []).entries()) {
    const path = ['cluster', 'deployments', i];
    const { name, replicas, namespace = DEFAULT_NAMESPACE, labels = { app: name } } = deployment;
    if (replicas > 0 && schedulable.length === 0) {
      reporter.problem(path, 'no node takes pods', 'add one of kind node, or set schedulable: true');
      continue;
    }
    for (let replica = 1; replica <= replicas; replica++) {
      const node = schedulable[turn++ % schedulable.length]!;
      add({ namespace, name: `${name}-${replica}`, labels, node: node.name }, [...path, 'name']);
    }
  }
  checkCapacity(cluster, schedulable, pods, reporter);
  return pods;
}

function checkCapacity(
  cluster: Cluster,
  schedulable: readonly ResolvedNode[],
  pods: readonly DesiredPod[],
  reporter: Reporter,
): void {
  const { spec, podCIDR, nodeCidrLen, members } = cluster;
  const path = ['cluster', spec.pods === undefined ? 'deployments' : 'pods'];
  const network = formatPrefix(podCIDR);
  const blocks = blockCount(podCIDR, nodeCidrLen);
  if (blocks < (spec.cni === 'calico' ? 1 : 2)) return;
  if (spec.cni === 'calico') {
    const size = 2 ** (32 - podCIDR.len);
    if (pods.length > size) {
      reporter.problem(
        path,
        `${pods.length} pods are more than the ${size} addresses of ${network}`,
        'take a larger podCIDR',
      );
    } else if (pods.length > 0 && schedulable.length > blocks) {
      const message = `${schedulable.length} nodes share ${blocks} blocks of /${nodeCidrLen}: some will borrow addresses`;
      reporter.warning(path, message, 'take a larger podCIDR or a longer blockSize');
    }
    return;
  }
  // flannel leaves out the first subnet (SubnetMin), the gateway, and network and broadcast address of each.
  const subnets = blocks - 1;
  const room = 2 ** (32 - nodeCidrLen) - 3;
  if (members.length > subnets) {
    const message = `${members.length} nodes are more than the ${subnets} subnets of /${nodeCidrLen} in ${network}`;
    reporter.problem(['cluster'], message, 'take a larger podCIDR or a longer subnetLen', 'key');
  }
  const counts = new Map<string, number>();
  for (const { node } of pods) counts.set(node, (counts.get(node) ?? 0) + 1);
  for (const [node, count] of counts) {
    if (count <= room) continue;
    const message = `${count} pods on ${node} are more than the ${room} addresses of a /${nodeCidrLen}`;
    reporter.problem(path, message, 'take fewer pods or a shorter subnetLen');
    return;
  }
}
