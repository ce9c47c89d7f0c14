import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import ora from 'ora';
import { BusLab } from '../bus-lab.ts';
import { LabHome, LabHomeError } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { loadLab } from '../lab/load.ts';
import { reseed } from '../lab/seed.ts';
import { bestChanges, describeOscillation, findOscillations } from '../observe/oscillation.ts';
import { type Convergence, waitConverged } from '../observe/quiescence.ts';
import { listPods } from '../pods.ts';
import { nodeProgram, projectRoot } from '../root.ts';
import type { RunningLab } from '../running-lab.ts';
import { ensureNatsServer } from '../setup/nats-server.mjs';
import { Supervisor } from '../supervisor/supervisor.ts';
import { bad, faint, good, humanTime, plural, strong, write } from './output.ts';
import { simulate } from './simulate.ts';

export interface UpOptions {
  readonly detach?: true;
  readonly graphml?: string;
  readonly simulate?: true;
  readonly bus?: string;
  /** In the place of the lab's own. */
  readonly seed?: number;
  readonly logLevel: string;
  /** ms */
  readonly within: number;
}

/** Bus that the user named by `--bus` or REROUTE_BUS; a token may stand before the host, as in a NATS URL. */
function namedBus(option: string | undefined): { readonly url: string; readonly token: string } | null {
  const text = option ?? process.env.REROUTE_BUS ?? '';
  if (text === '') return null;
  const url = new URL(text.includes('://') ? text : `nats://${text}`);
  return { url: `${url.protocol}//${url.host}`, token: decodeURIComponent(url.username) };
}

export function createSupervisor(
  lab: CompiledLab,
  file: string,
  options: { readonly bus?: string; readonly logLevel: string },
): Supervisor {
  const given = namedBus(options.bus);
  return new Supervisor({
    home: new LabHome(lab.name),
    lab,
    file,
    nodeProgram: nodeProgram(),
    logLevel: options.logLevel,
    bus:
      given === null
        ? { type: 'own', program: ensureNatsServer(projectRoot()) }
        : { type: 'given', ...given },
  });
}

/** Between two looks at a lab that comes up, ms. */
const LOOK = 50;

/** `reroute up`: exit code. */
export async function up(file: string | undefined, options: UpOptions): Promise<number> {
  const path = options.graphml ?? file;
  if (path === undefined) throw new LabHomeError('name a lab file: reroute up examples/flat.yaml');
  const loaded = await loadLab(path);
  const lab = options.seed === undefined ? loaded : reseed(loaded, options.seed);
  for (const warning of lab.warnings) process.stderr.write(`warning: ${warning}\n`);
  if (options.simulate) return simulate(lab, path, options.within);
  if (options.detach) return upDetached(lab, path, options);

  const supervisor = createSupervisor(lab, path, options);
  const stop = () => void supervisor.down();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const code = await bringUp(supervisor, lab, options.within);
  if (code !== 0) {
    await supervisor.down();
    return code;
  }
  write(
    faint(
      'The lab runs until Ctrl-C (reroute up -d leaves it running). In another terminal: reroute get pods\n',
    ),
  );
  await supervisor.ended;
  return 0;
}

async function bringUp(supervisor: Supervisor, lab: CompiledLab, within: number): Promise<number> {
  const since = performance.timeOrigin + performance.now();
  const spinner = ora({ text: `starting ${plural(lab.nodes.length, 'node')}`, discardStdin: false }).start();
  try {
    await supervisor.up();
    const view = await attach(lab.name);
    const result = await awaitUp(view, since, within, (text) => {
      spinner.text = text;
    });
    spinner.stop();
    const refused = await refusedCommands(view, lab);
    write(await summaryOf(view, lab, result, refused));
    await view.detach();
    return codeOf(result, refused);
  } catch (error) {
    spinner.stop();
    throw error;
  }
}

/** A lab that is not as its file says has not come up. */
export function codeOf({ converged }: Convergence, refused: readonly string[]): number {
  return converged && refused.length === 0 ? 0 : 1;
}

async function attach(name: string): Promise<BusLab> {
  const bus = new LabHome(name).status()?.bus;
  if (bus === undefined) throw new LabHomeError(`lab ${name} has no bus`);
  return BusLab.attach(name, bus);
}

/** Waits for the lab's first convergence, measured from the moment that `up` was called. */
export function awaitUp(
  lab: RunningLab,
  since: number,
  within: number,
  say: (text: string) => void,
): Promise<Convergence> {
  return waitConverged(lab, {
    within,
    since: { at: since, reports: [] },
    sessions: 'established',
    onLook: (reports) => {
      const sessions = reports.flatMap((report) => report.sessions);
      const established = sessions.filter((session) => session.established).length;
      const pods = reports.reduce((sum, report) => sum + report.podsRunning, 0);
      say(`converging: ${established}/${sessions.length} session ends, ${plural(pods, 'pod')} running`);
    },
  });
}

/** Why a lab does not come to rest, if its best paths go round: the nodes and the paths, in turn. */
export async function oscillationLines(lab: RunningLab): Promise<string[]> {
  return findOscillations(await bestChanges(lab)).flatMap((oscillation) => {
    const [head = '', ...turns] = describeOscillation(oscillation);
    return [`  ${bad('cycle')}      ${head}`, ...turns.slice(0, 24).map((turn) => `               ${turn}`)];
  });
}

/** What a person wants to know after `up`. */
export async function summaryOf(
  lab: RunningLab,
  compiled: CompiledLab,
  result: Convergence,
  refused: readonly string[] = [],
): Promise<string> {
  const roles = new Map<string, number>();
  for (const node of compiled.nodes) roles.set(node.role, (roles.get(node.role) ?? 0) + 1);
  const kinds = [...roles].map(([role, count]) => plural(count, role)).join(', ');
  const pods = await listPods(lab);
  const running = pods.filter((pod) => pod.status?.phase === 'Running').length;
  const sessions = compiled.nodes.reduce((sum, node) => sum + (node.bgp?.neighbors.length ?? 0), 0) / 2;
  const lines = [
    `${result.converged ? good('✔') : bad('✘')} lab ${strong(lab.name)} ${result.converged ? 'has converged' : 'has not converged'}`,
    `  nodes      ${kinds}`,
    ...(pods.length > 0 ? [`  pods       ${running} of ${pods.length} running`] : []),
    ...(sessions > 0 ? [`  sessions   ${sessions} BGP`] : []),
    `  time       ${humanTime(result.after)} from the start to the last route (${result.lastNode || 'none'})`,
    `  counted    ${result.updatesSent} BGP updates sent, ${result.fibChanges} changes to forwarding tables`,
  ];
  lines.push(...refused.map((text) => `  ${bad('refused')}    ${text}`));
  if (!result.converged) {
    lines.push(...result.reasons.slice(0, 8).map((reason) => `  ${bad('still')}      ${reason}`));
    lines.push(...(await oscillationLines(lab)));
  }
  return `${lines.join('\n')}\n`;
}

/** Commands of the lab file's that Docker did not do: where each stands, and what Docker said. */
export async function refusedCommands(lab: RunningLab, compiled: CompiledLab): Promise<string[]> {
  const refused: string[] = [];
  for (const [name, places] of Object.entries(compiled.dockerPlaces ?? {})) {
    let index = 0;
    for await (const { event } of lab.records(name)) {
      if (event.type !== 'docker.command') continue;
      const place = places[index++] ?? name;
      if (event.code !== 0) refused.push(`${place}: docker ${event.argv.join(' ')}: ${said(event.error)}`);
    }
  }
  return refused;
}

/** The line that says what is wrong, of all that the client has printed. */
function said(text: string): string {
  const lines = text.split('\n');
  return lines.find((line) => /\berror\b/i.test(line)) ?? lines[0] ?? '';
}

/** Starts the supervisor as a process of its own and follows it until the lab has converged. */
async function upDetached(lab: CompiledLab, file: string, options: UpOptions): Promise<number> {
  const home = new LabHome(lab.name);
  if (home.isRunning()) {
    throw new LabHomeError(`lab ${lab.name} is already running; end it with: reroute down --lab ${lab.name}`);
  }
  const since = performance.timeOrigin + performance.now();
  const args = [
    join(projectRoot(), 'dist', 'reroute.js'),
    'supervise',
    file,
    '--log-level',
    options.logLevel,
  ];
  if (options.bus !== undefined) args.push('--bus', options.bus);
  if (options.seed !== undefined) args.push('--seed', String(options.seed));
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', 'ignore', openSync('/dev/null', 'w')],
  });
  child.unref();
  const spinner = ora({ text: `starting ${plural(lab.nodes.length, 'node')}`, discardStdin: false }).start();
  try {
    for (;;) {
      const status = home.status();
      const ours = status !== null && status.pid === child.pid;
      if (ours && status.status === 'failed') throw new LabHomeError(status.error);
      if (ours && status.status === 'running') break;
      if (child.exitCode !== null) throw new LabHomeError('the supervisor has ended before the lab was up');
      await pause(10);
    }
    const view = await attach(lab.name);
    const arrived = new AbortController();
    const look = (text: string) => {
      spinner.text = text;
    };
    const result = await Promise.race([
      awaitUp(view, since, options.within, look),
      failureOf(home, child, arrived.signal),
    ]).catch(async (error: unknown) => {
      // Who waits for answers of the lab waits no more.
      await view.detach();
      throw error;
    });
    arrived.abort();
    spinner.stop();
    const refused = await refusedCommands(view, lab);
    write(await summaryOf(view, lab, result, refused));
    write(faint(`The lab runs on; end it with: reroute down ${lab.name}\n`));
    await view.detach();
    return codeOf(result, refused);
  } catch (error) {
    spinner.stop();
    throw error;
  }
}

/** A lab whose bus runs may still have a node that cannot start. Ends with the signal, or as the LabHomeError that says which. */
async function failureOf(home: LabHome, child: ChildProcess, signal: AbortSignal): Promise<never> {
  for (;;) {
    await pause(LOOK, undefined, { signal });
    const status = home.status();
    if (status?.status === 'failed') throw new LabHomeError(status.error);
    if (child.exitCode !== null) throw new LabHomeError('the supervisor has ended before the lab was up');
  }
}

/** `reroute supervise`, what `up -d` leaves running. */
export async function supervise(
  file: string,
  options: { readonly bus?: string; readonly seed?: number; readonly logLevel: string },
): Promise<number> {
  const loaded = await loadLab(file);
  const lab = options.seed === undefined ? loaded : reseed(loaded, options.seed);
  const supervisor = createSupervisor(lab, file, options);
  const stop = () => void supervisor.down();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  process.once('SIGHUP', stop);
  await supervisor.up();
  await supervisor.ended;
  return 0;
}
