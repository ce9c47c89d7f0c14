import type { NodeReport, SessionCount } from '../../nodes/machine-io.ts';
import { type PodSpec, type PodStatus, storeKeys } from '../../nodes/store.ts';
import { NodeDownError, type RunningLab } from '../running-lab.ts';

/** Time from a quiet look at the counters to the one that confirms it, ms. */
const CONFIRM = 20;
/** Time until the next look at a lab that is not quiet: asking costs the lab what it would converge with. */
const LOOK = 50;
const LOOK_PER_NODE = 4;

/**
 * What is asked of sessions between nodes that both run: 'settled' lets be what was tried in vain, as after a fault that
 * keeps them apart; 'established' is for a lab that comes up, where every session must.
 */
export type SessionDemand = 'settled' | 'established';

/** What the lab's counters add up to. */
export interface Verdict {
  /** Why the lab is not quiescent, in words; empty when it is. */
  readonly reasons: readonly string[];
  /** Equal for two looks between which nothing was sent, received or changed. */
  readonly fingerprint: string;
}

/**
 * Judges one set of reports. A lab is quiescent when every node has answered and has no work of its own left, both
 * ends of every established session have counted the same messages, every session that is not established has
 * been tried in vain, and all watchers of shared keys have seen the same revision.
 */
export function judge(
  reports: readonly NodeReport[],
  expected: readonly string[],
  sessions: SessionDemand = 'settled',
): Verdict {
  const reasons: string[] = [];
  const byName = new Map(reports.map((report) => [report.node, report]));
  for (const name of expected) if (!byName.has(name)) reasons.push(`${name}: no answer`);
  for (const report of reports) {
    if (report.work > 0) {
      const { bgp, cluster, openflow = 0, dad = 0 } = report.workOf;
      const flows = openflow === 0 ? '' : `, OpenFlow ${openflow}`;
      const claims = dad === 0 ? '' : `, duplicate address detection ${dad}`;
      reasons.push(
        `${report.node}: ${report.work} pieces of work left (BGP ${bgp}, pods and store ${cluster}${flows}${claims})`,
      );
    }
    for (const session of report.sessions) {
      const named = byName.get(nodeOf(session.peer));
      const peer = named ?? farEndOf(report, session, reports);
      const reason = judgeSession(report.node, session, peer, sessions);
      if (reason !== null) reasons.push(reason);
    }
  }
  const watching = reports.filter((report) => report.storeRevision > 0);
  const newest = Math.max(0, ...watching.map((report) => report.storeRevision));
  for (const report of watching) {
    if (report.storeRevision < newest) {
      reasons.push(
        `${report.node}: has seen revision ${report.storeRevision} of the store, others ${newest}`,
      );
    }
  }
  const fingerprint = reports
    .map((report) => {
      const counts = report.sessions.map(({ key, sent, received }) => `${key}/${sent}/${received}`);
      return `${report.node}:${report.boot}:${report.fibChanges}:${report.storeRevision}:${counts.join(',')}`;
    })
    .sort()
    .join('\n');
  return { reasons, fingerprint };
}

/** A session is named by its peer's node; where there are several with one node, its interface follows: `london:eth1`. */
function nodeOf(session: string): string {
  return session.split(':', 1)[0] ?? session;
}

/** A peer that is known by its address alone, as a dynamic one is: whoever has the other end of the connection. */
function farEndOf(
  own: NodeReport,
  { key, established }: SessionCount,
  reports: readonly NodeReport[],
): NodeReport | undefined {
  if (!established) return undefined;
  return reports.find((report) => report !== own && report.sessions.some((far) => far.key === key));
}

function judgeSession(
  node: string,
  session: SessionCount,
  peer: NodeReport | undefined,
  demand: SessionDemand,
): string | null {
  const name = `${node} -> ${session.peer}`;
  if (!session.established) {
    if (peer === undefined) return null;
    if (demand === 'established') return `${name}: session not yet established`;
    if (session.turnedAway === 'yes')
      return `${name}: session not established: the other end closes the connections, and may wait after an error`;
    if (!session.settled) return `${name}: session not yet tried`;
    // What failed before the other end let go of an old session, say, may succeed now.
    const missed = peer.sessions.some(
      (far) =>
        nodeOf(far.peer) === node &&
        (!far.established || far.farEnd === 'external') &&
        far.openedAt > session.triedAt,
    );
    return missed ? `${name}: session not tried again since the other end was ready for it` : null;
  }
  if (session.farEnd === 'external') {
    // A daemon's own report has no keys: it does not know what has become of its sessions.
    const isLeft = peer === undefined && session.key !== '';
    return isLeft ? `${name}: established here, and the other end is down; its hold timer decides` : null;
  }
  const far = peer?.sessions.find((candidate) => candidate.established && candidate.key === session.key);
  if (far === undefined) return `${name}: established here, not at the other end; its hold timer decides`;
  if (session.sent !== far.received)
    return `${name}: ${session.sent} messages sent, ${far.received} received`;
  return null;
}

/** The state of a lab's counters at one moment, to measure a change from. */
export interface Baseline {
  readonly at: number;
  readonly reports: readonly NodeReport[];
}

export interface Convergence {
  readonly converged: boolean;
  /** Time from the baseline to the last change of any node's FIB, ms; 0 if none changed. */
  readonly after: number;
  /** Node that changed last, '' if none. */
  readonly lastNode: string;
  readonly fibChanges: number;
  readonly updatesSent: number;
  readonly updatesReceived: number;
  /** Time that the wait itself took on the lab's clock, ms. */
  readonly waited: number;
  /** What was still going on, if it did not converge. */
  readonly reasons: readonly string[];
  /** Sessions between nodes that both run which are not established, `r1 -> r2`, each by one end: tried in vain, or shut down. */
  readonly sessionsDown: readonly string[];
}

/** Reports of the running nodes, or of those among them that are named. */
export async function collectReports(lab: RunningLab, names?: readonly string[]): Promise<NodeReport[]> {
  const asked =
    names ?? (await lab.nodes()).flatMap(({ name, state }) => (state === 'running' ? [name] : []));
  const answers = await Promise.all(
    asked.map(async (name) => {
      try {
        const reply = await lab.command(name, { type: 'report' });
        return reply.type === 'value' ? (reply.value as NodeReport) : null;
      } catch (error) {
        // A node that died between the listing and the question is simply not there to be asked.
        if (error instanceof NodeDownError) return null;
        throw error;
      }
    }),
  );
  return answers.filter((answer) => answer !== null);
}

export async function baseline(lab: RunningLab): Promise<Baseline> {
  return { reports: await collectReports(lab), at: lab.now() };
}

export interface WaitOptions {
  /** Give up after this long on the lab's clock, ms. */
  readonly within: number;
  /** What the convergence is measured from. */
  readonly since: Baseline;
  /** 'settled' if not given. */
  readonly sessions?: SessionDemand;
  /** Called after each look at the lab. */
  readonly onLook?: (reports: readonly NodeReport[], reasons: readonly string[]) => void;
}

/** Nodes that are asked alone, after a look at all found them busy, until they are done. */
const SUSPECTS = 3;

/** Whether a node still has to do something by itself, whatever the others say. */
function isBusy(report: NodeReport, demand: SessionDemand): boolean {
  const { work, sessions } = report;
  return work > 0 || (demand === 'established' && sessions.some((session) => !session.established));
}

/** Waits until the lab is quiescent, twice in a row with nothing moving in between. */
export async function waitConverged(lab: RunningLab, options: WaitOptions): Promise<Convergence> {
  const { within, since, sessions = 'settled', onLook } = options;
  const started = lab.now();
  const isOver = () => lab.now() - started >= within;
  const known = new Map<string, NodeReport>();
  let previous: string | null = null;
  for (;;) {
    const nodes = await lab.nodes();
    const expected = nodes.filter((node) => node.state !== 'down').map((node) => node.name);
    const running = nodes.filter((node) => node.state === 'running').map((node) => node.name);
    const reports = await collectReports(lab, running);
    const verdict = judge(reports, expected, sessions);
    const reasons = verdict.reasons.length > 0 ? verdict.reasons : await podsOutstanding(lab, expected);
    onLook?.(reports, reasons);
    if (reasons.length === 0 && verdict.fingerprint === previous) {
      return summary(true, since, reports, lab.now() - started, []);
    }
    // What is found quiet at the last moment is confirmed or not, but no more than once.
    const isFirstQuiet = reasons.length === 0 && previous === null;
    previous = reasons.length === 0 ? verdict.fingerprint : null;
    if (isOver() && !isFirstQuiet) {
      const why = reasons.length > 0 ? reasons : ['something still changes from one look to the next'];
      return summary(false, since, reports, lab.now() - started, why);
    }
    for (const report of reports) known.set(report.node, report);
    let busy = reports.filter((report) => isBusy(report, sessions)).map((report) => report.node);
    while (busy.length > 0 && !isOver()) {
      await lab.sleep(LOOK);
      const fresh = await collectReports(lab, busy.slice(-SUSPECTS));
      for (const report of fresh) known.set(report.node, report);
      onLook?.([...known.values()], reasons);
      busy = fresh.filter((report) => isBusy(report, sessions)).map((report) => report.node);
    }
    await lab.sleep(reasons.length === 0 ? CONFIRM : LOOK + LOOK_PER_NODE * reports.length);
  }
}

/** Pods whose status is not what their spec asks for, on nodes that could do something about it. */
async function podsOutstanding(lab: RunningLab, running: readonly string[]): Promise<string[]> {
  const up = new Set(running);
  const specs = (await lab.list('pods.>')).map((entry) => entry.value as PodSpec);
  const statuses = (await lab.list('podstatus.>')).map((entry) => entry.value as PodStatus);
  const key = (pod: PodSpec | PodStatus) => storeKeys.pod(pod.node, pod.namespace, pod.name);
  const statusOf = new Map(statuses.map((status) => [key(status), status]));
  const wanted = new Set(specs.map(key));
  const reasons: string[] = [];
  for (const spec of specs) {
    const status = statusOf.get(key(spec));
    const done = status !== undefined && status.uid === spec.uid && status.phase !== 'Pending';
    if (up.has(spec.node) && !done) reasons.push(`pod ${spec.namespace}/${spec.name}: not yet running`);
  }
  for (const status of statuses) {
    if (up.has(status.node) && !wanted.has(key(status))) {
      reasons.push(`pod ${status.namespace}/${status.name}: not yet gone`);
    }
  }
  return reasons;
}

function sessionsDown(reports: readonly NodeReport[]): string[] {
  const byName = new Map(reports.map((report) => [report.node, report]));
  const isDown = (from: NodeReport | undefined, to: string) =>
    from?.sessions.some(({ peer, established }) => nodeOf(peer) === to && !established) === true;
  return reports.flatMap(({ node, sessions }) =>
    sessions.flatMap(({ peer, established }) => {
      const far = byName.get(nodeOf(peer));
      if (established || far === undefined) return [];
      return far.node < node && isDown(far, node) ? [] : [`${node} -> ${peer}`];
    }),
  );
}

function summary(
  converged: boolean,
  since: Baseline,
  reports: readonly NodeReport[],
  waited: number,
  reasons: readonly string[],
): Convergence {
  const before = new Map(since.reports.map((report) => [report.node, report]));
  let last = since.at;
  let lastNode = '';
  let fibChanges = 0;
  let updatesSent = 0;
  let updatesReceived = 0;
  for (const report of reports) {
    const old = before.get(report.node);
    const base = old !== undefined && old.boot === report.boot ? old : undefined;
    fibChanges += report.fibChanges - (base?.fibChanges ?? 0);
    updatesSent += report.updatesSent - (base?.updatesSent ?? 0);
    updatesReceived += report.updatesReceived - (base?.updatesReceived ?? 0);
    if (report.fibChanges > (base?.fibChanges ?? 0) && report.lastFibChange > last) {
      last = report.lastFibChange;
      lastNode = report.node;
    }
  }
  const after = last - since.at;
  const counts = { fibChanges, updatesSent, updatesReceived };
  return { converged, after, lastNode, ...counts, waited, reasons, sessionsDown: sessionsDown(reports) };
}
