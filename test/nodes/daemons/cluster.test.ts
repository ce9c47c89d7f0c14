import test from 'ava';
import type { CniConfig } from '../../../nodes/config.ts';
import { ClusterConfigError } from '../../../nodes/daemons/cluster.ts';
import { type StoreValue, storeKeys } from '../../../nodes/store.ts';
import { calico, flannel, Lab } from './lab.ts';

const vxlan = flannel({ type: 'vxlan', vni: 1, port: 8472, directRouting: false });

test('a network that cannot work is refused, with the reason', (t) => {
  const refused: readonly (readonly [CniConfig, RegExp])[] = [
    [{ ...calico, pool: '10.244.0.0' + '.0/16' }, /pool 10\.244\.0\.0\.0\/16 is not a prefix/],
    [{ ...calico, blockSize: 15 }, /block size \/15/],
    [{ ...calico, pool: '10.244.0.0/27' }, /block size \/26/],
    [{ ...calico, blockSize: 33 }, /block size \/33/],
    [{ ...vxlan, network: 'x' }, /network x is not a prefix/],
    [{ ...vxlan, subnetLen: 17 }, /at least four subnets/],
    [{ ...vxlan, subnetLen: 31 }, /less than \/31/],
    [{ ...vxlan, iface: 'eth7' }, /failed to find IPv4 address for interface eth7/],
  ];
  for (const [cni, message] of refused) {
    t.throws(() => new Lab(cni).addNode('n1'), { instanceOf: ClusterConfigError, message });
  }
});

test('the daemons watch their own pods, and the family of their plug-in', (t) => {
  t.deepEqual(new Lab(calico).addNode('n1').daemons!.watches, ['pods.n1.>', 'podstatus.n1.>', 'ipam.>']);
  t.deepEqual(new Lab(vxlan).addNode('n2').daemons!.watches, ['pods.n2.>', 'podstatus.n2.>', 'flannel.>']);
});

test('rows that are no pods of this node are passed over', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.settle();
  const good = { namespace: 'default', name: 'one', uid: 'u', node: 'n1', labels: {} };
  const key = storeKeys.pod('n1', 'default', 'one');
  const bad: StoreValue[] = [
    {},
    { ...good, uid: '' },
    { ...good, uid: 7 },
    { ...good, node: 'n2' },
    { ...good, name: 'two' },
    { ...good, namespace: 'x' },
    { ...good, labels: null },
  ];
  for (const value of bad) lab.store.apply({ op: 'put', key, value }, 0);
  lab.store.apply({ op: 'put', key: 'pods.n1.default', value: good }, 0);
  lab.store.apply({ op: 'put', key: 'pods.n1.default.one.more', value: good }, 0);
  lab.store.apply({ op: 'put', key: 'ipam.blocks.junk', value: { a: 1 } }, 0);
  lab.store.apply({ op: 'put', key: 'ipam.blocks.10-244-0-0-26', value: { cidr: '10.244.0.64/26' } }, 0);
  lab.settle();
  t.deepEqual(node.daemons!.snapshot().sandboxes, []);
  lab.store.apply({ op: 'put', key, value: { ...good, labels: { app: 'web', weight: 3 } } }, 0);
  lab.settle();
  t.like(node.daemons!.snapshot().sandboxes, [{ pod: 'one', uid: 'u', labels: { app: 'web' } }]);
  t.is(node.daemons!.namespaceOf('default/one')?.name, node.daemons!.snapshot().sandboxes[0]!.netns);
  t.is(node.daemons!.namespaceOf('default/two'), undefined);
  t.is(node.daemons!.namespaceOf('one'), undefined);
});

test('a block under whose key stands something else is not claimed', (t) => {
  const free = new Lab(calico);
  const first = free.addNode('n1');
  free.pod(first, 'one');
  free.settle();
  const { cidr } = first.daemons!.snapshot().ipam.blocks[0]!;
  const lab = new Lab(calico);
  const key = storeKeys.ipamBlock(cidr);
  lab.store.apply({ op: 'put', key, value: { broken: true } }, 0);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.settle();
  t.is(lab.status(node, 'one')?.phase, 'Running');
  t.not(node.daemons!.snapshot().ipam.blocks[0]?.cidr, cidr);
  t.deepEqual(
    lab.store.list(key).map((entry) => entry.value),
    [{ broken: true }],
  );
});

test('the same seed gives the same run', (t) => {
  for (const cni of [calico, vxlan]) {
    const run = () => {
      const lab = new Lab(cni, { seed: 5 });
      const nodes = [lab.addNode('n1'), lab.addNode('n2')];
      for (let i = 0; i < 5; i++) for (const node of nodes) lab.pod(node, `pod-${i}`);
      lab.settle();
      nodes[0]!.kill();
      nodes[0]!.boot();
      lab.settle();
      return nodes.map((node) => node.records);
    };
    t.deepEqual(run(), run());
  }
});
