import { parseIp4, parsePrefix, prefixContains } from '../../../../protocols/ip4.ts';
import type { ServicePort, TaskTemplate } from './service-rows.ts';

/** A member of the swarm as the scheduler sees it. */
export interface SwarmNode {
  readonly id: string;
  readonly hostname: string;
  readonly address: string;
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

const OPERATORS = ['==', '!='] as const;
const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;

const NODE_LABEL = 'node.labels.';
const ENGINE_LABEL = 'engine.labels.';

/** Whether a node's attribute is what a constraint names; null for an attribute that there is not, which no node has or has not. */
function hasValue(node: SwarmNode, key: string, wanted: string): boolean | null {
  const same = (value: string) => value.toLowerCase() === wanted.toLowerCase();
  const lower = key.toLowerCase();
  switch (lower) {
    case 'node.id':
      return same(node.id);
    case 'node.hostname':
      return same(node.hostname);
    case 'node.role':
      return same(node.role);
    case 'node.platform.os':
      return same('linux');
    case 'node.platform.arch':
      return same('x86_64');
    case 'node.ip': {
      const subnet = parsePrefix(wanted.includes('/') ? wanted : `${wanted}/32`);
      const address = parseIp4(node.address);
      return subnet === null || address === null ? null : prefixContains(subnet, address);
    }
    default:
  }
  // The label itself is case sensitive.
  if (lower.startsWith(NODE_LABEL) && key.length > NODE_LABEL.length)
    return same(node.labels[key.slice(NODE_LABEL.length)] ?? '');
  return lower.startsWith(ENGINE_LABEL) && key.length > ENGINE_LABEL.length ? same('') : null;
}

/** `node.hostname==n1`, `node.role != manager`, `node.labels.zone==a` (swarmkit's constraint.go). @throws ConstraintError */
export function parseConstraint(text: string): (node: SwarmNode) => boolean {
  const operator = OPERATORS.find((one) => text.includes(one));
  if (operator === undefined)
    throw new ConstraintError(`constraint expected one operator from ${OPERATORS.join(', ')}`);
  const at = text.indexOf(operator);
  const key = text.slice(0, at).trim();
  const wanted = text.slice(at + operator.length).trim();
  if (!KEY.test(key)) throw new ConstraintError(`key '${key}' is invalid`);
  if (!VALUE.test(wanted)) throw new ConstraintError(`value '${wanted}' is invalid`);
  return (node) => {
    const has = hasValue(node, key, wanted);
    return has !== null && has === (operator === '==');
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
