import type { DockerContainerFacts } from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import { WatchSync } from '../../watch-sync.ts';
import { DockerError } from '../error.ts';
import { base36 } from './ids.ts';
import { SERVICE_LABEL, SERVICE_NAME_LABEL, TASK_LABEL } from './labels.ts';
import {
  parseService,
  parseTask,
  type ServiceRow,
  type ServiceSpec,
  serviceKeys,
  type TaskRow,
} from './rows.ts';
import type { Swarm } from './swarm.ts';

/** What a task's container is to be, for whoever makes containers. */
export interface TaskContainer {
  readonly name: string;
  readonly service: ServiceRow;
  readonly labels: Readonly<Record<string, string>>;
  /** What the embedded DNS knows all tasks of the service as. */
  readonly aliases: readonly string[];
}

export interface ServicesOptions {
  readonly node: string;
  readonly store: StoreClient;
  readonly swarm: Swarm;
  readonly containers: () => readonly DockerContainerFacts[];
  /** Makes and starts a task's container. */
  readonly run: (task: TaskContainer) => void;
  readonly remove: (id: string) => void;
}

/**
 * Services of the swarm and their tasks. Whoever makes or scales a service spreads its tasks over the nodes; each node's agent
 * runs those that are its own. Tasks of a node that is down wait for it: nobody moves them so far.
 */
export class Services {
  readonly #rt: Runtime;
  readonly #options: ServicesOptions;
  readonly #services = new StoreView('docker.service.', (_key, value) => parseService(value));
  readonly #tasks = new StoreView('docker.task.', (_key, value) => parseTask(value));
  readonly #sync: WatchSync;

  constructor(rt: Runtime, options: ServicesOptions) {
    this.#rt = rt;
    this.#options = options;
    this.#sync = new WatchSync(options.store, 'docker', options.node, () => this.#reconcile());
  }

  /** Called at boot of a node that is in a swarm, and when it joins one. */
  start(): void {
    this.#sync.start();
  }

  storeChanged(change: StoreChange): void {
    this.#sync.storeChanged(change);
    const known = this.#services.apply(change);
    if (this.#tasks.apply(change) || known) this.#reconcile();
  }

  get services(): readonly ServiceRow[] {
    return [...this.#services.keys()]
      .flatMap((key) => this.#services.get(key) ?? [])
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  tasksOf(service: ServiceRow): readonly TaskRow[] {
    return [...this.#tasks.keys()]
      .flatMap((key) => this.#tasks.get(key) ?? [])
      .filter(({ serviceId }) => serviceId === service.id)
      .sort((a, b) => a.slot.localeCompare(b.slot, 'en', { numeric: true }));
  }

  /** By name, id or the beginning of an id. @throws DockerError */
  find(ref: string): ServiceRow {
    const found = this.services.find(({ id, name }) => name === ref || id.startsWith(ref));
    if (found === undefined) throw new DockerError(`service ${ref} not found`);
    return found;
  }

  /** @throws DockerError */
  create(spec: ServiceSpec, done: (id: string) => void): void {
    const refusal = this.#options.swarm.refuseManager();
    if (refusal !== null) throw refusal;
    if (this.services.some(({ name }) => name === spec.name))
      throw new DockerError(
        `rpc error: code = AlreadyExists desc = name conflicts with an existing object: service ${spec.name} already exists`,
      );
    const service: ServiceRow = { ...spec, id: base36(this.#rt.random, 25), created: this.#rt.now };
    const key = serviceKeys.service(service.id);
    this.#options.store.request({ op: 'create', key, value: service }, (answer) => {
      if (answer.type === 'done') this.#services.wrote(key, service, answer.revision);
      this.#spread(service);
      done(service.id);
    });
  }

  /** @throws DockerError */
  scale(ref: string, replicas: number, done: () => void): void {
    const refusal = this.#options.swarm.refuseManager();
    if (refusal !== null) throw refusal;
    const service = this.find(ref);
    if (service.mode === 'global')
      throw new DockerError('scale can only be used with replicated or replicated-job mode');
    const scaled = { ...service, replicas };
    const key = serviceKeys.service(service.id);
    this.#options.store.request({ op: 'put', key, value: scaled }, (answer) => {
      if (answer.type === 'done') this.#services.wrote(key, scaled, answer.revision);
      this.#spread(scaled);
      done();
    });
  }

  /** @throws DockerError */
  remove(ref: string, done: () => void): void {
    const refusal = this.#options.swarm.refuseManager();
    if (refusal !== null) throw refusal;
    const service = this.find(ref);
    for (const { id } of this.tasksOf(service))
      this.#options.store.request({ op: 'delete', key: serviceKeys.task(id) }, () => {});
    this.#options.store.request({ op: 'delete', key: serviceKeys.service(service.id) }, () => done());
  }

  /** Gives a service the tasks that it is to have: each new one to the node with the fewest, the last ones go first. */
  #spread(service: ServiceRow): void {
    const { store, swarm } = this.#options;
    const nodes = swarm.members.map(({ hostname }) => hostname).sort();
    const tasks = this.tasksOf(service);
    const wanted =
      service.mode === 'global' ? nodes : Array.from({ length: service.replicas }, (_, i) => String(i + 1));
    const load = new Map(nodes.map((node) => [node, 0]));
    for (const key of this.#tasks.keys()) {
      const task = this.#tasks.get(key);
      if (task !== null && load.has(task.node)) load.set(task.node, load.get(task.node)! + 1);
    }
    for (const task of tasks)
      if (!wanted.includes(task.slot))
        store.request({ op: 'delete', key: serviceKeys.task(task.id) }, () => {});
    for (const slot of wanted) {
      if (tasks.some((task) => task.slot === slot)) continue;
      const free = nodes.toSorted((a, b) => load.get(a)! - load.get(b)! || (a < b ? -1 : 1))[0];
      const node = service.mode === 'global' ? slot : free;
      if (node === undefined) return;
      load.set(node, load.get(node)! + 1);
      const id = base36(this.#rt.random, 25);
      const task: TaskRow = { id, serviceId: service.id, slot, node, created: this.#rt.now };
      store.request({ op: 'create', key: serviceKeys.task(id), value: task }, () => {});
    }
  }

  /** Brings the containers of this node's tasks to what the store asks for, once it is known what that is. */
  #reconcile(): void {
    const { node, containers, run, remove, swarm } = this.#options;
    if (!this.#sync.synced || swarm.member === null) return;
    const { cause } = this.#rt;
    const mine = new Map<string, TaskRow>();
    for (const key of this.#tasks.keys()) {
      const task = this.#tasks.get(key);
      if (task?.node === node) mine.set(task.id, task);
    }
    const running = new Set<string>();
    for (const { id, labels } of containers()) {
      const task = labels[TASK_LABEL];
      if (task === undefined) continue;
      if (mine.has(task)) running.add(task);
      else remove(id);
      this.#rt.cause = cause;
    }
    for (const task of mine.values()) {
      const service = this.#services.get(serviceKeys.service(task.serviceId));
      if (service === null || running.has(task.id)) continue;
      const labels = {
        [SERVICE_LABEL]: service.id,
        [SERVICE_NAME_LABEL]: service.name,
        [TASK_LABEL]: task.id,
      };
      const name = `${service.name}.${task.slot}.${task.id}`;
      run({ name, service, labels, aliases: [`tasks.${service.name}`, service.name] });
      this.#rt.cause = cause;
    }
  }
}
