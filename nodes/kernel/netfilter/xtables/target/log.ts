import { usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { logLine } from '../log-line.ts';
import { once, parseNumber, quoted } from '../values.ts';

const LEVELS = ['emerg', 'alert', 'crit', 'error', 'warning', 'notice', 'info', 'debug'] as const;
const LEVEL_NAMES: readonly string[] = LEVELS;
/** As -L shows them. */
const SHOWN_LEVELS = LEVELS.map((name) => (name === 'warning' ? 'warn' : name));
const LEVEL_ALIASES: Readonly<Record<string, number>> = { panic: 0, err: 3, warn: 4 };
const DEFAULT_LEVEL = 4;
const PREFIX_MAX = 29;
/** Options by their bits. */
const FLAGS: readonly (readonly [option: string, bit: number, listed: string])[] = [
  ['--log-tcp-sequence', 0x01, 'tcp-sequence'],
  ['--log-tcp-options', 0x02, 'tcp-options'],
  ['--log-ip-options', 0x04, 'ip-options'],
  ['--log-uid', 0x08, 'uid'],
  ['--log-macdecode', 0x20, 'macdecode'],
];

function parseLevel(text: string): number {
  const number = parseNumber(text, 0, 7);
  if (number !== null) return number;
  const alias = LEVEL_ALIASES[text.toLowerCase()];
  const index = LEVEL_NAMES.indexOf(text.toLowerCase());
  if (alias === undefined && index < 0) throw usage(`log level "${text}" unknown\n`);
  return alias ?? index;
}

/** A line in the kernel's log, which is an event here: `reroute log`, or `dmesg` on the node. */
export const log: TargetExtension = {
  name: 'LOG',
  options: {
    '--log-level': 1,
    '--log-prefix': 1,
    ...Object.fromEntries(FLAGS.map(([option]) => [option, 0] as const)),
  },
  bind(given) {
    const levelGiven = once('LOG', given, '--log-level');
    const level = levelGiven === undefined ? DEFAULT_LEVEL : parseLevel(levelGiven.values[0] ?? '');
    const prefix = once('LOG', given, '--log-prefix')?.values[0] ?? '';
    if (prefix.length > PREFIX_MAX) throw usage(`LOG: Maximum prefix length ${PREFIX_MAX} for --log-prefix`);
    const set = FLAGS.filter(([option]) => given.some((one) => one.option === option));
    const bits = set.reduce((sum, [, bit]) => sum | bit, 0);
    const flags = {
      tcpSequence: (bits & 0x01) !== 0,
      tcpOptions: (bits & 0x02) !== 0,
      ipOptions: (bits & 0x04) !== 0,
      macDecode: (bits & 0x20) !== 0,
    };
    const save = [
      ...(prefix === '' ? [] : [`--log-prefix ${quoted(prefix)}`]),
      ...(level === DEFAULT_LEVEL ? [] : [`--log-level ${level}`]),
      ...set.map(([option]) => option),
    ];
    return {
      save: save.join(' '),
      list: (numeric) => {
        const head = numeric
          ? `LOG flags ${bits} level ${level}`
          : ['LOG', `level ${SHOWN_LEVELS[level]}`, ...set.map((flag) => flag[2])].join(' ');
        return prefix === '' ? head : `${head} prefix "${prefix}"`;
      },
      compile:
        ({ ns }) =>
        (skb) => {
          ns.log(level, `${prefix}${logLine(skb, flags)}`);
          return 'continue';
        },
    };
  },
};
