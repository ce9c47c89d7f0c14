import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import {
  ARP_LEN,
  ARP_REPLY,
  ARP_REQUEST,
  type ArpPacket,
  decodeArp,
  encodeArp,
} from '../../../protocols/arp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, etherType, writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { ipProto, ipSrc, writeIpv4Header } from '../../../protocols/ipv4.ts';
import { BROADCAST_MAC } from '../../../protocols/mac.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const PEER = 0x020000000099;

/** A host with eth0 (10.0.0.1/24, 10.0.5.1/24) and eth1 (10.1.0.1/24); what it sends by each, until it is taken. */
function host() {
  const world = new FakeWorld();
  const sent: { readonly port: number; readonly frame: Uint8Array }[] = [];
  const kernel = new Kernel(world.runtime(), {
    timings,
    transmit: (port, frame) => sent.push({ port, frame }),
  });
  const { root } = kernel;
  for (const [port, addresses] of [['10.0.0.1/24', '10.0.5.1/24'], ['10.1.0.1/24']].entries()) {
    root.addPort({ name: `eth${port}`, mac: 0x020000000001 + port, mtu: 1500, port });
    root.setUp(`eth${port}`);
    for (const address of addresses) root.addAddress(`eth${port}`, address);
  }
  const arp = (port: number, packet: Partial<ArpPacket>, to = BROADCAST_MAC): ArpPacket[] => {
    const frame = new Uint8Array(14 + ARP_LEN);
    writeEthernet(frame, to, PEER, ETHERTYPE_ARP);
    encodeArp(frame, 14, { op: ARP_REQUEST, sha: PEER, spa: 0, tha: 0, tpa: 0, ...packet });
    kernel.receive(port, frame);
    return arps();
  };
  const arps = (): ArpPacket[] =>
    sent
      .splice(0)
      .filter(({ frame }) => etherType(frame) === ETHERTYPE_ARP)
      .flatMap(({ frame }) => decodeArp(frame, 14, ARP_LEN) ?? []);
  const set = (name: string, value: number, dev = 'all') =>
    root.sysctls.set(`ipv4.conf.*.${name}`, value, dev);
  /** Whether a request for an address, by a port, is answered. */
  const answered = (port: number, from: string, target: string) =>
    arp(port, { spa: ip(from), tpa: ip(target) }).some(
      ({ op, spa }) => op === ARP_REPLY && spa === ip(target),
    );
  return { world, kernel, root, sent, arp, arps, set, answered };
}

test('arp_ignore: whose address it is, and whether the asker is of its subnet', (t) => {
  const { root, set, answered } = host();
  root.addAddress('lo', '10.0.0.77/32', { scope: 'host' });
  const asks = () => [
    answered(0, '10.0.0.9', '10.0.0.1'),
    answered(0, '10.0.0.9', '10.1.0.1'),
    answered(0, '10.0.0.9', '10.0.5.1'),
    answered(0, '10.0.0.9', '10.0.0.77'),
  ];
  t.deepEqual(asks(), [true, true, true, true]);
  set('arp_ignore', 1);
  t.deepEqual(asks(), [true, false, true, false]);
  set('arp_ignore', 2);
  t.deepEqual(asks(), [true, false, false, false]);
  set('arp_ignore', 3);
  t.deepEqual(asks(), [true, true, true, false]);
  set('arp_ignore', 8);
  t.deepEqual(asks(), [false, false, false, false]);
  // The larger of all's and the device's own holds.
  set('arp_ignore', 0);
  set('arp_ignore', 1, 'eth0');
  t.deepEqual(asks(), [true, false, true, false]);
});

test('arp_filter: only by the device that an answer would be routed by', (t) => {
  const { set, answered } = host();
  set('arp_filter', 1, 'eth1');
  t.true(answered(0, '10.0.0.9', '10.0.0.1'));
  t.false(answered(1, '10.0.0.9', '10.0.0.1'));
  t.true(answered(1, '10.1.0.9', '10.1.0.1'));
});

test('rp_filter: nobody is answered who could not be heard of by that device', (t) => {
  const { set, answered } = host();
  t.true(answered(1, '10.0.0.9', '10.1.0.1'));
  set('rp_filter', 1, 'eth1');
  t.false(answered(1, '10.0.0.9', '10.1.0.1'));
});

test('arp_announce: the source of a request', (t) => {
  const { root, kernel, arps, set } = host();
  root.ipForward = true;
  const asksFrom = (src: string): number | undefined => {
    for (const { ip: known } of root.neighbors()) root.deleteNeighbor('eth0', ip(known));
    root.icmp.open({ onReply: () => {}, onError: () => {} }).sendEcho(ip('10.0.0.9'), {
      id: 1,
      seq: 1,
      size: 0,
      src: ip(src),
    });
    kernel.drain();
    return arps()[0]?.spa;
  };
  t.is(asksFrom('10.1.0.1'), ip('10.1.0.1'));
  t.is(asksFrom('10.0.5.1'), ip('10.0.5.1'));
  set('arp_announce', 1);
  t.is(asksFrom('10.1.0.1'), ip('10.0.0.1'));
  set('arp_announce', 2);
  t.is(asksFrom('10.0.5.1'), ip('10.0.0.1'));
});

test('arp_accept: an announcement makes an entry where that is wanted', (t) => {
  const { root, arp, set } = host();
  const announce = (addr: string) => {
    arp(0, { spa: ip(addr), tpa: ip(addr) });
    return root.neighbors().some((row) => row.ip === addr);
  };
  t.false(announce('10.0.0.9'));
  set('arp_accept', 1, 'eth0');
  t.true(announce('10.0.0.9'));
  t.true(announce('192.168.7.7'));
  set('arp_accept', 2, 'eth0');
  t.false(announce('192.168.8.8'));
  t.true(announce('10.0.5.9'));
});

test('arp_notify: a device that comes up, or has a new address, says so', (t) => {
  const { root, arps, set } = host();
  root.setDown('eth0');
  root.setUp('eth0');
  t.deepEqual(arps(), []);
  set('arp_notify', 1, 'eth0');
  root.setDown('eth0');
  root.setUp('eth0');
  t.deepEqual(
    arps().map(({ op, spa, tpa }) => [op, spa, tpa]),
    [
      [ARP_REQUEST, ip('10.0.0.1'), ip('10.0.0.1')],
      [ARP_REQUEST, ip('10.0.5.1'), ip('10.0.5.1')],
    ],
  );
  root.setMac('eth0', 0x020000000055);
  t.deepEqual(
    arps().map(({ sha }) => sha),
    [0x020000000055, 0x020000000055],
  );
});

test('proxy ARP is a router’s, takes its time, and not for what is on the same segment', (t) => {
  const { world, root, arp, arps, set, answered } = host();
  set('proxy_arp', 1, 'eth0');
  t.false(answered(0, '10.0.0.9', '10.1.0.7'));
  root.ipForward = true;
  t.deepEqual(arp(0, { spa: ip('10.0.0.9'), tpa: ip('10.1.0.7') }), []);
  world.advance(800);
  t.is(arps()[0]?.spa, ip('10.1.0.7'));
  root.sysctls.set('ipv4.neigh.*.proxy_delay', 0, 'eth0');
  t.true(answered(0, '10.0.0.9', '10.1.0.7'));
  t.false(answered(0, '10.0.0.9', '10.0.0.7'));
  t.false(answered(1, '10.1.0.9', '10.0.0.7'));
  // Private VLANs: hosts of one segment that are kept apart.
  set('proxy_arp_pvlan', 1, 'eth0');
  t.true(answered(0, '10.0.0.9', '10.0.0.7'));
  root.sysctls.set('ipv4.neigh.*.proxy_delay', 80, 'eth0');
  // What is asked of us by name is answered at once.
  t.is(arp(0, { spa: ip('10.0.0.9'), tpa: ip('10.1.0.7') }, 0x020000000001).length, 1);
});

test('drop_gratuitous_arp', (t) => {
  const { kernel, arp, set } = host();
  set('drop_gratuitous_arp', 1);
  arp(0, { spa: ip('10.0.0.9'), tpa: ip('10.0.0.9') });
  t.is(kernel.drops.get('arp-gratuitous'), 1);
});

test('ICMP redirects: to a host that could reach the next router itself, ever more seldom; send_redirects off, none', (t) => {
  const { world, kernel, root, sent, set } = host();
  root.ipForward = true;
  root.setNeighbor('eth0', ip('10.0.0.9'), PEER);
  root.setNeighbor('eth0', ip('10.0.0.3'), PEER);
  root.routes.set({
    dst: '172.16.0.0/16',
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via: '10.0.0.3', dev: 'eth0', onlink: false, weight: 1 }],
  });
  const redirects = (count: number): number => {
    for (let i = 0; i < count; i++) {
      const frame = new Uint8Array(14 + 28);
      writeEthernet(frame, 0x020000000001, PEER, ETHERTYPE_IPV4);
      const header = {
        src: ip('10.0.0.9'),
        dst: ip('172.16.1.1'),
        proto: 17,
        ttl: 64,
        totalLength: 28,
        id: i,
      };
      writeIpv4Header(frame, 14, header);
      kernel.receive(0, frame);
    }
    const errors = sent.splice(0).filter(({ frame }) => ipProto(frame, 14) === 1 && frame[34] === 5);
    for (const { frame } of errors) {
      t.is(ipSrc(frame, 14), ip('10.0.0.1'));
      t.deepEqual([...frame.subarray(34, 36)], [5, 1]);
      t.deepEqual([...frame.subarray(38, 42)], [10, 0, 0, 3]);
    }
    return errors.length;
  };
  t.is(redirects(5), 1);
  world.advance(50);
  t.is(redirects(5), 1);
  t.is(kernel.forwarded, 0);
  world.advance(30_000);
  t.is(redirects(1), 1);
  set('send_redirects', 0);
  set('send_redirects', 0, 'eth0');
  world.advance(30_000);
  t.is(redirects(1), 0);
});
