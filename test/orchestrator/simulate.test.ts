import test from 'ava';
import { encode } from '../../bus/codec.ts';
import { seededRandom } from '../../nodes/random.ts';
import { churn, describeMisdelivery } from '../../orchestrator/chaos/churn.ts';
import { ChaosRun } from '../../orchestrator/chaos/run.ts';
import { parseChaos } from '../../orchestrator/chaos/schema.ts';
import { ORCHESTRATOR } from '../../orchestrator/events.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { baseline, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { parseSelector } from '../../orchestrator/selector.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';

function calico(seed: number, blockSize = 26): string {
  return `
name: sim
seed: ${seed}
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    n3: { kind: node }
    rr: { kind: reflector }
segments:
  lan: { subnet: 172.18.18.0/24, nodes: all }
cluster:
  cni: calico
  blockSize: ${blockSize}
  calico: { mesh: reflectors }
  pods: { perNode: 2, name: web, labels: { app: web } }
`;
}

async function started(yaml: string): Promise<SimLab> {
  const lab = new SimLab(compileLab(yaml, 'sim.yaml'));
  await lab.start();
  const since = { at: 0, reports: [] };
  const result = await waitConverged(lab, { within: 60_000, since, sessions: 'established' });
  if (!result.converged) throw new Error(result.reasons.join('; '));
  return lab;
}

async function run(yaml: string): Promise<SimLab> {
  const lab = await started(yaml);
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await lab.sleep(1_000);
  await lab.act({ type: 'start', node: 'n2' });
  await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'down' });
  await lab.sleep(500);
  await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'up' });
  const pods = parseSelector('app=web');
  await churn(lab, { pods, rate: 10, duration: 1_000, probes: 3, interval: 50, random: seededRandom(7) });
  const result = await waitConverged(lab, { within: 600_000, since: await baseline(lab) });
  if (!result.converged) throw new Error(result.reasons.join('; '));
  return lab;
}

async function logOf(lab: SimLab): Promise<Map<string, Uint8Array>> {
  const logs = new Map<string, Uint8Array>();
  for (const node of [ORCHESTRATOR, ...lab.nodeNames]) {
    const records: unknown[] = [];
    for await (const record of lab.records(node)) records.push(record);
    logs.set(node, encode(records));
  }
  return logs;
}

test('the same seed gives the same log of every node, byte for byte; another seed another log', async (t) => {
  const first = await logOf(await run(calico(1)));
  const again = await logOf(await run(calico(1)));
  const other = await logOf(await run(calico(2)));
  for (const [node, bytes] of first) {
    t.true(bytes.length > 500, node);
    t.deepEqual(again.get(node), bytes, node);
    t.notDeepEqual(other.get(node), bytes, node);
  }
});

test('after faults and churn the fold of every log is the live state', async (t) => {
  const lab = await run(calico(3));
  for (const node of lab.nodeNames) {
    const verdict = await verifyNode(lab, node);
    t.is(verdict.state, 'verified', node);
    t.deepEqual(verdict.differences, []);
  }
});

test('a dead peer is missed at once after a reset, and after the hold time when it was silent', async (t) => {
  const until = async (how: 'reset' | 'silent') => {
    const lab = await started(calico(4));
    const killed = lab.now();
    await lab.act({ type: 'kill', node: 'n2', how });
    const result = await waitConverged(lab, { within: 600_000, since: await baseline(lab) });
    t.true(result.converged);
    for await (const { at, event } of lab.records('rr')) {
      if (at > killed && event.type === 'bgp.session' && event.peer === 'n2' && event.from === 'Established')
        return at - killed;
    }
    return Number.NaN;
  };
  t.true((await until('reset')) < 10);
  // Calico's BIRD has a hold time of 240 s; the last KEEPALIVE came up to 80 s before.
  const silent = await until('silent');
  t.true(silent > 155_000 && silent <= 240_100, String(silent));
});

test('pods replaced in a small block take over addresses, and nothing reaches the wrong one', async (t) => {
  const lab = await started(calico(5, 30));
  const pods = parseSelector('app=web');
  const options = { pods, rate: 10, duration: 4_000, probes: 6, interval: 20, random: seededRandom(1) };
  const result = await churn(lab, options);
  t.true(result.replaced > 30);
  t.true(result.reused > 5, `${result.reused} reused`);
  t.true(result.probes.length > 0);
  for (const probe of result.probes) {
    t.true(probe.sent > 100);
    t.true(probe.received > 0);
    t.is(probe.misdelivered, 0);
  }
  t.deepEqual(describeMisdelivery(result), []);
});

async function chaos(lab: SimLab, steps: string) {
  const file = parseChaos(`name: test\nsteps:\n${steps}`, 'chaos.yaml');
  return new ChaosRun(lab, file, seededRandom(1)).run({ onStep: () => {}, onOutcome: () => {} });
}

test('expectations of a chaos file decide, and name the step that was not met', async (t) => {
  const lab = await started(calico(6));
  const good = await chaos(
    lab,
    `
  - kill: n2
  - expect: { converged: { within: 5s } }
  - expect: { unreachable: { from: web-n1-1, to: web-n2-1 } }
  - start: n2
  - expect: { converged: { within: 30s } }
  - expect: { reachable: { from: app=web, to: app=web } }`,
  );
  t.deepEqual(good.failures, []);
  t.is(good.expectations, 4);
  const bad = await chaos(
    lab,
    `
  - kill: { node: n3, silent: true }
  - expect: { reachable: { from: web-n1-1, to: web-n3-1, within: 1s } }
  - expect: { converged: { within: 10ms } }`,
  );
  t.is(bad.failures.length, 2);
  t.regex(bad.failures[0]!, /chaos\.yaml:5: expect reachable web-n1-1 -> web-n3-1/);
  t.regex(bad.failures[1]!, /converged within 10 ms/);
});
