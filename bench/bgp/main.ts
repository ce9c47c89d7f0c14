import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { bird } from './daemons/bird.ts';
import type { Daemon } from './daemons/daemon.ts';
import { frr } from './daemons/frr.ts';
import { gobgp } from './daemons/gobgp.ts';
import { rerouteAlone, rerouteRecorded } from './daemons/reroute.ts';
import { MeasureError, measure, measureSink, type Outcome, type Stage } from './measure.ts';
import { consumption } from './process.ts';
import {
  type CountedOutcome,
  DISTURBED,
  markdownReport,
  rates,
  type ScenarioResult,
  scenarioResult,
  textReport,
} from './report.ts';
import { type Scenario, scenarios } from './scenario.ts';
import { makeWorkload } from './workload.ts';

const DAEMONS: readonly Daemon[] = [rerouteAlone, rerouteRecorded, bird, frr, gobgp];
const SEED = 4271;
/** ms */
const QUIET_SAMPLE = 500;
const QUIET_TIMEOUT = 60_000;
const ATTEMPTS = 4;
const MARKS = ['<!-- bench/bgp -->', '<!-- /bench/bgp -->'] as const;

interface Options {
  readonly quick?: true;
  readonly only?: readonly string[];
  readonly daemons?: readonly string[];
  readonly repetitions: number;
  readonly attempts: number;
  readonly markdown?: string;
  readonly json?: string;
  readonly cpuProf?: string;
}

/** The bench from its command line; `build` is the folder of the bundles. Resolves to the exit status. */
export async function main(argv: readonly string[], build: string): Promise<number> {
  const command = new Command('node bench/bgp/run.mjs')
    .description('measures BGP daemons side by side: bulk load, memory, latency')
    .option('--quick', 'a hundredth of everything, once: shows that it runs, measures nothing')
    .option('--only <scenarios>', `some of ${names(scenarios('full'))}`, (text) =>
      list(text, scenarios('full')),
    )
    .option('--daemons <daemons>', `some of ${names(DAEMONS)}`, (text) => list(text, DAEMONS))
    .option('--repetitions <n>', 'runs of each daemon in each scenario', positive, 3)
    .option(
      '--attempts <n>',
      'how often a run is done that other processes disturb; 1 to take it as it is',
      positive,
      ATTEMPTS,
    )
    .option('--markdown <file>', `puts the report between ${MARKS.join(' and ')} of a file`)
    .option('--json <file>', 'writes every single outcome')
    .option('--cpu-prof <folder>', "writes V8's processor profiles of our own target there");
  command.parse(['node', 'run.mjs', ...argv]);
  const options = command.opts<Options>();
  const [repetitions, attempts] = options.quick ? [1, 1] : [options.repetitions, options.attempts];
  const wanted = DAEMONS.filter(({ name }) => options.daemons?.includes(name) ?? true);
  const skipped = wanted.filter((daemon) => daemon.version() === null);
  const daemons = wanted.filter((daemon) => !skipped.includes(daemon));
  for (const { name } of skipped) say(`${name} is not installed: skipped`);
  const results: ScenarioResult[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'reroute-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  try {
    for (const scenario of scenarios(options.quick ? 'quick' : 'full')) {
      if (!(options.only?.includes(scenario.name) ?? true)) continue;
      const nodeOptions =
        options.cpuProf === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.cpuProf}`];
      const result = await runScenario(scenario, daemons, {
        repetitions,
        attempts,
        folder,
        build,
        nodeOptions,
      });
      say(textReport(result));
      results.push(result);
    }
  } catch (error) {
    if (!(error instanceof MeasureError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
  const line = ['node bench/bgp/run.mjs', ...argv].join(' ');
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(results, null, 2));
  if (options.markdown !== undefined) {
    const report = markdownReport({
      command: line,
      scenarios: results,
      skipped: skipped.map(({ name }) => name),
    });
    putBetweenMarks(options.markdown, report);
  }
  const slow = results.filter((result) => rates(result).fastest > rates(result).sink / 2);
  for (const { scenario } of slow) {
    process.stderr.write(
      `${scenario.name} says nothing: the injectors are not twice as fast as what they measure\n`,
    );
  }
  return slow.length > 0 ? 1 : 0;
}

interface RunOptions {
  readonly repetitions: number;
  /** So often a run is done that others disturb; 1 to take it as it is. */
  readonly attempts: number;
  readonly folder: string;
  readonly build: string;
  readonly nodeOptions: readonly string[];
}

/** All daemons in turn, then again in another order: what the machine does meanwhile is to meet all of them. */
async function runScenario(
  scenario: Scenario,
  daemons: readonly Daemon[],
  { repetitions, attempts, folder, build, nodeOptions }: RunOptions,
): Promise<ScenarioResult> {
  const workload = makeWorkload({ injectors: scenario.injectors, prefixes: scenario.prefixes, seed: SEED });
  const outcomes = new Map<Daemon, CountedOutcome[]>(daemons.map((daemon) => [daemon, []]));
  const sinkTimes: number[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const stage = (name: string): Stage => {
      const own = join(folder, `${scenario.name}-${repetition}-${name}`);
      return { scenario, workload, folder: own, build, nodeOptions };
    };
    sinkTimes.push(await measureSink(stage('sink')));
    const turned = daemons.map((_, i) => daemons[(i + repetition) % daemons.length]!);
    for (const daemon of repetition % 2 === 0 ? turned : turned.reverse()) {
      const outcome = await measureUndisturbed(daemon, stage, attempts);
      outcomes.get(daemon)?.push(outcome);
      const { tableTime, sentTime } = outcome;
      say(
        `${scenario.name} ${repetition + 1}/${repetitions} ${daemon.name}: in the table after ${Math.round(tableTime)} ms, all sent on after ${Math.round(sentTime)} ms`,
      );
    }
  }
  const rows = daemons.map((daemon) => ({
    daemon: daemon.name,
    version: daemon.version() ?? '',
    outcomes: outcomes.get(daemon) ?? [],
  }));
  return scenarioResult(scenario, workload, sinkTimes, rows);
}

/** Measures again, a few times at most, while others take the processors away meanwhile; the least disturbed run counts. */
async function measureUndisturbed(
  daemon: Daemon,
  stage: (name: string) => Stage,
  attempts: number,
): Promise<CountedOutcome> {
  let best: Outcome | null = null;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (attempts > 1) await quiet();
    const outcome = await measure(daemon, stage(`${daemon.name}-${attempt}`));
    if (best === null || outcome.foreign < best.foreign) best = outcome;
    if (best.foreign <= DISTURBED || attempt === attempts) return { ...best, attempts: attempt };
    say(`${daemon.name}: others took ${best.foreign.toFixed(2)} processors meanwhile; again`);
  }
  throw new MeasureError(`${daemon.name} has not been measured`);
}

/** Waits until others leave the processors alone, for a while at most. */
async function quiet(): Promise<void> {
  const deadline = performance.now() + QUIET_TIMEOUT;
  for (let before = consumption(); performance.now() < deadline; ) {
    await pause(QUIET_SAMPLE);
    const now = consumption();
    const foreign = (now.all - before.all - (now.own - before.own)) / (QUIET_SAMPLE / 1000);
    if (foreign <= DISTURBED) return;
    before = now;
  }
}

function putBetweenMarks(path: string, report: string): void {
  const text = readFileSync(path, 'utf8');
  const [start, end] = [text.indexOf(MARKS[0]), text.indexOf(MARKS[1])];
  if (start === -1 || end < start) {
    throw new Error(`${path} has no lines ${MARKS.join(' and ')} for the report to stand between`);
  }
  writeFileSync(path, `${text.slice(0, start + MARKS[0].length)}\n\n${report}\n\n${text.slice(end)}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

interface Named {
  readonly name: string;
}

function names(all: readonly Named[]): string {
  return all.map(({ name }) => name).join(',');
}

function list(text: string, all: readonly Named[]): string[] {
  const chosen = text.split(',');
  const unknown = chosen.find((name) => !all.some((known) => known.name === name));
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is none of ${names(all)}`);
  return chosen;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a whole number above 0');
  return value;
}
