import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { TracedPacket } from '../../../nodes/commands.ts';
import type { EventId } from '../../../nodes/events/record.ts';
import { render } from '../../../orchestrator/cli/trace.ts';
import { followPacket, type PacketPath } from '../../../orchestrator/observe/packet-path.ts';
import { findPod, listPods } from '../../../orchestrator/pods.ts';
import type { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { run, verifies } from '../../support/lab.ts';
import { simulate } from '../../support/sim.ts';

async function trace(
  t: ExecutionContext,
  lab: SimLab,
  target: string,
  packet: TracedPacket,
): Promise<{ readonly path: PacketPath; readonly text: string }> {
  const reply = await lab.command('n1', { type: 'trace', pod: 'default/web-n1-1', target, packet });
  t.is(reply.type, 'value', JSON.stringify(reply));
  const start = (reply.type === 'value' ? reply.value : 0) as EventId;
  const path = await followPacket(lab, start, { node: 'n1', ns: 'default/web-n1-1' }, 5_000);
  const source = { node: 'n1', pod: 'default/web-n1-1' };
  return { path, text: render(path, { from: 'web-n1-1', to: target, source, packet, all: false }) };
}

async function address6(lab: SimLab, name: string): Promise<string> {
  return findPod(await listPods(lab), name)?.status?.podIPs?.find((ip) => ip.includes(':')) ?? '';
}

test('packets of IPv6 between dual-stack pods: hooks, rules, NAT, routes and neighbours, there and back', async (t) => {
  const lab = await simulate(readFileSync('examples/dual-stack.yaml', 'utf8'));
  const target = await address6(lab, 'web-n2-1');
  t.regex(target, /^fd00:/);
  const ping = await trace(t, lab, target, { proto: 'icmp' });
  t.is(ping.path.outcome, 'answered');
  const lines = ping.text.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '));
  t.true(lines.includes(`neighbour | ${target} is asked for by NDP`), ping.text);
  t.true(lines.some((line) => line.startsWith(`NDP who-has ${target} tell fe80::`)));
  t.true(lines.some((line) => line.startsWith(`route | ${target} via 2001:db8:18::2 dev eth0 (`)));
  t.true(lines.includes('process | receives on ICMPv6 echo-request'));
  t.true(lines.includes('process | receives on ICMPv6 echo-reply'));
  // Who is asked for the neighbour and is not it has no place in the story.
  t.false(lines.includes('n3') || lines.includes('r1'), ping.text);

  const served = await trace(t, lab, target, { proto: 'tcp', port: 80 });
  t.is(served.path.outcome, 'answered', served.text);
  t.regex(served.text, /receives on TCP port 80/);

  await run(lab, 'n2', 'ip6tables -N CHECK');
  await run(lab, 'n2', 'ip6tables -A FORWARD -j CHECK');
  await run(lab, 'n2', 'ip6tables -A CHECK -p tcp --dport 99 -j DROP');
  const dropped = await trace(t, lab, target, { proto: 'tcp', port: 99 });
  t.is(dropped.path.outcome, 'unanswered');
  t.regex(dropped.text, /✘ no answer: dropped on n2 by filter CHECK rule 1/);

  const nat = '-t nat -A PREROUTING -d fd00:96::10 -p tcp --dport 80 -j DNAT --to-destination';
  await run(lab, 'n1', `ip6tables ${nat} [${target}]:7`);
  const moved = await trace(t, lab, 'fd00:96::10', { proto: 'tcp', port: 80 });
  t.is(moved.path.outcome, 'answered');
  t.true(moved.text.includes(`DNAT                 [fd00:96::10]:80 → [${target}]:7`), moved.text);
  t.true(moved.text.includes(`SNAT                 [${target}]:7 → [fd00:96::10]:80`), moved.text);

  await run(lab, 'n1', 'ip6tables -A FORWARD -d fd00:97::/64 -j REJECT --reject-with adm-prohibited');
  const refused = await trace(t, lab, 'fd00:97::1', { proto: 'udp', port: 53 });
  t.is(refused.path.outcome, 'refused');
  t.regex(refused.text, /✘ refused after .*: ICMPv6 \S+ > \S+ unreachable code 1/);
  await verifies(t, lab);
});
