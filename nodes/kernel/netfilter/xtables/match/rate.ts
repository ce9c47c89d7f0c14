import { usage, XtablesError } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { once, parseNumber } from '../values.ts';

/** Seconds of a unit, the longest first: as rates are printed. */
const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['min', 60],
  ['sec', 1],
];
/** XT_LIMIT_SCALE: a rate is kept as the time of one packet, in ten-thousandths of a second. */
const SCALE = 10_000;
const DEFAULT_RATE = '3/hour';
const DEFAULT_BURST = 5;

/**
 * `5/min` as the time of one packet, and the seconds of its unit. A second has `scale` parts. Null for what is no rate.
 * @throws XtablesError
 */
export function parseRate(
  text: string,
  scale: number,
): { readonly each: number; readonly seconds: number } | null {
  const match = /^(\d+)(?:\/(s|sec|second|m|min|minute|h|hour|d|day))?$/i.exec(text);
  const unit = match?.[2]?.[0]?.toLowerCase() ?? 's';
  const seconds = UNITS.find(([name]) => name.startsWith(unit))?.[1] ?? 1;
  const count = Number(match?.[1] ?? 0);
  if (match === null || count === 0) return null;
  const each = Math.floor((seconds * scale) / count);
  if (each === 0) throw usage(`Rate too fast "${text}"`);
  return { each, seconds };
}

/** As it is printed, by the unit that suits it best. */
export function formatRate(each: number, scale: number): { readonly text: string; readonly seconds: number } {
  let i = 1;
  for (; i < UNITS.length; i++) {
    const length = UNITS[i]![1] * scale;
    if (each > length || length / each < length % each) break;
  }
  const [name, seconds] = UNITS[i - 1]!;
  return { text: `${Math.floor((seconds * scale) / each)}/${name}`, seconds };
}

/** Credits that a limit earns in a millisecond: HZ * CREDITS_PER_JIFFY of a kernel of 250 or 1000 Hz, in xt_limit.c. */
const CREDITS_PER_MS = 32;
const WORD = 2 ** 32;

/** Credits for a time in ten-thousandths of a second, in the 32 bits that Linux has for them (`user2credits`). */
function credits(time: number): number {
  const perSecond = CREDITS_PER_MS * 1000;
  const fine = time <= Math.floor((WORD - 1) / perSecond);
  return (fine ? Math.floor((time * perSecond) / SCALE) : Math.floor(time / SCALE) * perSecond) % WORD;
}

/** A token bucket: full, it lets `burst` packets through at once (xt_limit.c). */
export const limit: MatchExtension = {
  name: 'limit',
  options: { '--limit': 1, '--limit-burst': 1 },
  bind(given) {
    const rate = once('limit', given, '--limit');
    const burstGiven = once('limit', given, '--limit-burst');
    if (rate?.negated === true) throw usage('limit does not support invert');
    const asked = rate?.values[0] ?? DEFAULT_RATE;
    const each = parseRate(asked, SCALE)?.each;
    if (each === undefined) throw usage(`bad rate "${asked}"'`);
    const burst =
      burstGiven === undefined ? DEFAULT_BURST : parseNumber(burstGiven.values[0] ?? '', 1, 10_000);
    if (burst === null) throw usage(`limit: bad --limit-burst "${burstGiven?.values[0] ?? ''}"`);
    const { text } = formatRate(each, SCALE);
    const cost = credits(each);
    const full = credits((each * burst) % WORD);
    return {
      save: `--limit ${text}${burst === DEFAULT_BURST ? '' : ` --limit-burst ${burst}`}`,
      list: () => `limit: avg ${text} burst ${burst}`,
      countsAlone: true,
      check: () => {
        if (burst === 0 || full < cost) throw new XtablesError('Numerical result out of range.', 1);
      },
      compile: ({ ns }) => {
        const { rt } = ns.kernel;
        let credit = full;
        let at = rt.now;
        return () => {
          credit = Math.min(full, credit + (rt.now - at) * CREDITS_PER_MS);
          at = rt.now;
          if (credit < cost) return false;
          credit -= cost;
          return true;
        };
      },
    };
  },
};

/** What probabilities are multiples of. */
const PROBABILITY_UNIT = 0x80000000;

export const statistic: MatchExtension = {
  name: 'statistic',
  options: { '--mode': 1, '--probability': 1, '--every': 1, '--packet': 1 },
  bind(given) {
    const mode = once('statistic', given, '--mode')?.values[0];
    const probability = once('statistic', given, '--probability');
    const every = once('statistic', given, '--every');
    const packet = once('statistic', given, '--packet');
    if (mode === 'random') {
      if (every !== undefined || packet !== undefined)
        throw usage('statistic: mode random takes --probability alone');
      const text = probability?.values[0];
      if (text === undefined || !/^\d*\.?\d+(e-?\d+)?$/i.test(text) || Number(text) > 1)
        throw usage('statistic: bad value for option "--probability", or out of range (0-1).\n');
      const share = Math.round(Number(text) * PROBABILITY_UNIT) / PROBABILITY_UNIT;
      const shown = share.toFixed(11);
      const negated = probability?.negated ?? false;
      return {
        save: `--mode random${negated ? ' !' : ''} --probability ${shown}`,
        list: () => `statistic mode random${negated ? ' !' : ''} probability ${shown}`,
        compile: ({ ns }) => {
          const { random } = ns.kernel.rt;
          return () => random.unit() < share !== negated;
        },
      };
    }
    if (mode !== 'nth')
      throw usage(mode === undefined ? 'statistic: mode must be specified' : `Bad mode "${mode}"`);
    if ((every === undefined) !== (packet === undefined)) {
      const [has, lacks] = every === undefined ? ['--packet', '--every'] : ['--every', '--packet'];
      throw usage(`statistic: option "${has}" also requires "${lacks}".\n`);
    }
    const n = parseNumber(every?.values[0] ?? '', 1, 0xffffffff);
    if (n === null || probability !== undefined) throw usage('statistic: mode nth takes --every');
    const first = packet === undefined ? 0 : parseNumber(packet.values[0] ?? '', 0, n - 1);
    if (first === null) throw usage('the --packet p must be 0 <= p <= n-1');
    const negated = every?.negated ?? false;
    return {
      save: `--mode nth${negated ? ' !' : ''} --every ${n} --packet ${first}`,
      list: () =>
        `statistic mode nth${negated ? ' !' : ''} every ${n}${first === 0 ? '' : ` packet ${first}`}`,
      countsAlone: true,
      compile: () => {
        // The first packet that counts is number `first`.
        let count = n - 1 - first;
        return () => {
          const hit = count === n - 1;
          count = hit ? 0 : count + 1;
          return hit !== negated;
        };
      },
    };
  },
};
