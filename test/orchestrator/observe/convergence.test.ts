import test from 'ava';
import type { CommandReply, NodeCommand } from '../../../nodes/commands.ts';
import type { NodeReport } from '../../../nodes/machine-io.ts';
import { type PodStatus, storeKeys } from '../../../nodes/store.ts';
import { waitConverged } from '../../../orchestrator/observe/quiescence.ts';
import {
  NodeDownError,
  type NodeInfo,
  type NodeState,
  type RunningLab,
  type StoreEntry,
} from '../../../orchestrator/running-lab.ts';
import { calico, settle, simulate } from '../../support/sim.ts';
import { report, session } from './reports.ts';

type Reporter = (now: number) => Partial<NodeReport>;

/** A lab that says of itself what a test wants. A question takes `cost` ms to be answered. */
class ScriptedLab implements RunningLab {
  readonly name = 'scripted';
  readonly states = new Map<string, NodeState>();
  entries: readonly StoreEntry[] = [];
  looks = 0;
  readonly #reports: Readonly<Record<string, Reporter>>;
  readonly #cost: number;
  #now = 1_000;

  constructor(reports: Readonly<Record<string, Reporter>>, cost = 0) {
    this.#reports = reports;
    this.#cost = cost;
  }

  now(): number {
    return this.#now;
  }

  async sleep(ms: number): Promise<void> {
    this.#now += ms;
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    this.looks++;
    this.#now += this.#cost;
    return Object.keys(this.#reports).map((name, i) => {
      return {
        name,
        number: i + 1,
        role: 'node',
        state: this.states.get(name) ?? 'running',
        boot: 1,
        pid: 0,
        addresses: [],
      };
    });
  }

  async command(node: string, command: NodeCommand): Promise<CommandReply> {
    if (command.type !== 'report' || this.states.has(node)) throw new NodeDownError(node);
    return { type: 'value', value: report(node, { fibChanges: 0, ...this.#reports[node]?.(this.#now) }) };
  }

  async list(pattern: string): Promise<readonly StoreEntry[]> {
    const prefix = pattern.replace('>', '');
    return this.entries.filter(({ key }) => key.startsWith(prefix));
  }

  act(): Promise<never> {
    throw new Error('nothing is done to this lab');
  }

  async *records(): AsyncIterable<never> {}
}

const START = { at: 1_000, reports: [] };
const quiet = () => ({});

test('a lab at rest is looked at twice', async (t) => {
  const lab = new ScriptedLab({ n1: quiet, n2: quiet });
  const result = await waitConverged(lab, { within: 1_000, since: START });
  t.true(result.converged);
  t.is(lab.looks, 2);
  t.true(result.waited >= 20, 'something has time to happen between the two');
  t.deepEqual([result.after, result.lastNode, result.fibChanges, result.reasons], [0, '', 0, []]);
});

test('what moves between two quiet looks begins the wait anew', async (t) => {
  // Quiet at every look, but n1's counters go up until 1.2 s.
  const counts = (now: number) => ({
    fibChanges: Math.floor(Math.min(now, 1_200) / 10),
    lastFibChange: Math.min(now, 1_200),
  });
  const lab = new ScriptedLab({ n1: counts, n2: quiet });
  const result = await waitConverged(lab, { within: 5_000, since: START });
  t.true(result.converged);
  t.true(lab.now() >= 1_220, String(lab.now()));
  t.is(result.after, 200);
  t.is(result.lastNode, 'n1');
  t.is(result.fibChanges, 120);
});

test('a lab that never rests is given up when its time is over, and told why', async (t) => {
  const moving = await waitConverged(new ScriptedLab({ n1: (now) => ({ fibChanges: now }) }), {
    within: 500,
    since: START,
  });
  t.false(moving.converged);
  t.true(moving.waited >= 500 && moving.waited < 700, String(moving.waited));
  t.deepEqual(moving.reasons, ['something still changes from one look to the next']);

  const busy = await waitConverged(
    new ScriptedLab({ n1: () => ({ work: 3, workOf: { bgp: 1, cluster: 2 } }), n2: quiet }),
    { within: 500, since: START },
  );
  t.false(busy.converged);
  t.deepEqual(busy.reasons, ['n1: 3 pieces of work left (BGP 1, pods and store 2)']);
});

test('a lab at rest is found so however long the look takes', async (t) => {
  const result = await waitConverged(new ScriptedLab({ n1: quiet }, 300), { within: 100, since: START });
  t.true(result.converged, result.reasons.join());
});

test('nodes that are busy are asked alone until they are done', async (t) => {
  const asked: number[] = [];
  const lab = new ScriptedLab({
    n1: (now) => (now < 3_000 ? { work: 1, workOf: { bgp: 1, cluster: 0 } } : {}),
    n2: (now) => {
      asked.push(now);
      return {};
    },
  });
  const reasons: string[] = [];
  const onLook = (_: readonly NodeReport[], why: readonly string[]) => reasons.push(...why);
  t.true((await waitConverged(lab, { within: 10_000, since: START, onLook })).converged);
  t.true(asked.length <= 4, `${asked.length} questions to a node that had nothing to do`);
  t.true(new Set(reasons).has('n1: 1 pieces of work left (BGP 1, pods and store 0)'));
});

test('counts are taken from the baseline, and from zero for a node that has booted since', async (t) => {
  const since = {
    at: 900,
    reports: [
      report('n1', { fibChanges: 7, updatesSent: 5 }),
      report('n2', { fibChanges: 50, updatesReceived: 9 }),
    ],
  };
  const lab = new ScriptedLab({
    n1: () => ({ fibChanges: 10, updatesSent: 6, lastFibChange: 990 }),
    n2: () => ({ boot: 2, fibChanges: 4, updatesReceived: 2, lastFibChange: 950 }),
  });
  const result = await waitConverged(lab, { within: 1_000, since });
  t.is(result.fibChanges, 3 + 4);
  t.is(result.updatesSent, 1 + 1, 'n2 has sent one since it booted');
  t.is(result.updatesReceived, 0 + 2);
  t.deepEqual([result.after, result.lastNode], [90, 'n1']);
});

test('a change before the baseline is none of its business', async (t) => {
  const since = { at: 900, reports: [report('n1', { fibChanges: 3, lastFibChange: 890 })] };
  const lab = new ScriptedLab({ n1: () => ({ fibChanges: 3, lastFibChange: 890 }) });
  const { after, lastNode } = await waitConverged(lab, { within: 1_000, since });
  t.deepEqual([after, lastNode], [0, '']);
});

test('a node that is down is not waited for, one that starts is', async (t) => {
  const lab = new ScriptedLab({ n1: quiet, n2: quiet });
  lab.states.set('n2', 'down');
  t.true((await waitConverged(lab, { within: 100, since: START })).converged);
  lab.states.set('n2', 'starting');
  const result = await waitConverged(lab, { within: 100, since: START });
  t.deepEqual([result.converged, result.reasons], [false, ['n2: no answer']]);
});

test('sessions that were tried in vain are told, by one end each', async (t) => {
  const vain = { established: false, key: '', openedAt: 10, triedAt: 20 };
  const daemon = { farEnd: 'external' } as const;
  const lab = new ScriptedLab({
    n2: () => ({
      sessions: [
        session('n1:eth1', vain),
        session('n1:eth2'),
        session('d', { ...vain, ...daemon }),
        session('gone', vain),
      ],
    }),
    n1: () => ({ sessions: [session('n2:eth1', vain), session('n2:eth2')] }),
    d: () => ({ sessions: [session('n2', { ...daemon, key: '' })] }),
  });
  const { converged, reasons, sessionsDown } = await waitConverged(lab, { within: 200, since: START });
  t.true(converged, reasons.join());
  t.deepEqual(sessionsDown, ['n2 -> d', 'n1 -> n2:eth1']);
});

const pod = { namespace: 'default', name: 'web', uid: 'u1', node: 'n1', labels: {} };
const spec = (node = 'n1') => ({
  key: storeKeys.pod(node, 'default', 'web'),
  value: { ...pod, node },
  revision: 1,
});
const status = (rest: Partial<PodStatus>) => ({
  key: storeKeys.podStatus(rest.node ?? 'n1', 'default', 'web'),
  value: { ...pod, phase: 'Running', podIP: '10.0.0.1', message: '', ...rest },
  revision: 2,
});

const pods: readonly (readonly [
  title: string,
  entries: readonly StoreEntry[],
  reasons: readonly string[],
])[] = [
  ['runs', [spec(), status({})], []],
  ['has failed, which is an answer', [spec(), status({ phase: 'Failed', podIP: '' })], []],
  ['is not known to its kubelet', [spec()], ['pod default/web: not yet running']],
  ['is pending', [spec(), status({ phase: 'Pending', podIP: '' })], ['pod default/web: not yet running']],
  ['has the status of an earlier pod', [spec(), status({ uid: 'u0' })], ['pod default/web: not yet running']],
  ['is deleted and still there', [status({})], ['pod default/web: not yet gone']],
  ['is wanted on a node that is down', [spec('n2')], []],
  ['was on a node that is down', [status({ node: 'n2' })], []],
];

for (const [title, entries, reasons] of pods) {
  test(`a pod that ${title}`, async (t) => {
    const lab = new ScriptedLab({ n1: quiet, n2: quiet });
    lab.states.set('n2', 'down');
    lab.entries = entries;
    const result = await waitConverged(lab, { within: 200, since: START });
    t.deepEqual([result.converged, result.reasons], [reasons.length === 0, reasons]);
  });
}

test('a simulated lab that has converged stays as it is', async (t) => {
  const lab = await simulate(calico());
  const seen = await Promise.all(lab.nodeNames.map((name) => lab.command(name, { type: 'report' })));
  await lab.sleep(60_000);
  const { fibChanges, updatesSent, updatesReceived, waited } = await settle(lab);
  t.deepEqual([fibChanges, updatesSent, updatesReceived], [0, 0, 0]);
  t.true(waited < 100);
  for (const [i, name] of lab.nodeNames.entries()) {
    const reply = await lab.command(name, { type: 'report' });
    const [before, after] = [seen[i], reply].map((each) =>
      each?.type === 'value' ? (each.value as NodeReport) : null,
    );
    t.is(after?.lastFibChange, before?.lastFibChange, name);
    t.true((after?.lastFibChange ?? 0) > 0);
  }
});
