import { BinaryHeap } from '../../../protocols/heap.ts';
import { type EventId, NO_CAUSE } from '../../events/record.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';

/** What ends when its time is over: a flow of conntrack, a connection of IPVS. */
export interface Expiring {
  /** It has gone. */
  readonly dying: boolean;
  /** Time it is forgotten at, ms. */
  readonly expires: number;
  /** Deadline that stands in the queue, 0 for none. */
  queuedAt: number;
  /** The last event that told of it. */
  readonly lastEvent: EventId;
}

interface Deadline<T> {
  readonly at: number;
  readonly order: number;
  readonly flow: T;
}

const byTime = <T>(a: Deadline<T>, b: Deadline<T>) => a.at - b.at || a.order - b.order;

/** False of a flow that has gone, or has been given a deadline before this. */
function holds({ flow, at }: Deadline<Expiring>): boolean {
  return !flow.dying && flow.queuedAt === at;
}

/**
 * Ends flows whose time is over. A packet that gives its flow more time only notes it there: the flow is looked at again
 * when its old deadline comes. One timer for all.
 */
export class FlowExpiry<T extends Expiring> {
  readonly #rt: Runtime;
  readonly #expired: (flow: T) => void;
  #heap = new BinaryHeap<Deadline<T>>(byTime);
  #order = 0;
  /** Deadlines in the queue that no longer hold. */
  #stale = 0;
  #timer: TimerHandle | null = null;

  constructor(rt: Runtime, expired: (flow: T) => void) {
    this.#rt = rt;
    this.#expired = expired;
  }

  /** A flow is in the table now, or has been given another deadline. */
  update(flow: T): void {
    if (flow.queuedAt !== 0 && flow.queuedAt <= flow.expires) return;
    if (flow.queuedAt !== 0) this.#stale++;
    this.#push(flow);
    this.#arm();
  }

  /** A flow has gone before its time. */
  forget(): void {
    this.#stale++;
    if (this.#stale < 64 || this.#stale * 2 < this.#heap.size) return;
    const all = this.#heap;
    this.#heap = new BinaryHeap<Deadline<T>>(byTime);
    this.#stale = 0;
    for (let item = all.pop(); item !== undefined; item = all.pop()) if (holds(item)) this.#heap.push(item);
  }

  #push(flow: T): void {
    flow.queuedAt = flow.expires;
    this.#heap.push({ at: flow.expires, order: this.#order++, flow });
  }

  #arm(): void {
    const next = this.#heap.peek()?.at;
    if (this.#timer !== null) {
      if (next !== undefined && this.#timer.at <= next) return;
      this.#rt.timers.cancel(this.#timer);
      this.#timer = null;
    }
    if (next === undefined) return;
    // Nothing that is going on now is why a flow ends then.
    const { cause } = this.#rt;
    this.#rt.cause = NO_CAUSE;
    this.#timer = this.#rt.timers.set(next, () => {
      this.#timer = null;
      this.#run();
    });
    this.#rt.cause = cause;
  }

  #run(): void {
    const { now } = this.#rt;
    for (;;) {
      const top = this.#heap.peek();
      if (top === undefined || top.at > now) break;
      this.#heap.pop();
      const { flow } = top;
      if (!holds(top)) {
        this.#stale = Math.max(this.#stale - 1, 0);
        continue;
      }
      if (flow.expires > now) this.#push(flow);
      else {
        this.#rt.cause = flow.lastEvent;
        this.#expired(flow);
      }
    }
    this.#arm();
  }
}
