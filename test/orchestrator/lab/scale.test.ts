import test from 'ava';
import { compile, nodeOf } from './support.ts';

const LAB = `
name: x
topology:
  nodes:
    r1:
      kind: router
      bgp:
        as: 65001
        damping: {}
        gracefulRestart: { restartTime: 100s, longLivedTime: 1h }
        session: { holdTime: 90s, keepalive: 30s, mrai: 5s, bfd: true, maximumPrefixes: { limit: 9, restartAfter: 1m } }
        peers: { r2: { gracefulRestart: { restartTime: 20s, stalePathTime: 40s } } }
        dynamicNeighbors: [{ prefix: 10.9.0.0/24, as: [65009], mrai: 10s }]
    r2: { kind: router, bgp: { as: 65002 } }
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
`;

test('a time scale makes every time of BGP and BFD as much shorter, those too that nobody has set', (t) => {
  const { bgp, timers } = nodeOf(compile(`${LAB}timers: { scale: 0.1 }\n`), 'r1');
  t.deepEqual(bgp?.gracefulRestart, { restartTime: 10_000, stalePathTime: 36_000, longLivedTime: 360_000 });
  t.deepEqual(bgp?.damping, { halfLife: 90_000, maxSuppress: 360_000 });
  t.like(bgp?.neighbors[0], {
    holdTime: 9_000,
    keepalive: 3_000,
    mrai: 500,
    bfd: { minTx: 30, minRx: 30, multiplier: 3 },
    maximumPrefixes: { limit: 9, restartAfter: 6_000 },
    gracefulRestart: { restartTime: 2_000, stalePathTime: 4_000 },
  });
  t.like(bgp?.dynamicNeighbors?.[0], { mrai: 1_000, holdTime: 9_000 });
  t.deepEqual(timers.bfd, { slowInterval: 100 });
  t.is(timers.bgp.sendHold, 48_000);
  t.is(timers.bgp.startupHold, 24_000);
});

test('without one they are as they stand', (t) => {
  const { bgp, timers } = nodeOf(compile(LAB), 'r1');
  t.deepEqual(bgp?.gracefulRestart, { restartTime: 100_000, longLivedTime: 3_600_000 });
  t.deepEqual(bgp?.damping, {});
  t.is(timers.bfd, undefined);
  t.is(timers.bgp.sendHold, undefined);
});
