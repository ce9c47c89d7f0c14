import test from 'ava';
import type { NeighborFacts } from '../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, encodeArp } from '../../../protocols/arp.ts';
import { ETHERTYPE_ARP, etherType, writeEthernet } from '../../../protocols/ethernet.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { BROADCAST_MAC } from '../../../protocols/mac.ts';
import { Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';

const SUBNET = parseIp4('10.0.0.0') ?? 0;
const HOST = SUBNET + 1;

/** A host in 10.0.0.0/16 with limits of its own: the test plays its neighbours, by their number in the subnet. */
function limited(limits: readonly [number, number, number]) {
  const net = new Network();
  const host = net.host('a');
  const { mac } = net.attach(host, 'lan', 'eth0', '10.0.0.1/16');
  const { root } = host.kernel;
  limits.forEach((limit, i) => {
    root.sysctls.set(`ipv4.neigh.default.gc_thresh${i + 1}`, limit);
  });
  net.advance(10_000);
  net.frames.splice(0);
  const echo = root.openIcmp({ onReply: () => {}, onError: () => {} });
  const arp = (op: number, n: number) => {
    const frame = new Uint8Array(14 + ARP_LEN);
    const sha = 0x020000000000 + n;
    writeEthernet(frame, op === ARP_REQUEST ? BROADCAST_MAC : mac, sha, ETHERTYPE_ARP);
    encodeArp(frame, 14, { op, sha, spa: SUBNET + n, tha: op === ARP_REQUEST ? 0 : mac, tpa: HOST });
    host.kernel.receive(0, frame);
  };
  return {
    net,
    host,
    root,
    ping: (n: number) => echo.sendEcho(SUBNET + n, { id: 1, seq: 1, size: 8 }),
    /** A neighbour asks for us. */
    asks: (n: number) => arp(ARP_REQUEST, n),
    answers: (n: number) => arp(ARP_REPLY, n),
    /** Numbers of the neighbours that are known. */
    known: (state?: NeighborFacts['state']) =>
      root
        .neighbors()
        .filter((neighbor) => state === undefined || neighbor.state === state)
        .map((neighbor) => (parseIp4(neighbor.ip) ?? 0) - SUBNET),
    arpSent: () => net.frames.splice(0).filter(({ frame }) => etherType(frame) === ETHERTYPE_ARP).length,
    full: () => host.kernel.drops.get('neighbor-table-full') ?? 0,
  };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('the limits are those of Linux', (t) => {
  const { kernel } = new Network().host('a');
  const { neighborPool: pool } = kernel;
  t.deepEqual([pool.gcThresh1, pool.gcThresh2, pool.gcThresh3], [128, 512, 1024]);
});

test('1024 neighbours that are waited for fill the table: the next packet is dropped, and counted', (t) => {
  const { ping, known, full, arpSent } = limited([128, 512, 1024]);
  for (const n of numbers(2, 1025)) ping(n);
  t.is(known().length, 1024);
  t.is(full(), 0);
  arpSent();
  ping(2000);
  t.is(known().length, 1024);
  t.is(full(), 1);
  t.is(arpSent(), 0);
});

test('who asks for us is not answered while there is no room to remember it', (t) => {
  const { ping, asks, known, full, arpSent } = limited([1, 2, 3]);
  for (const n of [2, 3, 4]) ping(n);
  arpSent();
  asks(9);
  t.deepEqual(known(), [2, 3, 4]);
  t.is(arpSent(), 0);
  t.is(full(), 1);
  // Who is known already is answered.
  asks(3);
  t.is(arpSent(), 1);
});

test('a full table makes room of what failed, down to the second limit, oldest first', (t) => {
  const { net, ping, known, full } = limited([1, 2, 4]);
  for (const n of [2, 3, 4, 5]) ping(n);
  net.advance(3_000);
  t.deepEqual(known('FAILED'), [2, 3, 4, 5]);
  ping(6);
  t.deepEqual(known(), [5, 6]);
  t.is(full(), 0);
});

test('stale neighbours give way only 5 s after they became so', (t) => {
  const { net, asks, ping, known, full } = limited([1, 2, 3]);
  for (const n of [2, 3, 4]) asks(n);
  t.deepEqual(known('STALE'), [2, 3, 4]);
  net.advance(5_000);
  ping(9);
  t.is(full(), 1);
  net.advance(1);
  ping(9);
  t.is(full(), 1);
  t.deepEqual(known(), [4, 9]);
});

test('between the second and the third limit a collection is forced every 5 s at most', (t) => {
  const { net, asks, known } = limited([1, 2, 100]);
  for (const n of [2, 3]) asks(n);
  net.advance(6_000);
  // Two are there: a collection makes room for this one by the oldest.
  asks(4);
  t.deepEqual(known(), [3, 4]);
  net.advance(4_000);
  asks(5);
  t.deepEqual(known(), [3, 4, 5]);
  net.advance(1_001);
  asks(6);
  t.false(known().includes(3));
});

test('permanent neighbours neither count nor go', (t) => {
  const { net, root, ping, known, full } = limited([1, 2, 3]);
  for (const n of numbers(100, 110)) root.setNeighbor('eth0', SUBNET + n, n);
  for (const n of [2, 3, 4]) ping(n);
  t.is(full(), 0);
  ping(5);
  t.is(full(), 1);
  // One that is made permanent leaves its place.
  root.setNeighbor('eth0', SUBNET + 2, 2);
  ping(5);
  t.is(full(), 1);
  net.advance(600_000);
  t.deepEqual(
    known().sort((x, y) => x - y),
    [2, ...numbers(100, 110)],
  );
});

test('all namespaces of a node share one table', (t) => {
  const { host, root, ping, known, full } = limited([1, 2, 3]);
  const pod = host.kernel.addNetns('pod');
  root.addVeth({ name: 'v0', mac: 3, mtu: 1500, peer: { ns: pod, name: 'eth0', mac: 4 } });
  root.setUp('v0');
  pod.setUp('eth0');
  pod.addAddress('eth0', '10.1.0.1/24');
  const socket = pod.openIcmp({ onReply: () => {}, onError: () => {} });
  for (const n of [2, 3]) ping(n);
  socket.sendEcho(parseIp4('10.1.0.2') ?? 0, { id: 1, seq: 1, size: 8 });
  t.deepEqual(pod.neighbors().length, 1);
  ping(4);
  t.is(full(), 1);
  t.deepEqual(known(), [2, 3]);
  host.kernel.removeNetns('pod');
  ping(4);
  t.is(full(), 1);
  t.deepEqual(known(), [2, 3, 4]);
});

test('from the first limit on, stale neighbours are collected for age; below it they stay', (t) => {
  for (const count of [3, 4]) {
    const { net, asks, known } = limited([4, 50, 100]);
    for (const n of numbers(2, count + 1)) asks(n);
    net.advance(timings.neighbor.gcStale - 1);
    t.is(known().length, count);
    // Every half of base_reachable_time the table is looked over.
    net.advance(timings.neighbor.reachable / 2 + 1);
    t.is(known().length, count === 4 ? 0 : 3);
  }
});

test('limits that were set and what they do are in the log', (t) => {
  const { net, host, asks, answers, ping, root } = limited([2, 3, 5]);
  for (const n of numbers(2, 9)) ping(n);
  for (const n of numbers(2, 5)) answers(n);
  for (const n of numbers(10, 14)) asks(n);
  net.advance(100_000);
  for (const n of numbers(10, 20)) asks(n);
  const fold = new KernelFold();
  for (const event of host.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  t.deepEqual(fold.view(), host.kernel.snapshot());
  t.true(root.neighbors().length <= 5);
  t.deepEqual(
    host.kernel.snapshot().sysctls['']?.map(({ name, value }) => [name, value]),
    [
      ['ipv4.neigh.default.gc_thresh1', 2],
      ['ipv4.neigh.default.gc_thresh2', 3],
      ['ipv4.neigh.default.gc_thresh3', 5],
    ],
  );
  t.is(formatIp4(HOST), '10.0.0.1');
});
