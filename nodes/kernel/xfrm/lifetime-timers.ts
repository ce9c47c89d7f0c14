import type { Runtime, TimerHandle } from '../../runtime.ts';
import type { Expiry, Lifetime } from './lifetime.ts';

/** The timers of what lasts for a time only: associations, policies. */
export class LifetimeTimers {
  readonly #rt: Pick<Runtime, 'cause' | 'timers'>;
  readonly #timers = new Map<Lifetime, TimerHandle>();

  constructor(rt: Pick<Runtime, 'cause' | 'timers'>) {
    this.#rt = rt;
  }

  /** Waits for when time is next up, anew. */
  wait(lifetime: Lifetime, expired: (expiry: Expiry) => void): void {
    this.cancel(lifetime);
    const next = lifetime.next();
    if (next === null) return;
    const rt = this.#rt;
    const { cause } = rt;
    // What a timer does is not the packet's that happened to set it.
    rt.cause = Math.abs(cause);
    this.#timers.set(
      lifetime,
      rt.timers.set(next.at, () => expired(next.expiry)),
    );
    rt.cause = cause;
  }

  cancel(lifetime: Lifetime): void {
    const timer = this.#timers.get(lifetime);
    if (timer !== undefined) this.#rt.timers.cancel(timer);
    this.#timers.delete(lifetime);
  }
}
