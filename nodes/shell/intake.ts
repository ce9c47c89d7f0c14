import type { NodeInput } from '../machine-io.ts';

/**
 * The queue before the machine. Inputs that one read of the socket brought go in as one batch; they wait in order
 * while the log does not keep up.
 */
export class Intake {
  readonly #step: (input: NodeInput) => void;
  readonly #keepsUp: () => boolean;
  #waiting: NodeInput[] = [];
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
