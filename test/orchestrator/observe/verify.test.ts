import test from 'ava';
import type { LabEvent } from '../../../nodes/events/index.ts';
import type { AnyRecord } from '../../../orchestrator/events.ts';
import { compare, verifyNode } from '../../../orchestrator/observe/verify.ts';
import type { RunningLab } from '../../../orchestrator/running-lab.ts';
import { calico, flannel, recordsOf, simulate, snapshotOf } from '../../support/sim.ts';

/** A lab whose log is not what happened. */
function withLog(lab: RunningLab, change: (records: AnyRecord[]) => AnyRecord[]): RunningLab {
  return {
    name: lab.name,
    now: () => lab.now(),
    sleep: (ms) => lab.sleep(ms),
    nodes: () => lab.nodes(),
    command: (node, command, options) => lab.command(node, command, options),
    act: (action) => lab.act(action),
    list: (pattern) => lab.list(pattern),
    async *records(node) {
      yield* change(await recordsOf(lab, node));
    },
  };
}

const lost: readonly (readonly [what: LabEvent['type'], slice: string])[] = [
  ['route.changed', 'kernel.routes'],
  ['link.set', 'kernel.links'],
  ['addr.added', 'kernel.addresses'],
  ['neighbor.set', 'kernel.neighbors'],
  ['bgp.session', 'bgp.sessions'],
  ['bgp.received', 'bgp.adjRibIn'],
  ['bgp.sent', 'bgp.adjRibOut'],
  ['bgp.best', 'bgp.locRib'],
  ['bgp.originated', 'bgp.originated'],
  ['pod.sandbox', 'cluster.sandboxes'],
  ['ipam.assigned', 'cluster.ipam'],
];

test('every kind of event that a log may lack is missed, in the slice that it makes', async (t) => {
  const lab = await simulate(calico());
  t.deepEqual(await verifyNode(lab, 'n1'), {
    node: 'n1',
    state: 'verified',
    events: (await recordsOf(lab, 'n1')).length,
    differences: [],
  });
  for (const [type, slice] of lost) {
    const forgetful = withLog(lab, (records) => records.filter(({ event }) => event.type !== type));
    const verdict = await verifyNode(forgetful, 'n1');
    t.is(verdict.state, 'differs', type);
    t.true(
      verdict.differences.some((difference) => difference.slice === slice),
      `${type}: ${verdict.differences.map((difference) => difference.slice).join()}`,
    );
  }
});

test('one event in the middle is enough, and both sides are told', async (t) => {
  const lab = await simulate(flannel('vxlan'));
  const isPeer = ({ event }: AnyRecord) => event.type === 'flannel.peer';
  const last = (await recordsOf(lab, 'n2')).findLast(isPeer);
  const { differences } = await verifyNode(
    withLog(lab, (records) => records.filter((one) => one.id !== last?.id)),
    'n2',
  );
  t.deepEqual(
    differences.map(({ node, slice }) => `${node} ${slice}`),
    ['n2 cluster.flannel'],
  );
  t.deepEqual(differences[0]?.live, (await snapshotOf(lab, 'n2')).view.cluster.flannel);
  t.notDeepEqual(differences[0]?.folded, differences[0]?.live);
});

test('what the log holds beyond the snapshot is not held against it', async (t) => {
  const lab = await simulate(calico());
  const ahead = withLog(lab, (records) => {
    const { id, at } = records.at(-1)!;
    const event: LabEvent = { type: 'bgp.originated', prefix: '203.0.113.0/24' };
    return [...records, { v: 1, id: id + 1, cause: id, at, event }];
  });
  t.is((await verifyNode(ahead, 'n1')).state, 'verified');
});

test('a node that is down has nothing to compare', async (t) => {
  const lab = await simulate(calico());
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  t.deepEqual(await verifyNode(lab, 'n2'), { node: 'n2', state: 'down', events: 0, differences: [] });
});

test('every slice of a view is compared', async (t) => {
  const lab = await simulate(calico({ pods: 1 }));
  const { view } = await snapshotOf(lab, 'n1');
  t.deepEqual(compare('n1', view, structuredClone(view)), []);
  for (const [part, slices] of Object.entries(view)) {
    for (const slice of Object.keys(slices)) {
      const other = { ...view, [part]: { ...slices, [slice]: 'another' } };
      t.deepEqual(
        compare('n1', view, other).map((difference) => difference.slice),
        [`${part}.${slice}`],
      );
    }
  }
});
