import type { ServicePort, TaskTemplate } from './service-rows.ts';

/** A member of the swarm as the scheduler sees it. */
export interface SwarmNode {
  readonly id: string;
  readonly hostname: string;
  readonly role: 'manager' | 'worker';
  readonly availability: 'active' | 'pause' | 'drain';
  readonly state: 'ready' | 'down';
  readonly labels: Readonly<Record<string, string>>;
}

/** What a node has of tasks that are to run. */
export interface Load {
  /** Of all services. */
  readonly tasks: number;
  /** Of the service that is scheduled. */
  readonly ofService: number;
  /** `mode=host` ports that are taken: `8080/tcp`. */
  readonly hostPorts: ReadonlySet<string>;
}

export type Choice =
  | { readonly type: 'node'; readonly node: SwarmNode }
  /** In the words of `docker service ps`. */
  | { readonly type: 'none'; readonly problem: string };

interface Filter {
  readonly explain: (nodes: number) => string;
  readonly passes: (node: SwarmNode, load: Load) => boolean;
}

/** The words are off: `docker service create --constraint`. */
export class ConstraintError extends Error {
  override readonly name = 'ConstraintError';
}

const CONSTRAINT = /^\s*([\w.-]+)\s*(==|!=)\s*(.*?)\s*$/;

/** A node's value of what a constraint asks for; null for what there is not. */
function attributeOf(node: SwarmNode, key: string): string | null {
  switch (key.toLowerCase()) {
    case 'node.id':
      return node.id;
    case 'node.hostname':
      return node.hostname;
    case 'node.role':
      return node.role;
    case 'node.platform.os':
      return 'linux';
    case 'node.platform.arch':
      return 'x86_64';
    default:
  }
  if (key.toLowerCase().startsWith('node.labels.'))
    return node.labels[key.slice('node.labels.'.length)] ?? '';
  return null;
}

const NODE_KEYS = ['node.id', 'node.hostname', 'node.role', 'node.platform.os', 'node.platform.arch'];

/** `node.hostname==n1`, `node.role != manager`, `node.labels.zone==a`. @throws ConstraintError in swarmkit's words */
export function parseConstraint(text: string): (node: SwarmNode) => boolean {
  const match = CONSTRAINT.exec(text);
  const [, key = '', operator, wanted = ''] = match ?? [];
  if (match === null) throw new ConstraintError('constraint expected one operator from ==, !=');
  const known = NODE_KEYS.includes(key.toLowerCase()) || /^(node|engine)\.labels\..+/i.test(key);
  if (!known) throw new ConstraintError(`'${key}' is an invalid constraint key`);
  return (node) => {
    const value = attributeOf(node, key);
    const same = value !== null && value.toLowerCase() === wanted.toLowerCase();
    return value !== null && same === (operator === '==');
  };
}

/** Whether a node may have tasks of a template at all. */
export function satisfies(node: SwarmNode, constraints: readonly string[]): boolean {
  return constraints.every((text) => parseConstraint(text)(node));
}

/** Keys of ports that only one task on a node can have. */
export function hostPortsOf(ports: readonly ServicePort[]): string[] {
  return ports.flatMap(({ mode, published, proto }) =>
    mode === 'host' && published !== 0 ? [`${published}/${proto}`] : [],
  );
}

function filtersOf(template: TaskTemplate, ports: readonly ServicePort[]): Filter[] {
  const wanted = hostPortsOf(ports);
  const counted = (words: string, more: string) => (nodes: number) =>
    `${words} on ${nodes} node${nodes === 1 ? '' : 's'}${more}`;
  return [
    {
      explain: (nodes) =>
        nodes === 1 ? '1 node not available for new tasks' : `${nodes} nodes not available for new tasks`,
      passes: ({ state, availability }) => state === 'ready' && availability === 'active',
    },
    {
      explain: counted('scheduling constraints not satisfied', ''),
      passes: (node) => satisfies(node, template.constraints),
    },
    {
      explain: counted('host-mode port already in use', ''),
      passes: (_, { hostPorts }) => !wanted.some((port) => hostPorts.has(port)),
    },
    {
      explain: () => 'max replicas per node limit exceed',
      passes: (_, { ofService }) =>
        template.maxReplicasPerNode === 0 || ofService < template.maxReplicasPerNode,
    },
  ];
}

/**
 * A node for a task (swarmkit's scheduler, spread): of those that may have it, the one with the fewest of the service's tasks, of these
 * the one with the fewest of all. A node fails at the first filter that does not let it pass, and is counted there.
 */
export function chooseNode(
  nodes: readonly SwarmNode[],
  loadOf: (node: SwarmNode) => Load,
  template: TaskTemplate,
  ports: readonly ServicePort[],
): Choice {
  const filters = filtersOf(template, ports);
  const failures = filters.map(() => 0);
  const fit = nodes.filter((node) => {
    const at = filters.findIndex(({ passes }) => !passes(node, loadOf(node)));
    if (at >= 0) failures[at]!++;
    return at < 0;
  });
  const [best] = fit.toSorted((a, b) => {
    const [one, other] = [loadOf(a), loadOf(b)];
    return one.ofService - other.ofService || one.tasks - other.tasks || (a.hostname < b.hostname ? -1 : 1);
  });
  if (best !== undefined) return { type: 'node', node: best };
  const reasons = filters
    .map(({ explain }, i) => ({ count: failures[i]!, explain }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)
    .map(({ count, explain }) => explain(count));
  return {
    type: 'none',
    problem: `no suitable node${reasons.length === 0 ? '' : ` (${reasons.join('; ')})`}`,
  };
}
