import test from 'ava';
import type { LabEvent } from '../../nodes/events/index.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { baseline, collectReports, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';

function calico(graceful: string): string {
  return `
name: restart
topology:
  kinds:
    node: { bgp: ${graceful} }
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    n3: { kind: node }
segments:
  lan: { subnet: 172.18.18.0/24, nodes: all }
cluster: { cni: calico, calico: { mesh: full }, pods: 1 }
`;
}

async function converge(lab: SimLab, sessions: 'settled' | 'established' = 'settled'): Promise<void> {
  const result = await waitConverged(lab, { within: 600_000, since: await baseline(lab), sessions });
  if (!result.converged) throw new Error(result.reasons.join('; '));
}

async function restarted(graceful: string) {
  const lab = new SimLab(compileLab(calico(graceful), 'restart.yaml'));
  await lab.start();
  await converge(lab, 'established');
  const before = await collectReports(lab);
  const at = lab.now();
  await lab.act({ type: 'bgp', node: 'n2', request: { op: 'restart' } });
  await lab.sleep(30_000);
  await converge(lab, 'established');
  const after = await collectReports(lab);
  const changes = after.map((report, i) => report.fibChanges - before[i]!.fibChanges);
  return { lab, at, changes };
}

test('with graceful restart nobody changes a route when the BGP daemon of a node crashes, the node itself included', async (t) => {
  const { lab, at, changes } = await restarted('{ gracefulRestart: { restartTime: 20s } }');
  t.deepEqual(changes, [0, 0, 0]);
  let lost = 0;
  for await (const record of lab.records('n1')) {
    const event = record.event as LabEvent;
    if (record.at >= at && event.type === 'bgp.session' && event.from === 'Established') lost++;
  }
  t.is(lost, 1, 'the session did go');
  for (const node of lab.nodeNames) t.deepEqual((await verifyNode(lab, node)).differences, []);
});

test('a Calico cluster has it unless told otherwise', (t) => {
  const of = (text: string) => compileLab(text, 'x.yaml').nodes.map(({ bgp }) => bgp?.gracefulRestart);
  t.deepEqual(of(calico('{}')), new Array(3).fill({ restartTime: 120_000, notification: 'off' }));
  const off = calico('{}').replace('mesh: full', 'mesh: full, gracefulRestart: false');
  t.deepEqual(of(off), new Array(3).fill(undefined));
  const shorter = calico('{}').replace('mesh: full', 'mesh: full, gracefulRestart: { restartTime: 12s }');
  t.deepEqual(of(shorter), new Array(3).fill({ restartTime: 12_000, notification: 'off' }));
});

test('the routes of a Calico node that dies stay for its restart time, and the lab has not converged until they go', async (t) => {
  for (const [scale, within] of [
    [1, 120_000],
    [0.1, 12_000],
  ] as const) {
    const lab = new SimLab(compileLab(`${calico('{}')}timers: { scale: ${scale} }\n`, 'restart.yaml'));
    await lab.start();
    await converge(lab, 'established');
    const routes = async () => (await collectReports(lab)).find(({ node }) => node === 'n1')!.routes;
    const before = await routes();
    const killed = lab.now();
    await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
    await lab.sleep(within - 1000);
    t.is(await routes(), before);
    await converge(lab);
    t.is(await routes(), before - 1);
    const last = (await collectReports(lab)).find(({ node }) => node === 'n1')!.lastFibChange;
    t.true(Math.abs(last - killed - within) < 10, `${last - killed}`);
    await lab.act({ type: 'start', node: 'n2' });
    await converge(lab, 'established');
    t.is(await routes(), before);
    for (const node of lab.nodeNames) t.deepEqual((await verifyNode(lab, node)).differences, []);
  }
});

test('without it the routes go and come back', async (t) => {
  const { lab, changes } = await restarted('{ gracefulRestart: false }');
  const [n1, n2, n3] = changes;
  t.true(n1! >= 2 && n2! >= 3 && n3! >= 2, changes.join());
  for (const node of lab.nodeNames) t.deepEqual((await verifyNode(lab, node)).differences, []);
});
