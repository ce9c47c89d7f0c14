import type { Runtime, TimerHandle } from '../../../runtime.ts';
import { base36 } from './ids.ts';
import { type Plan, plan } from './plan.ts';
import type { SwarmNode } from './scheduler.ts';
import type { TaskStore } from './task-store.ts';

export interface LeaderOptions {
  readonly tasks: TaskStore;
  readonly isLeader: () => boolean;
  readonly nodes: () => readonly SwarmNode[];
}

/** The leader's part: brings the tasks of all services to what is asked for, one round of writes after the other. */
export class Leader {
  readonly #rt: Runtime;
  readonly #options: LeaderOptions;
  #writing = 0;
  #again = false;
  #timer: TimerHandle | null = null;

  constructor(rt: Runtime, options: LeaderOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  /** Whether anything is being written. */
  get busy(): boolean {
    return this.#writing > 0;
  }

  /** Something has changed. */
  look(): void {
    if (this.#writing > 0) {
      this.#again = true;
      return;
    }
    const { tasks, isLeader, nodes } = this.#options;
    if (!isLeader()) return;
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = null;
    const todo = plan({
      now: this.#rt.now,
      services: tasks.services,
      tasks: tasks.tasks,
      statusOf: (id) => tasks.statusOf(id),
      nodes: nodes(),
      newId: () => base36(this.#rt.random, 25),
    });
    if (todo.wake !== null) this.#timer = this.#rt.timers.set(todo.wake, () => this.look());
    this.#write(todo);
  }

  #write({ tasks: rows, dropped, services }: Plan): void {
    const { tasks } = this.#options;
    const { cause } = this.#rt;
    this.#writing = rows.length + dropped.length + services.length;
    const done = () => {
      if (--this.#writing > 0) return;
      this.#again = false;
      this.look();
    };
    for (const write of [
      ...rows.map((row) => () => tasks.putTask(row, done)),
      ...dropped.map((id) => () => tasks.dropTask(id, done)),
      ...services.map((row) => () => tasks.putService(row, 'changed', done)),
    ]) {
      this.#rt.cause = cause;
      write();
    }
    if (this.#writing === 0 && this.#again) {
      this.#again = false;
      this.look();
    }
  }
}
