import type { NodeReport, SessionCount } from '../../../nodes/machine-io.ts';

/** A session that is established, both ways four messages. */
export function session(peer: string, rest: Partial<SessionCount> = {}): SessionCount {
  const counts = { established: true, settled: true, openedAt: 0, triedAt: 0, sent: 4, received: 4 };
  return { peer, key: 'a:1-b:2', ...counts, ...rest };
}

/** What a node at rest says of itself. */
export function report(node: string, rest: Partial<NodeReport> = {}): NodeReport {
  return {
    node,
    boot: 1,
    at: 100,
    sessions: [],
    work: 0,
    workOf: { bgp: 0, cluster: 0 },
    storeRevision: 9,
    fibChanges: 3,
    lastFibChange: 50,
    lastFibEvent: 7,
    updatesSent: 1,
    updatesReceived: 1,
    routes: 4,
    podsRunning: 1,
    dropped: {},
    ...rest,
  };
}
