import test from 'ava';
import fc from 'fast-check';
import {
  type AsPath,
  asPathLength,
  decodeAsPath,
  encodeAsPath,
  formatAsPath,
  mergeAs4Path,
  neighborAs,
  prependAs,
} from '../../../protocols/bgp/as-path.ts';
import { asn, asPath } from './arbitrary.ts';

const sequence = (...asns: number[]): AsPath => [{ type: 'sequence', asns }];

test('a path comes back as it went with four octets, and with AS_TRANS for what two cannot hold', (t) => {
  fc.assert(
    fc.property(asPath, (path) => {
      const four = encodeAsPath(path, 4);
      t.deepEqual(decodeAsPath(four, 0, four.length, 4), path);
      const two = encodeAsPath(path, 2);
      const narrow = path.map(({ type, asns }) => ({ type, asns: asns.map((n) => (n > 65535 ? 23456 : n)) }));
      t.deepEqual(decodeAsPath(two, 0, two.length, 2), narrow);
    }),
  );
});

test('a path that passed a speaker of two octets is whole again with its AS4_PATH', (t) => {
  fc.assert(
    fc.property(asPath, fc.array(asn, { maxLength: 3 }), (path, since) => {
      // Speakers of two octets prepend to AS_PATH alone and pass AS4_PATH on.
      const narrow = (asns: readonly number[]) => asns.map((n) => (n > 65535 ? 23456 : n));
      const old = path.map(({ type, asns }) => ({ type, asns: narrow(asns) }));
      const seen = narrow(since).reduceRight<AsPath>((sum, each) => prependAs(sum, each), old);
      const whole = narrow(since).reduceRight<AsPath>((sum, each) => prependAs(sum, each), path);
      const merged = mergeAs4Path(seen, path);
      t.is(formatAsPath(merged), formatAsPath(whole));
      t.is(asPathLength(merged), asPathLength(seen));
    }),
  );
});

test('an AS4_PATH longer than AS_PATH is ignored', (t) => {
  t.deepEqual(mergeAs4Path(sequence(1, 2), sequence(3, 4, 5)), sequence(1, 2));
});

test('a set counts one, whatever it holds', (t) => {
  const path: AsPath = [
    { type: 'sequence', asns: [1, 2, 3] },
    { type: 'set', asns: [4, 5] },
  ];
  t.is(asPathLength(path), 4);
  t.is(formatAsPath(path), '1 2 3 {4 5}');
});

test('the neighbour AS is the first of a sequence, none of a set', (t) => {
  t.is(neighborAs(sequence(7, 8)), 7);
  t.is(neighborAs([{ type: 'set', asns: [7] }]), null);
  t.is(neighborAs([]), null);
});

test('prepending begins a new sequence before a set and before a full one', (t) => {
  t.deepEqual(prependAs([{ type: 'set', asns: [7] }], 1), [
    { type: 'sequence', asns: [1] },
    { type: 'set', asns: [7] },
  ]);
  const full = Array.from({ length: 255 }, (_, i) => i + 1);
  t.deepEqual(prependAs(sequence(...full), 9), [
    { type: 'sequence', asns: [9] },
    { type: 'sequence', asns: full },
  ]);
});

for (const [name, hex] of [
  ['unknown segment type', '05 01 00000001'],
  ['confederation segment', '03 01 00000001'],
  ['empty segment', '02 00'],
  ['overrun', '02 02 00000001'],
  ['header alone', '02'],
  ['AS 0', '02 01 00000000'],
] as const) {
  test(`malformed: ${name}`, (t) => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    t.is(decodeAsPath(bytes, 0, bytes.length, 4), null);
  });
}
