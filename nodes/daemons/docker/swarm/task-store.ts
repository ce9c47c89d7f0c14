import type { StoreChange, StoreValue } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import {
  parseService,
  parseTask,
  parseTaskStatus,
  type ServiceRow,
  serviceKeys,
  type TaskRow,
  type TaskStatusRow,
} from './service-rows.ts';

/** Services, tasks and what has come of them, as the store has them. */
export class TaskStore {
  readonly #store: StoreClient;
  readonly #services = new StoreView('docker.service.', (_key, value) => parseService(value));
  readonly #tasks = new StoreView('docker.task.', (_key, value) => parseTask(value));
  readonly #statuses = new StoreView('docker.status.', (_key, value) => parseTaskStatus(value));

  constructor(store: StoreClient) {
    this.#store = store;
  }

  /** Whether a change was of these. */
  storeChanged(change: StoreChange): boolean {
    const changed = [this.#services, this.#tasks, this.#statuses].map((view) => view.apply(change));
    return changed.includes(true);
  }

  /** By name. */
  get services(): readonly ServiceRow[] {
    return all(this.#services).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get tasks(): readonly TaskRow[] {
    return all(this.#tasks);
  }

  service(id: string): ServiceRow | null {
    return this.#services.get(serviceKeys.service(id));
  }

  task(id: string): TaskRow | null {
    return this.#tasks.get(serviceKeys.task(id));
  }

  statusOf(taskId: string): TaskStatusRow | null {
    return this.#statuses.get(serviceKeys.status(taskId));
  }

  tasksOf(service: ServiceRow): readonly TaskRow[] {
    return this.tasks.filter(({ serviceId }) => serviceId === service.id);
  }

  /** `done` gets whether it was written: somebody else may have been faster, or have taken away what is to be changed. */
  putService(row: ServiceRow, kind: 'new' | 'changed', done: (written: boolean) => void): void {
    const key = serviceKeys.service(row.id);
    if (kind === 'changed' && !this.#services.has(key)) done(false);
    else this.#change(this.#services, key, row, done);
  }

  putTask(row: TaskRow, done: () => void): void {
    this.#change(this.#tasks, serviceKeys.task(row.id), row, done);
  }

  putStatus(row: TaskStatusRow, done: () => void): void {
    const key = serviceKeys.status(row.taskId);
    this.#store.request({ op: 'put', key, value: row }, (answer) => {
      if (answer.type === 'done') this.#statuses.wrote(key, row, answer.revision);
      done();
    });
  }

  removeService(id: string, done: () => void): void {
    const key = serviceKeys.service(id);
    this.#store.request({ op: 'delete', key }, (answer) => {
      if (answer.type === 'done') this.#services.wrote(key, null, answer.revision);
      done();
    });
  }

  /** A task and what has come of it. */
  dropTask(id: string, done: () => void): void {
    const key = serviceKeys.task(id);
    this.#store.request({ op: 'delete', key }, (answer) => {
      if (answer.type === 'done') this.#tasks.wrote(key, null, answer.revision);
      if (!this.#statuses.has(serviceKeys.status(id))) {
        done();
        return;
      }
      this.#store.request({ op: 'delete', key: serviceKeys.status(id) }, () => done());
    });
  }

  /** By compare and swap: what this node has not seen it does not overwrite. */
  #change<T extends StoreValue>(
    view: StoreView<T>,
    key: string,
    value: T,
    done: (written: boolean) => void,
  ): void {
    const op = view.has(key)
      ? ({ op: 'update', key, value, revision: view.revision(key) } as const)
      : ({ op: 'create', key, value } as const);
    this.#store.request(op, (answer) => {
      if (answer.type === 'done') view.wrote(key, value, answer.revision);
      done(answer.type === 'done');
    });
  }
}

function all<T>(view: StoreView<T>): T[] {
  return [...view.keys()].flatMap((key) => view.get(key) ?? []);
}
