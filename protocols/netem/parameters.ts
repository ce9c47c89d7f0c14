/** Shape of what jitter adds; 'uniform' where tc is given no `distribution`. */
export type Distribution = 'uniform' | 'normal' | 'pareto' | 'paretonormal';

export const DISTRIBUTIONS: readonly Distribution[] = ['uniform', 'normal', 'pareto', 'paretonormal'];

/** How packets are lost. Probabilities from 0 to 1. */
export type LossModel =
  | { readonly model: 'random'; readonly p: number; readonly correlation: number }
  /** Gilbert-Elliott: `p` into the bad state, `r` out of it, loss `h1` (tc's 1-h) in the bad, `k1` (1-k) in the good. */
  | {
      readonly model: 'gemodel';
      readonly p: number;
      readonly r: number;
      readonly h1: number;
      readonly k1: number;
    }
  /** The four-state Markov chain of tc's `loss state`. */
  | {
      readonly model: 'state';
      readonly p13: number;
      readonly p31: number;
      readonly p32: number;
      readonly p23: number;
      readonly p14: number;
    };

/** What netem does to what a device sends (tc-netem(8)). Times in ms, probabilities and correlations from 0 to 1. */
export interface NetemParameters {
  readonly delay: number;
  readonly jitter: number;
  readonly delayCorrelation: number;
  readonly distribution: Distribution;
  readonly loss: LossModel;
  readonly duplicate: number;
  readonly duplicateCorrelation: number;
  /** Share of the packets that are sent at once, past those that wait. */
  readonly reorder: number;
  readonly reorderCorrelation: number;
  /** With `reorder`: only every so manieth may go at once; 0 with none. */
  readonly gap: number;
  /** Share of the packets of which one bit is flipped. */
  readonly corrupt: number;
  readonly corruptCorrelation: number;
  /** bit/s; 0 for no limit. */
  readonly rate: number;
  /** Packets that may wait; more are dropped. */
  readonly limit: number;
}

/** What is to become otherwise; all else stays as it is. */
export type NetemChanges = { readonly [K in keyof NetemParameters]?: NetemParameters[K] | undefined };

export const NO_LOSS = { model: 'random', p: 0, correlation: 0 } as const satisfies LossModel;

/** netem as tc makes it without a parameter: it does nothing but hold at most 1000 packets. */
export const PLAIN_NETEM: NetemParameters = {
  delay: 0,
  jitter: 0,
  delayCorrelation: 0,
  distribution: 'uniform',
  loss: NO_LOSS,
  duplicate: 0,
  duplicateCorrelation: 0,
  reorder: 0,
  reorderCorrelation: 0,
  gap: 0,
  corrupt: 0,
  corruptCorrelation: 0,
  rate: 0,
  limit: 1000,
};

/** Applies changes. As in tc a reordering without a gap has one of 1. */
export function changeNetem(old: NetemParameters, changes: NetemChanges): NetemParameters {
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  const next: NetemParameters = { ...old, ...given };
  return next.reorder > 0 && next.gap === 0 ? { ...next, gap: 1 } : next;
}

/** What a command of tc makes of settings: some stay that it does not name, others are as at first (`netem_change`). */
export function changeByTc(old: NetemParameters, changes: NetemChanges): NetemParameters {
  const { reorder, corrupt, rate, distribution } = old;
  const loss = changes.loss ?? NO_LOSS;
  // Those of delay, loss and copies are said together, or not at all.
  const correlated =
    changes.delayCorrelation !== undefined ||
    changes.duplicateCorrelation !== undefined ||
    (loss.model === 'random' && loss.correlation > 0);
  const lossCorrelation = !correlated && old.loss.model === 'random' ? old.loss.correlation : 0;
  const kept: NetemParameters = {
    ...PLAIN_NETEM,
    ...{ reorder, corrupt, rate, distribution },
    ...(changes.reorder === undefined ? { reorderCorrelation: old.reorderCorrelation } : {}),
    ...(changes.corrupt === undefined ? { corruptCorrelation: old.corruptCorrelation } : {}),
    ...(correlated
      ? {}
      : { delayCorrelation: old.delayCorrelation, duplicateCorrelation: old.duplicateCorrelation }),
  };
  const next = changeNetem({ ...kept, reorder: 0 }, changes);
  return {
    ...next,
    reorder: changes.reorder ?? reorder,
    loss: loss.model === 'random' && lossCorrelation > 0 ? { ...loss, correlation: lossCorrelation } : loss,
  };
}

/** Whether netem would do nothing at all. */
export function isPlain(parameters: NetemParameters): boolean {
  const { delay, jitter, loss, duplicate, reorder, corrupt, rate, limit } = parameters;
  const lossless = loss.model === 'random' && loss.p === 0;
  const still = delay === 0 && jitter === 0 && rate === 0 && reorder === 0;
  return still && lossless && duplicate === 0 && corrupt === 0 && limit === PLAIN_NETEM.limit;
}

/** What tc itself refuses, in words with the mend; null if nothing. */
export function netemProblem({ reorder, delay, jitter, distribution, gap }: NetemParameters): string | null {
  if (gap > 0 && reorder === 0) return 'gap specified without reorder probability';
  if (reorder > 0 && delay === 0) return 'reordering not possible without specifying some delay';
  if (distribution !== 'uniform' && jitter === 0)
    return 'distribution specified but no latency and jitter values';
  return null;
}
