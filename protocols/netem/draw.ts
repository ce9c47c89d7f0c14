import type { Distribution, LossModel } from './parameters.ts';

/** Uniform in [0, 1). */
export type Unit = () => number;

/** What tables of 16-bit entries at a scale of 8192 can hold (NETEM_DIST_SCALE). */
const DEVIATION_MAX = 32_767 / 8192;

/** A random quantity whose successive values depend on each other (`get_crandom`): the last one has so much weight. */
export class CorrelatedUnit {
  #last = 0;

  draw(unit: Unit, correlation: number): number {
    if (correlation === 0) return unit();
    this.#last = unit() * (1 - correlation) + this.#last * correlation;
    return this.#last;
  }
}

/**
 * A delay with mean `mu` and spread `sigma`: `u`, uniform in [0, 1), says which (`tabledist`, and the formulas that iproute2
 * makes its tables with). It can be negative.
 */
export function spread(mu: number, sigma: number, distribution: Distribution, u: number): number {
  if (distribution === 'uniform') return mu - sigma + u * 2 * sigma;
  return mu + sigma * deviation(distribution, u);
}

function deviation(distribution: Exclude<Distribution, 'uniform'>, u: number): number {
  // The tables have a value for each of 4096 parts; the middle of one is never 0 or 1.
  const x = (Math.floor(u * 4096) + 0.5) / 4096;
  switch (distribution) {
    case 'normal':
      return clip(normalQuantile(x));
    case 'pareto':
      return clip(pareto(x));
    case 'paretonormal':
      return clip(0.25 * normalQuantile(x) + 0.75 * pareto(x));
  }
}

/** Shape 3, moved and stretched to mean 0 (pareto.c of iproute2). */
function pareto(x: number): number {
  return ((1 - x) ** (-1 / 3) - 1.5) * (4 / 3);
}

function clip(value: number): number {
  return Math.min(Math.max(value, -DEVIATION_MAX), DEVIATION_MAX);
}

/** Inverse of the standard normal distribution, relative error below 1.2e-9 (P. J. Acklam's rational approximation). */
function normalQuantile(p: number): number {
  if (p < 0.02425) return tail(Math.sqrt(-2 * Math.log(p)));
  if (p > 1 - 0.02425) return -tail(Math.sqrt(-2 * Math.log(1 - p)));
  const q = p - 0.5;
  const r = q * q;
  const up = polynomial(
    [
      -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
      2.506628277459239,
    ],
    r,
  );
  const down = polynomial(
    [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1],
    r,
  );
  return (up * q) / down;
}

function tail(q: number): number {
  const up = polynomial(
    [
      -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
      2.938163982698783,
    ],
    q,
  );
  return (
    up / polynomial([0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1], q)
  );
}

function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}

/** The state that a loss model keeps between packets (`loss_4state`, `loss_gilb_ell`). */
export class LossState {
  readonly #correlated = new CorrelatedUnit();
  #state: 'good' | 'bad' = 'good';
  #markov: 1 | 2 | 3 | 4 = 1;

  /** Whether the next packet is lost. */
  lost(loss: LossModel, unit: Unit): boolean {
    switch (loss.model) {
      case 'random':
        return loss.p > 0 && (loss.p >= 1 || this.#correlated.draw(unit, loss.correlation) < loss.p);
      case 'gemodel': {
        if (this.#state === 'good') {
          if (unit() < loss.p) this.#state = 'bad';
          return unit() < loss.k1;
        }
        if (unit() < loss.r) this.#state = 'good';
        return unit() < loss.h1;
      }
      case 'state':
        return this.#fourStates(loss, unit());
    }
  }

  /** 1: in a gap, received; 2: in a burst, received; 3: in a burst, lost; 4: lost alone in a gap. */
  #fourStates({ p13, p31, p32, p23, p14 }: Extract<LossModel, { model: 'state' }>, u: number): boolean {
    switch (this.#markov) {
      case 1:
        if (u < p14) this.#markov = 4;
        else if (u < p13 + p14) this.#markov = 3;
        break;
      case 2:
        if (u < p23) this.#markov = 3;
        break;
      case 3:
        if (u < p32) this.#markov = 2;
        else if (u < p31 + p32) this.#markov = 1;
        break;
      case 4:
        this.#markov = 1;
    }
    return this.#markov === 3 || this.#markov === 4;
  }
}
