import test from 'ava';
import fc from 'fast-check';
import { decodeMessage } from '../../../protocols/bgp/message.ts';
import { compareKeys } from '../../../protocols/bgp/nlri.ts';
import { FAST, Lab, type LabNode } from './lab.ts';
import { build, everyPair, type LinkSpec, numbered, type SpeakerSpec } from './topology.ts';

function updates(node: LabNode, since: number): number {
  return node.log.filter(
    ({ at, event }) =>
      at >= since && event.type === 'bgp.sent' && decodeMessage(event.message).type === 'update',
  ).length;
}

function table(lab: Lab): Record<string, string[]> {
  return Object.fromEntries([...lab.nodes].map(([name, node]) => [name, node.routes()]));
}

test("full mesh: everybody has everybody's route, told once by its owner", (t) => {
  const n = 8;
  const lab = new Lab();
  const specs = numbered(n, () => 64512);
  build(lab, specs, everyPair(specs.map(({ name }) => name)));
  lab.start();
  lab.converge();
  const expected = (own: string) =>
    specs
      .map(({ address, networks }) => (address === own ? networks![0]! : `${networks![0]} ${address}`))
      .sort();
  for (const { name, address } of specs) t.deepEqual(lab.node(name).routes(), expected(address));
  // One UPDATE and one End-of-RIB marker to each peer.
  for (const { name } of specs) t.is(updates(lab.node(name), 0), 2 * (n - 1));
});

test('route reflection: as many sessions as clients do for a full mesh, next hops kept', (t) => {
  const lab = new Lab();
  const clients = numbered(6, () => 64512);
  const reflectors: SpeakerSpec[] = [1, 2].map((i) => ({
    name: `rr${i}`,
    asn: 64512,
    address: `10.0.1.${i}`,
    clusterId: '10.0.1.100',
  }));
  const links = [
    ...clients.flatMap(({ name }) => reflectors.map((rr) => ({ a: rr.name, b: name, client: name }))),
    { a: 'rr1', b: 'rr2' },
  ];
  build(lab, [...clients, ...reflectors], links);
  lab.start();
  lab.converge();
  for (const { name, address } of clients) {
    const rows = clients.map((c) =>
      c.address === address ? c.networks![0]! : `${c.networks![0]} ${c.address}`,
    );
    t.deepEqual(lab.node(name).routes(), rows.sort());
  }
  // A reflector without forwarding duty installs the routes nevertheless.
  t.is(lab.node('rr1').fib.size, 6);
  // Both reflectors are of one cluster: what one has reflected the other does not take.
  const rr2 = lab.node('rr2').speaker.session('rr1')!;
  t.is([...rr2.ribIn.routes()].filter(({ path }) => path.rejection === 'cluster-loop').length, 6);

  const at = lab.now;
  lab.kill('rr1');
  lab.run(FAST.holdTime + 1000);
  t.true(lab.now > at);
  t.is(lab.node('n1').routes().length, 6, 'the other reflector carries on');
});

test('a node that dies is withdrawn after the hold time, and learned again when it is back', (t) => {
  const lab = new Lab();
  const specs = numbered(4, () => 64512);
  build(lab, specs, everyPair(specs.map(({ name }) => name)));
  lab.start();
  lab.converge();
  const before = table(lab);
  lab.kill('n4');
  lab.run(FAST.holdTime / 2);
  t.is(lab.node('n1').routes().length, 4);
  lab.run(FAST.holdTime);
  t.deepEqual(lab.node('n1').routes(), ['10.244.1.0/24', '10.244.2.0/24 10.0.0.2', '10.244.3.0/24 10.0.0.3']);
  t.false(lab.node('n1').fib.has('10.244.4.0/24'));
  const reborn = lab.add('n4', lab.node('n4').speaker.config, FAST);
  reborn.speaker.start();
  lab.run(2 * FAST.idleHoldMax);
  t.deepEqual(table(lab), before);
});

const SPINES = ['s1', 's2', 's3'];
const LEAVES = ['l1', 'l2', 'l3', 'l4'];

/** RFC 7938 §5.2.1: one AS for all spines, one for each leaf. */
function leafSpine(lab: Lab, loopAvoidance: SpeakerSpec['loopAvoidance'] = 'split-horizon'): void {
  const spines = SPINES.map((name, i) => ({
    name,
    asn: 65000,
    address: `10.0.1.${i + 1}`,
    maximumPaths: 8,
    loopAvoidance,
  }));
  const leaves = LEAVES.map((name, i) => ({
    name,
    asn: 65001 + i,
    address: `10.0.2.${i + 1}`,
    maximumPaths: 8,
    networks: [`10.1.${i + 1}.0/24`],
    loopAvoidance,
  }));
  const links: LinkSpec[] = SPINES.flatMap((a) => LEAVES.map((b) => ({ a, b })));
  build(lab, [...spines, ...leaves] as SpeakerSpec[], links);
  lab.start();
  lab.converge();
}

test('leaf-spine: a leaf reaches every other over all spines at once', (t) => {
  const lab = new Lab();
  leafSpine(lab);
  const every = ['10.0.1.1', '10.0.1.2', '10.0.1.3'];
  t.deepEqual(Object.fromEntries(lab.node('l1').fib), {
    '10.1.2.0/24': every,
    '10.1.3.0/24': every,
    '10.1.4.0/24': every,
  });
  t.deepEqual(lab.node('s1').fib.get('10.1.4.0/24'), ['10.0.2.4']);
  lab.cut('l4', 's2');
  lab.node('l4').speaker.neighborLost('s2', 'Network is down');
  lab.node('s2').speaker.neighborLost('l4', 'Network is down');
  lab.run(1000);
  t.deepEqual(lab.node('l1').fib.get('10.1.4.0/24'), ['10.0.1.1', '10.0.1.3']);
  t.deepEqual(lab.node('l4').fib.get('10.1.1.0/24'), ['10.0.1.1', '10.0.1.3']);
});

test('leaf-spine with sender-side loop detection: a withdrawal takes two hops and no announcement', (t) => {
  const lab = new Lab({ delay: 10 });
  leafSpine(lab, 'sender-side-loop-detection');
  const before = lab.now;
  lab.node('l1').speaker.withdraw('10.1.1.0/24');
  lab.run(1000);
  let last = 0;
  for (const [name, node] of lab.nodes) {
    for (const { at, event } of node.log) {
      if (at < before) continue;
      if (event.type === 'bgp.best') last = Math.max(last, at - before);
      const message = event.type === 'bgp.sent' ? decodeMessage(event.message) : null;
      if (message?.type === 'update')
        t.is(message.body[0] === 0 && message.body[1] === 0, false, `${name} announces`);
    }
    t.false(node.fib.has('10.1.1.0/24'));
  }
  t.is(last, 20);
});

test('a lost session loses what was learned over it everywhere: withdrawals travel on', (t) => {
  const lab = new Lab();
  const chain = numbered(5, (i) => 65000 + i);
  build(
    lab,
    chain,
    chain.slice(1).map(({ name }, i) => ({ a: chain[i]!.name, b: name })),
  );
  lab.start();
  lab.converge();
  t.deepEqual(lab.node('n5').routes()[0], '10.244.1.0/24 10.0.0.4');
  lab.node('n1').speaker.shutdown();
  lab.run(20);
  t.deepEqual(
    lab
      .node('n5')
      .routes()
      .map((row) => row.split(' ')[0]),
    ['10.244.2.0/24', '10.244.3.0/24', '10.244.4.0/24', '10.244.5.0/24'],
  );
});

test('any connected graph of ASes converges, whatever happened to it, to shortest paths', (t) => {
  const graph = fc.integer({ min: 2, max: 6 }).chain((n) =>
    fc.record({
      n: fc.constant(n),
      extra: fc.array(fc.tuple(fc.nat(n - 1), fc.nat(n - 1)), { maxLength: 5 }),
      parents: fc.array(fc.nat(), { minLength: n - 1, maxLength: n - 1 }),
      resets: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 1000 })), { maxLength: 4 }),
      mrai: fc.constantFrom(0, 500),
      mode: fc.constantFrom('plain', 'split-horizon', 'sender-side-loop-detection') as fc.Arbitrary<
        NonNullable<SpeakerSpec['loopAvoidance']>
      >,
    }),
  );
  fc.assert(
    fc.property(graph, ({ n, extra, parents, resets, mrai, mode }) => {
      const pairs = new Set<string>();
      const join = (a: number, b: number) => {
        if (a !== b) pairs.add([Math.min(a, b), Math.max(a, b)].join());
      };
      for (const [i, parent] of parents.entries()) join(i + 1, parent % (i + 1));
      for (const [a, b] of extra) join(a, b);
      const edges = [...pairs].map((pair) => pair.split(',').map(Number) as [number, number]);
      const lab = new Lab();
      const specs = numbered(n, (i) => 65000 + i).map((spec) => ({ ...spec, loopAvoidance: mode }));
      const links = edges.map(([a, b]) => ({ a: `n${a + 1}`, b: `n${b + 1}` }));
      build(lab, specs, links, {
        ...FAST,
        idleHold: 100,
        idleHoldMax: 200,
        connectRetry: 200,
        mraiEbgp: mrai,
      });
      lab.start();
      for (const [which, at] of resets) {
        const { a, b } = links[which % links.length]!;
        lab.at(at, () => lab.node(a).speaker.neighborLost(b, 'Network is down'));
      }
      lab.run(3000);
      lab.converge(60_000);
      // Distances by Floyd and Warshall.
      const far: number[][] = Array.from({ length: n }, (_, i) =>
        Array.from({ length: n }, (__, j) => (i === j ? 0 : 99)),
      );
      for (const [a, b] of edges) far[a]![b] = far[b]![a] = 1;
      for (let k = 0; k < n; k++) {
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) far[i]![j] = Math.min(far[i]![j]!, far[i]![k]! + far[k]![j]!);
        }
      }
      for (let i = 0; i < n; i++) {
        const lengths = [...lab.node(`n${i + 1}`).speaker.locRib.destinations()].sort((a, b) =>
          compareKeys(a.key, b.key),
        );
        t.deepEqual(
          lengths.map(({ best }) => best?.attributes.pathLength),
          far[i]!,
        );
      }
    }),
    { numRuns: 40 },
  );
});
