import {
  DISTRIBUTIONS,
  type Distribution,
  type LossModel,
  type NetemChanges,
  type NetemParameters,
  NO_LOSS,
} from './parameters.ts';
import { formatPercent, formatRate, formatTcTime, parsePercent, parseRate, parseTcTime } from './units.ts';

/** Words that are no netem. The message is what tc(8) says. */
export class NetemError extends Error {
  override readonly name: string = 'NetemError';
}

/** Words that end too early. */
export class IncompleteNetemError extends NetemError {
  override readonly name = 'IncompleteNetemError';

  constructor() {
    super('Command line is not complete. Try option "help"');
  }
}

const LIMIT_MAX = 0xffffffff;
/** A change has its time in the log and every queue its end: longer would never come. ms */
const DELAY_MAX = 3_600_000;

type CorrelationKey = Extract<keyof NetemParameters, `${string}Correlation`>;

/** Reads netem's words one by one. */
class Words {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#at++];
  }

  peek(): string | undefined {
    return this.#words[this.#at];
  }

  /** The next word as a value, if it is one; else it stays. */
  optional(parse: (text: string) => number | null): number | null {
    const word = this.#words[this.#at];
    const value = word === undefined ? null : parse(word);
    if (value !== null) this.#at++;
    return value;
  }

  /** Takes the next word if it is this one. */
  take(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }

  /** @throws NetemError */
  required(what: string, parse: (text: string) => number | null): number {
    const word = this.next();
    if (word === undefined) throw new IncompleteNetemError();
    const value = parse(word);
    if (value === null) throw new NetemError(`Illegal "${what}"`);
    return value;
  }
}

/**
 * Reads the words after `netem` on tc's command line: `delay 100ms 10ms 25% distribution normal loss 1%`. What is not said is
 * no change: whoever takes netem's defaults for it, as tc does, changes `PLAIN_NETEM` by them.
 * @throws NetemError
 */
export function parseNetem(words: readonly string[]): NetemChanges {
  const input = new Words(words);
  const changes: { -readonly [K in keyof NetemParameters]?: NetemParameters[K] } = {};
  const correlation = (key: CorrelationKey) => {
    const share = input.optional(parsePercent);
    if (share !== null) changes[key] = share;
  };
  for (let word = input.next(); word !== undefined; word = input.next()) {
    switch (word) {
      case 'limit':
        changes.limit = input.required('limit', whole(LIMIT_MAX));
        break;
      case 'delay':
      case 'latency': {
        changes.delay = input.required('latency', time);
        const jitter = input.optional(time);
        if (jitter === null) break;
        changes.jitter = jitter;
        correlation('delayCorrelation');
        break;
      }
      case 'distribution':
        changes.distribution = distribution(input.next());
        break;
      case 'loss':
      case 'drop':
        changes.loss = parseLoss(input);
        break;
      case 'duplicate':
        changes.duplicate = input.required('duplicate', parsePercent);
        correlation('duplicateCorrelation');
        break;
      case 'reorder':
        changes.reorder = input.required('reorder', parsePercent);
        correlation('reorderCorrelation');
        break;
      case 'gap':
        changes.gap = input.required('gap', whole(LIMIT_MAX));
        break;
      case 'corrupt':
        changes.corrupt = input.required('corrupt', parsePercent);
        correlation('corruptCorrelation');
        break;
      case 'rate':
        changes.rate = input.required('rate', parseRate);
        break;
      case 'ecn':
      case 'slot':
      case 'seed':
        throw new NetemError(`"${word}" is not emulated`);
      default:
        throw new NetemError(`What is "${word}"?`);
    }
  }
  return changes;
}

function distribution(word: string | undefined): Distribution {
  const found = DISTRIBUTIONS.find((name) => name === word);
  if (found !== undefined) return found;
  throw new NetemError(`No distribution data for ${word ?? ''} (there are ${DISTRIBUTIONS.join(', ')})`);
}

/** The words after `loss`. */
function parseLoss(input: Words): LossModel {
  if (input.take('gemodel')) {
    const p = input.required('loss gemodel p', parsePercent);
    // Defaults of tc: 1-h is 100 %, 1-k is 0, r is what makes both states alike (1-p).
    const r = input.optional(parsePercent) ?? 1 - p;
    const h1 = input.optional(parsePercent) ?? 1;
    return { model: 'gemodel', p, r, h1, k1: input.optional(parsePercent) ?? 0 };
  }
  if (input.take('state')) {
    const p13 = input.required('loss p13', parsePercent);
    const p31 = input.optional(parsePercent) ?? 1 - p13;
    const p32 = input.optional(parsePercent) ?? 0;
    const p23 = input.optional(parsePercent) ?? 1;
    return { model: 'state', p13, p31, p32, p23, p14: input.optional(parsePercent) ?? 0 };
  }
  const word = input.take('random') ? undefined : input.peek();
  if (word !== undefined && !/^\d/.test(word)) throw new NetemError(`Unknown loss parameter: ${word}`);
  const p = input.required('loss percent', parsePercent);
  return { model: 'random', p, correlation: input.optional(parsePercent) ?? 0 };
}

function time(text: string): number | null {
  const ms = parseTcTime(text);
  return ms === null || ms > DELAY_MAX ? null : ms;
}

function whole(max: number): (text: string) => number | null {
  return (text) => (/^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : null);
}

/** As `tc qdisc show` prints the options, and as `parseNetem` reads them. */
export function formatNetem(parameters: NetemParameters): string {
  const { limit, delay, jitter, delayCorrelation, distribution: shape, rate, gap } = parameters;
  const { duplicate, reorder, corrupt } = parameters;
  const words = [`limit ${limit}`];
  const share = (name: string, value: number, correlation: number) => {
    if (value > 0) words.push(`${name} ${formatPercent(value)}${correlated(correlation)}`);
  };
  if (delay > 0 || jitter > 0) {
    const spread = jitter > 0 ? `  ${formatTcTime(jitter)}${correlated(delayCorrelation)}` : '';
    // tc does not tell the distribution; whoever reads the emulator's wants to know.
    words.push(`delay ${formatTcTime(delay)}${spread}${shape === 'uniform' ? '' : ` distribution ${shape}`}`);
  }
  words.push(...formatLoss(parameters.loss));
  share('duplicate', duplicate, parameters.duplicateCorrelation);
  share('reorder', reorder, parameters.reorderCorrelation);
  share('corrupt', corrupt, parameters.corruptCorrelation);
  if (rate > 0) words.push(`rate ${formatRate(rate)}`);
  if (gap > 0) words.push(`gap ${gap}`);
  return words.join(' ');
}

function formatLoss(loss: LossModel): string[] {
  const of = formatPercent;
  switch (loss.model) {
    case 'random':
      return loss.p === NO_LOSS.p ? [] : [`loss ${of(loss.p)}${correlated(loss.correlation)}`];
    case 'gemodel':
      return [`loss gemodel p ${of(loss.p)} r ${of(loss.r)} 1-h ${of(loss.h1)} 1-k ${of(loss.k1)}`];
    case 'state': {
      const { p13, p31, p32, p23, p14 } = loss;
      return [`loss state p13 ${of(p13)} p31 ${of(p31)} p32 ${of(p32)} p23 ${of(p23)} p14 ${of(p14)}`];
    }
  }
}

function correlated(correlation: number): string {
  return correlation > 0 ? ` ${formatPercent(correlation)}` : '';
}
