import test from 'ava';
import { seededRandom } from '../../../nodes/random.ts';
import { LossState, spread } from '../../../protocols/netem/draw.ts';
import type { LossModel } from '../../../protocols/netem/parameters.ts';

/** The midpoints of so many equal parts of [0, 1): a distribution drawn without chance. */
function midpoints(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i + 0.5) / count);
}

function moments(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

function near(actual: number, expected: number, tolerance: number): boolean {
  return Math.abs(actual - expected) <= tolerance;
}

test('uniform jitter lies within its bounds, and its mean is the delay', (t) => {
  const values = midpoints(4096).map((u) => spread(100, 10, 'uniform', u));
  t.true(Math.min(...values) >= 90 && Math.max(...values) <= 110);
  t.true(near(moments(values).mean, 100, 1e-6));
});

test('normal jitter has the delay for its mean and the jitter for its deviation', (t) => {
  const { mean, deviation } = moments(midpoints(4096).map((u) => spread(100, 10, 'normal', u)));
  t.true(near(mean, 100, 0.01), String(mean));
  t.true(near(deviation, 10, 0.05), String(deviation));
  // Quantiles of the standard normal distribution.
  t.true(near(spread(0, 1, 'normal', 0.975), 1.96, 0.005));
  t.true(near(spread(0, 1, 'normal', 0.1587), -1, 0.005));
});

test('pareto jitter: mostly a little less than the delay, at times far more', (t) => {
  const values = midpoints(4096).map((u) => spread(0, 1, 'pareto', u));
  t.true(near(moments(values).mean, 0, 0.05));
  // The least that a Pareto of shape 3 has, (1 - 1.5) * 4/3, and what a table of 16 bits can hold at most.
  t.true(near(Math.min(...values), -2 / 3, 0.001));
  t.true(near(Math.max(...values), 32_767 / 8192, 0.001));
  t.true(values.filter((value) => value < 0).length > 0.6 * values.length);
});

/** Share of packets lost, and the mean length of a burst of losses. */
function losses(loss: LossModel, count = 200_000) {
  const random = seededRandom(7);
  const state = new LossState();
  let lost = 0;
  let bursts = 0;
  let last = false;
  for (let i = 0; i < count; i++) {
    const now = state.lost(loss, () => random.unit());
    if (now) lost++;
    if (now && !last) bursts++;
    last = now;
  }
  return { share: lost / count, burst: lost / Math.max(bursts, 1) };
}

test('independent loss: the share is the probability, bursts are as long as chance makes them', (t) => {
  const { share, burst } = losses({ model: 'random', p: 0.2, correlation: 0 });
  t.true(near(share, 0.2, 0.005));
  t.true(near(burst, 1 / 0.8, 0.02));
  t.is(losses({ model: 'random', p: 1, correlation: 0 }).share, 1);
  t.is(losses({ model: 'random', p: 0, correlation: 0 }).share, 0);
});

test('Gilbert-Elliott: p/(p+r) of the time is bad, and a bad time lasts 1/r packets', (t) => {
  const { share, burst } = losses({ model: 'gemodel', p: 0.01, r: 0.1, h1: 1, k1: 0 });
  t.true(near(share, 0.01 / 0.11, 0.01), String(share));
  t.true(near(burst, 10, 0.5), String(burst));
});

test('four states: lost alone, and lost in bursts', (t) => {
  const alone = losses({ model: 'state', p13: 0, p31: 1, p32: 0, p23: 1, p14: 0.05 });
  t.is(alone.burst, 1);
  t.true(near(alone.share, 0.05 / 1.05, 0.005));
  const bursts = losses({ model: 'state', p13: 0.01, p31: 0.2, p32: 0, p23: 1, p14: 0 });
  t.true(near(bursts.burst, 5, 0.3), String(bursts.burst));
});
