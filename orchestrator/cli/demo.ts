import { join } from 'node:path';
import ora from 'ora';
import type { NodeView } from '../../nodes/state/node-fold.ts';
import { BusLab } from '../bus-lab.ts';
import { LabHome } from '../home.ts';
import { loadLab } from '../lab/load.ts';
import { baseline, type Convergence, waitConverged } from '../observe/quiescence.ts';
import type { Snapshot } from '../observe/verify.ts';
import { listPods, type Pod, podName } from '../pods.ts';
import { projectRoot } from '../root.ts';
import type { RunningLab } from '../running-lab.ts';
import { bad, faint, good, humanTime, plural, strong, write } from './output.ts';
import { execIn } from './target.ts';
import { awaitUp, createSupervisor, summaryOf } from './up.ts';
import { verifyAll } from './verify.ts';

const LAB = join('examples', 'calico-rr.yaml');
const WITHIN = 60_000;

/** `npm start`: launches the demo lab, breaks it, mends it, ends it. Exit code. */
export async function demo(): Promise<number> {
  const file = join(projectRoot(), LAB);
  const lab = await loadLab(file);
  write(
    `${strong('reroute')}: ${plural(lab.nodes.length, 'node')} as ${plural(lab.nodes.length, 'process').replace('processs', 'processes')}, from ${LAB}\n\n`,
  );
  const supervisor = createSupervisor(lab, file, { logLevel: 'info' });
  const stop = () => void supervisor.down().then(() => process.exit(130));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const since = performance.timeOrigin + performance.now();
  const spinner = ora({ text: `starting ${plural(lab.nodes.length, 'node')}`, discardStdin: false }).start();
  try {
    await supervisor.up();
    const bus = new LabHome(lab.name).status()?.bus ?? { url: '', token: '' };
    const view = await BusLab.attach(lab.name, bus);
    const result = await awaitUp(view, since, WITHIN, (text) => {
      spinner.text = text;
    });
    spinner.stop();
    write(await summaryOf(view, lab, result));
    const code = result.converged ? await walkThrough(view) : 1;
    await view.detach();
    return code;
  } finally {
    spinner.stop();
    await supervisor.down();
  }
}

async function walkThrough(lab: RunningLab): Promise<number> {
  const pods = await listPods(lab);
  const [from] = pods;
  const to = pods.find((pod) => pod.spec.node !== from?.spec.node);
  if (from === undefined || to === undefined) return 1;
  let failures = await pingStep(lab, from, to);

  const victim = to.spec.node;
  const witness = from.spec.node;
  const before = await routesOf(lab, witness);
  write(`\n${strong(`reroute kill ${victim}`)}\n`);
  const killed = await measured(lab, () => lab.act({ type: 'kill', node: victim, how: 'reset' }));
  write(`${told(killed)}\n`);
  write(difference(witness, before, await routesOf(lab, witness)));

  write(`\n${strong(`reroute start ${victim}`)}\n`);
  const restarted = await measured(lab, () => lab.act({ type: 'start', node: victim }));
  write(`${told(restarted)}\n`);
  failures += killed.converged && restarted.converged ? 0 : 1;
  const again = (await listPods(lab)).find((pod) => podName(pod) === podName(to));
  if (again?.status !== null && again !== undefined) {
    const moved = again.status.podIP !== to.status?.podIP;
    write(
      `  pod ${podName(to)} ${moved ? `has moved from ${to.status?.podIP} to ${again.status.podIP}` : `is back on ${again.status.podIP}`}\n`,
    );
    failures += await pingStep(lab, from, again);
  }

  const verdicts = await verifyAll(lab);
  const wrong = verdicts.filter((verdict) => verdict.state !== 'verified');
  const events = verdicts.reduce((sum, verdict) => sum + verdict.events, 0);
  write(`\n${strong('reroute verify')}\n`);
  write(
    wrong.length === 0
      ? `${good('✔')} ${events} events: the fold of every node's log is its live state\n`
      : `${bad('✘')} ${wrong.map((verdict) => `${verdict.node} ${verdict.state}`).join(', ')}\n`,
  );
  return failures + wrong.length === 0 ? 0 : 1;
}

async function pingStep(lab: RunningLab, from: Pod, to: Pod): Promise<number> {
  const ip = to.status?.podIP ?? '';
  write(
    `\n${strong(`reroute exec ${podName(from)} -- ping -c 3 -i 0.2 ${ip}`)}  ${faint(`(${from.spec.node} to ${to.spec.node})`)}\n`,
  );
  const code = await execIn(lab, { node: from.spec.node, pod: podName(from) }, [
    'ping',
    '-c',
    '3',
    '-i',
    '0.2',
    ip,
  ]);
  return code === 0 ? 0 : 1;
}

async function measured(lab: RunningLab, act: () => Promise<unknown>): Promise<Convergence> {
  const since = await baseline(lab);
  await act();
  return waitConverged(lab, { within: WITHIN, since });
}

function told(result: Convergence): string {
  if (!result.converged) return `${bad('✘')} not converged: ${result.reasons.slice(0, 3).join('; ')}`;
  const { after, updatesSent, fibChanges } = result;
  return `${good('✔')} reconverged ${humanTime(after)} later: ${updatesSent} BGP updates, ${fibChanges} changes to forwarding tables`;
}

type Routes = NodeView['kernel']['routes'][string];

async function routesOf(lab: RunningLab, node: string): Promise<Routes> {
  const reply = await lab.command(node, { type: 'snapshot' });
  return reply.type === 'value' ? ((reply.value as Snapshot).view.kernel.routes[''] ?? []) : [];
}

/** What went and what came in a node's route table, as a diff. */
function difference(node: string, before: Routes, after: Routes): string {
  const line = (route: Routes[number]) => {
    const [hop] = route.nexthops;
    const way = hop === undefined ? '' : `${hop.via === '' ? '' : ` via ${hop.via}`} dev ${hop.dev}`;
    return `${route.type === 'unicast' ? '' : `${route.type} `}${route.dst}${way} proto ${route.protocol}`;
  };
  const old = new Set(before.map(line));
  const now = new Set(after.map(line));
  const gone = [...old].filter((text) => !now.has(text)).map((text) => bad(`  - ${text}`));
  const come = [...now].filter((text) => !old.has(text)).map((text) => good(`  + ${text}`));
  return `  routes of ${node}:\n${[...gone, ...come].join('\n') || '  unchanged'}\n`;
}
