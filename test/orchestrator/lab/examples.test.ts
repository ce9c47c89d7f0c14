import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import { KINDS, labSchema } from '../../../orchestrator/lab/schema.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { addressesOf, neighborsOf, nodeOf } from './support.ts';

const EXAMPLES = readdirSync('examples').filter(
  (file) => file.endsWith('.graphml') || isLab(`examples/${file}`),
);

/** Scenarios are YAML too; a lab has a topology or generates one. */
function isLab(path: string): boolean {
  return path.endsWith('.yaml') && /^(topology|generate):/m.test(readFileSync(path, 'utf8'));
}

for (const file of EXAMPLES) {
  test(`examples/${file} compiles, and has the name of its file`, async (t) => {
    const lab = await loadLab(`examples/${file}`);
    t.is(`${lab.name}`, file.replace(/\.\w+$/, ''));
    t.true(lab.nodes.length >= 3);
    if (file.endsWith('.yaml')) t.deepEqual(lab.warnings, []);
  });
}

test('the demo is twelve nodes, two reflectors and three pods each', async (t) => {
  const lab = await loadLab('examples/calico-rr.yaml');
  t.is(lab.nodes.filter(({ role }) => role === 'node').length, 12);
  t.is(lab.nodes.filter(({ role }) => role === 'reflector').length, 2);
  t.is(lab.pods.length, 36);
  t.deepEqual(
    neighborsOf(lab, 'n1').map(({ name }) => name),
    ['rr1', 'rr2'],
  );
  t.deepEqual(addressesOf(lab, 'rr2'), ['eth0 172.18.18.114/24']);
  t.deepEqual(lab.pods[0], { namespace: 'default', name: 'web-n1-1', node: 'n1', labels: { app: 'web' } });
});

test('the clusters have as many nodes as they say', async (t) => {
  for (const size of [50, 100]) {
    const lab = await loadLab(`examples/cluster-${size}.yaml`);
    t.is(lab.nodes.filter(({ role }) => role === 'node').length, size);
    t.is(neighborsOf(lab, 'rr1').length, size + 1);
  }
});

test('the flannel examples differ in their backend', async (t) => {
  for (const type of ['vxlan', 'udp', 'host-gw', 'ipip', 'wireguard', 'ipsec']) {
    const lab = await loadLab(`examples/flannel-${type}.yaml`);
    t.is(lab.nodes.length, 4);
    t.like(nodeOf(lab, 'n4').cni, { type: 'flannel', backend: { type } });
    t.deepEqual(addressesOf(lab, 'n4'), ['eth0 192.168.0.44/24']);
  }
});

test('XML is a graph, whatever its file is called', async (t) => {
  const file = join(temporaryFolder(t), 'zoo.xml');
  copyFileSync('examples/zoo-sample.graphml', file);
  const nodes = async (path: string) => (await loadLab(path)).nodes.map(({ name }) => name);
  t.deepEqual(await nodes(file), await nodes('examples/zoo-sample.graphml'));
});

test('the Zoo sample has every oddity', async (t) => {
  const lab = await loadLab('examples/zoo-sample.graphml');
  t.deepEqual(
    lab.nodes.map(({ name }) => name),
    [
      'zurich',
      'wien',
      'praha',
      'frankfurt',
      'frankfurt-2',
      'amsterdam',
      'st-gallen',
      'milano',
      'london',
      'v10',
      'brest',
      'upstream-isp',
      'upstream-isp-2',
      'krakow',
    ],
  );
  t.is(lab.segments.filter(({ kind }) => kind === 'p2p').length, 15);
  t.deepEqual(
    lab.segments.filter(({ kind }) => kind === 'lan').map(({ members }) => members.length),
    [3],
  );
  const between = lab.segments.filter(
    ({ members }) => members.map(({ node }) => node).join() === 'frankfurt,frankfurt-2',
  );
  t.is(between.length, 2);
  t.is(lab.warnings.length, 2);
});

test('docs/lab-file.md tells of every key and every word that a lab file takes', (t) => {
  const doc = readFileSync('docs/lab-file.md', 'utf8');
  const words = new Set<string>();
  collect(z.toJSONSchema(labSchema, { io: 'input', unrepresentable: 'any' }), words);
  t.true(words.has('routeReflectorClusterID') && words.has('rangeStart') && words.has('leaf-spine'));
  for (const word of KINDS) t.true(words.has(word), word);
  const code = new Set(
    Array.from(doc.matchAll(/`([^`]+)`/g), ([, text]) => text!).flatMap((text) => text.split(/[^-\w]+/)),
  );
  for (const word of words) t.true(code.has(word), `docs/lab-file.md does not have \`${word}\``);
});

test('docs/lab-file.md has no key that a lab file does not take', (t) => {
  const doc = readFileSync('docs/lab-file.md', 'utf8');
  const words = new Set<string>();
  collect(z.toJSONSchema(labSchema, { io: 'input', unrepresentable: 'any' }), words);
  const keys = Array.from(doc.matchAll(/^\| (?:`(\w+)` )?\| `(\w+)`|^\| `(\w+)` \|/gm), (match) =>
    match.slice(1),
  );
  t.true(keys.length > 40);
  for (const key of keys.flat()) if (key !== undefined) t.true(words.has(key), key);
});

/** Property names, and constants, of a JSON schema. */
function collect(schema: unknown, words: Set<string>): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties') for (const name of Object.keys(Object(value))) words.add(name);
    if (key === 'const') words.add(String(value));
    if (key === 'enum' && Array.isArray(value)) for (const word of value) words.add(String(word));
    collect(value, words);
  }
}
