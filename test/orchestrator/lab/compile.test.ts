import test from 'ava';
import fc from 'fast-check';
import { describe } from '../../../orchestrator/lab/describe.ts';
import { farEnd } from '../../../orchestrator/lab/links.ts';
import { parsePrefix, prefixContains } from '../../../protocols/ip4.ts';
import { addressesOf, compile, neighborsOf, nodeOf, problemsOf, sessionsOf } from './support.ts';

test('node wins over group, group over kind, kind over defaults, and maps are merged', (t) => {
  const lab = compile(`
name: x
topology:
  defaults:
    kind: router
    labels: {from: defaults, d: "1"}
    bgp: {maximumPaths: 8}
    timers: {bgp: {holdTime: 30s, keepalive: 10s}}
  kinds:
    router:
      labels: {from: kind, k: "1"}
      bgp: {maximumPaths: 4, networks: [10.1.0.0/16]}
      interfaces: {eth1: {mtu: 1400}}
  groups:
    core:
      labels: {from: group, g: "1"}
      bgp: {as: 65001, networks: [10.2.0.0/16]}
      timers: {bgp: {keepalive: 5s}}
  nodes:
    r1:
      group: core
      labels: {from: node}
      bgp: {as: 65009}
      interfaces: {eth1: {address: 10.0.9.1/30}}
    r2: {group: core}
    r3: {bgp: {as: 65003}}
  links:
    - endpoints: ["r1:eth1", "r3:eth1"]
`);
  const r1 = nodeOf(lab, 'r1');
  t.deepEqual(r1.labels, { from: 'node', g: '1', k: '1', d: '1' });
  t.is(r1.bgp?.asn, 65009);
  t.is(r1.bgp?.maximumPaths, 4);
  t.deepEqual(r1.bgp?.networks, ['10.255.0.1/32', '10.2.0.0/16']);
  t.is(r1.timers.bgp.holdTime, 30_000);
  t.is(r1.timers.bgp.keepalive, 5000);
  t.is(r1.interfaces[0]?.mtu, 1400);
  t.deepEqual(addressesOf(lab, 'r1'), ['eth1 10.0.9.1/30']);
  t.is(nodeOf(lab, 'r2').labels.from, 'group');
  const r3 = nodeOf(lab, 'r3');
  t.deepEqual(r3.labels, { from: 'kind', k: '1', d: '1' });
  t.deepEqual(r3.bgp?.networks, ['10.255.0.3/32', '10.1.0.0/16']);
  t.is(r3.timers.bgp.keepalive, 10_000);
});

test("a group's kind and a kind's group count where the node has none", (t) => {
  const lab = compile(`
name: x
topology:
  kinds:
    host: {group: edge}
  groups:
    spines: {kind: router, labels: {tier: spine}}
    edge: {labels: {tier: edge}}
  nodes:
    s1: {group: spines}
    h1: {kind: host}
  links:
    - endpoints: ["s1:eth1", "h1:eth1"]
`);
  t.is(nodeOf(lab, 's1').role, 'router');
  t.is(nodeOf(lab, 's1').labels.tier, 'spine');
  t.is(nodeOf(lab, 'h1').labels.tier, 'edge');
});

test('nodes are numbered in the order of the file, ports in the order of names, and MACs follow', (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    b: {kind: router}
    a: {kind: router}
  links:
    - endpoints: ["b:eth10", "a:eth1"]
    - endpoints: ["b:eth2", "a:eth2"]
segments:
  lan: {subnet: 10.9.0.0/24, nodes: all, mtu: 9000}
`);
  t.deepEqual(
    lab.nodes.map(({ name, number }) => [name, number]),
    [
      ['b', 1],
      ['a', 2],
    ],
  );
  const ports = nodeOf(lab, 'b').interfaces.map(({ name, port, mac, mtu }) => [name, port, mac, mtu]);
  t.deepEqual(ports, [
    ['eth0', 0, '02:52:00:01:00:00', 9000],
    ['eth2', 1, '02:52:00:01:00:01', 1500],
    ['eth10', 2, '02:52:00:01:00:02', 1500],
  ]);
  t.is(nodeOf(lab, 'a').interfaces[0]?.mac, '02:52:00:02:00:00');
});

test('links take /31s of the pool in order, around the subnets that are given', (t) => {
  const lab = compile(`
name: x
topology:
  nodes: {r1: {kind: router}, r2: {kind: router}, r3: {kind: router}}
  linkSubnet: 10.7.0.0/24
  links:
    - {endpoints: ["r1:eth1", "r2:eth1"], delay: 5ms}
    - {endpoints: ["r1:eth2", "r2:eth2"], subnet: 10.7.0.2/31}
    - {endpoints: ["r1:eth3", "r2:eth3"]}
    - {endpoints: ["r1:eth4", "r3:eth1"], subnet: 10.7.0.4/30, mtu: 1400}
    - {endpoints: ["r2:eth4", "r3:eth2"]}
`);
  t.deepEqual(
    lab.segments.map(({ name, kind, subnet, delay }) => [name, kind, subnet, delay]),
    [
      ['r1_eth1__r2_eth1', 'p2p', '10.7.0.0/31', 5],
      ['r1_eth2__r2_eth2', 'p2p', '10.7.0.2/31', 0],
      ['r1_eth3__r2_eth3', 'p2p', '10.7.0.8/31', 0],
      ['r1_eth4__r3_eth1', 'p2p', '10.7.0.4/30', 0],
      ['r2_eth4__r3_eth2', 'p2p', '10.7.0.10/31', 0],
    ],
  );
  t.deepEqual(addressesOf(lab, 'r1'), [
    'eth1 10.7.0.0/31',
    'eth2 10.7.0.2/31',
    'eth3 10.7.0.8/31',
    'eth4 10.7.0.5/30',
  ]);
  t.deepEqual(addressesOf(lab, 'r3'), ['eth1 10.7.0.6/30', 'eth2 10.7.0.11/31']);
  t.is(nodeOf(lab, 'r1').interfaces[0]?.netem?.delay, 5);
  t.is(nodeOf(lab, 'r3').interfaces[0]?.mtu, 1400);
});

test('segments give addresses in the order of their list, past those that are given', (t) => {
  const lab = compile(`
name: x
topology:
  defaults: {kind: router}
  nodes:
    a:
    b: {interfaces: {eth5: {segment: lan, address: 10.1.0.12}}}
    c:
    d: {interfaces: {eth0: {segment: lan}}}
segments:
  lan: {subnet: 10.1.0.0/24, rangeStart: 10.1.0.11, nodes: [c, a, b], delay: 2ms}
`);
  t.deepEqual(addressesOf(lab, 'c'), ['eth0 10.1.0.11/24']);
  t.deepEqual(addressesOf(lab, 'b'), ['eth5 10.1.0.12/24']);
  t.deepEqual(addressesOf(lab, 'a'), ['eth0 10.1.0.13/24']);
  t.deepEqual(addressesOf(lab, 'd'), ['eth0 10.1.0.14/24']);
  t.deepEqual(lab.segments[0]?.members, [
    { node: 'c', iface: 'eth0' },
    { node: 'a', iface: 'eth0' },
    { node: 'b', iface: 'eth5' },
    { node: 'd', iface: 'eth0' },
  ]);
  t.is(nodeOf(lab, 'a').interfaces[0]?.netem?.delay, 2);
});

test('routers have a loopback of the pool, or what they list', (t) => {
  const lab = compile(`
name: x
topology:
  loopbackSubnet: 10.99.0.0/24
  nodes:
    h1: {kind: host}
    r2: {kind: router}
    r3: {kind: router, loopbacks: [1.1.1.1, 2.2.2.2], bgp: {as: 65003}}
    r4: {kind: router, loopbacks: []}
  links:
    - endpoints: ["h1:eth0", "r2:eth1"]
    - endpoints: ["r3:eth0", "r2:eth2"]
`);
  t.deepEqual(
    lab.nodes.map((node) => node.loopbacks),
    [[], ['10.99.0.2/32'], ['1.1.1.1/32', '2.2.2.2/32'], []],
  );
  t.is(nodeOf(lab, 'r3').bgp?.routerId, '1.1.1.1');
  t.deepEqual(nodeOf(lab, 'r3').bgp?.networks, ['1.1.1.1/32', '2.2.2.2/32']);
});

test("a host's gateway, and static routes", (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    r1: {kind: router, routes: [{dst: 10.8.0.0/16, via: 10.1.0.3, dev: eth0}]}
    h1: {kind: host}
    h2: {kind: host, gateway: 10.1.0.2}
    h3: {kind: host}
segments:
  lan: {subnet: 10.1.0.0/24, nodes: [r1, h1, h2]}
  lonely: {subnet: 10.2.0.0/24, nodes: [h3]}
`);
  t.deepEqual(nodeOf(lab, 'r1').routes, [{ dst: '10.8.0.0/16', via: '10.1.0.3', dev: 'eth0' }]);
  t.deepEqual(nodeOf(lab, 'h1').routes, [{ dst: '0.0.0.0/0', via: '10.1.0.1', dev: '' }]);
  t.deepEqual(nodeOf(lab, 'h2').routes, [{ dst: '0.0.0.0/0', via: '10.1.0.2', dev: '' }]);
  t.deepEqual(nodeOf(lab, 'h3').routes, []);
  t.deepEqual(lab.warnings, ['lab.yaml:8:5: topology.nodes.h3: h3 has no router to send to; set gateway']);
  t.deepEqual(
    lab.nodes.map(({ ipForward }) => ipForward),
    [true, false, false, false],
  );
});

test('routers peer over their links, one session a link', (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    r1: {kind: router, bgp: {as: 65001}}
    r2: {kind: router, bgp: {as: 65002}}
    r3: {kind: router, bgp: {as: 65001}}
    r4: {kind: router}
    h1: {kind: host}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
    - endpoints: ["r1:eth2", "r2:eth2"]
    - endpoints: ["r1:eth3", "r3:eth1"]
    - endpoints: ["r1:eth4", "r4:eth1"]
    - endpoints: ["r1:eth5", "h1:eth0"]
`);
  t.deepEqual(sessionsOf(lab, 'r1'), ['r2@10.0.0.1 65002', 'r2:eth2@10.0.0.3 65002', 'r3@10.0.0.5 65001']);
  t.deepEqual(sessionsOf(lab, 'r2'), ['r1@10.0.0.0 65001', 'r1:eth2@10.0.0.2 65001']);
  t.deepEqual(neighborsOf(lab, 'r1')[0], {
    name: 'r2',
    address: '10.0.0.1',
    localAddress: '10.0.0.0',
    remoteAs: 65002,
    type: 'external',
    routeReflectorClient: false,
    nextHopSelf: false,
    passive: false,
    ttl: 1,
  });
  const internal = neighborsOf(lab, 'r3')[0];
  t.like(internal, { name: 'r1', remoteAs: 65001, type: 'node specific', nextHopSelf: true, ttl: 64 });
  t.is(nodeOf(lab, 'r4').bgp, undefined);
});

test('a router with a list has the neighbours on it and no others, and they have it', (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    r1:
      kind: router
      bgp:
        as: 65001
        neighbors:
          - {node: r2, passive: true, routeReflectorClient: true}
          - {node: r4}
          - {address: 192.0.2.1, as: 64999, localAddress: 10.255.0.1}
    r2: {kind: router, bgp: {as: 65002}}
    r3: {kind: router, bgp: {as: 65003}}
    r4: {kind: router, bgp: {as: 65004}}
    r5: {kind: router, bgp: {as: 65005, neighbors: [{node: r3, as: 65009}]}}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
    - endpoints: ["r1:eth2", "r3:eth1"]
    - endpoints: ["r3:eth2", "r4:eth1"]
    - endpoints: ["r3:eth3", "r5:eth1"]
`);
  t.deepEqual(sessionsOf(lab, 'r1'), [
    'r2@10.0.0.1 65002',
    'r4@10.255.0.4 65004',
    '192.0.2.1@192.0.2.1 64999',
  ]);
  t.like(neighborsOf(lab, 'r1')[0], { passive: true, routeReflectorClient: true, ttl: 1 });
  t.like(neighborsOf(lab, 'r1')[1], { localAddress: '10.255.0.1', ttl: 64, type: 'external' });
  t.deepEqual(sessionsOf(lab, 'r2'), ['r1@10.0.0.0 65001']);
  t.deepEqual(sessionsOf(lab, 'r3'), ['r4@10.0.0.5 65004', 'r5@10.0.0.7 65005']);
  t.deepEqual(sessionsOf(lab, 'r4'), ['r3@10.0.0.4 65003', 'r1@10.255.0.1 65001']);
  t.like(neighborsOf(lab, 'r4')[1], { localAddress: '10.255.0.4', ttl: 64 });
  t.deepEqual(lab.warnings, [
    'lab.yaml:16:68: topology.nodes.r5.bgp.neighbors[0].as: r3 is in AS 65003, not 65009: the session will not come up',
  ]);
});

test('a neighbour that lists others gives a warning', (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    r1: {kind: router, bgp: {as: 65001, neighbors: [{node: r2}]}}
    r2: {kind: router, bgp: {as: 65002, neighbors: []}}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
`);
  t.deepEqual(lab.warnings, [
    'lab.yaml:5:53: topology.nodes.r1.bgp.neighbors[0]: r2 has no session back to 10.0.0.0 of r1; list r1 there, or no neighbours at all',
  ]);
});

const CLUSTER = `
name: x
topology:
  nodes: {n1: , n2: , n3: }
segments:
  lan: {subnet: 172.18.18.0/24, rangeStart: 172.18.18.101, nodes: all}
cluster:
  cni: calico
`;

test('Calico nodes are a full mesh in AS 64512', (t) => {
  const lab = compile(CLUSTER);
  t.deepEqual(sessionsOf(lab, 'n2'), ['n1@172.18.18.101 64512', 'n3@172.18.18.103 64512']);
  for (const node of lab.nodes) {
    t.is(node.role, 'node');
    t.is(node.bgp?.asn, 64512);
    t.is(node.bgp?.clusterId, undefined);
    t.deepEqual(node.cni, { type: 'calico', pool: '192.168.0.0/16', blockSize: 26, mtu: 1500 });
    t.deepEqual(new Set(node.bgp?.neighbors.map(({ type }) => type)), new Set(['node-to-node mesh']));
  }
  t.is(nodeOf(lab, 'n3').bgp?.routerId, '172.18.18.103');
});

test('with reflectors every node peers with each of them, and they with one another', (t) => {
  const lab = compile(
    CLUSTER.replace('n3: }', 'n3: , rr1: {kind: reflector}, rr2: {kind: reflector}}').replace(
      'cni: calico',
      'cni: calico\n  calico: {asNumber: 64999}\n  pods: 1',
    ),
  );
  t.deepEqual(sessionsOf(lab, 'n1'), ['rr1@172.18.18.104 64999', 'rr2@172.18.18.105 64999']);
  t.true(
    neighborsOf(lab, 'n1').every(
      ({ routeReflectorClient: client, type }) => !client && type === 'node specific',
    ),
  );
  const clients = (name: string) =>
    neighborsOf(lab, name).map((neighbor) => [neighbor.name, neighbor.routeReflectorClient]);
  t.deepEqual(clients('rr1'), [
    ['n1', true],
    ['n2', true],
    ['n3', true],
    ['rr2', false],
  ]);
  t.deepEqual(clients('rr2'), [
    ['n1', true],
    ['n2', true],
    ['n3', true],
    ['rr1', false],
  ]);
  t.is(nodeOf(lab, 'rr1').bgp?.clusterId, '244.0.0.1');
  t.is(nodeOf(lab, 'rr2').bgp?.clusterId, '244.0.0.1');
  t.deepEqual(
    lab.pods.map(({ node }) => node),
    ['n1', 'n2', 'n3'],
  );
});

test('reflectors with cluster ids of their own are clients of each other, as in the template of Calico', (t) => {
  const lab = compile(
    CLUSTER.replace(
      'n3: }',
      'rr1: {kind: reflector}, rr2: {kind: reflector, routeReflectorClusterID: 244.0.0.2, schedulable: true}}',
    ).replace('cni: calico', 'cni: calico\n  calico: {mesh: full}\n  pods: 1'),
  );
  t.is(nodeOf(lab, 'rr2').bgp?.clusterId, '244.0.0.2');
  t.true(neighborsOf(lab, 'rr1').find(({ name }) => name === 'rr2')?.routeReflectorClient);
  t.deepEqual(
    sessionsOf(lab, 'n1').map((text) => text.split('@')[0]),
    ['n2', 'rr1', 'rr2'],
  );
  t.deepEqual(
    lab.pods.map(({ node }) => node),
    ['n1', 'n2', 'rr2'],
  );
});

test('a Calico node may have an AS and neighbours of its own, such as the router of its rack', (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    n1: {bgp: {neighbors: [{node: tor}]}}
    n2: {bgp: {as: 64600}}
    tor: {kind: router, bgp: {as: 65001}}
segments:
  rack: {subnet: 172.18.18.0/24, nodes: all}
cluster: {cni: calico}
`);
  t.deepEqual(sessionsOf(lab, 'n1'), ['n2@172.18.18.2 64600', 'tor@172.18.18.3 65001']);
  t.is(neighborsOf(lab, 'n1')[1]?.type, 'node specific');
  t.deepEqual(sessionsOf(lab, 'tor'), ['n1@172.18.18.1 64512']);
  t.like(neighborsOf(lab, 'tor')[0], { type: 'external', ttl: 1 });
  t.is(nodeOf(lab, 'n2').bgp?.asn, 64600);
});

test('flannel nodes have no BGP and the backend that is asked for', (t) => {
  const cni = (section: string) =>
    nodeOf(compile(CLUSTER.replace('cni: calico', `cni: flannel${section}`)), 'n2').cni;
  const common = { type: 'flannel', network: '10.244.0.0/16', subnetLen: 24, iface: 'eth0' } as const;
  t.deepEqual(cni(''), { ...common, backend: { type: 'udp', port: 8285 } });
  t.deepEqual(cni('\n  backend: vxlan\n  podCIDR: 10.8.0.0/16\n  subnetLen: 26'), {
    ...common,
    network: '10.8.0.0/16',
    subnetLen: 26,
    backend: { type: 'vxlan', vni: 1, port: 8472, directRouting: false },
  });
  t.deepEqual(cni('\n  backend: vxlan\n  flannel: {vni: 7, port: 4789, directRouting: true}'), {
    ...common,
    backend: { type: 'vxlan', vni: 7, port: 4789, directRouting: true },
  });
  t.deepEqual(cni('\n  backend: host-gw'), { ...common, backend: { type: 'host-gw' } });
  t.deepEqual(cni('\n  backend: ipip'), { ...common, backend: { type: 'ipip', directRouting: false } });
  t.deepEqual(cni('\n  backend: wireguard'), { ...common, backend: { type: 'wireguard', port: 51_820 } });
  t.is(nodeOf(compile(CLUSTER.replace('calico', 'flannel')), 'n1').bgp, undefined);
});

test("the cluster's interface is the one that is named", (t) => {
  const text = `
name: x
topology:
  nodes: {n1: , n2: }
  links:
    - endpoints: ["n1:eth7", "n2:eth7"]
      mtu: 1400
segments:
  lan: {subnet: 172.18.18.0/24, nodes: all}
cluster: {cni: CNI, interface: eth7}
`;
  const calico = compile(text.replace('CNI', 'calico'));
  t.deepEqual(sessionsOf(calico, 'n1'), ['n2@10.0.0.1 64512']);
  t.like(nodeOf(calico, 'n1').cni, { mtu: 1400 });
  t.like(nodeOf(compile(text.replace('CNI', 'flannel')), 'n1').cni, { iface: 'eth7' });
});

test('host-gw over several segments gives a warning', (t) => {
  const lab = compile(`
name: x
topology:
  nodes: {n1: , n2: }
segments:
  a: {subnet: 172.18.1.0/24, nodes: [n1]}
  b: {subnet: 172.18.2.0/24, nodes: [n2]}
cluster: {cni: flannel, backend: host-gw}
`);
  t.deepEqual(lab.warnings, [
    'lab.yaml:8:34: cluster.backend: host-gw reaches only nodes on the same segment, and the nodes are on several; use vxlan or udp',
  ]);
});

test('ipsec wants a key, and a way for what it is to seal', (t) => {
  const text = (nodes: string, flannel: string) => `
name: x
topology:
  nodes: {n1: ${nodes}, n2: ${nodes}}
segments:
  a: {subnet: 172.18.1.0/24, nodes: all}
cluster: {cni: flannel, backend: ipsec${flannel}}
`;
  const psk = 'k'.repeat(96);
  const lab = compile(text('{gateway: 172.18.1.254}', `, flannel: {psk: ${psk}}`));
  t.deepEqual(lab.warnings, []);
  t.like(nodeOf(lab, 'n1').cni, { type: 'flannel', backend: { type: 'ipsec', psk } });
  t.deepEqual(compile(text('', `, flannel: {psk: ${psk}}`)).warnings, [
    "lab.yaml:7:34: cluster.backend: ipsec makes no routes, and n1 has none to the pods of other nodes; set the nodes' gateway",
  ]);
  t.throws(() => compile(text('{gateway: 172.18.1.254}', '')), {
    message: /cluster\.backend: ipsec needs a key that all nodes share; set flannel\.psk/,
  });
});

test('pods of every node, and deployments over the nodes in turn', (t) => {
  const names = (section: string) =>
    compile(`${CLUSTER}  ${section}\n`).pods.map(({ namespace, name, node, labels }) => {
      return `${namespace}/${name} ${node} ${Object.entries(labels).join()}`;
    });
  t.deepEqual(names('pods: 1'), [
    'default/web-n1-1 n1 app,web',
    'default/web-n2-1 n2 app,web',
    'default/web-n3-1 n3 app,web',
  ]);
  t.deepEqual(
    names('pods: {perNode: 1, name: db, namespace: data, labels: {tier: back}}')[2],
    'data/db-n3-1 n3 tier,back',
  );
  t.deepEqual(
    names('deployments: [{name: web, replicas: 4, labels: {app: shop}}, {name: cache, replicas: 2}]'),
    [
      'default/web-1 n1 app,shop',
      'default/web-2 n2 app,shop',
      'default/web-3 n3 app,shop',
      'default/web-4 n1 app,shop',
      'default/cache-1 n2 app,cache',
      'default/cache-2 n3 app,cache',
    ],
  );
});

test('timers are those of the real systems', (t) => {
  const lab = compile(`${CLUSTER.replace('n3: }', 'n3: , r1: {kind: router}}')}`);
  t.deepEqual(nodeOf(lab, 'n1').timers.bgp, {
    holdTime: 240_000,
    keepalive: 80_000,
    connectRetry: 5000,
    connectDelay: 100,
    mraiIbgp: 0,
    mraiEbgp: 0,
    idleHold: 5000,
    idleHoldMax: 30_000,
    startupHold: 240_000,
  });
  t.like(nodeOf(lab, 'r1').timers.bgp, { holdTime: 90_000, keepalive: 30_000, connectRetry: 120_000 });
  t.deepEqual(nodeOf(lab, 'r1').timers.neighbor, {
    reachable: 30_000,
    delayFirstProbe: 5000,
    retrans: 1000,
    gcStale: 60_000,
  });
  t.is(nodeOf(lab, 'n1').timers.bridge.ageing, 300_000);
  t.deepEqual(nodeOf(lab, 'n1').timers.tcp, { rtoInitial: 1000, rtoMin: 200, rtoMax: 120_000, msl: 30_000 });
  t.deepEqual(nodeOf(lab, 'n1').timers.flannel, {
    leaseTtl: 86_400_000,
    renewMargin: 3_600_000,
    routeCheck: 10_000,
  });
  t.is(lab.timeScale, 1);
});

test("the node's timers win over the lab's, and the scale shortens them all", (t) => {
  const lab = compile(
    `${CLUSTER.replace('n3: }', 'n3: {timers: {tcp: {msl: 10s}}}}')}timers:\n  scale: 0.1\n  tcp: {msl: 20s, rtoMin: 100ms}\n  bgp: {holdTime: 9s}\n`,
  );
  t.is(lab.timeScale, 0.1);
  const [n1, n3] = [nodeOf(lab, 'n1').timers, nodeOf(lab, 'n3').timers];
  t.is(Math.round(n1.tcp.msl), 2000);
  t.is(Math.round(n3.tcp.msl), 1000);
  t.is(Math.round(n3.tcp.rtoMin), 10);
  t.is(Math.round(n1.bgp.holdTime), 900);
  t.is(Math.round(n1.bgp.keepalive), 300);
  t.is(Math.round(n1.neighbor.reachable), 3000);
  t.is(Math.round(n1.flannel.leaseTtl), 8_640_000);
});

test('a hold time that is set takes the keepalive down with it, and 0 is allowed', (t) => {
  const keepalive = (section: string) =>
    nodeOf(compile(`${CLUSTER}timers: {bgp: {${section}}}\n`), 'n1').timers.bgp.keepalive;
  t.is(keepalive('holdTime: 30s'), 10_000);
  t.is(keepalive('holdTime: 600s'), 80_000);
  t.is(keepalive('holdTime: 30s, keepalive: 1s'), 1000);
  t.is(keepalive('holdTime: 0'), 0);
});

test('the same file gives the same lab, and a node more leaves the dice of the others', (t) => {
  t.deepEqual(compile(CLUSTER), compile(CLUSTER));
  const more = compile(CLUSTER.replace('n3: }', 'n3: , n4: }'));
  t.is(nodeOf(more, 'n2').seed, nodeOf(compile(CLUSTER), 'n2').seed);
  t.not(nodeOf(more, 'n2').seed, nodeOf(more, 'n3').seed);
  t.not(nodeOf(compile(`${CLUSTER}seed: 7\n`), 'n2').seed, nodeOf(more, 'n2').seed);
});

test('farEnd knows the other end of a link, and none on a LAN', (t) => {
  const lab = compile(`
name: x
topology:
  nodes: {r1: {kind: router}, r2: {kind: router}}
  links:
    - endpoints: ["r1:eth1", "r2:eth9"]
segments:
  lan: {subnet: 10.1.0.0/24, nodes: all}
`);
  t.deepEqual(farEnd(lab, 'r1', 'eth1'), { node: 'r2', device: 'eth9' });
  t.deepEqual(farEnd(lab, 'r2', 'eth9'), { node: 'r1', device: 'eth1' });
  t.is(farEnd(lab, 'r1', 'eth0'), null);
  t.is(farEnd(lab, 'r1', 'eth5'), null);
});

test('describe tells the size of the lab and the timers in force', (t) => {
  const text = describe(
    compile(`${CLUSTER.replace('n3: }', 'n3: , r1: {kind: router}}')}  pods: 2\ntimers: {scale: 0.5}\n`),
  );
  t.regex(
    text,
    /^lab x: 4 nodes \(3 cluster nodes, 1 router\), 6 pods, seed 1\n {2}0 links, 3 BGP sessions\n/,
  );
  t.regex(text, /segment lan: 172\.18\.18\.0\/24, 4 interfaces, 0s one way/);
  t.regex(text, /timers, all multiplied by 0\.5\n {2}3 cluster nodes\n {4}bgp {6}holdTime 2m, keepalive 40s/);
  t.regex(text, / {2}1 router\n {4}neighbor reachable 15s/);
});

test('whatever is linked, addresses are unique, in their subnets, and sessions have two ends', (t) => {
  const link = fc
    .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }))
    .filter(([a, b]) => a !== b);
  fc.assert(
    fc.property(
      fc.array(link, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 8 }),
      (links, lan) => {
        const nodes = Array.from(
          { length: 8 },
          (_, i) => `    r${i + 1}: {kind: router, bgp: {as: ${65001 + i}}}`,
        );
        const lines = links.map(([a, b], i) => `    - endpoints: ["r${a}:p${i}", "r${b}:p${i}"]`);
        const members = [...new Set(lan)].map((i) => `r${i}`).join(', ');
        const text = `name: x\ntopology:\n  nodes:\n${nodes.join('\n')}\n  links:${links.length === 0 ? ' []' : ''}\n${lines.join('\n')}\nsegments:\n  lan: {subnet: 10.1.0.0/28, nodes: [${members}]}\n`;
        const lab = compile(text);
        const all = lab.nodes.flatMap((node) => [
          ...node.loopbacks.map((address) => address.split('/')[0]!),
          ...node.interfaces.flatMap(({ addresses }) => addresses.map((address) => address.split('/')[0]!)),
        ]);
        t.is(new Set(all).size, all.length);
        t.is(
          new Set(lab.nodes.flatMap(({ interfaces }) => interfaces.map(({ mac }) => mac))).size,
          all.length - 8,
        );
        for (const { name, subnet, members: on } of lab.segments) {
          const prefix = parsePrefix(subnet)!;
          for (const { node, iface } of on) {
            const found = nodeOf(lab, node).interfaces.find((candidate) => candidate.name === iface);
            t.is(found?.segment, name);
            t.true(prefixContains(prefix, parsePrefix(found!.addresses[0]!.split('/')[0]!)!.addr));
          }
        }
        for (const node of lab.nodes) {
          const names = neighborsOf(lab, node.name).map((neighbor) => neighbor.name);
          t.is(new Set(names).size, names.length);
          for (const { name, address, localAddress, remoteAs } of neighborsOf(lab, node.name)) {
            const peer = nodeOf(lab, name.split(':')[0]!);
            t.is(peer.bgp?.asn, remoteAs);
            t.true(
              neighborsOf(lab, peer.name).some(
                (back) => back.address === localAddress && back.localAddress === address,
              ),
            );
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('no text makes the compiler fail otherwise than by a LabError', (t) => {
  const word = fc.constantFrom(
    ...[
      'name',
      'topology',
      'nodes',
      'links',
      'segments',
      'cluster',
      'cni',
      'generate',
      'kind',
      'bgp',
      'as',
      'x',
      'n1',
    ],
    ...[
      'router',
      'all',
      'calico',
      'subnet',
      '10.0.0.0/30',
      '65001',
      '5ms',
      '',
      '[]',
      '{}',
      'null',
      '"n1:eth1"',
      '-',
      '&a',
      '*a',
    ],
  );
  const line = fc.tuple(fc.integer({ min: 0, max: 4 }), word, word).map(([depth, key, value]) => {
    return `${'  '.repeat(depth)}${key === '-' ? '- ' : `${key}: `}${value}`;
  });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 14 }), (lines) => {
      for (const problem of problemsOf(lines.join('\n'))) t.regex(problem, /^lab\.yaml:\d+:\d+: ./);
      t.pass();
    }),
    { numRuns: 400 },
  );
});
