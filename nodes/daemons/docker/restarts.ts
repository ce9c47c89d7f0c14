import type { DockerContainerFacts } from '../../events/docker.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';

/** Delay before a container is started again: doubled each time, begun anew after a run of ten seconds, ms. */
const BACKOFF = 100;
const BACKOFF_MAX = 60_000;
const BACKOFF_RESET = 10_000;

/** Restart policies (moby's restartmanager): whether a container whose process has ended is started again, and when. */
export class Restarts {
  readonly #rt: Runtime;
  readonly #timers = new Map<string, TimerHandle>();
  readonly #delays = new Map<string, number>();

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /** Whether the policy has a container run again whose process has just ended. */
  static wanted({ restart, state }: DockerContainerFacts, exitCode: number): boolean {
    if (state.stoppedByHand) return false;
    if (restart.name === 'always' || restart.name === 'unless-stopped') return true;
    const { maximumRetryCount: limit } = restart;
    return restart.name === 'on-failure' && exitCode !== 0 && (limit === 0 || state.restartCount < limit);
  }

  /** The same after the host has been down; `was`: what the container did then. */
  static wantedAtBoot({ restart, state }: DockerContainerFacts, was: 'up' | 'down'): boolean {
    if (state.startedAt === null) return false;
    switch (restart.name) {
      case 'always':
        return true;
      case 'unless-stopped':
        return !state.stoppedByHand;
      case 'on-failure':
        return was === 'up';
      case 'no':
        return false;
    }
  }

  schedule({ id, state }: DockerContainerFacts, start: () => void): void {
    const ranLong = this.#rt.now - (state.startedAt ?? 0) >= BACKOFF_RESET;
    const last = ranLong ? 0 : (this.#delays.get(id) ?? 0);
    const delay = last === 0 ? BACKOFF : Math.min(last * 2, BACKOFF_MAX);
    this.#delays.set(id, delay);
    const timer = this.#rt.timers.set(this.#rt.now + delay, () => {
      this.#timers.delete(id);
      start();
    });
    this.#timers.set(id, timer);
  }

  /** Somebody takes care of the container by hand. */
  cancel(id: string): void {
    const timer = this.#timers.get(id);
    if (timer !== undefined) this.#rt.timers.cancel(timer);
    this.#timers.delete(id);
    this.#delays.delete(id);
  }
}
