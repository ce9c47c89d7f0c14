import { getopt } from './getopt.ts';
import { type Command, ToolError } from './tool.ts';

const LEVELS: readonly string[] = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];
const TRY_HELP = "Try 'dmesg --help' for more information.";
const USAGE = `Usage:
 dmesg [options]

Display the lines that netfilter's LOG and TRACE and log_martians have written.

Options:
 -C, --clear        clear the kernel ring buffer
 -c, --read-clear   read and clear all messages
 -l, --level <list> restrict output to defined levels
 -r, --raw          print the raw message buffer
 -t, --notime       don't print messages timestamps
 -x, --decode       decode facility and level to readable string

Levels: ${LEVELS.join(', ')}`;

/** Long names of the options. */
const LONG: Readonly<Record<string, string>> = {
  clear: 'C',
  'read-clear': 'c',
  raw: 'r',
  notime: 't',
  decode: 'x',
  level: 'l',
  help: 'h',
};

/** dmesg(1) of util-linux 2.38: the kernel's log, with the seconds since the node's kernel came up. */
export const dmesg: Command = (args, { kernel }, out) => {
  const parsed = getopt(args, {
    flags: [...'Ccrtxh', ...Object.keys(LONG)].filter((name) => name !== 'level'),
    values: ['l', 'level'],
  });
  if (!parsed.ok) {
    const { name, problem } = parsed;
    const text =
      name.length > 1
        ? problem === 'unknown'
          ? `unrecognized option '--${name}'`
          : `option '--${name}' requires an argument`
        : `${problem === 'unknown' ? 'invalid option' : 'option requires an argument'} -- '${name}'`;
    throw new ToolError(`dmesg: ${text}\n${TRY_HELP}`, 1);
  }
  const options = parsed.options.map(({ name, value }) => ({ name: LONG[name] ?? name, value }));
  const [operand] = parsed.operands;
  if (operand !== undefined) throw new ToolError(`dmesg: bad usage\n${TRY_HELP}`, 1);
  const flags = new Set(options.map(({ name }) => name));
  if (flags.has('h')) throw new ToolError(USAGE, 0);
  const wanted = options.flatMap(({ name, value }) => (name === 'l' ? levelsOf(value) : []));
  if (!flags.has('C'))
    for (const { at, level, text } of kernel.log.lines()) {
      if (wanted.length > 0 && !wanted.includes(level)) continue;
      const head = flags.has('r')
        ? `<${level}>`
        : flags.has('x')
          ? `kern  :${(LEVELS[level] ?? '').padEnd(6)}: `
          : '';
      const time = flags.has('t') ? '' : `[${(at / 1000).toFixed(6).padStart(12)}] `;
      // The lines of one message stand below each other.
      const lines = text.replaceAll('\n', `\n${' '.repeat(time.length)}`);
      out.stdout(`${head}${time}${lines}\n`);
    }
  if (flags.has('C') || flags.has('c')) kernel.log.clear();
  return 0;
};

function levelsOf(list: string): number[] {
  return list.split(',').map((name) => {
    const level = LEVELS.indexOf(name);
    if (level < 0) throw new ToolError(`dmesg: unknown level '${name}'`, 1);
    return level;
  });
}
