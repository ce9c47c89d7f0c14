import test from 'ava';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import type { TcpSocket } from '../../../../nodes/kernel/tcp.ts';
import { counts, kubeIpvs0, run, sh } from './ipvs-lab.ts';
import { addDefault, foldOf, ip, routed, udpClient, udpEcho } from './lab.ts';

const VIP = '10.96.0.10';

/** The router is the director of a service with b and c behind it. */
function director(options = '', proto: 'tcp' | 'udp' = 'udp', forward = '-m') {
  const lab = routed();
  const root = lab.r.kernel.root;
  kubeIpvs0(root, VIP);
  const service = `-${proto[0]} ${VIP}:53`;
  sh(
    root,
    `ipvsadm -A ${service} -s rr${options}`,
    `ipvsadm -a ${service} -r 10.0.2.3:5353 ${forward}`,
    `ipvsadm -a ${service} -r 10.0.2.2:5353 ${forward}`,
  );
  const folds = (t: { deepEqual(a: unknown, b: unknown): void }) => {
    for (const { rt, kernel } of lab.net.hosts) t.deepEqual(foldOf(rt), kernel.snapshot());
  };
  return { ...lab, root, service, folds };
}

function listen(ns: Netns, port = 5353) {
  const accepted: TcpSocket[] = [];
  ns.listenTcp({ addr: 0, port }, (socket) => accepted.push(socket));
  return accepted;
}

test('a service of UDP: clients hear from the address they asked, and go from server to server', (t) => {
  const { net, a, b, c, root, folds } = director();
  const [atB, atC] = [udpEcho(b.kernel.root, 5353), udpEcho(c.kernel.root, 5353)];
  const clients = [1, 2, 3].map((n) => udpClient(a.kernel.root, 40_000 + n));
  for (const [i, client] of clients.entries()) {
    client.send(VIP, 53, `q${i}`);
    net.advance(10);
  }
  t.deepEqual(
    clients.map(({ replies }) => replies),
    [0, 1, 2].map((i) => [{ src: ip(VIP), srcPort: 53, text: `q${i}` }]),
  );
  t.deepEqual([atB.seen.length, atC.seen.length], [2, 1]);
  t.is(atB.seen[0]!.src, ip('10.0.1.2'));
  t.deepEqual(counts(root), { '10.0.2.2:5353': '0 2', '10.0.2.3:5353': '0 1' });
  folds(t);
  net.advance(299_000);
  t.deepEqual(counts(root), { '10.0.2.2:5353': '0 2', '10.0.2.3:5353': '0 1' });
  net.advance(2_000);
  t.deepEqual(counts(root), { '10.0.2.2:5353': '0 0', '10.0.2.3:5353': '0 0' });
  folds(t);
});

test('a connection of TCP through its states', (t) => {
  const { net, a, b, root, folds } = director('', 'tcp');
  const accepted = listen(b.kernel.root);
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip(VIP), port: 53, srcPort: 40_000 });
  net.advance(10);
  t.is(accepted.length, 1);
  const states = () => sh(root, 'ipvsadm -Lnc').split('\n').slice(2, -1);
  t.deepEqual(states(), ['TCP 14:59  ESTABLISHED 10.0.1.2:40000     10.96.0.10:53      10.0.2.2:5353']);
  t.deepEqual(counts(root), { '10.0.2.2:5353': '1 0', '10.0.2.3:5353': '0 0' });
  folds(t);
  socket.close();
  net.advance(10);
  accepted[0]!.close();
  net.advance(10);
  t.deepEqual(states(), ['TCP 01:59  TIME_WAIT   10.0.1.2:40000     10.96.0.10:53      10.0.2.2:5353']);
  t.deepEqual(counts(root), { '10.0.2.2:5353': '0 1', '10.0.2.3:5353': '0 0' });
  folds(t);
  net.advance(121_000);
  t.deepEqual(states(), []);
  folds(t);
});

test('no server: its client is told that the port is unreachable', (t) => {
  const { net, a, root } = director();
  sh(root, `ipvsadm -d -u ${VIP}:53 -r 10.0.2.2:5353`, `ipvsadm -e -u ${VIP}:53 -r 10.0.2.3:5353 -m -w 0`);
  const client = udpClient(a.kernel.root);
  client.send(VIP, 53, 'x');
  net.advance(10);
  t.deepEqual(
    client.errors.map(({ from, type }) => [from, type]),
    [[ip(VIP), 'dest-unreachable']],
  );
});

test('an error about what went to a server names the virtual address, masqueraded or not, from the node itself too', (t) => {
  for (const masquerade of [false, true]) {
    const { net, a, root, folds } = director();
    if (masquerade)
      sh(
        root,
        'sysctl -w net.ipv4.vs.conntrack=1',
        'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
      );
    // Nobody listens at b and c: port unreachable comes from there, about 10.0.2.2:5353.
    for (const from of masquerade ? [a.kernel.root, root] : [a.kernel.root]) {
      const client = udpClient(from);
      client.send(VIP, 53, 'x');
      net.advance(10);
      t.deepEqual(
        client.errors.map(({ dst, dstPort }) => [dst, dstPort]),
        [[ip(VIP), 53]],
      );
    }
    folds(t);
  }
});

test('weight 0: who is there stays, who comes goes elsewhere', (t) => {
  const { net, a, b, c, root, service, folds } = director();
  const [atB, atC] = [udpEcho(b.kernel.root, 5353), udpEcho(c.kernel.root, 5353)];
  const old = udpClient(a.kernel.root, 40_001);
  old.send(VIP, 53, 'x');
  net.advance(10);
  t.is(atB.seen.length, 1);
  sh(root, `ipvsadm -e ${service} -r 10.0.2.2:5353 -m -w 0`);
  old.send(VIP, 53, 'y');
  const others = [1, 2, 3].map((n) => udpClient(a.kernel.root, 41_000 + n));
  for (const other of others) other.send(VIP, 53, 'z');
  net.advance(10);
  t.deepEqual([atB.seen.length, atC.seen.length], [2, 3]);
  t.deepEqual(counts(root), { '10.0.2.2:5353': '0 1', '10.0.2.3:5353': '0 3' });
  folds(t);
});

test('a server is taken out: UDP of a known port is stuck until it is quiet for long, or expire_nodest_conn is on', (t) => {
  for (const expire of [0, 1]) {
    const { net, a, c, b, root, service, folds } = director();
    sh(root, `sysctl -w net.ipv4.vs.expire_nodest_conn=${expire}`);
    udpEcho(b.kernel.root, 5353);
    const atC = udpEcho(c.kernel.root, 5353);
    const client = udpClient(a.kernel.root, 40_001);
    client.send(VIP, 53, 'x');
    net.advance(10);
    sh(root, `ipvsadm -d ${service} -r 10.0.2.2:5353`);
    folds(t);
    for (let i = 0; i < 3; i++) {
      client.send(VIP, 53, 'y');
      net.advance(1_000);
    }
    t.is(atC.seen.length, expire === 1 ? 3 : 0);
    t.is(root.kernel.drops.get('ipvs-destination-gone') ?? 0, expire === 1 ? 0 : 3);
    // The packets in vain have not given the connection more time.
    net.advance(297_500);
    client.send(VIP, 53, 'z');
    net.advance(10);
    t.is(atC.seen.length, expire === 1 ? 4 : 1);
    folds(t);
  }
});

/** kubernetes 81775: a client's port comes again while its old connection, to a server of weight 0, is in TIME_WAIT. */
test('a port that is used again on a server of weight 0', (t) => {
  for (const [reuse, expire, to] of [
    [0, 0, 'b'],
    [1, 0, 'c'],
    [0, 1, 'c'],
  ] as const) {
    const { net, a, b, c, root, service, folds } = director('', 'tcp');
    sh(
      root,
      `sysctl -w net.ipv4.vs.conn_reuse_mode=${reuse}`,
      `sysctl -w net.ipv4.vs.expire_nodest_conn=${expire}`,
    );
    const accepted = { b: listen(b.kernel.root), c: listen(c.kernel.root) };
    const remote = { src: 0, dst: ip(VIP), port: 53, srcPort: 40_000 };
    const first = a.kernel.root.connectTcp(remote);
    net.advance(10);
    // The server closes first: it, and not the client, has TIME_WAIT.
    accepted.b[0]!.close();
    net.advance(10);
    first.close();
    net.advance(10);
    t.regex(sh(root, 'ipvsadm -Lnc'), /TIME_WAIT/);
    sh(root, `ipvsadm -e ${service} -r 10.0.2.2:5353 -m -w 0`);
    a.kernel.root.connectTcp(remote);
    net.advance(500);
    t.deepEqual({ c: accepted.c.length }, { c: to === 'c' ? 1 : 0 }, `${reuse} ${expire}`);
    t.is(/10\.0\.2\.3:5353\n/.test(sh(root, 'ipvsadm -Lnc')), to === 'c');
    folds(t);
  }
});

test('persistence: a client, or a net of them, keeps its server', (t) => {
  const { net, a, b, c, root, service, folds } = director(' -p 600 -M 255.255.255.0');
  const [atB, atC] = [udpEcho(b.kernel.root, 5353), udpEcho(c.kernel.root, 5353)];
  a.kernel.root.addAddress('eth0', '10.0.1.3/24');
  for (let n = 0; n < 5; n++) {
    udpClient(a.kernel.root, 42_000 + n).send(VIP, 53, 'x');
    net.advance(10);
  }
  t.deepEqual([atB.seen.length, atC.seen.length], [5, 0]);
  t.regex(
    sh(root, 'ipvsadm -Lnc'),
    /^UDP 09:59 {2}ASSURED {5}10\.0\.1\.0:0 {9}10\.96\.0\.10:53 {6}10\.0\.2\.2:5353$/m,
  );
  t.regex(sh(root, 'ipvsadm -Ln --persistent-conn'), /10\.0\.2\.2:5353 +1 +1 +0 +5/);
  folds(t);
  // Weight 0 does not turn it away, but by expire_quiescent_template.
  sh(root, `ipvsadm -e ${service} -r 10.0.2.2:5353 -m -w 0`);
  udpClient(a.kernel.root, 43_000).send(VIP, 53, 'x');
  net.advance(10);
  t.is(atC.seen.length, 0);
  sh(root, 'sysctl -w net.ipv4.vs.expire_quiescent_template=1');
  udpClient(a.kernel.root, 43_001).send(VIP, 53, 'x');
  net.advance(10);
  t.is(atC.seen.length, 1);
  folds(t);
  net.advance(700_000);
  t.is(sh(root, 'ipvsadm -Lnc').split('\n').length, 3);
  folds(t);
});

test('conntrack = 1: MASQUERADE has the server answer the director', (t) => {
  const { net, a, b, root, folds } = director();
  sh(
    root,
    'sysctl -w net.ipv4.vs.conntrack=1',
    'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
  );
  const server = udpEcho(b.kernel.root, 5353);
  const client = udpClient(a.kernel.root, 40_000);
  for (const text of ['x', 'y']) {
    client.send(VIP, 53, text);
    net.advance(10);
  }
  t.deepEqual(
    server.seen.map(({ src, text }) => [src, text]),
    [
      [ip('10.0.2.1'), 'x'],
      [ip('10.0.2.1'), 'y'],
    ],
  );
  t.deepEqual(
    client.replies.map(({ src, srcPort, text }) => [src, srcPort, text]),
    [
      [ip(VIP), 53, 'x'],
      [ip(VIP), 53, 'y'],
    ],
  );
  t.regex(
    run(root, 'conntrack -L').stdout,
    /src=10\.0\.1\.2 dst=10\.96\.0\.10 sport=40000 dport=53 .*src=10\.0\.2\.2 dst=10\.0\.2\.1 sport=5353 dport=40000/,
  );
  folds(t);
});

test('from the node itself, masqueraded as kube-proxy does', (t) => {
  const { net, b, root, folds } = director();
  sh(
    root,
    'sysctl -w net.ipv4.vs.conntrack=1',
    'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
  );
  const server = udpEcho(b.kernel.root, 5353);
  const client = udpClient(root, 40_000);
  client.send(VIP, 53, 'x');
  net.advance(10);
  t.deepEqual(
    server.seen.map(({ src }) => src),
    [ip('10.0.2.1')],
  );
  t.deepEqual(client.replies, [{ src: ip(VIP), srcPort: 53, text: 'x' }]);
  folds(t);
});

test('a server on the director itself', (t) => {
  const { net, a, root, folds } = director();
  sh(root, `ipvsadm -C`, `ipvsadm -A -u ${VIP}:53 -s rr`, `ipvsadm -a -u ${VIP}:53 -r 10.0.2.1:5353 -m`);
  const server = udpEcho(root, 5353);
  const [far, near] = [udpClient(a.kernel.root, 40_000), udpClient(root, 40_000)];
  far.send(VIP, 53, 'far');
  near.send(VIP, 53, 'near');
  net.advance(10);
  t.deepEqual(server.seen.map(({ dst, text }) => [dst, text]).sort(), [
    [ip('10.0.2.1'), 'far'],
    [ip('10.0.2.1'), 'near'],
  ]);
  t.deepEqual(far.replies, [{ src: ip(VIP), srcPort: 53, text: 'far' }]);
  t.deepEqual(near.replies, [{ src: ip(VIP), srcPort: 53, text: 'near' }]);
  folds(t);
});

test('gatewaying: the server gets the packet as it is, and answers past the director', (t) => {
  const { net, b, root, folds } = director('', 'udp', '-g');
  const d = net.host('d');
  net.attach(d, 'right', 'eth0', '10.0.2.9/24');
  addDefault(d.kernel.root, '10.0.2.1');
  kubeIpvs0(b.kernel.root, VIP);
  const server = udpEcho(b.kernel.root, 53);
  const client = udpClient(d.kernel.root, 40_000);
  client.send(VIP, 53, 'x');
  net.advance(10);
  t.deepEqual(
    server.seen.map(({ src, dst }) => [src, dst]),
    [[ip('10.0.2.9'), ip(VIP)]],
  );
  t.deepEqual(client.replies, [{ src: ip(VIP), srcPort: 53, text: 'x' }]);
  t.regex(sh(root, 'ipvsadm -Ln'), /10\.0\.2\.2:53 +Route +1 +0 +1/);
  folds(t);
});

test('tunneling: the server takes the packet out of another, and answers past the director', (t) => {
  const { net, b, root, folds } = director('', 'udp', '-i');
  const d = net.host('d');
  net.attach(d, 'right', 'eth0', '10.0.2.9/24');
  addDefault(d.kernel.root, '10.0.2.1');
  sh(b.kernel.root, 'ip link add tunl0 type ipip', 'ip link set tunl0 up');
  sh(b.kernel.root, `ip address add ${VIP}/32 dev tunl0`, 'sysctl -w net.ipv4.conf.tunl0.rp_filter=0');
  const server = udpEcho(b.kernel.root, 53);
  const client = udpClient(d.kernel.root, 40_000);
  client.send(VIP, 53, 'x');
  net.advance(10);
  t.deepEqual(
    server.seen.map(({ src, dst }) => [src, dst]),
    [[ip('10.0.2.9'), ip(VIP)]],
  );
  t.deepEqual(client.replies, [{ src: ip(VIP), srcPort: 53, text: 'x' }]);
  t.regex(sh(root, 'ipvsadm -Ln'), /10\.0\.2\.2:53 +Tunnel +1 +0 +1/);
  t.regex(sh(root, 'ipvsadm -S -n'), /-r 10\.0\.2\.2:53 -i -w 1 --tun-type ipip\n/);
  folds(t);
});

test('with conntrack, where the old flow is over a SYN begins another; where it is not, the first is lost with it', (t) => {
  for (const over of [true, false]) {
    const { net, a, b, c, root, service, folds } = director('', 'tcp');
    sh(
      root,
      'sysctl -w net.ipv4.vs.conntrack=1',
      'sysctl -w net.ipv4.vs.expire_nodest_conn=1',
      'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
    );
    const accepted = { b: listen(b.kernel.root), c: listen(c.kernel.root) };
    const remote = { src: 0, dst: ip(VIP), port: 53, srcPort: 40_000 };
    const first = a.kernel.root.connectTcp(remote);
    net.advance(10);
    if (over) {
      accepted.b[0]!.close();
      net.advance(10);
      first.close();
    } else {
      // The client dies without a word.
      net.passes = () => false;
      a.kernel.abortAll();
      net.advance(1);
      net.passes = () => true;
    }
    net.advance(10);
    sh(root, `ipvsadm -e ${service} -r 10.0.2.2:5353 -m -w 0`);
    a.kernel.root.connectTcp(remote);
    net.advance(900);
    t.deepEqual([accepted.b.length, accepted.c.length], [1, over ? 1 : 0]);
    t.is(root.kernel.drops.get('ipvs-old-conntrack') ?? 0, over ? 0 : 1);
    net.advance(300);
    t.deepEqual([accepted.b.length, accepted.c.length], [1, 1]);
    folds(t);
  }
});

test('a service by mark', (t) => {
  const { net, a, b, c, root, folds } = director();
  sh(
    root,
    'ipvsadm -C',
    'ipvsadm -A -f 256 -s rr',
    'ipvsadm -a -f 256 -r 10.0.2.2:0 -m',
    `iptables -t mangle -A PREROUTING -d ${VIP} -j MARK --set-mark 256`,
  );
  const server = udpEcho(b.kernel.root, 7_000);
  udpEcho(c.kernel.root, 7_000);
  const client = udpClient(a.kernel.root, 40_000);
  client.send(VIP, 7_000, 'x');
  net.advance(10);
  t.is(server.seen.length, 1);
  t.deepEqual(client.replies, [{ src: ip(VIP), srcPort: 7_000, text: 'x' }]);
  folds(t);
});
