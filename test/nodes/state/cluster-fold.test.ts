import test from 'ava';
import type { ClusterEvent, LeaseFacts, SandboxFacts } from '../../../nodes/events/cluster.ts';
import { ClusterFold } from '../../../nodes/state/cluster-fold.ts';

const sandbox = (pod: string, ip = '', namespace = 'default'): SandboxFacts => ({
  namespace,
  pod,
  uid: `uid-${pod}`,
  containerId: `c-${pod}`,
  netns: `cni-${pod}`,
  ip,
  hostDevice: '',
  labels: {},
});
const lease = (subnet: string, expiresAt = 1000): LeaseFacts => ({
  subnet,
  publicIP: '192.168.0.1',
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: '02:00:00:00:00:01' },
  expiresAt,
});

function fold(...events: readonly ClusterEvent[]): ClusterFold {
  const it = new ClusterFold();
  for (const event of events) it.apply(event);
  return it;
}

const all: ClusterEvent[] = [
  { type: 'flannel.acquired', lease: lease('10.244.3.0/24'), mtu: 1450 },
  { type: 'flannel.peer', lease: lease('10.244.10.0/24') },
  { type: 'flannel.peer', lease: lease('10.244.9.0/24') },
  { type: 'ipam.block', block: { cidr: '10.0.0.64/26', state: 'pending' } },
  { type: 'ipam.block', block: { cidr: '10.0.0.0/26', state: 'confirmed' } },
  { type: 'ipam.block', block: { cidr: '10.0.0.64/26', state: 'confirmed' } },
  { type: 'ipam.assigned', ip: '10.0.0.10', handle: 'c-b' },
  { type: 'ipam.assigned', ip: '10.0.0.9', handle: 'c-a' },
  { type: 'pod.sandbox', sandbox: sandbox('b', '10.0.0.10') },
  { type: 'pod.sandbox', sandbox: sandbox('a') },
  { type: 'pod.sandbox', sandbox: sandbox('a', '10.0.0.9') },
];

test('an empty log is an empty state', (t) => {
  t.deepEqual(fold().view(), {
    sandboxes: [],
    ipam: { blocks: [], assigned: [], last: '' },
    flannel: { own: null, revoked: false, peers: [] },
  });
});

test('the state is in canonical order: addresses as numbers, pods by name', (t) => {
  const view = fold(...all).view();
  t.deepEqual(view.sandboxes, [sandbox('a', '10.0.0.9'), sandbox('b', '10.0.0.10')]);
  t.deepEqual(view.ipam, {
    blocks: [
      { cidr: '10.0.0.0/26', state: 'confirmed' },
      { cidr: '10.0.0.64/26', state: 'confirmed' },
    ],
    assigned: [
      { ip: '10.0.0.9', handle: 'c-a' },
      { ip: '10.0.0.10', handle: 'c-b' },
    ],
    last: '10.0.0.9',
  });
  t.deepEqual(
    view.flannel.peers.map((peer) => peer.subnet),
    ['10.244.9.0/24', '10.244.10.0/24'],
  );
});

test('what is released and removed is gone; the last address stays on record', (t) => {
  const view = fold(
    ...all,
    { type: 'ipam.released', ip: '10.0.0.9', handle: 'c-a' },
    { type: 'pod.removed', namespace: 'default', pod: 'a', uid: 'uid-a', ip: '10.0.0.9' },
    { type: 'ipam.block.released', cidr: '10.0.0.0/26' },
    { type: 'flannel.peer.removed', subnet: '10.244.9.0/24' },
  ).view();
  t.deepEqual(
    view.sandboxes.map((one) => one.pod),
    ['b'],
  );
  t.deepEqual(
    view.ipam.assigned.map((one) => one.ip),
    ['10.0.0.10'],
  );
  t.is(view.ipam.last, '10.0.0.9');
  t.deepEqual(
    view.ipam.blocks.map((one) => one.cidr),
    ['10.0.0.64/26'],
  );
  t.deepEqual(
    view.flannel.peers.map((peer) => peer.subnet),
    ['10.244.10.0/24'],
  );
});

test('a boot clears what was in memory and keeps what is on disk', (t) => {
  const it = fold(...all, { type: 'flannel.revoked', subnet: '10.244.3.0/24' });
  t.true(it.view().flannel.revoked);
  const before = it.view();
  it.apply({ type: 'node.booted', boot: 2, config: '' });
  t.deepEqual(it.view(), { ...before, flannel: { own: before.flannel.own, revoked: false, peers: [] } });
  t.deepEqual(it.disk(), {
    sandboxes: before.sandboxes,
    ipam: before.ipam,
    lease: { lease: lease('10.244.3.0/24'), mtu: 1450 },
  });
});

test('a lease regained is no longer revoked', (t) => {
  const it = fold(
    { type: 'flannel.acquired', lease: lease('10.244.3.0/24'), mtu: 1450 },
    { type: 'flannel.revoked', subnet: '10.244.3.0/24' },
    { type: 'flannel.acquired', lease: lease('10.244.4.0/24'), mtu: 1450 },
  );
  t.like(it.view().flannel, { revoked: false, own: { lease: { subnet: '10.244.4.0/24' } } });
});

test('pods of one name in two namespaces are two pods', (t) => {
  const it = fold(
    { type: 'pod.sandbox', sandbox: sandbox('a', '10.0.0.1', 'x') },
    { type: 'pod.sandbox', sandbox: sandbox('a', '10.0.0.2', 'b') },
  );
  t.deepEqual(
    it.view().sandboxes.map((one) => one.namespace),
    ['b', 'x'],
  );
});
