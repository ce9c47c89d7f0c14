import test from 'ava';
import type { FileEvent } from '../../../nodes/events/files.ts';
import { FileTable } from '../../../nodes/kernel/files.ts';
import { FilesFold } from '../../../nodes/state/files-fold.ts';
import { FakeWorld } from '../../support/runtime.ts';

test('the fold of the events is the table', (t) => {
  const rt = new FakeWorld().runtime();
  const files = new FileTable(rt);
  const check = (expected: object) => {
    const fold = new FilesFold();
    for (const event of rt.events) fold.apply(event as FileEvent);
    t.deepEqual(files.snapshot(), expected);
    t.deepEqual(fold.view(), files.snapshot());
  };
  check({});
  files.write('c2', '/etc/hosts', 'a');
  files.write('', '/etc/hostname', 'n1\n');
  files.write('c2', '/etc/hosts', 'b');
  files.write('c1', '/etc/resolv.conf', '');
  check({ '': { '/etc/hostname': 'n1\n' }, c1: { '/etc/resolv.conf': '' }, c2: { '/etc/hosts': 'b' } });
  t.is(files.read('c1', '/etc/resolv.conf'), '');
  t.is(files.read('c1', '/etc/hosts'), null);
  files.remove('c1', '/etc/resolv.conf');
  files.removeAll('c2');
  check({ '': { '/etc/hostname': 'n1\n' } });
  const count = rt.events.length;
  files.write('', '/etc/hostname', 'n1\n');
  files.remove('c1', '/etc/resolv.conf');
  files.removeAll('c2');
  t.is(rt.events.length, count);
});

test('a boot finds none', (t) => {
  const fold = new FilesFold();
  fold.apply({ type: 'file.set', mnt: '', path: '/etc/hosts', text: 'x' });
  fold.apply({ type: 'node.booted', boot: 2, config: 'n1' });
  t.deepEqual(fold.view(), {});
});
