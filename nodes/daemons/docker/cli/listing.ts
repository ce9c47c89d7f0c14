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
