import test from 'ava';
import fc from 'fast-check';
import { internetChecksum, partialSum } from '../../protocols/checksum.ts';

/** RFC 1071 §4.1, word by word. */
function naive(bytes: Uint8Array, seed: number): number {
  let sum = seed;
  for (let i = 0; i < bytes.length; i++) sum += bytes[i]! << (i % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = Math.floor(sum / 0x10000) + (sum & 0xffff);
  return ~sum & 0xffff;
}

test('the sum is that of RFC 1071, at any place and of any length', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ minLength: 1400, maxLength: 1500 }),
  );
  fc.assert(
    fc.property(bytes, fc.nat(7), fc.nat(0xffff_ffff), (data, off, seed) => {
      const buf = new Uint8Array(off + data.length + 3).fill(0xa5);
      buf.set(data, off);
      t.is(internetChecksum(buf, off, data.length, seed), naive(data, seed));
    }),
  );
});

test('all ones sum up to zero, and nothing to all ones, however long', (t) => {
  for (const length of [2, 62, 64, 66, 1480, 65_534]) {
    t.is(internetChecksum(new Uint8Array(length).fill(0xff), 0, length), 0);
    t.is(internetChecksum(new Uint8Array(length), 0, length), 0xffff);
  }
});

test('a sum in two parts is the sum of the whole', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(200), (data, half) => {
      const at = Math.min(half * 2, data.length - (data.length % 2));
      const first = partialSum(data, 0, at, 0);
      t.is(internetChecksum(data, at, data.length - at, first), naive(data, 0));
    }),
  );
});
