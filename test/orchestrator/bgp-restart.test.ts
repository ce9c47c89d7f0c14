import test from 'ava';
import type { LabEvent } from '../../nodes/events/index.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { baseline, collectReports, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { decodeOpen } from '../../protocols/bgp/open.ts';

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

/** The graceful restart capability of each OPEN that a node has sent to a peer since then. */
async function restartsSaid(lab: SimLab, node: string, peer: string, since = 0) {
  const found: { readonly restarting: boolean; readonly forwardingPreserved: boolean }[] = [];
  for await (const record of lab.records(node)) {
    const event = record.event as LabEvent;
    if (record.at < since || event.type !== 'bgp.sent' || event.peer !== peer || event.message[18] !== 1)
      continue;
    const open = decodeOpen(event.message.subarray(19));
    for (const capability of open.ok ? open.open.capabilities : []) {
      if (capability.type !== 'graceful-restart') continue;
      const { restarting, families } = capability;
      found.push({ restarting, forwardingPreserved: families.some((family) => family.forwardingPreserved) });
    }
  }
  return found;
}

test('a node that comes back says that it has restarted and has forgotten all: what was kept of it goes at once', async (t) => {
  const lab = new SimLab(compileLab(calico('{ gracefulRestart: { restartTime: 20s } }'), 'restart.yaml'));
  await lab.start();
  await converge(lab, 'established');
  for (const said of await restartsSaid(lab, 'n2', 'n1'))
    t.deepEqual(said, { restarting: false, forwardingPreserved: false }, 'not on its first boot');
  await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
  await lab.sleep(2_000);
  const back = lab.now();
  await lab.act({ type: 'start', node: 'n2' });
  await converge(lab, 'established');
  t.true(lab.now() - back < 15_000, 'nobody has waited for the restart time');
  const said = await restartsSaid(lab, 'n2', 'n1', back);
  t.true(said.length > 0);
  for (const each of said)
    t.deepEqual(each, { restarting: true, forwardingPreserved: false }, 'RFC 4724 §4.1');
  const order: string[] = [];
  for await (const record of lab.records('n1')) {
    const event = record.event as LabEvent;
    if (record.at < back || !('peer' in event) || event.peer !== 'n2') continue;
    if (event.type === 'bgp.stale') order.push(event.what);
    if (event.type === 'bgp.session' && event.to === 'Established') order.push('established');
    if (event.type === 'bgp.received' && event.message[18] === 2) order.push('update');
  }
  t.deepEqual(order.slice(0, 3).toSorted(), ['established', 'swept', 'update'], order.join());
  t.is(order[2], 'update', 'stale routes are gone before it has told a new one');
  for (const node of lab.nodeNames) t.deepEqual((await verifyNode(lab, node)).differences, []);

  // Once it is back, it is a speaker like any other.
  const later = lab.now();
  await lab.act({ type: 'bgp', node: 'n1', request: { op: 'reset', peer: 'n2' } });
  await converge(lab, 'established');
  t.deepEqual(await restartsSaid(lab, 'n2', 'n1', later), [
    { restarting: false, forwardingPreserved: false },
  ]);
});

test('a daemon that restarts does not wait for a node that does', async (t) => {
  const lab = new SimLab(compileLab(calico('{ gracefulRestart: { restartTime: 100s } }'), 'restart.yaml'));
  await lab.start();
  await converge(lab, 'established');
  await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
  await lab.sleep(1_000);
  const at = lab.now();
  await lab.act({ type: 'bgp', node: 'n1', request: { op: 'restart' } });
  await lab.act({ type: 'start', node: 'n2' });
  await converge(lab, 'established');
  t.true(lab.now() - at < 50_000, `${lab.now() - at} ms`);
  for (const node of lab.nodeNames) t.deepEqual((await verifyNode(lab, node)).differences, []);
});
