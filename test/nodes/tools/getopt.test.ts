import test from 'ava';
import fc from 'fast-check';
import { getopt } from '../../../nodes/tools/getopt.ts';
import { inetAton } from '../../../nodes/tools/resolve.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';

const spec = { flags: 'nq', values: ['c', 'i', 'max-hops'] };

test('however options are written, they mean the same', (t) => {
  const flag = fc.constantFrom('n', 'q').map((name) => ({ name, value: '' }));
  const valued = fc.record({ name: fc.constantFrom('c', 'i'), value: fc.stringMatching(/^[a-z0-9]{1,4}$/) });
  const item = fc.oneof(flag, valued, fc.stringMatching(/^[a-z0-9.]{1,6}$/));
  fc.assert(
    fc.property(fc.array(fc.tuple(item, fc.boolean())), (items) => {
      const words: string[] = [];
      // A word of flags that the next option may be joined to.
      let open = false;
      for (const [one, joined] of items) {
        if (typeof one === 'string') {
          words.push(one);
          open = false;
          continue;
        }
        if (joined && open) words[words.length - 1] += one.name;
        else words.push(`-${one.name}`);
        open = one.value === '';
        if (one.value === '') continue;
        if (joined) words[words.length - 1] += one.value;
        else words.push(one.value);
      }
      const parsed = getopt(words, spec);
      t.true(parsed.ok);
      if (!parsed.ok) return;
      const only = items.map(([one]) => one);
      t.deepEqual(
        parsed.options.map(({ name, value }) => ({ name, value })),
        only.filter((one) => typeof one !== 'string'),
      );
      t.deepEqual(
        parsed.operands.map(({ text }) => text),
        only.filter((one) => typeof one === 'string'),
      );
    }),
    { numRuns: 300 },
  );
});

test('long options, and what ends the options', (t) => {
  t.deepEqual(getopt(['--max-hops=5', '--max-hops', '6', '--', '-n', '-'], spec), {
    ok: true,
    options: [
      { name: 'max-hops', value: '5', at: 1 },
      { name: 'max-hops', value: '6', at: 3 },
    ],
    operands: [
      { text: '-n', at: 5 },
      { text: '-', at: 6 },
    ],
  });
});

test('what is wrong, and where', (t) => {
  const wrong = (words: string[]) => {
    const parsed = getopt(words, spec);
    return parsed.ok ? null : [parsed.problem, parsed.name, parsed.at];
  };
  t.deepEqual(wrong(['x', '-Z']), ['unknown', 'Z', 2]);
  t.deepEqual(wrong(['-nZ']), ['unknown', 'Z', 1]);
  t.deepEqual(wrong(['-n', '-c']), ['missing-argument', 'c', 2]);
  t.deepEqual(wrong(['--foo']), ['unknown', 'foo', 1]);
  t.deepEqual(wrong(['--n']), ['unknown', 'n', 1]);
  t.deepEqual(wrong(['--max-hops']), ['missing-argument', 'max-hops', 1]);
  const short = getopt(['--help'], { flags: 'h', values: '' });
  t.deepEqual(short, { ok: false, problem: 'unknown', name: '-', at: 1 });
});

test('addresses as inet_aton(3) reads them', (t) => {
  const read = (text: string) => {
    const addr = inetAton(text);
    return addr === null ? null : formatIp4(addr);
  };
  t.is(read('10.1'), '10.0.0.1');
  t.is(read('127.1'), '127.0.0.1');
  t.is(read('10.1.258'), '10.1.1.2');
  t.is(read('2130706433'), '127.0.0.1');
  t.is(read('0x7f.0.0.010'), '127.0.0.8');
  for (const bad of ['', 'foo', '1.2.3.256', '256.1', '1.2.3.4.5', '1..2', '10.16777216', '4294967296', '09'])
    t.is(read(bad), null, bad);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (addr) => {
      t.is(inetAton(formatIp4(addr)), addr);
      t.is(inetAton(String(addr)), addr);
    }),
  );
});
