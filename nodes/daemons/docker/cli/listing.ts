import type { ToolOutput } from '../../../tools/tool.ts';
import type { CliCommand } from './command.ts';
import type { Flags } from './flags.ts';
import { table } from './table.ts';
import { parseTemplate } from './template.ts';

/** Rows by a `--format`: a template for each, with headers where it begins with `table`. */
export function formatRows<T extends object>(
  format: string,
  rows: readonly T[],
  headers: Readonly<Record<string, string>>,
): string {
  const isTable = /^table(\s|$)/.test(format);
  const text = (isTable ? format.slice(5).trimStart() : format)
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n');
  const template = parseTemplate(text);
  const lines = rows.map((row) => template.execute(row));
  if (!isTable) return lines.map((line) => `${line}\n`).join('');
  return table([template.execute(headers), ...lines].map((line) => line.split('\t')));
}

/** The flags of a listing of the swarm's `what`. */
export function listFlags(what: string): CliCommand['flags'] {
  return [
    { name: 'filter', short: 'f', type: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', type: 'string', help: `Pretty-print ${what} using a Go template` },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only display IDs' },
  ];
}

/** A listing of the swarm's: the ids with `--quiet`, else by `--format`, which has a default. */
export function printRows<T extends { readonly ID: string }>(
  flags: Flags,
  out: Pick<ToolOutput, 'stdout'>,
  rows: readonly T[],
  format: string,
  headers: Readonly<Record<string, string>>,
): void {
  if (flags.has('quiet')) out.stdout(idLines(rows));
  else out.stdout(formatRows(flags.text('format') || format, rows, headers));
}

/** A listing of the engine's: by `--format`, else the ids with `--quiet`, else a table of these columns. */
export function printColumns<K extends string>(
  flags: Flags,
  out: Pick<ToolOutput, 'stdout'>,
  rows: readonly (Readonly<Record<K, string>> & { readonly ID: string })[],
  columns: readonly K[],
  headers: Readonly<Record<K, string>>,
): void {
  const format = flags.text('format');
  if (format !== '') out.stdout(formatRows(format, rows, headers));
  else if (flags.has('quiet')) out.stdout(idLines(rows));
  else out.stdout(table([headers, ...rows].map((row) => columns.map((key) => row[key]))));
}

function idLines(rows: readonly { readonly ID: string }[]): string {
  return rows.map(({ ID }) => `${ID}\n`).join('');
}

export function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

/** A filter's key and value. */
export function filterParts(filter: string): readonly [string, string] {
  const equals = filter.indexOf('=');
  return [filter.slice(0, equals), filter.slice(equals + 1)];
}

/** Whether there is a label, `key`, and has the value of `key=value`. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const [key = '', ...value] = wanted.split('=');
  if (!Object.hasOwn(labels, key)) return false;
  return value.length === 0 || labels[key] === value.join('=');
}

/** Filters of one key are alternatives, those of several are all to be met. */
export function filtered<T>(
  items: readonly T[],
  filters: readonly string[],
  match: (item: T, filter: string) => boolean,
): T[] {
  const byKey = new Map<string, string[]>();
  for (const filter of filters) {
    const key = filter.slice(0, filter.indexOf('='));
    byKey.set(key, [...(byKey.get(key) ?? []), filter]);
  }
  return items.filter((item) =>
    [...byKey.values()].every((group) => group.some((filter) => match(item, filter))),
  );
}
