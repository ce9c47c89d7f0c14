import test from 'ava';
import type { FlannelBackend } from '../../../nodes/config.ts';
import { netUnreachable } from '../../../nodes/daemons/flannel/udp.ts';
import { storeKeys } from '../../../nodes/store.ts';
import { decodeIcmp } from '../../../protocols/icmp.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import {
  ipDst,
  ipProto,
  ipSrc,
  ipTtl,
  PROTO_ICMP,
  PROTO_UDP,
  validateIpv4,
  writeIpv4Header,
} from '../../../protocols/ipv4.ts';
import { parseMac } from '../../../protocols/mac.ts';
import { checkAlways, checkSettled } from './invariants.ts';
import { flannel, Lab, type LabNode } from './lab.ts';

const vxlan: FlannelBackend = { type: 'vxlan', vni: 1, port: 8472, directRouting: false };
const udp: FlannelBackend = { type: 'udp', port: 8285 };
const hostGw: FlannelBackend = { type: 'host-gw' };
const ipip: FlannelBackend = { type: 'ipip', directRouting: false };
const ipsec: FlannelBackend = { type: 'ipsec', psk: 'k'.repeat(96) };
const wireguard: FlannelBackend = { type: 'wireguard', port: 51_820 };

const subnetOf = (node: LabNode) => node.daemons!.snapshot().flannel.own!.lease.subnet;
const baseOf = (subnet: string) => subnet.split('/')[0]!;
const vtepOf = (node: LabNode) => String(node.daemons!.snapshot().flannel.own!.lease.backendData.VtepMAC);

function probe(lab: Lab, from: LabNode, pod: string, target: string) {
  from.prober.start({ id: 'probe', ns: from.ns(pod), target: parseIp4(target)!, interval: 10 });
  lab.advance(55);
  return from.prober.stop('probe')!;
}

function pair(backend: FlannelBackend, timings = {}) {
  const lab = new Lab(flannel(backend), { timings });
  const [a, b] = [lab.addNode('n1'), lab.addNode('n2')];
  lab.settle();
  return { lab, a, b };
}

function rows(node: LabNode, peer: string) {
  const { root } = node.kernel;
  return {
    route: root.routes.get(peer),
    neighbors: root.neighbors().filter((entry) => entry.ip === baseOf(peer)),
    fdb: root.fdb().filter((entry) => entry.dev === 'flannel.1'),
  };
}

for (const backend of [vxlan, udp, hostGw]) {
  test(`${backend.type}: pods of two nodes reach each other, and know who answers`, (t) => {
    const { lab, a, b } = pair(backend);
    lab.pod(a, 'one');
    const two = lab.pod(b, 'two');
    lab.settle();
    const report = probe(lab, a, 'one', lab.ip(b, 'two'));
    t.is(report.received, 6);
    t.deepEqual(new Set(report.results.map((sample) => sample.uid)), new Set([two.uid]));
    checkSettled(t, lab);
  });

  test(`${backend.type}: pods of one node reach each other over the bridge`, (t) => {
    const { lab, a } = pair(backend);
    lab.pod(a, 'one');
    lab.pod(a, 'two');
    lab.settle();
    t.is(probe(lab, a, 'one', lab.ip(a, 'two')).received, 6);
  });

  test(`${backend.type}: a node reaches the pods of another`, (t) => {
    const { lab, a, b } = pair(backend);
    lab.pod(b, 'two');
    lab.settle();
    a.prober.start({ id: 'x', ns: a.kernel.root, target: parseIp4(lab.ip(b, 'two'))!, interval: 10 });
    lab.advance(55);
    t.is(a.prober.stop('x')!.received, 6);
  });
}

test('a lease stands in the store with what flannel writes, and an expiry', (t) => {
  const { lab, a } = pair(vxlan);
  const subnet = subnetOf(a);
  t.regex(subnet, /^10\.244\.\d+\.0\/24$/);
  t.not(subnet, '10.244.0.0/24');
  const [entry] = lab.store.list(storeKeys.flannelSubnet(subnet));
  t.deepEqual(
    { ...entry!.value, expiresAt: 0 },
    {
      subnet,
      PublicIP: '192.168.0.11',
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: vtepOf(a) },
      expiresAt: 0,
    },
  );
  const expiresAt = Number(entry!.value.expiresAt);
  t.true(expiresAt > 86_400_000 && expiresAt <= 86_400_000 + lab.now);
  t.is((parseMac(vtepOf(a))! / 2 ** 40) & 3, 2, 'a local unicast MAC');
});

test('vxlan: a peer is an ARP row, an FDB row and a route, in this order', (t) => {
  const { a, b } = pair(vxlan);
  const peer = subnetOf(b);
  const { route, neighbors, fdb } = rows(a, peer);
  t.like(route, { protocol: 'boot', scope: 'global' });
  t.deepEqual(route?.nexthops, [{ via: baseOf(peer), dev: 'flannel.1', onlink: true, weight: 1 }]);
  t.deepEqual(neighbors, [{ dev: 'flannel.1', ip: baseOf(peer), mac: vtepOf(b), state: 'PERMANENT' }]);
  t.deepEqual(fdb, [{ dev: 'flannel.1', mac: vtepOf(b), port: '', dst: b.address, kind: 'permanent' }]);
  const device = a.kernel.root.device('flannel.1')!;
  t.is(device.mtu, 1450);
  t.deepEqual(
    device.addresses.map(({ addr, len }) => `${formatIp4(addr)}/${len}`),
    [`${baseOf(subnetOf(a))}/32`],
  );
  const at = (wanted: string) =>
    a.events.findIndex((event) => {
      if (event.type === 'neighbor.set') return wanted === 'arp' && event.neighbor.ip === baseOf(peer);
      if (event.type === 'fdb.set') return wanted === 'fdb';
      if (event.type === 'route.changed')
        return wanted === 'route' && event.changes.some((change) => change.dst === peer);
      return event.type === wanted;
    });
  t.true(at('flannel.acquired') < at('flannel.peer'));
  t.true(at('flannel.peer') < at('arp') && at('arp') < at('fdb') && at('fdb') < at('route'));
});

test('vxlan: a route that cannot be set leaves no rows behind', (t) => {
  const { lab, a, b } = pair(vxlan);
  const peer = subnetOf(b);
  a.kernel.root.setDown('flannel.1');
  const key = storeKeys.flannelSubnet(peer);
  const [entry] = lab.store.list(key);
  lab.store.apply({ op: 'delete', key }, 0);
  b.kill();
  lab.settle();
  lab.store.apply({ op: 'put', key, value: entry!.value }, 0);
  lab.settle();
  t.deepEqual(rows(a, peer), { route: undefined, neighbors: [], fdb: [] });
  t.deepEqual(a.daemons!.snapshot().flannel.peers, []);
  checkAlways(t, lab);
});

test('vxlan: a peer with another VTEP replaces the rows of the old one', (t) => {
  const { lab, a, b } = pair(vxlan);
  const peer = subnetOf(b);
  const key = storeKeys.flannelSubnet(peer);
  const [entry] = lab.store.list(key);
  const value = { ...entry!.value, BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:99' } };
  lab.store.apply({ op: 'put', key, value }, 0);
  lab.settle();
  const { neighbors, fdb } = rows(a, peer);
  t.deepEqual(
    neighbors.map((row) => row.mac),
    ['02:00:00:00:00:99'],
  );
  t.deepEqual(
    fdb.map((row) => row.mac),
    ['02:00:00:00:00:99'],
  );
});

test('vxlan with DirectRouting: a peer on the link is a plain route and nothing else', (t) => {
  const { lab, a, b } = pair({ ...vxlan, directRouting: true });
  const peer = subnetOf(b);
  const { route, neighbors, fdb } = rows(a, peer);
  t.deepEqual(route?.nexthops, [{ via: b.address, dev: 'eth0', onlink: false, weight: 1 }]);
  t.deepEqual([neighbors, fdb], [[], []]);
  lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(peer) }, 0);
  lab.settle();
  t.is(rows(a, peer).route, undefined);
});

test('udp: one route for the whole network, and a table in the daemon', (t) => {
  const { a } = pair(udp);
  const { root } = a.kernel;
  const device = root.device('flannel0')!;
  t.is(device.mtu, 1472);
  t.deepEqual(
    device.addresses.map(({ addr, len }) => `${formatIp4(addr)}/${len}`),
    [`${baseOf(subnetOf(a))}/32`],
  );
  t.like(root.routes.get('10.244.0.0/16'), { protocol: 'boot', scope: 'global' });
  t.deepEqual(root.routes.get('10.244.0.0/16')?.nexthops, [
    { via: '', dev: 'flannel0', onlink: false, weight: 1 },
  ]);
});

test('udp: a packet costs one TTL at each end of the tunnel, and one for each kernel that forwards', (t) => {
  const { lab, a, b } = pair(udp);
  lab.pod(a, 'one');
  lab.pod(b, 'two');
  lab.settle();
  const ttls: number[] = [];
  const socket = b.ns('two').bindUdp({ addr: 0, port: 9 }, (datagram) => ttls.push(datagram.ttl));
  const sender = a.ns('one').bindUdp({ addr: 0, port: 0 }, () => {});
  const target = parseIp4(lab.ip(b, 'two'))!;
  sender.sendTo(target, 9, new Uint8Array(10), { ttl: 64 });
  lab.advance(5);
  sender.sendTo(target, 9, new Uint8Array(10), { ttl: 5 });
  sender.sendTo(target, 9, new Uint8Array(10), { ttl: 4 });
  lab.advance(5);
  t.deepEqual(ttls, [60, 1]);
  socket.close();
});

test('udp: a packet that ends at a kernel is answered for, one that ends in the tunnel is not', (t) => {
  const { lab, a, b } = pair(udp);
  lab.pod(a, 'one');
  lab.pod(b, 'two');
  lab.settle();
  const sender = a.ns('one').bindUdp({ addr: 0, port: 0 }, () => {});
  const exceeded: string[] = [];
  sender.onError = (error) => exceeded.push(error.type);
  const target = parseIp4(lab.ip(b, 'two'))!;
  for (const ttl of [2, 3]) sender.sendTo(target, 9, new Uint8Array(10), { ttl });
  lab.advance(20);
  t.deepEqual(exceeded, []);
  for (const ttl of [1, 4]) sender.sendTo(target, 9, new Uint8Array(10), { ttl });
  lab.advance(20);
  t.deepEqual(exceeded, ['time-exceeded', 'time-exceeded']);
});

test('udp: what no lease covers is answered with net unreachable, which Linux takes for a martian', (t) => {
  const { lab, a } = pair(udp);
  lab.pod(a, 'one');
  lab.settle();
  const nowhere = parseIp4('10.244.255.9')!;
  const socket = a.ns('one').bindUdp({ addr: 0, port: 0 }, () => {});
  const martians = () => a.kernel.drops.get('ip-martian') ?? 0;
  socket.sendTo(nowhere, 7, new Uint8Array(100));
  lab.advance(10);
  t.is(martians(), 1);
  const icmp = a.ns('one').openIcmp({ onReply: () => {}, onError: () => {} });
  icmp.sendEcho(nowhere, { id: 1, seq: 1, size: 56 });
  lab.advance(10);
  t.is(martians(), 1);
});

test('udp: net unreachable quotes the header and 8 bytes, for the first fragment of anything but ICMP', (t) => {
  const packet = new Uint8Array(120).fill(0x55);
  const header = { src: 0x0a010203, dst: 0x0af4ff09, proto: PROTO_UDP, ttl: 60, totalLength: 120 };
  const from = parseIp4('10.244.7.0')!;
  writeIpv4Header(packet, 0, header);
  const error = netUnreachable(packet, from)!;
  t.is(validateIpv4(error, 0, error.length), 'ok');
  t.is(error.length, 20 + 8 + 28);
  t.deepEqual(
    [ipSrc(error, 0), ipDst(error, 0), ipProto(error, 0), ipTtl(error, 0)],
    [from, header.src, PROTO_ICMP, 8],
  );
  const message = decodeIcmp(error, 20, error.length - 20);
  t.deepEqual(message, {
    type: 'dest-unreachable',
    code: 0,
    nextHopMtu: 0,
    innerOffset: 28,
    innerLength: 28,
  });
  t.deepEqual(error.slice(28), packet.slice(0, 28));
  writeIpv4Header(packet, 0, { ...header, proto: PROTO_ICMP });
  t.is(netUnreachable(packet, from), null);
  writeIpv4Header(packet, 0, { ...header, fragmentOffset: 8 });
  t.is(netUnreachable(packet, from), null);
});

test('host-gw: a peer is a route by its public address, put back when it goes missing', (t) => {
  const { lab, a, b } = pair(hostGw, { routeCheck: 1000 });
  const peer = subnetOf(b);
  t.deepEqual(rows(a, peer).route?.nexthops, [{ via: b.address, dev: 'eth0', onlink: false, weight: 1 }]);
  a.kernel.root.routes.delete(peer);
  lab.advance(900);
  t.is(rows(a, peer).route, undefined);
  lab.advance(200);
  t.is(rows(a, peer).route?.nexthops[0]?.via, b.address);
});

test('host-gw: a route to the same subnet by another way is left alone by the check', (t) => {
  const { lab, a, b } = pair(hostGw, { routeCheck: 1000 });
  const peer = subnetOf(b);
  const foreign = {
    ...rows(a, peer).route!,
    nexthops: [{ via: '192.168.0.99', dev: 'eth0', onlink: false, weight: 1 }],
  };
  a.kernel.root.routes.set(foreign);
  lab.advance(3000);
  t.is(rows(a, peer).route?.nexthops[0]?.via, '192.168.0.99');
});

for (const backend of [vxlan, hostGw]) {
  test(`${backend.type}: a peer whose lease is deleted leaves nothing behind`, (t) => {
    const { lab, a, b } = pair(backend, { routeCheck: 100 });
    const peer = subnetOf(b);
    b.kill();
    lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(peer) }, 0);
    lab.advance(500);
    t.deepEqual(rows(a, peer), { route: undefined, neighbors: [], fdb: [] });
    t.deepEqual(a.daemons!.snapshot().flannel.peers, []);
    checkAlways(t, lab);
  });
}

test('a lease that is not renewed ends for its peers at its expiry, and its subnet can be taken', (t) => {
  const { lab, a, b } = pair(vxlan, { leaseTtl: 10_000, renewMargin: 2_000 });
  const peer = subnetOf(b);
  b.kill();
  lab.advance(7_000);
  t.is(a.daemons!.snapshot().flannel.peers.length, 1);
  lab.advance(4_000);
  t.deepEqual(a.daemons!.snapshot().flannel.peers, []);
  t.deepEqual(rows(a, peer), { route: undefined, neighbors: [], fdb: [] });
  t.is(subnetOf(a), a.daemons!.snapshot().flannel.own!.lease.subnet);
  checkAlways(t, lab);
  // Nobody sweeps the row: the node that comes back writes over it.
  b.boot();
  lab.settle();
  t.is(subnetOf(b), peer);
  t.is(a.daemons!.snapshot().flannel.peers.length, 1);
});

test('a lease is renewed before it ends, and the peers hear of it', (t) => {
  const { lab, a, b } = pair(vxlan, { leaseTtl: 10_000, renewMargin: 2_000 });
  const subnet = subnetOf(a);
  const routes = () => a.events.filter((event) => event.type === 'route.changed').length;
  const before = routes();
  lab.advance(60_000);
  t.is(subnetOf(a), subnet);
  t.true(b.daemons!.snapshot().flannel.peers[0]!.expiresAt > lab.now);
  t.is(routes(), before, 'a renewal changes no route');
  t.is(a.events.filter((event) => event.type === 'flannel.acquired').length, 8);
  checkAlways(t, lab);
});

test('a lost lease shuts flanneld down: what it has programmed stays', (t) => {
  const { lab, a, b } = pair(vxlan, { leaseTtl: 10_000, renewMargin: 2_000 });
  lab.pod(a, 'one');
  lab.settle();
  const [own, peer] = [subnetOf(a), subnetOf(b)];
  lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(own) }, 0);
  lab.settle();
  t.deepEqual(
    a.events.filter((event) => event.type === 'flannel.revoked'),
    [{ type: 'flannel.revoked', subnet: own }],
  );
  t.true(a.daemons!.snapshot().flannel.revoked);
  t.deepEqual(rows(b, own), { route: undefined, neighbors: [], fdb: [] });
  b.kill();
  lab.advance(30_000);
  t.not(rows(a, peer).route, undefined);
  t.deepEqual(lab.store.list(storeKeys.flannelSubnet(own)), []);
  checkAlways(t, lab);
});

test('a lease that another node has taken is lost', (t) => {
  const { lab, a } = pair(vxlan);
  const key = storeKeys.flannelSubnet(subnetOf(a));
  const [entry] = lab.store.list(key);
  lab.store.apply({ op: 'put', key, value: { ...entry!.value, PublicIP: '192.168.0.77' } }, 0);
  lab.settle();
  t.true(a.daemons!.snapshot().flannel.revoked);
});

test('a reboot keeps the subnet and the MAC of the VTEP', (t) => {
  const { lab, a, b } = pair(vxlan);
  const before = [subnetOf(a), vtepOf(a)];
  a.kill();
  lab.advance(1000);
  a.boot();
  lab.settle();
  t.deepEqual([subnetOf(a), vtepOf(a)], before);
  t.is(rows(a, subnetOf(b)).neighbors.length, 1);
  checkSettled(t, lab);
});

test('a reboot after the lease has been deleted goes back to the subnet of subnet.env, if it is free', (t) => {
  const { lab, a } = pair(vxlan);
  const before = subnetOf(a);
  a.kill();
  lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(before) }, 0);
  a.boot();
  lab.settle();
  t.is(subnetOf(a), before);
  a.kill();
  const key = storeKeys.flannelSubnet(before);
  const [entry] = lab.store.list(key);
  lab.store.apply({ op: 'put', key, value: { ...entry!.value, PublicIP: '192.168.0.77' } }, 0);
  a.boot();
  lab.settle();
  t.not(subnetOf(a), before);
  checkSettled(t, lab);
});

test('a new node with the public address of a lease takes that lease over', (t) => {
  const lab = new Lab(flannel(vxlan));
  const value = {
    subnet: '10.244.77.0/24',
    PublicIP: '192.168.0.11',
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:01' },
    expiresAt: 1e9,
  };
  lab.store.apply({ op: 'put', key: storeKeys.flannelSubnet(value.subnet), value }, 0);
  const a = lab.addNode('n1');
  lab.settle();
  t.is(subnetOf(a), '10.244.77.0/24');
  t.not(vtepOf(a), '02:00:00:00:00:01');
});

test('a lease of ours outside the configured network is given up', (t) => {
  const lab = new Lab(flannel(vxlan));
  const value = {
    subnet: '10.99.7.0/24',
    PublicIP: '192.168.0.11',
    BackendType: 'vxlan',
    BackendData: {},
    expiresAt: 1e9,
  };
  lab.store.apply({ op: 'put', key: storeKeys.flannelSubnet(value.subnet), value }, 0);
  const a = lab.addNode('n1');
  lab.settle();
  t.regex(subnetOf(a), /^10\.244\./);
  t.deepEqual(lab.store.list(storeKeys.flannelSubnet(value.subnet)), []);
});

test('nodes that start at once take different subnets of the first hundred', (t) => {
  const lab = new Lab(flannel(hostGw));
  const nodes = Array.from({ length: 40 }, (_, i) => lab.addNode(`n${i + 1}`));
  lab.settle();
  const subnets = nodes.map(subnetOf);
  t.is(new Set(subnets).size, 40);
  t.true(subnets.every((subnet) => Number(subnet.split('.')[2]) <= 140));
  for (const node of nodes) t.is(node.daemons!.snapshot().flannel.peers.length, 39);
});

test('without a free subnet the pods fail, and run when there is one', (t) => {
  const lab = new Lab({ ...flannel(hostGw), network: '10.244.0.0/22', subnetLen: 24 });
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((name) => lab.addNode(name));
  lab.settle();
  const loser = nodes.find((node) => node.daemons!.snapshot().flannel.own === null)!;
  lab.pod(loser, 'one');
  lab.settle();
  t.like(lab.status(loser, 'one'), { phase: 'Failed' });
  t.regex(lab.status(loser, 'one')!.message, /failed to acquire lease: out of subnets$/);
  const winner = nodes.find((node) => node !== loser)!;
  const freed = subnetOf(winner);
  winner.kill();
  lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(freed) }, 0);
  lab.advance(15_000);
  lab.settle();
  t.is(subnetOf(loser), freed);
  t.is(lab.status(loser, 'one')?.phase, 'Running');
});

test('rows of the store that are no leases are passed over', (t) => {
  const lab = new Lab(flannel(vxlan));
  lab.store.apply({ op: 'put', key: 'flannel.subnets.junk', value: { a: 1 } }, 0);
  lab.store.apply({ op: 'put', key: 'flannel.subnets.10-244-5-0-24', value: { subnet: '10.244.6.0/24' } }, 0);
  lab.store.apply({ op: 'put', key: 'flannel.subnets.999-1-1-1-24', value: { PublicIP: 3 } }, 0);
  const a = lab.addNode('n1');
  lab.settle();
  t.deepEqual(a.daemons!.snapshot().flannel.peers, []);
  t.truthy(subnetOf(a));
});

test('leases of another backend are no peers', (t) => {
  const lab = new Lab(flannel(vxlan));
  const value = {
    subnet: '10.244.7.0/24',
    PublicIP: '192.168.0.50',
    BackendType: 'host-gw',
    BackendData: {},
    expiresAt: 1e9,
  };
  lab.store.apply({ op: 'put', key: storeKeys.flannelSubnet(value.subnet), value }, 0);
  const a = lab.addNode('n1');
  lab.settle();
  t.deepEqual(a.daemons!.snapshot().flannel.peers, []);
  t.false(a.events.some((event) => event.type === 'flannel.peer'));
  t.not(subnetOf(a), value.subnet);
});

test('a lease with our own public address is no peer', (t) => {
  const { lab, a } = pair(vxlan);
  const key = storeKeys.flannelSubnet(subnetOf(a));
  const [entry] = lab.store.list(key);
  const subnet = '10.244.200.0/24';
  lab.store.apply({ op: 'put', key: storeKeys.flannelSubnet(subnet), value: { ...entry!.value, subnet } }, 0);
  lab.settle();
  t.is(a.daemons!.snapshot().flannel.peers.length, 1);
  t.is(a.kernel.root.routes.get(subnet), undefined);
});

test('the bridge comes with the first pod; pods have the subnet, the gateway and the MTU', (t) => {
  const { lab, a } = pair(vxlan);
  const { root } = a.kernel;
  t.is(root.device('cni0'), undefined);
  lab.pod(a, 'one');
  lab.settle();
  const [, , third] = subnetOf(a).split('.');
  const bridge = root.device('cni0')!;
  t.deepEqual(
    bridge.addresses.map(({ addr, len }) => `${formatIp4(addr)}/${len}`),
    [`10.244.${third}.1/24`],
  );
  t.is(bridge.mtu, 1450);
  t.is(lab.ip(a, 'one'), `10.244.${third}.2`);
  const ns = a.ns('one');
  t.is(ns.device('eth0')!.mtu, 1450);
  const gateway = `10.244.${third}.1`;
  t.is(ns.routes.get('0.0.0.0/0')?.nexthops[0]?.via, gateway);
  t.is(ns.routes.get('10.244.0.0/16')?.nexthops[0]?.via, gateway);
  t.like(ns.routes.get(`10.244.${third}.0/24`), { protocol: 'kernel', scope: 'link' });
  const [sandbox] = a.daemons!.snapshot().sandboxes;
  t.regex(sandbox!.hostDevice, /^veth[0-9a-f]{8}$/);
  t.is(root.device(sandbox!.hostDevice)?.master?.name, 'cni0');
  t.regex(sandbox!.containerId, /^[0-9a-f]{64}$/);
  const mac = bridge.mac;
  lab.pod(a, 'two');
  lab.settle();
  t.is(bridge.mac, mac);
  t.is(lab.ip(a, 'two'), `10.244.${third}.3`);
});

test('host-local goes round: also over a reboot a freed address rests', (t) => {
  const { lab, a } = pair(vxlan);
  const host = () => Number(lab.ip(a, 'one').split('.')[3]);
  lab.pod(a, 'one');
  lab.settle();
  t.is(host(), 2);
  lab.pod(a, 'one');
  lab.settle();
  t.is(host(), 3);
  a.kill();
  a.boot();
  lab.settle();
  t.is(host(), 4);
  checkSettled(t, lab);
});

test('a pod with the address of an earlier one is reached at once: its coming is announced by ARP', (t) => {
  const lab = new Lab({ ...flannel(hostGw), network: '10.244.0.0/24', subnetLen: 29 });
  const [a, b] = [lab.addNode('n1'), lab.addNode('n2')];
  lab.settle();
  lab.pod(a, 'prober');
  for (let i = 0; i < 5; i++) lab.pod(b, `pod-${i}`);
  lab.settle();
  const ip = lab.ip(b, 'pod-0');
  t.is(probe(lab, a, 'prober', ip).received, 6);
  lab.removePod(b, 'pod-0');
  lab.settle();
  const heir = lab.pod(b, 'heir');
  lab.settle();
  t.is(lab.ip(b, 'heir'), ip);
  const report = probe(lab, a, 'prober', ip);
  t.is(report.received, 6);
  t.is(report.results[0]!.uid, heir.uid);
});

test('an exhausted subnet fails the pod in the words of host-local', (t) => {
  const lab = new Lab({ ...flannel(hostGw), network: '10.244.0.0/24', subnetLen: 29 });
  const a = lab.addNode('n1');
  for (let i = 0; i < 6; i++) lab.pod(a, `pod-${i}`);
  lab.settle();
  const statuses = () => lab.store.list('podstatus.>').map((entry) => entry.value);
  const [failed] = statuses().filter((status) => status.phase === 'Failed');
  const last = subnetOf(a).split('.')[3]!.split('/')[0];
  const range = `10.244.0.${Number(last) + 1}-10.244.0.${Number(last) + 6}`;
  t.true(
    String(failed?.message).endsWith(
      `plugin type="flannel" failed (add): failed to delegate add: failed to allocate for range 0: no IP addresses available in range set: ${range}`,
    ),
    String(failed?.message),
  );
  lab.removePod(a, String(statuses().find((status) => status.phase === 'Running')!.name));
  lab.advance(35_000);
  t.is(statuses().filter((status) => status.phase === 'Running').length, 5);
  checkSettled(t, lab);
});

test('a pod waits for the lease', (t) => {
  const lab = new Lab(flannel(vxlan));
  lab.storeFault = () => 'refused';
  const a = lab.addNode('n1');
  lab.pod(a, 'one');
  lab.advance(3000);
  t.is(a.daemons!.snapshot().sandboxes.length, 0);
  t.true(a.daemons!.report().work > 0);
  lab.storeFault = () => 'none';
  lab.settle();
  t.is(lab.status(a, 'one')?.phase, 'Running');
});

test('ipip: a peer is a route to its public address by the tunnel, and directRouting takes it out of that', (t) => {
  const { lab, a, b } = pair(ipip, { routeCheck: 1000 });
  const peer = subnetOf(b);
  t.deepEqual(rows(a, peer).route?.nexthops, [
    { via: b.address, dev: 'flannel.ipip', onlink: true, weight: 1 },
  ]);
  t.like(a.kernel.root.device('flannel.ipip')?.facts(), {
    mtu: 1480,
    detail: `ipip any remote any local ${a.address} ttl inherit nopmtudisc`,
  });
  a.kernel.root.routes.delete(peer);
  lab.advance(1100);
  t.is(rows(a, peer).route?.nexthops[0]?.via, b.address);
  const direct = pair({ type: 'ipip', directRouting: true });
  t.deepEqual(rows(direct.a, subnetOf(direct.b)).route?.nexthops, [
    { via: direct.b.address, dev: 'eth0', onlink: false, weight: 1 },
  ]);
});

test('wireguard: a peer is its key, its address and its subnet; a new key takes the place of the old one', (t) => {
  const { lab, a, b } = pair(wireguard);
  const state = () => a.kernel.snapshot().wireguard[''];
  const keyOf = (node: LabNode) => String(node.daemons!.snapshot().flannel.own!.lease.backendData.PublicKey);
  const peers = () => [
    {
      publicKey: keyOf(b),
      presharedKey: false,
      endpoint: `${b.address}:51820`,
      allowedIps: [subnetOf(b)],
      persistentKeepalive: 0,
      latestHandshake: null,
    },
  ];
  t.deepEqual(state(), [
    { dev: 'flannel-wg', publicKey: keyOf(a), listenPort: 51_820, fwmark: 0, peers: peers() },
  ]);
  t.is(a.kernel.root.device('flannel-wg')?.mtu, 1420);
  t.like(a.kernel.root.routes.get('10.244.0.0/16'), {
    scope: 'link',
    nexthops: [{ via: '', dev: 'flannel-wg', onlink: false, weight: 1 }],
  });
  const old = keyOf(b);
  b.kill();
  b.boot();
  lab.settle();
  lab.advance(100);
  t.not(keyOf(b), old);
  t.deepEqual(state()?.[0]?.peers, peers());
  b.kill();
  lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(subnetOf(a)) }, 0);
  checkAlways(t, lab);
});

test('ipsec: policies in three directions and two associations for each peer, with keys that both ends make', (t) => {
  const { lab, a, b } = pair(ipsec);
  const spis = (node: LabNode) =>
    node.kernel.root.xfrm.sad.list().map(({ options }) => `${formatIp(options.dst)} ${options.spi}`);
  const policies = () =>
    (a.kernel.snapshot().xfrmPolicies[''] ?? []).map(({ dir, src, dst }) => `${dir} ${src} ${dst}`);
  const [own, peer] = [subnetOf(a), subnetOf(b)];
  t.deepEqual(policies(), [`fwd ${peer} ${own}`, `in ${peer} ${own}`, `out ${own} ${peer}`]);
  t.deepEqual(spis(a).sort(), spis(b).sort());
  t.is(spis(a).length, 2);
  const keys = (node: LabNode) =>
    node.kernel.root.xfrm.sad
      .list()
      .map(({ options }) => options.suite.key.join(','))
      .sort();
  t.deepEqual(keys(a), keys(b));
  t.false(JSON.stringify(a.records).includes('kkkk'));
  const before = spis(a);
  b.kill();
  b.boot();
  lab.settle();
  lab.advance(100);
  t.deepEqual(spis(a).sort(), spis(b).sort());
  t.false(spis(a).some((spi) => before.includes(spi)));
  b.kill();
  lab.store.apply({ op: 'delete', key: storeKeys.flannelSubnet(peer) }, 0);
  lab.advance(500);
  t.deepEqual([policies(), spis(a)], [[], []]);
  checkAlways(t, lab);
});
