import ora from 'ora';
import { deriveSeed, seededRandom } from '../../nodes/random.ts';
import { type ChurnResult, churn, describeMisdelivery } from '../chaos/churn.ts';
import type { ProbeResult } from '../chaos/probes.ts';
import { type ChaosListener, ChaosRun } from '../chaos/run.ts';
import { type ChaosFile, loadChaos } from '../chaos/schema.ts';
import { loadLab } from '../lab/load.ts';
import type { RunningLab } from '../running-lab.ts';
import { parseSelector } from '../selector.ts';
import { recordSimulation } from '../simulate/recording.ts';
import { SimLab } from '../simulate/sim-lab.ts';
import { withLab } from './attach.ts';
import { bad, faint, good, humanTime, plural, strong, table, write } from './output.ts';
import { saveSimulation } from './simulate.ts';
import { awaitUp } from './up.ts';

export interface ChurnCliOptions {
  readonly lab?: string;
  readonly pods: string;
  readonly rate: number;
  readonly duration: number;
  readonly probes: number;
  readonly interval: number;
  readonly seed: number;
}

/** Aborted by the first Ctrl-C, so that what was started can be ended; the second one ends the program. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  process.once('SIGTERM', () => controller.abort());
  return controller.signal;
}

/** `reroute churn`: exit code. */
export async function churnCommand(options: ChurnCliOptions): Promise<number> {
  return withLab(options.lab, async (lab) => {
    const spinner = ora({ text: 'churning', discardStdin: false }).start();
    let result: ChurnResult;
    try {
      result = await churn(lab, {
        pods: parseSelector(options.pods),
        rate: options.rate,
        duration: options.duration,
        probes: options.probes,
        interval: options.interval,
        random: seededRandom(deriveSeed(options.seed, 'churn')),
        signal: interruption(),
        onReplaced: (count) => {
          spinner.text = `churning: ${plural(count, 'pod')} replaced`;
        },
      });
    } finally {
      spinner.stop();
    }
    write(churnText(result));
    return describeMisdelivery(result).length === 0 ? 0 : 1;
  });
}

function churnText(result: ChurnResult): string {
  const wrong = describeMisdelivery(result);
  const lines = [
    `${strong(String(result.replaced))} pods replaced; ${plural(result.reused, 'address').replace('addresss', 'addresses')} held by more than one pod in turn\n`,
    probeTable(result.probes),
    lostText(result.probesLost),
    wrong.length === 0
      ? `${good('✔')} no packet was answered by a pod that did not hold the address\n`
      : `${wrong.map((line) => `${bad('✘')} ${line}`).join('\n')}\n`,
  ];
  return lines.join('');
}

function lostText(probes: number): string {
  return probes === 0
    ? ''
    : `${plural(probes, 'probe')} died with ${probes === 1 ? 'its node' : 'their nodes'}\n`;
}

function probeTable(probes: readonly ProbeResult[]): string {
  if (probes.length === 0) return '';
  return table(
    ['from', 'to', 'sent', 'lost', 'loss', 'longest gap', 'median rtt', 'successor', 'misdelivered'],
    probes.map((probe) => [
      probe.from,
      probe.to,
      probe.sent,
      probe.lost,
      `${((100 * probe.lost) / Math.max(1, probe.sent)).toFixed(1)}%`,
      humanTime(probe.longestGap),
      Number.isNaN(probe.medianRtt) ? '-' : humanTime(probe.medianRtt),
      probe.answeredBySuccessor,
      probe.misdelivered,
    ]),
  );
}

/** `reroute chaos run`: exit code 0 when every expectation was met. */
export async function chaosRun(
  file: string,
  options: { readonly lab?: string; readonly simulate?: string; readonly seed: number },
): Promise<number> {
  const random = seededRandom(deriveSeed(options.seed, 'chaos'));
  const run = async (lab: RunningLab, chaos: ChaosFile): Promise<number> => {
    write(`${strong(chaos.name)} on lab ${lab.name}\n`);
    const started = lab.now();
    const listener: ChaosListener = {
      onStep: (_index, text) =>
        write(`${faint(`+${((lab.now() - started) / 1000).toFixed(2)}s`.padStart(9))}  ${text}`),
      onOutcome: (_index, { type, detail }) => {
        const mark = type === 'failed' ? bad('✘') : type === 'met' ? good('✔') : faint('·');
        write(`  ${mark}${detail === '' ? '' : ` ${type === 'failed' ? bad(detail) : faint(detail)}`}\n`);
      },
    };
    const result = await new ChaosRun(lab, chaos, random).run(listener, interruption());
    for (const churned of result.churns) write(churnText(churned));
    write(probeTable(result.probes));
    write(lostText(result.probesLost));
    const { failures, expectations } = result;
    write(
      failures.length === 0
        ? `${good('✔')} ${plural(expectations, 'expectation')} met\n`
        : `${failures.map((failure) => `${bad('✘')} ${failure}`).join('\n')}\n`,
    );
    return failures.length === 0 ? 0 : 1;
  };
  if (options.simulate === undefined) {
    return withLab(options.lab, async (lab, home) => run(lab, await loadChaos(file, home.compiled())));
  }
  const compiled = await loadLab(options.simulate);
  const chaos = await loadChaos(file, compiled);
  const sim = new SimLab(compiled);
  const recording = recordSimulation(sim, compiled);
  await sim.start();
  recording?.followDevices();
  await awaitUp(sim, 0, 600_000, () => {});
  const code = await run(sim, chaos);
  await saveSimulation(sim, compiled, options.simulate, recording);
  return code;
}
