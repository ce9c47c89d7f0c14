import test from 'ava';
import type { NeighborState } from '../../../nodes/events/kernel.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, decodeArp, encodeArp } from '../../../protocols/arp.ts';
import { ETHERTYPE_ARP, etherType, writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { BROADCAST_MAC, formatMac, readMac } from '../../../protocols/mac.ts';
import { Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';

const PEER = 0x0200000000bb;
const OTHER = 0x0200000000cc;
const ip = (text: string): number => parseIp4(text) ?? 0;

/** A host alone on a wire: the test plays its neighbour, 10.0.0.2. */
function alone() {
  const net = new Network();
  const host = net.host('a');
  const device = net.attach(host, 'lan', 'eth0', '10.0.0.1/24');
  net.advance(10);
  net.frames.splice(0);
  const { root } = host.kernel;
  const echo = root.openIcmp({ onReply: () => {}, onError: () => {} });
  let seq = 0;
  return {
    net,
    host,
    device,
    root,
    ping: () => echo.sendEcho(ip('10.0.0.2'), { id: 1, seq: ++seq, size: 8 }),
    arp: (op: number, sha: number, spa: string, tpa: string) => {
      const frame = new Uint8Array(14 + ARP_LEN);
      writeEthernet(frame, op === ARP_REQUEST ? BROADCAST_MAC : device.mac, sha, ETHERTYPE_ARP);
      encodeArp(frame, 14, { op, sha, spa: ip(spa), tha: op === ARP_REQUEST ? 0 : device.mac, tpa: ip(tpa) });
      host.kernel.receive(0, frame);
    },
    state: (): NeighborState | undefined => root.neighbors()[0]?.state,
    /** ARP packets sent since the last call: operation, Ethernet destination. */
    sent: () =>
      net.frames
        .splice(0)
        .filter(({ frame }) => etherType(frame) === ETHERTYPE_ARP)
        .map(({ frame }) => ({ ...decodeArp(frame, 14, frame.length - 14)!, to: readMac(frame, 0) })),
    /** IPv4 packets sent since the last call, by Ethernet destination. */
    packets: () =>
      net.frames
        .splice(0)
        .filter(({ frame }) => etherType(frame) !== ETHERTYPE_ARP)
        .map(({ frame }) => readMac(frame, 0)),
  };
}

test('three requests a second apart, then FAILED; after a minute it is forgotten', (t) => {
  const { net, ping, sent, state } = alone();
  ping();
  t.is(state(), 'INCOMPLETE');
  t.like(sent(), [{ op: ARP_REQUEST, to: BROADCAST_MAC, tpa: ip('10.0.0.2'), spa: ip('10.0.0.1') }]);
  net.advance(999);
  t.is(sent().length, 0);
  net.advance(1);
  t.is(sent().length, 1);
  net.advance(1000);
  t.is(sent().length, 1);
  net.advance(999);
  t.is(state(), 'INCOMPLETE');
  net.advance(1);
  t.is(state(), 'FAILED');
  net.advance(timings.neighbor.gcStale - 1);
  t.is(state(), 'FAILED');
  net.advance(1);
  t.is(state(), undefined);
});

test('what waits goes out when the answer comes, in order', (t) => {
  const { ping, arp, packets, state } = alone();
  for (let i = 0; i < 3; i++) ping();
  t.deepEqual(packets(), []);
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  t.is(state(), 'REACHABLE');
  t.deepEqual(packets(), [PEER, PEER, PEER]);
});

test('a FAILED neighbour is asked again by the next packet', (t) => {
  const { net, ping, arp, sent, state } = alone();
  ping();
  net.advance(4000);
  t.is(state(), 'FAILED');
  sent();
  ping();
  t.is(state(), 'INCOMPLETE');
  t.is(sent().length, 1);
  net.advance(1500);
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  t.is(state(), 'REACHABLE');
});

test('REACHABLE becomes STALE by itself, a packet then DELAY, silence PROBE and FAILED', (t) => {
  const { net, ping, arp, sent, packets, state } = alone();
  const { reachable, delayFirstProbe, retrans } = timings.neighbor;
  ping();
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  net.advance(reachable / 2 - 1);
  t.is(state(), 'REACHABLE');
  net.advance(reachable + 1);
  t.is(state(), 'STALE');
  net.advance(10 * reachable);
  t.is(state(), 'STALE');
  packets();
  ping();
  t.is(state(), 'DELAY');
  t.deepEqual(packets(), [PEER]);
  net.advance(delayFirstProbe - 1);
  t.is(state(), 'DELAY');
  t.is(sent().length, 0);
  net.advance(1);
  t.is(state(), 'PROBE');
  // Probes go to the neighbour alone.
  t.like(sent(), [{ op: ARP_REQUEST, to: PEER }]);
  net.advance(2 * retrans);
  t.is(sent().length, 2);
  t.is(state(), 'PROBE');
  net.advance(retrans);
  t.is(state(), 'FAILED');
});

test('an answer to a probe makes it REACHABLE again', (t) => {
  const { net, ping, arp, state } = alone();
  ping();
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  net.advance(100_000);
  ping();
  net.advance(timings.neighbor.delayFirstProbe);
  t.is(state(), 'PROBE');
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  t.is(state(), 'REACHABLE');
});

test('proof from above while it is DELAY makes it REACHABLE once the delay is over, without a probe', (t) => {
  const { net, device, ping, arp, sent, state } = alone();
  const { delayFirstProbe, reachable } = timings.neighbor;
  ping();
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  net.advance(100_000);
  sent();
  ping();
  net.advance(1000);
  device.neighbors.confirm(ip('10.0.0.2'));
  t.is(state(), 'DELAY');
  net.advance(delayFirstProbe - 1000);
  t.is(state(), 'REACHABLE');
  t.is(sent().length, 0);
  net.advance(2 * reachable);
  t.is(state(), 'STALE');
});

test('probes are counted anew after requests that were in vain', (t) => {
  const { net, ping, arp, sent, state } = alone();
  ping();
  net.advance(2500);
  // Three requests are out when the neighbour speaks of itself, unasked.
  arp(ARP_REQUEST, PEER, '10.0.0.2', '10.0.0.2');
  t.is(state(), 'DELAY');
  sent();
  net.advance(timings.neighbor.delayFirstProbe);
  t.is(state(), 'PROBE');
  t.is(sent().length, 1);
});

test('gratuitous ARP updates what is known, and adds nothing', (t) => {
  const { root, ping, arp, packets, state } = alone();
  arp(ARP_REQUEST, PEER, '10.0.0.2', '10.0.0.2');
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.2');
  t.is(state(), undefined);
  ping();
  arp(ARP_REPLY, PEER, '10.0.0.2', '10.0.0.1');
  arp(ARP_REQUEST, OTHER, '10.0.0.2', '10.0.0.2');
  t.like(root.neighbors(), [{ ip: '10.0.0.2', mac: formatMac(OTHER), state: 'STALE' }]);
  packets();
  ping();
  t.deepEqual(packets(), [OTHER]);
});

test('an announcement is a request for the own address', (t) => {
  const { device, sent } = alone();
  device.neighbors.announce(ip('10.0.0.1'));
  t.deepEqual(sent(), [
    { op: ARP_REQUEST, sha: device.mac, spa: ip('10.0.0.1'), tha: 0, tpa: ip('10.0.0.1'), to: BROADCAST_MAC },
  ]);
});

test('a request for us is answered and its sender remembered; one for another is not', (t) => {
  const { root, device, arp, sent } = alone();
  arp(ARP_REQUEST, PEER, '10.0.0.2', '10.0.0.3');
  t.deepEqual([sent(), root.neighbors()], [[], []]);
  arp(ARP_REQUEST, PEER, '10.0.0.2', '10.0.0.1');
  t.like(sent(), [
    { op: ARP_REPLY, sha: device.mac, spa: ip('10.0.0.1'), tha: PEER, tpa: ip('10.0.0.2'), to: PEER },
  ]);
  t.like(root.neighbors(), [{ ip: '10.0.0.2', mac: formatMac(PEER), state: 'STALE' }]);
});

test('a probe for a duplicate address (sender 0) is answered and leaves no entry', (t) => {
  const { root, arp, sent } = alone();
  arp(ARP_REQUEST, PEER, '0.0.0.0', '10.0.0.1');
  t.like(sent(), [{ op: ARP_REPLY, to: PEER }]);
  t.deepEqual(root.neighbors(), []);
});

test('a permanent entry is neither asked for nor overwritten', (t) => {
  const { net, root, ping, arp, packets } = alone();
  root.setNeighbor('eth0', ip('10.0.0.2'), PEER);
  ping();
  t.deepEqual(packets(), [PEER]);
  arp(ARP_REPLY, OTHER, '10.0.0.2', '10.0.0.1');
  arp(ARP_REQUEST, OTHER, '10.0.0.2', '10.0.0.1');
  net.advance(1_000_000);
  t.like(root.neighbors(), [{ mac: formatMac(PEER), state: 'PERMANENT' }]);
});

test('a device that goes down forgets its neighbours, and no timer of theirs fires', (t) => {
  const { net, host, root, ping, state } = alone();
  ping();
  root.setDown('eth0');
  t.is(state(), undefined);
  const count = host.rt.records.length;
  net.advance(1_000_000);
  t.is(host.rt.records.length, count);
});
