import test from 'ava';
import { seededRandom } from '../../../nodes/random.ts';
import {
  ChurnError,
  type ChurnOptions,
  type ChurnResult,
  churn,
  describeMisdelivery,
} from '../../../orchestrator/chaos/churn.ts';
import { listPods } from '../../../orchestrator/pods.ts';
import type { RunningLab } from '../../../orchestrator/running-lab.ts';
import { parseSelector } from '../../../orchestrator/selector.ts';
import { addressOf, run, verifies } from '../../support/lab.ts';
import { calico, flannel, settle, simulate } from '../../support/sim.ts';

function shake(lab: RunningLab, options: Partial<ChurnOptions> & { readonly labels?: string } = {}) {
  const { labels = 'app=web', ...rest } = options;
  const usual = { rate: 10, duration: 3_000, probes: 6, interval: 20, random: seededRandom(1) };
  return churn(lab, { pods: parseSelector(labels), ...usual, ...rest });
}

/** Two pods a node in blocks of four (Calico), in subnets of five addresses for pods (flannel). */
const tight: readonly (readonly [title: string, yaml: string])[] = [
  ['calico', calico({ blockSize: 30 })],
  ['flannel udp', flannel('udp', { subnetLen: 29 })],
  ['flannel vxlan', flannel('vxlan', { subnetLen: 29 })],
  ['flannel host-gw', flannel('host-gw', { subnetLen: 29 })],
];

for (const [title, yaml] of tight) {
  test(`${title}: addresses go from pod to pod, and nothing reaches the wrong one`, async (t) => {
    const lab = await simulate(yaml);
    const result = await shake(lab);
    t.is(result.replaced, 30);
    t.true(result.reused >= 6, `${result.reused} reused`);
    t.is(result.probes.length, 6);
    t.is(result.probesLost, 0);
    for (const probe of result.probes) {
      t.true(probe.sent >= 150, JSON.stringify(probe));
      t.is(probe.lost, probe.sent - probe.received);
      t.true(probe.lost < probe.sent / 2, JSON.stringify(probe));
      t.is(probe.misdelivered, 0);
    }
    t.true(
      result.probes.some(({ lost }) => lost > 0),
      'a pod that is gone answers nothing',
    );
    t.deepEqual(result.conflicts, []);
    t.deepEqual(describeMisdelivery(result), []);
    await settle(lab);
    t.is((await listPods(lab)).length, 6);
    await verifies(t, lab);
  });
}

test('a pod that pretends to hold an address shows in the result', async (t) => {
  const lab = await simulate(flannel('host-gw', { subnetLen: 29 }));
  // As much as n1 and n2 know, all of n3's pods are one pod of n2; n3's own know better.
  const subnet = (await addressOf(lab, 'web-n3-1')).replace(/\d+$/, (host) => `${Number(host) & ~7}/29`);
  for (let host = 2; host < 7; host++) {
    const address = subnet.replace(/\d+\/29$/, (base) => `${Number(base.split('/')[0]) + host}/32`);
    t.is((await run(lab, 'web-n2-1', `ip address add ${address} dev eth0`)).code, 0);
    t.is((await run(lab, 'n2', `ip route add ${address} dev cni0`)).code, 0);
  }
  t.is((await run(lab, 'n1', `ip route replace ${subnet} via 172.18.18.102`)).code, 0);
  // None of n2's is replaced, so that the liar lives.
  const result = await shake(lab, { labels: 'app=web', probes: 12, duration: 1_000, rate: 0.5 });
  const wrong = describeMisdelivery(result);
  t.true(wrong.length > 0);
  t.regex(wrong[0]!, /^\S+ -> default\/web-n3-\d: \d+ answers from pods that did not hold the address$/);
});

test('pods that are not churned are where the probes start; else some are made, and taken away again', async (t) => {
  const lab = await simulate(calico());
  await lab.act({ type: 'pod.create', namespace: 'tools', name: 'eye', node: 'n1', labels: { app: 'eye' } });
  await settle(lab);
  const watched = await shake(lab, { duration: 500 });
  t.deepEqual([...new Set(watched.probes.map(({ from }) => from))], ['tools/eye']);
  const all = await shake(lab, { labels: 'app', duration: 500 });
  for (const { from } of all.probes) t.regex(from, /^reroute-probe\/prober-n[123]$/);
  await settle(lab);
  t.deepEqual(
    (await listPods(lab)).filter(({ spec }) => spec.namespace === 'reroute-probe'),
    [],
  );
  t.is((await listPods(lab)).length, 7);
});

test('a replacement has the labels and the node of what it replaces, and a name of the same stem', async (t) => {
  const lab = await simulate(calico({ pods: 1 }));
  const shape = async () =>
    (await listPods(lab)).map(({ spec }) => [spec.node, spec.labels, spec.name.replace(/-[^-]{5}$/, '')]);
  const before = (await listPods(lab)).map(({ spec }) => [spec.node, spec.labels, spec.name]);
  const { replaced } = await shake(lab, { duration: 2_000, probes: 1 });
  t.is(replaced, 20);
  t.deepEqual(await shape(), before, 'a second replacement does not add a second suffix');
});

test('a pod is not replaced again before its successor runs, however fast it is to go', async (t) => {
  const lab = await simulate(calico());
  const { replaced } = await shake(lab, { rate: 5_000, duration: 100, probes: 1 });
  t.true(replaced > 6 && replaced < 100, String(replaced));
  await settle(lab);
  t.deepEqual(await census(lab), COUNTS);
});

/** Pods by node, to see that none has been lost or made in excess. */
async function census(lab: RunningLab): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { spec } of await listPods(lab)) counts[spec.node] = (counts[spec.node] ?? 0) + 1;
  return counts;
}

const COUNTS = { n1: 2, n2: 2, n3: 2 };

test('a node that is down takes no part', async (t) => {
  const lab = await simulate(calico());
  await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
  const result = await shake(lab, { duration: 2_000 });
  t.is(result.replaced, 20);
  t.is(result.probesLost, 0);
  for (const { from, to } of result.probes) t.notRegex(`${from} ${to}`, /n2/);
  await lab.act({ type: 'start', node: 'n2' });
  await settle(lab);
  t.deepEqual(await census(lab), COUNTS);
  t.true((await listPods(lab)).every(({ status }) => status?.phase === 'Running'));
});

test('a node that dies on the way takes its probes along, and leaves no pod too many', async (t) => {
  const lab = await simulate(calico());
  const churning = shake(lab, { rate: 2, duration: 25_000, interval: 500, probes: 12 });
  await lab.sleep(2_000);
  await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
  const result = await churning;
  t.true(result.probesLost > 0);
  t.is(result.probes.length + result.probesLost, 12);
  t.deepEqual(describeMisdelivery(result), []);
  await lab.act({ type: 'start', node: 'n2' });
  await settle(lab);
  t.deepEqual(await census(lab), COUNTS);
});

test('an interrupted churn ends early, with what there is to tell', async (t) => {
  const lab = await simulate(calico());
  const interrupt = new AbortController();
  const seen: number[] = [];
  const began = lab.now();
  const churning: Promise<ChurnResult> = shake(lab, {
    duration: 600_000,
    signal: interrupt.signal,
    onReplaced: (count) => seen.push(count),
  });
  await lab.sleep(1_000);
  interrupt.abort();
  const result = await churning;
  t.true(lab.now() - began < 2_000);
  t.true(result.replaced >= 9 && result.replaced <= 11, String(result.replaced));
  t.deepEqual(
    seen,
    Array.from({ length: result.replaced }, (_, i) => i + 1),
  );
  t.true(result.probes.every(({ received }) => received > 0));
});

test('a churn lasts as long as it is told to, and so do its probes; a slow one can be interrupted too', async (t) => {
  const lab = await simulate(calico());
  let began = lab.now();
  const result = await shake(lab, { rate: 0.5, duration: 1_010, probes: 1 });
  t.is(result.replaced, 1);
  t.true(lab.now() - began >= 1_010);
  t.true(result.probes[0]!.sent >= 51);
  const interrupt = new AbortController();
  began = lab.now();
  const slow = shake(lab, { rate: 0.01, duration: 600_000, signal: interrupt.signal });
  await lab.sleep(1_000);
  interrupt.abort();
  await slow;
  t.true(lab.now() - began < 2_000);
});

test('a selector that no running pod matches is an error that says how to find one', async (t) => {
  const lab = await simulate(calico({ pods: 1 }));
  const message = 'no running pod matches; reroute get pods --show-labels lists them';
  await t.throwsAsync(shake(lab, { labels: 'app=db' }), { instanceOf: ChurnError, message });
  await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
  await lab.act({
    type: 'pod.create',
    namespace: 'default',
    name: 'late',
    node: 'n1',
    labels: { app: 'late' },
  });
  await t.throwsAsync(shake(lab, { labels: 'app=late' }), { instanceOf: ChurnError, message });
});
