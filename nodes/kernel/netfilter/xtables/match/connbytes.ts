import { missing, usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { onceAsIs, parseCount } from '../options.ts';
import { endsOf } from '../span.ts';
import { once } from '../values.ts';

const DIRECTIONS = ['original', 'reply', 'both'] as const;
const MODES = ['packets', 'bytes', 'avgpkt'] as const;
const MOST = 2n ** 64n - 1n;

interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

/** `10`, `10:20`, `:20`, `10:`: without an end as many as there can be. @throws XtablesError */
function rangeOf(found: Given): Range {
  const [first = '', second = ''] = endsOf('connbytes', found);
  const number = (text: string, fallback: bigint) =>
    text === '' ? fallback : parseCount('connbytes', found, text, ` near "${text}"`);
  const range = { from: number(first, 0n), to: number(second, MOST) };
  if (range.to < range.from) throw usage(`${range.from} should be less than ${range.to}`);
  return range;
}

function choice<T extends string>(given: readonly Given[], option: string, choices: readonly T[]): T {
  const found = onceAsIs('connbytes', given, option);
  if (found === undefined) throw missing('connbytes', option);
  const [word = ''] = found.values;
  const chosen = choices.find((one) => one === word);
  if (chosen === undefined) throw usage(`Unknown ${option} \`${word}'`);
  return chosen;
}

/** `-m connbytes`: what a flow has sent so far, one way or both (xt_connbytes.c). Flows are counted from the first such rule on. */
export const connbytes: MatchExtension = {
  name: 'connbytes',
  options: { '--connbytes': 1, '--connbytes-dir': 1, '--connbytes-mode': 1 },
  bind(given) {
    const found = once('connbytes', given, '--connbytes');
    if (found === undefined) throw missing('connbytes', '--connbytes');
    const range = rangeOf(found);
    const direction = choice(given, '--connbytes-dir', DIRECTIONS);
    const mode = choice(given, '--connbytes-mode', MODES);
    // A `!` turns the ends round, which of a single number makes nothing else.
    const negated = found.negated && range.from !== range.to;
    const text = range.to === MOST && range.from !== MOST ? `${range.from}` : `${range.from}:${range.to}`;
    const shown = range.from === MOST ? `${MOST}` : text;
    const [from, to] = [Number(range.from), Number(range.to)];
    return {
      save: `${negated ? '! ' : ''}--connbytes ${shown} --connbytes-mode ${mode} --connbytes-dir ${direction}`,
      list: () =>
        `${negated ? '! ' : ''}connbytes ${shown} connbytes mode ${mode} connbytes direction ${direction}`,
      compile: ({ ns, family }) => {
        ns.conntrack.require(family);
        ns.sysctls.set('netfilter.nf_conntrack_acct', 1);
        const pick = (counters: Float64Array, what: 0 | 1) => {
          const [original, reply] = [counters[what]!, counters[what + 2]!];
          return direction === 'both' ? original + reply : direction === 'reply' ? reply : original;
        };
        const measure = (counters: Float64Array): number => {
          if (mode === 'packets') return pick(counters, 0);
          const bytes = pick(counters, 1);
          if (mode === 'bytes') return bytes;
          const packets = pick(counters, 0);
          return packets === 0 ? 0 : Math.floor(bytes / packets);
        };
        return ({ ct }) => {
          if (ct === null || ct.counters === null) return false;
          const value = measure(ct.counters);
          return (value >= from && value <= to) !== negated;
        };
      },
    };
  },
};
