import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { NodeReport } from '../../nodes/machine-io.ts';
import { BusLab } from '../../orchestrator/bus-lab.ts';
import { LabHome } from '../../orchestrator/home.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import type { CompiledLab } from '../../orchestrator/lab/compiled.ts';
import { baseline, collectReports, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { findPod, listPods } from '../../orchestrator/pods.ts';
import { nodeProgram, projectRoot } from '../../orchestrator/root.ts';
import type { RunningLab } from '../../orchestrator/running-lab.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';
import { Supervisor, type SupervisorOptions } from '../../orchestrator/supervisor/supervisor.ts';
import { WITHIN } from './eventually.ts';

/** Every test process keeps its labs apart from the user's. */
const home = mkdtempSync(join(tmpdir(), 'reroute-home-'));
process.env.REROUTE_HOME = home;
process.once('exit', () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));

/** A lab that reacts within seconds, so that a scenario need not wait for what real timers wait for. */
export const QUICK_TIMERS = `
timers:
  bgp: { holdTime: 3s, keepalive: 1s, connectRetry: 300ms, idleHold: 300ms, idleHoldMax: 1s }
`;

export interface Launched {
  readonly lab: BusLab;
  readonly supervisor: Supervisor;
  readonly compiled: CompiledLab;
}

/** Starts a lab of real processes, waits until it has converged, and takes it down when the test ends. */
export async function launch(
  t: ExecutionContext,
  yaml: string,
  bus: SupervisorOptions['bus'] = { type: 'own', program: ensureNatsServer(projectRoot()) },
): Promise<Launched> {
  const compiled = compileLab(yaml, 'test.yaml');
  const supervisor = new Supervisor({
    home: new LabHome(compiled.name),
    lab: compiled,
    file: 'test.yaml',
    nodeProgram: nodeProgram(),
    logLevel: 'info',
    bus,
  });
  t.teardown(() => supervisor.down());
  await supervisor.up();
  const status = new LabHome(compiled.name).status();
  const lab = await BusLab.attach(compiled.name, status!.bus);
  t.teardown(() => lab.detach());
  const since = { at: lab.now(), reports: [] };
  const result = await waitConverged(lab, { within: WITHIN, since, sessions: 'established' });
  t.true(result.converged, result.reasons.join('; '));
  return { lab, supervisor, compiled };
}

/** Waits for quiescence and asserts that it came. */
export async function converge(t: ExecutionContext, lab: RunningLab): Promise<void> {
  const result = await waitConverged(lab, { within: WITHIN, since: await baseline(lab) });
  t.true(result.converged, result.reasons.join('; '));
}

export interface Ran {
  readonly code: number;
  readonly output: string;
}

/** Runs a command line on a node, or in a pod named as `pod@node`'s first half. */
export async function run(lab: RunningLab, where: string, line: string): Promise<Ran> {
  let output = '';
  const pod = findPod(await listPods(lab), where);
  const node = pod?.spec.node ?? where;
  const name = pod === undefined ? '' : `${pod.spec.namespace}/${pod.spec.name}`;
  const reply = await lab.command(
    node,
    { type: 'exec', pod: name, argv: line.split(' ') },
    {
      onReply: (part) => {
        if (part.type === 'stdout' || part.type === 'stderr') output += part.text;
      },
    },
  );
  if (reply.type === 'error') throw new Error(reply.message);
  return { code: reply.type === 'exit' ? reply.code : 0, output };
}

/** Address of a running pod. */
export async function addressOf(lab: RunningLab, pod: string): Promise<string> {
  const ip = findPod(await listPods(lab), pod)?.status?.podIP ?? '';
  if (ip === '') throw new Error(`pod ${pod} has no address`);
  return ip;
}

/** Asserts that one pod answers another. */
export async function pings(t: ExecutionContext, lab: RunningLab, from: string, to: string): Promise<void> {
  const { code, output } = await run(lab, from, `ping -n -c 1 -W 5 ${await addressOf(lab, to)}`);
  t.is(code, 0, `${from} -> ${to}: ${output}`);
}

/** Asserts that the fold of every running node's log is its live state. */
export async function verifies(t: ExecutionContext, lab: RunningLab): Promise<void> {
  for (const { name, state } of await lab.nodes()) {
    const verdict = await verifyNode(lab, name);
    t.deepEqual(verdict.differences, []);
    t.is(verdict.state, state === 'down' ? 'down' : 'verified', name);
    t.true(state === 'down' || verdict.events > 0);
  }
}

export async function reportOf(lab: RunningLab, node: string): Promise<NodeReport> {
  const report = (await collectReports(lab)).find((candidate) => candidate.node === node);
  if (report === undefined) throw new Error(`no report of ${node}`);
  return report;
}

/** Looks until something is so, for as long as a test may wait. */
export async function until(
  lab: RunningLab,
  what: string,
  condition: () => Promise<boolean>,
  within = WITHIN,
): Promise<void> {
  const started = lab.now();
  while (!(await condition())) {
    if (lab.now() - started > within) throw new Error(`in vain: ${what}`);
    await lab.sleep(20);
  }
}
