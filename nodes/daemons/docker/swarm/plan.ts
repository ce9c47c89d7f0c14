import { chooseNode, hostPortsOf, type Load, type SwarmNode, satisfies } from './scheduler.ts';
import {
  isEnded,
  type RestartPolicy,
  type ServiceRow,
  type TaskRow,
  type TaskState,
  type TaskStatusRow,
} from './service-rows.ts';

/** Tasks that are kept of a slot, the present one included (`TaskHistoryRetentionLimit`). */
const HISTORY = 5;

/** What the leader goes by. */
export interface World {
  /** ms */
  readonly now: number;
  readonly services: readonly ServiceRow[];
  readonly tasks: readonly TaskRow[];
  readonly statusOf: (taskId: string) => TaskStatusRow | null;
  readonly nodes: readonly SwarmNode[];
  readonly newId: () => string;
}

/** What is to be written. */
export interface Plan {
  readonly tasks: readonly TaskRow[];
  /** Tasks that are forgotten. */
  readonly dropped: readonly string[];
  readonly services: readonly ServiceRow[];
  /** When to look again, ms; null: when something changes. */
  readonly wake: number | null;
}

export function stateOf(task: TaskRow, status: TaskStatusRow | null): TaskState {
  return status?.state ?? (task.node === '' ? 'pending' : 'assigned');
}

function isWanted({ desired }: TaskRow): boolean {
  return desired === 'ready' || desired === 'running';
}

/**
 * What is to be done for the services to be as they are specified (swarmkit's orchestrators, updater, scheduler and task reaper as one
 * function of what there is): tasks that have ended or whose node is down or drained are replaced, slots added and taken away, tasks
 * of an older specification replaced a few at a time, those without a node given one, what is over forgotten.
 */
export function plan(world: World): Plan {
  return new Planner(world).run();
}

class Planner {
  readonly #world: World;
  readonly #tasks: Map<string, TaskRow>;
  readonly #nodes: ReadonlyMap<string, SwarmNode>;
  readonly #services: ReadonlyMap<string, ServiceRow>;
  readonly #changed = new Set<string>();
  readonly #dropped: string[] = [];
  readonly #updated: ServiceRow[] = [];
  #wake: number | null = null;
  #order = 0;

  constructor(world: World) {
    this.#world = world;
    this.#tasks = new Map(world.tasks.toSorted(byAge).map((task) => [task.id, task]));
    this.#nodes = new Map(world.nodes.map((node) => [node.hostname, node]));
    this.#services = new Map(world.services.map((service) => [service.id, service]));
  }

  run(): Plan {
    for (const task of this.#tasks.values())
      if (!this.#services.has(task.serviceId) && task.desired !== 'remove')
        this.#put({ ...task, desired: 'remove' });
    for (const service of this.#services.values()) {
      this.#restart(service);
      if (service.mode === 'global') this.#global(service);
      else this.#replicated(service);
      this.#update(service);
    }
    this.#schedule();
    this.#promote();
    this.#reap();
    return {
      tasks: [...this.#changed].flatMap((id) => this.#tasks.get(id) ?? []),
      dropped: this.#dropped,
      services: this.#updated,
      wake: this.#wake,
    };
  }

  #put(task: TaskRow): void {
    this.#tasks.set(task.id, task);
    this.#changed.add(task.id);
  }

  #of({ id }: ServiceRow): TaskRow[] {
    return [...this.#tasks.values()].filter(({ serviceId }) => serviceId === id);
  }

  #state(task: TaskRow): TaskState {
    return stateOf(task, this.#world.statusOf(task.id));
  }

  /** Whether a task does nothing any more, as far as can be known. */
  #isOver(task: TaskRow): boolean {
    if (task.node === '' || isEnded(this.#state(task))) return true;
    const node = this.#nodes.get(task.node);
    return node === undefined || node.state === 'down';
  }

  /** Whether a task cannot stay where it is. */
  #isDisplaced({ node, template }: TaskRow): boolean {
    if (node === '') return false;
    const place = this.#nodes.get(node);
    if (place === undefined || place.state === 'down' || place.availability === 'drain') return true;
    return !satisfies(place, template.constraints);
  }

  #new(
    service: ServiceRow,
    slot: number,
    place: SwarmNode | null,
    desired: TaskRow['desired'],
    notBefore: number,
  ): void {
    const { now, newId } = this.#world;
    // No two at one moment: history goes by it.
    const created = now + this.#order++ / 1000;
    this.#put({
      id: newId(),
      serviceId: service.id,
      slot,
      node: place?.hostname ?? '',
      nodeId: place?.id ?? '',
      created,
      desired,
      notBefore,
      version: service.version,
      template: service.template,
      ports: service.ports,
      problem: '',
    });
  }

  /** Tasks that have ended or are displaced make room for others. */
  #restart(service: ServiceRow): void {
    for (const task of this.#of(service)) {
      if (!isWanted(task)) continue;
      const ended = isEnded(this.#state(task));
      const displaced = this.#isDisplaced(task);
      if (!ended && !displaced) continue;
      if (ended && !displaced && !this.#mayRestart(service, task)) continue;
      this.#put({ ...task, desired: 'shutdown' });
      if (service.mode === 'global' && displaced) continue;
      const place = service.mode === 'global' ? (this.#nodes.get(task.node) ?? null) : null;
      const at = this.#world.statusOf(task.id)?.at ?? 0;
      this.#new(service, task.slot, place, 'ready', displaced ? 0 : at + service.template.restart.delay);
    }
  }

  #mayRestart(service: ServiceRow, task: TaskRow): boolean {
    const { condition, maxAttempts }: RestartPolicy = task.template.restart;
    if (condition === 'none') return false;
    if (condition === 'on-failure' && this.#state(task) === 'complete') return false;
    if (maxAttempts === 0) return true;
    const before = this.#of(service).filter(
      (other) =>
        other !== task &&
        sameSlot(other, task) &&
        other.version === task.version &&
        isEnded(this.#state(other)),
    );
    return before.length < maxAttempts;
  }

  #replicated(service: ServiceRow): void {
    const wanted = this.#of(service).filter(isWanted);
    const slots = new Map(wanted.map((task) => [task.slot, task]));
    for (let slot = 1; slots.size < service.replicas; slot++) {
      if (slots.has(slot)) continue;
      this.#new(service, slot, null, 'running', 0);
      slots.set(slot, this.#of(service).at(-1)!);
    }
    if (slots.size <= service.replicas) return;
    // Those that do not run go first, then of the nodes that have the most.
    const perNode = new Map<string, number>();
    const crowd = [...slots.values()]
      .sort(
        (a, b) =>
          Number(this.#state(b) === 'running') - Number(this.#state(a) === 'running') || a.slot - b.slot,
      )
      .map((task) => {
        const index = perNode.get(task.node) ?? 0;
        perNode.set(task.node, index + 1);
        return { task, index, running: this.#state(task) === 'running' };
      })
      .sort(
        (a, b) => Number(b.running) - Number(a.running) || a.index - b.index || a.task.slot - b.task.slot,
      );
    const gone = new Set(crowd.slice(service.replicas).map(({ task }) => task.slot));
    for (const task of this.#of(service))
      if (gone.has(task.slot) && task.desired !== 'remove') this.#put({ ...task, desired: 'remove' });
  }

  #global(service: ServiceRow): void {
    for (const node of this.#nodes.values()) {
      const fits =
        node.state === 'ready' &&
        node.availability !== 'drain' &&
        satisfies(node, service.template.constraints);
      const has = this.#of(service).some((task) => task.node === node.hostname && isWanted(task));
      if (fits && !has && node.availability === 'active') this.#new(service, 0, node, 'running', 0);
    }
    for (const task of this.#of(service))
      if (!this.#nodes.has(task.node) && task.desired !== 'remove') this.#put({ ...task, desired: 'remove' });
  }

  /** Replaces tasks of an older specification, stopping each before its successor starts. */
  #update(service: ServiceRow): void {
    const wanted = this.#of(service).filter(isWanted);
    const old = wanted.filter(({ version }) => version < service.version);
    const underWay = wanted.filter(
      (task) => task.version === service.version && this.#state(task) !== 'running',
    );
    const { updateStatus, update } = service;
    if (old.length === 0) {
      if (updateStatus?.state === 'updating' && underWay.length === 0)
        this.#updated.push({
          ...service,
          updateStatus: { ...updateStatus, state: 'completed', completedAt: this.#world.now },
        });
      return;
    }
    const last = Math.max(
      0,
      ...wanted
        .filter(({ version }) => version === service.version)
        .map(({ id }) => this.#world.statusOf(id)?.at ?? 0),
    );
    if (last > 0 && this.#world.now < last + update.delay) {
      this.#wakeAt(last + update.delay);
      return;
    }
    const most = update.parallelism === 0 ? old.length : Math.max(0, update.parallelism - underWay.length);
    for (const task of old.slice(0, most)) {
      this.#put({ ...task, desired: 'shutdown' });
      const place = service.mode === 'global' ? (this.#nodes.get(task.node) ?? null) : null;
      this.#new(service, task.slot, place, 'ready', 0);
    }
  }

  #schedule(): void {
    const nodes = [...this.#nodes.values()];
    for (const task of this.#tasks.values()) {
      if (!isWanted(task) || task.node !== '') continue;
      const choice = chooseNode(nodes, (node) => this.#loadOf(node, task), task.template, task.ports);
      if (choice.type === 'node')
        this.#put({ ...task, node: choice.node.hostname, nodeId: choice.node.id, problem: '' });
      else if (choice.problem !== task.problem) this.#put({ ...task, problem: choice.problem });
    }
  }

  #loadOf({ hostname }: SwarmNode, scheduled: TaskRow): Load {
    let tasks = 0;
    let ofService = 0;
    const hostPorts = new Set<string>();
    for (const task of this.#tasks.values()) {
      if (task.node !== hostname || (!isWanted(task) && this.#isOver(task))) continue;
      // What is to be stopped has its ports until it has.
      for (const port of hostPortsOf(task.ports)) if (!sameSlot(task, scheduled)) hostPorts.add(port);
      if (!isWanted(task)) continue;
      tasks++;
      if (task.serviceId === scheduled.serviceId) ofService++;
    }
    return { tasks, ofService, hostPorts };
  }

  /** What waits for its turn gets it when what was in its slot has ended. */
  #promote(): void {
    for (const task of this.#tasks.values()) {
      if (task.desired !== 'ready' || task.node === '') continue;
      const before = [...this.#tasks.values()].filter(
        (other) => other !== task && sameSlot(other, task) && other.created < task.created,
      );
      if (!before.every((other) => this.#isOver(other))) continue;
      if (this.#world.now < task.notBefore) this.#wakeAt(task.notBefore);
      else this.#put({ ...task, desired: 'running' });
    }
  }

  #reap(): void {
    const newest = [...this.#tasks.values()].sort((a, b) => byAge(b, a));
    const kept = new Map<string, number>();
    for (const task of newest) {
      const slot = `${task.serviceId} ${task.slot} ${task.slot === 0 ? task.node : ''}`;
      const count = (kept.get(slot) ?? 0) + 1;
      kept.set(slot, count);
      const old = count > HISTORY && !isWanted(task);
      const unplaced = task.node === '' && task.desired === 'shutdown';
      if (!this.#isOver(task) || !(task.desired === 'remove' || old || unplaced)) continue;
      this.#tasks.delete(task.id);
      this.#changed.delete(task.id);
      this.#dropped.push(task.id);
    }
  }

  #wakeAt(at: number): void {
    this.#wake = this.#wake === null ? at : Math.min(this.#wake, at);
  }
}

function byAge(a: TaskRow, b: TaskRow): number {
  return a.created - b.created || (a.id < b.id ? -1 : 1);
}

/** Whether two tasks are of one slot of a service; of a global service a node is one. */
function sameSlot(a: TaskRow, b: TaskRow): boolean {
  return a.serviceId === b.serviceId && a.slot === b.slot && (a.slot !== 0 || a.node === b.node);
}
