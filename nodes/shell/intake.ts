import type { NodeInput } from '../machine-io.ts';

/**
 * The queue before the machine: inputs go straight through while the log keeps up, wait in order when it does not, and
 * frames of a link with a delay wait for their time.
 */
export class Intake {
  readonly #step: (input: NodeInput) => void;
  readonly #keepsUp: () => boolean;
  readonly #waiting: NodeInput[] = [];
  readonly #delayed = new Map<number, { readonly at: number; readonly input: NodeInput }[]>();
  #draining = false;

  constructor(step: (input: NodeInput) => void, keepsUp: () => boolean) {
    this.#step = step;
    this.#keepsUp = keepsUp;
  }

  take(input: NodeInput): void {
    if (this.#waiting.length === 0 && this.#keepsUp()) this.#step(input);
    else {
      this.#waiting.push(input);
      this.#drainLater();
    }
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
    setTimeout(() => {
      queue.shift();
      this.take(head.input);
      this.#armDelayed(queue, performance.timeOrigin + performance.now());
    }, Math.max(head.at - now, 0));
  }

  /** Works off what has waited, as far as it may. */
  resume(): void {
    while (this.#waiting.length > 0 && this.#keepsUp()) {
      const input = this.#waiting.shift();
      if (input !== undefined) this.#step(input);
    }
    if (this.#waiting.length > 0) this.#drainLater();
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
