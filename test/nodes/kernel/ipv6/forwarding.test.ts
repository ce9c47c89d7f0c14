import test from 'ava';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { Network } from '../../../support/network.ts';
import { EmulatedPorts } from '../../../support/router.ts';
import { run } from '../../tools/support/run.ts';
import { packet6, udp6 } from '../linux/frames6.ts';
import { CLAIMED, foldOf, ip6, neighbors, pinger, route, routed, shown, text } from './lab.ts';

test('two hosts on a segment resolve each other and ping', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a', 'on'), net.host('b', 'on')];
  net.attach(a, 'lan', 'eth0', '2001:db8::1/64');
  net.attach(b, 'lan', 'eth0', '2001:db8::2/64');
  const ping = pinger(a.kernel.root);
  t.is(ping.send('2001:db8::2'), 'ENETUNREACH', 'no address may be used yet');
  net.advance(CLAIMED);
  t.is(ping.send('2001:db8::2'), null);
  net.advance(10);
  t.is(ping.replies.length, 1);
  t.like(ping.replies[0], { from: ip6('2001:db8::2'), ttl: 64 });
  t.deepEqual(neighbors(a.kernel.root), ['2001:db8::2 eth0 REACHABLE']);
  // Who was asked knows the asker, and waits a while for proof that its answer arrived before it asks.
  t.deepEqual(neighbors(b.kernel.root), ['2001:db8::1 eth0 DELAY']);
  for (const host of net.hosts) t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('an address of the link is reached by the device that is named', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  const peer = shown(r.kernel.root, 'eth0')
    .find((line) => line.startsWith('fe80'))!
    .split('/')[0]!;
  t.is(ping.send(peer, { device: a.kernel.root.device('eth0') }), null);
  net.advance(10);
  t.deepEqual(
    ping.replies.map(({ from }) => text(from)),
    [peer],
  );
});

test('a multicast echo is answered by everybody on the link', (t) => {
  const { net, a } = routed();
  const ping = pinger(a.kernel.root);
  t.is(ping.send('ff02::1', { device: a.kernel.root.device('eth0') }), null);
  net.advance(10);
  t.deepEqual(
    ping.replies.map(({ from }) => text(from).slice(0, 6)),
    ['fe80::'],
  );
});

test('a router forwards and takes one off the hop limit', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.like(ping.replies[0], { from: ip6('2001:db8:2::2'), ttl: 63 });
  t.is(r.kernel.forwarded, 2);
});

test('a host that does not forward drops what is not for it', (t) => {
  const { net, a, r } = routed();
  r.kernel.root.sysctls.set('ipv6.conf.*.forwarding', 0, 'all');
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.deepEqual([ping.replies, ping.errors], [[], []]);
  t.is(r.kernel.drops.get('ip6-not-for-us'), 1);
});

test('a packet at its last hop dies in the router, which says so', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2', { ttl: 1 });
  net.advance(10);
  t.is(ping.replies.length, 0);
  t.like(ping.errors[0], { type: 'time-exceeded', code: 0, from: ip6('2001:db8:1::1'), seq: 1, id: 7 });
  t.is(r.kernel.drops.get('ttl-exceeded'), 1);
});

test('no route, unreachable, blackhole, and a neighbour that is not there', (t) => {
  const { net, a, r } = routed();
  const { routes } = r.kernel.root.ipv6;
  const base = { ...route('2001:db8:7::/48', ''), nexthops: [] };
  routes.set({ ...base, type: 'unreachable' });
  routes.set({ ...base, dst: '2001:db8:8::/48', type: 'blackhole' });
  const ping = pinger(a.kernel.root);
  for (const dst of ['2001:db8:9::1', '2001:db8:7::1', '2001:db8:8::1', '2001:db8:2::99']) ping.send(dst);
  net.advance(10_000);
  t.deepEqual(
    ping.errors.map(({ type, code, seq }) => [type, code, seq]),
    [
      ['dest-unreachable', 0, 1],
      ['dest-unreachable', 0, 2],
      ['dest-unreachable', 3, 4],
    ],
  );
  t.is(r.kernel.drops.get('blackhole'), 1);
  t.is(r.kernel.drops.get('neighbor-failed'), 1);
});

test('errors to one host are limited: six at once, then one a second', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  for (let i = 0; i < 20; i++) ping.send('2001:db8:9::1');
  net.advance(10);
  t.is(ping.errors.length, 6);
  t.is(r.kernel.drops.get('icmp6-ratelimit'), 14);
  net.advance(2_000);
  for (let i = 0; i < 3; i++) ping.send('2001:db8:9::1');
  net.advance(10);
  t.is(ping.errors.length, 8);
});

test('what came as a link-layer broadcast is not forwarded', (t) => {
  const { net, a, r, b } = routed();
  a.kernel.root.device('eth0')!.inet6.neighbors.setPermanent(ip6('2001:db8:1::1'), BROADCAST_MAC);
  pinger(a.kernel.root).send('2001:db8:2::2');
  net.advance(10);
  t.is(r.kernel.drops.get('ip6-link-multicast'), 1);
  t.deepEqual(neighbors(b.kernel.root), []);
});

test('too big for the next link: the source is told, learns the path, and fragments itself', (t) => {
  const { net, a, r } = routed();
  const root = r.kernel.root;
  root.setMtu('eth1', 1280);
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2', { size: 1400 });
  net.advance(10);
  t.is(ping.replies.length, 0);
  t.like(ping.errors[0], { type: 'packet-too-big', mtu: 1280, from: ip6('2001:db8:1::1') });
  t.deepEqual(
    a.kernel.root.ipv6.pathMtus.list().map(({ dst, mtu }) => `${dst} ${mtu}`),
    ['2001:db8:2::2 1280'],
  );
  // Unlike a router, the source may fragment; and without leave to it, it says so at once.
  t.is(ping.send('2001:db8:2::2', { size: 1400, df: true }), 'EMSGSIZE');
  ping.send('2001:db8:2::2', { size: 1400 });
  net.advance(10);
  t.is(ping.replies.length, 1);
  t.is(ping.replies[0]!.payload.length, 1400);
  t.true(ping.replies[0]!.payload.every((byte, i) => byte === (i & 0xff)));
  t.is(r.kernel.drops.get('packet-too-big'), 1);
  for (const host of net.hosts) t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('a datagram of which a piece is missing is given up after a minute, and its sender told', (t) => {
  const { net, a, b } = routed();
  let fragments = 0;
  net.passes = (frame) => frame[12] !== 0x86 || frame[20] !== 44 || ++fragments % 2 === 1;
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2', { size: 2000 });
  net.advance(59_000);
  t.deepEqual(ping.errors, []);
  net.advance(2_000);
  t.like(ping.errors[0], { type: 'time-exceeded', code: 1, from: ip6('2001:db8:2::2'), seq: 1 });
  t.is(b.kernel.drops.get('icmp6-malformed'), undefined);
});

test('UDP: a datagram, its answer, and a port that nobody has', (t) => {
  const { net, a, b } = routed();
  const [client, server] = [a.kernel.root.ipv6.udp, b.kernel.root.ipv6.udp];
  const heard: string[] = [];
  const echo = server.bind({ addr: ip6('::'), port: 53 }, ({ src, srcPort, payload, ttl, dst }) => {
    heard.push(`${text(src)} ${text(dst)} ${ttl} ${payload}`);
    echo.sendTo(src, srcPort, payload);
  });
  const socket = client.bind({ addr: ip6('::'), port: 0 }, ({ payload }) => heard.push(`back ${payload}`));
  socket.onError = ({ type, code, dstPort }) => heard.push(`${type} ${code} ${dstPort}`);
  t.is(socket.sendTo(ip6('2001:db8:2::2'), 53, Uint8Array.of(1, 2)), null);
  t.is(socket.sendTo(ip6('2001:db8:2::2'), 54, Uint8Array.of(3)), null);
  net.advance(10);
  t.deepEqual(heard.sort(), ['2001:db8:1::2 2001:db8:2::2 63 1,2', 'back 1,2', 'dest-unreachable 4 54']);
});

test('TCP: a connection, data both ways, a smaller path in its way, and a reset', (t) => {
  const { net, a, b, r } = routed();
  r.kernel.root.setMtu('eth1', 1280);
  const got = { server: 0, client: 0 };
  b.kernel.root.ipv6.tcp.listen({ addr: ip6('::'), port: 80 }, (socket) => {
    socket.onData = (bytes) => {
      got.server += bytes.length;
      socket.send(bytes);
    };
  });
  const socket = a.kernel.root.ipv6.tcp.connect({ src: ip6('::'), dst: ip6('2001:db8:2::2'), port: 80 });
  t.is(text(socket.local.addr), '2001:db8:1::2');
  socket.onData = (bytes) => {
    got.client += bytes.length;
  };
  socket.onConnected = () => socket.send(new Uint8Array(20_000));
  net.advance(5_000);
  t.deepEqual(got, { server: 20_000, client: 20_000 });
  let closed = '';
  const refused = a.kernel.root.ipv6.tcp.connect({ src: ip6('::'), dst: ip6('2001:db8:2::2'), port: 81 });
  refused.onClosed = (reason) => {
    closed = reason;
  };
  net.advance(100);
  t.is(closed, 'refused');
});

test('IPv6 travels inside a VXLAN over IPv4, within its smaller MTU', (t) => {
  const net = new Network();
  const hosts = [net.host('a', 'on'), net.host('b', 'on')].map((host, i) => {
    net.attach(host, 'under', 'eth0', `192.168.0.${i + 1}/24`);
    const { root } = host.kernel;
    const vxlan = { vni: 7, local: 0xc0a80001 + i, dstPort: 4789, learning: 'on' as const };
    root.addVxlan({ name: 'vx', mac: 0x0200000000a0 + i, mtu: 1450, ...vxlan });
    root.addVxlanFdb('vx', 0, 0xc0a80002 - i, 'permanent');
    root.setUp('vx');
    root.addAddress('vx', `2001:db8:7::${i + 1}/64`);
    return host;
  });
  net.advance(CLAIMED);
  const ping = pinger(hosts[0]!.kernel.root);
  ping.send('2001:db8:7::2', { size: 1402, df: true });
  t.is(ping.send('2001:db8:7::2', { size: 1403, df: true }), 'EMSGSIZE');
  ping.send('2001:db8:7::2', { size: 4000 });
  net.advance(50);
  t.deepEqual(
    ping.replies.map(({ payload }) => payload.length),
    [1402, 4000],
  );
  // 50 bytes around each: no packet of the underlay is longer than its MTU.
  t.is(Math.max(...net.frames.map(({ frame }) => frame.length)), 14 + 1500);
});

test('flows are spread over the next hops of a route, and each keeps to one, whichever way it is found', (t) => {
  const router = new EmulatedPorts([{ name: 'v0' }, { name: 'w0' }, { name: 'w1' }]);
  const commands = [
    'sysctl -w net.ipv6.conf.all.forwarding=1',
    ...['v0', 'w0', 'w1'].map((dev) => `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`),
    'ip -6 addr add 2001:db8::1/64 dev v0 nodad',
    ...[0, 1].flatMap((i) => [
      `ip -6 addr add 2001:db8:${i + 1}::1/64 dev w${i} nodad`,
      `ip -6 neigh add 2001:db8:${i + 1}::2 lladdr 02:00:00:00:00:02 dev w${i} nud permanent`,
    ]),
    'ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8:1::2 nexthop via 2001:db8:2::2',
  ];
  for (const line of commands) t.is(run(line, router.root).code, 0, line);
  const waysOf = (srcPort: number) =>
    [1, 2].map(() => {
      const upper = udp6(srcPort, 53, 20);
      return router
        .send(0, packet6({ src: '2001:db8::2', dst: '2001:db8:9::5', upper }))
        .map(({ port }) => port);
    });
  const flows = Array.from({ length: 64 }, (_, i) => waysOf(1_000 + i));
  t.true(flows.every(([once, again]) => once!.length === 1 && once![0] === again![0]));
  t.deepEqual([...new Set(flows.flat(2))].sort(), [1, 2]);
  // A rule that decides nothing, and netfilter, have packets looked up in other ways.
  for (const line of [
    'ip -6 rule add from 2001:db8:77::/48 lookup 100',
    'ip6tables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
  ]) {
    t.is(run(line, router.root).code, 0, line);
    t.deepEqual(
      flows.map((_, i) => waysOf(1_000 + i)),
      flows,
      line,
    );
  }
});
