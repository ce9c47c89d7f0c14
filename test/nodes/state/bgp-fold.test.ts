import test from 'ava';
import fc from 'fast-check';
import { snapshotSpeaker } from '../../../nodes/daemons/bgp/snapshot.ts';
import { BgpFold } from '../../../nodes/state/bgp-fold.ts';
import type { BgpView } from '../../../nodes/state/bgp-view.ts';
import { formatKey } from '../../../protocols/bgp/nlri.ts';
import { attributeFields, prefixKeys, route } from '../../protocols/bgp/arbitrary.ts';
import { FAST, Lab, type LabNode } from '../../protocols/bgp/lab.ts';
import { Solo } from '../../protocols/bgp/solo.ts';
import { build, type LinkSpec, numbered } from '../../protocols/bgp/topology.ts';

const followers = new WeakMap<LabNode, { readonly fold: BgpFold; read: number }>();

/** The fold of a node's log up to now; events already folded are not folded again. */
function folded(node: LabNode): BgpView {
  const follower = followers.get(node) ?? { fold: new BgpFold(), read: 0 };
  followers.set(node, follower);
  for (const { event } of node.log.slice(follower.read)) follower.fold.apply(event);
  follower.read = node.log.length;
  return follower.fold.view();
}

test('before anything has happened both are empty', (t) => {
  const lab = new Lab();
  const [node] = build(
    lab,
    numbered(2, () => 65000),
    [{ a: 'n1', b: 'n2' }],
  );
  t.deepEqual(folded(node!), snapshotSpeaker(node!.speaker));
  t.deepEqual(folded(node!), { sessions: [], adjRibIn: {}, locRib: [], adjRibOut: {}, originated: [] });
});

test('the view says in words what was exchanged', (t) => {
  const lab = new Lab();
  const specs = numbered(2, (i) => 65000 + i);
  const [node] = build(lab, specs, [{ a: 'n1', b: 'n2' }]);
  lab.start();
  lab.run(100);
  const view = folded(node!);
  t.deepEqual(view, snapshotSpeaker(node!.speaker));
  t.deepEqual(view.sessions, [{ peer: 'n2', state: 'Established' }]);
  t.deepEqual(view.originated, ['10.244.1.0/24']);
  t.like(view.adjRibIn.n2?.[0], {
    prefix: '10.244.2.0/24',
    attributes: { asPath: '65002', nexthop: '10.0.0.2' },
  });
  t.like(view.adjRibOut.n2?.[0], {
    prefix: '10.244.1.0/24',
    attributes: { asPath: '65001', nexthop: '10.0.0.1' },
  });
  t.deepEqual(view.locRib[1], {
    prefix: '10.244.2.0/24',
    peer: 'n2',
    nexthop: '10.0.0.2',
    asPath: '65002',
    localPref: 100,
    origin: 'IGP',
    med: null,
    communities: [],
    originatorId: '',
    clusterList: [],
    multipath: ['10.0.0.2'],
  });
});

test('a boot clears everything', (t) => {
  const solo = new Solo({ asn: 65000, networks: ['10.1.0.0/24'] }, [
    { name: 'e1', asn: 65001, address: '10.0.0.1' },
  ]);
  solo.announce('e1', route(0x0a000001, [65001]), '10.2.0.0/24');
  const fold = new BgpFold();
  for (const { event } of solo.node.log) fold.apply(event);
  t.is(fold.view().locRib.length, 2);
  fold.apply({ type: 'node.booted', boot: 2, config: '' });
  t.deepEqual(fold.view(), { sessions: [], adjRibIn: {}, locRib: [], adjRibOut: {}, originated: [] });
});

// ---- any topology, any operations, at any moment

type Operation =
  | { readonly type: 'originate' | 'withdraw'; readonly node: number; readonly prefix: number }
  | { readonly type: 'stop' | 'start' | 'lost' | 'cut' | 'mend'; readonly link: number }
  | { readonly type: 'unreachable' | 'reachable'; readonly node: number; readonly other: number }
  | { readonly type: 'look' };

const operation: fc.Arbitrary<readonly [Operation, number]> = fc.tuple(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constantFrom('originate' as const, 'withdraw' as const),
        node: fc.nat(),
        prefix: fc.nat(4),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('stop', 'start', 'lost'), link: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('cut', 'mend'), link: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constantFrom('unreachable', 'reachable'),
        node: fc.nat(),
        other: fc.nat(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('look') }) },
  ) as fc.Arbitrary<Operation>,
  // Time until the next, ms: within a round trip, within a timer.
  fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 3000 })),
);

const topology = fc.record({
  asns: fc.array(fc.integer({ min: 65001, max: 65003 }), { minLength: 2, maxLength: 5 }),
  links: fc.uniqueArray(fc.tuple(fc.nat(4), fc.nat(4)), {
    minLength: 1,
    maxLength: 8,
    selector: ([a, b]) => `${Math.min(a, b)} ${Math.max(a, b)}`,
  }),
  reflector: fc.boolean(),
  maximumPaths: fc.integer({ min: 1, max: 3 }),
  mrai: fc.constantFrom(0, 0, 400),
  mode: fc.constantFrom('plain' as const, 'split-horizon' as const, 'sender-side-loop-detection' as const),
});

test('the fold of the events is the state, whatever happened, at any moment', (t) => {
  fc.assert(
    fc.property(topology, fc.array(operation, { maxLength: 25 }), (shape, operations) => {
      const n = shape.asns.length;
      const specs = numbered(n, (i) => shape.asns[i - 1]!).map((spec, i) => ({
        ...spec,
        maximumPaths: shape.maximumPaths,
        loopAvoidance: shape.mode,
        mraiAppliesTo: i % 2 === 0 ? ('all' as const) : ('advertisements' as const),
        ...(shape.reflector && i === 0 ? { clusterId: '10.9.9.9' } : {}),
      }));
      const links: LinkSpec[] = shape.links
        .filter(([a, b]) => a !== b && a < n && b < n)
        .map(([a, b]) => {
          const link = { a: `n${a + 1}`, b: `n${b + 1}` };
          const client = a === 0 ? link.b : b === 0 ? link.a : null;
          return shape.reflector && client !== null ? { ...link, client } : link;
        });
      fc.pre(links.length > 0);
      const lab = new Lab();
      const timings = {
        ...FAST,
        holdTime: 3000,
        keepalive: 1000,
        connectRetry: 300,
        idleHold: 50,
        idleHoldMax: 200,
      };
      const nodes = build(lab, specs, links, { ...timings, mraiEbgp: shape.mrai, mraiIbgp: shape.mrai / 2 });
      const compare = () => {
        for (const node of nodes) t.deepEqual(folded(node), snapshotSpeaker(node.speaker));
      };
      lab.start();
      for (const [op, pause] of operations) {
        run(lab, nodes, links, op);
        if (op.type === 'look') compare();
        lab.run(pause);
      }
      compare();
      lab.run(10_000);
      compare();
    }),
    { numRuns: 40 },
  );
});

function run(lab: Lab, nodes: readonly LabNode[], links: readonly LinkSpec[], op: Operation): void {
  switch (op.type) {
    case 'look':
      break;
    case 'originate':
    case 'withdraw':
      nodes[op.node % nodes.length]!.speaker[op.type](`10.1.${op.prefix}.0/24`);
      break;
    case 'unreachable':
    case 'reachable': {
      const node = nodes[op.node % nodes.length]!;
      const addr = 0x0a000000 + 1 + (op.other % nodes.length);
      if (op.type === 'unreachable') node.unreachable.add(addr);
      else node.unreachable.delete(addr);
      node.speaker.fibChanged();
      break;
    }
    default: {
      const { a, b } = links[op.link % links.length]!;
      if (op.type === 'cut' || op.type === 'mend') lab[op.type](a, b);
      else if (op.type === 'stop') lab.node(a).speaker.stopPeer(b);
      else if (op.type === 'start') lab.node(a).speaker.startPeer(b);
      else lab.node(a).speaker.neighborLost(b, 'Network is down');
    }
  }
}

test('the fold follows whatever a peer may send: faults, all attributes, two-octet AS numbers', (t) => {
  const peers = [
    { name: 'i', asn: 65000, address: '10.0.0.1' },
    { name: 'e', asn: 65001, address: '10.0.0.2' },
    { name: 'old', asn: 65002, address: '10.0.0.3', old: true },
  ];
  const message = fc.record({
    peer: fc.constantFrom('i', 'e', 'old'),
    fields: attributeFields,
    keys: fc.array(prefixKeys, { minLength: 1, maxLength: 3 }),
    action: fc.constantFrom('announce', 'announce', 'withdraw', 'break'),
    at: fc.nat(),
    value: fc.nat(255),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 15 }), (messages) => {
      const solo = new Solo({ asn: 65000, clusterId: '10.9.9.9', maximumPaths: 4 }, peers);
      for (const { peer, fields, keys, action, at, value } of messages) {
        if (solo.speaker.session(peer)?.state !== 'Established') continue;
        const prefixes = keys.map(formatKey);
        if (action === 'withdraw') {
          solo.withdraw(peer, ...prefixes);
        } else {
          const bytes = Uint8Array.from(solo.announcement(peer, fields, ...prefixes));
          // A byte behind the header is another one.
          if (action === 'break') bytes[19 + (at % (bytes.length - 19))] = value;
          solo.feed(peer, bytes);
        }
        t.deepEqual(folded(solo.node), snapshotSpeaker(solo.speaker));
      }
      // A route to nowhere in particular: nothing may be left in memory once all sessions are gone.
      for (const { name } of peers) solo.speaker.stopPeer(name);
      t.deepEqual([...solo.speaker.locRib.destinations()], []);
      t.deepEqual(folded(solo.node), snapshotSpeaker(solo.speaker));
    }),
    { numRuns: 60 },
  );
});
