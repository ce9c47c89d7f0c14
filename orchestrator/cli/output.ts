import Table from 'cli-table3';
import pc from 'picocolors';
import { stringify } from 'yaml';

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml';

const NO_BORDERS = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
    'middle',
  ].map((name) => [name, '']),
);

/** A table as kubectl prints one: a head in capitals, columns three blanks apart, no lines. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const grid = new Table({
    head: head.map((title) => title.toUpperCase()),
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 3, compact: true },
  });
  grid.push(...rows.map((row) => row.map((cell) => (cell === '' ? '<none>' : String(cell)))));
  return `${grid
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

/** Prints data as the format asks; `render` makes the table. */
export function printAs(
  format: OutputFormat,
  data: unknown,
  render: (wide: 'wide' | 'normal') => string,
): void {
  switch (format) {
    case 'json':
      write(`${JSON.stringify(data, bytesAsHex, 2)}\n`);
      return;
    case 'yaml':
      write(stringify(data, bytesAsHex));
      return;
    default:
      write(render(format === 'wide' ? 'wide' : 'normal'));
  }
}

function bytesAsHex(_key: unknown, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}

export function write(text: string): void {
  process.stdout.write(text);
}

/** A length of time for people: `850 µs`, `12.3 ms`, `1.87 s`. */
export function humanTime(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/** Age as kubectl prints it: `45s`, `3m12s`, `5h`. */
export function humanAge(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return `${minutes}m${seconds % 60 === 0 ? '' : `${seconds % 60}s`}`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : noun.endsWith('ch') ? 'es' : 's'}`;
}

export const good = pc.green;
export const bad = pc.red;
export const strong = pc.bold;
export const faint = pc.dim;
