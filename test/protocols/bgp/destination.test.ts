import test from 'ava';
import fc from 'fast-check';
import { type Destination, DestinationTable } from '../../../protocols/bgp/destination.ts';
import { ipv6Key, type PrefixKey, parseKey } from '../../../protocols/bgp/nlri.ts';

/** Neighbours, prefixes of one address and of both families: what hashes alike and lies in one chain. */
const key: fc.Arbitrary<PrefixKey> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(40).map((i) => (0xffff_ff00 + i) * 64 + 32) },
  { weight: 6, arbitrary: fc.nat(32).map((len) => 0x0a00_0000 * 64 + len) },
  { weight: 1, arbitrary: fc.nat(8).map((i) => ipv6Key('\x20\x01'.padEnd(16, '\0'), 16 + i)) },
);

test('destinations are found by their prefixes, and by nothing else, whatever came and went', (t) => {
  fc.assert(
    fc.property(fc.array(fc.record({ key, op: fc.constantFrom('add', 'add', 'delete') })), (steps) => {
      const table = new DestinationTable();
      const model = new Map<PrefixKey, Destination>();
      for (const { key, op } of steps) {
        t.is(table.get(key), model.get(key));
        if (op === 'add') {
          const known = model.get(key);
          const destination = table.obtain(key);
          t.is(destination.key, key);
          t.is(destination, known ?? destination);
          model.set(key, destination);
        } else {
          const known = model.get(key);
          if (known !== undefined) table.delete(known);
          model.delete(key);
          t.is(table.get(key), undefined);
        }
      }
      for (const [key, destination] of model) t.is(table.get(key), destination);
      t.is([...table].length, model.size);
      for (const destination of table) t.is(model.get(destination.key), destination);
      t.is(new Set(Array.from(table, ({ index }) => index)).size, model.size);
    }),
  );
});

test('a table of many prefixes grows, shrinks and uses its indexes again', (t) => {
  const table = new DestinationTable();
  const keys = Array.from({ length: 20_000 }, (_, i) => (0x0b00_0000 + i * 256) * 64 + 24);
  for (const key of keys) table.obtain(key);
  for (const key of keys) t.is(table.get(key)?.key, key);
  for (const key of keys) table.delete(table.get(key)!);
  t.deepEqual([...table], []);
  for (const key of keys.slice(0, 100)) t.true(table.obtain(key).index < keys.length);
  t.is(table.get(parseKey('11.0.99.0/24')!)?.key, keys[99]);
  t.is(table.get(parseKey('11.0.100.0/24')!), undefined);
});
