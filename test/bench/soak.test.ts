import test from 'ava';
import { trendOf } from '../../bench/soak/trend.ts';

const MIB = 1024 * 1024;
const MINUTE = 60_000;

/** A sample each 10 s for 20 minutes. */
function run(value: (minutes: number, i: number) => number) {
  return Array.from({ length: 121 }, (_, i) => ({ at: i * 10_000, value: value(i / 6, i) * MIB }));
}

test('what fills in the warm-up and then swings is steady', (t) => {
  const trend = trendOf(run((minutes, i) => Math.min(minutes, 4) * 20 + (i % 3) * 5));
  t.is(trend.verdict, 'steady');
  t.is(trend.slope, 0);
  t.is(trend.first, 85 * MIB);
  t.is(trend.last, 85 * MIB);
});

test('what grows by a mebibyte a minute grows, whatever swings with it', (t) => {
  const trend = trendOf(run((minutes, i) => 80 + minutes + (i % 4) * 3));
  t.is(trend.verdict, 'grows');
  t.true(Math.abs(trend.slope - 60 * MIB) < 2 * MIB, `${trend.slope / MIB} MiB an hour`);
});

test('a step at the end of one sample, and a share that is small, are no growth', (t) => {
  t.is(trendOf(run((_, i) => (i === 120 ? 900 : 80))).verdict, 'steady');
  t.is(trendOf(run((minutes) => 1_000 + minutes)).verdict, 'steady', '15 MiB of 1000');
});

test('a few samples tell nothing', (t) => {
  t.throws(
    () =>
      trendOf([
        { at: 0, value: 1 },
        { at: MINUTE, value: 2 },
      ]),
    { instanceOf: RangeError },
  );
});
