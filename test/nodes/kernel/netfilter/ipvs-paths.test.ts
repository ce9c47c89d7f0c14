import test from 'ava';
import fc from 'fast-check';
import type { PacketStep } from '../../../../nodes/events/packet.ts';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { setU16 } from '../../../../protocols/bytes.ts';
import { internetChecksum } from '../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ipHeaderLength, ipTtl } from '../../../../protocols/ipv4.ts';
import { writeMac } from '../../../../protocols/mac.ts';
import { Network } from '../../../support/network.ts';
import { counts, kubeIpvs0, run, sh } from './ipvs-lab.ts';
import { addDefault, foldOf, ip, routed, udpClient, udpEcho } from './lab.ts';

const VIP = '10.96.0.10';

/** A node with pods 10.244.1.2 and 10.244.1.3 on cni0, as kube-proxy's IPVS mode has it, and a host beside it. */
function node() {
  const net = new Network();
  const host = net.host('n1');
  const outside = net.host('o');
  net.attach(host, 'lan', 'eth0', '172.18.0.2/24');
  net.attach(outside, 'lan', 'eth0', '172.18.0.9/24');
  addDefault(outside.kernel.root, '172.18.0.2');
  const { root } = host.kernel;
  root.addBridge({ name: 'cni0', mac: 0x0a58_0af4_0101, mtu: 1500 });
  root.setUp('cni0');
  root.addAddress('cni0', '10.244.1.1/24');
  root.ipForward = true;
  const pods = [2, 3].map((number) => {
    const ns = host.kernel.addNetns(`pod${number}`);
    const peer = { ns, name: 'eth0', mac: 0x0a58_0af4_0100 + number };
    root.addVeth({ name: `veth${number}`, mac: 0x0200_0000_0000 + number, mtu: 1500, peer });
    root.setUp(`veth${number}`);
    root.setMaster(`veth${number}`, 'cni0');
    sh(root, `bridge link set dev veth${number} hairpin on`);
    ns.setUp('eth0');
    ns.addAddress('eth0', `10.244.1.${number}/24`);
    addDefault(ns, '10.244.1.1');
    return ns;
  });
  kubeIpvs0(root, VIP);
  sh(
    root,
    'sysctl -w net.ipv4.vs.conntrack=1',
    'sysctl -w net.ipv4.vs.conn_reuse_mode=0',
    'sysctl -w net.ipv4.vs.expire_nodest_conn=1',
    'sysctl -w net.ipv4.vs.expire_quiescent_template=1',
    'ipset create KUBE-LOOP-BACK hash:ip,port,ip',
    'ipset add KUBE-LOOP-BACK 10.244.1.2,udp:5353,10.244.1.2',
    'ipset create KUBE-CLUSTER-IP hash:ip,port',
    `ipset add KUBE-CLUSTER-IP ${VIP},udp:53`,
    'iptables -t nat -N KUBE-MARK-MASQ',
    'iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
    'iptables -t nat -N KUBE-SERVICES',
    'iptables -t nat -A KUBE-SERVICES ! -s 10.244.0.0/16 -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ',
    'iptables -t nat -A PREROUTING -j KUBE-SERVICES',
    'iptables -t nat -A OUTPUT -j KUBE-SERVICES',
    'iptables -t nat -A POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE',
    'iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE',
    `ipvsadm -A -u ${VIP}:53 -s rr`,
    `ipvsadm -a -u ${VIP}:53 -r 10.244.1.2:5353 -m`,
  );
  return { net, host, root, outside: outside.kernel.root, a: pods[0]!, b: pods[1]! };
}

function asks(net: Network, from: Netns): string {
  const client = udpClient(from, 40_000);
  client.send(VIP, 53, 'x');
  net.advance(50);
  t0(client.replies.length === 1, 'one answer');
  return `${client.replies[0]!.src === ip(VIP) ? 'VIP' : 'another'}:${client.replies[0]!.srcPort}`;
}

function t0(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not so: ${what}`);
}

test("kube-proxy's IPVS mode: from a pod, the node, outside, and a pod to itself", (t) => {
  const { net, host, root, outside, a, b } = node();
  const server = udpEcho(a, 5353);
  for (const [from, source] of [
    // To the pod beside it, whose answer comes by the bridge: br_netfilter has its source put back.
    [b, '10.244.1.3'],
    [root, '10.244.1.1'],
    [outside, '10.244.1.1'],
    // Its own packet has to come from another than itself.
    [a, '10.244.1.1'],
  ] as const) {
    t.is(asks(net, from), 'VIP:53');
    t.is(server.seen.at(-1)!.src, ip(source));
  }
  t.is(server.seen.length, 4);
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
  t.regex(
    sh(root, `ipvsadm -Ln --stats -u ${VIP}:53`),
    /UDP {2}10\.96\.0\.10:53 +4 +4 +4 +116 +116\n {2}-> 10\.244\.1\.2:5353 +4 +4 +4 +116 +116\n/,
  );
});

test('whoever follows a packet is told of the server, and of the address put back', (t) => {
  const { net, host, b, a } = node();
  udpEcho(a, 5353);
  asks(net, b);
  const before = host.rt.events.length;
  host.kernel.tracer.begin(b);
  udpClient(b, 40_001).send(VIP, 53, 'y');
  host.rt.cause = 0;
  net.advance(50);
  const steps = host.rt.events
    .slice(before)
    .flatMap((event) => (event.type === 'packet.step' ? [event.step as PacketStep] : []));
  const ways = steps.flatMap((step) =>
    step.at === 'route' && step.way.startsWith('IPVS') ? [step.way] : [],
  );
  t.deepEqual(ways, [
    'IPVS UDP 10.96.0.10:53 rr -> 10.244.1.2:5353',
    'IPVS UDP 10.244.1.2:5353 -> 10.96.0.10:53',
  ]);
});

test('a packet loses one hop to the director, and dies there where it has none left', (t) => {
  const { net, a, b, r } = routed();
  kubeIpvs0(r.kernel.root, VIP);
  sh(r.kernel.root, `ipvsadm -A -u ${VIP}:53 -s rr`, `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2:53 -m`);
  udpEcho(b.kernel.root, 53);
  const client = udpClient(a.kernel.root);
  client.send(VIP, 53, 'x');
  net.advance(10);
  const sent = net.frames.filter(({ segment, frame }) => segment === 'right' && frame[23] === 17);
  t.is(ipTtl(sent[0]!.frame, ETH_HLEN), 63);
  sh(a.kernel.root, 'sysctl -w net.ipv4.ip_default_ttl=1');
  client.send(VIP, 53, 'y');
  net.advance(10);
  t.deepEqual(
    client.errors.map(({ type }) => type),
    ['time-exceeded'],
  );
});

test('an error about an answer goes to the server that gave it', (t) => {
  const { net, a, r, b } = routed();
  const { root } = r.kernel;
  kubeIpvs0(root, VIP);
  sh(root, `ipvsadm -A -u ${VIP}:53 -s rr`, `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2:5353 -m`);
  const errors: { type: string; dst: number; dstPort: number }[] = [];
  const asked: number[] = [];
  const server = b.kernel.root.bindUdp({ addr: 0, port: 5353 }, ({ srcPort }) => asked.push(srcPort));
  server.onError = ({ type, dst, dstPort }) => errors.push({ type, dst, dstPort });
  const client = udpClient(a.kernel.root, 40_000);
  client.send(VIP, 53, 'x');
  net.advance(10);
  t.deepEqual(asked, [40_000]);
  client.socket.close();
  server.sendTo(ip('10.0.1.2'), 40_000, new Uint8Array(4));
  net.advance(10);
  t.deepEqual(errors, [{ type: 'dest-unreachable', dst: ip('10.0.1.2'), dstPort: 40_000 }]);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

/** By ip_vs_est.c: 10 connections in 2 s are 5 a second, of which a quarter counts at first: 1280 of 1024 parts, then 960. */
test('rates are a moving average', (t) => {
  const { net, a, r, b } = routed();
  const { root } = r.kernel;
  kubeIpvs0(root, VIP);
  sh(root, `ipvsadm -A -u ${VIP}:53 -s rr`, `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2:53 -m`);
  udpEcho(b.kernel.root, 53);
  for (let n = 0; n < 10; n++) udpClient(a.kernel.root, 40_000 + n).send(VIP, 53, 'x'.repeat(72));
  const rates = () => sh(root, 'ipvsadm -Ln --rate').split('\n').at(-2);
  net.advance(1_000);
  t.is(rates(), '  -> 10.0.2.2:53                         0        0        0        0        0');
  net.advance(1_000);
  t.is(rates(), '  -> 10.0.2.2:53                         1        1        1      125      125');
  net.advance(2_000);
  t.is(rates(), '  -> 10.0.2.2:53                         1        1        1       94       94');
  net.advance(60_000);
  t.is(rates(), '  -> 10.0.2.2:53                         0        0        0        0        0');
});

test('thresholds: a server that has enough gets no more until it has fewer', (t) => {
  const { net, a, r, b, c } = routed();
  const { root } = r.kernel;
  kubeIpvs0(root, VIP);
  sh(
    root,
    `ipvsadm -A -u ${VIP}:53 -s rr`,
    `ipvsadm -a -u ${VIP}:53 -r 10.0.2.3:53 -m`,
    `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2:53 -m -x 2 -y 1`,
    'ipvsadm --set 0 0 100',
  );
  for (const host of [b, c]) udpEcho(host.kernel.root, 53);
  for (let n = 0; n < 8; n++) {
    udpClient(a.kernel.root, 41_000 + n).send(VIP, 53, 'x');
    net.advance(10);
  }
  t.deepEqual(counts(root), { '10.0.2.2:53': '0 2', '10.0.2.3:53': '0 6' });
  net.advance(101_000);
  for (let n = 0; n < 2; n++) {
    udpClient(a.kernel.root, 42_000 + n).send(VIP, 53, 'x');
    net.advance(10);
  }
  t.deepEqual(counts(root), { '10.0.2.2:53': '0 1', '10.0.2.3:53': '0 1' });
});

test('one-packet scheduling: every packet goes to another, and none is remembered', (t) => {
  const { net, a, r, b, c } = routed();
  const { root } = r.kernel;
  kubeIpvs0(root, VIP);
  sh(
    root,
    `ipvsadm -A -u ${VIP}:53 -s rr -o`,
    `ipvsadm -a -u ${VIP}:53 -r 10.0.2.3:53 -m`,
    `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2:53 -m`,
  );
  const seen = [b, c].map((host) => udpEcho(host.kernel.root, 53).seen);
  const client = udpClient(a.kernel.root);
  for (let n = 0; n < 4; n++) {
    client.send(VIP, 53, 'x');
    net.advance(10);
  }
  t.deepEqual(
    seen.map(({ length }) => length),
    [2, 2],
  );
  t.is(sh(root, 'ipvsadm -Lnc').split('\n').length, 3);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('a connection goes on where its server comes back before it is forgotten', (t) => {
  const { net, a, r, b } = routed();
  const { root } = r.kernel;
  kubeIpvs0(root, VIP);
  const add = `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2:53 -m`;
  sh(root, `ipvsadm -A -u ${VIP}:53 -s rr`, add);
  const { seen } = udpEcho(b.kernel.root, 53);
  const client = udpClient(a.kernel.root);
  client.send(VIP, 53, 'x');
  net.advance(10);
  sh(root, `ipvsadm -D -u ${VIP}:53`, `ipvsadm -A -u ${VIP}:53 -s rr`, add);
  t.deepEqual(counts(root), { '10.0.2.2:53': '0 1' });
  client.send(VIP, 53, 'y');
  net.advance(10);
  t.is(seen.length, 2);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('nothing is registered, and no packet looked at, before there is a service', (t) => {
  const { net, a, r, b } = routed();
  udpEcho(b.kernel.root, 53);
  udpClient(a.kernel.root).send('10.0.2.2', 53, 'x');
  net.advance(10);
  t.false(r.kernel.root.netfilter.active);
  t.is(run(r.kernel.root, 'ipvsadm -Ln').stdout.split('\n').length, 4);
});

test('whatever the bytes, and whatever comes between, nothing throws and the log tells of what is there', (t) => {
  // What really passed between a client, the director and a server.
  const lab = routed();
  kubeIpvs0(lab.r.kernel.root, VIP);
  for (const service of [`-u ${VIP}:53`, `-t ${VIP}:53`])
    sh(lab.r.kernel.root, `ipvsadm -A ${service} -s rr -p 60`, `ipvsadm -a ${service} -r 10.0.2.2:53 -m`);
  udpClient(lab.a.kernel.root, 40_000).send(VIP, 53, 'nobody there');
  lab.net.advance(10);
  udpEcho(lab.b.kernel.root, 53);
  lab.b.kernel.root.listenTcp({ addr: 0, port: 53 }, (socket) => socket.close());
  udpClient(lab.a.kernel.root, 40_001).send(VIP, 53, 'x');
  lab.a.kernel.root.connectTcp({ src: 0, dst: ip(VIP), port: 53, srcPort: 40_002 }).send(new Uint8Array(9));
  lab.net.advance(100);
  const samples = lab.net.frames.filter(({ frame }) => frame[12] === 8 && frame[13] === 0);
  t.true(samples.length > 12);
  const change = fc.record({ at: fc.nat({ max: 90 }), to: fc.nat({ max: 255 }) });
  const step = fc.record({
    sample: fc.nat({ max: samples.length - 1 }),
    changes: fc.array(change, { maxLength: 3 }),
    keep: fc.option(fc.nat({ max: 90 }), { freq: 4 }),
    sums: fc.boolean(),
    wait: fc.nat({ max: 100_000 }),
    command: fc.option(
      fc.constantFrom(
        `-d -u ${VIP}:53 -r 10.0.2.2:53`,
        `-a -u ${VIP}:53 -r 10.0.2.2:53 -m`,
        `-e -t ${VIP}:53 -r 10.0.2.2:53 -m -w 0`,
        `-e -t ${VIP}:53 -r 10.0.2.2:53 -g -w 1`,
        `-E -u ${VIP}:53 -s wrr`,
        `-D -t ${VIP}:53`,
        `-A -t ${VIP}:53 -s sh -p 5 -M 255.0.0.0`,
        `-a -t ${VIP}:53 -r 10.0.2.1:53 -m -x 1`,
        '-C',
      ),
      { freq: 3 },
    ),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.boolean(), (steps, conntrack) => {
      const { net, r } = routed();
      const { root } = r.kernel;
      kubeIpvs0(root, VIP);
      for (const service of [`-u ${VIP}:53`, `-t ${VIP}:53`])
        sh(root, `ipvsadm -A ${service} -s rr -p 60`, `ipvsadm -a ${service} -r 10.0.2.2:53 -m`);
      if (conntrack)
        sh(root, 'sysctl -w net.ipv4.vs.conntrack=1', 'iptables -t nat -A POSTROUTING -j MASQUERADE');
      for (const { sample, changes, keep, sums, wait, command } of steps) {
        const { segment, frame } = samples[sample]!;
        const bytes = frame.slice(0, keep === null ? frame.length : Math.max(keep, ETH_HLEN));
        for (const { at, to } of changes) if (ETH_HLEN + at < bytes.length) bytes[ETH_HLEN + at] = to;
        const port = segment === 'left' ? 0 : 1;
        writeMac(bytes, 0, root.device(`eth${port}`)!.mac);
        if (sums) mendHeaderSum(bytes);
        r.kernel.receive(port, bytes);
        if (command !== null) run(root, `ipvsadm ${command}`);
        net.advance(wait);
        t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
      }
      net.advance(2_000_000);
      t.deepEqual(root.ipvs.connectionList(), []);
      for (const value of Object.values(counts(root))) t.is(value, '0 0');
    }),
    { numRuns: 60 },
  );
});

function mendHeaderSum(frame: Uint8Array): void {
  if (frame.length < ETH_HLEN + 20) return;
  const length = Math.min(Math.max(ipHeaderLength(frame, ETH_HLEN), 20), frame.length - ETH_HLEN);
  setU16(frame, ETH_HLEN + 10, 0);
  setU16(frame, ETH_HLEN + 10, internetChecksum(frame, ETH_HLEN, length));
}
