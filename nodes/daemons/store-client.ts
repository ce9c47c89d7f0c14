import type { EventId } from '../events/record.ts';
import type { Runtime } from '../runtime.ts';
import type { StoreOp } from '../store.ts';

export type StoreAnswer =
  | { readonly type: 'done'; readonly revision: number }
  | { readonly type: 'conflict' };

/** Time until a request that the store did not answer is made again, ms. */
const RETRY = 1000;

/**
 * Requests to the store that end in an answer: one that failed for the store's sake is made again until it is answered,
 * and may then meet what it did itself the first time. So whoever gets a conflict looks at what stands there.
 */
export class StoreClient {
  readonly #rt: Runtime;
  #outstanding = 0;

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /** Requests without an answer so far. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** `done` runs in a later step, under the cause that the request was made under. */
  request(op: StoreOp, done: (answer: StoreAnswer) => void): void {
    this.#outstanding++;
    this.#send(op, this.#rt.cause, done);
  }

  #send(op: StoreOp, cause: EventId, done: (answer: StoreAnswer) => void): void {
    const rt = this.#rt;
    rt.cause = cause;
    rt.store(op, (result) => {
      rt.cause = cause;
      if (!result.ok && !result.conflict) {
        rt.timers.set(rt.now + RETRY, () => this.#send(op, cause, done));
        return;
      }
      this.#outstanding--;
      done(result.ok ? { type: 'done', revision: result.revision } : { type: 'conflict' });
    });
  }
}
