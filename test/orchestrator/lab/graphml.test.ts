import test from 'ava';
import { importGraphml } from '../../../orchestrator/lab/graphml.ts';
import { nodeOf, problemsIn, sessionsOf } from './support.ts';

const KEYS = `<key attr.name="label" attr.type="string" for="node" id="d0" />
<key attr.name="Latitude" attr.type="double" for="node" id="d1" />
<key attr.name="Longitude" attr.type="double" for="node" id="d2" />
<key attr.name="Internal" attr.type="int" for="node" id="d3" />
<key attr.name="hyperedge" attr.type="int" for="node" id="d4" />
<key attr.name="LinkSpeed" attr.type="string" for="edge" id="d5" />
<key attr.name="label" attr.type="string" for="edge" id="d6" />`;

function graph(body: string, attributes = 'edgedefault="undirected"'): string {
  return `<graphml>\n${KEYS}\n<graph ${attributes}>\n${body}\n</graph>\n</graphml>\n`;
}

function read(body: string, attributes?: string) {
  return importGraphml(graph(body, attributes), 'g.graphml');
}

function node(id: string, data: Partial<Record<'d0' | 'd1' | 'd2' | 'd3' | 'd4', string>> = {}): string {
  const lines = Object.entries(data).map(([key, value]) => `<data key="${key}">${value}</data>`);
  return `<node id="${id}">${lines.join('')}</node>`;
}

function edge(source: string, target: string, rest = ''): string {
  return `<edge source="${source}" target="${target}"${rest}></edge>`;
}

test('a vertex is a router with an AS and a loopback, an edge a link with eBGP', (t) => {
  const lab = importGraphml(
    graph(`${node('0', { d0: 'New York' })}${node('1', { d0: 'Chicago' })}${edge('0', '1')}`),
    'x/Abilene.graphml',
  );
  t.is(lab.name, 'abilene');
  t.deepEqual(
    lab.nodes.map(({ name, role }) => [name, role]),
    [
      ['new-york', 'router'],
      ['chicago', 'router'],
    ],
  );
  const [a] = lab.nodes;
  t.deepEqual(a?.loopbacks, ['10.255.0.1/32']);
  t.like(a?.bgp, { asn: 4_200_000_001, routerId: '10.255.0.1', networks: ['10.255.0.1/32'] });
  t.deepEqual(sessionsOf(lab, 'new-york'), ['chicago@10.0.0.1 4200000002']);
  t.deepEqual(a?.labels, { label: 'New York' });
  t.is(importGraphml(graph(node('0')), 'x.graphml', 'mine').name, 'mine');
});

test('labels become names: missing, double, foreign, and as yEd draws them', (t) => {
  const drawn =
    '<node id="n7"><data key="d9"><y:ShapeNode xmlns:y="y"><y:NodeLabel>Oslo</y:NodeLabel></y:ShapeNode></data></node>';
  const body = [
    node('0', { d0: 'Zürich' }),
    node('1', { d0: 'Zurich' }),
    node('2', { d0: 'zurich-2' }),
    node('3'),
    node('4', { d0: 'None' }),
    node('5', { d0: '???' }),
    node('6', { d0: 'Smith &amp; Sons, Ltd.' }),
    node('8', { d0: 'orchestrator' }),
    node('9', { d0: 'x'.repeat(80) }),
    drawn,
  ];
  const { nodes } = read(body.join('\n'));
  t.deepEqual(
    nodes.map(({ name }) => name),
    [
      'zurich',
      'zurich-2',
      'zurich-2-2',
      'v3',
      'v4',
      'v5',
      'smith-sons-ltd',
      'orchestrator-2',
      'x'.repeat(50),
      'oslo',
    ],
  );
  t.is(nodes[6]?.labels.label, 'Smith & Sons, Ltd.');
});

test('a link is as long as the great circle, 5 µs a km', (t) => {
  const place = (id: string, latitude: number, longitude: number) =>
    node(id, { d1: String(latitude), d2: String(longitude) });
  const lab = read(
    [
      place('pole', 90, 0),
      place('equator', 0, 77),
      place('west', 0, -179),
      place('east', 0, 179),
      edge('pole', 'equator'),
      edge('west', 'east'),
    ].join(''),
  );
  const quarter = (6371.0088 * Math.PI) / 2;
  t.is(lab.segments[0]?.delay, Math.round(quarter * 5) / 1000);
  t.is(lab.segments[1]?.delay, Math.round((quarter / 90) * 2 * 5) / 1000);
});

test('without coordinates a link takes 1 ms, with a warning', (t) => {
  const lab = read(
    [
      node('0', { d1: '47', d2: '8' }),
      node('1', { d1: '47' }),
      node('2', { d1: '91', d2: '8' }),
      edge('0', '1'),
      edge('0', '2'),
    ].join('\n'),
  );
  t.deepEqual(
    lab.segments.map(({ delay }) => delay),
    [1, 1],
  );
  t.deepEqual(lab.warnings, ['g.graphml:11:1: 2 without coordinates (v1, v2): their links take 1ms']);
});

test('parallel edges are links of their own, a loop is left out', (t) => {
  const lab = read(
    [node('0'), node('1'), edge('0', '1'), edge('1', '0'), edge('0', '1'), edge('1', '1')].join('\n'),
  );
  t.is(lab.segments.length, 3);
  t.deepEqual(sessionsOf(lab, 'v0'), [
    'v1@10.0.0.1 4200000002',
    'v1:eth2@10.0.0.2 4200000002',
    'v1:eth3@10.0.0.5 4200000002',
  ]);
  t.is(lab.warnings.at(-1), "g.graphml:15:1: an edge from '1' to itself is left out");
});

test('in a directed graph there and back is one link', (t) => {
  const body = [
    node('0'),
    node('1'),
    node('2'),
    edge('0', '1'),
    edge('1', '0'),
    edge('0', '1'),
    edge('1', '2'),
  ].join('\n');
  const directed = read(body, 'edgedefault="directed"');
  t.deepEqual(
    directed.segments.map(({ members }) => members.map(({ node: name }) => name).join('-')),
    ['v0-v1', 'v0-v1', 'v1-v2'],
  );
  t.is(
    directed.warnings.at(-1),
    'g.graphml:14:1: 1 directed edges that lead back along another are the same link',
  );
  t.is(read(body).segments.length, 4);
  const each = [
    node('0'),
    node('1'),
    edge('0', '1', ' directed="true"'),
    edge('1', '0', ' directed="true"'),
    edge('0', '1'),
  ];
  t.is(read(each.join('')).segments.length, 2);
});

test('a hyperedge vertex is a LAN, and hyperedges next to each other are one', (t) => {
  const lab = read(
    [
      node('0', { d1: '0', d2: '0' }),
      node('1', { d1: '0', d2: '10' }),
      node('2', { d1: '0', d2: '20' }),
      node('3', { d1: '0', d2: '0' }),
      node('h', { d4: '1', d0: 'Exchange' }),
      node('i', { d4: 'True' }),
      edge('0', 'h'),
      edge('h', '1'),
      edge('h', 'i'),
      edge('2', 'i'),
      edge('2', 'i'),
      edge('2', '3'),
    ].join('\n'),
  );
  t.deepEqual(
    lab.nodes.map(({ name }) => name),
    ['v0', 'v1', 'v2', 'v3'],
  );
  const [lan] = lab.segments;
  t.like(lan, { name: 'exchange', kind: 'lan', subnet: '10.1.0.0/24' });
  t.deepEqual(
    lan?.members.map(({ node: name }) => name),
    ['v0', 'v1', 'v2'],
  );
  const degree = (6371.0088 * Math.PI) / 180;
  t.is(lan?.delay, Math.round(((10 + 10 + 20) / 3) * degree * 5) / 1000);
  t.deepEqual(
    sessionsOf(lab, 'v2').map((text) => text.split('@')[0]),
    ['v0', 'v1', 'v3'],
  );
});

test('the hyperedges of GraphML itself are LANs too', (t) => {
  const hyperedge = (...ids: string[]) =>
    `<hyperedge>${ids.map((id) => `<endpoint node="${id}"/>`).join('')}</hyperedge>`;
  const lab = read(
    [
      node('0'),
      node('1'),
      node('2'),
      node('h', { d4: '1' }),
      hyperedge('0', '1', 'h'),
      edge('2', 'h'),
      hyperedge('0', '2'),
    ].join(''),
  );
  t.deepEqual(
    lab.segments.map(({ name, kind, subnet }) => [name, kind, subnet]),
    [
      ['lan', 'lan', '10.1.0.0/24'],
      ['lan-2', 'lan', '10.1.1.0/24'],
    ],
  );
  t.deepEqual(
    lab.segments.map(({ members }) => members.length),
    [3, 2],
  );
});

test('a hyperedge that joins nothing is left out, with a warning', (t) => {
  const lab = read([node('0', { d1: '1', d2: '1' }), node('h', { d4: '1' }), edge('0', 'h')].join('\n'));
  t.deepEqual(lab.segments, []);
  t.deepEqual(lab.warnings, [
    'g.graphml:11:1: a hyperedge with 1 routers on it joins nothing and is left out',
  ]);
});

test('external vertices are routers with a label, and what says nothing of routing is passed over', (t) => {
  const speedy =
    '<edge source="0" target="1"><data key="d5">10</data><data key="d6">OC-192</data><data key="nokey">x</data></edge>';
  const lab = read([node('0', { d3: '0' }), node('1', { d3: 'True' }), speedy].join(''));
  t.is(nodeOf(lab, 'v0').labels.internal, 'false');
  t.is(nodeOf(lab, 'v1').labels.internal, undefined);
  t.is(lab.segments.length, 1);
});

test('defaults of keys, CDATA, nested graphs, a byte order mark, and the stray quotes of the Zoo', (t) => {
  const text = `\uFEFF<?xml version="1.0" encoding="utf-8"?>
<!-- yEd -->
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key attr.name="label" for="node" id="d0"><default>Nowhere</default></key>"
<key for="node" id="d9" yfiles.type="nodegraphics"/>"
<graph edgedefault="undirected">
<node id="a"><data key="d0"><![CDATA[Paris <FR>]]></data></node>
<node id="b"><graph><node id="b::c"/></graph></node>
<edge source="a" target="b::c"/>
</graph>
</graphml>`;
  const lab = importGraphml(text, 'g.graphml');
  t.deepEqual(
    lab.nodes.map(({ name }) => name),
    ['paris-fr', 'nowhere', 'nowhere-2'],
  );
  t.is(lab.segments[0]?.members[1]?.node, 'nowhere-2');
});

test('many entities are no attack', (t) => {
  const lab = read(Array.from({ length: 3000 }, (_, i) => node(String(i), { d0: `A &amp; B` })).join('\n'));
  t.is(lab.nodes.length, 3000);
  t.is(lab.nodes[2999]?.labels.label, 'A & B');
});

test('XML that is not well-formed, with the line', (t) => {
  const broken = (text: string) => problemsIn(() => importGraphml(text, 'g.graphml'));
  t.deepEqual(broken('<graphml>\n<graph>\n<node id="0">\n</graph>\n</graphml>'), [
    "g.graphml:4:1: Expected closing tag 'node' (opened in line 3, col 1) instead of closing tag 'graph'; the XML is not well-formed here",
  ]);
  t.regex(broken('')[0]!, /^g\.graphml:1:1: /);
  t.regex(broken('graph { a -- b }')[0]!, /^g\.graphml:1:\d+: .*not well-formed/);
  t.deepEqual(broken('<html><body/></html>'), ['g.graphml:1:1: this is XML and no <graphml>']);
  t.deepEqual(broken('<graphml>\n</graphml>'), ['g.graphml:1:1: there is no <graph> in it']);
  t.deepEqual(broken(graph('')), ['g.graphml:1:1: the graph has no nodes']);
});

test('nodes and edges that cannot be, all at once', (t) => {
  const body = ['<node/>', node('0'), node('0'), edge('0', '7'), '<edge source="0"/>'].join('\n');
  t.deepEqual(
    problemsIn(() => read(body)),
    [
      'g.graphml:10:1: a <node> without an id; add id="…"',
      "g.graphml:12:1: node id '0' is there twice; renumber one of the two",
      "g.graphml:13:1: a <edge> to '7', and there is no such node; add the node or remove the edge",
      'g.graphml:14:1: a <edge> that does not say where it ends; add source and target',
    ],
  );
});

test('the same graph gives the same lab', (t) => {
  const body = [node('0'), node('1'), edge('0', '1')].join('');
  t.deepEqual(read(body), read(body));
});
