import test from 'ava';
import type { EchoReply, IcmpErrorReport } from '../../../nodes/kernel/icmp.ts';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { BROADCAST_MAC } from '../../../protocols/mac.ts';
import { mac, Network } from '../../support/network.ts';
import type { FakeRuntime } from '../../support/runtime.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** Sends echoes and collects what comes back. */
function pinger(ns: Netns) {
  const replies: EchoReply[] = [];
  const errors: IcmpErrorReport[] = [];
  const socket = ns.openIcmp({
    onReply: (reply) => replies.push(reply),
    onError: (error) => errors.push(error),
  });
  let seq = 0;
  return {
    replies,
    errors,
    send: (dst: string, options: { size?: number; ttl?: number; df?: boolean } = {}) =>
      socket.sendEcho(ip(dst), { id: 7, seq: ++seq, size: 56, ...options }),
  };
}

function foldOf(rt: FakeRuntime) {
  const fold = new KernelFold();
  for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  return fold.view();
}

function routed() {
  const net = new Network();
  const [a, r, b] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(a, 'left', 'eth0', '10.0.1.2/24');
  net.attach(r, 'left', 'eth0', '10.0.1.1/24');
  net.attach(r, 'right', 'eth1', '10.0.2.1/24');
  net.attach(b, 'right', 'eth0', '10.0.2.2/24');
  const gateway = (via: string) => ({
    dst: '0.0.0.0/0',
    type: 'unicast' as const,
    protocol: 'static' as const,
    scope: 'global' as const,
    metric: 0,
    src: '',
    nexthops: [{ via, dev: '', onlink: false, weight: 1 }],
  });
  a.kernel.root.routes.set(gateway('10.0.1.1'));
  b.kernel.root.routes.set(gateway('10.0.2.1'));
  r.kernel.root.ipForward = true;
  return { net, a, r, b };
}

test('two hosts on a segment resolve each other and ping', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '192.168.0.1/24');
  net.attach(b, 'lan', 'eth0', '192.168.0.2/24');
  const ping = pinger(a.kernel.root);
  t.is(ping.send('192.168.0.2'), null);
  net.advance(10);
  t.like(ping.replies, [{ from: ip('192.168.0.2'), seq: 1, ttl: 64 }]);
  t.is(a.kernel.root.neighbors()[0]?.state, 'REACHABLE');
  // Who was asked knows the asker, and waits a while for proof that its answer arrived before it asks.
  t.is(b.kernel.root.neighbors()[0]?.state, 'DELAY');
  for (const host of net.hosts) t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('a router forwards and takes one off the TTL', (t) => {
  const { net, a } = routed();
  const ping = pinger(a.kernel.root);
  ping.send('10.0.2.2');
  net.advance(10);
  t.like(ping.replies, [{ from: ip('10.0.2.2'), ttl: 63 }]);
});

test('a packet that came as a link-layer broadcast is neither forwarded nor complained about', (t) => {
  const { net, a, b, r } = routed();
  a.kernel.root.setNeighbor('eth0', ip('10.0.1.1'), BROADCAST_MAC);
  const ping = pinger(a.kernel.root);
  for (const dst of ['10.0.2.2', '10.9.9.9']) ping.send(dst);
  const udp = a.kernel.root.bindUdp({ addr: 0, port: 0 }, () => {});
  udp.sendTo(ip('10.0.1.1'), 9, new Uint8Array(4));
  net.advance(10);
  t.is(r.kernel.drops.get('ip-link-broadcast'), 2);
  t.is(r.kernel.drops.get('udp-no-socket'), 1);
  t.deepEqual([ping.replies, ping.errors], [[], []]);
  t.is(b.kernel.root.neighbors().length, 0);
});

test('a packet at its last hop dies in the router, which says so', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  ping.send('10.0.2.2', { ttl: 1 });
  net.advance(10);
  t.is(ping.replies.length, 0);
  t.like(ping.errors, [{ type: 'time-exceeded', code: 0, from: ip('10.0.1.1'), dst: ip('10.0.2.2') }]);
  t.is(r.kernel.drops.get('ttl-exceeded'), 1);
});

test('what cannot be reached is unreachable at the last hop of its TTL too', (t) => {
  const { net, a, r } = routed();
  r.kernel.root.routes.set({
    dst: '10.7.0.0/16',
    type: 'unreachable',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [],
  });
  const ping = pinger(a.kernel.root);
  ping.send('10.9.9.9', { ttl: 1 });
  ping.send('10.7.0.1', { ttl: 1 });
  net.advance(10);
  t.deepEqual(
    ping.errors.map(({ type, code }) => [type, code]),
    [
      ['dest-unreachable', 0],
      ['dest-unreachable', 1],
    ],
  );
  t.is(r.kernel.drops.get('ttl-exceeded'), undefined);
});

test('a packet that is too big at the last hop of its TTL has exceeded its TTL', (t) => {
  const { net, a, r } = routed();
  r.kernel.root.setMtu('eth1', 1000);
  const ping = pinger(a.kernel.root);
  ping.send('10.0.2.2', { ttl: 1, size: 1400, df: true });
  net.advance(10);
  t.like(ping.errors, [{ type: 'time-exceeded', code: 0 }]);
});

test('a host that does not forward drops what is not its own', (t) => {
  const { net, a, r } = routed();
  r.kernel.root.ipForward = false;
  const ping = pinger(a.kernel.root);
  ping.send('10.0.2.2');
  net.advance(10);
  t.is(ping.replies.length + ping.errors.length, 0);
  t.is(r.kernel.drops.get('ip-not-for-us'), 1);
});

test('no route: the router answers net unreachable, the host itself ENETUNREACH', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  ping.send('10.9.9.9');
  net.advance(10);
  t.like(ping.errors, [{ type: 'dest-unreachable', code: 0 }]);
  t.is(pinger(r.kernel.root).send('10.9.9.9'), 'ENETUNREACH');
});

test('a blackhole route swallows, an unreachable route answers', (t) => {
  const { net, a, r } = routed();
  const route = (dst: string, type: 'blackhole' | 'unreachable') => ({
    dst,
    type,
    protocol: 'static' as const,
    scope: 'global' as const,
    metric: 0,
    src: '',
    nexthops: [],
  });
  r.kernel.root.routes.set(route('10.8.0.0/16', 'blackhole'));
  r.kernel.root.routes.set(route('10.7.0.0/16', 'unreachable'));
  const ping = pinger(a.kernel.root);
  ping.send('10.8.0.1');
  ping.send('10.7.0.1');
  net.advance(10);
  t.like(ping.errors, [{ type: 'dest-unreachable', code: 1, dst: ip('10.7.0.1') }]);
  t.is(ping.errors.length, 1);
});

test('a neighbour that does not answer fails after three requests, and the sender hears of it', (t) => {
  const { net, a } = routed();
  const ping = pinger(a.kernel.root);
  ping.send('10.0.2.77');
  net.advance(2_500);
  t.is(ping.errors.length, 0);
  net.advance(1_000);
  t.like(ping.errors, [{ type: 'dest-unreachable', code: 1, from: ip('10.0.1.1') }]);
  const requests = net.frames.filter(({ segment, frame }) => segment === 'right' && frame[13] === 0x06);
  t.is(requests.length, 3);
});

test('a packet over the MTU is fragmented and put together again; with DF its sender learns the MTU', (t) => {
  const { net, a, r } = routed();
  r.kernel.root.setMtu('eth1', 1000);
  const ping = pinger(a.kernel.root);
  ping.send('10.0.2.2', { size: 1400 });
  net.advance(10);
  t.is(ping.replies[0]?.payload.length, 1400);
  ping.send('10.0.2.2', { size: 1400, df: true });
  net.advance(10);
  t.like(ping.errors, [{ type: 'dest-unreachable', code: 4, mtu: 1000 }]);
});

test('a pod in Calico’s manner reaches a pod on another node by proxy ARP and routes', (t) => {
  const net = new Network();
  const nodes = [net.host('n1'), net.host('n2')];
  const pods = nodes.map((node, i) => {
    net.attach(node, 'lan', 'eth0', `192.168.0.${i + 1}/24`);
    const { root } = node.kernel;
    root.ipForward = true;
    const pod = node.kernel.addNetns('pod');
    root.addVeth({
      name: 'cali1',
      mac: mac('ee:ee:ee:ee:ee:ee'),
      mtu: 1500,
      peer: { ns: pod, name: 'eth0', mac: 2 ** 41 + i },
    });
    root.setUp('cali1');
    pod.setUp('eth0');
    root.setProxyArp('cali1', 'on');
    root.sysctls.set('ipv4.neigh.*.proxy_delay', 0, 'cali1');
    pod.addAddress('eth0', `10.244.${i}.5/32`);
    const base = { type: 'unicast' as const, protocol: 'boot' as const, metric: 0, src: '' };
    const hop = (via: string, dev: string) => [{ via, dev, onlink: false, weight: 1 }];
    pod.routes.set({ ...base, dst: '169.254.1.1/32', scope: 'link', nexthops: hop('', 'eth0') });
    pod.routes.set({ ...base, dst: '0.0.0.0/0', scope: 'global', nexthops: hop('169.254.1.1', 'eth0') });
    // Proxy ARP answers for 169.254.1.1 because the default route leads elsewhere, as on a real node.
    root.routes.set({ ...base, dst: '0.0.0.0/0', scope: 'link', nexthops: hop('', 'eth0') });
    root.routes.set({ ...base, dst: `10.244.${i}.5/32`, scope: 'link', nexthops: hop('', 'cali1') });
    root.routes.set({
      ...base,
      dst: `10.244.${1 - i}.0/26`,
      scope: 'global',
      nexthops: hop(`192.168.0.${2 - i}`, 'eth0'),
    });
    return pod;
  });
  const ping = pinger(pods[0]!);
  ping.send('10.244.1.5');
  net.advance(10);
  t.like(ping.replies, [{ from: ip('10.244.1.5'), ttl: 62 }]);
  t.like(pods[0]?.neighbors(), [{ ip: '169.254.1.1', mac: 'ee:ee:ee:ee:ee:ee' }]);
  for (const host of net.hosts) t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('VXLAN in flannel’s manner carries pods’ packets in UDP 8472', (t) => {
  const net = new Network();
  const nodes = [net.host('n1'), net.host('n2')];
  const vtep = (i: number) => 0x0a0000000000 + i;
  nodes.forEach((node, i) => {
    net.attach(node, 'lan', 'eth0', `192.168.0.1${i}/24`);
    const { root } = node.kernel;
    root.ipForward = true;
    root.addVxlan({
      name: 'flannel.1',
      mac: vtep(i),
      mtu: 1450,
      vni: 1,
      local: ip(`192.168.0.1${i}`),
      dstPort: 8472,
      learning: 'off',
    });
    root.setUp('flannel.1');
    root.addAddress('flannel.1', `10.244.${i}.0/32`);
    const far = 1 - i;
    root.setNeighbor('flannel.1', ip(`10.244.${far}.0`), vtep(far));
    root.addVxlanFdb('flannel.1', vtep(far), ip(`192.168.0.1${far}`), 'permanent');
    root.routes.set({
      dst: `10.244.${far}.0/24`,
      type: 'unicast',
      protocol: 'flannel',
      scope: 'global',
      metric: 0,
      src: '',
      nexthops: [{ via: `10.244.${far}.0`, dev: 'flannel.1', onlink: true, weight: 1 }],
    });
  });
  const ping = pinger(nodes[0]!.kernel.root);
  ping.send('10.244.1.0');
  net.advance(10);
  t.like(ping.replies, [{ from: ip('10.244.1.0') }]);
  const outer = net.frames.filter(({ frame }) => frame[12] === 8 && frame[13] === 0 && frame[23] === 17);
  t.is(outer.length, 2);
  t.is((outer[0]!.frame[36]! << 8) | outer[0]!.frame[37]!, 8472);
  t.is(formatIp4(ip('10.244.1.0')), '10.244.1.0');
  for (const host of net.hosts) t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('TCP connects, carries bytes through loss, and closes', (t) => {
  const { net, a, b } = routed();
  let count = 0;
  net.passes = () => ++count % 7 !== 0;
  const received: number[] = [];
  let closed = '';
  b.kernel.root.listenTcp({ addr: 0, port: 179 }, (socket) => {
    socket.onData = (bytes) => received.push(...bytes);
    socket.onPeerClosed = () => socket.close();
  });
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.2.2'), port: 179 });
  const sent = Uint8Array.from({ length: 20_000 }, (_, i) => i * 7);
  socket.onConnected = () => {
    socket.send(sent);
    socket.close();
  };
  socket.onClosed = (reason) => {
    closed = reason;
  };
  net.advance(300_000);
  t.deepEqual(Uint8Array.from(received), sent);
  t.is(closed, 'closed');
});

for (const [minTtl, connects] of [
  [255, false],
  [254, true],
] as const) {
  test(`segments from one router away ${connects ? 'pass' : 'are dropped with'} a least TTL of ${minTtl}`, (t) => {
    const { net, a, b } = routed();
    let accepted = 0;
    b.kernel.root.listenTcp(
      { addr: 0, port: 179 },
      () => {
        accepted++;
      },
      () => ({ ttl: 255, minTtl }),
    );
    const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.2.2'), port: 179, ttl: 255, minTtl });
    net.advance(500);
    t.is(accepted, connects ? 1 : 0);
    t.is(socket.state, connects ? 'ESTABLISHED' : 'SYN-SENT');
    t.is((b.kernel.drops.get('tcp-min-ttl') ?? 0) > 0, !connects);
  });
}

test('a connection to a port that nobody listens on is refused', (t) => {
  const { net, a } = routed();
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.2.2'), port: 180 });
  let closed = '';
  socket.onClosed = (reason) => {
    closed = reason;
  };
  net.advance(100);
  t.is(closed, 'refused');
});
