import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { loadChaos, parseChaos, parseRate } from '../../../orchestrator/chaos/schema.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import { LabError } from '../../../orchestrator/lab/problem.ts';
import { calico } from '../../support/sim.ts';
import { problemsIn } from '../lab/support.ts';

const lab = compileLab(calico(), 'lab.yaml');
const racks = await loadLab('examples/two-racks.yaml');

function stepsOf(text: string) {
  return parseChaos(`steps:\n${text}`, 'chaos.yaml', lab).steps.map(({ place: _, ...step }) => step);
}

/** All that is wrong with the steps, which begin at line 2. */
function problems(text: string, on = lab): string[] {
  return problemsIn(() => parseChaos(`steps:\n${text}`, 'chaos.yaml', on));
}

test('every step, and what is not said', (t) => {
  const steps = stepsOf(`
  - kill: n1
  - kill: { node: n1, silent: true }
  - { at: 1m30s, start: n1 }
  - link: { down: "n2:eth0" }
  - link: { up: "n2:eth0" }
  - netem: { on: "n2:eth0", delay: 5ms, loss: 1% }
  - netem: { on: lan, reset: true }
  - cut: { on: "n2:eth0", direction: in }
  - mend: n2
  - announce: { node: n1, prefix: 203.0.113.0/24 }
  - withdraw: { node: n1, prefix: 203.0.113.0/24 }
  - wait: 200ms
  - probe: { from: app=web, to: web-n2-1 }
  - churn: { pods: "app=web,!canary", rate: 30/m, for: 5s }
  - churn: { pods: app, rate: 5/s, for: 5s, probes: 3, every: 10ms }
  - expect: { converged: { within: 5s } }
  - expect: { reachable: { from: app=web, to: default/web-n1-1 } }
  - expect: { unreachable: { from: app=web, to: web-n1-1, within: 0 } }
`);
  const n2 = [{ node: 'n2', device: 'eth0' }];
  const all = ['n1', 'n2', 'n3', 'rr1'].map((node) => ({ node, device: 'eth0' }));
  const untold = { jitter: undefined, distribution: undefined };
  t.deepEqual(steps, [
    { do: 'kill', node: 'n1', how: 'reset' },
    { do: 'kill', node: 'n1', how: 'silent' },
    { at: 90_000, do: 'start', node: 'n1' },
    { do: 'link', node: 'n2', device: 'eth0', carrier: 'down' },
    { do: 'link', node: 'n2', device: 'eth0', carrier: 'up' },
    {
      do: 'impair',
      on: 'n2:eth0',
      ports: n2,
      change: {
        op: 'netem',
        changes: { ...untold, delay: 5, loss: { model: 'random', p: 0.01, correlation: 0 } },
      },
    },
    { do: 'impair', on: 'lan', ports: all, change: { op: 'reset' } },
    { do: 'impair', on: 'n2:eth0', ports: n2, change: { op: 'cut', cut: 'in' } },
    { do: 'impair', on: 'n2', ports: n2, change: { op: 'cut', cut: 'none' } },
    { do: 'announce', node: 'n1', prefix: '203.0.113.0/24' },
    { do: 'withdraw', node: 'n1', prefix: '203.0.113.0/24' },
    { do: 'wait', for: 200 },
    { do: 'probe', from: 'app=web', to: 'web-n2-1', every: 50 },
    { do: 'churn', pods: 'app=web,!canary', rate: 0.5, for: 5_000, probes: 8, interval: 50 },
    { do: 'churn', pods: 'app', rate: 5, for: 5_000, probes: 3, interval: 10 },
    { do: 'converged', within: 5_000 },
    { do: 'reachable', from: 'app=web', to: 'default/web-n1-1', within: 30_000 },
    { do: 'unreachable', from: 'app=web', to: 'web-n1-1', within: 0 },
  ]);
});

test('a file has a name, its own or the one it is stored under, and its steps know their lines', (t) => {
  const text = 'steps:\n  - wait: 1s\n\n  - { at: 2s,\n      kill: n1 }\n';
  const file = parseChaos(text, 'dir/chaos.yaml', lab);
  t.is(file.name, 'dir/chaos.yaml');
  t.deepEqual(
    file.steps.map(({ place }) => place),
    ['dir/chaos.yaml:2', 'dir/chaos.yaml:4'],
  );
  t.is(parseChaos(`name: fire drill\n${text}`, 'chaos.yaml', lab).name, 'fire drill');
});

test('unknown faults, expectations and keys, each with what may have been meant', (t) => {
  t.deepEqual(problems(`  - kil: n1\n  - explode: n1\n`), [
    "chaos.yaml:2:5: steps[0].kil: unknown key 'kil'; did you mean 'kill'?",
    "chaos.yaml:3:5: steps[1].explode: unknown key 'explode'; known: at, kill, start, link, netem, cut, mend, announce, withdraw, wait, probe, churn, expect",
  ]);
  t.deepEqual(
    problems(`  - expect: { convergd: { within: 5s } }\n  - kill: { node: n1, silently: true }\n`),
    [
      "chaos.yaml:2:15: steps[0].expect.convergd: unknown key 'convergd'; did you mean 'converged'?",
      "chaos.yaml:3:23: steps[1].kill.silently: unknown key 'silently'; did you mean 'silent'?",
    ],
  );
  t.deepEqual(
    problemsIn(() => parseChaos('nmae: x\nsteps: [{ wait: 1s }]\n', 'chaos.yaml', lab)),
    ["chaos.yaml:1:1: nmae: unknown key 'nmae'; did you mean 'name'?"],
  );
});

test('nodes, interfaces and BGP speakers that the lab does not have', (t) => {
  t.deepEqual(
    problems(`  - kill: n9
  - kill: { node: rr, silent: true }
  - start: spine
  - link: { down: "n4:eth0" }
  - link: { up: "n1:eth9" }
  - announce: { node: n0, prefix: 10.0.0.0/8 }
`),
    [
      "chaos.yaml:2:11: steps[0].kill: no node n9 in this lab; did you mean 'n1'?",
      "chaos.yaml:3:19: steps[1].kill.node: no node rr in this lab; did you mean 'rr1'?",
      'chaos.yaml:4:12: steps[2].start: no node spine in this lab; known: n1, n2, n3, rr1',
      "chaos.yaml:5:19: steps[3].link.down: no node n4 in this lab; did you mean 'n1'?",
      "chaos.yaml:6:17: steps[4].link.up: no interface eth9 on n1; did you mean 'eth0'?",
      "chaos.yaml:7:23: steps[5].announce.node: no node n0 in this lab; did you mean 'n1'?",
    ],
  );
  t.deepEqual(problems('  - announce: { node: h1, prefix: 10.1.1.0/24 }\n', racks), [
    'chaos.yaml:2:23: steps[0].announce.node: h1 speaks no BGP; spine1, spine2, leaf1, leaf2 do',
  ]);
});

test('times, rates and prefixes that are none', (t) => {
  t.deepEqual(
    problems(`  - wait: 5
  - { at: soon, kill: n1 }
  - expect: { converged: { within: -1s } }
  - churn: { pods: "app=", rate: 5, for: 5s }
  - churn: { pods: "app=", rate: 0/s, for: 5s, probes: 0 }
  - churn: { pods: app, for: 5s }
  - announce: { node: n1, prefix: 10.0.0.1/8 }
`),
    [
      "chaos.yaml:2:11: steps[0].wait: '5' is no duration; write a number and a unit: 200ms, 5s, 1m30s, 24h",
      "chaos.yaml:3:11: steps[1].at: 'soon' is no duration; write a number and a unit: 200ms, 5s, 1m30s, 24h",
      "chaos.yaml:4:36: steps[2].expect.converged.within: '-1s' is no duration; write a number and a unit: 200ms, 5s, 1m30s, 24h",
      "chaos.yaml:5:34: steps[3].churn.rate: '5' is no rate; write it like 5/s or 30/m",
      "chaos.yaml:6:34: steps[4].churn.rate: '0/s' is no rate; write it like 5/s or 30/m",
      'chaos.yaml:6:56: steps[4].churn.probes: 0 is out of range; it is 1 at least',
      'chaos.yaml:7:5: steps[5].churn.rate: missing; add rate',
      "chaos.yaml:8:35: steps[6].announce.prefix: '10.0.0.1/8' has bits set beyond its prefix length; did you mean 10.0.0.0/8?",
    ],
  );
});

test('pods and selectors that are none', (t) => {
  const selector = 'is no label requirement; write it as key=value, key!=value, key or !key';
  const pod = 'is neither a pod nor a selector; write it like web-n1-1, default/web-n1-1 or app=web';
  t.deepEqual(
    problems(`  - churn: { pods: "a==b==c", rate: 1/s, for: 5s }
  - probe: { from: "app=web,", to: "!=x" }
  - probe: { from: "Web_1", to: "!web" }
  - expect: { reachable: { from: "", to: a/b/c } }
`),
    [
      `chaos.yaml:2:20: steps[0].churn.pods: 'a==b==c' ${selector}`,
      `chaos.yaml:3:20: steps[1].probe.from: '' ${selector}`,
      `chaos.yaml:3:36: steps[1].probe.to: '!=x' ${selector}`,
      `chaos.yaml:4:20: steps[2].probe.from: 'Web_1' ${pod}`,
      `chaos.yaml:4:33: steps[2].probe.to: '!web' ${pod}`,
      `chaos.yaml:5:34: steps[3].expect.reachable.from: '' ${pod}`,
      `chaos.yaml:5:42: steps[3].expect.reachable.to: 'a/b/c' ${pod}`,
    ],
  );
});

test('what can never come true, and what would take no time', (t) => {
  t.deepEqual(
    problems(`  - expect: { converged: { within: 0s } }
  - expect: { reachable: { from: web-n1-1, to: web-n1-1 } }
  - probe: { from: default/web-n1-1, to: default/web-n1-1, every: 0 }
  - churn: { pods: app, rate: 5/s, for: 0s, every: 0ms }
  - { at: 10s, wait: 1s }
  - { at: 5s, kill: n1 }
`),
    [
      'chaos.yaml:2:36: steps[0].expect.converged.within: must be more than 0; write it like 5s',
      'chaos.yaml:3:48: steps[1].expect.reachable.to: the same pod as `from`; name another, or a selector of several',
      'chaos.yaml:4:42: steps[2].probe.to: the same pod as `from`; name another, or a selector of several',
      'chaos.yaml:4:67: steps[2].probe.every: must be more than 0; write it like 50ms',
      'chaos.yaml:5:41: steps[3].churn.for: must be more than 0; write it like 5s',
      'chaos.yaml:5:52: steps[3].churn.every: must be more than 0; write it like 50ms',
      'chaos.yaml:7:11: steps[5].at: earlier than the step above it, which is at 10s; steps run in the order of the file',
    ],
  );
});

test('a step does one thing, and something', (t) => {
  const mend =
    'write one of kill, start, link, netem, cut, mend, announce, withdraw, wait, probe, churn, expect';
  t.deepEqual(
    problems(`  - { kill: n1, start: n1 }
  - { at: 5s }
  - expect: {}
  - link: { down: "n1:eth0", up: "n1:eth0" }
`),
    [
      `chaos.yaml:2:5: steps[0]: a step does one thing; ${mend}`,
      `chaos.yaml:3:5: steps[1]: a step without anything to do; ${mend}`,
      `chaos.yaml:4:5: steps[2]: a step without anything to do; ${mend}`,
      `chaos.yaml:5:5: steps[3]: a step does one thing; ${mend}`,
    ],
  );
});

test('files that are none', async (t) => {
  const of = (text: string) => problemsIn(() => parseChaos(text, 'chaos.yaml', lab));
  t.deepEqual(of('steps: []\n'), ['chaos.yaml:1:8: steps: expected 1 items, not 0']);
  t.deepEqual(of('name: x\n'), ['chaos.yaml:1:1: steps: missing; add steps']);
  t.deepEqual(of('steps: {kill: n1}\n'), ['chaos.yaml:1:8: steps: expected a list, not a map']);
  t.regex(of('steps: [\n')[0]!, /^chaos\.yaml:2:1: .*this is where the YAML breaks off$/);
  t.is(of('').length, 1);
  t.is(of('- kill: n1\n').length, 1);
  const path = join(tmpdir(), 'reroute-no-such-chaos.yaml');
  const message = `${path}:1:1: there is no such file; examples/churn.yaml is one to start from`;
  await t.throwsAsync(loadChaos(path, lab), { instanceOf: LabError, message });
});

test('rates', (t) => {
  t.is(parseRate('5/s'), 5);
  t.is(parseRate('0.5/s'), 0.5);
  t.is(parseRate('30/m'), 0.5);
  for (const text of ['', '5', '5/h', '/s', '-5/s', '0/s', '0.0/m', '5/s ', '1e3/s'])
    t.is(parseRate(text), null, text);
});
