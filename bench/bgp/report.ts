import { cpus, release, totalmem } from 'node:os';
import Table from 'cli-table3';
import type { Outcome } from './measure.ts';
import type { Scenario } from './scenario.ts';
import type { Workload } from './workload.ts';

export interface CountedOutcome extends Outcome {
  /** How often it was measured until nobody disturbed it; the least disturbed of all if somebody always did. */
  readonly attempts: number;
}

export interface DaemonResult {
  readonly daemon: string;
  readonly version: string;
  readonly outcomes: readonly CountedOutcome[];
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly updates: number;
  readonly bytes: number;
  /** ms for everything into the sink, one for each repetition. */
  readonly sinkTimes: readonly number[];
  readonly daemons: readonly DaemonResult[];
}

export interface Results {
  readonly command: string;
  readonly scenarios: readonly ScenarioResult[];
  /** Daemons that are not installed. */
  readonly skipped: readonly string[];
}

/** Processors that others may take during a run, on average, before it counts as disturbed. */
export const DISTURBED = 0.15;

type Rows = readonly (readonly string[])[];

const LOAD_HEAD = [
  'daemon',
  'in the table, s',
  'all sent on, s',
  'paths/s',
  'times reroute',
  'peak RSS, MiB',
  'CPU, s',
];
const LATENCY_HEAD = ['daemon', 'median, ms', 'p99, ms', 'worst, ms'];

export function scenarioResult(
  scenario: Scenario,
  workload: Workload,
  sinkTimes: readonly number[],
  daemons: readonly DaemonResult[],
): ScenarioResult {
  const bytes = workload.feeds.reduce((sum, feed) => sum + feed.bytes.length, 0);
  return { scenario, updates: workload.updates, bytes, sinkTimes, daemons };
}

/** For the terminal. */
export function textReport(result: ScenarioResult): string {
  const table = (head: readonly string[], rows: Rows) => {
    const drawn = new Table({ head: [...head], style: { head: [], border: [] } });
    drawn.push(...rows.map((row) => [...row]));
    return drawn.toString();
  };
  const parts = [
    heading(result),
    table(LOAD_HEAD, loadRows(result)),
    sinkLine(result),
    ...disturbances(result),
  ];
  if (result.scenario.probes > 0) {
    parts.push(latencyLine(result), table(LATENCY_HEAD, latencyRows(result)));
  }
  return parts.join('\n');
}

/** For docs/performance.md. */
export function markdownReport({ command, scenarios, skipped }: Results): string {
  const table = (head: readonly string[], rows: Rows) =>
    [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
      .map((row) => `| ${row.join(' | ')} |`)
      .join('\n');
  const versions =
    scenarios[0]?.daemons.map(({ daemon, version }) => `${daemon} ${version}`).join(', ') ?? '';
  const parts = [
    `Measured by \`${command}\` on ${machine()}.`,
    `Versions: ${versions}.${skipped.length > 0 ? ` Not installed, so not measured: ${skipped.join(', ')}.` : ''}`,
  ];
  for (const result of scenarios) {
    parts.push(
      `### ${heading(result)}`,
      table(LOAD_HEAD, loadRows(result)),
      sinkLine(result),
      ...disturbances(result),
    );
    if (result.scenario.probes > 0) parts.push(latencyLine(result), table(LATENCY_HEAD, latencyRows(result)));
  }
  return parts.join('\n\n');
}

/** Paths per second into the sink, and the fastest of a target; the generator is no bottleneck while the second is less than half of the first. */
export function rates({ scenario, sinkTimes, daemons }: ScenarioResult): {
  readonly sink: number;
  readonly fastest: number;
} {
  const paths = scenario.injectors * scenario.prefixes;
  const times = daemons.flatMap(({ outcomes }) => outcomes.map(loadTime));
  return { sink: (1000 * paths) / median(sinkTimes), fastest: (1000 * paths) / Math.min(...times) };
}

/** In the table and sent on, whichever came last. */
function loadTime({ tableTime, sentTime }: Outcome): number {
  return Math.max(tableTime, sentTime);
}

function heading({ scenario: { name, title }, updates }: ScenarioResult): string {
  return `${name}: ${title}, ${updates.toLocaleString('en')} UPDATEs`;
}

function loadRows({ scenario, daemons }: ScenarioResult): Rows {
  const own = daemons.find(({ daemon }) => daemon === 'reroute');
  const ownTime = own === undefined ? Number.NaN : median(own.outcomes.map(({ sentTime }) => sentTime));
  const paths = scenario.injectors * scenario.prefixes;
  return daemons.map(({ daemon, outcomes }) => {
    const sent = outcomes.map(({ sentTime }) => sentTime);
    return [
      daemon,
      spread(outcomes.map(({ tableTime }) => tableTime / 1000)),
      spread(sent.map((time) => time / 1000)),
      Math.round((1000 * paths) / median(sent)).toLocaleString('en'),
      Number.isNaN(ownTime) ? '' : (median(sent) / ownTime).toFixed(2),
      Math.round(median(outcomes.map(({ peakRss }) => peakRss)) / 2 ** 20).toString(),
      median(outcomes.map(({ cpu }) => cpu)).toFixed(2),
    ];
  });
}

function latencyRows({ daemons }: ScenarioResult): Rows {
  return daemons.map(({ daemon, outcomes }) => [
    daemon,
    spread(outcomes.map(({ latencies }) => median(latencies))),
    spread(outcomes.map(({ latencies }) => quantile(latencies, 0.99))),
    spread(outcomes.map(({ latencies }) => Math.max(...latencies))),
  ]);
}

function sinkLine(result: ScenarioResult): string {
  const { sink, fastest } = rates(result);
  const rate = Math.round(sink).toLocaleString('en');
  return `The injectors' own rate, into a process that only reads: ${rate} paths/s, ${Math.round(sink / fastest)} times the fastest daemon's.`;
}

/** What others on the machine did to the runs. */
function disturbances({ daemons }: ScenarioResult): string[] {
  const outcomes = daemons.flatMap((each) => each.outcomes);
  const again = outcomes.reduce((sum, { attempts }) => sum + attempts - 1, 0);
  const disturbed = daemons.flatMap(({ daemon, outcomes: own }) => {
    const worst = Math.max(...own.map(({ foreign }) => foreign));
    return worst > DISTURBED ? [`${daemon} (${worst.toFixed(2)})`] : [];
  });
  const lines = [];
  if (again > 0)
    lines.push(`Runs done again because other processes used the processors meanwhile: ${again}.`);
  if (disturbed.length > 0) {
    lines.push(`Still disturbed, with the processors that others took at worst: ${disturbed.join(', ')}.`);
  }
  return lines.length === 0 ? [] : [lines.join(' ')];
}

function latencyLine({ scenario }: ScenarioResult): string {
  return `One prefix announced to the loaded and idle daemon until it is at the receiver, ${scenario.probes} one after the other:`;
}

/** Median, least and most. */
function spread(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${figure(median(values))} (${figure(low)} to ${figure(high)})`;
}

function figure(value: number): string {
  return value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN];
  return low + (high - low) * (at - Math.floor(at));
}

function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${memory} GiB, Linux ${release()}, all over loopback`;
}
