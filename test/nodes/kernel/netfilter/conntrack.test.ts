import test from 'ava';
import fc from 'fast-check';
import { NF_PRE_ROUTING, NF_PRI } from '../../../../nodes/kernel/netfilter/hooks.ts';
import { setU16, u16, u32 } from '../../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ipDst, ipProto, ipSrc } from '../../../../protocols/ipv4.ts';
import { EmulatedRouter, frameOf } from '../../../support/router.ts';
import { flows, foldOf, ip, natTable, routed, to, udpClient, udpEcho } from './lab.ts';

test('a flow goes when its time is over: 30 s for a datagram without answer, 120 s for a stream', (t) => {
  const { net, a, r, b } = routed();
  r.kernel.root.conntrack.require();
  udpEcho(b.kernel.root, 53);
  const client = udpClient(a.kernel.root, 40_000);
  client.send('10.0.2.2', 9, 'x');
  net.advance(10);
  client.send('10.0.2.2', 53, 'x');
  net.advance(10);
  t.deepEqual(flows(r.kernel.root), [
    '17 10.0.1.2:40000>10.0.2.2:9 10.0.2.2:9>10.0.1.2:40000 unreplied',
    '17 10.0.1.2:40000>10.0.2.2:53 10.0.2.2:53>10.0.1.2:40000',
  ]);
  net.advance(3_000);
  client.send('10.0.2.2', 53, 'still here');
  net.advance(29_000);
  t.deepEqual(flows(r.kernel.root), ['17 10.0.1.2:40000>10.0.2.2:53 10.0.2.2:53>10.0.1.2:40000 assured']);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
  net.advance(90_000);
  t.is(r.kernel.root.conntrack.count, 1);
  net.advance(2_000);
  t.is(r.kernel.root.conntrack.count, 0);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('a flow is three events over its life, however many packets it has', (t) => {
  const { net, a, r, b } = routed();
  r.kernel.root.conntrack.require();
  udpEcho(b.kernel.root, 53);
  const client = udpClient(a.kernel.root, 40_000);
  for (let i = 0; i < 50; i++) {
    client.send('10.0.2.2', 53, 'x');
    net.advance(10);
  }
  net.advance(200_000);
  t.is(client.replies.length, 50);
  t.deepEqual(
    r.rt.events.map(({ type }) => type).filter((type) => type.startsWith('conntrack')),
    ['conntrack.new', 'conntrack.updated', 'conntrack.destroyed'],
  );
});

test('a TCP connection through the router: its states are in the log, and it is assured', (t) => {
  const { net, a, r, b } = routed();
  r.kernel.root.conntrack.require();
  const got: string[] = [];
  b.kernel.root.listenTcp({ addr: 0, port: 80 }, (socket) => {
    socket.onData = (bytes) => got.push(String.fromCharCode(...bytes));
    socket.onPeerClosed = () => socket.close();
  });
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.2.2'), port: 80 });
  socket.onConnected = () => {
    socket.send(Uint8Array.of(104, 105));
    socket.close();
  };
  net.advance(1_000);
  t.deepEqual(got, ['hi']);
  const states = r.rt.events.flatMap((event) =>
    event.type === 'conntrack.new' || event.type === 'conntrack.updated'
      ? [`${event.flow.state}${event.flow.assured ? ' assured' : ''}`]
      : [],
  );
  t.deepEqual(states.slice(0, 3), ['SYN_SENT', 'SYN_RECV', 'ESTABLISHED assured']);
  t.is(states.at(-1), 'TIME_WAIT assured');
  t.is(r.kernel.root.conntrack.stats.invalid, 0);
  net.advance(120_000);
  t.is(r.kernel.root.conntrack.count, 0);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('NOTRACK: no flow is made of what is not to be followed', (t) => {
  const { net, a, r, b } = routed();
  const { root } = r.kernel;
  root.conntrack.require();
  const states: string[] = [];
  root.netfilter.register(NF_PRE_ROUTING, NF_PRI.raw, (skb) => {
    root.conntrack.notrack(skb);
    return 'accept';
  });
  root.netfilter.register(NF_PRE_ROUTING, NF_PRI.mangle, (skb) => {
    states.push(skb.ctState);
    return 'accept';
  });
  udpEcho(b.kernel.root, 53);
  udpClient(a.kernel.root).send('10.0.2.2', 53, 'x');
  net.advance(10);
  t.deepEqual(states, ['untracked', 'untracked']);
  t.is(root.conntrack.count, 0);
});

test('what a host sends itself is one flow, with its mark, out and back in by lo', (t) => {
  const { net, a } = routed();
  const { root } = a.kernel;
  root.conntrack.require();
  const seen: [string, number, string][] = [];
  root.netfilter.register(NF_PRE_ROUTING, 0, (skb) => {
    seen.push([skb.in?.name ?? '', skb.mark, skb.ctState]);
    return 'accept';
  });
  root.netfilter.register(3, 0, (skb) => {
    skb.mark = 7;
    return 'accept';
  });
  udpEcho(root, 53);
  const client = udpClient(root, 40_000);
  client.send('127.0.0.1', 53, 'x');
  net.advance(10);
  t.is(client.replies.length, 1);
  t.deepEqual(seen, [
    ['lo', 7, 'new'],
    ['lo', 7, 'established'],
  ]);
  t.deepEqual(flows(root), ['17 127.0.0.1:40000>127.0.0.1:53 127.0.0.1:53>127.0.0.1:40000']);
});

test('a full table makes room at the cost of flows that are not assured, or drops', (t) => {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  root.conntrack.require();
  root.sysctls.set('netfilter.nf_conntrack_max', 3);
  const client = udpClient(a.kernel.root, 40_000);
  for (let port = 1; port <= 40; port++) client.send('10.0.2.2', port, 'x');
  net.advance(10);
  t.true(root.conntrack.count <= 3);
  const { earlyDrop, drop } = root.conntrack.stats;
  t.is(earlyDrop + drop + root.conntrack.count, 40);
  t.is(r.kernel.drops.get('conntrack-table-full') ?? 0, drop);
  t.is(root.sysctls.get('netfilter.nf_conntrack_count'), root.conntrack.count);
  t.throws(() => root.sysctls.write('netfilter.nf_conntrack_count', '5'));
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('a connmark is in the log', (t) => {
  const { net, a, r } = routed();
  r.kernel.root.conntrack.require();
  udpClient(a.kernel.root).send('10.0.2.2', 9, 'x');
  net.advance(10);
  r.kernel.root.conntrack.flows()[0]!.mark = 0x10;
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
  t.is(r.kernel.snapshot().conntrack['']?.[0]?.mark, 0x10);
});

/** A TCP, UDP or ICMP packet with right checksums. */
function packet(proto: number, src: number, dst: number, srcPort: number, dstPort: number): Uint8Array {
  const length = proto === 6 ? 24 : 13;
  const l4 = new Uint8Array(length).fill(0x5a);
  if (proto === 1) {
    l4[0] = dstPort === 0 ? 0 : 8;
    l4[1] = 0;
    setU16(l4, 4, srcPort);
    setU16(l4, 2, 0);
    setU16(l4, 2, internetChecksum(l4, 0, length));
  } else {
    setU16(l4, 0, srcPort);
    setU16(l4, 2, dstPort);
    if (proto === 6) {
      l4[12] = 0x50;
      l4[13] = 16;
    } else setU16(l4, 4, length);
    const field = proto === 6 ? 16 : 6;
    setU16(l4, field, 0);
    setU16(l4, field, internetChecksum(l4, 0, length, pseudoHeaderSum(src, dst, proto, length)));
  }
  return frameOf(src, dst, proto, l4);
}

interface Seen {
  readonly proto: number;
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
  readonly dstPort: number;
}

function read(frame: Uint8Array): Seen {
  const at = ETH_HLEN + 20;
  const proto = ipProto(frame, ETH_HLEN);
  const icmp = proto === 1;
  return {
    proto,
    src: ipSrc(frame, ETH_HLEN),
    dst: ipDst(frame, ETH_HLEN),
    srcPort: u16(frame, icmp ? at + 4 : at),
    dstPort: icmp ? frame[at]! : u16(frame, at + 2),
  };
}

function areSumsRight(frame: Uint8Array): boolean {
  const at = ETH_HLEN + 20;
  const { proto, src, dst } = read(frame);
  const length = frame.length - at;
  const seed = proto === 1 ? 0 : pseudoHeaderSum(src, dst, proto, length);
  return internetChecksum(frame, ETH_HLEN, 20) === 0 && internetChecksum(frame, at, length, seed) === 0;
}

test('masquerading many clients: no two flows look the same outside, answers find their way, all sums are right', (t) => {
  const flow = fc.record({
    proto: fc.constantFrom(1, 6, 17),
    host: fc.integer({ min: 2, max: 8 }),
    port: fc.constantFrom(1, 80, 511, 600, 1_023, 1_024, 40_000, 65_535),
    server: fc.integer({ min: 2, max: 3 }),
    dport: fc.constantFrom(53, 80),
    again: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(flow, { maxLength: 60 }), fc.boolean(), (drawn, random) => {
      const router = new EmulatedRouter();
      const target = random ? ('masquerade-random' as const) : ('masquerade' as const);
      natTable(
        router.root,
        [{ dst: '10.0.2.3', port: 80, target: to('10.0.2.2', 53) }],
        [
          { dst: '10.0.2.2', target },
          { dst: '10.0.2.3', target },
        ],
      );
      /** What stands outside for a flow, by what it is inside; and back. */
      const outside = new Map<string, string>();
      const inside = new Map<string, string>();
      for (const { proto, host, port, server, dport, again } of drawn) {
        const src = 0x0a000100 + host;
        const dst = 0x0a000200 + server;
        const frame = packet(proto, src, dst, port, dport);
        const before = JSON.stringify(read(frame));
        const out = router.send(0, frame)[0];
        // Only where all 511 or 424 ports of a kind were taken, which so few cannot.
        t.truthy(out);
        const seen = read(out!.frame);
        t.true(areSumsRight(out!.frame));
        t.is(seen.src, 0x0a000201);
        if (!random && proto !== 1 && port >= 1_024) t.true(seen.srcPort >= 1_024);
        if (!random && proto !== 1 && port < 512) t.true(seen.srcPort > 0 && seen.srcPort < 512);
        const after = JSON.stringify(seen);
        t.is(outside.get(before) ?? after, after);
        t.is(inside.get(after) ?? before, before);
        outside.set(before, after);
        inside.set(after, before);
        if (!again) continue;
        const back = packet(
          proto,
          seen.dst,
          seen.src,
          proto === 1 ? seen.srcPort : seen.dstPort,
          proto === 1 ? 0 : seen.srcPort,
        );
        const answer = router.send(1, back)[0];
        t.truthy(answer);
        t.true(areSumsRight(answer!.frame));
        const told = read(answer!.frame);
        t.deepEqual([told.src, told.dst], [dst, src]);
        t.deepEqual(proto === 1 ? told.srcPort : told.dstPort, port);
      }
      t.deepEqual(foldOf(router.rt), router.kernel.snapshot());
    }),
    { numRuns: 60 },
  );
});

test('whatever bytes come, nothing throws, and the log tells all', (t) => {
  const l4 = fc.uint8Array({ maxLength: 60 });
  const piece = fc.record({
    port: fc.constantFrom(0, 1),
    proto: fc.constantFrom(1, 1, 6, 17, 47, 132),
    src: fc.constantFrom(0x0a000102, 0x0a000202, 0x0a000203, 0x0a000201),
    dst: fc.constantFrom(0x0a000102, 0x0a000202, 0x0a000201, 0x0a600001),
    flags: fc.constantFrom(0, 0, 0, 0x2000, 0x2001, 0x0001, 0x4000),
    bytes: l4,
    quote: fc.boolean(),
    cut: fc.integer({ min: 0, max: 80 }),
  });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const router = new EmulatedRouter();
      natTable(router.root, [{ dst: '10.96.0.1', target: to('10.0.2.2', 80) }], [{ target: 'masquerade' }]);
      let last = new Uint8Array(28);
      for (const { port, proto, src, dst, flags, bytes, quote, cut } of pieces) {
        const body = quote ? Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0, ...last.subarray(ETH_HLEN)) : bytes;
        if (quote) setU16(body, 2, internetChecksum(body, 0, body.length));
        const frame = frameOf(src, dst, quote ? 1 : proto, body);
        setU16(frame, ETH_HLEN + 6, flags);
        setU16(frame, ETH_HLEN + 10, 0);
        setU16(frame, ETH_HLEN + 10, internetChecksum(frame, ETH_HLEN, 20));
        for (const out of router.send(port, frame)) {
          last = Uint8Array.from(out.frame.subarray(0, ETH_HLEN + 20 + cut));
          t.is(internetChecksum(out.frame, ETH_HLEN, 20), 0);
        }
      }
      router.world.advance(1_000_000);
      t.is(router.root.conntrack.count, 0);
      t.deepEqual(foldOf(router.rt), router.kernel.snapshot());
      t.true(u32(last, 0) >= 0);
    }),
    { numRuns: 200 },
  );
});

test('a namespace that goes takes its flows with it, and nothing is heard of them later', (t) => {
  const { net, a } = routed();
  const { root } = a.kernel;
  const pod = a.kernel.addNetns('pod');
  root.addVeth({
    name: 'veth0',
    mac: 0x0200_0000_0011,
    mtu: 1500,
    peer: { ns: pod, name: 'eth0', mac: 0x0200_0000_0012 },
  });
  root.setUp('veth0');
  root.addAddress('veth0', '10.244.0.1/24');
  pod.setUp('eth0');
  pod.addAddress('eth0', '10.244.0.2/24');
  pod.conntrack.require();
  udpClient(pod).send('10.244.0.1', 9, 'x');
  net.advance(10);
  t.is(pod.conntrack.count, 1);
  a.kernel.removeNetns('pod');
  net.advance(100_000);
  t.deepEqual(Object.keys(foldOf(a.rt).conntrack), ['']);
  t.deepEqual(foldOf(a.rt), a.kernel.snapshot());
});
