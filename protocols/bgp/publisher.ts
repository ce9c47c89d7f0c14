import type { SpeakerHost } from './host.ts';
import type { DecisionBatch, LocRib } from './loc-rib.ts';
import type { Session } from './session.ts';

/** Runs the decision process over what the inputs have touched, and tells log, forwarding table and peers what comes of it. */
export class Publisher {
  readonly #host: SpeakerHost;
  readonly #locRib: LocRib;
  readonly #sessions: () => Iterable<Session>;
  #decisions = 0;

  constructor(host: SpeakerHost, locRib: LocRib, sessions: () => Iterable<Session>) {
    this.#host = host;
    this.#locRib = locRib;
    this.#sessions = sessions;
  }

  /** Changes that the decision process has made to best paths or next hops. */
  get decisions(): number {
    return this.#decisions;
  }

  run(): void {
    for (const batch of this.#locRib.decideDirty()) {
      this.#host.cause = batch.cause;
      this.#publish(batch);
    }
    for (const { advertiser } of this.#sessions()) advertiser?.flush();
  }

  #publish({ decided, best, forwarding, touched }: DecisionBatch): void {
    this.#decisions += decided.length;
    if (decided.length > 0) this.#host.bestChanged(decided);
    const { cause } = this.#host;
    if (forwarding.length > 0) this.#host.installRoutes(forwarding);
    for (const { advertiser } of this.#sessions()) {
      if (advertiser === null) continue;
      const concerned = advertiser.sendsPaths ? touched : best;
      for (const destination of concerned) advertiser.update(destination, cause);
    }
    for (const destination of touched) this.#locRib.sweep(destination);
  }
}
