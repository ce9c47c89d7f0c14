import test from 'ava';
import fc from 'fast-check';
import { changeNetem, DISTRIBUTIONS, isPlain, PLAIN_NETEM } from '../../../protocols/netem/parameters.ts';
import { formatNetem, NetemError, parseNetem } from '../../../protocols/netem/words.ts';

const words = (line: string) => parseNetem(line.split(' '));

test('the examples of tc-netem(8)', (t) => {
  t.deepEqual(words('delay 100ms 10ms 25%'), { delay: 100, jitter: 10, delayCorrelation: 0.25 });
  t.deepEqual(words('delay 100ms 20ms distribution normal'), {
    delay: 100,
    jitter: 20,
    distribution: 'normal',
  });
  t.deepEqual(words('loss 0.1%'), { loss: { model: 'random', p: 0.001, correlation: 0 } });
  t.deepEqual(words('loss 0.3% 25%'), { loss: { model: 'random', p: 0.003, correlation: 0.25 } });
  t.deepEqual(words('loss gemodel 1% 10% 70% 0.1%'), {
    loss: { model: 'gemodel', p: 0.01, r: 0.1, h1: 0.7, k1: 0.001 },
  });
  t.deepEqual(words('corrupt 0.1% duplicate 1%'), { corrupt: 0.001, duplicate: 0.01 });
  t.deepEqual(words('delay 10ms reorder 25% 50%'), { delay: 10, reorder: 0.25, reorderCorrelation: 0.5 });
  t.deepEqual(words('rate 5kbit limit 10'), { rate: 5000, limit: 10 });
});

test('units as tc has them: a bare time is microseconds, bps is bytes', (t) => {
  t.deepEqual(words('delay 1500'), { delay: 1.5 });
  t.deepEqual(words('delay 1s'), { delay: 1000 });
  t.deepEqual(words('rate 1mbps'), { rate: 8_000_000 });
  t.deepEqual(words('rate 1Mbit'), { rate: 1_000_000 });
});

test('what is said once is not taken back by what is said next', (t) => {
  const first = changeNetem(PLAIN_NETEM, words('delay 10ms 2ms loss 1% duplicate 1% 20%'));
  const second = changeNetem(first, words('delay 20ms'));
  t.deepEqual(second, { ...first, delay: 20 });
  t.deepEqual(changeNetem(second, words('duplicate 0%')).loss, first.loss);
});

test('a reordering without a gap has one of 1', (t) => {
  t.is(changeNetem(PLAIN_NETEM, words('delay 10ms reorder 25%')).gap, 1);
});

for (const line of [
  'delay',
  'delay fast',
  'loss 101%',
  'bandwidth 1',
  'limit -1',
  'rate 5 furlongs',
  'distribution odd',
  'loss gemodel',
]) {
  test(`no netem: ${line}`, (t) => {
    t.throws(() => words(line), { instanceOf: NetemError });
  });
}

/** Shares and times that survive tc's four, or three, digits. */
const share = fc.integer({ min: 0, max: 1000 }).map((n) => n / 1000);
const ms = fc.integer({ min: 0, max: 999 });

test('what is printed is read as the same', (t) => {
  const parameters = fc.record({
    delay: ms,
    jitter: fc.integer({ min: 1, max: 999 }),
    delayCorrelation: share,
    distribution: fc.constantFrom(...DISTRIBUTIONS),
    loss: fc.oneof(
      fc
        .record({ model: fc.constant('random' as const), p: share, correlation: share })
        .map((loss) => (loss.p === 0 ? { ...loss, correlation: 0 } : loss)),
      fc.record({ model: fc.constant('gemodel' as const), p: share, r: share, h1: share, k1: share }),
      fc.record({
        model: fc.constant('state' as const),
        p13: share,
        p31: share,
        p32: share,
        p23: share,
        p14: share,
      }),
    ),
    duplicate: share,
    duplicateCorrelation: fc.constant(0),
    reorder: share,
    reorderCorrelation: fc.constant(0),
    gap: fc.integer({ min: 1, max: 9 }),
    corrupt: share,
    corruptCorrelation: fc.constant(0),
    rate: fc.integer({ min: 0, max: 999 }).map((n) => n * 1000),
    limit: fc.integer({ min: 0, max: 100_000 }),
  });
  fc.assert(
    fc.property(parameters, (netem) => {
      // iproute2 prints these under other names than it reads them: without the names they are the words again.
      const line = formatNetem(netem)
        .replace(/ (p|r|1-h|1-k|p13|p31|p32|p23|p14) (?=[\d.])/g, ' ')
        .replaceAll('  ', ' ');
      t.deepEqual(changeNetem(PLAIN_NETEM, parseNetem(line.split(' '))), netem);
    }),
  );
});

test('no words throw anything but what says what is wrong with them', (t) => {
  const word = fc.oneof(
    fc.constantFrom(
      'delay',
      'loss',
      'gemodel',
      'state',
      'rate',
      'reorder',
      'gap',
      'limit',
      '1%',
      '10ms',
      '5',
    ),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word), (line) => {
      try {
        parseNetem(line);
      } catch (error) {
        if (!(error instanceof NetemError)) throw error;
      }
    }),
  );
  t.true(isPlain(changeNetem(PLAIN_NETEM, parseNetem([]))));
});
