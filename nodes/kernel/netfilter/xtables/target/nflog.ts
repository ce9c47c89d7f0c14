import { usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { logLine } from '../log-line.ts';
import { exclude, numberOf, onceAsIs } from '../options.ts';
import { quoted } from '../values.ts';

const MOST = 0xffff;
/** Bytes of a prefix that count. */
const MOST_PREFIX = 63;
const DEFAULT_THRESHOLD = 0;
/** As what LOG writes with the options that ulogd shows. */
const FLAGS = { tcpSequence: true, tcpOptions: false, ipOptions: false, macDecode: false };

/**
 * A packet told to who listens to a group of nfnetlink_log, as ulogd2 and Felix do, and not to the kernel's own log: here an event
 * (xt_NFLOG.c).
 */
export const nflog: TargetExtension = {
  name: 'NFLOG',
  options: {
    '--nflog-group': 1,
    '--nflog-prefix': 1,
    '--nflog-range': 1,
    '--nflog-size': 1,
    '--nflog-threshold': 1,
  },
  bind(given) {
    exclude('NFLOG', given, '--nflog-range', '--nflog-size');
    const number = (option: string, most: number) => {
      const found = onceAsIs('NFLOG', given, option);
      return found === undefined ? null : numberOf('NFLOG', found, most);
    };
    const group = number('--nflog-group', MOST) ?? 0;
    const threshold = number('--nflog-threshold', MOST) ?? DEFAULT_THRESHOLD;
    const size = number('--nflog-size', 0xffffffff);
    // Has never done anything, and is kept.
    const range = number('--nflog-range', 0xffffffff);
    const asked = onceAsIs('NFLOG', given, '--nflog-prefix')?.values[0];
    if (asked === '') throw usage('Argument must have a minimum length of 1 characters');
    if (asked?.includes('\n') === true) throw usage('Newlines not allowed in --log-prefix');
    const prefix = (asked ?? '').slice(0, MOST_PREFIX);
    const words = [
      ...(prefix === '' ? [] : [`nflog-prefix ${quoted(prefix)}`]),
      ...(group === 0 ? [] : [`nflog-group ${group}`]),
      ...(size === null ? [] : [`nflog-size ${size}`]),
      ...(range === null || range === 0 ? [] : [`nflog-range ${range}`]),
      ...(threshold === DEFAULT_THRESHOLD ? [] : [`nflog-threshold ${threshold}`]),
    ];
    return {
      save: words.map((word) => `--${word}`).join(' '),
      list: () => words.join(' '),
      compile:
        ({ ns }) =>
        (skb) => {
          ns.nflog(group, prefix, logLine(skb, FLAGS));
          return 'continue';
        },
    };
  },
};
