import type { NodeInput } from '../machine-io.ts';

/** Frames that may wait, bytes: what a card's ring is. Everything else that waits is little, and is not to be lost. */
const RING = 67_108_864;

/**
 * The queue before the machine. Inputs that one read of the socket brought go in as one batch; they wait in order
 * while log and wire do not keep up. Frames beyond 64 MiB are dropped meanwhile, and counted.
 */
export class Intake {
  readonly #step: (input: NodeInput) => void;
  readonly #keepsUp: () => boolean;
  #waiting: NodeInput[] = [];
  /** Of the frames that wait. */
  #bytes = 0;
  #overrun = 0;
  #scheduled = false;
  #draining = false;

  constructor(step: (input: NodeInput) => void, keepsUp: () => boolean) {
    this.#step = step;
    this.#keepsUp = keepsUp;
  }

  take(input: NodeInput): void {
    if (input.type === 'frame') {
      if (this.#bytes >= RING) {
        this.#overrun++;
        return;
      }
      this.#bytes += input.frame.length;
    }
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
    this.#bytes = 0;
    if (this.#overrun > 0) inputs.push({ type: 'overrun', frames: this.#overrun });
    this.#overrun = 0;
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
