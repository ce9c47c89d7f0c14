import { getopt } from '../getopt.ts';
import { type Command, EXIT_INTERRUPTED, endingOnError, type Tool, ToolError } from '../tool.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  '0': '\0',
};

function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{1,2})|(.))/gs,
    (all, hex: string | undefined, char: string | undefined) =>
      hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : (ESCAPES[char ?? ''] ?? all),
  );
}

/** echo(1): `-n`, `-e`. */
export const echo: Command = (args, _ctx, out) => {
  let rest = args;
  const flags = new Set<string>();
  while (/^-[neE]+$/.test(rest[0] ?? '')) {
    for (const flag of rest[0]!.slice(1)) flags.add(flag);
    rest = rest.slice(1);
  }
  const text = rest.join(' ');
  out.stdout(`${flags.has('e') ? unescaped(text) : text}${flags.has('n') ? '' : '\n'}`);
  return 0;
};

/** printf(1) with `%s`, `%d`, `%%` and escapes; the format is used again while there are arguments. */
export const printf: Command = (args, _ctx, out) => {
  const [format, ...values] = args;
  if (format === undefined) throw new ToolError('printf: usage: printf format [arguments]', 2);
  const other = /%[^sd%]/.exec(format.replaceAll('%%', ''))?.[0];
  if (other !== undefined) throw new ToolError(`printf: ${other}: only %s, %d and %% are emulated`, 1);
  let left = values;
  do {
    const before = left.length;
    out.stdout(
      unescaped(format).replace(/%[sd%]/g, (spec) => {
        if (spec === '%%') return '%';
        const value = left[0] ?? '';
        left = left.slice(1);
        return spec === '%s' ? value : String(Math.trunc(Number(value) || 0));
      }),
    );
    if (left.length === before) break;
  } while (left.length > 0);
  return 0;
};

/** sleep(1), seconds. */
export const sleep: Tool = endingOnError((args, { rt }, out) => {
  const [text = ''] = args;
  if (args.length !== 1) throw new ToolError('sleep: missing operand', 1);
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(text) ?? [];
  if (number === undefined) throw new ToolError(`sleep: invalid time interval '${text}'`, 1);
  const factor = unit === 'm' ? 60_000 : unit === 'h' ? 3_600_000 : 1000;
  const timer = rt.timers.set(rt.now + Number(number) * factor, () => out.exit(0));
  return {
    interrupt: () => {
      rt.timers.cancel(timer);
      out.exit(EXIT_INTERRUPTED);
    },
  };
});

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** head(1) and tail(1) of the standard input: `-n N`, `-N`. */
export function headOrTail(which: 'head' | 'tail'): Command {
  return (args, ctx, out) => {
    const plain = args.map((word) => word.replace(/^-(\d+)$/, '-n$1'));
    const parsed = getopt(plain, { flags: '', values: 'n' });
    if (!parsed.ok) throw new ToolError(`${which}: invalid option -- '${parsed.name}'`, 1);
    if (parsed.operands.length > 0)
      throw new ToolError(`${which}: files are not emulated, only the standard input`, 1);
    const value = parsed.options.at(-1)?.value ?? '10';
    if (!/^\d+$/.test(value)) throw new ToolError(`${which}: invalid number of lines: '${value}'`, 1);
    const count = Number(value);
    const lines = linesOf(ctx.stdin ?? '');
    const kept = which === 'head' ? lines.slice(0, count) : lines.slice(Math.max(0, lines.length - count));
    out.stdout(kept.map((line) => `${line}\n`).join(''));
    return 0;
  };
}

/** wc(1) of the standard input: `-l`, `-w`, `-c`. */
export const wc: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: 'lwc', values: '' });
  if (!parsed.ok) throw new ToolError(`wc: invalid option -- '${parsed.name}'`, 1);
  if (parsed.operands.length > 0)
    throw new ToolError('wc: files are not emulated, only the standard input', 1);
  const text = ctx.stdin ?? '';
  const chosen = new Set(parsed.options.map(({ name }) => name));
  const counts = [
    ['l', text.split('\n').length - 1],
    ['w', text.split(/\s+/).filter((word) => word !== '').length],
    ['c', new TextEncoder().encode(text).length],
  ] as const;
  const shown = counts.filter(([name]) => chosen.size === 0 || chosen.has(name)).map(([, count]) => count);
  out.stdout(
    `${shown.length === 1 ? shown[0] : shown.map((count) => String(count).padStart(7)).join(' ')}\n`,
  );
  return 0;
};

/** grep(1) on the standard input: `-i`, `-v`, `-c`, `-n`, `-q`, `-o`, `-w`, `-E`, `-F`. */
export const grep: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: 'ivcnqowEF', values: 'e' });
  if (!parsed.ok) throw new ToolError(`grep: invalid option -- '${parsed.name}'`, 2);
  const flags = new Set(parsed.options.map(({ name }) => name));
  const given = parsed.options.filter(({ name }) => name === 'e').map(({ value }) => value);
  const operands = parsed.operands.map(({ text }) => text);
  const pattern = given[0] ?? operands.shift();
  if (pattern === undefined) throw new ToolError('Usage: grep [OPTION]... PATTERNS', 2);
  if (operands.length > 0 || given.length > 1)
    throw new ToolError('grep: files and several patterns are not emulated, only the standard input', 2);
  const regex = regexOf(pattern, flags);
  const lines = linesOf(ctx.stdin ?? '').map((text, i) => ({ text, number: i + 1 }));
  const found = lines.filter(({ text }) => regex.test(text) !== flags.has('v'));
  if (flags.has('c')) out.stdout(`${found.length}\n`);
  else if (!flags.has('q'))
    for (const { text, number } of found) {
      const parts = flags.has('o') ? (text.match(new RegExp(regex.source, `${regex.flags}g`)) ?? []) : [text];
      for (const part of parts) out.stdout(`${flags.has('n') ? `${number}:` : ''}${part}\n`);
    }
  return found.length > 0 ? 0 : 1;
};

function regexOf(pattern: string, flags: ReadonlySet<string>): RegExp {
  const literal = pattern.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  // In a basic expression the signs of an extended one are themselves, and with a backslash are not.
  const basic = pattern.replace(/\\?[+?|(){}]/g, (sign) => (sign.length === 2 ? sign[1]! : `\\${sign}`));
  const source = flags.has('F') ? literal : flags.has('E') ? pattern : basic;
  const classes = source
    .replaceAll('[[:space:]]', '\\s')
    .replaceAll('[[:digit:]]', '\\d')
    .replaceAll('[[:alpha:]]', '[A-Za-z]');
  try {
    return new RegExp(flags.has('w') ? `\\b(?:${classes})\\b` : classes, flags.has('i') ? 'i' : '');
  } catch {
    throw new ToolError(`grep: ${pattern}: not a regular expression that is understood here`, 2);
  }
}
