import test, { type ExecutionContext } from 'ava';
import type { TracedPacket } from '../../../nodes/commands.ts';
import type { EventId } from '../../../nodes/events/record.ts';
import { render } from '../../../orchestrator/cli/trace.ts';
import { followPacket, type PacketPath } from '../../../orchestrator/observe/packet-path.ts';
import type { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { addressOf, run, verifies } from '../../support/lab.ts';
import { calico, flannel, simulate } from '../../support/sim.ts';

async function trace(
  t: ExecutionContext,
  lab: SimLab,
  target: string,
  packet: TracedPacket,
): Promise<PacketPath> {
  const reply = await lab.command('n1', { type: 'trace', pod: 'default/web-n1-1', target, packet });
  t.is(reply.type, 'value', JSON.stringify(reply));
  const start = (reply.type === 'value' ? reply.value : 0) as EventId;
  return followPacket(lab, start, { node: 'n1', ns: 'default/web-n1-1' }, 5_000);
}

/** Steps as words, one for each that is of one of some kinds. */
function words({ steps }: PacketPath, ...kinds: readonly string[]): string[] {
  return steps.flatMap(({ node, place, event }) => {
    const where = place === '' ? node : `${node}/${place.replace('default/', '')}`;
    if (event.type === 'packet.trace')
      return kinds.includes('netfilter')
        ? [`${where} ${event.table} ${event.chain} ${event.kind} ${event.number}`]
        : [];
    const { step } = event;
    if (!kinds.includes(step.at)) return [];
    if (step.at === 'route') return [`${where} ${step.way}`];
    if (step.at === 'drop') return [`${where} ${step.reason}`];
    if (step.at === 'encapsulate' || step.at === 'decapsulate') return [`${where} ${step.at} ${step.how}`];
    return [`${where} ${step.at}`];
  });
}

test('a ping over VXLAN, and its answer: every route, tunnel and process on both nodes', async (t) => {
  const lab = await simulate(flannel('vxlan'));
  const target = await addressOf(lab, 'web-n2-1');
  await run(lab, 'web-n1-1', `ping -c 1 ${target}`);
  const path = await trace(t, lab, target, { proto: 'icmp' });
  t.is(path.outcome, 'answered');
  const [home, away] = [await addressOf(lab, 'web-n1-1'), target];
  t.deepEqual(words(path, 'encapsulate', 'decapsulate', 'socket.receive'), [
    'n1 encapsulate VXLAN vni 1 to 172.18.18.102',
    'n2 socket.receive',
    'n2 decapsulate VXLAN vni 1 from 172.18.18.101',
    'n2/web-n2-1 socket.receive',
    'n2 encapsulate VXLAN vni 1 to 172.18.18.101',
    'n1 socket.receive',
    'n1 decapsulate VXLAN vni 1 from 172.18.18.102',
    'n1/web-n1-1 socket.receive',
  ]);
  const routes = words(path, 'route');
  t.is(routes.length, 12);
  t.true(routes[0]!.startsWith(`n1/web-n1-1 ${away} via `));
  t.is(routes.at(-1), `n1/web-n1-1 local ${home} dev lo`);
  t.regex(
    render(path, {
      from: 'a',
      to: 'b',
      source: { node: 'n1', pod: '' },
      packet: { proto: 'icmp' },
      all: false,
    }),
    /✔ answered after/,
  );
  // What comes after the answer is not followed any more.
  const { length } = path.steps;
  await run(lab, 'web-n1-1', `ping -c 1 ${target}`);
  t.is((await trace(t, lab, target, { proto: 'icmp' })).steps.length, length);
  await verifies(t, lab);
});

test('a SYN that a rule drops, and one that is translated', async (t) => {
  const lab = await simulate(calico());
  const target = await addressOf(lab, 'web-n2-1');
  await run(lab, 'web-n1-1', `ping -c 1 ${target}`);
  await run(lab, 'n2', 'iptables -N CHECK');
  await run(lab, 'n2', 'iptables -A FORWARD -j CHECK');
  await run(lab, 'n2', 'iptables -A CHECK -p tcp --dport 99 -j DROP');
  const dropped = await trace(t, lab, target, { proto: 'tcp', port: 99 });
  t.is(dropped.outcome, 'unanswered');
  t.deepEqual(words(dropped, 'netfilter', 'drop'), [
    'n2 filter FORWARD rule 1',
    'n2 filter CHECK rule 1',
    'n2 netfilter-drop',
  ]);
  const text = render(dropped, {
    from: 'a',
    to: 'b',
    source: { node: 'n1', pod: '' },
    packet: { proto: 'tcp', port: 99 },
    all: false,
  });
  t.regex(text, /✘ no answer: dropped on n2 by filter CHECK rule 1/);

  await run(
    lab,
    'n1',
    `iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination ${target}:7`,
  );
  const moved = await trace(t, lab, '10.96.0.10', { proto: 'tcp', port: 80 });
  t.is(moved.outcome, 'answered');
  const shown = render(moved, {
    from: 'a',
    to: 'b',
    source: { node: 'n1', pod: '' },
    packet: { proto: 'tcp', port: 80 },
    all: false,
  });
  t.true(shown.includes(`10.96.0.10:80 → ${target}:7`), shown);
  t.true(shown.includes(`${target}:7 → 10.96.0.10:80`), shown);
  await verifies(t, lab);
});

test('what REJECT and a closed port answer is a refusal', async (t) => {
  const lab = await simulate(calico());
  const target = await addressOf(lab, 'web-n2-1');
  await run(lab, 'web-n1-1', `ping -c 1 ${target}`);
  const closed = await trace(t, lab, target, { proto: 'tcp', port: 99 });
  t.is(closed.outcome, 'refused');
  await run(lab, 'n2', 'iptables -A FORWARD -p udp -j REJECT --reject-with icmp-port-unreachable');
  const rejected = await trace(t, lab, target, { proto: 'udp', port: 99 });
  t.is(rejected.outcome, 'refused');
  const shown = render(rejected, {
    from: 'a',
    to: 'b',
    source: { node: 'n1', pod: '' },
    packet: { proto: 'udp', port: 99 },
    all: false,
  });
  t.regex(shown, /✘ refused after .*: ICMP 172\.18\.18\.102 > \S+ unreachable code 3/);
});

test('a packet that a bridge takes up to the host passes its hooks there', async (t) => {
  const lab = await simulate(flannel('vxlan'));
  const target = await addressOf(lab, 'web-n2-1');
  await run(lab, 'web-n1-1', `ping -c 1 ${target}`);
  await run(lab, 'n1', 'iptables -A FORWARD -p tcp --dport 99 -j DROP');
  const dropped = await trace(t, lab, target, { proto: 'tcp', port: 99 });
  t.deepEqual(words(dropped, 'netfilter', 'drop'), ['n1 filter FORWARD rule 1', 'n1 netfilter-drop']);
});
