import test from 'ava';
import { baseline, waitConverged } from '../../../orchestrator/observe/quiescence.ts';
import { simulate } from '../../support/sim.ts';

const pair = (bgp: string) => `
name: pair
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, networks: [198.51.100.0/24] } }
    r2: { kind: router, bgp: { as: 65002 } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"] }
timers: { bgp: { ${bgp} } }
`;

const QUICK = 'holdTime: 3s, keepalive: 1s, connectRetry: 300ms, idleHold: 300ms, idleHoldMax: 1s';
const LATE = 'holdTime: 6s, connectRetry: 2s, idleHold: 20s, idleHoldMax: 60s';

/** Times that a fault lasts, ms: wherever the timers stand that run against it. */
const LASTING = [0, 50, 900, 2_500, ...Array.from({ length: 8 }, (_, i) => 20_000 + 130 * i)];

for (const [name, bgp] of [
  ['quick', QUICK],
  ['late', LATE],
] as const) {
  test(`timers that are ${name}: after a cable is back a lab is not at rest before the session is`, async (t) => {
    const lab = await simulate(pair(bgp));
    for (const ms of LASTING) {
      await lab.act({ type: 'link', node: 'r2', device: 'eth1', carrier: 'down' });
      await lab.sleep(ms);
      await lab.act({ type: 'link', node: 'r2', device: 'eth1', carrier: 'up' });
      const { converged, sessionsDown } = await waitConverged(lab, {
        within: 300_000,
        since: await baseline(lab),
      });
      t.true(converged, `${ms}`);
      t.deepEqual(sessionsDown, [], `down for ${ms} ms`);
    }
  });

  test(`timers that are ${name}: after a node is back a lab is not at rest before its session is`, async (t) => {
    const lab = await simulate(pair(bgp));
    for (const [i, ms] of LASTING.entries()) {
      await lab.act({ type: 'kill', node: 'r2', how: i % 2 === 0 ? 'silent' : 'reset' });
      await lab.sleep(ms);
      await lab.act({ type: 'start', node: 'r2' });
      const { converged, sessionsDown } = await waitConverged(lab, {
        within: 300_000,
        since: await baseline(lab),
      });
      t.true(converged, `${ms}`);
      t.deepEqual(sessionsDown, [], `down for ${ms} ms`);
    }
  });
}
