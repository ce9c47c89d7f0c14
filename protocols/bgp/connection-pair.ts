import type { Connection } from './connection.ts';
import type { SessionState } from './fsm.ts';

const RANK: Readonly<Record<SessionState, number>> = {
  Idle: 0,
  Active: 1,
  Connect: 1,
  OpenSent: 2,
  OpenConfirm: 3,
  Established: 4,
};

/** Whether a connection that was in one state and is in another has got less far than an OPEN. */
export function fellBack(from: SessionState, to: SessionState): boolean {
  return (from === 'OpenSent' || from === 'OpenConfirm') && RANK[to] < RANK.OpenSent;
}

/** The connection of a session, and a second one while they collide (RFC 4271 §6.8). */
export class ConnectionPair {
  readonly #make: () => Connection;
  #primary: Connection;
  #rival: Connection | null = null;

  constructor(make: () => Connection) {
    this.#make = make;
    this.#primary = make();
  }

  /** The one that the session starts by itself. */
  get primary(): Connection {
    return this.#primary;
  }

  /** The one that carries the session, or is furthest on the way to it. */
  get furthest(): Connection {
    return this.#rival !== null && RANK[this.#rival.state] > RANK[this.#primary.state]
      ? this.#rival
      : this.#primary;
  }

  stop(communication: string): void {
    this.#rival?.stop('shutdown', communication);
    this.#primary.stop('shutdown', communication);
  }

  abandon(reason: string): void {
    this.#rival?.abandon(reason);
    this.#primary.abandon(reason);
  }

  /** The state machine that is to take a connection from the neighbour. */
  acceptor(): Connection {
    if (this.#primary.state === 'Active' && this.#primary.id === null) return this.#primary;
    // The same neighbour has opened another: it has given up the one before.
    this.#rival?.discard();
    this.#rival = this.#make();
    return this.#rival;
  }

  /**
   * Whether a connection whose OPEN has come has to give way to the other, in OpenSent too, as its peer is known from this one.
   * `survivor` is which of two opened by either end stays.
   */
  collides(connection: Connection, survivor: () => 'outgoing' | 'incoming'): boolean {
    const other = connection === this.#primary ? this.#rival : this.#primary;
    if (other === null || other.state === 'Idle') return false;
    if (other.state === 'Established') {
      // RFC 4724 §4.2: a peer that restarts gracefully and connects anew has lost the old connection.
      if (other.negotiated?.restart == null) return true;
      other.abandon('Peer has restarted');
      return false;
    }
    if (other.id === null || other.state === 'Connect' || other.state === 'Active') return false;
    const sameOrigin = other.origin === connection.origin;
    const gives = sameOrigin ? other === this.#rival : connection.origin !== survivor();
    if (gives) return true;
    other.handle('OpenCollisionDump');
    return false;
  }

  /** Whether the other one of the two is on its way to a session. */
  goesOnWithout(connection: Connection): boolean {
    const other = connection === this.#primary ? this.#rival : this.#primary;
    return other !== null && RANK[other.state] >= RANK.OpenSent;
  }

  /** One of them has changed its state, of a session that goes on or is stopped: the other may take its place, or has to go. */
  changed(connection: Connection, session: 'running' | 'stopped'): void {
    if (connection === this.#primary) this.#primaryChanged(connection, session);
    else if (connection === this.#rival) this.#rivalChanged(connection);
  }

  #rivalChanged(rival: Connection): void {
    if (rival.state === 'Idle' || rival.id === null) {
      rival.discard();
      this.#rival = null;
    } else if (RANK[rival.state] >= RANK.OpenConfirm && RANK[this.#primary.state] < RANK.OpenSent) {
      // Nothing can come of our own attempt but a collision.
      this.#primary.discard();
      this.#promote(rival);
    }
  }

  #primaryChanged(primary: Connection, session: 'running' | 'stopped'): void {
    const rival = this.#rival;
    const waits = primary.state === 'Idle' || (primary.state === 'Active' && primary.id === null);
    if (rival !== null && waits && session === 'running') {
      primary.discard();
      this.#promote(rival);
    } else if (rival !== null && primary.state === 'Established') {
      rival.handle('OpenCollisionDump');
    }
  }

  #promote(rival: Connection): void {
    this.#primary = rival;
    this.#rival = null;
  }
}
