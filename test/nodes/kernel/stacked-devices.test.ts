import test, { type ExecutionContext } from 'ava';
import { BridgeDevice } from '../../../nodes/kernel/bridge.ts';
import type { IpvlanFlag, IpvlanMode } from '../../../nodes/kernel/ipvlan.ts';
import type { MacvlanMode } from '../../../nodes/kernel/macvlan.ts';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { ARP_REQUEST, encodeArp } from '../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, etherType, writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { BROADCAST_MAC, isGroupMac } from '../../../protocols/mac.ts';
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, tagged, vlanId } from '../../../protocols/vlan.ts';
import { mac, Network } from '../../support/network.ts';
import { run } from '../tools/support/run.ts';
import { icmpEcho, packet4 } from './linux/frames4.ts';

/** Two hosts on one wire, 10.0.0.1 and 10.0.0.2. */
function pair() {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'wire', 'eth0', '10.0.0.1/24');
  net.attach(b, 'wire', 'eth0', '10.0.0.2/24');
  const reaches = (ns: Netns, target: string) => {
    const ping = run(`ping -n -c 1 -W 0.5 ${target}`, ns);
    net.advance(1_000);
    return ping.code === 0;
  };
  const check = (t: ExecutionContext) => {
    for (const host of net.hosts) {
      const fold = new KernelFold();
      for (const event of host.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
      t.deepEqual(fold.view(), host.kernel.snapshot());
    }
  };
  return { net, a: a.kernel, b: b.kernel, reaches, check };
}

function vlan(ns: Netns, parent: string, id: number, protocol: 0x8100 | 0x88a8 = ETHERTYPE_8021Q) {
  const device = ns.links.addUpper({
    name: `${parent}.${id}`,
    parent: ns.links.require(parent),
    upper: { kind: 'vlan', id, protocol },
  });
  ns.setUp(device.name);
  return device;
}

test('VLANs of one wire are networks of their own', (t) => {
  const { net, a, b, reaches, check } = pair();
  for (const [ns, host] of [
    [a.root, 1],
    [b.root, 2],
  ] as const) {
    for (const id of [10, 20]) {
      const { name } = vlan(ns, 'eth0', id);
      ns.addAddress(name, `10.0.${id}.${host}/24`);
    }
  }
  t.true(reaches(a.root, '10.0.10.2'));
  t.true(reaches(a.root, '10.0.20.2'));
  t.true(reaches(a.root, '10.0.0.2'));
  const ids = new Set(
    net.frames.map(({ frame }) => (etherType(frame) === ETHERTYPE_8021Q ? vlanId(frame) : 0)),
  );
  t.deepEqual([...ids].sort(), [0, 10, 20]);
  // The other end leaves VLAN 20: nobody is there to hear it, the untagged one least of all.
  b.root.removeDevice('eth0.20');
  t.false(reaches(a.root, '10.0.20.2'));
  t.true((b.drops.get('unknown-ethertype') ?? 0) > 0);
  check(t);
});

test('a VLAN in a VLAN: the outer tag is 802.1ad', (t) => {
  const { net, a, b, reaches } = pair();
  for (const [ns, host] of [
    [a.root, 1],
    [b.root, 2],
  ] as const) {
    vlan(ns, 'eth0', 100, ETHERTYPE_8021AD);
    const inner = vlan(ns, 'eth0.100', 7);
    ns.addAddress(inner.name, `10.7.0.${host}/24`);
  }
  t.true(reaches(a.root, '10.7.0.2'));
  const frame = net.frames.at(-1)?.frame ?? new Uint8Array(0);
  t.is(etherType(frame), ETHERTYPE_8021AD);
  t.is(vlanId(frame), 100);
  t.deepEqual([...frame.subarray(16, 20)], [0x81, 0x00, 0, 7]);
});

test('a tag of a priority alone is passed over, to the VLAN behind it too', (t) => {
  const { net, a, b } = pair();
  const inner = vlan(b.root, 'eth0', 7);
  b.root.addAddress(inner.name, '10.7.0.2/24');
  const ask = (target: string, ...tags: readonly number[]) => {
    net.frames.length = 0;
    const request = new Uint8Array(42);
    writeEthernet(request, BROADCAST_MAC, a.root.links.require('eth0').mac, ETHERTYPE_ARP);
    encodeArp(request, ETH_HLEN, {
      ...{ op: ARP_REQUEST, sha: a.root.links.require('eth0').mac, tha: 0 },
      ...{ spa: parseIp4('10.0.0.1') ?? 0, tpa: parseIp4(target) ?? 0 },
    });
    const frame = tags.reduce<Uint8Array>((bytes, id) => tagged(bytes, ETHERTYPE_8021Q, id, 5), request);
    a.root.links.require('eth0').transmit(frame);
    net.advance(10);
    return net.frames.length - 1;
  };
  t.is(ask('10.0.0.2'), 1);
  t.is(ask('10.0.0.2', 0), 1);
  t.is(ask('10.0.0.2', 0, 0), 1);
  t.is(ask('10.0.0.2', 9), 0);
  t.is(ask('10.7.0.2', 7, 0), 1);
});

test('a VLAN goes with its parent: up, down, address, MTU, end', (t) => {
  const { a, check } = pair();
  const { root } = a;
  const device = vlan(root, 'eth0', 10);
  t.is(device.mac, root.links.require('eth0').mac);
  root.setDown('eth0');
  t.false(device.up);
  t.throws(() => root.setUp('eth0.10'), { instanceOf: NetlinkError, message: /Network is down/ });
  root.setUp('eth0');
  t.true(device.usable);
  a.setCarrier(0, 'down');
  t.false(device.carrier);
  a.setCarrier(0, 'up');
  t.true(device.usable);
  root.setMac('eth0', mac('02:00:00:00:00:77'));
  t.is(device.mac, mac('02:00:00:00:00:77'));
  root.setMtu('eth0', 1400);
  t.is(device.mtu, 1400);
  t.throws(() => root.setMtu('eth0.10', 1450), { message: /Numerical result out of range/ });
  t.throws(() => vlan(root, 'eth0', 4095), { message: 'Error: 8021q: Invalid VLAN id.' });
  t.throws(() => vlan(root, 'eth0', 10), { message: 'Error: 8021q: VLAN device already exists.' });
  check(t);
  root.removeDevice('eth0');
  t.is(root.device('eth0.10'), undefined);
  check(t);
});

/** `count` children of a's eth0, each in a namespace of its own with 10.0.0.1x. */
function macvlans({ a }: ReturnType<typeof pair>, mode: MacvlanMode, count = 2): Netns[] {
  return Array.from({ length: count }, (_, i) => {
    const ns = a.addNetns(`c${i}`);
    const name = `mv${i}`;
    a.root.links.addUpper({
      name,
      parent: a.root.links.require('eth0'),
      upper: { kind: 'macvlan', mode },
      mac: 0x020000000010 + i,
    });
    a.root.links.move(name, ns, 'eth0');
    ns.setUp('eth0');
    ns.addAddress('eth0', `10.0.0.1${i}/24`);
    return ns;
  });
}

test('macvlan bridge: the wire and each other, but never the host below', (t) => {
  const lab = pair();
  const { a, b, reaches, check } = lab;
  const [c0, c1] = macvlans(lab, 'bridge');
  t.true(reaches(c0!, '10.0.0.2'));
  t.true(reaches(b.root, '10.0.0.11'));
  t.true(reaches(c0!, '10.0.0.11'));
  t.true(reaches(c1!, '10.0.0.10'));
  t.false(reaches(a.root, '10.0.0.10'));
  t.false(reaches(c0!, '10.0.0.1'));
  t.true(reaches(a.root, '10.0.0.2'));
  t.like(a.snapshot().links.c0?.at(-1), { kind: 'macvlan', name: 'eth0', peerIfindex: 2, peerNs: '' });
  check(t);
  a.removeNetns('c1');
  t.false(reaches(c0!, '10.0.0.11'));
  t.true(reaches(c0!, '10.0.0.2'));
  check(t);
});

test('macvlan private and vepa: the wire alone, unless a switch there sends back', (t) => {
  for (const mode of ['private', 'vepa'] as const) {
    const lab = pair();
    const [c0] = macvlans(lab, mode);
    t.true(lab.reaches(c0!, '10.0.0.2'), mode);
    t.false(lab.reaches(c0!, '10.0.0.11'), mode);
  }
});

test('macvlan passthru: one child has the device and its address to itself', (t) => {
  const lab = pair();
  const { a, b, reaches } = lab;
  const [c0] = macvlans(lab, 'passthru', 1);
  t.is(c0?.device('eth0')?.mac, a.root.device('eth0')?.mac);
  t.true(reaches(c0!, '10.0.0.2'));
  t.true(reaches(b.root, '10.0.0.10'));
  t.throws(() => macvlans(lab, 'bridge', 1), { message: /File exists/ });
  t.throws(
    () =>
      a.root.links.addUpper({
        name: 'mv9',
        parent: a.root.links.require('eth0'),
        upper: { kind: 'macvlan', mode: 'bridge' },
      }),
    { message: 'RTNETLINK answers: Invalid argument' },
  );
});

function ipvlans(
  { a }: ReturnType<typeof pair>,
  mode: IpvlanMode,
  flag: IpvlanFlag,
  subnet: string,
): Netns[] {
  return [0, 1].map((i) => {
    const ns = a.addNetns(`c${i}`);
    a.root.links.addUpper({
      name: `ipvl${i}`,
      parent: a.root.links.require('eth0'),
      upper: { kind: 'ipvlan', mode, flag },
    });
    a.root.links.move(`ipvl${i}`, ns, 'eth0');
    ns.setUp('eth0');
    ns.addAddress('eth0', `${subnet}.1${i}/24`);
    return ns;
  });
}

test('ipvlan l2: one MAC address for all, told apart by their addresses', (t) => {
  const lab = pair();
  const { net, a, b, reaches, check } = lab;
  const [c0, c1] = ipvlans(lab, 'l2', 'bridge', '10.0.0');
  t.is(c0?.device('eth0')?.mac, a.root.device('eth0')?.mac);
  t.true(reaches(c0!, '10.0.0.2'));
  t.true(reaches(b.root, '10.0.0.11'));
  t.true(reaches(c0!, '10.0.0.11'));
  t.true(reaches(c1!, '10.0.0.10'));
  t.false(reaches(a.root, '10.0.0.10'));
  t.false(reaches(c0!, '10.0.0.1'));
  t.true(reaches(b.root, '10.0.0.1'));
  const sources = new Set(net.frames.map(({ frame }) => frame.subarray(6, 12).toString()));
  t.is(sources.size, 2);
  check(t);
});

test('ipvlan l3: routed by the namespace below, no ARP, no broadcasts', (t) => {
  const lab = pair();
  const { net, a, b, reaches, check } = lab;
  const [c0, c1] = ipvlans(lab, 'l3', 'bridge', '10.9.0');
  const link = (via: string, dev: string) => ({
    dst: '0.0.0.0/0',
    type: 'unicast' as const,
    protocol: 'boot' as const,
    scope: 'link' as const,
    metric: 0,
    src: '',
    nexthops: [{ via, dev, onlink: false, weight: 1 }],
  });
  c0!.routes.set(link('', 'eth0'));
  b.root.routes.set({ ...link('10.0.0.1', 'eth0'), dst: '10.9.0.0/24', scope: 'global' });
  t.true(reaches(c0!, '10.0.0.2'));
  t.true(reaches(b.root, '10.9.0.10'));
  t.true(reaches(c0!, '10.9.0.11'));
  t.false(
    net.frames.some(({ frame }) => isGroupMac(frame[0]! * 2 ** 40) && frame[31] === 10 && frame[29] === 9),
  );
  t.deepEqual(c1!.neighbors(), []);
  t.true(run('ip link show eth0', c0!).text.includes('<BROADCAST,MULTICAST,NOARP,UP,LOWER_UP>'));
  t.true(a.root.device('eth0')?.rxHandler?.kind === 'ipvlan');
  check(t);
});

test('ipvlan private: the children of one device do not reach each other', (t) => {
  const lab = pair();
  const [c0] = ipvlans(lab, 'l3', 'private', '10.9.0');
  t.false(lab.reaches(c0!, '10.9.0.11'));
});

test('a device that stands on another hears no group of IPv4 that it is not in (`mc_filter`)', (t) => {
  const lab = pair();
  const { net, a, b } = lab;
  macvlans(lab, 'bridge', 1);
  const answers = (to: number) => {
    const before = net.frames.length;
    const ping = packet4({ src: '10.0.0.2', dst: '10.0.0.10', to, upper: icmpEcho('request') });
    b.root.links.require('eth0').transmit(ping);
    net.advance(10);
    return net.frames.length - before - 1;
  };
  t.true(answers(BROADCAST_MAC) > 0);
  t.is(answers(0x0100_5e01_0203), 0);
  t.true(answers(0x0100_5e00_0001) > 0);
  t.is(a.drops.get('ip-multicast'), undefined);
});

test('a device has either macvlan or ipvlan children, or a bridge', (t) => {
  const lab = pair();
  const { a } = lab;
  macvlans(lab, 'bridge', 1);
  const parent = a.root.links.require('eth0');
  t.throws(
    () =>
      a.root.links.addUpper({ name: 'i0', parent, upper: { kind: 'ipvlan', mode: 'l2', flag: 'bridge' } }),
    { message: 'RTNETLINK answers: Device or resource busy' },
  );
  a.root.addBridge({ name: 'br0', mac: 2, mtu: 1500 });
  t.throws(() => a.root.setMaster('eth0', 'br0'), { message: 'RTNETLINK answers: Device or resource busy' });
});

test('a moved device leaves behind what it had, and keeps its peer', (t) => {
  const { net, a, reaches, check } = pair();
  const { root } = a;
  const pod = a.addNetns('pod');
  root.addVeth({
    name: 'v0',
    mac: mac('02:00:00:00:01:00'),
    mtu: 1500,
    peer: { ns: root, name: 'v1', mac: mac('02:00:00:00:01:01') },
  });
  root.setUp('v0');
  root.setUp('v1');
  root.addAddress('v1', '10.8.0.9/24');
  root.addAddress('v0', '10.8.0.1/24');
  root.sysctls.set('ipv4.conf.*.rp_filter', 2, 'v1');
  const { ifindex } = root.links.require('v1');
  root.links.move('v1', pod, 'eth0');
  t.is(root.device('v1'), undefined);
  const moved = pod.links.require('eth0');
  t.is(moved.ifindex, ifindex);
  t.deepEqual([moved.up, moved.addresses.length, moved.conf.rp_filter], [false, 0, 0]);
  t.false(root.device('v0')?.carrier);
  pod.setUp('eth0');
  pod.addAddress('eth0', '10.8.0.2/24');
  t.true(reaches(root, '10.8.0.2'));
  t.is(run('ip -br link show v0', root).text.split(/\s+/)[0], `v0@if${ifindex}`);
  check(t);
  t.throws(() => pod.links.move('lo', root), { message: 'Error: The interface netns is immutable.' });
  root.addDummy({ name: 'eth9', mac: 3, mtu: 1500 });
  pod.addDummy({ name: 'eth9', mac: 3, mtu: 1500 });
  t.throws(() => root.links.move('eth9', pod), { message: 'RTNETLINK answers: File exists' });
  net.advance(1);
  check(t);
});

test('a physical port comes back when the namespace goes that it was moved to', (t) => {
  const { a, reaches, check } = pair();
  const pod = a.addNetns('pod');
  a.root.links.move('eth0', pod);
  pod.setUp('eth0');
  pod.addAddress('eth0', '10.0.0.5/24');
  t.true(reaches(pod, '10.0.0.2'));
  a.removeNetns('pod');
  t.is(a.root.device('eth0')?.ns, a.root);
  check(t);
});

test('a renamed device keeps its addresses and its bridge', (t) => {
  const { a, check } = pair();
  const { root } = a;
  root.addBridge({ name: 'br0', mac: 2, mtu: 1500 });
  root.addDummy({ name: 'd0', mac: 3, mtu: 1500 });
  root.addAddress('d0', '10.1.0.1/24');
  root.setMaster('d0', 'br0');
  root.links.rename('d0', 'd1');
  t.is(root.device('d0'), undefined);
  t.like(root.device('d1')?.facts(), { master: 'br0', name: 'd1' });
  t.is(root.device('d1')?.addresses.length, 1);
  root.setUp('d1');
  t.throws(() => root.links.rename('d1', 'd2'), { message: 'RTNETLINK answers: Device or resource busy' });
  check(t);
});

test('a bridge has the lowest address and the smallest MTU of its ports until others are chosen', (t) => {
  const { a, check } = pair();
  const { root } = a;
  const bridge = root.addBridge({ name: 'br0', mac: mac('f2:00:00:00:00:01'), mtu: 1500 });
  bridge.macSet = false;
  bridge.mtuSet = false;
  const port = (name: string, address: string, mtu: number) => {
    root.addDummy({ name, mac: mac(address), mtu });
    root.setMaster(name, 'br0');
    return [bridge.mac, bridge.mtu];
  };
  t.deepEqual(port('d0', '52:54:00:00:00:02', 1500), [mac('52:54:00:00:00:02'), 1500]);
  t.deepEqual(port('d1', '02:00:00:00:00:12', 1400), [mac('02:00:00:00:00:12'), 1400]);
  root.setMtu('d0', 1300);
  t.is(bridge.mtu, 1300);
  root.setMac('d1', mac('f2:00:00:00:00:12'));
  t.is(bridge.mac, mac('52:54:00:00:00:02'));
  root.setMac('br0', mac('02:00:00:00:00:99'));
  root.setMaster('d0', null);
  t.deepEqual([bridge.mac, bridge.mtu], [mac('02:00:00:00:00:99'), 1400]);
  t.true(bridge instanceof BridgeDevice);
  check(t);
});

test('a port of a bridge hears what is for the stations behind it', (t) => {
  const { a, b, reaches } = pair();
  const { root } = a;
  const pod = a.addNetns('pod');
  root.addBridge({ name: 'br0', mac: mac('02:00:00:00:02:00'), mtu: 1500 });
  root.setUp('br0');
  root.addVeth({
    name: 'v0',
    mac: mac('02:00:00:00:02:01'),
    mtu: 1500,
    peer: { ns: pod, name: 'eth0', mac: mac('02:00:00:00:02:02') },
  });
  for (const name of ['v0', 'eth0']) root.setMaster(name, 'br0');
  root.setUp('v0');
  pod.setUp('eth0');
  pod.addAddress('eth0', '10.0.0.7/24');
  t.true(reaches(pod, '10.0.0.2'));
  t.true(reaches(b.root, '10.0.0.7'));
});
