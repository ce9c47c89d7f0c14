import test from 'ava';
import type { IcmpErrorReport } from '../../../../nodes/kernel/icmp.ts';
import { NF_LOCAL_OUT, NF_POST_ROUTING } from '../../../../nodes/kernel/netfilter/hooks.ts';
import { flows, foldOf, ip, natTable, routed, to, udpClient, udpEcho } from './lab.ts';

test('without anything registered no packet is looked at, and there is no flow', (t) => {
  const { net, a, r, b } = routed();
  udpEcho(b.kernel.root, 53);
  const client = udpClient(a.kernel.root);
  client.send('10.0.2.2', 53, 'x');
  net.advance(10);
  t.is(client.replies.length, 1);
  t.false(r.kernel.root.netfilter.active);
  t.deepEqual(r.kernel.root.conntrack.flows(), []);
});

test('DNAT at PREROUTING: the client hears from the address it asked', (t) => {
  const { net, a, r, b } = routed();
  natTable(r.kernel.root, [{ dst: '10.96.0.10', port: 53, target: to('10.0.2.2', 5353) }]);
  const server = udpEcho(b.kernel.root, 5353);
  const client = udpClient(a.kernel.root, 40_000);
  client.send('10.96.0.10', 53, 'one');
  net.advance(10);
  t.deepEqual(server.seen, [{ src: ip('10.0.1.2'), srcPort: 40_000, dst: ip('10.0.2.2'), text: 'one' }]);
  t.deepEqual(client.replies, [{ src: ip('10.96.0.10'), srcPort: 53, text: 'one' }]);
  t.deepEqual(flows(r.kernel.root), ['17 10.0.1.2:40000>10.96.0.10:53 10.0.2.2:5353>10.0.1.2:40000']);
  for (const host of net.hosts) t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('MASQUERADE: the server sees the router, which knows two clients of one port apart', (t) => {
  const { net, a, r, b } = routed();
  natTable(r.kernel.root, [], [{ dst: '10.0.2.2', target: 'masquerade' }]);
  net.attach(net.host('d'), 'left', 'eth0', '10.0.1.3/24');
  const d = net.hosts.at(-1)!;
  d.kernel.root.routes.set({
    ...a.kernel.root.routes.list().find(({ dst }) => dst === '0.0.0.0/0')!,
  });
  const server = udpEcho(b.kernel.root, 53);
  const clients = [udpClient(a.kernel.root, 40_000), udpClient(d.kernel.root, 40_000)];
  clients[0]!.send('10.0.2.2', 53, 'a');
  net.advance(10);
  clients[1]!.send('10.0.2.2', 53, 'd');
  net.advance(10);
  t.deepEqual(
    server.seen.map(({ src }) => src),
    [ip('10.0.2.1'), ip('10.0.2.1')],
  );
  t.is(server.seen[0]!.srcPort, 40_000);
  t.not(server.seen[1]!.srcPort, 40_000);
  t.true(server.seen[1]!.srcPort >= 1024);
  t.deepEqual(
    clients.map(({ replies }) => replies.map(({ text }) => text)),
    [['a'], ['d']],
  );
});

test('what was masqueraded ends with the address or the device', (t) => {
  for (const end of ['address', 'device'] as const) {
    const { net, a, r, b } = routed();
    natTable(r.kernel.root, [], [{ dst: '10.0.2.2', target: 'masquerade' }]);
    udpEcho(b.kernel.root, 53);
    udpClient(a.kernel.root).send('10.0.2.2', 53, 'a');
    net.advance(10);
    t.is(r.kernel.root.conntrack.count, 1);
    if (end === 'address') r.kernel.root.removeAddress('eth1', '10.0.2.1/24');
    else r.kernel.root.setDown('eth1');
    t.is(r.kernel.root.conntrack.count, 0);
    t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
  }
});

test('hairpin: a client reaches its own segment by a service address, and its own answers pass the router', (t) => {
  const { net, r, b, c } = routed();
  natTable(
    r.kernel.root,
    [{ dst: '10.96.0.10', port: 53, target: to('10.0.2.2', 53) }],
    [{ dst: '10.0.2.2', target: 'masquerade' }],
  );
  const server = udpEcho(b.kernel.root, 53);
  const client = udpClient(c.kernel.root, 40_000);
  client.send('10.96.0.10', 53, 'x');
  net.advance(10);
  t.deepEqual(server.seen[0]?.src, ip('10.0.2.1'));
  t.deepEqual(client.replies, [{ src: ip('10.96.0.10'), srcPort: 53, text: 'x' }]);
});

test('DNAT at OUTPUT: a packet of the host itself is routed again, to another host and to itself by lo', (t) => {
  const { net, a, r } = routed();
  natTable(a.kernel.root, [
    { dst: '10.96.0.10', target: to('10.0.1.1', 53) },
    { dst: '10.96.0.11', target: to('10.0.1.2', 54) },
  ]);
  const far = udpEcho(r.kernel.root, 53);
  const near = udpEcho(a.kernel.root, 54);
  const client = udpClient(a.kernel.root, 40_000);
  client.send('10.96.0.10', 53, 'far');
  client.send('10.96.0.11', 53, 'near');
  net.advance(10);
  t.like(far.seen, [{ src: ip('10.0.1.2'), dst: ip('10.0.1.1') }]);
  t.like(near.seen, [{ src: ip('10.0.1.2'), dst: ip('10.0.1.2') }]);
  t.deepEqual(
    client.replies.map(({ src, text }) => [src, text]).sort((x, y) => Number(x[0]) - Number(y[0])),
    [
      [ip('10.96.0.10'), 'far'],
      [ip('10.96.0.11'), 'near'],
    ],
  );
});

test('127.0.0.1 leaves the host only where route_localnet says so', (t) => {
  for (const on of [0, 1]) {
    const { net, a, r } = routed();
    natTable(r.kernel.root, [{ dst: '10.96.0.10', target: to('127.0.0.1', 53) }]);
    r.kernel.root.sysctls.set('ipv4.conf.*.route_localnet', on, 'all');
    udpEcho(r.kernel.root, 53);
    const client = udpClient(a.kernel.root);
    client.send('10.96.0.10', 53, 'x');
    net.advance(10);
    t.is(client.replies.length, on);
  }
});

test('an ICMP error about a packet that was changed reaches its sender, in its own terms', (t) => {
  const { net, a, r, b } = routed();
  natTable(
    r.kernel.root,
    [{ dst: '10.96.0.10', target: to('10.0.2.2', 99) }],
    [{ dst: '10.0.2.2', target: 'masquerade' }],
  );
  const client = udpClient(a.kernel.root);
  client.send('10.96.0.10', 53, 'nobody there');
  net.advance(10);
  // Which comes from the address asked too: the answer would.
  t.deepEqual(client.errors, [
    { from: ip('10.96.0.10'), type: 'dest-unreachable', dst: ip('10.96.0.10'), dstPort: 53 },
  ]);
  t.is(b.kernel.drops.get('udp-no-socket'), 1);
  t.is(a.kernel.drops.get('icmp-malformed'), undefined);
});

test('an echo through SNAT: the id is kept where it is free, and another where it is not', (t) => {
  const { net, a, r, b } = routed();
  natTable(r.kernel.root, [], [{ dst: '10.0.2.2', target: to('10.0.2.1') }]);
  const got: number[] = [];
  const errors: IcmpErrorReport[] = [];
  const listen = (ns: typeof a.kernel.root) =>
    ns.openIcmp({ onReply: ({ id }) => got.push(id), onError: (error) => errors.push(error) });
  // The router's own flow has the id first.
  const own = listen(r.kernel.root);
  own.sendEcho(ip('10.0.2.2'), { id: 7, seq: 1, size: 8 });
  const socket = listen(a.kernel.root);
  socket.sendEcho(ip('10.0.2.2'), { id: 7, seq: 1, size: 8 });
  net.advance(10);
  t.deepEqual(got, [7, 7]);
  t.deepEqual(errors, []);
  const ids = r.kernel.root.conntrack.flows().map(({ reply }) => reply.srcPort);
  t.is(new Set(ids).size, 2);
  t.is(b.kernel.dropped, 0);
});

test('DNAT and SNAT of fragments: they are put together, changed, and split as they came', (t) => {
  const { net, a, r, b } = routed();
  natTable(
    r.kernel.root,
    [{ dst: '10.96.0.10', target: to('10.0.2.2', 53) }],
    [{ dst: '10.0.2.2', target: 'masquerade' }],
  );
  const server = udpEcho(b.kernel.root, 53);
  const client = udpClient(a.kernel.root);
  a.kernel.root.setMtu('eth0', 1000);
  const text = 'q'.repeat(3000);
  client.send('10.96.0.10', 53, text);
  net.advance(10);
  t.is(server.seen[0]?.text, text);
  t.is(client.replies[0]?.text, text);
  const sent = net.frames.filter(({ segment, frame }) => segment === 'right' && frame.length > 200);
  // Full fragments: three of 1000 bytes at most as the client sent them, two of 1500 back.
  t.deepEqual(
    sent.map(({ frame }) => frame.length <= 1014),
    [true, true, true, false, false],
  );
});

test('a packet that LOCAL_OUT or POSTROUTING drops is EPERM to its sender', (t) => {
  for (const hook of [NF_LOCAL_OUT, NF_POST_ROUTING] as const) {
    const { a } = routed();
    a.kernel.root.netfilter.register(hook, 0, () => 'drop');
    t.is(udpClient(a.kernel.root).send('10.0.1.1', 9, 'x'), 'EPERM');
  }
});

test('what a VXLAN device sends has the mark of what is inside', (t) => {
  const { net, a } = routed();
  const { root } = a.kernel;
  root.addVxlan({
    name: 'vx',
    mac: 2,
    mtu: 1450,
    vni: 1,
    local: ip('10.0.1.2'),
    dstPort: 8472,
    learning: 'off',
  });
  root.addVxlanFdb('vx', 0, ip('10.0.1.1'), 'permanent');
  root.setUp('vx');
  root.addAddress('vx', '10.9.0.1/24');
  root.setNeighbor('vx', ip('10.9.0.2'), 0x0200_0000_0009);
  const marks: number[] = [];
  root.netfilter.register(NF_LOCAL_OUT, 0, (skb) => {
    if (skb.out?.name === 'vx') skb.mark = 0x4000;
    return 'accept';
  });
  root.netfilter.register(NF_POST_ROUTING, 0, (skb) => {
    if (skb.out?.name === 'eth0') marks.push(skb.mark);
    return 'accept';
  });
  udpClient(root).send('10.9.0.2', 9, 'x');
  net.advance(10);
  t.deepEqual(marks, [0x4000]);
});
