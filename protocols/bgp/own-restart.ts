import type { LocalSide } from './negotiate.ts';
import type { Session } from './session.ts';

/** What has come back: the daemon, whose node has gone on and forwards as before or no longer, or the node as a whole. */
export type RestartKind = 'daemon-forwarding-kept' | 'daemon-forwarding-lost' | 'node';

/**
 * Graceful restart of this speaker itself (RFC 4724 §4.1): it says in its OPENs that it comes back, and tells its peers nothing
 * before it has heard all from those that know of graceful restart, or has waited for long enough. Where the whole node has gone
 * there are no routes in use to be kept until then, and it waits for nobody.
 */
export class OwnRestart {
  readonly #sessions: () => Iterable<Session>;
  #state: LocalSide['restarting'] = 'no';
  #advertises: 'at-once' | 'deferred' = 'at-once';
  #done: () => void = () => {};

  constructor(sessions: () => Iterable<Session>) {
    this.#sessions = sessions;
  }

  get state(): LocalSide['restarting'] {
    return this.#state;
  }

  /** When peers are told of routes. */
  get advertises(): 'at-once' | 'deferred' {
    return this.#advertises;
  }

  /** `done` is called at its end. */
  begin(what: RestartKind, done: () => void): void {
    this.#state = what === 'daemon-forwarding-kept' ? 'forwarding-kept' : 'forwarding-lost';
    this.#advertises = what === 'node' ? 'at-once' : 'deferred';
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
    this.#advertises = 'at-once';
    for (const { advertiser } of this.#sessions()) advertiser?.release();
    this.#done();
  }
}
