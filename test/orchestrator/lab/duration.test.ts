import test from 'ava';
import fc from 'fast-check';
import { DurationError, formatDuration, parseDuration } from '../../../orchestrator/lab/duration.ts';

test('reads what Go writes', (t) => {
  const cases: [string, number][] = [
    ['0', 0],
    ['250us', 0.25],
    ['5ms', 5],
    ['1.5s', 1500],
    ['90s', 90_000],
    ['1m30s', 90_000],
    ['2h45m', 9_900_000],
    ['24h', 86_400_000],
  ];
  for (const [text, ms] of cases) t.is(parseDuration(text), ms, text);
});

test('takes nothing else', (t) => {
  for (const text of ['', '5', '-5s', '5 s', 's', '5S', '1d', '1e3s', '5s ', '.5s', '5.s', '0x5s', 'ms5']) {
    t.throws(
      () => parseDuration(text),
      { instanceOf: DurationError, message: /write a number and a unit/ },
      text,
    );
  }
});

test('writes the shortest text', (t) => {
  const cases: [number, string][] = [
    [0, '0s'],
    [0.25, '250us'],
    [200, '200ms'],
    [2.5, '2.5ms'],
    [90_000, '1m30s'],
    [60_000, '1m'],
    [3_600_000, '1h'],
    [8_640_000, '2h24m'],
    [1500, '1.5s'],
  ];
  for (const [ms, text] of cases) t.is(formatDuration(ms), text);
});

test('reads what it writes, to the microsecond', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e12 }), (us) => {
      t.is(Math.round(parseDuration(formatDuration(us / 1000)) * 1000), us);
    }),
  );
});
