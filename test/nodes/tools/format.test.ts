import test from 'ava';
import fc from 'fast-check';
import type { FdbFacts, LinkFacts, NeighborFacts, RouteFacts } from '../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { formatAddresses } from '../../../nodes/tools/format/addresses.ts';
import { formatBridgePorts } from '../../../nodes/tools/format/bridge-ports.ts';
import { formatFdb } from '../../../nodes/tools/format/fdb.ts';
import { formatJson } from '../../../nodes/tools/format/json.ts';
import { formatLinks } from '../../../nodes/tools/format/links.ts';
import { formatNeighbors } from '../../../nodes/tools/format/neighbors.ts';
import { formatRoutes } from '../../../nodes/tools/format/routes.ts';
import { routed } from './support/topology.ts';

function link(facts: Partial<LinkFacts> & Pick<LinkFacts, 'ifindex' | 'name' | 'kind'>): LinkFacts {
  return {
    mac: '',
    mtu: 1500,
    up: true,
    carrier: true,
    master: '',
    peerIfindex: 0,
    peerNs: '',
    detail: '',
    ...facts,
  };
}

const lo = link({ ifindex: 1, name: 'lo', kind: 'loopback', mtu: 65_536 });

test('a container of Docker, as its `ip addr` stands in the notes', (t) => {
  const eth0 = link({
    ifindex: 14,
    name: 'eth0',
    kind: 'veth',
    mac: '02:42:ac:11:00:02',
    peerIfindex: 15,
    peerNs: '',
  });
  const eth1 = link({
    ifindex: 25,
    name: 'eth1',
    kind: 'veth',
    mac: '02:42:c0:a8:00:04',
    peerIfindex: 26,
    peerNs: '',
  });
  const addresses = [
    { dev: 'lo', address: '127.0.0.1/8', scope: 'host' as const },
    { dev: 'eth0', address: '172.17.0.2/16', scope: 'global' as const },
    { dev: 'eth1', address: '192.168.0.4/16', scope: 'global' as const },
  ];
  t.is(
    formatAddresses([eth1, lo, eth0], addresses, { ns: 'tomcat01' }),
    `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
14: eth0@if15: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default 
    link/ether 02:42:ac:11:00:02 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0
       valid_lft forever preferred_lft forever
25: eth1@if26: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default 
    link/ether 02:42:c0:a8:00:04 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    inet 192.168.0.4/16 brd 192.168.255.255 scope global eth1
       valid_lft forever preferred_lft forever
`,
  );
});

test('the Docker host’s links, as they stand in the notes', (t) => {
  const ens33 = link({ ifindex: 2, name: 'ens33', kind: 'ether', mac: '00:0c:29:fc:57:e2' });
  const docker0 = link({ ifindex: 3, name: 'docker0', kind: 'bridge', mac: '02:42:98:04:68:a9' });
  const port = { kind: 'veth' as const, master: 'docker0' };
  const veth0 = link({
    ...port,
    ifindex: 15,
    name: 'veth77b0c46',
    mac: '22:b3:44:bf:da:48',
    peerIfindex: 14,
    peerNs: 'c1',
  });
  const veth1 = link({
    ...port,
    ifindex: 17,
    name: 'veth6dbc1f1',
    mac: 'be:44:4f:0f:dd:ea',
    peerIfindex: 16,
    peerNs: 'c2',
  });
  const addresses = [
    { dev: 'ens33', address: '172.31.202.45/24', scope: 'global' as const },
    { dev: 'docker0', address: '172.17.0.1/16', scope: 'global' as const },
  ];
  const all = [ens33, docker0, veth0, veth1];
  t.is(
    formatAddresses(all, addresses),
    `2: ens33: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP group default qlen 1000
    link/ether 00:0c:29:fc:57:e2 brd ff:ff:ff:ff:ff:ff
    inet 172.31.202.45/24 brd 172.31.202.255 scope global ens33
       valid_lft forever preferred_lft forever
3: docker0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default 
    link/ether 02:42:98:04:68:a9 brd ff:ff:ff:ff:ff:ff
    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0
       valid_lft forever preferred_lft forever
15: veth77b0c46@if14: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master docker0 state UP group default 
    link/ether 22:b3:44:bf:da:48 brd ff:ff:ff:ff:ff:ff link-netnsid 0
17: veth6dbc1f1@if16: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master docker0 state UP group default 
    link/ether be:44:4f:0f:dd:ea brd ff:ff:ff:ff:ff:ff link-netnsid 1
`,
  );
  // The namespaces keep their numbers when only one link is shown.
  t.regex(formatLinks(all, { only: (one) => one === veth1 }), /^17: .* link-netnsid 1\n$/s);
  t.is(
    formatBridgePorts(all, { only: (one) => one === veth0 }),
    '15: veth77b0c46@if14: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master docker0 state forwarding priority 32 cost 2 \n',
  );
});

test('a port whose cable is out, a tunnel, a dummy, a VXLAN device in detail', (t) => {
  const pulled = link({ ifindex: 2, name: 'eth0', kind: 'ether', mac: '52:54:00:00:00:01', carrier: false });
  t.is(
    formatLinks([pulled]),
    `2: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc pfifo_fast state DOWN mode DEFAULT group default qlen 1000
    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff
`,
  );
  const tunl0 = link({ ifindex: 3, name: 'tunl0', kind: 'ipip', mtu: 1480 });
  t.is(
    formatLinks([tunl0]),
    `3: tunl0@NONE: <NOARP,UP,LOWER_UP> mtu 1480 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000
    link/ipip 0.0.0.0 brd 0.0.0.0
`,
  );
  const dummy0 = link({ ifindex: 4, name: 'dummy0', kind: 'dummy', mac: '02:00:00:00:00:07', up: false });
  t.is(
    formatLinks([dummy0]),
    `4: dummy0: <BROADCAST,NOARP> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group default qlen 1000
    link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff
`,
  );
  const detail = 'vxlan id 1 local 10.0.0.1 dstport 8472 nolearning';
  const vxlan = link({
    ifindex: 5,
    name: 'flannel.1',
    kind: 'vxlan',
    mac: '02:00:00:00:00:08',
    mtu: 1450,
    detail,
  });
  t.is(
    formatLinks([vxlan], { details: 'shown' }),
    `5: flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN mode DEFAULT group default 
    link/ether 02:00:00:00:00:08 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 
    vxlan id 1 local 10.0.0.1 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx addrgenmode eui64 numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535 tso_max_size 65536 tso_max_segs 65535 gro_max_size 65536 
`,
  );
});

function route(dst: string, facts: Partial<RouteFacts> = {}): RouteFacts {
  return {
    dst,
    type: 'unicast',
    protocol: 'boot',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via: '', dev: 'eth0', onlink: false, weight: 1 }],
    ...facts,
  };
}

test('routes of a Calico node, in the order of their text, come out in the kernel’s', (t) => {
  const via = (address: string, dev = 'eth0', onlink = false) => [{ via: address, dev, onlink, weight: 1 }];
  const rows = [
    route('0.0.0.0/0', { nexthops: via('172.18.18.1') }),
    route('10.244.0.5/32', {
      protocol: 'felix',
      scope: 'link',
      nexthops: [{ via: '', dev: 'cali440f455693', onlink: false, weight: 1 }],
    }),
    route('10.244.0.0/26', { type: 'blackhole', protocol: 'bird', nexthops: [] }),
    route('10.244.1.0/26', { protocol: 'bird', nexthops: via('172.18.18.12') }),
    route('172.18.18.0/24', { protocol: 'kernel', scope: 'link', src: '172.18.18.11' }),
    route('10.244.2.0/24', { protocol: 'flannel', nexthops: via('10.244.2.0', 'flannel.1', true) }),
    route('9.0.0.0/8', { metric: 20, nexthops: via('172.18.18.12') }),
    route('9.0.0.0/8', { metric: 3, nexthops: via('172.18.18.13') }),
  ];
  const expected = `default via 172.18.18.1 dev eth0 
9.0.0.0/8 via 172.18.18.13 dev eth0 metric 3 
9.0.0.0/8 via 172.18.18.12 dev eth0 metric 20 
blackhole 10.244.0.0/26 proto bird 
10.244.0.5 dev cali440f455693 scope link 
10.244.1.0/26 via 172.18.18.12 dev eth0 proto bird 
10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink 
172.18.18.0/24 dev eth0 proto kernel scope link src 172.18.18.11 
`;
  const byText = [...rows].sort((a, b) => (a.dst < b.dst ? -1 : 1));
  t.is(formatRoutes(byText), expected);
  fc.assert(
    fc.property(fc.shuffledSubarray(rows, { minLength: rows.length }), (shuffled) => {
      t.is(formatRoutes(shuffled), expected);
    }),
    { numRuns: 50 },
  );
});

test('a route out of a pulled port, and one of several hops', (t) => {
  const links = [link({ ifindex: 2, name: 'eth0', kind: 'ether', carrier: false })];
  const multipath = route('10.6.0.0/16', {
    protocol: 'bird',
    nexthops: [
      { via: '192.168.0.12', dev: 'eth0', onlink: false, weight: 1 },
      { via: '192.168.1.12', dev: 'eth1', onlink: true, weight: 2 },
    ],
  });
  t.is(
    formatRoutes([route('10.5.0.0/16', { metric: 5 }), multipath], { links }),
    `10.5.0.0/16 dev eth0 metric 5 linkdown 
10.6.0.0/16 proto bird 
	nexthop via 192.168.0.12 dev eth0 weight 1 linkdown 
	nexthop via 192.168.1.12 dev eth1 weight 2 onlink 
`,
  );
});

test('neighbours in every state', (t) => {
  const row = (ip: string, mac: string, state: NeighborFacts['state']): NeighborFacts => ({
    dev: 'eth0',
    ip,
    mac,
    state,
  });
  const rows = [
    row('192.168.0.52', '00:11:22:33:44:55', 'STALE'),
    row('192.168.0.50', '00:11:22:33:44:56', 'PERMANENT'),
    row('192.168.0.51', '00:11:22:33:44:55', 'REACHABLE'),
    row('192.168.0.53', '', 'FAILED'),
    row('192.168.0.54', '', 'INCOMPLETE'),
  ];
  t.is(
    formatNeighbors(rows),
    `192.168.0.52 dev eth0 lladdr 00:11:22:33:44:55 STALE 
192.168.0.50 dev eth0 lladdr 00:11:22:33:44:56 PERMANENT 
192.168.0.51 dev eth0 lladdr 00:11:22:33:44:55 REACHABLE 
192.168.0.53 dev eth0 FAILED 
192.168.0.54 dev eth0 INCOMPLETE 
`,
  );
  t.is(
    formatNeighbors(rows.slice(0, 4), { json: 'compact' }),
    '[{"dst":"192.168.0.52","dev":"eth0","lladdr":"00:11:22:33:44:55","state":["STALE"]},{"dst":"192.168.0.50","dev":"eth0","lladdr":"00:11:22:33:44:56","state":["PERMANENT"]},{"dst":"192.168.0.51","dev":"eth0","lladdr":"00:11:22:33:44:55","state":["REACHABLE"]},{"dst":"192.168.0.53","dev":"eth0","state":["FAILED"]}]\n',
  );
});

test('forwarding rows of a bridge and of a VXLAN device', (t) => {
  const row = (facts: Partial<FdbFacts>): FdbFacts => ({
    dev: 'br0',
    mac: 'aa:bb:cc:00:00:05',
    port: 'veth1',
    dst: '',
    kind: 'static',
    ...facts,
  });
  const vtep = { dev: 'flannel.1', port: '' };
  const rows = [
    row({ mac: 'aa:bb:cc:00:00:06', kind: 'permanent' }),
    row({}),
    row({ mac: 'aa:bb:cc:00:00:08', kind: 'learned' }),
    row({ ...vtep, mac: 'aa:bb:cc:00:00:09', dst: '192.168.0.15', kind: 'learned' }),
    row({ ...vtep, mac: 'aa:bb:cc:00:00:07', dst: '192.168.0.15' }),
    row({ ...vtep, mac: '00:00:00:00:00:00', dst: '192.168.0.13', kind: 'permanent' }),
  ];
  // As recorded, but for the learned row of the bridge.
  t.is(
    formatFdb(rows),
    `aa:bb:cc:00:00:06 dev veth1 master br0 permanent
aa:bb:cc:00:00:05 dev veth1 master br0 static
aa:bb:cc:00:00:08 dev veth1 master br0 
aa:bb:cc:00:00:09 dev flannel.1 dst 192.168.0.15 self 
aa:bb:cc:00:00:07 dev flannel.1 dst 192.168.0.15 self static
00:00:00:00:00:00 dev flannel.1 dst 192.168.0.13 self permanent
`,
  );
  t.is(
    formatFdb(rows.slice(3), { dev: 'hidden', json: 'compact' }),
    '[{"mac":"aa:bb:cc:00:00:09","dst":"192.168.0.15","flags":["self"],"state":""},{"mac":"aa:bb:cc:00:00:07","dst":"192.168.0.15","flags":["self"],"state":"static"},{"mac":"00:00:00:00:00:00","dst":"192.168.0.13","flags":["self"],"state":"permanent"}]\n',
  );
});

test('JSON reads back as it was, in either layout', (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const json = JSON.parse(JSON.stringify(value));
      t.deepEqual(JSON.parse(formatJson(json, 'pretty')), json);
      t.deepEqual(JSON.parse(formatJson(json, 'compact')), json);
    }),
    { numRuns: 200 },
  );
});

test('a folded past prints as the living namespace does', (t) => {
  const { net, a } = routed();
  net.advance(10);
  const fold = new KernelFold();
  for (const event of a.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  const view = fold.view();
  const [links, addresses, routes] = [view.links[''] ?? [], view.addresses[''] ?? [], view.routes[''] ?? []];
  const { root } = a.kernel;
  t.is(formatLinks(links), formatLinks(root.devices().map((device) => device.facts())));
  t.true(
    formatAddresses(links, addresses).includes('    inet 10.0.1.2/24 brd 10.0.1.255 scope global eth0\n'),
  );
  t.is(
    formatRoutes(routes, { links }),
    'default via 10.0.1.1 dev eth0 proto static \n10.0.1.0/24 dev eth0 proto kernel scope link src 10.0.1.2 \n',
  );
});
