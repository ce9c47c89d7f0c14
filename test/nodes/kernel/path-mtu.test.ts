import test from 'ava';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { ipDf, ipProto, ipSrc, ipTotalLength, PROTO_TCP } from '../../../protocols/ipv4.ts';
import type { Host } from '../../support/network.ts';
import { run } from '../tools/support/run.ts';
import { routed } from '../tools/support/topology.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const B = '10.0.2.2';
const TEN_MINUTES = 600_000;

/** The router's far link takes 1000 bytes. */
function narrow(mtu = 1000) {
  const lab = routed();
  lab.r.kernel.root.setMtu('eth1', mtu);
  const { root } = lab.a.kernel;
  let replies = 0;
  let errors = 0;
  const socket = root.openIcmp({ onReply: () => replies++, onError: () => errors++ });
  let seq = 0;
  return {
    ...lab,
    root,
    counts: () => ({ replies, errors }),
    send: (size: number, df = true, dst = B) => {
      const result = socket.sendEcho(ip(dst), { id: 1, seq: ++seq, size, df });
      lab.net.advance(100);
      return result;
    },
    known: () => lab.a.kernel.snapshot().pathMtus[''],
  };
}

function folds(host: Host) {
  const fold = new KernelFold();
  for (const event of host.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  return fold.view();
}

function routeGet(ns: Netns, dst: string, option = ''): string {
  return run(`ip ${option} route get ${dst}`, ns).text;
}

test('what a router says of its MTU holds for the destination, and for it alone', (t) => {
  const { a, root, send, known, counts } = narrow();
  t.is(send(1400), null);
  t.deepEqual(counts(), { replies: 0, errors: 1 });
  t.like(known(), [{ dst: B, mtu: 1000 }]);
  t.is(send(1400), 'EMSGSIZE');
  t.is(send(972), null);
  t.deepEqual(counts(), { replies: 1, errors: 1 });
  t.is(send(1400, true, '10.0.1.1'), null);
  t.is(root.pathMtus.of(ip('10.0.2.3'), root.lookup(ip('10.0.2.3'), 0)!), 1500);
  t.deepEqual(folds(a), a.kernel.snapshot());
});

test('without DF the sender makes the fragments that the path takes', (t) => {
  const { net, a, send, counts } = narrow();
  send(1400);
  net.frames.splice(0);
  send(1400, false);
  t.is(counts().replies, 1);
  const own = net.frames.filter(
    ({ segment, frame }) => segment === 'left' && ipSrc(frame, 14) === ip('10.0.1.2'),
  );
  t.true(own.length > 1);
  for (const { frame } of own) t.true(ipTotalLength(frame, 14) <= 1000);
  t.is(a.kernel.drops.get('frag-needed'), undefined);
});

test('it is forgotten after ten minutes, in the log too', (t) => {
  const { net, a, send, known } = narrow();
  send(1400);
  const { expires } = known()![0]!;
  t.true(expires > TEN_MINUTES && expires <= TEN_MINUTES + net.world.now);
  net.advance(expires - net.world.now - 1);
  t.is(known()?.length, 1);
  net.advance(1);
  t.deepEqual(known(), []);
  t.deepEqual(folds(a), a.kernel.snapshot());
  t.is(send(1400), null);
  t.is(known()?.length, 1);
});

test('a smaller MTU replaces a larger one, a larger one is not believed, nor one below 552', (t) => {
  const { root, known } = narrow();
  const mtus = [1400, 1200, 1300, 1500, 68].map((mtu) => {
    root.pathMtus.learn(ip(B), mtu);
    return known()?.[0]?.mtu;
  });
  t.deepEqual(mtus, [1400, 1200, 1200, 1200, 552]);
  root.pathMtus.learn(ip('10.0.9.9'), 1500);
  t.is(known()?.length, 1);
});

test('the same again moves the end once half of the time is over', (t) => {
  const { net, root, known } = narrow();
  root.pathMtus.learn(ip(B), 1000);
  const first = known()![0]!.expires;
  net.advance(TEN_MINUTES / 2 - 1);
  root.pathMtus.learn(ip(B), 1000);
  t.is(known()![0]!.expires, first);
  net.advance(1);
  root.pathMtus.learn(ip(B), 1000);
  t.is(known()![0]!.expires, first + TEN_MINUTES / 2);
  net.advance(TEN_MINUTES - 1);
  t.is(known()?.length, 1);
  net.advance(1);
  t.deepEqual(known(), []);
});

test('it holds for all next hops of a route, whatever flow was too big', (t) => {
  const { root, known } = narrow();
  const nexthops = ['10.0.1.1', '10.0.1.9'].map((via) => ({ via, dev: 'eth0', onlink: false, weight: 1 }));
  const base = { type: 'unicast' as const, protocol: 'static' as const, scope: 'global' as const };
  root.routes.set({ ...base, dst: '10.0.2.0/24', metric: 0, src: '', nexthops });
  root.pathMtus.learn(ip(B), 1000);
  const paths = Array.from({ length: 50 }, (_, hash) => root.lookup(ip(B), hash * 7919)!);
  t.is(new Set(paths.map((path) => path.nexthop)).size, 2);
  for (const path of paths) t.is(root.pathMtus.of(ip(B), path), 1000);
  t.is(known()?.length, 1);
});

test('it says nothing about another way, and goes with the device it was learned by', (t) => {
  const { root, known } = narrow();
  root.pathMtus.learn(ip(B), 1000);
  root.routes.set({
    dst: '10.0.2.0/24',
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via: '10.0.1.9', dev: 'eth0', onlink: false, weight: 1 }],
  });
  t.is(root.pathMtus.of(ip(B), root.lookup(ip(B), 0)!), 1500);
  root.routes.delete('10.0.2.0/24');
  t.is(root.pathMtus.of(ip(B), root.lookup(ip(B), 0)!), 1000);
  root.setDown('eth0');
  t.deepEqual(known(), []);
});

test('a new TCP connection makes segments for the path, and still takes large ones', (t) => {
  const { net, a, b, send } = narrow();
  send(1400);
  net.frames.splice(0);
  let received = 0;
  b.kernel.root.listenTcp({ addr: 0, port: 80 }, (socket) => {
    socket.onData = (bytes) => {
      received += bytes.length;
    };
  });
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip(B), port: 80 });
  socket.onConnected = () => socket.send(new Uint8Array(5000));
  net.advance(1000);
  t.is(received, 5000);
  const own = net.frames.filter(
    ({ segment, frame }) =>
      segment === 'left' && ipProto(frame, 14) === PROTO_TCP && ipSrc(frame, 14) === ip('10.0.1.2'),
  );
  t.is(Math.max(...own.map(({ frame }) => ipTotalLength(frame, 14))), 1000);
  t.true(own.every(({ frame }) => ipDf(frame, 14)));
  // The MSS option of the SYN: 1460, what the first hop takes.
  t.is((own[0]!.frame[56]! << 8) | own[0]!.frame[57]!, 1460);
});

test('ip route get shows what was learned, ip route flush cache forgets it', (t) => {
  const { net, root, send } = narrow();
  t.is(routeGet(root, B), `${B} via 10.0.1.1 dev eth0 src 10.0.1.2 uid 0 \n    cache \n`);
  send(1400);
  net.advance(16_500);
  t.is(
    routeGet(root, B),
    `${B} via 10.0.1.1 dev eth0 src 10.0.1.2 uid 0 \n    cache expires 583sec mtu 1000 \n`,
  );
  t.like(JSON.parse(routeGet(root, B, '-j')), [{ cache: [], expires: 583, metrics: [{ mtu: 1000 }] }]);
  t.is(run('ip route flush cache', root).code, 0);
  t.is(routeGet(root, B), `${B} via 10.0.1.1 dev eth0 src 10.0.1.2 uid 0 \n    cache \n`);
});

test('ping tells the second time what it learned the first', (t) => {
  const { net, root } = narrow();
  const first = run(`ping -n -c 1 -M do -s 1400 ${B}`, root);
  net.advance(20_000);
  t.regex(first.text, /From 10\.0\.1\.1 icmp_seq=1 Frag needed and DF set \(mtu = 1000\)/);
  const second = run(`ping -n -c 1 -M do -s 1400 ${B}`, root);
  net.advance(20_000);
  t.regex(second.text, /ping: local error: message too long, mtu=1000/);
});
