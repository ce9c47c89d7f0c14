import test from 'ava';
import type { BgpConfig, BgpNeighbor } from '../../../nodes/config.ts';
import { RealSockets } from '../../../nodes/daemons/bgp/external-sessions.ts';
import { Bgpd } from '../../../nodes/daemons/bgpd.ts';
import { BlockRoutes } from '../../../nodes/daemons/calico/routes.ts';
import type { RouteFacts } from '../../../nodes/events/kernel.ts';
import { BgpFold } from '../../../nodes/state/bgp-fold.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { type Host, Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';

interface Speaker {
  readonly host: Host;
  readonly bgpd: Bgpd;
}

function neighbor(
  name: string,
  localAddress: string,
  address: string,
  rest: Partial<BgpNeighbor> = {},
): BgpNeighbor {
  return {
    name,
    address,
    localAddress,
    remoteAs: 64512,
    type: 'node-to-node mesh',
    routeReflectorClient: false,
    nextHopSelf: false,
    passive: false,
    ttl: 64,
    ...rest,
  };
}

function daemon(host: Host, config: Partial<BgpConfig> & Pick<BgpConfig, 'routerId' | 'neighbors'>): Speaker {
  const full = { asn: 64512, networks: [], maximumPaths: 1, ...config };
  const bgpd = new Bgpd(host.rt, {
    netns: host.kernel.root,
    config: full,
    timings: timings.bgp,
    sockets: new RealSockets(() => {}),
    start: 'boot',
  });
  host.kernel.onFibChange = () => bgpd.fibChanged();
  host.kernel.onLinkChange = (device) => bgpd.onLinkChange(device);
  bgpd.start();
  return { host, bgpd };
}

/** BGP's rows of the main table as `ip route` prints them. */
function routes({ host }: Speaker): string[] {
  const text = ({ dst, protocol, nexthops }: RouteFacts) =>
    `${dst} ${nexthops.map(({ via, dev }) => `via ${via} dev ${dev}`).join(' ')} proto ${protocol}`;
  return host.kernel.root.routes
    .list()
    .filter(({ protocol, type }) => protocol === 'bird' && type === 'unicast')
    .map(text);
}

function foldEqualsState(t: { deepEqual(a: unknown, b: unknown): unknown }, { host, bgpd }: Speaker): void {
  const fold = new BgpFold();
  for (const event of host.rt.events)
    if (event.type.startsWith('bgp.')) fold.apply(event as Parameters<BgpFold['apply']>[0]);
  t.deepEqual(fold.view(), bgpd.snapshot());
}

/** Nodes of one Calico mesh on one segment: n1 at 10.0.0.1, and so on. */
function mesh(count: number): { readonly net: Network; readonly nodes: Speaker[] } {
  const net = new Network();
  const addresses = Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}`);
  const nodes = addresses.map((own, i) => {
    const host = net.host(`n${i + 1}`);
    net.attach(host, 'lan', 'eth0', `${own}/24`);
    const others = addresses.flatMap((address, j) => (j === i ? [] : [neighbor(`n${j + 1}`, own, address)]));
    return daemon(host, { routerId: own, networks: [`10.244.${i + 1}.0/24`], neighbors: others });
  });
  return { net, nodes };
}

test('a mesh: sessions over real TCP, routes in the main table, the fold of the log is the state', (t) => {
  const { net, nodes } = mesh(3);
  net.advance(2000);
  const [a, b, c] = nodes as [Speaker, Speaker, Speaker];
  t.deepEqual(routes(a), [
    '10.244.2.0/24 via 10.0.0.2 dev eth0 proto bird',
    '10.244.3.0/24 via 10.0.0.3 dev eth0 proto bird',
  ]);
  for (const node of nodes) foldEqualsState(t, node);
  const [ab] = a.bgpd.report().sessions;
  const [ba] = b.bgpd.report().sessions;
  t.true(ab?.established);
  t.is(ab?.key, ba?.key);
  t.is(ab?.sent, ba?.received);
  t.is(a.bgpd.report().pendingWork, 0);

  b.bgpd.originate('10.244.9.0/26');
  b.bgpd.withdraw('10.244.2.0/24');
  net.advance(100);
  t.deepEqual(routes(a), [
    '10.244.3.0/24 via 10.0.0.3 dev eth0 proto bird',
    '10.244.9.0/26 via 10.0.0.2 dev eth0 proto bird',
  ]);

  b.bgpd.shutdown();
  net.advance(100);
  t.deepEqual(routes(a), ['10.244.3.0/24 via 10.0.0.3 dev eth0 proto bird']);
  t.deepEqual(routes(b), []);
  t.true(
    c.host.rt.events.some(
      (e) => e.type === 'bgp.session' && e.reason === 'NotifMsg: Cease/Administrative Shutdown',
    ),
  );
  for (const node of nodes) foldEqualsState(t, node);
});

test('causes cross the wire: an UPDATE received names the event that sent it', (t) => {
  const { net, nodes } = mesh(2);
  net.advance(2000);
  const [a, b] = nodes as [Speaker, Speaker];
  b.bgpd.originate('10.244.9.0/26');
  net.advance(100);
  const find = ({ host }: Speaker, test: (event: Host['rt']['events'][number]) => boolean) =>
    host.rt.records.findLast((record) => test(record.event));
  const originated = find(b, (event) => event.type === 'bgp.originated');
  const best = find(b, (event) => event.type === 'bgp.best');
  const sent = find(b, (event) => event.type === 'bgp.sent');
  const received = find(a, (event) => event.type === 'bgp.received');
  const chosen = find(a, (event) => event.type === 'bgp.best');
  const installed = find(a, (event) => event.type === 'route.changed');
  t.is(best?.cause, originated?.id);
  t.is(sent?.cause, best?.id);
  t.is(received?.cause, sent?.id);
  t.is(chosen?.cause, received?.id);
  t.is(installed?.cause, chosen?.id);
});

test("a connection from an address that is no neighbour's is reset", (t) => {
  const { net, nodes } = mesh(2);
  const stranger = net.host('stranger');
  net.attach(stranger, 'lan', 'eth0', '10.0.0.66/24');
  net.advance(2000);
  let closed = '';
  const socket = stranger.kernel.root.connectTcp({ src: 0, dst: parseIp4('10.0.0.1')!, port: 179 });
  socket.onClosed = (reason) => {
    closed = reason;
  };
  net.advance(500);
  t.is(closed, 'reset');
  t.is(nodes[0]?.bgpd.report().sessions.length, 1);
});

/** Two routers and the network between them: a — r — b, with a session from end to end. */
function multihop(): { readonly net: Network; readonly a: Speaker; readonly b: Speaker; readonly r: Host } {
  const net = new Network();
  const [ha, r, hb] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(ha, 'left', 'eth0', '10.0.1.2/24');
  net.attach(r, 'left', 'eth0', '10.0.1.1/24');
  net.attach(r, 'right', 'eth1', '10.0.2.1/24');
  net.attach(hb, 'right', 'eth0', '10.0.2.2/24');
  r.kernel.root.ipForward = true;
  const towards = (dst: string, via: string): RouteFacts => ({
    dst,
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via, dev: '', onlink: false, weight: 1 }],
  });
  ha.kernel.root.routes.set(towards('10.0.2.0/24', '10.0.1.1'));
  hb.kernel.root.routes.set(towards('10.0.1.0/24', '10.0.2.1'));
  const a = daemon(ha, { routerId: '10.0.1.2', neighbors: [neighbor('b', '10.0.1.2', '10.0.2.2')] });
  const b = daemon(hb, {
    routerId: '10.0.2.2',
    networks: ['10.244.2.0/24'],
    neighbors: [neighbor('a', '10.0.2.2', '10.0.1.2')],
  });
  return { net, a, b, r };
}

test('a next hop beyond a router is resolved to the gateway, and again when the route to it changes', (t) => {
  const { net, a } = multihop();
  net.advance(2000);
  t.deepEqual(routes(a), ['10.244.2.0/24 via 10.0.1.1 dev eth0 proto bird']);
  const table = a.host.kernel.root.routes;
  const row = table.get('10.0.2.0/24')!;
  table.delete('10.0.2.0/24');
  net.advance(10);
  t.deepEqual(routes(a), []);
  t.deepEqual(a.bgpd.snapshot().locRib, []);
  // The prefix is still known: it was only not reachable.
  t.is(a.bgpd.snapshot().adjRibIn.b?.length, 1);
  table.set({ ...row, nexthops: [{ via: '10.0.1.9', dev: 'eth0', onlink: false, weight: 1 }] });
  net.advance(10);
  t.deepEqual(routes(a), ['10.244.2.0/24 via 10.0.1.9 dev eth0 proto bird']);
  foldEqualsState(t, a);
});

test('a route through itself is none: a default route over BGP does not resolve its own next hop', (t) => {
  const { net, a, b } = multihop();
  b.bgpd.originate('0.0.0.0/0');
  net.advance(2000);
  t.deepEqual(routes(a)[0], '0.0.0.0/0 via 10.0.1.1 dev eth0 proto bird');
  a.host.kernel.root.routes.delete('10.0.2.0/24');
  net.advance(10);
  t.deepEqual(routes(a), []);
});

test("a foreign route to the same prefix stays, and BGP's takes its place when it goes", (t) => {
  const { net, nodes } = mesh(2);
  const [a] = nodes as [Speaker, Speaker];
  const table = a.host.kernel.root.routes;
  const foreign: RouteFacts = {
    dst: '10.244.2.0/24',
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via: '10.0.0.77', dev: 'eth0', onlink: false, weight: 1 }],
  };
  table.set(foreign);
  net.advance(2000);
  t.is(table.get('10.244.2.0/24')?.protocol, 'static');
  table.delete('10.244.2.0/24');
  net.advance(10);
  t.deepEqual(routes(a), ['10.244.2.0/24 via 10.0.0.2 dev eth0 proto bird']);
  table.set(foreign);
  nodes[1]?.bgpd.shutdown();
  net.advance(100);
  t.is(table.get('10.244.2.0/24')?.protocol, 'static');
});

test('the blackhole of a block of ours stays when the same prefix is learned and lost', (t) => {
  const { net, nodes } = mesh(2);
  const [a, b] = nodes as [Speaker, Speaker];
  const blocks = new BlockRoutes(a.host.kernel, a.bgpd);
  const table = a.host.kernel.root.routes;
  b.bgpd.originate('10.244.9.0/26');
  net.advance(2000);
  t.is(table.get('10.244.9.0/26')?.type, 'unicast');
  blocks.announce('10.244.9.0/26');
  net.advance(100);
  t.is(table.get('10.244.9.0/26')?.type, 'blackhole');
  b.bgpd.withdraw('10.244.9.0/26');
  net.advance(100);
  t.is(table.get('10.244.9.0/26')?.type, 'blackhole');
});

interface Fabric {
  readonly net: Network;
  readonly leaf: Speaker;
  readonly far: Speaker;
}

/** Two leaves, two spines, a link each with a /31, external sessions on all of them. */
function fabric(): Fabric {
  const net = new Network();
  const hosts = { l1: net.host('l1'), l2: net.host('l2'), s1: net.host('s1'), s2: net.host('s2') };
  const asns = { l1: 65001, l2: 65002, s1: 65000, s2: 65000 };
  const neighbors: Record<keyof typeof hosts, BgpNeighbor[]> = { l1: [], l2: [], s1: [], s2: [] };
  let link = 0;
  for (const leaf of ['l1', 'l2'] as const) {
    for (const spine of ['s1', 's2'] as const) {
      const [up, down] = [`10.9.0.${2 * link}`, `10.9.0.${2 * link + 1}`];
      const segment = `${leaf}-${spine}`;
      net.attach(hosts[leaf], segment, spine, `${up}/31`);
      net.attach(hosts[spine], segment, leaf, `${down}/31`);
      const external = { type: 'external', ttl: 1 } as const;
      neighbors[leaf].push(neighbor(spine, up, down, { ...external, remoteAs: asns[spine] }));
      neighbors[spine].push(neighbor(leaf, down, up, { ...external, remoteAs: asns[leaf] }));
      link++;
    }
  }
  const speakers = (['l1', 'l2', 's1', 's2'] as const).map((name, i) =>
    daemon(hosts[name], {
      asn: asns[name],
      routerId: `10.255.0.${i + 1}`,
      maximumPaths: 4,
      networks: name.startsWith('l') ? [`10.1.${i + 1}.0/24`] : [],
      neighbors: neighbors[name],
    }),
  );
  return { net, leaf: speakers[0]!, far: speakers[1]! };
}

test('a fabric: equal paths in one multipath route, and a pulled cable is felt at once on both sides', (t) => {
  const { net, leaf, far } = fabric();
  net.advance(2000);
  t.deepEqual(routes(leaf), ['10.1.2.0/24 via 10.9.0.1 dev s1 via 10.9.0.3 dev s2 proto bird']);
  // Cable between l1 and s1.
  leaf.host.kernel.setCarrier(0, 'down');
  const spine = net.hosts[2]!;
  spine.kernel.setCarrier(0, 'down');
  net.advance(50);
  t.deepEqual(routes(leaf), ['10.1.2.0/24 via 10.9.0.3 dev s2 proto bird']);
  t.deepEqual(routes(far), ['10.1.1.0/24 via 10.9.0.7 dev s2 proto bird']);
  t.is(leaf.bgpd.snapshot().sessions.find(({ peer }) => peer === 's1')?.state, 'Active');
  foldEqualsState(t, leaf);

  leaf.host.kernel.setCarrier(0, 'up');
  spine.kernel.setCarrier(0, 'up');
  net.advance(10_000);
  t.deepEqual(routes(leaf), ['10.1.2.0/24 via 10.9.0.1 dev s1 via 10.9.0.3 dev s2 proto bird']);
  t.deepEqual(routes(far), ['10.1.1.0/24 via 10.9.0.5 dev s1 via 10.9.0.7 dev s2 proto bird']);
  foldEqualsState(t, leaf);
});

test('a peer behind a link that swallows everything is lost when the hold time is over', (t) => {
  const { net, nodes } = mesh(2);
  net.advance(2000);
  const [a] = nodes as [Speaker, Speaker];
  net.passes = () => false;
  net.advance(timings.bgp.holdTime / 2);
  t.is(routes(a).length, 1);
  net.advance(timings.bgp.holdTime / 2);
  t.deepEqual(routes(a), []);
  t.is(a.bgpd.snapshot().sessions[0]?.state === 'Established', false);
});

// ---- birdc and calicoctl

test('show protocols', (t) => {
  const { net, nodes } = mesh(3);
  nodes[2]!.bgpd.shutdown();
  net.advance(3000);
  const [a] = nodes as [Speaker];
  const { text, code } = a.bgpd.show(['show', 'protocols']);
  t.is(code, 0);
  const lines = text.split('\n');
  t.is(lines[0], 'BIRD v0.3.3+birdv1.6.8 ready.');
  t.is(lines[1], 'name     proto    table    state  since       info');
  t.is(lines[2], 'Mesh_10_0_0_2 BGP      master   up     00:00:00    Established   ');
  t.is(
    lines[3],
    'Mesh_10_0_0_3 BGP      master   start  00:00:00    Active        Socket: Connection refused',
  );
  t.is(a.bgpd.show(['show', 'protocols', 'Mesh_10_0_0_2']).text.split('\n').length, 4);
  t.like(a.bgpd.show(['show', 'protocols', 'nobody']), { code: 1 });
});

test('show protocols all', (t) => {
  const { net, nodes } = mesh(2);
  net.advance(12_000);
  const { text } = nodes[0]!.bgpd.show(['show', 'protocols', 'all', 'n2']);
  const lines = text
    .split('\n')
    .slice(3)
    .map((line) => line.trimEnd());
  const fixed = lines.filter((line) => !/timer/.test(line));
  t.deepEqual(fixed, [
    '  Description:    Connection to BGP peer',
    '  Preference:     100',
    '  Input filter:   ACCEPT',
    '  Output filter:  ACCEPT',
    '  Routes:         1 imported, 1 exported, 1 preferred',
    '  Route change stats:     received   rejected   filtered    ignored   accepted',
    '    Import updates:              1          0          0          0          1',
    '    Import withdraws:            0          0        ---          0          0',
    '    Export updates:              1          0          0        ---          1',
    '    Export withdraws:            0        ---        ---        ---          0',
    '  BGP state:          Established',
    '    Neighbor address: 10.0.0.2',
    '    Neighbor AS:      64512',
    '    Neighbor ID:      10.0.0.2',
    '    Neighbor caps:    refresh enhanced-refresh AS4 ext-messages',
    '    Session:          internal multihop AS4',
    '    Source address:   10.0.0.1',
    '',
    '',
  ]);
  const hold = /Hold timer: {7}(\d+)\/90/.exec(text);
  t.true(Number(hold?.[1]) > 75 && Number(hold?.[1]) <= 90);
  t.regex(text, /Keepalive timer: {2}\d+\/30/);
});

test('show route', (t) => {
  const { net, nodes } = mesh(2);
  net.advance(2000);
  const [a] = nodes as [Speaker];
  const show = (...args: string[]) =>
    a.bgpd
      .show(['show', 'route', ...args])
      .text.split('\n')
      .slice(1, -1);
  const learned = '10.244.2.0/24      via 10.0.0.2 on eth0 [Mesh_10_0_0_2 00:00:00] * (100/0) [i]';
  t.deepEqual(show(), ['10.244.1.0/24      blackhole [static1 00:00:00] * (200)', learned]);
  t.deepEqual(show('10.244.2.0/24'), [learned]);
  t.deepEqual(show('for', '10.244.2.77'), [learned]);
  t.deepEqual(show('protocol', 'Mesh_10_0_0_2'), [learned]);
  t.deepEqual(show('for', '10.244.2.0/26', 'all'), [
    learned,
    '\tType: BGP unicast univ',
    '\tBGP.origin: IGP',
    '\tBGP.as_path: ',
    '\tBGP.next_hop: 10.0.0.2',
    '\tBGP.local_pref: 100',
  ]);
  t.deepEqual(a.bgpd.show(['show', 'route', '10.9.0.0/24']), {
    text: 'BIRD v0.3.3+birdv1.6.8 ready.\nNetwork not in table\n',
    code: 1,
  });
  t.like(a.bgpd.show(['show', 'route', 'for']), { code: 1 });
  t.like(a.bgpd.show(['configure']), { code: 1 });
});

test('show route of a multipath route names every way', (t) => {
  const { net, leaf } = fabric();
  net.advance(2000);
  const { text } = leaf.bgpd.show(['show', 'route', '10.1.2.0/24']);
  const since = leaf.host.rt.now < 3000 ? '00:00:00' : '';
  t.deepEqual(text.split('\n').slice(1, -1), [
    `10.1.2.0/24        multipath [s1 ${since}] * (100) [AS65002i]`,
    '\tvia 10.9.0.1 on s1 weight 1',
    '\tvia 10.9.0.3 on s2 weight 1',
    `                   via 10.9.0.3 on s2 [s2 ${since}] (100) [AS65002i]`,
  ]);
});

test('show status', (t) => {
  const { net, nodes } = mesh(1);
  net.advance(65_000);
  t.deepEqual(nodes[0]!.bgpd.show(['show', 'status']), {
    text: [
      'BIRD v0.3.3+birdv1.6.8 ready.',
      'BIRD v0.3.3+birdv1.6.8',
      'Router ID is 10.0.0.1',
      'Current server time is 1970-01-01 00:01:05',
      'Last reboot on 1970-01-01 00:00:00',
      'Last reconfiguration on 1970-01-01 00:00:00',
      'Daemon is up and running',
      '',
    ].join('\n'),
    code: 0,
  });
});

test('calicoctl node status', (t) => {
  const { net, nodes } = mesh(2);
  net.advance(2000);
  t.is(
    nodes[0]!.bgpd.nodeStatus(),
    [
      'Calico process is running.',
      '',
      'IPv4 BGP status',
      '+--------------+-------------------+-------+----------+-------------+',
      '| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |',
      '+--------------+-------------------+-------+----------+-------------+',
      '| 10.0.0.2     | node-to-node mesh | up    | 00:00:00 | Established |',
      '+--------------+-------------------+-------+----------+-------------+',
      '',
      'IPv6 BGP status',
      'No IPv6 peers found.',
      '',
      '',
    ].join('\n'),
  );
  t.true(mesh(1).nodes[0]!.bgpd.nodeStatus().includes('No IPv4 peers found.'));
});

test('what is not announced cannot be withdrawn', (t) => {
  const net = new Network();
  const a = net.host('a');
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  const { bgpd } = daemon(a, { routerId: '10.0.0.1', networks: ['10.9.0.0/16'], neighbors: [] });
  const ask = (op: 'announce' | 'withdraw', prefix: string) => bgpd.control({ op, prefix });
  t.is(ask('withdraw', '10.8.0.0/16'), '10.8.0.0/16 is not announced here');
  t.is(ask('withdraw', '10.9.0.0/16'), null);
  t.is(ask('withdraw', '10.9.0.0/16'), '10.9.0.0/16 is not announced here');
  t.is(ask('announce', '2001:db8::/32'), null);
  t.is(ask('withdraw', '2001:db8::/32'), null);
});
