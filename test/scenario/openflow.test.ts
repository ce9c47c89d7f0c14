import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import test from 'ava';
import { launch, run, until, verifies } from '../support/lab.ts';

const BUS = readFileSync('examples/openflow-bus.yaml', 'utf8').replace(
  'name: openflow-bus',
  'name: scn-openflow',
);

test('a program on the bus is the controller of switches that are processes', async (t) => {
  const { lab } = await launch(t, BUS);
  t.is((await run(lab, 'h1', 'ping -n -c 1 -W 1 10.1.0.3')).code, 1, 'nobody decides yet');
  const program = spawn(process.execPath, ['examples/openflow-controller.mjs', 'scn-openflow'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    if (program.exitCode !== null || program.signalCode !== null) return;
    const exited = once(program, 'exit');
    program.kill();
    await exited;
  });
  const [first] = await once(createInterface(program.stdout), 'line');
  t.is(first, 'ready: s1, s2, s3');
  await until(
    lab,
    'h1 reaches h3',
    async () => (await run(lab, 'h1', 'ping -n -c 1 -W 2 10.1.0.3')).code === 0,
  );
  const flows = async () => (await run(lab, 's2', 'ovs-ofctl dump-flows br0')).output;
  await until(
    lab,
    's2 has flows of both ways',
    async () => (await flows()).split('idle_timeout=60').length > 2,
  );
  t.regex(
    await flows(),
    /priority=1,in_port=2,dl_src=02:52:00:05:00:00,dl_dst=02:52:00:07:00:00 actions=output:3/,
  );
  // What is known needs nobody: failMode is secure.
  await lab.act({ type: 'kill', node: 'ctl', how: 'reset' });
  await until(lab, 's2 has lost its controller', async () => {
    const { output } = await run(lab, 's2', 'ovs-vsctl show');
    return !output.includes('is_connected');
  });
  t.is((await run(lab, 'h1', 'ping -n -c 1 -W 2 10.1.0.3')).code, 0);
  await verifies(t, lab);
});
