import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { StoreValue } from '../../../store.ts';
import { areTexts, isPort, isProtocol, isRecord } from './rows.ts';

/**
 * Services and their tasks in the lab's store:
 *
 *     docker.service.<id>       ServiceRow: written by the manager that is asked, and by the leader
 *     docker.task.<id>          TaskRow: what is to be; written by the leader
 *     docker.status.<task id>   TaskStatusRow: what is; written by the node that has the task
 */
export const serviceKeys = {
  service: (id: string) => `docker.service.${id}`,
  task: (id: string) => `docker.task.${id}`,
  status: (taskId: string) => `docker.status.${taskId}`,
} as const;

export interface ServicePort {
  readonly proto: 'tcp' | 'udp' | 'sctp';
  readonly target: number;
  /** 0: of `mode=ingress`, until one of 30000-32767 is given; of `mode=host`, any that is free. */
  readonly published: number;
  /** 'ingress': on every node; 'host': on the node of each task. */
  readonly mode: 'ingress' | 'host';
}

export interface ServiceNetwork {
  readonly name: string;
  readonly id: string;
  readonly aliases: readonly string[];
}

export interface RestartPolicy {
  readonly condition: 'none' | 'on-failure' | 'any';
  /** ms */
  readonly delay: number;
  /** 0 for no limit. */
  readonly maxAttempts: number;
}

export interface UpdatePolicy {
  /** Tasks at a time, 0 for all. */
  readonly parallelism: number;
  /** ms between one and the next. */
  readonly delay: number;
}

/** What of a service makes its tasks what they are: a change of it replaces them. */
export interface TaskTemplate {
  readonly image: string;
  /** ENTRYPOINT's words in place of the image's; empty for its own. */
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly hostname: string;
  /** `name:address` */
  readonly hosts: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly containerLabels: Readonly<Record<string, string>>;
  readonly networks: readonly ServiceNetwork[];
  /** `node.hostname==n1` */
  readonly constraints: readonly string[];
  /** 0 for no limit. */
  readonly maxReplicasPerNode: number;
  readonly restart: RestartPolicy;
  /** `docker service update --force` counts it on. */
  readonly forceUpdate: number;
}

/** What `docker service create` has where nothing is said. */
export const DEFAULT_TEMPLATE: TaskTemplate = {
  image: '',
  command: [],
  env: [],
  hostname: '',
  hosts: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  containerLabels: {},
  networks: [],
  constraints: [],
  maxReplicasPerNode: 0,
  restart: { condition: 'any', delay: 5000, maxAttempts: 0 },
  forceUpdate: 0,
};

export interface ServiceSpec {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly mode: 'replicated' | 'global';
  /** Of a replicated one. */
  readonly replicas: number;
  readonly template: TaskTemplate;
  readonly endpointMode: 'vip' | 'dnsrr';
  readonly ports: readonly ServicePort[];
  readonly update: UpdatePolicy;
}

export interface VirtualAddress {
  readonly networkId: string;
  /** With prefix length. */
  readonly address: string;
}

export interface UpdateStatus {
  readonly state: 'updating' | 'completed';
  /** ms */
  readonly startedAt: number;
  readonly completedAt: number | null;
}

export interface ServiceRow extends ServiceSpec, StoreValue {
  readonly id: string;
  /** ms */
  readonly created: number;
  readonly updated: number;
  /** Counts changes of what tasks are made of: one of an older number is replaced. */
  readonly version: number;
  /** Before the last `docker service update`; null if there was none. */
  readonly previous: ServiceSpec | null;
  readonly virtualIps: readonly VirtualAddress[];
  readonly updateStatus: UpdateStatus | null;
}

export interface TaskRow extends StoreValue {
  readonly id: string;
  readonly serviceId: string;
  /** From 1; 0 for a task of a global service. */
  readonly slot: number;
  /** '' while there is no node for it. */
  readonly node: string;
  readonly nodeId: string;
  readonly created: number;
  /** 'ready': it waits for the one before it to end; 'remove': it is to be forgotten once it has ended. */
  readonly desired: 'ready' | 'running' | 'shutdown' | 'remove';
  /** Not before this time, ms. */
  readonly notBefore: number;
  /** Of the service that it is made after. */
  readonly version: number;
  readonly template: TaskTemplate;
  readonly ports: readonly ServicePort[];
  /** Why there is no node for it, '' if there is one. */
  readonly problem: string;
}

/** What a task has come to, in swarmkit's words, as far as they are told apart here. */
export type TaskState =
  | 'pending'
  | 'assigned'
  | 'preparing'
  | 'running'
  | 'complete'
  | 'shutdown'
  | 'failed'
  | 'rejected';

export interface TaskStatusRow extends StoreValue {
  readonly taskId: string;
  readonly state: TaskState;
  /** ms */
  readonly at: number;
  /** '' if nothing is wrong. */
  readonly error: string;
  /** '' while there is none. */
  readonly containerId: string;
}

const ENDED: ReadonlySet<TaskState> = new Set(['complete', 'shutdown', 'failed', 'rejected']);

/** Whether a task in this state will do nothing more. */
export function isEnded(state: TaskState): boolean {
  return ENDED.has(state);
}

/** Rows are written by dockerds alone: what is checked is all that a bad row could break. */
export function parseService(value: StoreValue): ServiceRow | null {
  const row = value as ServiceRow;
  if (!areTexts([row.id, row.name]) || !isRecord(row.labels) || !areTexts(row.labels)) return null;
  if (![row.created, row.updated].every((at) => typeof at === 'number')) return null;
  if (!Number.isInteger(row.replicas) || row.replicas < 0 || !Number.isInteger(row.version)) return null;
  if (row.mode !== 'replicated' && row.mode !== 'global') return null;
  if (row.endpointMode !== 'vip' && row.endpointMode !== 'dnsrr') return null;
  if (!isRecord(row.update) || !Number.isInteger(row.update.parallelism)) return null;
  if (typeof row.update.delay !== 'number') return null;
  const addresses = Array.isArray(row.virtualIps) && row.virtualIps.every(isVirtualAddress);
  const status = row.updateStatus === null || isUpdateStatus(row.updateStatus);
  const before = row.previous === null || isRecord(row.previous);
  return addresses && status && before && arePorts(row.ports) && isTemplate(row.template) ? row : null;
}

export function parseTask(value: StoreValue): TaskRow | null {
  const row = value as TaskRow;
  if (!areTexts([row.id, row.serviceId, row.node, row.nodeId, row.problem])) return null;
  if (![row.slot, row.version].every(Number.isInteger)) return null;
  if (![row.created, row.notBefore].every((at) => typeof at === 'number')) return null;
  if (!['ready', 'running', 'shutdown', 'remove'].includes(row.desired)) return null;
  return arePorts(row.ports) && isTemplate(row.template) ? row : null;
}

const STATES: readonly string[] = [...ENDED, 'pending', 'assigned', 'preparing', 'running'];

export function parseTaskStatus(value: StoreValue): TaskStatusRow | null {
  const row = value as TaskStatusRow;
  if (!areTexts([row.taskId, row.state, row.error, row.containerId])) return null;
  return STATES.includes(row.state) && typeof row.at === 'number' ? row : null;
}

function isVirtualAddress(value: unknown): boolean {
  if (!isRecord(value) || typeof value.networkId !== 'string') return false;
  return parseIp4(String(value.address).split('/')[0] ?? '') !== null;
}

function isUpdateStatus(value: unknown): boolean {
  if (!isRecord(value) || (value.state !== 'updating' && value.state !== 'completed')) return false;
  return (
    typeof value.startedAt === 'number' &&
    (value.completedAt === null || typeof value.completedAt === 'number')
  );
}

function arePorts(ports: unknown): boolean {
  return (
    Array.isArray(ports) &&
    ports.every(
      (port) =>
        isRecord(port) &&
        isProtocol(port.proto) &&
        isPort(port.target) &&
        isPort(port.published) &&
        (port.mode === 'ingress' || port.mode === 'host'),
    )
  );
}

function isTemplate(value: unknown): boolean {
  if (!isRecord(value) || !areTexts([value.image, value.hostname])) return false;
  const lists = [value.command, value.env, value.hosts, value.dns, value.dnsSearch, value.dnsOptions];
  if (![...lists, value.constraints].every((list) => Array.isArray(list) && areTexts(list))) return false;
  if (!isRecord(value.containerLabels) || !areTexts(value.containerLabels)) return false;
  if (![value.maxReplicasPerNode, value.forceUpdate].every(Number.isInteger)) return false;
  const { networks, restart } = value;
  const joined =
    Array.isArray(networks) &&
    networks.every(
      (network) =>
        isRecord(network) &&
        areTexts([network.name, network.id]) &&
        Array.isArray(network.aliases) &&
        areTexts(network.aliases),
    );
  if (!joined || !isRecord(restart)) return false;
  const { condition, delay, maxAttempts } = restart;
  return (
    (condition === 'none' || condition === 'on-failure' || condition === 'any') &&
    typeof delay === 'number' &&
    Number.isInteger(maxAttempts)
  );
}
