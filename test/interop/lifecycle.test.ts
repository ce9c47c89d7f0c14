import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import { isAlive, type LabStatus } from '../../orchestrator/home.ts';
import { cli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { converge, launch, QUICK_TIMERS, reportOf, run, until } from '../support/lab.ts';
import { temporaryFolder } from '../support/nats.ts';
import { interopTest } from './harness.ts';

const test = interopTest('bird');
const gobgpTest = interopTest('gobgp');

const lab = (name: string, kind: 'bird' | 'gobgp' = 'bird') => `
name: ${name}
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    r2: { kind: router, bgp: { as: 65002 } }
    d: { kind: ${kind}, bgp: { as: 65100, networks: [198.51.100.0/24] } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"] }
    - { endpoints: ["r2:eth2", "d:eth1"] }
${QUICK_TIMERS}`;

async function isUp(running: BusLab): Promise<boolean> {
  return (await reportOf(running, 'r2')).sessions.some(
    ({ peer, established }) => peer === 'd' && established,
  );
}

async function hasRoute(running: BusLab): Promise<boolean> {
  return (await run(running, 'r1', 'ip route')).output.includes('198.51.100.0/24');
}

/** Reasons of r2's session with d for leaving Established. */
async function losses(running: BusLab): Promise<string[]> {
  const reasons: string[] = [];
  for await (const { event } of running.records('r2')) {
    if (event.type === 'bgp.session' && event.peer === 'd' && event.from === 'Established')
      reasons.push(event.reason);
  }
  return reasons;
}

async function pidOf(running: BusLab): Promise<number> {
  return (await running.nodes()).find(({ name }) => name === 'd')?.pid ?? 0;
}

test('bird: killed it is gone for its neighbours at once, and started it is back', async (t) => {
  const { lab: running } = await launch(t, lab('interop-kill'));
  t.true(await hasRoute(running));
  const pid = await pidOf(running);
  await running.act({ type: 'kill', node: 'd', how: 'reset' });
  t.false(isAlive(pid));
  await converge(t, running);
  t.false(await hasRoute(running));
  t.deepEqual(await losses(running), ['TcpConnectionFails']);
  await t.throwsAsync(run(running, 'd', 'birdc show status'), { name: 'NodeDownError' });

  await backAgain(t, running);
});

test('bird: without power its neighbours find out by their hold timers', async (t) => {
  const { lab: running } = await launch(t, lab('interop-silent'));
  const pid = await pidOf(running);
  await running.act({ type: 'kill', node: 'd', how: 'silent' });
  t.is(await pidOf(running), 0);
  await converge(t, running);
  t.false(await isUp(running), 'a lab is not at rest while a hold timer runs for who is not there');
  t.regex((await losses(running)).join(), /^HoldTimer_Expires/);
  await backAgain(t, running);
  t.false(isAlive(pid), 'what was left of the first one is gone');
});

test('bird: a pulled cable cuts it off', async (t) => {
  const { lab: running } = await launch(t, lab('interop-cable'));
  await running.act({ type: 'link', node: 'd', device: 'eth1', carrier: 'down' });
  await converge(t, running);
  t.false(await hasRoute(running));
  t.false(await isUp(running));
  await running.act({ type: 'link', node: 'd', device: 'eth1', carrier: 'up' });
  await until(running, 'the route is back', () => hasRoute(running));
});

// GoBGP takes no connection for 5 s after it has lost its neighbour: it closes them as they come.
gobgpTest(
  'gobgp: its neighbour is killed and started, and is not at rest before the session is back',
  async (t) => {
    const { lab: running } = await launch(t, lab('interop-neighbour', 'gobgp'));
    await running.act({ type: 'kill', node: 'r2', how: 'reset' });
    await converge(t, running);
    await running.act({ type: 'start', node: 'r2' });
    await converge(t, running);
    t.true(await isUp(running));
    t.true(await hasRoute(running));
  },
);

async function backAgain(t: ExecutionContext, running: BusLab): Promise<void> {
  await running.act({ type: 'start', node: 'd' });
  await converge(t, running);
  t.true(await isUp(running), 'a lab is not at rest while a session that can come up is not up');
  t.true(await hasRoute(running), 'nor while a daemon has yet to tell its routes');
  t.true((await run(running, 'd', 'birdc show protocols')).output.includes('Established'));
}

test('bird: what it is not asked as, it says so; what it is, its own tools answer', async (t) => {
  const home = temporaryFolder(t);
  const file = join(home, 'lab.yaml');
  writeFileSync(file, lab('interop-cli'));
  const up = await cli(t, home, 'up', '-d', file);
  t.is(up.code, 0, up.stderr);
  t.regex(up.stdout, /2 routers, 1 bird/);
  const of = async (...argv: readonly string[]) => {
    const { code, stdout, stderr } = await cli(t, home, ...argv);
    return { code, said: stdout + stderr };
  };
  t.regex((await of('get', 'nodes')).said, /^d +Running +bird +10\.0\.0\.3 +1\/1/m);
  t.regex((await of('get', 'sessions')).said, /^r2 +d +10\.0\.0\.3 +65100 +Established +1 +/m);
  t.regex((await of('show', 'd', 'bgp', 'protocols')).said, /^r2 +BGP .* Established/m);
  t.regex((await of('exec', 'd', '--', 'birdc', 'show', 'route')).said, /198\.51\.100\.0\/24/);
  t.deepEqual(await of('exec', 'd', '--', 'ip', 'addr'), {
    code: 1,
    said: 'reroute: d is a real BIRD, not an emulated node: it runs birdc, not ip\n',
  });
  t.deepEqual(await of('get', 'routes', 'd'), {
    code: 1,
    said: 'reroute: d is a real BIRD, not an emulated node, and cannot be asked that; ask it by: reroute exec d -- birdc\n',
  });
  t.deepEqual(await of('bgp', 'd', 'restart'), {
    code: 1,
    said: 'reroute: d is a real BIRD, not an emulated node, and cannot be asked that; ask it by: reroute exec d -- birdc\n',
  });
  t.deepEqual(await of('dump', 'd', '--mrt', join(home, 'd.mrt')), {
    code: 1,
    said: 'reroute: d is a real daemon and keeps no log here; dump what it has told r2\n',
  });
  t.regex((await of('verify')).said, /every running node is the fold of its log/);

  t.is((await of('show', 'd', 'bgp', 'summary')).code, 0);
  const path = join(home, 'labs', 'interop-cli', 'status.json');
  const { pid: supervisor } = JSON.parse(readFileSync(path, 'utf8')) as LabStatus;
  const nodes = JSON.parse((await of('get', 'nodes', '-o', 'json')).said) as readonly {
    readonly pid: number;
  }[];
  const pids = nodes.map(({ pid }) => pid);
  t.true([supervisor, ...pids].every((pid) => pid > 1 && isAlive(pid)));
  process.kill(supervisor, 'SIGKILL');
  await eventually('they all go with it', () => !pids.some(isAlive));
});

test('bird: one that does not start ends the launch with its own word on it', async (t) => {
  const home = temporaryFolder(t);
  const file = join(home, 'lab.yaml');
  writeFileSync(
    file,
    lab('interop-wrong').replace('} }\n  links', '}, daemon: { config: "nonsense;" } }\n  links'),
  );
  const { code, stderr } = await cli(t, home, 'up', '-d', file);
  t.is(code, 1);
  t.regex(stderr, /^reroute: d: BIRD did not start: bird: bird\.conf:\d+:\d+ syntax error/m);
});
