/**
 * Whether there is any use in waiting for a session: not once it is established, or once a whole attempt has failed since
 * the speaker started it, lost it, or the node's topology changed. An attempt begun before such a change tells
 * nothing about what came after it.
 */
export class Settling {
  #settled = false;
  #epoch = 0;
  #attempt = -1;

  get settled(): boolean {
    return this.#settled;
  }

  /** It has to be tried, or tried again. */
  reopen(): void {
    this.#epoch++;
    this.#settled = false;
  }

  /** A connect has begun. */
  attempted(): void {
    this.#attempt = this.#epoch;
  }

  /** The attempt has failed. */
  failed(): void {
    if (this.#attempt === this.#epoch) this.#settled = true;
  }

  /** It is established, or has been stopped. */
  settle(): void {
    this.#settled = true;
  }

  /** A callback that settles it unless it is reopened in the meantime. */
  deadline(): () => void {
    const epoch = this.#epoch;
    return () => {
      if (epoch === this.#epoch) this.#settled = true;
    };
  }
}
