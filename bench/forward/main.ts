import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { BusServer } from '../../bus/server.ts';
import { atLeastOne } from '../../orchestrator/cli/arguments.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';
import { type LabRow, measureLabs } from './lab-rates.ts';
import { rawRate } from './raw-rate.ts';
import { measureSteps, type StepRow } from './steps.ts';
import { measureSteps6 } from './steps6.ts';

const MARKS = ['<!-- bench/forward -->', '<!-- /bench/forward -->'] as const;
/** The size of the frames that the labs send, and how many of them the raw measurement sends. */
const FRAME = 1_442;
const RAW_COUNT = 600_000;

interface Options {
  readonly only?: 'steps' | 'labs';
  readonly ms: number;
  readonly markdown?: string;
}

/** The bench from its command line; `build` is the folder of the bundles. Resolves to the exit status. */
export async function main(argv: readonly string[], build: string): Promise<number> {
  const command = new Command('node bench/forward/run.mjs')
    .description(
      "packets a second and latency: the kernel's own step, and labs of processes beside the raw rate of NATS",
    )
    .addOption(new Option('--only <part>', 'of the bench').choices(['steps', 'labs']))
    .option('--ms <time>', 'processor time of each step, ms', atLeastOne, 1_000)
    .option('--markdown <file>', `puts the tables between ${MARKS.join(' and ')} of a file`);
  command.parse(argv, { from: 'user' });
  const options = command.opts<Options>();
  const steps: StepRow[] = [];
  if (options.only !== 'labs') {
    for (const measure of [measureSteps, measureSteps6])
      for (const row of measure(options.ms)) {
        steps.push(row);
        say(
          `${row.name.padEnd(36)} ${thousands(row.result.rate)} frames/s, ${row.result.each.toFixed(0)} ns`,
        );
      }
  }
  const labs: LabRow[] = [];
  let raw = 0;
  if (options.only !== 'steps') {
    raw = await measureRaw(build);
    say(`raw NATS, one frame of ${FRAME} bytes a message: ${thousands(raw)} frames/s`);
    for await (const row of measureLabs()) {
      labs.push(row);
      say(
        `${row.name.padEnd(36)} ${thousands(row.rate)} frames/s, ${(row.rate / raw).toFixed(2)} of raw, rtt ${row.rtt.toFixed(2)} ms`,
      );
    }
  }
  if (options.markdown !== undefined) writeMarkdown(options.markdown, argv, steps, labs, raw);
  return 0;
}

async function measureRaw(build: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'reroute-bench-nats-'));
  const server = await BusServer.start({ program: ensureNatsServer(process.cwd()), folder });
  try {
    const rates: number[] = [];
    for (let i = 0; i < 3; i++) rates.push(await rawRate(server, build, FRAME, RAW_COUNT));
    return Math.max(...rates);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function thousands(rate: number): string {
  return Math.round(rate).toLocaleString('en');
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function writeMarkdown(
  file: string,
  argv: readonly string[],
  steps: readonly StepRow[],
  labs: readonly LabRow[],
  raw: number,
): void {
  const load = loadavg()[0]?.toFixed(1) ?? '?';
  const parts = [
    `Measured by \`${['node bench/forward/run.mjs', ...argv].join(' ')}\` on ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}, load average ${load}.`,
  ];
  if (labs.length > 0) {
    parts.push(
      markdownTable(
        ['path, by processes', 'frames/s', 'of raw NATS', 'round trip, ms'],
        [
          [`raw NATS, a message for each frame of ${FRAME} bytes`, thousands(raw), '1.00', ''],
          ...labs.map(({ name, rate, rtt }) => [
            name,
            thousands(rate),
            (rate / raw).toFixed(2),
            rtt.toFixed(2),
          ]),
        ],
      ),
    );
  }
  if (steps.length > 0) {
    parts.push(
      markdownTable(
        ["the kernel's own step, one processor", 'frames/s', 'ns'],
        steps.map(({ name, result }) => [name, thousands(result.rate), result.each.toFixed(0)]),
      ),
    );
  }
  const text = readFileSync(file, 'utf8');
  const [from, to] = MARKS.map((mark) => text.indexOf(mark)) as [number, number];
  if (from < 0 || to < from) throw new Error(`${file} has no ${MARKS.join(' … ')}`);
  writeFileSync(
    file,
    `${text.slice(0, from + MARKS[0].length)}\n\n${parts.join('\n\n')}\n\n${text.slice(to)}`,
  );
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}
