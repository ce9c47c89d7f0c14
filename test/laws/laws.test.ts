import { readFileSync } from 'node:fs';
import test from 'ava';
import type { LabEvent } from '../../nodes/events/index.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { reseed } from '../../orchestrator/lab/seed.ts';
import { bestChanges, findOscillations, type Oscillation } from '../../orchestrator/observe/oscillation.ts';
import { baseline, type Convergence, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { decodeMessage } from '../../protocols/bgp/message.ts';

/** The labs of examples/laws in the simulator; docs/laws.md tells what each shows. */

const PREFIX = '203.0.113.0/24';
const MRAI = 30_000;

function text(name: string): string {
  return readFileSync(`examples/laws/${name}.yaml`, 'utf8');
}

async function start(
  yaml: string,
  seed = 1,
  within = 600_000,
): Promise<{ lab: SimLab; result: Convergence }> {
  const lab = new SimLab(reseed(compileLab(yaml, 'law.yaml'), seed));
  await lab.start();
  const since = { at: 0, reports: [] };
  return { lab, result: await waitConverged(lab, { within, since, sessions: 'established' }) };
}

async function converge(lab: SimLab): Promise<void> {
  const result = await waitConverged(lab, { within: 600_000, since: await baseline(lab) });
  if (!result.converged) throw new Error(result.reasons.join('; '));
}

function bgp(lab: SimLab, node: string, op: 'announce' | 'withdraw', prefix = PREFIX) {
  return lab.act({ type: 'bgp', node, request: { op, prefix } });
}

interface Counted {
  announcements: number;
  withdrawals: number;
  /** Last change of any best path, ms after the start of the count. */
  lastChange: number;
}

async function count(lab: SimLab, since: number): Promise<Counted> {
  const total = { announcements: 0, withdrawals: 0, lastChange: 0 };
  for (const node of lab.nodeNames) {
    for await (const record of lab.records(node)) {
      if (record.at < since) continue;
      const event = record.event as LabEvent;
      if (event.type === 'bgp.best') total.lastChange = Math.max(total.lastChange, record.at - since);
      const message = event.type === 'bgp.sent' ? decodeMessage(event.message) : null;
      if (message?.type !== 'update') continue;
      if (message.body[0] !== 0 || message.body[1] !== 0) total.withdrawals++;
      else total.announcements++;
    }
  }
  return total;
}

/** Name of the peer that each node has the prefix from, '' for its own. */
async function best(lab: SimLab): Promise<Record<string, string>> {
  const changes = (await bestChanges(lab)).get(PREFIX) ?? [];
  const now: Record<string, string> = {};
  for (const { node, path } of changes) now[node] = path.split(' ')[0] ?? '';
  return now;
}

for (const n of [4, 5, 6, 7]) {
  test(`clique of ${n}: withdrawal takes (n-3) MRAI and the known numbers of messages, announcement one hop`, async (t) => {
    const routers = Array.from(
      { length: n - 1 },
      (_, i) => `    r${i + 2}: { kind: router, bgp: { as: ${65002 + i} } }\n`,
    );
    const yaml = text('clique').replace(/ {4}r2:[\s\S]*?\n\n/, `${routers.join('')}\n`);
    const { lab, result } = await start(yaml);
    t.true(result.converged);
    t.is(lab.nodeNames.length, n);
    // Until the rounds of the start are over.
    await lab.sleep(10 * MRAI);
    const withdrawn = lab.now();
    await bgp(lab, 'r1', 'withdraw');
    await lab.sleep(40 * MRAI);
    const withdrawal = await count(lab, withdrawn);
    t.is(withdrawal.announcements, ((n - 2) * (n - 1) * (n + 1)) / 2);
    t.is(withdrawal.withdrawals, n * (n - 1));
    t.is(Math.round(withdrawal.lastChange / MRAI), n - 3);
    const announced = lab.now();
    await bgp(lab, 'r1', 'announce');
    await lab.sleep(10 * MRAI);
    // One hop of the wire, far below one MRAI.
    t.true((await count(lab, announced)).lastChange < 5);
  });
}

test('leaf-spine: a withdrawal is gone after two hops, without an advertisement', async (t) => {
  const { lab, result } = await start(text('leaf-spine'));
  t.true(result.converged);
  await lab.sleep(10 * MRAI);
  const withdrawn = lab.now();
  await bgp(lab, 'leaf1', 'withdraw');
  await lab.sleep(10 * MRAI);
  const { announcements, withdrawals, lastChange } = await count(lab, withdrawn);
  t.is(announcements, 0);
  // leaf1 to both spines, each of them to the three other leaves.
  t.is(withdrawals, 2 + 2 * 3);
  t.true(lastChange >= 2 && lastChange < 3, `two hops of 1 ms took ${lastChange} ms`);
});

test('DISAGREE: two outcomes, both stable, by the dice', async (t) => {
  const outcomes = new Map<string, number>();
  for (let seed = 1; seed <= 12; seed++) {
    const { lab, result } = await start(text('disagree'), seed);
    t.true(result.converged, `seed ${seed}`);
    const { r1, r2 } = await best(lab);
    outcomes.set(`r1 by ${r1}, r2 by ${r2}`, (outcomes.get(`r1 by ${r1}, r2 by ${r2}`) ?? 0) + 1);
  }
  t.deepEqual([...outcomes.keys()].sort(), ['r1 by r0, r2 by r1', 'r1 by r2, r2 by r0']);
});

function cycleOf(found: readonly Oscillation[]): string[] {
  const own = found.find(({ prefix }) => prefix === PREFIX);
  return (own?.cycle ?? []).map(({ node, path }) => `${node} ${path}`);
}

test('BAD GADGET: never quiet, and the cycle is named', async (t) => {
  const { lab, result } = await start(text('bad-gadget'), 1, 60_000);
  t.false(result.converged);
  const cycle = cycleOf(findOscillations(await bestChanges(lab)));
  t.deepEqual([...cycle].sort(), [
    'r1 r0 [65000]',
    'r1 r2 [65002 65000]',
    'r2 r0 [65000]',
    'r2 r3 [65003 65000]',
    'r3 r0 [65000]',
    'r3 r1 [65001 65000]',
  ]);
});

test('RFC 3345: MED makes two reflectors oscillate for ever; always-compare-med cures it', async (t) => {
  const { lab, result } = await start(text('rfc3345'), 1, 30_000);
  t.false(result.converged);
  t.deepEqual(cycleOf(findOscillations(await bestChanges(lab))).sort(), [
    'ra rb [10 100]',
    'ra rc [6 100]',
    'rd ra [10 100]',
    'rd re [6 100]',
  ]);
  const cured = await start(text('rfc3345').replace('compareMed: same-as', 'compareMed: always'), 1, 30_000);
  t.true(cured.result.converged);
  t.deepEqual(findOscillations(await bestChanges(cured.lab)), []);
  t.like(await best(cured.lab), { ra: 'rd', rd: 're' });
});

test('RFC 4264: a wedgie stays wedged until the backup link is bounced', async (t) => {
  const { lab, result } = await start(text('wedgie'));
  t.true(result.converged);
  const intended = { r1: '', r2: 'r3', r3: 'r4', r4: 'r1' };
  const wedged = { r1: '', r2: 'r1', r3: 'r2', r4: 'r1' };
  t.deepEqual(await best(lab), intended);
  const link = async (device: string, carrier: 'up' | 'down') => {
    await lab.act({ type: 'link', node: 'r1', device, carrier });
    await lab.sleep(20_000);
    await converge(lab);
  };
  await link('eth1', 'down');
  t.deepEqual(await best(lab), { ...wedged, r4: 'r3' });
  await link('eth1', 'up');
  t.deepEqual(await best(lab), wedged, 'the primary link is back, and r3 does not care');
  await link('eth2', 'down');
  t.deepEqual(await best(lab), intended);
  await link('eth2', 'up');
  t.deepEqual(await best(lab), intended);
});

test('what changes without going round is no oscillation', (t) => {
  const changes = Array.from({ length: 40 }, (_, i) => ({ at: i, node: `n${i % 3}`, path: `p${i}` }));
  t.deepEqual(findOscillations(new Map([['10.0.0.0/8', changes]])), []);
  const twice = [...changes.slice(0, 4), ...changes.slice(0, 4)].map((change, at) => ({ ...change, at }));
  t.deepEqual(findOscillations(new Map([['10.0.0.0/8', twice]])), []);
});
