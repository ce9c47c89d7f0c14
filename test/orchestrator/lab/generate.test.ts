import test from 'ava';
import { addressesOf, compile, neighborsOf, nodeOf, problemsOf, sessionsOf } from './support.ts';

function links(text: string): string[] {
  return compile(text).segments.map(({ members }) => members.map(({ node }) => node).join('-'));
}

test('a cluster without reflectors is a full mesh', (t) => {
  const lab = compile('name: x\ngenerate: {kind: cluster, nodes: 5, pods: 2}\n');
  t.deepEqual(
    lab.nodes.map(({ name }) => name),
    ['n1', 'n2', 'n3', 'n4', 'n5'],
  );
  for (const { name } of lab.nodes) t.is(neighborsOf(lab, name).length, 4);
  t.is(neighborsOf(lab, 'n1')[0]?.type, 'node-to-node mesh');
  t.deepEqual(addressesOf(lab, 'n5'), ['eth0 172.18.18.105/24']);
  t.is(lab.pods.length, 10);
});

test('a cluster with reflectors', (t) => {
  const lab = compile('name: x\ngenerate: {kind: cluster, nodes: 20, reflectors: 2, delay: 1ms}\n');
  t.is(lab.nodes.length, 22);
  t.is(neighborsOf(lab, 'n20').length, 2);
  t.is(neighborsOf(lab, 'rr2').length, 21);
  t.is(lab.segments[0]?.delay, 1);
});

test('a cluster too large for a /24 gets a /16, or what it is given', (t) => {
  t.deepEqual(
    addressesOf(compile('name: x\ngenerate: {kind: cluster, nodes: 300, reflectors: 1}\n'), 'n300'),
    ['eth0 172.18.1.44/16'],
  );
  const given = compile('name: x\ngenerate: {kind: cluster, nodes: 3, subnet: 10.1.2.0/28}\n');
  t.deepEqual(addressesOf(given, 'n3'), ['eth0 10.1.2.3/28']);
});

test('a cluster with flannel', (t) => {
  const lab = compile('name: x\ngenerate: {kind: cluster, nodes: 2, cni: flannel, backend: host-gw}\n');
  t.like(nodeOf(lab, 'n1').cni, { type: 'flannel', backend: { type: 'host-gw' } });
});

test('a leaf-spine fabric', (t) => {
  const lab = compile('name: x\ngenerate: {kind: leaf-spine, spines: 2, leaves: 3, hosts: 2, delay: 1ms}\n');
  t.is(lab.nodes.length, 2 + 3 + 6);
  t.deepEqual(
    sessionsOf(lab, 'leaf2').map((text) => text.replace(/@\S+/, '')),
    ['spine1 65000', 'spine2 65000'],
  );
  t.deepEqual(
    sessionsOf(lab, 'spine1').map((text) => text.replace(/@\S+/, '')),
    ['leaf1 65001', 'leaf2 65002', 'leaf3 65003'],
  );
  t.is(nodeOf(lab, 'leaf2').bgp?.maximumPaths, 2);
  t.deepEqual(nodeOf(lab, 'leaf2').bgp?.networks, ['10.255.0.6/32', '10.1.2.0/24']);
  t.deepEqual(addressesOf(lab, 'h2-2'), ['eth0 10.1.2.3/24']);
  t.deepEqual(nodeOf(lab, 'h2-2').routes, [{ dst: '0.0.0.0/0', via: '10.1.2.1', dev: '' }]);
  t.deepEqual(lab.warnings, []);
});

test('line, ring, star and clique of routers', (t) => {
  t.deepEqual(links('name: x\ngenerate: {kind: line, nodes: 4}\n'), ['r1-r2', 'r2-r3', 'r3-r4']);
  t.deepEqual(links('name: x\ngenerate: {kind: ring, nodes: 3}\n'), ['r1-r2', 'r2-r3', 'r3-r1']);
  t.deepEqual(links('name: x\ngenerate: {kind: star, nodes: 4}\n'), ['r1-r2', 'r1-r3', 'r1-r4']);
  t.deepEqual(links('name: x\ngenerate: {kind: clique, nodes: 4}\n'), [
    'r1-r2',
    'r1-r3',
    'r1-r4',
    'r2-r3',
    'r2-r4',
    'r3-r4',
  ]);
  t.deepEqual(links('name: x\ngenerate: {kind: clique, nodes: 1}\n'), []);
});

test('generated routers have an AS each', (t) => {
  const asns = (section: string) =>
    compile(`name: x\ngenerate: {kind: line, ${section}}\n`).nodes.map(({ bgp }) => bgp?.asn);
  t.deepEqual(asns('nodes: 3'), [65001, 65002, 65003]);
  t.deepEqual(asns('nodes: 2, as: 100'), [100, 101]);
  t.is(asns('nodes: 534').at(-1), 65534);
  t.is(asns('nodes: 535').at(-1), 4_200_000_535);
});

test('what else the file says is laid over what is generated', (t) => {
  const lab = compile(`
name: x
generate: {kind: ring, nodes: 3, delay: 2ms}
topology:
  nodes:
    r2: {bgp: {maximumPaths: 4}, labels: {here: "yes"}}
    r9: {kind: router, bgp: {as: 65099}}
  links:
    - endpoints: ["r9:eth1", "r1:eth9"]
`);
  t.deepEqual(
    lab.nodes.map(({ name }) => name),
    ['r1', 'r2', 'r3', 'r9'],
  );
  t.like(nodeOf(lab, 'r2').bgp, { asn: 65002, maximumPaths: 4 });
  t.deepEqual(nodeOf(lab, 'r2').labels, { here: 'yes' });
  t.deepEqual(
    lab.segments.map(({ name }) => name),
    ['r9_eth1__r1_eth9', 'r1_eth1__r2_eth1', 'r2_eth2__r3_eth1', 'r3_eth2__r1_eth2'],
  );
  t.deepEqual(
    lab.segments.map(({ delay }) => delay),
    [0, 2, 2, 2],
  );
});

test('a mistake in what is laid over is shown in its own place', (t) => {
  const text = `name: x
generate: {kind: ring, nodes: 3}
topology:
  nodes:
    r2: {bgp: {maximumPaths: 0}}
    r4: {kind: router, bgp: {}}
  links:
    - endpoints: ["r4:eth1", "r8:eth1"]
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:5:30: topology.nodes.r2.bgp.maximumPaths: 0 is out of range; it is 1 at least',
    'lab.yaml:6:24: topology.nodes.r4.bgp.as: missing AS; give the router its AS, as: 65001 for instance',
    "lab.yaml:8:30: topology.links[0].endpoints[1]: there is no node 'r8'; did you mean 'r1'?",
  ]);
});
