import test from 'ava';
import type { IcmpErrorReport } from '../../../nodes/kernel/icmp.ts';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, etherType } from '../../../protocols/ethernet.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { readMac } from '../../../protocols/mac.ts';
import { Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';
import { run } from '../tools/support/run.ts';
import { CLAIMED, foldOf } from './ipv6/lab.ts';

/** Longer than a neighbour is asked for in vain. */
const GIVEN_UP = 4000;

function does(ns: Netns, ...lines: readonly string[]): void {
  for (const line of lines) {
    const { code, text } = run(line, ns);
    if (code !== 0) throw new Error(`${line}: ${text}`);
  }
}

/**
 * a (10.1.0.2) – r1 – m – r2 – b (10.2.0.2). Between the routers there are link-local addresses alone, and m has no address of
 * IPv4 at all.
 */
function unnumbered() {
  const net = new Network();
  const [a, r1, m, r2, b] = [
    net.host('a'),
    net.host('r1', 'on'),
    net.host('m', 'on'),
    net.host('r2', 'on'),
    net.host('b'),
  ];
  net.attach(a, 'left', 'eth0', '10.1.0.2/24');
  net.attach(r1, 'left', 'eth0', '10.1.0.1/24');
  net.attach(r1, 'one', 'eth1', 'fe80::1/64');
  net.attach(m, 'one', 'eth0', 'fe80::2/64');
  net.attach(m, 'two', 'eth1', 'fe80::3/64');
  net.attach(r2, 'two', 'eth0', 'fe80::4/64');
  net.attach(r2, 'right', 'eth1', '10.2.0.1/24');
  net.attach(b, 'right', 'eth0', '10.2.0.2/24');
  does(a.kernel.root, 'ip route add default via 10.1.0.1');
  does(b.kernel.root, 'ip route add default via 10.2.0.1');
  does(r1.kernel.root, 'ip route add 10.2.0.0/24 via inet6 fe80::2 dev eth1');
  does(
    m.kernel.root,
    'ip route add 10.1.0.0/24 via inet6 fe80::1 dev eth0',
    'ip route add 10.2.0.0/24 via inet6 fe80::4 dev eth1',
  );
  does(r2.kernel.root, 'ip route add 10.1.0.0/24 via inet6 fe80::3 dev eth0');
  for (const router of [r1, m, r2]) router.kernel.root.ipForward = true;
  net.advance(CLAIMED);
  return { net, a, r1, m, r2, b };
}

function pinger(ns: Netns) {
  const replies: string[] = [];
  const errors: IcmpErrorReport[] = [];
  const socket = ns.openIcmp({
    onReply: ({ from, ttl }) => replies.push(`${formatIp4(from)} ttl ${ttl}`),
    onError: (error) => errors.push(error),
  });
  let seq = 0;
  const send = (dst: string, ttl = 64) =>
    socket.sendEcho(parseIp4(dst) ?? 0, { id: 7, seq: ++seq, size: 56, ttl });
  return { replies, errors, send };
}

test('IPv4 crosses links that have addresses of IPv6 alone', (t) => {
  const { net, a, r1, m, r2, b } = unnumbered();
  const ping = pinger(a.kernel.root);
  net.frames.length = 0;
  t.is(ping.send('10.2.0.2'), null);
  net.advance(10);
  t.deepEqual(ping.replies, ['10.2.0.2 ttl 61']);
  const between = net.frames.filter(({ segment }) => segment === 'one' || segment === 'two');
  t.false(between.some(({ frame }) => etherType(frame) === ETHERTYPE_ARP));
  const next = m.kernel.root.device('eth0')?.mac;
  const sent = between.filter(({ frame }) => etherType(frame) === ETHERTYPE_IPV4);
  t.is(sent.length, 4);
  t.is(readMac(sent[0]!.frame, 0), next ?? 0);
  const known = r1.kernel.root.neighbors6().map(({ dev, ip, state }) => `${ip} ${dev} ${state}`);
  t.deepEqual(known, ['fe80::2 eth1 REACHABLE']);
  for (const { rt, kernel } of [a, r1, m, r2, b]) t.deepEqual(foldOf(rt), kernel.snapshot());
});

test('a packet whose IPv6 neighbour does not answer comes back as host unreachable', (t) => {
  const { net, a, r1, m } = unnumbered();
  m.kernel.root.setDown('eth0');
  const ping = pinger(a.kernel.root);
  ping.send('10.2.0.2');
  net.advance(GIVEN_UP);
  t.deepEqual(
    ping.errors.map(({ from, type, code }) => `${formatIp4(from)} ${type} ${code}`),
    ['10.1.0.1 dest-unreachable 1'],
  );
  t.is(r1.kernel.drops.get('neighbor-failed'), 1);
  t.deepEqual(foldOf(r1.rt), r1.kernel.snapshot());
});

test('a router without any address of IPv4 sends its errors from 192.0.0.8', (t) => {
  const { net, a } = unnumbered();
  const ping = pinger(a.kernel.root);
  ping.send('10.2.0.2', 2);
  net.advance(10);
  t.deepEqual(
    ping.errors.map(({ from, type, code }) => `${formatIp4(from)} ${type} ${code}`),
    ['192.0.0.8 time-exceeded 0'],
  );
});

test('the host itself sends from the address that it has elsewhere', (t) => {
  const { net, r1, r2 } = unnumbered();
  does(r1.kernel.root, 'ip addr add 10.0.0.1/32 dev lo');
  does(r2.kernel.root, 'ip route add 10.0.0.1/32 via inet6 fe80::3 dev eth0');
  const ping = pinger(r1.kernel.root);
  net.frames.length = 0;
  t.is(ping.send('10.2.0.1'), null);
  net.advance(10);
  t.regex(run('ip route get 10.2.0.1', r1.kernel.root).text, /via inet6 fe80::2 dev eth1 src 10\.0\.0\.1 /);
  // m has no way back to it.
  t.is(ping.replies.length, 0);
});

test('TCP confirms the IPv6 neighbour of its route', (t) => {
  const { net, r1, r2 } = unnumbered();
  const ns = r1.kernel.root;
  does(ns, 'ip addr add 10.1.0.1/32 dev lo');
  r2.kernel.root.listenTcp({ addr: 0, port: 80 }, () => {});
  const socket = ns.connectTcp({ src: 0, dst: parseIp4('10.2.0.1') ?? 0, port: 80 });
  net.advance(10);
  t.is(socket.state, 'ESTABLISHED');
  net.advance(200_000);
  const state = () => ns.neighbors6().find(({ ip }) => ip === 'fe80::2')?.state;
  t.is(state(), 'STALE');
  net.frames.length = 0;
  socket.send(new Uint8Array(1));
  net.advance(500);
  t.is(state(), 'DELAY');
  const asked = net.frames.filter(
    ({ segment, frame }) => segment === 'one' && etherType(frame) !== ETHERTYPE_IPV4,
  );
  t.is(asked.length, 0);
  net.advance(timings.neighbor.delayFirstProbe);
  t.is(state(), 'REACHABLE');
});

test('flows are spread over next hops of both families', (t) => {
  const net = new Network();
  const r = net.host('r', 'on');
  const [x, y] = [net.host('x', 'on'), net.host('y')];
  net.attach(r, 'one', 'eth0', 'fe80::1/64');
  net.attach(r, 'two', 'eth1', '10.9.0.1/24');
  net.attach(x, 'one', 'eth0', 'fe80::2/64');
  net.attach(y, 'two', 'eth0', '10.9.0.2/24');
  const { root } = r.kernel;
  does(root, 'ip route add 10.0.0.0/8 nexthop via inet6 fe80::2 dev eth0 nexthop via 10.9.0.2 dev eth1');
  net.advance(CLAIMED);
  const ping = pinger(root);
  for (let i = 1; i < 60; i++) ping.send(`10.0.0.${i}`);
  net.advance(10);
  const counts = [x, y].map(({ kernel }) => kernel.drops.get('ip-not-for-us') ?? 0);
  t.is(counts[0]! + counts[1]!, 59);
  t.true(
    counts.every((count) => count > 10),
    `${counts}`,
  );
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('whoever follows a packet sees its IPv6 neighbour', (t) => {
  const { net, r1 } = unnumbered();
  const { root } = r1.kernel;
  r1.kernel.tracer.begin(root);
  pinger(root).send('10.2.0.2');
  r1.rt.cause = Math.abs(r1.rt.cause);
  net.advance(10);
  const steps = r1.rt.events.flatMap((event) => (event.type === 'packet.step' ? [event.step] : []));
  const way = steps.find((step) => step.at === 'route');
  t.deepEqual(way, { at: 'route', way: '10.2.0.2 via inet6 fe80::2 dev eth1 (10.2.0.0/24 proto boot)' });
  const mac = '52:54:00:00:02:00';
  t.deepEqual(
    steps.filter((step) => step.at === 'neighbor'),
    [
      { at: 'neighbor', dev: 'eth1', ip: 'fe80::2', mac: '', state: 'INCOMPLETE' },
      { at: 'neighbor', dev: 'eth1', ip: 'fe80::2', mac, state: 'REACHABLE' },
    ],
  );
});

test('a source behind an IPv6 neighbour passes the reverse path filter, and no other', (t) => {
  const { net, a, m } = unnumbered();
  const { root } = m.kernel;
  does(root, 'sysctl -w net.ipv4.conf.all.rp_filter=1');
  const ping = pinger(a.kernel.root);
  ping.send('10.2.0.2');
  net.advance(10);
  t.is(ping.replies.length, 1);
  does(root, 'ip route replace 10.1.0.0/24 via inet6 fe80::4 dev eth1');
  ping.send('10.2.0.2');
  net.advance(10);
  t.is(ping.replies.length, 1);
  t.is(m.kernel.drops.get('ip-rp-filter'), 1);
});
