import test from 'ava';
import fc from 'fast-check';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import { type DecisionOptions, decide } from '../../../protocols/bgp/decision.ts';
import type { NextHopAddress } from '../../../protocols/bgp/nexthops.ts';
import type { Path, Peer, PeerKind } from '../../../protocols/bgp/path.ts';
import { route } from './arbitrary.ts';

const table = new AttributeTable();
const OPTIONS: DecisionOptions = {
  asn: 65000,
  maximumPaths: 1,
  compareMed: 'same-as',
  multipathAsPath: 'relaxed',
};

interface Sketch {
  readonly kind?: PeerKind | 'local';
  readonly localPref?: number | null;
  readonly asns?: readonly number[];
  readonly origin?: 0 | 1 | 2;
  readonly med?: number | null;
  readonly metric?: number | null;
  readonly identifier?: number;
  readonly originatorId?: number | null;
  readonly clusters?: number;
  readonly address?: number;
  readonly pathId?: number;
  readonly nextHop?: number;
}

function path(sketch: Sketch): Path {
  const { kind = 'external', asns = [65001], nextHop = 1, metric = 0, pathId = 0 } = sketch;
  const clusterList = Array.from({ length: sketch.clusters ?? 0 }, (_, i) => i);
  const attributes = table.intern(
    route(nextHop, asns, {
      localPref: sketch.localPref ?? null,
      origin: sketch.origin ?? 0,
      med: sketch.med ?? null,
      originatorId: sketch.originatorId ?? null,
      clusterList,
    }),
  );
  if (kind === 'local') {
    return {
      peer: null,
      pathId,
      received: attributes,
      attributes,
      nextHop: null,
      rejection: null,
      stale: 'no',
      at: 0,
      telling: 0,
    };
  }
  const peer: Peer = {
    name: 'p',
    kind,
    asn: kind === 'internal' ? 65000 : (asns[0] ?? 65001),
    identifier: sketch.identifier ?? 1,
    address: sketch.address ?? 1,
    localAddress: 2,
    link: null,
    extendedNextHop: 'no',
    client: false,
    nextHopSelf: false,
    asSize: 4,
    ipv4: 'yes',
    ipv6: 'no',
    longLived: 'no',
    sendsPathIds: { ipv4: 'none', ipv6: 'none' },
    maxMessage: 4096,
    options: { routeReflectorClient: false, nextHopSelf: false, passive: false, ttl: 1 },
  };
  const hop = { addr: nextHop, metric, alone: [nextHop] };
  return {
    peer,
    pathId,
    received: attributes,
    attributes,
    nextHop: hop,
    rejection: null,
    stale: 'no',
    at: 0,
    telling: 0,
  };
}

/** Each step alone: the first sketch is to win against the second, wherever it stands. */
const STEPS: readonly (readonly [string, Sketch, Sketch])[] = [
  [
    'an unreachable next hop loses to anything',
    { localPref: 1, asns: [1, 2, 3] },
    { metric: null, localPref: 900 },
  ],
  ['higher LOCAL_PREF', { localPref: 200, asns: [1, 2, 3] }, { localPref: 100 }],
  ['a missing LOCAL_PREF is 100', { asns: [1, 2] }, { localPref: 99 }],
  ['own route', { kind: 'local' }, { kind: 'external', asns: [] }],
  ['LOCAL_PREF before own route', { localPref: 101 }, { kind: 'local' }],
  ['shorter AS_PATH', { asns: [1, 2], origin: 2 }, { asns: [1, 2, 3], origin: 0 }],
  ['lower ORIGIN', { origin: 0, med: 9 }, { origin: 1, med: 1 }],
  ['lower MED of one neighbour AS', { med: 1, kind: 'internal' }, { med: 2, kind: 'external' }],
  ['a missing MED is 0', { kind: 'internal' }, { med: 1 }],
  ['MED of two neighbour ASes is no matter', { asns: [1], med: 9 }, { asns: [2], med: 1, identifier: 2 }],
  ['external before internal', { kind: 'external', metric: 9 }, { kind: 'internal', metric: 1 }],
  ['nearer next hop', { metric: 1, identifier: 9 }, { metric: 2, identifier: 1 }],
  ['lower identifier', { identifier: 1, clusters: 2 }, { identifier: 2 }],
  ["ORIGINATOR_ID in the identifier's place", { identifier: 9, originatorId: 1 }, { identifier: 2 }],
  ['shorter CLUSTER_LIST', { clusters: 1, address: 9 }, { clusters: 2, address: 1 }],
  ['lower peer address', { address: 1, pathId: 9 }, { address: 2, pathId: 1 }],
  ['lower path identifier', { pathId: 1 }, { pathId: 2 }],
];

for (const [name, winner, loser] of STEPS) {
  test(`step: ${name}`, (t) => {
    const a = path(winner);
    const b = path(loser);
    t.is(decide([a, b], OPTIONS).best, a);
    t.is(decide([b, a], OPTIONS).best, a);
  });
}

test('nothing reachable, nothing chosen', (t) => {
  t.deepEqual(decide([], OPTIONS), { best: null, nextHops: [] });
  t.deepEqual(decide([path({ metric: null })], OPTIONS), { best: null, nextHops: [] });
});

test('MED is grouped: the textbook case in which arrival order would decide', (t) => {
  // Pairwise comparison prefers A to B (identifier), B to C (MED), C to A (identifier): a circle.
  const a = path({ asns: [1], med: 0, identifier: 2 });
  const b = path({ asns: [2], med: 0, identifier: 3 });
  const c = path({ asns: [2], med: 5, identifier: 1 });
  for (const order of [
    [a, b, c],
    [a, c, b],
    [b, a, c],
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ]) {
    t.is(decide(order, OPTIONS).best, a);
  }
  t.is(decide([a, b, c], { ...OPTIONS, compareMed: 'always' }).best, a);
  t.is(decide([path({ asns: [1], med: 9, identifier: 1 }), b], { ...OPTIONS, compareMed: 'always' }).best, b);
});

// ---- against a model written as implementations of 'deterministic MED' are: best of each group, then best of those

type Key = readonly number[];

function compareKeys(a: Key, b: Key): number {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value - (b[i] ?? 0);
  return 0;
}

const localPref = (p: Path) => p.attributes.localPref ?? 100;
const hops = (p: Path) =>
  p.attributes.asPath.reduce((sum, s) => sum + (s.type === 'set' ? 1 : s.asns.length), 0);
const med = (p: Path) => p.attributes.med ?? 0;

function head(p: Path): Key {
  return [-localPref(p), p.peer === null ? 0 : 1, hops(p), p.attributes.origin];
}

function middle(p: Path): Key {
  return [p.peer?.kind === 'internal' ? 1 : 0, p.nextHop?.metric ?? 0];
}

function tail(p: Path): Key {
  const { attributes, peer } = p;
  const identifier = attributes.originatorId ?? peer?.identifier ?? 0;
  return [identifier, attributes.clusterList.length, Number(peer?.address ?? 0), p.pathId];
}

function group(p: Path): number {
  const first = p.attributes.asPath[0];
  if (first?.type === 'sequence') return first.asns[0]!;
  return p.peer?.kind === 'external' ? p.peer.asn : OPTIONS.asn;
}

function least(paths: readonly Path[], key: (p: Path) => Key): Path | null {
  return [...paths].sort((a, b) => compareKeys(key(a), key(b)))[0] ?? null;
}

function model(paths: readonly Path[]): Path | null {
  const usable = paths.filter((p) => p.peer === null || p.nextHop?.metric !== null);
  const groups = new Map<number, Path[]>();
  for (const p of usable) groups.set(group(p), [...(groups.get(group(p)) ?? []), p]);
  const winners = [...groups.values()].map(
    (members) => least(members, (p) => [...head(p), med(p), ...middle(p), ...tail(p)])!,
  );
  return least(winners, (p) => [...head(p), ...middle(p), ...tail(p)]);
}

function modelMultipath(paths: readonly Path[], limit: number): NextHopAddress[] {
  const best = model(paths);
  if (best === null || best.peer === null) return [];
  const usable = paths.filter((p) => p.peer === null || p.nextHop?.metric !== null);
  const top = usable.filter((p) => compareKeys(head(p), head(best)) === 0);
  const equal = top.filter((p) => {
    const lowest = Math.min(...top.filter((q) => group(q) === group(p)).map(med));
    return med(p) === lowest && compareKeys(middle(p), middle(best)) === 0;
  });
  const ordered = equal.sort((a, b) => compareKeys(tail(a), tail(b))).map((p) => p.nextHop!.addr);
  return [...new Set(ordered)].slice(0, limit);
}

const small = fc.integer({ min: 1, max: 3 });
const sketches: fc.Arbitrary<Sketch> = fc.record({
  kind: fc.constantFrom<PeerKind | 'local'>('internal', 'external', 'external', 'local'),
  localPref: fc.constantFrom(null, 100, 200),
  asns: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  origin: fc.constantFrom(0 as const, 2 as const),
  med: fc.constantFrom(null, 0, 1, 2),
  metric: fc.constantFrom(null, 0, 0, 5),
  identifier: small,
  originatorId: fc.constantFrom(null, null, 1, 2),
  clusters: fc.nat(2),
  nextHop: small,
});

/** Distinct peer addresses, as sessions have them: the order is total then. At most one own route. */
const candidates = fc.array(sketches, { maxLength: 7 }).map((list) => {
  const own = list.findIndex(({ kind }) => kind === 'local');
  return list
    .filter(({ kind }, i) => kind !== 'local' || i === own)
    .map((sketch, i) => path({ ...sketch, address: i }));
});

test('the choice is that of the model, whatever the order of arrival', (t) => {
  fc.assert(
    fc.property(candidates, fc.infiniteStream(fc.nat()), (paths, dice) => {
      const shuffled = [...paths];
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = dice.next().value % (i + 1);
        [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
      }
      const expected = model(paths);
      t.is(decide(paths, OPTIONS).best, expected);
      t.is(decide(shuffled, OPTIONS).best, expected);
    }),
    { numRuns: 3000 },
  );
});

test("equal paths are forwarded over together, the best one's next hop first", (t) => {
  fc.assert(
    fc.property(candidates, fc.integer({ min: 2, max: 4 }), (paths, maximumPaths) => {
      const { best, nextHops } = decide(paths, { ...OPTIONS, maximumPaths });
      t.is(best, model(paths));
      t.deepEqual([...nextHops], modelMultipath(paths, maximumPaths));
    }),
    { numRuns: 3000 },
  );
});
