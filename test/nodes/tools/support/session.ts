import { readFileSync } from 'node:fs';

/** One command of a session that was recorded from the real tools, with all that it printed. */
export interface Step {
  readonly command: string;
  readonly output: string;
  readonly code: number;
}

/** The steps of a file next to the tests: `$ command`, its output, `[exit n]`. */
export function readSession(name: string): Step[] {
  const text = readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [, command = '', output = '', code = ''] = /^([^\n]*)\n(.*)\[exit (\d+)\]\n$/s.exec(part) ?? [];
      return { command, output, code: Number(code) };
    });
}
