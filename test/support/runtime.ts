import type { Timings } from '../../nodes/config.ts';
import type { LabEvent, LogRecord } from '../../nodes/events/index.ts';
import { EVENT_SCHEMA, type EventId, eventId } from '../../nodes/events/record.ts';
import { seededRandom } from '../../nodes/random.ts';
import type { Random, Runtime, StoreResult } from '../../nodes/runtime.ts';
import type { StoreOp } from '../../nodes/store.ts';
import { TimerQueue } from '../../nodes/timers.ts';

/** The real systems' timers, ms. */
export const timings: Timings = {
  bgp: {
    holdTime: 90_000,
    keepalive: 30_000,
    connectRetry: 5_000,
    connectDelay: 100,
    mraiIbgp: 0,
    mraiEbgp: 0,
    idleHold: 5_000,
    idleHoldMax: 30_000,
  },
  neighbor: { reachable: 30_000, delayFirstProbe: 5_000, retrans: 1_000, gcStale: 60_000 },
  bridge: { ageing: 300_000 },
  tcp: { rtoInitial: 1_000, rtoMin: 200, rtoMax: 120_000, msl: 30_000 },
  flannel: { leaseTtl: 86_400_000, renewMargin: 3_600_000, routeCheck: 10_000 },
};

/** A virtual clock that several fake runtimes share. */
export class FakeWorld {
  now = 0;
  readonly #runtimes: FakeRuntime[] = [];
  readonly #pending: { readonly at: number; readonly run: () => void }[] = [];

  runtime(node = 1, seed = 1): FakeRuntime {
    const runtime = new FakeRuntime(this, node, seed);
    this.#runtimes.push(runtime);
    return runtime;
  }

  /** Runs something after a while, as a wire delivers a frame. */
  after(ms: number, run: () => void): void {
    this.#pending.push({ at: this.now + ms, run });
  }

  /** Moves the clock on by `ms`, firing what falls due in order of time. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      let next = end;
      for (const runtime of this.#runtimes) next = Math.min(next, runtime.queue.next());
      for (const entry of this.#pending) next = Math.min(next, entry.at);
      this.now = Math.max(this.now, next);
      const due = this.#pending.findIndex((entry) => entry.at <= this.now);
      if (due >= 0) {
        const [entry] = this.#pending.splice(due, 1);
        entry?.run();
        continue;
      }
      const runtime = this.#runtimes.find((candidate) => candidate.queue.next() <= this.now);
      if (runtime === undefined) {
        if (this.now >= end) return;
        continue;
      }
      runtime.queue.run(this.now, (fire, cause) => {
        runtime.cause = cause;
        fire();
      });
    }
  }
}

/** A Runtime for tests: events and store requests are collected, time moves by the world's `advance`. */
export class FakeRuntime implements Runtime {
  readonly random: Random;
  readonly queue: TimerQueue;
  readonly records: LogRecord[] = [];
  readonly requests: { readonly op: StoreOp; readonly done: ((result: StoreResult) => void) | undefined }[] =
    [];
  /** Answers store requests at once when set. */
  onStore: ((op: StoreOp) => StoreResult) | null = null;
  cause: EventId = 0;
  readonly #world: FakeWorld;
  readonly #node: number;

  constructor(world: FakeWorld, node: number, seed: number) {
    this.#world = world;
    this.#node = node;
    this.random = seededRandom(seed);
    this.queue = new TimerQueue(() => this.cause);
  }

  get now(): number {
    return this.#world.now;
  }

  get timers(): TimerQueue {
    return this.queue;
  }

  get events(): LabEvent[] {
    return this.records.map((record) => record.event);
  }

  emit(event: LabEvent): EventId {
    const id = eventId(this.#node, this.records.length + 1);
    this.records.push({ v: EVENT_SCHEMA, id, cause: Math.abs(this.cause), at: this.now, event });
    this.cause = this.cause < 0 ? -id : id;
    return id;
  }

  store(op: StoreOp, done?: (result: StoreResult) => void): void {
    this.requests.push({ op, done });
    const answer = this.onStore;
    if (answer !== null) this.#world.after(0, () => done?.(answer(op)));
  }
}
