import test from 'ava';
import fc from 'fast-check';
import { formatPrefix, prefixContains } from '../../../protocols/ip4.ts';
import { blockCount, candidateBlocks } from '../../../protocols/ipam/block-order.ts';

const pool = { addr: 0x0af40000, len: 16 };

test('a /16 holds 1024 blocks of /26', (t) => {
  t.is(blockCount(pool, 26), 1024);
  t.is(blockCount(pool, 16), 1);
  t.is(blockCount(pool, 15), 0);
});

test('every block of the pool comes once, each right after the one before it, wrapping', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 16, max: 27 }), (host, blockLen) => {
      const blocks = [...candidateBlocks(pool, blockLen, host)];
      t.is(blocks.length, 2 ** (blockLen - 16));
      t.is(new Set(blocks.map((block) => block.addr)).size, blocks.length);
      const size = 2 ** (32 - blockLen);
      for (const [i, block] of blocks.entries()) {
        t.is(block.len, blockLen);
        t.true(prefixContains(pool, block.addr));
        if (i > 0) t.is((blocks[i - 1]!.addr + size - pool.addr) % 65536, block.addr - pool.addr);
      }
    }),
    { numRuns: 20 },
  );
});

test('a host always starts at the same block, and hosts start at different ones', (t) => {
  const first = (host: string) => formatPrefix(candidateBlocks(pool, 26, host).next().value!);
  t.is(first('node-1'), first('node-1'));
  const firsts = new Set(Array.from({ length: 50 }, (_, i) => first(`node-${i}`)));
  t.true(firsts.size >= 45, `${firsts.size} different blocks for 50 hosts`);
});

test('a block larger than the pool gives no candidate', (t) => {
  t.deepEqual([...candidateBlocks({ addr: pool.addr, len: 28 }, 26, 'n1')], []);
});
