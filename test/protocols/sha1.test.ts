import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { sha1, sha1Hex } from '../../protocols/sha1.ts';

test('agrees with node:crypto on data of every length around the block size', (t) => {
  for (let length = 0; length <= 200; length++) {
    const data = Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 255);
    t.deepEqual(Buffer.from(sha1(data)), createHash('sha1').update(data).digest());
  }
});

test('agrees with node:crypto on any data', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1000 }), (data) => {
      t.deepEqual(Buffer.from(sha1(data)), createHash('sha1').update(data).digest());
    }),
  );
});

test('leaves what it hashes alone, also as part of a larger buffer', (t) => {
  const buffer = Uint8Array.from([9, 9, 97, 98, 99, 9, 9]);
  t.is(Buffer.from(sha1(buffer.subarray(2, 5))).toString('hex'), 'a9993e364706816aba3e25717850c26c9cd0d89d');
  t.deepEqual([...buffer], [9, 9, 97, 98, 99, 9, 9]);
});

test('hashes text as UTF-8', (t) => {
  t.is(sha1Hex('default.nginx'), createHash('sha1').update('default.nginx').digest('hex'));
  t.is(sha1Hex('größe'), createHash('sha1').update('größe', 'utf8').digest('hex'));
});
