import type { Advertiser } from './advertiser.ts';
import type { FamilyName, GracefulRestartConfig, NeighborConfig, SpeakerTimings } from './config.ts';
import type { Connection } from './connection.ts';
import type { ConnectionId, SpeakerHost, TimerHandle } from './host.ts';
import type { LocRib } from './loc-rib.ts';
import type { LocalSide, Negotiated } from './negotiate.ts';
import type { Notification } from './notification.ts';
import type { Peer } from './path.ts';
import type { Session } from './session.ts';

/** What a session asks of its speaker. */
export interface SessionOwner {
  readonly host: SpeakerHost;
  readonly timings: SpeakerTimings;
  readonly locRib: LocRib;
  later(delay: number, run: () => void): TimerHandle;
  jittered(time: number): number;
  connect(session: Session, connection: Connection): ConnectionId;
  release(id: ConnectionId): void;
  /** The session has come up: its routes are to be exchanged. */
  established(session: Session, peer: Peer, negotiated: Negotiated): Exchange;
  /** It has gone down: nothing that came over it holds any more. */
  lost(session: Session): void;
  /** Of a family, what has not been told again is removed; or goes on as long-lived stale. */
  sweep(session: Session, family: FamilyName): void;
  keepLongLived(session: Session, family: FamilyName): void;
  /** All that the peer had at the beginning of the session is here. */
  endOfRib(session: Session, family: FamilyName): void;
  /** A session that nobody has configured is over. */
  vanished(session: Session): void;
}

/** The two directions of an established session. */
export interface Exchange {
  readonly advertiser: Advertiser;
  update(body: Uint8Array): Notification | null;
}

export interface SessionOptions {
  readonly asn: number;
  readonly identifier: number;
  readonly neighbor: NeighborConfig;
  /** AS numbers that the peer may be in; the neighbour's own by default. */
  readonly remoteAs?: readonly number[];
  readonly origin: 'configured' | 'dynamic';
  readonly gracefulRestart: GracefulRestartConfig | null;
  readonly restarting: () => LocalSide['restarting'];
}

/** Counters since the session was established, KEEPALIVEs aside. */
export interface SessionCounters {
  readonly sent: number;
  readonly received: number;
}
