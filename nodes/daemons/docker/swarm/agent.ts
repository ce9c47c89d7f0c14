import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerServiceFacts,
} from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import { parseTemplate } from '../cli/template.ts';
import { type CreateSpec, unjoined } from '../create.ts';
import { DockerError } from '../error.ts';
import { NODE_LABEL, SERVICE_LABEL, SERVICE_NAME_LABEL, TASK_LABEL, TASK_NAME_LABEL } from './labels.ts';
import {
  isEnded,
  type ServiceRow,
  type TaskRow,
  type TaskState,
  type TaskStatusRow,
} from './service-rows.ts';
import type { TaskStore } from './task-store.ts';

/** How long a task's container has after SIGTERM, ms (`--stop-grace-period`). */
const GRACE = 10_000;

export interface AgentOptions {
  readonly node: string;
  readonly tasks: TaskStore;
  /** Whether the manager can be heard: a node that is cut off goes on with what it has. */
  readonly assigned: () => boolean;
  /** Id of the network of the routing mesh, '' while it is not known. */
  readonly ingress: () => { readonly id: string; readonly name: string } | null;
  readonly containers: () => readonly DockerContainerFacts[];
  /** @throws DockerError */
  readonly create: (spec: CreateSpec) => DockerContainerFacts;
  readonly start: (id: string, done: (error: DockerError | null) => void) => void;
  readonly stop: (id: string, grace: number, done: () => void) => void;
  readonly remove: (id: string) => void;
  readonly onExit: (id: string, done: () => void) => void;
  /** New connections of its services go elsewhere from now on. */
  readonly disable: (id: string) => void;
}

/** The worker's part (swarmkit's agent and Docker's executor): runs the tasks that are this node's and tells what comes of them. */
export class Agent {
  readonly #rt: Runtime;
  readonly #options: AgentOptions;
  /** Tasks that something is being done to. */
  readonly #busy = new Set<string>();
  #looking = false;
  #again = false;
  /** What was told last and has not come back yet, by task. */
  readonly #told = new Map<string, TaskStatusRow>();

  constructor(rt: Runtime, options: AgentOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  /** Brings the containers of this node's tasks to what they are to be. What ends by that calls for another look. */
  look(): void {
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#again && this.#options.assigned()) {
      this.#again = false;
      this.#lookOnce();
    }
    this.#looking = false;
  }

  #lookOnce(): void {
    const { node, tasks, containers } = this.#options;
    const { cause } = this.#rt;
    const mine = new Map(tasks.tasks.flatMap((task) => (task.node === node ? [[task.id, task]] : [])));
    for (const container of containers()) {
      const task = container.labels[TASK_LABEL];
      if (task === undefined || mine.has(task) || this.#busy.has(task)) continue;
      this.#rt.cause = cause;
      this.#options.remove(container.id);
    }
    for (const task of mine.values()) {
      this.#rt.cause = cause;
      this.#see(task);
    }
    this.#rt.cause = cause;
  }

  /** The node leaves the swarm: its tasks end with that. */
  removeAll(): void {
    this.#looking = true;
    for (const { id, labels } of this.#options.containers())
      if (labels[TASK_LABEL] !== undefined) this.#options.remove(id);
    this.#looking = false;
  }

  #see(task: TaskRow): void {
    if (this.#busy.has(task.id)) return;
    const { tasks, containers, remove } = this.#options;
    const status = this.#told.get(task.id) ?? tasks.statusOf(task.id);
    const ended = status !== null && isEnded(status.state);
    const container = containers().find(({ labels }) => labels[TASK_LABEL] === task.id);
    const running = container?.state.status === 'running';
    if (task.desired === 'shutdown' || task.desired === 'remove') {
      if (running) this.#stop(task, container);
      else {
        if (!ended) this.#tell(task, 'shutdown', '', container?.id ?? '');
        if (container !== undefined && task.desired === 'remove') remove(container.id);
      }
      return;
    }
    if (task.desired !== 'running' || ended) return;
    if (running) {
      if (status?.state !== 'running') this.#tell(task, 'running', '', container.id);
    } else if (container === undefined) this.#run(task);
    else this.#exited(task, container);
  }

  #run(task: TaskRow): void {
    const { tasks, create, start, onExit } = this.#options;
    const service = tasks.service(task.serviceId);
    if (service === null) return;
    let id = '';
    try {
      ({ id } = create(this.#specOf(task, service)));
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
      this.#tell(task, 'rejected', error.message, '');
      return;
    }
    this.#busy.add(task.id);
    start(id, (error) => {
      this.#busy.delete(task.id);
      if (error === null) {
        onExit(id, () => this.look());
        this.look();
      } else this.#tell(task, 'failed', `starting container failed: ${error.message}`, id);
    });
  }

  #stop(task: TaskRow, { id }: DockerContainerFacts): void {
    const { stop, disable } = this.#options;
    this.#busy.add(task.id);
    disable(id);
    stop(id, GRACE, () => {
      this.#busy.delete(task.id);
      this.look();
    });
  }

  #exited(task: TaskRow, { id, state }: DockerContainerFacts): void {
    if (state.exitCode === 0) this.#tell(task, 'complete', '', id);
    else this.#tell(task, 'failed', `task: non-zero exit (${state.exitCode})`, id);
  }

  #tell({ id }: TaskRow, state: TaskState, error: string, containerId: string): void {
    const row: TaskStatusRow = { taskId: id, state, at: this.#rt.now, error, containerId };
    this.#told.set(id, row);
    this.#options.tasks.putStatus(row, () => {
      if (this.#told.get(id) === row) this.#told.delete(id);
    });
  }

  #specOf(task: TaskRow, service: ServiceRow): CreateSpec {
    const { template, ports } = task;
    const name = taskName(task, service);
    const local = template.networks.find(({ name: network }) => network === 'host' || network === 'none');
    const endpoints = local === undefined ? this.#endpointsOf(task, service) : [];
    return {
      name: `${name}.${task.id}`,
      image: template.image,
      entrypoint: null,
      command: template.command,
      hostname: expand(template.hostname, task, service),
      env: template.env.map((text) => expand(text, task, service)),
      labels: {
        ...template.containerLabels,
        [NODE_LABEL]: task.nodeId,
        [SERVICE_LABEL]: service.id,
        [SERVICE_NAME_LABEL]: service.name,
        [TASK_LABEL]: task.id,
        [TASK_NAME_LABEL]: `${name}.${task.id}`,
      },
      tty: false,
      openStdin: false,
      expose: [],
      publish: ports.flatMap(({ mode, proto, target, published }) =>
        mode === 'host' ? [{ port: target, proto, hostIp: '0.0.0.0', hostPort: published }] : [],
      ),
      publishAll: false,
      networkMode: local?.name ?? endpoints[0]?.network ?? 'default',
      ip: '',
      macAddress: '',
      links: [],
      aliases: [],
      dns: template.dns,
      dnsSearch: template.dnsSearch,
      dnsOptions: template.dnsOptions,
      extraHosts: template.hosts,
      restart: { name: 'no', maximumRetryCount: 0 },
      autoRemove: false,
      ...(endpoints.length === 0 ? {} : { endpoints }),
    };
  }

  /** Its places in networks: that of the routing mesh first, where it has ports there. */
  #endpointsOf({ template, ports }: TaskRow, service: ServiceRow): DockerEndpointFacts[] {
    const ingress = this.#options.ingress();
    const mesh = ports.flatMap(({ mode, proto, target, published }) =>
      mode === 'ingress' ? [{ proto, target, published }] : [],
    );
    const place = (
      network: { readonly id: string; readonly name: string; readonly aliases: readonly string[] },
      published: DockerServiceFacts['ports'],
    ) => {
      const vip = service.virtualIps.find(({ networkId }) => networkId === network.id)?.address ?? '';
      return unjoined(network.name, {
        ip: '',
        aliases: [],
        links: [],
        service: {
          id: service.id,
          name: service.name,
          aliases: network.aliases,
          vip: vip.split('/')[0] ?? '',
          ports: published,
        },
      });
    };
    return [
      ...(ingress === null || mesh.length === 0 ? [] : [place({ ...ingress, aliases: [] }, mesh)]),
      ...template.networks.map((network) => place(network, [])),
    ];
  }
}

/** `web.1`; of a global service `web.` and the node's id. */
export function taskName({ slot, nodeId }: TaskRow, { name }: ServiceRow): string {
  return `${name}.${slot === 0 ? nodeId : slot}`;
}

/** Puts in what `{{.Node.Hostname}}` and its like stand for (swarmkit's template package). */
function expand(text: string, task: TaskRow, service: ServiceRow): string {
  if (!text.includes('{{')) return text;
  return parseTemplate(text).execute({
    Service: { ID: service.id, Name: service.name, Labels: service.labels },
    Node: { ID: task.nodeId, Hostname: task.node },
    Task: {
      ID: task.id,
      Name: `${taskName(task, service)}.${task.id}`,
      Slot: task.slot === 0 ? task.nodeId : String(task.slot),
    },
  });
}
