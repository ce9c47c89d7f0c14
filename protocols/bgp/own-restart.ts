import type { LocalSide } from './negotiate.ts';
import type { Session } from './session.ts';

/**
 * Graceful restart of this speaker itself (RFC 4724 §4.1): it says in its OPENs that it comes back, and tells its peers nothing
 * before it has heard all from those that know of graceful restart, or has waited for long enough.
 */
export class OwnRestart {
  readonly #sessions: () => Iterable<Session>;
  #state: LocalSide['restarting'] = 'no';
  #done: () => void = () => {};

  constructor(sessions: () => Iterable<Session>) {
    this.#sessions = sessions;
  }

  get state(): LocalSide['restarting'] {
    return this.#state;
  }

  /** `done` is called at its end. */
  begin(forwarding: 'kept' | 'lost', done: () => void): void {
    this.#state = forwarding === 'kept' ? 'forwarding-kept' : 'forwarding-lost';
    this.#done = done;
  }

  /** Ends it when every peer has told all that it had, or is restarting itself, or cannot tell. */
  progress(): void {
    if (this.#state === 'no') return;
    for (const session of this.#sessions()) {
      if (session.stopped) continue;
      const restart = session.connection.negotiated?.restart ?? null;
      if (session.state !== 'Established') return;
      if (restart !== null && restart.restarting === 'no' && !session.endOfRibReceived) return;
    }
    this.end();
  }

  end(): void {
    if (this.#state === 'no') return;
    this.#state = 'no';
    for (const { advertiser } of this.#sessions()) advertiser?.release();
    this.#done();
  }
}
