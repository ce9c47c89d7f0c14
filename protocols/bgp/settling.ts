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
  /** When the first was begun of the attempts in a row that the peer took and closed without a word; null after any other. */
  #turnedAwayAt: number | null = null;

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

  /** Whether the peer is there and has not wanted the session so far, but may do so in a moment. */
  get turnedAway(): boolean {
    return !this.#settled && this.#turnedAwayAt !== null;
  }

  /** It has to be tried, or tried again. */
  reopen(now: number): void {
    this.#turnedAwayAt = null;
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
    this.#turnedAwayAt = null;
    this.#giveUp();
  }

  /**
   * The peer has taken the connection and closed it without a word, as one does in its Idle state (GoBGP, BIRD). That may be
   * over by the next attempt, so it has failed only once this has gone on for `patience` ms.
   */
  refusedInSilence(patience: number): void {
    this.#turnedAwayAt ??= this.#attemptedAt;
    if (this.#attemptedAt - this.#turnedAwayAt >= patience) this.#giveUp();
    else this.#settled = false;
  }

  #giveUp(): void {
    if (this.#attempt !== this.#epoch) return;
    this.#triedAt = this.#attemptedAt;
    this.#settled = true;
  }

  /** It is established, or has been stopped. */
  settle(): void {
    this.#turnedAwayAt = null;
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
