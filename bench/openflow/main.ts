import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { Command } from 'commander';
import { atLeastOne } from '../../orchestrator/cli/arguments.ts';
import { measureStep } from '../forward/step.ts';
import { workloads } from './tables.ts';

const MARKS = ['<!-- bench/openflow -->', '<!-- /bench/openflow -->'] as const;

interface Options {
  readonly ms: number;
  readonly flows: readonly number[];
  readonly markdown?: string;
}

/** The bench from its command line. Resolves to the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const command = new Command('node bench/openflow/run.mjs')
    .description("what a packet takes from port to port of an OpenFlow switch, by its table's flows")
    .option('--ms <time>', 'processor time of each step, ms', atLeastOne, 1_000)
    .option(
      '--flows <counts>',
      'sizes of the table',
      (text) => text.split(',').map(atLeastOne),
      [10, 1_000, 100_000],
    )
    .option('--markdown <file>', `puts the table between ${MARKS.join(' and ')} of a file`);
  command.parse(argv, { from: 'user' });
  const options = command.opts<Options>();
  const rows: string[] = [];
  for (const { name, bare, frames, added } of workloads(options.flows)) {
    const { rate, each } = measureStep(bare, frames, options.ms);
    const row = [name, Math.round(rate).toLocaleString('en'), each.toFixed(0), added.toFixed(0)];
    process.stdout.write(
      `${row[0]?.padEnd(48)} ${row[1]} frames/s, ${row[2]} ns; ${row[3]} ns to add a flow\n`,
    );
    rows.push(`| ${row.join(' | ')} |`);
  }
  if (options.markdown !== undefined) write(options.markdown, argv, rows);
  return 0;
}

function write(file: string, argv: readonly string[], rows: readonly string[]): void {
  const text = readFileSync(file, 'utf8');
  const [start, end] = MARKS.map((mark) => text.indexOf(mark));
  if (start === undefined || end === undefined || start < 0 || end < start)
    throw new Error(`${file} has no ${MARKS.join(' … ')}`);
  const load = loadavg()[0]?.toFixed(1);
  const cpu = `${cpus().length} × ${cpus()[0]?.model.trim()}`;
  const table = [
    MARKS[0],
    '',
    `Measured by \`node bench/openflow/run.mjs ${argv.join(' ')}\` on ${cpu}, Node ${process.versions.node}, load average ${load}.`,
    '',
    '| table | frames/s | ns a frame | ns to add a flow |',
    '| --- | ---: | ---: | ---: |',
    ...rows,
    '',
  ];
  writeFileSync(file, `${text.slice(0, start)}${table.join('\n')}\n${text.slice(end)}`);
}
