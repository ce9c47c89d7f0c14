import test from 'ava';
import fc from 'fast-check';
import { commonBits6, type Ip6, maskIp6 } from '../../protocols/ip6.ts';
import { Lpm6Trie } from '../../protocols/trie6.ts';

/** Addresses from a small pool of bits, so that prefixes nest and meet, in each of the four words. */
const addr: fc.Arbitrary<Ip6> = fc
  .tuple(fc.constantFrom(0, 3, 4, 8, 11, 12, 15), fc.integer({ min: 0, max: 255 }), fc.boolean())
  .map(([at, byte, filled]) => {
    const bytes = new Array<number>(16).fill(filled ? 0xff : 0);
    bytes[at] = byte;
    return String.fromCharCode(...bytes);
  });
const len = fc.integer({ min: 0, max: 128 });
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('set' as const), addr, len }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), addr, len }) },
);
test('a trie of 128 bits behaves as a list of prefixes does', (t) => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 60 }),
      fc.array(addr, { maxLength: 20 }),
      (operations, probes) => {
        const trie = new Lpm6Trie<number>();
        const model = new Map<string, { addr: Ip6; len: number; value: number }>();
        for (const [value, { op, addr, len }] of operations.entries()) {
          const masked = maskIp6(addr, len);
          const key = `${masked}/${len}`;
          if (op === 'set') {
            trie.set(addr, len, value);
            model.set(key, { addr: masked, len, value });
          } else t.is(trie.delete(addr, len), model.delete(key));
          t.is(trie.size, model.size);
          t.is(trie.get(addr, len), model.get(key)?.value);
        }
        for (const probe of [...probes, ...operations.map((operation) => operation.addr)]) {
          const found = [...model.values()]
            .filter((p) => commonBits6(p.addr, probe) >= p.len)
            .sort((a, b) => a.len - b.len);
          t.is(trie.lookup(probe), found.at(-1)?.value);
          t.deepEqual(
            trie.lookupAll(probe),
            found.map((entry) => entry.value),
          );
        }
        const sorted = [...model.values()].sort((a, b) =>
          a.addr < b.addr ? -1 : a.addr > b.addr ? 1 : a.len - b.len,
        );
        t.deepEqual([...trie.entries()], sorted);
      },
    ),
    { numRuns: 300 },
  );
});

test('deleting everything leaves nothing behind', (t) => {
  const trie = new Lpm6Trie<string>();
  for (let i = 0; i < 500; i++) {
    const bytes = Array.from({ length: 16 }, (_, at) => Math.imul(i + 1, at * 7919 + 13) & 0xff);
    trie.set(String.fromCharCode(...bytes), (i % 128) + 1, 'x');
  }
  for (const entry of [...trie.entries()]) t.true(trie.delete(entry.addr, entry.len));
  t.is(trie.size, 0);
  t.is(trie.lookup('\0'.repeat(16)), undefined);
});
