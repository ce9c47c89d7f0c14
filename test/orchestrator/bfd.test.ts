import test from 'ava';
import type { LabEvent } from '../../nodes/events/index.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { baseline, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { run, until } from '../support/lab.ts';

/** Three routers on one segment, as three at an exchange: nobody loses its carrier when another one dies. */
function exchange(session: string): string {
  return `
name: bfd
topology:
  kinds:
    router: { bgp: { session: ${session} } }
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    r2: { kind: router, bgp: { as: 65002 } }
    r3: { kind: router, bgp: { as: 65003 } }
segments:
  ix: { subnet: 10.0.0.0/24, nodes: all }
`;
}

/** Time from a power cut of r2 until r1 gives the session up, ms. */
async function missedAfter(
  t: { deepEqual(a: unknown, b: unknown): unknown },
  session: string,
): Promise<number> {
  const lab = new SimLab(compileLab(exchange(session), 'bfd.yaml'));
  await lab.start();
  const result = await waitConverged(lab, {
    within: 60_000,
    since: await baseline(lab),
    sessions: 'established',
  });
  if (!result.converged) throw new Error(result.reasons.join('; '));
  // Up at the pace that its configuration has, if it has any.
  await until(lab, 'BFD is as it is to be', async () => {
    const { output } = await run(lab, 'r1', 'birdc show bfd sessions');
    return !session.includes('false') ? (output.match(/ Up .* 0\.\d{3} /g) ?? []).length === 2 : true;
  });
  const cut = lab.now();
  await lab.act({ type: 'kill', node: 'r2', how: 'silent' });
  const missed: number[] = [];
  const look = async () => {
    for await (const record of lab.records('r1')) {
      const event = record.event as LabEvent;
      if (record.at <= cut || event.type !== 'bgp.session') continue;
      if (event.peer === 'r2' && event.from === 'Established') missed.push(record.at);
    }
    return missed.length > 0;
  };
  await until(lab, 'r1 misses r2', look, 100_000);
  for (const node of ['r1', 'r3']) t.deepEqual((await verifyNode(lab, node)).differences, []);
  return missed[0]! - cut;
}

test('with BFD a dead neighbour is missed after three intervals, without it after the hold time', async (t) => {
  const fast = await missedAfter(t, '{ bfd: { minTx: 50ms, minRx: 50ms, multiplier: 3 } }');
  t.true(fast > 90 && fast <= 151, `${fast} ms`);
  const usual = await missedAfter(t, '{ bfd: true }');
  t.true(usual > 500 && usual <= 901, `${usual} ms`);
  const slow = await missedAfter(t, '{ bfd: false }');
  t.true(slow > 55_000 && slow <= 90_100, `${slow} ms`);
});
