import test from 'ava';
import { caliName } from '../../../nodes/daemons/calico/cni.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseBlock, storedBlock } from '../../../protocols/ipam/calico-block.ts';
import { checkSettled } from './invariants.ts';
import { calico, Lab, type LabNode } from './lab.ts';

function blocks(lab: Lab) {
  return lab.store.list('ipam.blocks.>').map((entry) => parseBlock(entry.value)!);
}

function probe(lab: Lab, from: LabNode, pod: string, target: string, ms = 50) {
  from.prober.start({ id: 'probe', ns: from.ns(pod), target: parseIp4(target)!, interval: 10 });
  lab.advance(ms);
  return from.prober.stop('probe')!;
}

test('the host side of default/nginx is calic440f455693', (t) => {
  t.is(caliName('default', 'nginx'), 'calic440f455693');
});

test('a pod gets its address, its devices and its routes as on a Calico node', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'nginx');
  lab.settle();
  const ip = lab.ip(node, 'nginx');
  const [block] = blocks(lab);
  t.is(block?.state, 'confirmed');
  t.is(block?.affinity, 'n1');
  t.like(lab.status(node, 'nginx'), { phase: 'Running', message: '' });
  const { root } = node.kernel;
  t.like(root.device('calic440f455693')?.facts(), {
    mac: 'ee:ee:ee:ee:ee:ee',
    mtu: 1500,
    kind: 'veth',
    up: true,
  });
  t.like(root.routes.get(`${ip}/32`), { scope: 'link', protocol: 'boot', type: 'unicast' });
  t.is(root.routes.get(`${ip}/32`)?.nexthops[0]?.dev, 'calic440f455693');
  t.like(root.routes.get(block!.cidr), { type: 'blackhole', protocol: 'bird' });
  t.deepEqual([...node.originated], [block!.cidr]);
  const ns = node.ns('nginx');
  t.like(ns.routes.get('169.254.1.1/32'), { scope: 'link' });
  t.is(ns.routes.get('0.0.0.0/0')?.nexthops[0]?.via, '169.254.1.1');
  t.is(ns.device('eth0')?.addresses[0]?.len, 32);
  checkSettled(t, lab);
});

test('pods of two nodes reach each other, and know who answers', (t) => {
  const lab = new Lab(calico);
  const [a, b] = [lab.addNode('n1'), lab.addNode('n2')];
  lab.pod(a, 'one');
  const two = lab.pod(b, 'two');
  lab.settle();
  const report = probe(lab, a, 'one', lab.ip(b, 'two'));
  t.is(report.sent, 6);
  t.true(report.received >= 5);
  t.deepEqual(new Set(report.results.slice(0, 5).map((sample) => sample.uid)), new Set([two.uid]));
  t.true(Math.abs(report.results[1]!.rtt! - 0.2) < 1e-6);
});

test('a pod finds its gateway by proxy ARP', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.pod(node, 'two');
  lab.settle();
  t.is(probe(lab, node, 'one', lab.ip(node, 'two')).received, 6);
  const gateway = node
    .ns('one')
    .neighbors()
    .find((entry) => entry.ip === '169.254.1.1');
  t.like(gateway, { mac: 'ee:ee:ee:ee:ee:ee', dev: 'eth0' });
});

test('an affinity is pending before it is confirmed, and nothing is announced until then', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.settle();
  const states = node.events.flatMap((event) => (event.type === 'ipam.block' ? [event.block.state] : []));
  t.deepEqual(states, ['pending', 'confirmed']);
  const kinds = node.events.map((event) => event.type);
  const blackhole = node.events.findIndex(
    (event) =>
      event.type === 'route.changed' &&
      event.changes.some((change) => change.op === 'set' && change.type === 'blackhole'),
  );
  t.true(blackhole > kinds.lastIndexOf('ipam.block'));
});

test('a pod made anew gets another address: a freed one goes to the end of the free list', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.settle();
  const first = lab.ip(node, 'one');
  lab.removePod(node, 'one');
  lab.settle();
  t.is(lab.status(node, 'one'), undefined);
  t.is(node.kernel.root.routes.get(`${first}/32`), undefined);
  lab.pod(node, 'one');
  lab.settle();
  t.not(lab.ip(node, 'one'), first);
  checkSettled(t, lab);
});

test('a pod replaced in one change of the store: the old sandbox is deleted before the new one is added', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  const old = lab.pod(node, 'one');
  lab.settle();
  const first = lab.ip(node, 'one');
  const fresh = lab.pod(node, 'one');
  lab.settle();
  t.is(lab.status(node, 'one')?.uid, fresh.uid);
  t.not(lab.ip(node, 'one'), first);
  const order = node.events.flatMap((event) => {
    if (event.type === 'pod.removed') return [`-${event.uid}`];
    return event.type === 'pod.sandbox' && event.sandbox.ip === '' ? [`+${event.sandbox.uid}`] : [];
  });
  t.deepEqual(order, [`+${old.uid}`, `-${old.uid}`, `+${fresh.uid}`]);
  const released = node.events.findIndex((event) => event.type === 'ipam.released');
  const added = node.events.findIndex(
    (event) => event.type === 'pod.sandbox' && event.sandbox.uid === fresh.uid,
  );
  t.true(released >= 0 && released < added);
  checkSettled(t, lab);
});

test('a second block is taken when the first is full', (t) => {
  const lab = new Lab({ ...calico, blockSize: 30 });
  const node = lab.addNode('n1');
  for (let i = 0; i < 9; i++) lab.pod(node, `pod-${i}`);
  lab.settle();
  t.is(blocks(lab).length, 3);
  t.is(node.originated.size, 3);
  t.is(node.daemons!.report().podsRunning, 9);
  checkSettled(t, lab);
});

test('a node has 20 blocks at most', (t) => {
  const lab = new Lab({ ...calico, blockSize: 32 });
  const node = lab.addNode('n1');
  for (let i = 0; i < 21; i++) lab.pod(node, `pod-${i}`);
  lab.settle();
  t.is(node.daemons!.report().podsRunning, 20);
  const failed = lab.store
    .list('podstatus.>')
    .map((entry) => entry.value)
    .filter((status) => status.phase === 'Failed');
  t.is(failed.length, 1);
  t.regex(
    String(failed[0]!.message),
    /Need to allocate an IPAM block but could not - limit of 20 blocks reached/,
  );
});

test('two nodes that race for blocks end up with different ones', (t) => {
  const lab = new Lab({ ...calico, pool: '10.244.0.0/25', blockSize: 26 });
  const nodes = [lab.addNode('n1'), lab.addNode('n2')];
  for (const node of nodes) lab.pod(node, `on-${node.name}`);
  lab.settle();
  t.deepEqual(new Set(blocks(lab).map((block) => block.affinity)), new Set(['n1', 'n2']));
  checkSettled(t, lab);
});

test('when the pool has no free block, an address is borrowed and announced on its own', (t) => {
  const lab = new Lab({ ...calico, pool: '10.244.0.0/26', blockSize: 26 });
  const [a, b] = [lab.addNode('n1'), lab.addNode('n2')];
  lab.pod(a, 'one');
  lab.settle();
  const two = lab.pod(b, 'two');
  lab.settle();
  const [block] = blocks(lab);
  t.is(blocks(lab).length, 1);
  t.is(block?.affinity, 'n1');
  const borrowed = lab.ip(b, 'two');
  t.deepEqual([...b.originated], [`${borrowed}/32`]);
  t.deepEqual(b.daemons!.snapshot().ipam.blocks, []);
  // The owner's blackhole for the block must not swallow what is for the borrower.
  const report = probe(lab, a, 'one', borrowed);
  t.is(report.results[2]?.uid, two.uid);
  checkSettled(t, lab);
  lab.removePod(b, 'two');
  lab.settle();
  t.deepEqual([...b.originated], []);
  checkSettled(t, lab);
});

test('nodes that change one block at once lose no change of each other', (t) => {
  const lab = new Lab({ ...calico, pool: '10.244.0.0/26', blockSize: 26 });
  const nodes = ['n1', 'n2', 'n3'].map((name) => lab.addNode(name));
  for (let i = 0; i < 20; i++) for (const node of nodes) lab.pod(node, `pod-${i}`);
  lab.settle();
  checkSettled(t, lab);
  t.deepEqual(
    nodes.map((node) => node.daemons!.report().podsRunning),
    [20, 20, 20],
  );
  for (let i = 0; i < 20; i++)
    for (const node of nodes) (i % 2 === 0 ? lab.removePod : lab.pod).call(lab, node, `pod-${i}`);
  lab.settle();
  checkSettled(t, lab);
  t.deepEqual(
    nodes.map((node) => node.daemons!.report().podsRunning),
    [10, 10, 10],
  );
});

test('an exhausted pool fails the pod in the words of Calico, and the pod runs when an address is free', (t) => {
  const lab = new Lab({ ...calico, pool: '10.244.0.0/30', blockSize: 30 });
  const node = lab.addNode('n1');
  for (let i = 0; i < 5; i++) lab.pod(node, `pod-${i}`);
  lab.settle();
  const statuses = () => lab.store.list('podstatus.>').map((entry) => entry.value);
  const [failed] = statuses().filter((status) => status.phase === 'Failed');
  const words =
    'plugin type="calico" failed (add): failed to request IPv4 addresses: Assigned 0 out of 1 requested IPv4 addresses; No IPs available in pools: [10.244.0.0/30]';
  t.true(String(failed?.message).endsWith(words), String(failed?.message));
  t.is(failed?.podIP, '');
  const [running] = statuses().filter((status) => status.phase === 'Running');
  lab.removePod(node, String(running?.name));
  lab.advance(40_000);
  t.deepEqual(
    statuses().map((status) => status.phase),
    ['Running', 'Running', 'Running', 'Running'],
  );
  checkSettled(t, lab);
});

test('a failed pod that is replaced does not wait for the time of the old one', (t) => {
  const lab = new Lab({ ...calico, pool: '10.244.0.0/30', blockSize: 30 });
  const node = lab.addNode('n1');
  for (let i = 0; i < 4; i++) lab.pod(node, `pod-${i}`);
  lab.settle();
  lab.pod(node, 'late');
  // Some failures, so that the next try is seconds away.
  lab.advance(8_000);
  t.is(lab.status(node, 'late')?.phase, 'Failed');
  lab.removePod(node, 'pod-0');
  lab.settle();
  t.is(lab.status(node, 'late')?.phase, 'Failed');
  lab.pod(node, 'late');
  lab.settle();
  t.is(lab.status(node, 'late')?.phase, 'Running');
});

test('a sandbox that failed is tried again after 1, 2, 4, … seconds, at most 30', (t) => {
  const lab = new Lab({ ...calico, pool: '10.244.0.0/32', blockSize: 32 });
  const node = lab.addNode('n1');
  lab.pod(node, 'first');
  lab.settle();
  lab.pod(node, 'second');
  lab.advance(200_000);
  const tries = node.records.flatMap(({ event, at }) =>
    event.type === 'pod.sandbox' && event.sandbox.pod === 'second' ? [at] : [],
  );
  const gaps = tries.slice(1).map((at, i) => Math.round((at - tries[i]!) / 1000));
  t.deepEqual(gaps, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]);
  t.is(node.daemons!.report().work, 0);
});

test('what a pod brings about leads back to the change that asked for it', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  // The first while the plug-in is not ready, the others in a row behind one another.
  for (let i = 0; i < 3; i++) lab.pod(node, `pod-${i}`);
  lab.settle();
  lab.pod(node, 'pod-0');
  lab.removePod(node, 'pod-1');
  lab.settle();
  const byId = new Map(node.records.map((record) => [record.id, record]));
  const root = (id: number): number => {
    const record = byId.get(id);
    return record === undefined ? id : root(record.cause);
  };
  const PUT = 7;
  const DELETE = 8;
  for (const { id, event } of node.records) {
    if (event.type === 'pod.sandbox' || event.type === 'ipam.assigned' || event.type === 'ipam.block')
      t.is(root(id), PUT);
    if (event.type === 'netns.added' && event.ns !== '') t.is(root(id), PUT);
    if (event.type === 'pod.removed') t.is(root(id), event.uid === 'uid-2' ? DELETE : PUT);
  }
  const removed = node.records
    .filter(({ event }) => event.type === 'ipam.released')
    .map(({ id }) => root(id));
  t.deepEqual(removed.sort(), [PUT, DELETE]);
});

test('what runs in a pod ends with it', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.pod(node, 'two');
  lab.settle();
  node.prober.start({ id: 'p', ns: node.ns('one'), target: parseIp4(lab.ip(node, 'two'))!, interval: 10 });
  lab.advance(25);
  lab.removePod(node, 'one');
  lab.settle();
  lab.advance(500);
  const report = node.prober.stop('p')!;
  t.true(report.stoppedAt < report.startedAt + 100);
  t.is(report.received, report.sent);
  t.throws(() => node.ns('one'));
});

test('after a reboot the pods come back in the same blocks, with other addresses', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  for (let i = 0; i < 3; i++) lab.pod(node, `pod-${i}`);
  lab.settle();
  const before = [0, 1, 2].map((i) => lab.ip(node, `pod-${i}`));
  const [block] = blocks(lab);
  node.kill();
  lab.advance(100);
  node.boot();
  lab.settle();
  const after = [0, 1, 2].map((i) => lab.ip(node, `pod-${i}`));
  t.is(blocks(lab).length, 1);
  t.deepEqual([...node.originated], [block!.cidr]);
  t.is(after.filter((ip) => before.includes(ip)).length, 0);
  t.is(node.daemons!.report().podsRunning, 3);
  checkSettled(t, lab);
});

test('a pod deleted while its node was down is gone after the boot, its status too', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.pod(node, 'two');
  lab.settle();
  node.kill();
  lab.removePod(node, 'one');
  node.boot();
  lab.settle();
  t.is(lab.status(node, 'one'), undefined);
  t.is(lab.status(node, 'two')?.phase, 'Running');
  checkSettled(t, lab);
});

test('a status that no pod stands behind is removed', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  node.kill();
  const value = {
    namespace: 'default',
    name: 'ghost',
    uid: 'u',
    node: 'n1',
    labels: {},
    phase: 'Failed',
    podIP: '',
    message: '',
  };
  lab.store.apply({ op: 'put', key: 'podstatus.n1.default.ghost', value }, 0);
  node.boot();
  lab.settle();
  t.is(lab.status(node, 'ghost'), undefined);
});

test('an address that a write of a node that has died allocated afterwards is collected', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.settle();
  const [entry] = lab.store.list('ipam.blocks.>');
  const block = parseBlock(entry!.value)!;
  const [ordinal, ...unallocated] = block.unallocated;
  const allocations = { ...block.allocations, [ordinal!]: { handle: 'of-an-earlier-boot', node: 'n1' } };
  lab.store.apply(
    { op: 'put', key: entry!.key, value: storedBlock({ ...block, allocations, unallocated }) },
    0,
  );
  lab.settle();
  checkSettled(t, lab);
});

test('while the store is down running pods stay as they are, and changes are made up for later', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.pod(node, 'two');
  lab.settle();
  lab.storeFault = () => 'refused';
  lab.pod(node, 'three');
  lab.removePod(node, 'two');
  lab.advance(5_000);
  t.is(node.daemons!.report().podsRunning, 1);
  t.true(node.daemons!.report().work > 0);
  t.is(probe(lab, node, 'one', lab.ip(node, 'one')).received, 6);
  lab.storeFault = () => 'none';
  lab.settle();
  t.is(lab.status(node, 'three')?.phase, 'Running');
  t.is(lab.status(node, 'two'), undefined);
  checkSettled(t, lab);
});

test('an answer that gets lost is no address lost', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  let requests = 0;
  lab.storeFault = () => (requests++ % 2 === 0 ? 'answer-lost' : 'none');
  for (let i = 0; i < 4; i++) lab.pod(node, `pod-${i}`);
  lab.settle(200_000);
  t.is(node.daemons!.report().podsRunning, 4);
  lab.removePod(node, 'pod-0');
  lab.settle(200_000);
  checkSettled(t, lab);
});

test('a block that is taken away is withdrawn, and the pods in it keep their addresses', (t) => {
  const lab = new Lab(calico);
  const node = lab.addNode('n1');
  lab.pod(node, 'one');
  lab.settle();
  const [entry] = lab.store.list('ipam.blocks.>');
  lab.store.apply({ op: 'put', key: entry!.key, value: { ...entry!.value, affinity: 'n9' } }, 0);
  lab.settle();
  t.deepEqual([...node.originated], []);
  t.is(node.kernel.root.routes.get(String(entry!.value.cidr)), undefined);
  t.is(lab.status(node, 'one')?.phase, 'Running');
  checkSettled(t, lab);
});
