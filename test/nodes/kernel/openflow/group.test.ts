import test from 'ava';
import fc from 'fast-check';
import { ipDst, ipSrc } from '../../../../protocols/ipv4.ts';
import { OpenFlowError } from '../../../../protocols/openflow/constants.ts';
import { parseGroup } from '../../../../protocols/openflow/group-text.ts';
import { FakeSwitch, ip, tcp } from './fake-switch.ts';

const A = ip('10.0.0.1');
const B = ip('10.0.0.2');

test('an all group sends to each bucket what came to it, and no bucket sees what another one does', (t) => {
  const s = new FakeSwitch();
  s.group('group_id=1,type=all,bucket=set_field:10.9.9.9->ip_dst,output:2,bucket=output:3');
  s.add('ip,actions=set_field:10.8.8.8->ip_src,group:1,output:4');
  t.deepEqual(s.send(tcp(A, B, 80)), [2, 3, 4]);
  const ends = s.sent.map(({ frame }) => [ipSrc(frame, 14), ipDst(frame, 14)]);
  const src = ip('10.8.8.8');
  t.deepEqual(ends, [
    [src, ip('10.9.9.9')],
    [src, B],
    [src, B],
  ]);
  const group = s.pipeline.groups.get(1)!;
  t.deepEqual([group.packets, group.bytes, group.bucketPackets], [1, 58, [1, 1]]);
});

test('a bucket is an action set: fields first, then a group or a port', (t) => {
  const s = new FakeSwitch();
  s.group(
    'group_id=1,type=indirect,bucket=output:2,set_field:99->tcp_dst',
    'group_id=2,type=all,bucket=output:7',
  );
  s.group('group_id=3,type=indirect,bucket=output:5,group:2');
  s.add('tcp,tp_dst=80,actions=group:1', 'tcp,tp_dst=81,actions=write_actions(group:3,output:9)');
  t.deepEqual(s.send(tcp(A, B, 80)), [2]);
  t.is((s.sent[0]!.frame[36]! << 8) | s.sent[0]!.frame[37]!, 99);
  t.deepEqual(s.send(tcp(A, B, 81)), [7]);
});

test('a select group keeps a flow on its bucket, both ways, and shares flows by weight', (t) => {
  const s = new FakeSwitch();
  s.group(
    'group_id=1,type=select,bucket=weight:3,output:1,bucket=weight:1,output:2,bucket=weight:0,output:3',
  );
  s.add('actions=group:1');
  const counts = new Map<number, number>();
  for (let i = 0; i < 2_000; i++) {
    const [port] = s.send(tcp(A, B, 80, 1024 + i), 9);
    t.deepEqual(s.send(tcp(A, B, 80, 1024 + i), 9), [port!]);
    const back = tcp(B, A, 1024 + i, 80);
    t.deepEqual(s.send(back, 9), [port!]);
    counts.set(port!, (counts.get(port!) ?? 0) + 1);
  }
  t.deepEqual([...counts.keys()].sort(), [1, 2]);
  t.true(Math.abs(counts.get(1)! - 1_500) < 150, `${counts.get(1)} of 2000 where 1500 are expected`);
});

test('a select group passes buckets by that are not live', (t) => {
  const s = new FakeSwitch();
  s.group(
    'group_id=1,type=select,bucket=watch_port:1,output:1,bucket=watch_port:2,output:2,bucket=watch_port:3,output:3',
  );
  s.add('actions=group:1');
  const ports = () => new Set(Array.from({ length: 100 }, (_, i) => s.send(tcp(A, B, i), 9)[0]));
  t.deepEqual([...ports()].sort(), [1, 2, 3]);
  const before = Array.from({ length: 100 }, (_, i) => s.send(tcp(A, B, i), 9)[0]);
  s.dead.add(2);
  const after = Array.from({ length: 100 }, (_, i) => s.send(tcp(A, B, i), 9)[0]);
  t.false(after.includes(2));
  // Nobody else is moved.
  for (const [i, port] of before.entries()) if (port !== 2) t.is(after[i], port);
  for (const port of [1, 3]) s.dead.add(port);
  t.deepEqual(s.send(tcp(A, B, 80), 9), []);
  t.is(s.drops.at(-1), 'openflow-no-bucket');
});

test('fast failover takes the first bucket that is live, by its port or by its group', (t) => {
  const s = new FakeSwitch();
  s.group(
    'group_id=2,type=ff,bucket=watch_port:5,output:5',
    'group_id=1,type=ff,bucket=watch_port:1,output:1,bucket=watch_group:2,group:2,bucket=watch_port:3,output:3',
  );
  s.add('actions=group:1');
  const frame = () => s.send(tcp(A, B, 80), 9);
  t.deepEqual(frame(), [1]);
  s.dead.add(1);
  t.deepEqual(frame(), [5]);
  s.dead.add(5);
  t.deepEqual(frame(), [3]);
  s.dead.delete(1);
  t.deepEqual(frame(), [1]);
  t.deepEqual(s.pipeline.groups.get(1)!.bucketPackets, [2, 1, 1]);
});

test('groups that go round do not end the switch', (t) => {
  const s = new FakeSwitch();
  s.group('group_id=1,type=all,bucket=group:2', 'group_id=2,type=all,bucket=group:1,output:3');
  s.group('group_id=3,type=ff,bucket=watch_group:3,output:4');
  s.add('in_port=1,actions=group:1', 'in_port=2,actions=group:3', 'in_port=3,actions=group:99');
  s.send(tcp(A, B, 80), 1);
  t.true(s.drops.includes('openflow-depth'));
  t.deepEqual(s.send(tcp(A, B, 80), 2), []);
  t.deepEqual(s.send(tcp(A, B, 80), 3), []);
  t.is(s.drops.at(-1), 'openflow-no-group');
  // It goes on.
  s.add('priority=40000,actions=output:8');
  t.deepEqual(s.send(tcp(A, B, 80)), [8]);
});

test('what is no group is refused, and a group that changes counts anew', (t) => {
  const s = new FakeSwitch();
  const { groups } = s.pipeline;
  s.group('group_id=1,type=all,bucket=output:1');
  t.throws(() => s.group('group_id=1,type=all,bucket=output:1'), { instanceOf: OpenFlowError });
  t.throws(() => groups.modify({ command: 'modify', ...parseGroup('group_id=9,type=all', 'spec') }), {
    instanceOf: OpenFlowError,
  });
  t.throws(() => s.group('group_id=3,type=indirect'), { instanceOf: OpenFlowError });
  s.add('actions=group:1');
  s.send(tcp(A, B, 80));
  s.world.advance(5_000);
  groups.modify({ command: 'modify', ...parseGroup('group_id=1,type=all,bucket=output:2', 'spec') });
  t.deepEqual(s.send(tcp(A, B, 80)), [2]);
  t.deepEqual([groups.get(1)!.packets, groups.get(1)!.created], [1, 0]);
  t.is(groups.delete(7).length, 0);
  t.is(groups.delete(1).length, 1);
});

test('with any weights each bucket has its share, to within one of a sixty-fourth', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 6 }), (weights) => {
      const s = new FakeSwitch();
      s.group(
        `group_id=1,type=select${weights.map((weight, i) => `,bucket=weight:${weight},output:${i + 1}`).join('')}`,
      );
      const { shares } = s.pipeline.groups.get(1)!;
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [i, weight] of weights.entries()) {
        const count = shares.filter((bucket) => bucket === i).length;
        t.true(Math.abs(count - (weight / total) * shares.length) <= 1.5, `${weights}: ${shares}`);
      }
    }),
  );
});
