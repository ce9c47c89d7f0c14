import test from 'ava';
import { PodStatusWriter } from '../../../nodes/daemons/pod-status.ts';
import { StoreClient } from '../../../nodes/daemons/store-client.ts';
import { WatchSync } from '../../../nodes/daemons/watch-sync.ts';
import type { StoreResult } from '../../../nodes/runtime.ts';
import type { PodStatus } from '../../../nodes/store.ts';
import { FakeWorld } from '../../support/runtime.ts';

function bench() {
  const world = new FakeWorld();
  const rt = world.runtime();
  const answer = (index: number, result: StoreResult) => rt.requests[index]!.done?.(result);
  return { world, rt, store: new StoreClient(rt), answer };
}

const ok = (revision: number): StoreResult => ({ ok: true, revision });
const unavailable: StoreResult = { ok: false, conflict: false, error: 'down' };

test('a request that the store did not answer is made again, under its own cause', (t) => {
  const { world, rt, store, answer } = bench();
  const answers: unknown[] = [];
  rt.cause = 41;
  store.request({ op: 'put', key: 'a', value: {} }, (result) => answers.push(result, rt.cause));
  rt.cause = 99;
  answer(0, unavailable);
  t.is(store.outstanding, 1);
  world.advance(500);
  t.is(rt.requests.length, 1);
  world.advance(1000);
  t.is(rt.requests.length, 2);
  t.deepEqual(rt.requests[1]!.op, rt.requests[0]!.op);
  rt.cause = 99;
  answer(1, ok(7));
  t.deepEqual(answers, [{ type: 'done', revision: 7 }, 41]);
  t.is(store.outstanding, 0);
});

test('a conflict is an answer', (t) => {
  const { store, answer } = bench();
  const answers: unknown[] = [];
  store.request({ op: 'create', key: 'a', value: {} }, (result) => answers.push(result));
  answer(0, { ok: false, conflict: true });
  t.deepEqual(answers, [{ type: 'conflict' }]);
  t.is(store.outstanding, 0);
});

test('a watch is synced when the row written at the start has come by, whichever is told first', (t) => {
  for (const order of ['answer first', 'watch first'] as const) {
    const { store, answer, rt } = bench();
    let synced = 0;
    const sync = new WatchSync(store, 'ipam', 'n1', () => synced++);
    sync.start();
    t.like(rt.requests[0]!.op, { op: 'put', key: 'ipam.sync.n1' });
    const change = (revision: number) =>
      sync.storeChanged({ key: 'ipam.sync.n1', value: {}, revision, cause: 0 });
    // Left by the boot before.
    change(3);
    sync.storeChanged({ key: 'ipam.blocks.x', value: {}, revision: 90, cause: 0 });
    t.false(sync.synced);
    if (order === 'answer first') {
      answer(0, ok(8));
      t.false(sync.synced);
      change(8);
    } else {
      change(8);
      t.false(sync.synced);
      answer(0, ok(8));
    }
    t.true(sync.synced);
    change(12);
    t.is(synced, 1);
  }
});

test('of the statuses of a pod one is written at a time, and the last one stays', (t) => {
  const { rt, store, answer } = bench();
  const writer = new PodStatusWriter(rt, store);
  const status = (phase: PodStatus['phase']): PodStatus => ({
    namespace: 'd',
    name: 'p',
    uid: 'u',
    node: 'n1',
    labels: {},
    phase,
    podIP: '',
    message: '',
  });
  rt.cause = 1;
  writer.set('k', status('Pending'));
  rt.cause = 2;
  writer.set('k', status('Failed'));
  rt.cause = 3;
  writer.set('k', status('Running'));
  writer.set('other', null);
  t.deepEqual(
    rt.requests.map(({ op }) => [op.op, op.key]),
    [
      ['put', 'k'],
      ['delete', 'other'],
    ],
  );
  answer(1, ok(1));
  t.false(writer.isWriting('other'));
  t.true(writer.isWriting('k'));
  answer(0, ok(2));
  t.like(rt.requests[2]!.op, { op: 'put', key: 'k', value: { phase: 'Running' } });
  t.is(rt.cause, 3);
  answer(2, ok(3));
  t.is(rt.requests.length, 3);
  t.false(writer.isWriting('k'));
});
