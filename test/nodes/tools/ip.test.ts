import test from 'ava';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { mac } from '../../support/network.ts';
import { run } from './support/run.ts';
import { routed } from './support/topology.ts';

test('what is changed by hand takes effect on the wire, and is in the log', (t) => {
  const { net, a, r } = routed();
  const { root } = a.kernel;
  const reaches = (target: string) => {
    const ping = run(`ping -c 1 -W 0.5 ${target}`, root);
    net.advance(1_000);
    return ping.code === 0;
  };
  t.true(reaches('10.0.2.2'));
  run('ip route add blackhole 10.0.2.0/24', root);
  t.false(reaches('10.0.2.2'));
  run('ip route del 10.0.2.0/24', root);
  t.true(reaches('10.0.2.2'));
  run('ip neigh replace 10.0.1.1 lladdr 00:11:22:33:44:55 dev eth0', root);
  t.false(reaches('10.0.2.2'));
  run('ip neigh del 10.0.1.1 dev eth0', root);
  t.true(reaches('10.0.2.2'));
  run('ip link set eth1 down', r.kernel.root);
  t.false(reaches('10.0.2.2'));
  run('ip link set eth1 up', r.kernel.root);
  t.true(reaches('10.0.2.2'));
  run('ip addr del 10.0.1.2/24 dev eth0', root);
  t.false(reaches('10.0.1.1'));
  run('ip addr add 10.0.1.2/24 dev eth0', root);
  t.true(reaches('10.0.1.1'));
  for (const host of net.hosts) {
    const fold = new KernelFold();
    for (const event of host.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
    t.deepEqual(fold.view(), host.kernel.snapshot());
  }
});

test('neighbours as ARP has found them', (t) => {
  const { net, a } = routed();
  const { root } = a.kernel;
  run('ping -c 1 10.0.1.1', root);
  run('ping -c 1 10.0.1.77', root);
  net.advance(10);
  t.is(
    run('ip neigh', root).text,
    '10.0.1.1 dev eth0 lladdr 52:54:00:00:01:00 REACHABLE \n10.0.1.77 dev eth0 INCOMPLETE \n',
  );
  net.advance(5_000);
  t.is(run('ip neigh show nud failed', root).text, '10.0.1.77 dev eth0 FAILED \n');
  run('ip neigh flush dev eth0', root);
  t.is(run('ip neigh', root).text, '');
});

test('deleting one end of a veth pair takes the other', (t) => {
  const { a } = routed();
  const { root } = a.kernel;
  const pod = a.kernel.addNetns('pod');
  root.addVeth({
    name: 'cali1',
    mac: mac('ee:ee:ee:ee:ee:ee'),
    mtu: 1500,
    peer: { ns: pod, name: 'eth0', mac: 2 },
  });
  t.is(run('ip link del cali1', root).code, 0);
  t.is(run('ip link show eth0', pod).text, 'Device "eth0" does not exist.\n');
});

test('bridge shows what it has learned', (t) => {
  const { net, a } = routed();
  const { root } = a.kernel;
  const pod = a.kernel.addNetns('pod');
  root.addBridge({ name: 'cni0', mac: mac('02:00:00:00:00:01'), mtu: 1500 });
  root.addVeth({
    name: 'veth1',
    mac: 3,
    mtu: 1500,
    peer: { ns: pod, name: 'eth0', mac: mac('02:42:ac:11:00:02') },
  });
  run('ip link set veth1 master cni0', root);
  for (const name of ['cni0', 'veth1']) run(`ip link set ${name} up`, root);
  run('ip link set eth0 up', pod);
  run('ip addr add 172.17.0.1/16 dev cni0', root);
  run('ip addr add 172.17.0.2/16 dev eth0', pod);
  const ping = run('ping -c 1 172.17.0.1', pod);
  net.advance(1_000);
  t.is(ping.code, 0);
  // The host's own addresses are rows in each VLAN that the port is in, whether VLANs are filtered or not.
  const rows = `02:42:ac:11:00:02 dev veth1 master cni0 
02:00:00:00:00:01 dev cni0 master cni0 permanent
02:00:00:00:00:01 dev cni0 vlan 1 master cni0 permanent
00:00:00:00:00:03 dev veth1 master cni0 permanent
00:00:00:00:00:03 dev veth1 vlan 1 master cni0 permanent
`;
  t.is(run('bridge fdb', root).text, rows);
  t.is(run('bridge fdb show br cni0', root).text, rows);
  t.is(
    run('bridge fdb show brport veth1', root).text,
    rows.replaceAll(/^.* dev cni0 .*\n/gm, '').replaceAll('dev veth1 ', ''),
  );
  t.is(run('bridge fdb show dynamic', root).text, '02:42:ac:11:00:02 dev veth1 master cni0 \n');
  t.is(
    run('bridge fdb get 02:42:ac:11:00:02 br cni0', root).text,
    '02:42:ac:11:00:02 dev veth1 master cni0 \n',
  );
  t.is(run('bridge fdb', pod).text, '');
});

test('what iproute2 has and the emulated kernel has not is said to be so', (t) => {
  const { a } = routed();
  const { root } = a.kernel;
  const before = a.kernel.snapshot();
  for (const [line, what] of [
    ['ip netns pids x', 'ip netns pids'],
    ['ip -s link', 'ip -s'],
    ['ip -b file', 'ip -b'],
    ['ip link add b1 type bond', 'ip link add type bond'],
    ['ip link set eth0 promisc on', 'ip link set promisc'],
    ['ip route add 10.9.0.0/16 via 10.0.1.1 mtu 1400', 'route attribute mtu'],
    ['ip addr add 10.9.0.1/24 peer 10.9.0.2 dev eth0', 'ip address peer'],
    [
      'ip addr add 10.9.0.1/24 brd 10.9.0.7 dev eth0',
      'a broadcast address other than the last of the subnet',
    ],
    ['ip neigh add 10.0.1.9 lladdr 00:11:22:33:44:55 dev eth0 nud stale', 'ip neigh add nud stale'],
    ['bridge mdb', 'bridge mdb'],
    ['bridge link set dev eth0 state 3', 'bridge link set state'],
  ] as const) {
    const got = run(line, root);
    t.is(got.text, `${what} is not emulated\n`);
    t.is(got.code, 1, line);
  }
  t.deepEqual(a.kernel.snapshot(), before);
});

test('usage where iproute2 prints it', (t) => {
  const { a } = routed();
  for (const line of [
    'ip',
    'ip -4',
    'ip help',
    'ip -h',
    'ip route help',
    'ip route add',
    'ip addr help',
    'ip link help',
    'ip neigh help',
    'bridge',
    'bridge help',
    'bridge fdb help',
    'bridge link help',
  ]) {
    const got = run(line, a.kernel.root);
    t.true(got.streams.stderr.startsWith('Usage: '), line);
    t.is(got.streams.stdout, '', line);
    t.is(got.code, 255, line);
  }
});

test('versions', (t) => {
  const { a } = routed();
  t.is(run('ip -V', a.kernel.root).text, 'ip utility, iproute2-6.1.0, reroute\n');
  t.is(run('bridge -V', a.kernel.root).text, 'bridge utility, 6.1.0, reroute\n');
});

test('an address that is there already', (t) => {
  const { a } = routed();
  const again = run('ip addr add 10.0.1.2/24 dev eth0', a.kernel.root);
  t.is(again.text, 'RTNETLINK answers: File exists\n');
  t.is(again.code, 2);
  t.is(run('ip addr del 10.0.1.9/24 dev eth0', a.kernel.root).code, 2);
});

test('a peer in the same namespace and one elsewhere, lower layer down', (t) => {
  const { a } = routed();
  const pod = a.kernel.addNetns('pod');
  const { root } = a.kernel;
  root.addVeth({ name: 'v0', mac: 1, mtu: 1500, peer: { ns: root, name: 'v1', mac: 2 } });
  root.addVeth({ name: 'v2', mac: 3, mtu: 1500, peer: { ns: pod, name: 'eth0', mac: 4 } });
  run('ip link set v0 up', root);
  run('ip link set v2 up', root);
  t.is(
    run('ip -br link show type veth', root).text,
    `v1@v0            DOWN           00:00:00:00:00:02 <BROADCAST,MULTICAST> 
v0@v1            LOWERLAYERDOWN 00:00:00:00:00:01 <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> 
v2@if5           DOWN           00:00:00:00:00:03 <NO-CARRIER,BROADCAST,MULTICAST,UP> 
`,
  );
  t.is(
    run('ip -br link', pod).text.split('\n')[1],
    'eth0@if6         DOWN           00:00:00:00:00:04 <BROADCAST,MULTICAST> ',
  );
});

test('many words, no harm', (t) => {
  const { a } = routed();
  const { root } = a.kernel;
  for (const object of ['ip addr', 'ip link', 'ip route', 'ip neigh', 'bridge fdb', 'bridge link'])
    for (const command of ['', 'show', 'add', 'del', 'set', 'get', 'flush', 'replace', 'change', 'append'])
      for (const words of [
        '',
        'dev',
        'dev eth0',
        'eth0',
        'lo',
        '10.0.0.0/8',
        'to',
        'via',
        'nexthop',
        'x y z',
        'dev eth0 dev eth0',
      ]) {
        const got = run(`${object} ${command} ${words}`, root);
        t.true(got.code !== null);
        t.true(got.code === 0 || got.streams.stderr.endsWith('\n'), `${object} ${command} ${words}`);
      }
});
