import type { LocRib } from './loc-rib.ts';
import type { Session } from './session.ts';

/** What one end of a session counts, for the sums that show that nothing is under way. */
interface SessionReport {
  readonly peer: string;
  /** Same text on both ends of one TCP connection, '' while not established. */
  readonly key: string;
  readonly established: boolean;
  /** See `Settling`. */
  readonly settled: boolean;
  readonly openedAt: number;
  readonly triedAt: number;
  readonly turnedAway: 'yes' | 'no';
  /** Messages other than KEEPALIVE since the session was established. */
  readonly sent: number;
  readonly received: number;
}

export interface SpeakerReport {
  readonly sessions: readonly SessionReport[];
  /** Prefixes to be decided, changes to be sent, bytes that wait for the TCP send buffer. 0 when there is nothing to do. */
  readonly pendingWork: number;
}

export interface SpeakerStats {
  readonly updatesSent: number;
  readonly updatesReceived: number;
  /** Changes that the decision process has made to best paths or next hops. */
  readonly decisions: number;
  /** Prefixes in the Loc-RIB, and paths in all Adj-RIBs-In. */
  readonly routes: number;
  readonly paths: number;
}

export function statsOf(sessions: Iterable<Session>, locRib: LocRib, decisions: number): SpeakerStats {
  let updatesSent = 0;
  let updatesReceived = 0;
  let paths = 0;
  for (const { stats, ribIn } of sessions) {
    updatesSent += stats.updatesSent;
    updatesReceived += stats.updatesReceived;
    paths += ribIn.size;
  }
  return { updatesSent, updatesReceived, decisions, routes: locRib.routes, paths };
}

/** `pending` is the work that waits at no session. */
export function reportOf(all: Iterable<Session>, pending: number): SpeakerReport {
  const sessions: SessionReport[] = [];
  let pendingWork = pending;
  for (const session of all) {
    const { name, key, state, settling, counters, advertiser, blocked, awaited } = session;
    const { settled, openedAt, triedAt, turnedAway } = settling;
    sessions.push({
      peer: name,
      key,
      established: state === 'Established',
      settled,
      openedAt,
      triedAt,
      turnedAway: turnedAway ? 'yes' : 'no',
      ...counters,
    });
    pendingWork += (advertiser?.pending ?? 0) + (blocked ? 1 : 0) + awaited;
  }
  return { sessions, pendingWork };
}
