import type { SpeakerHost } from './host.ts';

interface Waiting {
  readonly cause: number;
  readonly run: () => void;
}

/** Runs inputs one after the other: those that come while one runs wait, under the cause that they came with. */
export class InputQueue {
  readonly #host: SpeakerHost;
  readonly #finish: () => void;
  readonly #waiting: Waiting[] = [];
  #busy = false;

  /** `finish` follows each input. */
  constructor(host: SpeakerHost, finish: () => void) {
    this.#host = host;
    this.#finish = finish;
  }

  /** Inputs that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  run(input: () => void): void {
    const host = this.#host;
    if (this.#busy) {
      this.#waiting.push({ cause: host.cause, run: input });
      return;
    }
    const { cause } = host;
    this.#busy = true;
    try {
      input();
      this.#finish();
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        host.cause = next.cause;
        next.run();
        this.#finish();
      }
    } finally {
      this.#busy = false;
      host.cause = cause;
    }
  }
}
