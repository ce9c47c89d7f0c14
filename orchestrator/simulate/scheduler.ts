import { BinaryHeap } from '../../protocols/heap.ts';

interface Entry {
  readonly at: number;
  readonly seq: number;
  readonly run: () => void;
}

/**
 * The simulator's clock and agenda. Time moves only while someone outside waits (`wait`): the agenda then runs
 * entry by entry until the waited-for thing happens, and stops dead while the caller decides what to do next, so
 * the caller's own speed never shows in the run.
 */
export class Scheduler {
  readonly #agenda = new BinaryHeap<Entry>((a, b) => a.at - b.at || a.seq - b.seq);
  #seq = 0;
  #now = 0;
  readonly #rejects = new Set<(error: unknown) => void>();
  #pumping = false;
  #woken = false;

  get now(): number {
    return this.#now;
  }

  at(time: number, run: () => void): void {
    this.#agenda.push({ at: Math.max(time, this.#now), seq: this.#seq++, run });
  }

  /** Resolves with what `start` hands to its callback, running the agenda meanwhile. */
  wait<T>(start: (resolve: (value: T) => void) => void): Promise<T> {
    const promise = new Promise<T>((resolve, reject) => {
      this.#rejects.add(reject);
      start((value) => {
        this.#rejects.delete(reject);
        this.#woken = true;
        resolve(value);
      });
    });
    void this.#pump();
    return promise;
  }

  sleep(ms: number): Promise<void> {
    return this.wait((resolve) => this.at(this.#now + ms, () => resolve()));
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        // Whoever was woken runs to its next wait before time moves on: all it awaits are simulator promises.
        await new Promise<void>((resolve) => setImmediate(resolve));
        this.#woken = false;
        while (this.#rejects.size > 0 && !this.#woken) {
          const entry = this.#agenda.pop();
          if (entry === undefined)
            throw new Error('simulator: waiting for something that nothing will bring about');
          this.#now = entry.at;
          entry.run();
        }
        if (this.#rejects.size === 0 && !this.#woken) return;
      }
    } catch (error) {
      for (const reject of this.#rejects) reject(error);
      this.#rejects.clear();
    } finally {
      this.#pumping = false;
    }
  }
}
