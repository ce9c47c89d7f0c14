import test from 'ava';
import { seededRandom } from '../../../nodes/random.ts';
import { ChaosRun, type StepOutcome } from '../../../orchestrator/chaos/run.ts';
import { loadChaos, parseChaos } from '../../../orchestrator/chaos/schema.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import type { CompiledLab } from '../../../orchestrator/lab/compiled.ts';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import { listPods } from '../../../orchestrator/pods.ts';
import type { RunningLab } from '../../../orchestrator/running-lab.ts';
import { run as runTool, verifies } from '../../support/lab.ts';
import { calico, flannel, simulate } from '../../support/sim.ts';

const compiled = compileLab(calico(), 'lab.yaml');

interface Ran {
  readonly failures: readonly string[];
  readonly expectations: number;
  readonly probes: number;
  readonly probesLost: number;
  /** `step: outcome`, each with its time from the start of the run. */
  readonly steps: readonly { readonly at: number; readonly text: string; readonly outcome: StepOutcome }[];
}

/** Runs steps, the first of which stands in line 2. */
async function chaos(
  lab: RunningLab,
  steps: string,
  of: CompiledLab = compiled,
  signal?: AbortSignal,
): Promise<Ran> {
  const file = parseChaos(`steps:\n${steps}`, 'chaos.yaml', of);
  const began = lab.now();
  const begun: { at: number; text: string }[] = [];
  const outcomes: StepOutcome[] = [];
  const result = await new ChaosRun(lab, file, seededRandom(1)).run(
    {
      onStep: (index, text) => {
        begun[index] = { at: lab.now() - began, text };
      },
      onOutcome: (index, outcome) => {
        outcomes[index] = outcome;
      },
    },
    signal,
  );
  const { failures, expectations, probes, probesLost } = result;
  const ran = begun.map((step, i) => ({ ...step, outcome: outcomes[i]! }));
  return { failures, expectations, probes: probes.length, probesLost, steps: ran };
}

test('expectations that are met let a run pass', async (t) => {
  const lab = await simulate(compiled);
  const { failures, expectations, steps } = await chaos(
    lab,
    `  - expect: { reachable: { from: app=web, to: app=web } }
  - kill: n2
  - expect: { converged: { within: 1s } }
  - expect: { unreachable: { from: web-n1-1, to: web-n2-1 } }
  - start: n2
  - expect: { converged: { within: 30s } }
  - expect: { reachable: { from: web-n1-1, to: web-n2-1, within: 0 } }
`,
  );
  t.deepEqual(failures, []);
  t.is(expectations, 5);
  t.deepEqual(
    steps.map(({ text, outcome }) => `${text}: ${outcome.type}`),
    [
      'expect reachable app=web -> app=web: met',
      'kill n2: done',
      'expect converged within 1000 ms: met',
      'expect unreachable web-n1-1 -> web-n2-1: met',
      'start n2: done',
      'expect converged within 30000 ms: met',
      'expect reachable web-n1-1 -> web-n2-1: met',
    ],
  );
  t.is(steps[0]?.outcome.detail, '30 pairs');
  t.regex(steps[2]?.outcome.detail ?? '', /^0\.\d ms, \d+ updates, [1-9]\d* FIB changes$/);
});

test('each kind of expectation that is not met fails the run, with its line and the reason, and the rest is still run', async (t) => {
  const lab = await simulate(compiled);
  const { failures, expectations, steps } = await chaos(
    lab,
    `  - expect: { unreachable: { from: web-n1-1, to: web-n2-1, within: 200ms } }
  - kill: { node: n2, silent: true }
  - expect: { converged: { within: 5s } }
  - expect: { reachable: { from: web-n1-1, to: web-n2-1, within: 1s } }
  - expect: { reachable: { from: app=wbe, to: web-n1-1, within: 0 } }
  - expect: { reachable: { from: web-n1-1, to: web-n7-1, within: 0 } }
  - start: n2
  - expect: { converged: { within: 2m } }
`,
  );
  t.is(expectations, 6);
  t.is(failures.length, 5, failures.join('\n'));
  t.is(failures[0], 'chaos.yaml:2: expect unreachable web-n1-1 -> web-n2-1: web-n1-1 -> web-n2-1: answers');
  t.regex(
    failures[1]!,
    /^chaos\.yaml:4: expect converged within 5000 ms: not converged after 5\d\d\d ms: rr1 -> n2: established here, not at the other end; its hold timer decides/,
  );
  t.regex(
    failures[2]!,
    /^chaos\.yaml:5: expect reachable web-n1-1 -> web-n2-1: web-n1-1 -> web-n2-1: .*100% packet loss/,
  );
  t.is(failures[3], 'chaos.yaml:6: expect reachable app=wbe -> web-n1-1: no pod matches app=wbe');
  t.is(failures[4], 'chaos.yaml:7: expect reachable web-n1-1 -> web-n7-1: no other pod matches web-n7-1');
  t.is(steps.at(-1)?.outcome.type, 'met');
});

test('convergence is measured from the last fault to the last change, not by how long one has waited', async (t) => {
  const lab = await simulate(compiled);
  const silent = await chaos(
    lab,
    `  - kill: { node: n2, silent: true }
  - wait: 4m
  - expect: { converged: { within: 30s } }
`,
  );
  t.is(silent.failures.length, 1);
  t.regex(silent.failures[0]!, /converged after \d{6}\.\d ms, not within 30000 ms$/, 'it took the hold time');
  const reset = await chaos(
    lab,
    `  - kill: n3
  - wait: 4m
  - expect: { converged: { within: 1ms } }
`,
  );
  t.deepEqual(reset.failures, [], 'it was done long before anyone looked');
});

test('steps wait for their time, and go on at once when it is past', async (t) => {
  const lab = await simulate(compiled);
  const { steps } = await chaos(
    lab,
    `  - { at: 1s, wait: 500ms }
  - { at: 1200ms, wait: 1s }
  - { at: 10s, wait: 1ms }
`,
  );
  t.deepEqual(
    steps.map(({ at }) => Math.round(at)),
    [1_000, 1_500, 10_000],
  );
});

test('a step that cannot be done fails the run, which goes on', async (t) => {
  const lab = await simulate(compiled);
  const { failures, steps } = await chaos(
    lab,
    `  - start: n1
  - kill: n2
  - kill: n2
  - announce: { node: n2, prefix: 203.0.113.0/24 }
  - churn: { pods: app=db, rate: 1/s, for: 1s }
  - probe: { from: app=db, to: app=web }
  - probe: { from: web-n2-1, to: web-n1-1 }
  - start: n2
  - expect: { converged: { within: 30s } }
`,
  );
  t.deepEqual(failures, [
    'chaos.yaml:2: start n1: node n1 is already running',
    'chaos.yaml:4: kill n2: node n2 is already down',
    'chaos.yaml:5: announce 203.0.113.0/24 at n2: node n2 is not running',
    'chaos.yaml:6: churn app=db, 1/s for 1 s: no running pod matches; reroute get pods --show-labels lists them',
    'chaos.yaml:7: probe app=db -> app=web every 50 ms: no pair of running pods to probe between',
    'chaos.yaml:8: probe web-n2-1 -> web-n1-1 every 50 ms: no pair of running pods to probe between',
  ]);
  t.is(steps.at(-1)?.outcome.type, 'met');
});

test('probes run until the end; those of a node that died are counted as lost', async (t) => {
  const lab = await simulate(compiled);
  const quiet = await chaos(lab, '  - probe: { from: app=web, to: app=web }\n  - wait: 2s\n');
  t.deepEqual([quiet.probes, quiet.probesLost, quiet.failures], [6, 0, []]);
  const died = await chaos(
    lab,
    '  - probe: { from: app=web, to: app=web }\n  - wait: 1s\n  - kill: n2\n  - wait: 1s\n  - start: n2\n',
  );
  t.deepEqual([died.probes, died.probesLost, died.failures], [4, 2, []]);
});

test('an answer from a pod that does not hold the address fails the run', async (t) => {
  const of = compileLab(flannel('host-gw'), 'lab.yaml');
  const lab = await simulate(of);
  const address = (await listPods(lab)).find(({ spec }) => spec.name === 'web-n2-1')?.status?.podIP ?? '';
  await runTool(lab, 'web-n3-1', `ip address add ${address}/32 dev eth0`);
  await runTool(lab, 'n3', `ip route add ${address}/32 dev cni0`);
  await runTool(lab, 'n1', `ip route add ${address}/32 via 172.18.18.103`);
  const { failures } = await chaos(
    lab,
    '  - probe: { from: web-n1-1, to: web-n2-1, every: 10ms }\n  - wait: 1s\n',
    of,
  );
  t.is(failures.length, 1);
  t.regex(
    failures[0]!,
    /^probe default\/web-n1-1 -> default\/web-n2-1: \d{2,} answers from pods that did not hold the address$/,
  );
});

test('an interrupted run leaves out the steps that are left, fails, and still reports', async (t) => {
  const lab = await simulate(compiled);
  const interrupt = new AbortController();
  const began = lab.now();
  const running = chaos(
    lab,
    `  - probe: { from: app=web, to: app=web }
  - wait: 10m
  - kill: n2
  - expect: { converged: { within: 1s } }
`,
    compiled,
    interrupt.signal,
  );
  await lab.sleep(1_000);
  interrupt.abort();
  const { failures, probes, steps } = await running;
  t.deepEqual(failures, ['chaos.yaml:4: interrupted before kill n2']);
  t.is(probes, 6);
  t.is(steps.length, 2);
  t.true(lab.now() - began < 2_000);
});

for (const example of ['flannel-vxlan', 'calico-rr']) {
  test(`examples/churn.yaml passes on ${example}`, async (t) => {
    const of = await loadLab(`examples/${example}.yaml`);
    const lab = await simulate(of);
    const file = await loadChaos('examples/churn.yaml', of);
    const result = await new ChaosRun(lab, file, seededRandom(1)).run({
      onStep: () => {},
      onOutcome: () => {},
    });
    t.deepEqual(result.failures, []);
    t.is(result.expectations, 7);
    t.is(result.churns[0]?.replaced, 25);
    t.true(result.probes.length > 0);
    await verifies(t, lab);
  });
}
