import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { BusLab } from '../../orchestrator/bus-lab.ts';
import { isAlive, LabHome } from '../../orchestrator/home.ts';
import { cli, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryFolder } from '../support/nats.ts';

const LAB = `
name: scn-cli
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
segments:
  lan: { subnet: 172.18.18.0/24, nodes: all }
cluster: { cni: calico, calico: { mesh: full, gracefulRestart: false }, pods: 1 }
`;

function gone(pids: readonly number[]): Promise<void> {
  return eventually('the processes are gone', () => !pids.some(isAlive));
}

test('a lab launched, looked at, broken, mended and taken down by the command line', async (t) => {
  const home = temporaryFolder(t);
  const file = join(home, 'lab.yaml');
  writeFileSync(file, LAB);
  const run = (...argv: string[]) => cli(t, home, ...argv);

  const begun = performance.now();
  const up = await run('up', '-d', file);
  t.is(up.code, 0, up.stderr);
  t.regex(up.stdout, /has converged/);
  // How soon a node boots is for a busy machine to say: by now it has.
  const converged = `+${Math.ceil((performance.now() - begun) / 1_000)}s`;
  const again = await run('up', '-d', file);
  t.not(again.code, 0);
  t.regex(again.stderr, /already running.*reroute down/);

  t.regex((await run('ls')).stdout, /^scn-cli +running/m);
  t.regex((await run('get', 'nodes')).stdout, /^NAME .*\nn1 .*\nn2 /);
  const pods = JSON.parse((await run('get', 'pods', '-o', 'json')).stdout) as unknown[];
  t.is(pods.length, 2);
  t.regex((await run('get', 'routes', 'n1', '-o', 'yaml')).stdout, /proto(col)?: bird/);
  t.regex((await run('show', 'n1', 'bgp', 'protocols')).stdout, /Established/);
  const ping = await run('exec', 'web-n1-1', '--', 'ping', '-c', '1', '@web-n2-1');
  t.is(ping.code, 0);
  t.regex(ping.stdout, /1 received, 0% packet loss/);

  t.is((await run('kill', 'n2')).code, 0);
  const wait = await run('wait', '--converged', '--within', '30s');
  t.is(wait.code, 0, `${wait.stdout}${wait.stderr}`);
  const dead = await run('exec', 'n2', '--', 'ip', 'addr');
  t.not(dead.code, 0);
  t.regex(dead.stderr, /n2 is not running.*reroute start n2/);
  t.not((await run('exec', 'web-n1-1', '--', 'ping', '-c', '1', '-W', '1', '@web-n2-1')).code, 0);
  t.is((await run('start', 'n2')).code, 0);
  t.is((await run('wait', '--converged', '--within', '30s')).code, 0);
  t.is((await run('verify')).code, 0);

  t.is((await run('down')).code, 0);
  t.regex((await run('log', 'scn-cli', '--node', 'n1')).stdout, /node\.booted/);
  t.regex(
    (await run('get', 'routes', 'n1', '--at', converged, '--lab', 'scn-cli')).stdout,
    /172\.18\.18\.0\/24/,
  );
});

test('a supervisor killed by SIGKILL takes its nodes and its bus along', async (t) => {
  const home = temporaryFolder(t);
  const file = join(home, 'lab.yaml');
  writeFileSync(file, LAB.replace('scn-cli', 'scn-orphans'));
  const child = startCli(t, home, 'up', file);
  let text = '';
  for await (const chunk of child.stdout!) {
    text += chunk;
    if (text.includes('runs until Ctrl-C')) break;
  }
  process.env.REROUTE_HOME = home;
  const status = new LabHome('scn-orphans').status()!;
  const lab = await BusLab.attach('scn-orphans', status.bus);
  const pids = (await lab.nodes()).map((node) => node.pid);
  t.is(pids.length, 2);
  t.true(pids.every(isAlive));
  await lab.detach();
  child.kill('SIGKILL');
  await once(child, 'exit');
  await gone(pids);
  await eventually('the bus is gone', () =>
    BusLab.attach('scn-orphans', status.bus).then(
      async (left) => {
        await left.detach();
        return false;
      },
      ({ message }: Error) => /bus|NATS|connect/i.test(message),
    ),
  );
  t.regex((await cli(t, home, 'ls')).stdout, /^scn-orphans +lost/m);
  t.is((await cli(t, home, 'down', '--lab', 'scn-orphans')).code, 0);
});

test('what the user got wrong is named, with a way out, and the status is not 0', async (t) => {
  const home = temporaryFolder(t);
  const bad = join(home, 'bad.yaml');
  writeFileSync(bad, LAB.replace('kind: node', 'kind: nod').replace('mesh: full', 'mesh: ful'));
  const cases: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
    [['up', join(home, 'none.yaml')], /none\.yaml.*no such file/],
    [['up', bad], /bad\.yaml:5:\d+.*nod[\s\S]*bad\.yaml:\d+:\d+.*mesh/],
    [['up', '--bus', 'nats://127.0.0.1:1', '-d', 'examples/flat.yaml'], /127\.0\.0\.1:1/],
    [['get', 'pods'], /no lab is running.*reroute up/],
    [['get', 'pods', '--lab', 'nope'], /there is no lab nope/],
    [['chaos', 'run', join(home, 'none.yaml'), '--simulate', 'examples/flat.yaml'], /none\.yaml/],
    [['frobnicate'], /unknown command/],
    [['up', '--within', 'soon', 'examples/flat.yaml'], /soon/],
  ];
  for (const [argv, says] of cases) {
    const { code, stderr, stdout } = await cli(t, home, ...argv);
    t.not(code, 0, argv.join(' '));
    t.regex(stderr, says, `${argv.join(' ')}: ${stdout}`);
    t.notRegex(stderr, /\n {4}at /, 'a stack trace is no message');
  }
});

test('a node that does not start says why', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const home = temporaryFolder(t);
  const file = join(home, 'lab.yaml');
  writeFileSync(
    file,
    `
name: scn-taken
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    d: { kind: external, bgp: { as: 65002 }, external: { local: 127.0.0.1, listen: ${port} } }
${Array.from({ length: 60 }, (_, i) => `    r${i + 2}: { kind: router }`).join('\n')}
  links:
    - { endpoints: ["r1:eth1", "d:eth1"] }
`,
  );
  const { code, stderr } = await cli(t, home, 'up', '-d', file);
  t.is(code, 1);
  t.regex(
    stderr,
    /^reroute: node r1 did not start, it exited with 70: Error: cannot take connections of d on /m,
  );
  t.regex(stderr, /already in use [\d.:]+; its log: .*r1\.log\.stderr$/m);
  t.notRegex(stderr, /\n {4}at /);
  // Those whose turn had not come have not been started after that.
  t.false(existsSync(join(home, 'labs', 'scn-taken', 'logs', 'r61.log.stderr')));
});
