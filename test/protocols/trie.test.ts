import test from 'ava';
import fc from 'fast-check';
import { prefixContains, prefixMask } from '../../protocols/ip4.ts';
import { LpmTrie } from '../../protocols/trie.ts';

/** Addresses from a small pool of bits, so that prefixes nest and meet. */
const addr = fc
  .tuple(fc.constantFrom(0, 0x0a000000, 0x80000000, 0xffffff00), fc.integer({ min: 0, max: 255 }))
  .map(([high, low]) => ((high ^ (low << 20)) | low) >>> 0);
const len = fc.integer({ min: 0, max: 32 });

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('set' as const), addr, len }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), addr, len }) },
);

test('a trie behaves as a list of prefixes does', (t) => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 60 }),
      fc.array(addr, { maxLength: 20 }),
      (operations, probes) => {
        const trie = new LpmTrie<number>();
        const model = new Map<string, { addr: number; len: number; value: number }>();
        for (const [value, { op, addr, len }] of operations.entries()) {
          const masked = (addr & prefixMask(len)) >>> 0;
          const key = `${masked}/${len}`;
          if (op === 'set') {
            trie.set(addr, len, value);
            model.set(key, { addr: masked, len, value });
          } else {
            t.is(trie.delete(addr, len), model.delete(key));
          }
          t.is(trie.size, model.size);
          t.is(trie.get(addr, len), model.get(key)?.value);
        }
        for (const probe of [...probes, ...operations.map((operation) => operation.addr)]) {
          const found = [...model.values()]
            .filter((p) => prefixContains(p, probe))
            .sort((a, b) => a.len - b.len);
          t.is(trie.lookup(probe), found.at(-1)?.value);
          t.deepEqual(
            trie.lookupAll(probe),
            found.map((entry) => entry.value),
          );
        }
        const sorted = [...model.values()].sort((a, b) => a.addr - b.addr || a.len - b.len);
        t.deepEqual([...trie.entries()], sorted);
      },
    ),
    { numRuns: 300 },
  );
});

test('deleting everything leaves nothing behind', (t) => {
  const trie = new LpmTrie<string>();
  for (let i = 0; i < 1000; i++) trie.set(Math.imul(i, 2654435761) >>> 0, (i % 32) + 1, 'x');
  for (const entry of [...trie.entries()]) t.true(trie.delete(entry.addr, entry.len));
  t.is(trie.size, 0);
  t.is(trie.lookup(0x0a000001), undefined);
});
