import test from 'ava';
import fc from 'fast-check';
import { formatTime, PingStatistics } from '../../../nodes/tools/ping-statistics.ts';

function statistics(times: readonly number[], transmitted = times.length): PingStatistics {
  const made = new PingStatistics();
  made.transmitted = transmitted;
  made.received = times.length;
  for (const us of times) made.addTime(us);
  return made;
}

test('two replies measured by a real ping', (t) => {
  t.is(
    statistics([1357, 128]).format('10.0.2.2', 200.6),
    `
--- 10.0.2.2 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 201ms
rtt min/avg/max/mdev = 0.128/0.742/1.357/0.614 ms
`,
  );
});

test('loss has six significant digits', (t) => {
  const loss = (received: number, transmitted: number) =>
    / ([^ ]+% packet loss)/.exec(statistics(new Array(received).fill(1000), transmitted).format('x', 0))?.[1];
  t.is(loss(158, 861_601), '99.9817% packet loss');
  t.is(loss(2, 3), '33.3333% packet loss');
  t.is(loss(1, 3), '66.6667% packet loss');
  t.is(loss(1, 2), '50% packet loss');
});

test('nothing sent, nothing said of loss', (t) => {
  t.is(statistics([]).format('x', 0), '\n--- x ping statistics ---\n0 packets transmitted, 0 received\n\n');
});

test('min, avg, max and mdev against the definition', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2_000_000 }), { minLength: 1, maxLength: 50 }),
      (times) => {
        const text = statistics(times).format('x', 0);
        const found = /= ([\d.]+)\/([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(text)?.slice(1).map(Number) ?? [];
        const mean = times.reduce((sum, us) => sum + us, 0) / times.length;
        const deviation = Math.sqrt(times.reduce((sum, us) => sum + (us - mean) ** 2, 0) / times.length);
        t.is(found[0], Math.min(...times) / 1000);
        t.is(found[2], Math.max(...times) / 1000);
        t.true(Math.abs((found[1] ?? 0) - mean / 1000) <= 0.001);
        t.true(Math.abs((found[3] ?? 0) - deviation / 1000) <= 0.002);
      },
    ),
    { numRuns: 200 },
  );
});

test('a time has three significant digits, rounded at the unit it is shown in', (t) => {
  const shown = (us: number) => formatTime(us);
  t.deepEqual([0, 7, 65, 999, 1000, 1004, 1005, 9994, 9995, 12_349, 12_350].map(shown), [
    '0.000',
    '0.007',
    '0.065',
    '0.999',
    '1.00',
    '1.00',
    '1.01',
    '9.99',
    '10.0',
    '12.3',
    '12.4',
  ]);
  t.deepEqual([99_949, 99_950, 123_499, 123_500, 1_234_567].map(shown), [
    '99.9',
    '100',
    '123',
    '124',
    '1235',
  ]);
});
