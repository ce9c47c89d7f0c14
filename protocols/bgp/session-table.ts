import type { IpAddress } from '../ip.ts';
import { BgpConfigError, type NeighborConfig, type SpeakerConfig } from './config.ts';
import { type Arrival, dynamicNeighbor } from './dynamic-neighbors.ts';
import { Session } from './session.ts';
import type { SessionOptions, SessionOwner } from './session-owner.ts';

/** What the sessions of one speaker have in common. */
export interface SessionTableOptions {
  readonly config: SpeakerConfig;
  readonly identifier: number;
  readonly restarting: SessionOptions['restarting'];
  /** A name that no policy has is an error now, not when the session comes up. */
  readonly check: (neighbor: NeighborConfig) => void;
}

/** The sessions of a speaker, by name and by the address of the other end: those that are configured, and the dynamic ones. */
export class SessionTable {
  readonly #owner: SessionOwner;
  readonly #options: SessionTableOptions;
  readonly #sessions = new Map<string, Session>();

  /** @throws BgpConfigError if an address does not parse or a neighbour's name or address is there twice. */
  constructor(owner: SessionOwner, options: SessionTableOptions) {
    this.#owner = owner;
    this.#options = options;
    for (const neighbor of options.config.neighbors) {
      const session = this.#create(neighbor, [neighbor.remoteAs], 'configured');
      if (this.#sessions.has(neighbor.name) || this.at(session.address, session.zone) !== undefined) {
        throw new BgpConfigError(`BGP neighbor ${neighbor.name} (${neighbor.address}) is configured twice`);
      }
      this.#sessions.set(neighbor.name, session);
    }
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  get(name: string): Session | undefined {
    return this.#sessions.get(name);
  }

  /** The session with whoever is at an address, of a link-local one on the link of the interface `zone`. */
  at(address: IpAddress, zone: string): Session | undefined {
    for (const session of this.#sessions.values())
      if (session.address === address && session.zone === zone) return session;
    return undefined;
  }

  /** A session for a peer that nobody has named, if its address is in one of the ranges that are listened to. */
  addDynamic(arrival: Arrival): Session | undefined {
    const present = [...this.#sessions.values()].filter(({ origin }) => origin === 'dynamic').length;
    const found = dynamicNeighbor(this.#options.config, arrival, present);
    if (found === null) return undefined;
    const session = this.#create(found.neighbor, found.remoteAs, 'dynamic');
    this.#sessions.set(session.name, session);
    session.start();
    return session;
  }

  /** False if it was not there any more. */
  delete({ name }: Session): boolean {
    return this.#sessions.delete(name);
  }

  #create(neighbor: NeighborConfig, remoteAs: readonly number[], origin: Session['origin']): Session {
    const { config, identifier, restarting, check } = this.#options;
    const own = neighbor.gracefulRestart ?? config.gracefulRestart ?? null;
    check(neighbor);
    return new Session(this.#owner, {
      asn: config.asn,
      identifier,
      neighbor,
      remoteAs,
      origin,
      gracefulRestart: own === 'off' ? null : own,
      restarting,
    });
  }
}
