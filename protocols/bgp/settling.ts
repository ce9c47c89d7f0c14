/**
 * Whether there is any use in waiting for a session: not once it is established, or once a whole attempt has failed since
 * the speaker started it, lost it, or the node's topology changed. An attempt begun before such a change tells
 * nothing about what came after it.
 */
export class Settling {
  #settled = false;
  #openedAt = 0;
  #attemptedAt = -1;
  #triedAt = -1;
  #epoch = 0;
  #attempt = -1;

  get settled(): boolean {
    return this.#settled;
  }

  /** When it last had to be tried anew, ms. The other end's attempts of before then count for nothing either. */
  get openedAt(): number {
    return this.#openedAt;
  }

  /** When the last attempt that failed was begun, ms; -1 if none has. */
  get triedAt(): number {
    return this.#triedAt;
  }

  /** It has to be tried, or tried again. */
  reopen(now: number): void {
    this.#epoch++;
    this.#openedAt = now;
    this.#settled = false;
  }

  /** A connect has begun. */
  attempted(now: number): void {
    this.#attempt = this.#epoch;
    this.#attemptedAt = now;
  }

  /** The attempt has failed. */
  failed(): void {
    if (this.#attempt !== this.#epoch) return;
    this.#triedAt = this.#attemptedAt;
    this.#settled = true;
  }

  /** It is established, or has been stopped. */
  settle(): void {
    this.#settled = true;
    this.#triedAt = Number.POSITIVE_INFINITY;
  }

  /** For an end that cannot try by itself: a callback that settles it unless it is reopened in the meantime. */
  deadline(): () => void {
    const epoch = this.#epoch;
    return () => {
      if (epoch === this.#epoch) this.settle();
    };
  }
}
