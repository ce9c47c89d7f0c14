import test from 'ava';
import { listPods } from '../../orchestrator/pods.ts';
import type { RunningLab } from '../../orchestrator/running-lab.ts';
import { parseBlock } from '../../protocols/ipam/calico-block.ts';
import {
  addressOf,
  converge,
  launch,
  pings,
  QUICK_TIMERS,
  reportOf,
  run,
  until,
  verifies,
} from '../support/lab.ts';

/** Without graceful restart what dies is missed as soon as its connections are. */
function calico(name: string): string {
  return `
name: ${name}
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    n3: { kind: node }
    rr: { kind: reflector }
segments:
  lan: { subnet: 172.18.18.0/24, rangeStart: 172.18.18.101, nodes: all }
cluster:
  cni: calico
  calico: { mesh: reflectors, gracefulRestart: false }
  pods: { perNode: 2, name: web, labels: { app: web } }
${QUICK_TIMERS}`;
}

/** Addresses that the blocks in the store hold as given out. */
async function assignedAddresses(lab: RunningLab): Promise<number> {
  const blocks = await lab.list('ipam.blocks.>');
  return blocks
    .map(({ value }) => Object.keys(parseBlock(value)?.allocations ?? {}).length)
    .reduce((sum, count) => sum + count, 0);
}

async function runningPods(lab: RunningLab): Promise<number> {
  return (await listPods(lab)).filter((pod) => pod.status?.phase === 'Running').length;
}

/** The session that rr has with a node. */
async function established(lab: RunningLab, node: string): Promise<boolean> {
  const report = await reportOf(lab, 'rr');
  return report.sessions.some((session) => session.peer === node && session.established);
}

/** Kills n2, and tells by what rr found out: how soon it did is for a busy machine to say. */
async function killed(lab: RunningLab, how: 'reset' | 'silent'): Promise<string> {
  const before = lab.now();
  await lab.act({ type: 'kill', node: 'n2', how });
  let reason = '';
  await until(lab, 'rr loses n2', async () => {
    for await (const { at, event } of lab.records('rr')) {
      if (event.type !== 'bgp.session' || event.peer !== 'n2' || event.from !== 'Established') continue;
      if (at >= before) reason = event.reason;
    }
    return reason !== '';
  });
  return reason;
}

test('pods reach each other through routes that a reflector passed on; verify holds', async (t) => {
  const { lab } = await launch(t, calico('scn-calico'));
  for (const from of ['web-n1-1', 'web-n2-2']) {
    for (const to of ['web-n1-2', 'web-n3-1', 'web-n2-1']) await pings(t, lab, from, to);
  }
  t.is(await runningPods(lab), 6);
  t.is(await assignedAddresses(lab), 6);

  const routes = (await run(lab, 'n1', 'ip route')).output;
  const cidr = (await addressOf(lab, 'web-n2-1')).replace(/\.\d+$/, '');
  t.regex(
    routes,
    new RegExp(`^${cidr.replaceAll('.', '\\.')}\\.\\d+/26 via 172\\.18\\.18\\.102 dev eth0 proto bird`, 'm'),
  );
  t.regex(routes, /^blackhole \S+\/26 proto bird/m);
  t.is(routes.match(/dev cali[0-9a-f]{11} scope link/g)?.length, 2);
  await verifies(t, lab);
});

test('a node killed with its connections reset is missed at once, and comes back with its disk', async (t) => {
  const { lab } = await launch(t, calico('scn-reset'));
  const blocksBefore = (await lab.list('ipam.blocks.>')).map((entry) => entry.key).sort();
  t.is(await killed(lab, 'reset'), 'TcpConnectionFails');
  await converge(t, lab);
  t.false((await run(lab, 'n1', 'ip route')).output.includes('172.18.18.102'));
  await verifies(t, lab);

  await lab.act({ type: 'start', node: 'n2' });
  await converge(t, lab);
  t.true(await established(lab, 'n2'));
  t.is((await reportOf(lab, 'n2')).boot, 2);
  t.deepEqual((await lab.list('ipam.blocks.>')).map((entry) => entry.key).sort(), blocksBefore);
  t.is(await runningPods(lab), 6);
  t.is(await assignedAddresses(lab), 6);
  await pings(t, lab, 'web-n1-1', 'web-n2-1');
  await verifies(t, lab);
});

test('a node that loses power is missed when the hold timer expires', async (t) => {
  const { lab } = await launch(t, calico('scn-silent'));
  t.regex(await killed(lab, 'silent'), /^HoldTimer_Expires/);
  await converge(t, lab);
  t.false((await run(lab, 'n3', 'ip route')).output.includes('172.18.18.102'));
  await lab.act({ type: 'start', node: 'n2' });
  await converge(t, lab);
  await pings(t, lab, 'web-n3-1', 'web-n2-2');
  await verifies(t, lab);
});

test('a process that someone else kills is logged, stays down, and can be started', async (t) => {
  const { lab } = await launch(t, calico('scn-kill9'));
  const victim = (await lab.nodes()).find((node) => node.name === 'n3');
  process.kill(victim!.pid, 'SIGKILL');
  await until(lab, 'the supervisor sees it', async () =>
    (await lab.nodes()).some((node) => node.name === 'n3' && node.state === 'down'),
  );
  const exits: string[] = [];
  for await (const { event } of lab.records('orchestrator')) {
    if (event.type === 'node.exited') exits.push(`${event.node} ${event.signal}`);
  }
  t.deepEqual(exits, ['n3 SIGKILL']);
  await t.throwsAsync(lab.command('n3', { type: 'report' }), { name: 'NodeDownError' });
  await lab.act({ type: 'start', node: 'n3' });
  await converge(t, lab);
  await pings(t, lab, 'web-n1-1', 'web-n3-2');
  t.is(await assignedAddresses(lab), 6);
  await verifies(t, lab);
});

test('deleting a pod gives its address back, and a cable pulled keeps a node away until it is plugged in', async (t) => {
  const { lab } = await launch(t, calico('scn-link'));
  await lab.act({ type: 'pod.delete', namespace: 'default', name: 'web-n1-2', node: 'n1' });
  await converge(t, lab);
  t.is(await assignedAddresses(lab), 5);

  const target = await addressOf(lab, 'web-n2-1');
  await lab.act({ type: 'link', node: 'n2', device: 'eth0', carrier: 'down' });
  t.not((await run(lab, 'web-n1-1', `ping -n -c 1 -W 1 ${target}`)).code, 0);
  t.regex((await run(lab, 'n2', 'ip link show eth0')).output, /NO-CARRIER/);
  await lab.act({ type: 'link', node: 'n2', device: 'eth0', carrier: 'up' });
  await until(lab, 'n2 is back', () => established(lab, 'n2'));
  await converge(t, lab);
  // n1 has asked for n2's MAC address in vain, and what it sends before it gives that up is lost with it (RFC 4861 §7.2.2).
  await until(lab, 'web-n1-1 reaches it', async () => {
    const { code } = await run(lab, 'web-n1-1', `ping -n -c 1 -W 1 ${target}`);
    return code === 0;
  });
  await verifies(t, lab);
});
