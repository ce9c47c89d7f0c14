import test from 'ava';
import type { LabEvent } from '../../../nodes/events/index.ts';
import { Holders } from '../../../orchestrator/chaos/holders.ts';

function sandbox(uid: string, ip: string): LabEvent {
  const facts = { namespace: 'default', pod: `web-${uid}`, uid, containerId: uid, netns: uid };
  return { type: 'pod.sandbox', sandbox: { ...facts, ip, hostDevice: 'cali0', labels: {} } };
}
const removed = (uid: string): LabEvent => ({
  type: 'pod.removed',
  uid,
  namespace: 'default',
  pod: `web-${uid}`,
  ip: '10.0.0.1',
});

function holders(...events: readonly (readonly [node: string, event: LabEvent, at: number])[]): Holders {
  const it = new Holders();
  for (const [node, event, at] of events) it.add(node, event, at);
  return it;
}

test('who held an address when', (t) => {
  const it = holders(
    ['n1', sandbox('a', ''), 5],
    ['n1', sandbox('a', '10.0.0.1'), 10],
    ['n1', removed('a'), 20],
    ['n1', sandbox('b', '10.0.0.1'), 30],
  );
  t.true(it.held('10.0.0.1', 'a', 10, 20));
  t.true(it.held('10.0.0.1', 'a', 19, 25), 'it still held it when the packet was sent');
  t.false(it.held('10.0.0.1', 'a', 5, 9), 'not before it had the address');
  t.false(it.held('10.0.0.1', 'a', 21, 40), 'an answer of a pod that is gone');
  t.false(it.held('10.0.0.1', 'b', 21, 29), 'an answer of a pod that is not there yet');
  t.true(it.held('10.0.0.1', 'b', 31, 99));
  t.false(it.held('10.0.0.2', 'b', 31, 99), 'an address of nobody');
  t.is(it.reused, 1);
  t.deepEqual(it.conflicts(), []);
});

test('two pods that hold one address at one time are a conflict, on two nodes too', (t) => {
  const it = holders(['n1', sandbox('a', '10.0.0.1'), 10], ['n2', sandbox('b', '10.0.0.1'), 15]);
  const [conflict, ...more] = it.conflicts();
  t.is(conflict?.ip, '10.0.0.1');
  t.is(conflict?.first.pod, 'default/web-a');
  t.is(conflict?.second.node, 'n2');
  t.deepEqual(more, []);
});

test('a pod holds nothing after its node has booted anew', (t) => {
  const booted = { type: 'node.booted' } as LabEvent;
  const it = holders(
    ['n1', sandbox('a', '10.0.0.1'), 10],
    ['n2', sandbox('b', '10.0.0.2'), 10],
    ['n1', booted, 50],
    ['n2', sandbox('c', '10.0.0.1'), 60],
  );
  t.false(it.held('10.0.0.1', 'a', 51, 60));
  t.true(it.held('10.0.0.2', 'b', 51, 60));
  t.deepEqual(it.conflicts(), []);
});
