import type { NodeInput } from '../machine-io.ts';

/**
 * The queue before the machine. Inputs that one read of the socket brought go in as one batch; they wait in order while the
 * log does not keep up, and frames of a link with a delay wait for their time.
 */
export class Intake {
  readonly #step: (input: NodeInput) => void;
  readonly #keepsUp: () => boolean;
  #waiting: NodeInput[] = [];
  readonly #delayed = new Map<number, { readonly at: number; readonly input: NodeInput }[]>();
  #scheduled = false;
  #draining = false;

  constructor(step: (input: NodeInput) => void, keepsUp: () => boolean) {
    this.#step = step;
    this.#keepsUp = keepsUp;
  }

  take(input: NodeInput): void {
    this.#waiting.push(input);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.resume();
    });
  }

  /** Takes an input at a time of its own; those of one port keep their order. */
  takeAt(input: NodeInput, at: number, port: number, now: number): void {
    const queue = this.#delayed.get(port) ?? [];
    this.#delayed.set(port, queue);
    queue.push({ at, input });
    if (queue.length === 1) this.#armDelayed(queue, now);
  }

  #armDelayed(queue: { readonly at: number; readonly input: NodeInput }[], now: number): void {
    const head = queue[0];
    if (head === undefined) return;
    setTimeout(
      () => {
        queue.shift();
        this.take(head.input);
        this.#armDelayed(queue, performance.timeOrigin + performance.now());
      },
      Math.ceil(Math.max(head.at - now, 0)),
    );
  }

  /** Works off what has waited, if it may. */
  resume(): void {
    if (this.#waiting.length === 0) return;
    if (!this.#keepsUp()) {
      this.#drainLater();
      return;
    }
    const inputs = this.#waiting;
    this.#waiting = [];
    const [first] = inputs;
    if (inputs.length === 1 && first !== undefined) this.#step(first);
    else this.#step({ type: 'batch', inputs });
  }

  #drainLater(): void {
    if (this.#draining) return;
    this.#draining = true;
    setTimeout(() => {
      this.#draining = false;
      this.resume();
    }, 1);
  }
}
