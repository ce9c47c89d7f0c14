import test from 'ava';
import fc from 'fast-check';
import {
  autoAssign,
  confirmBlock,
  newBlock,
  ordinalsWhere,
  parseBlock,
  releaseOrdinals,
  storedBlock,
} from '../../../protocols/ipam/calico-block.ts';

const prefix = { addr: 0x0af40100, len: 29 };
const held = (handle: string, node = 'n1') => ({ handle, node });

test('a new block is pending, and gives out all its addresses from the first on', (t) => {
  let block = newBlock(prefix, 'n1');
  t.is(block.cidr, '10.244.1.0/29');
  t.is(block.state, 'pending');
  t.is(confirmBlock(block).state, 'confirmed');
  for (let i = 0; i < 8; i++) {
    const assigned = autoAssign(block, held(`h${i}`));
    t.is(assigned?.ordinal, i);
    block = assigned!.block;
  }
  t.is(autoAssign(block, held('h8')), null);
});

test('a freed address goes to the end of the free list', (t) => {
  let block = autoAssign(newBlock(prefix, 'n1'), held('a'))!.block;
  block = releaseOrdinals(
    block,
    ordinalsWhere(block, ({ handle }) => handle === 'a'),
  );
  const order: number[] = [];
  for (let i = 0; i < 8; i++) {
    const assigned = autoAssign(block, held(`h${i}`))!;
    order.push(assigned.ordinal);
    block = assigned.block;
  }
  t.deepEqual(order, [1, 2, 3, 4, 5, 6, 7, 0]);
});

test('releasing what is not allocated changes nothing', (t) => {
  const block = autoAssign(newBlock(prefix, 'n1'), held('a'))!.block;
  t.deepEqual(releaseOrdinals(block, [5]), block);
});

test('a change leaves the value it was made from as it was', (t) => {
  const block = newBlock(prefix, 'n1');
  const before = structuredClone(block);
  autoAssign(block, held('a'));
  t.deepEqual(block, before);
});

test('any sequence of changes goes as with a queue of free addresses, and survives the store', (t) => {
  const step = fc.oneof(fc.constant<'assign'>('assign'), fc.nat({ max: 20 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      let block = newBlock(prefix, 'n1');
      const free = [0, 1, 2, 3, 4, 5, 6, 7];
      const taken: { ordinal: number; handle: string }[] = [];
      for (const [i, one] of steps.entries()) {
        if (one === 'assign') {
          const assigned = autoAssign(block, held(`h${i}`));
          const expected = free.shift();
          t.is(assigned?.ordinal, expected);
          if (assigned === null) continue;
          block = assigned.block;
          taken.push({ ordinal: assigned.ordinal, handle: `h${i}` });
        } else if (taken.length > 0) {
          const [gone] = taken.splice(one % taken.length, 1);
          const ordinals = ordinalsWhere(block, ({ handle }) => handle === gone!.handle);
          t.deepEqual(ordinals, [gone!.ordinal]);
          block = releaseOrdinals(block, ordinals);
          free.push(gone!.ordinal);
        }
        t.deepEqual(block.unallocated, free);
        t.deepEqual(parseBlock(JSON.parse(JSON.stringify(storedBlock(block)))), block);
      }
    }),
  );
});

test('what is not a block is not taken for one', (t) => {
  const good = storedBlock(autoAssign(newBlock(prefix, 'n1'), held('a'))!.block);
  t.not(parseBlock(good), null);
  t.is(parseBlock({}), null);
  t.is(parseBlock({ ...good, cidr: '10.0.0.0' + '/99' }), null);
  t.is(parseBlock({ ...good, cidr: '10.0.0.0/8' }), null);
  t.is(parseBlock({ ...good, state: 'maybe' }), null);
  t.is(parseBlock({ ...good, affinity: 7 }), null);
  t.is(parseBlock({ ...good, allocations: null }), null);
  t.is(parseBlock({ ...good, allocations: { 0: { handle: 'a' } } }), null);
  t.is(parseBlock({ ...good, unallocated: '1-6' }), null, 'an ordinal is missing');
  t.is(parseBlock({ ...good, unallocated: '0-7' }), null, 'an ordinal is both free and taken');
  t.is(parseBlock({ ...good, unallocated: '1,1-6' }), null);
  for (const runs of ['1-7,', '7-1', 'x', '1-9999', '1--7', ' 1-7', [1, 2, 3, 4, 5, 6, 7]]) {
    t.is(parseBlock({ ...good, unallocated: runs }), null, String(runs));
  }
  t.not(parseBlock({ ...good, unallocated: '4-7,1-3' }), null);
  t.is(parseBlock({ ...good, unallocated: '1-6,8' }), null);
});

test('no value of the store makes the reader fail', (t) => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom('cidr', 'affinity', 'state', 'allocations', 'unallocated'),
        fc.anything(),
      ),
      (value) => {
        t.notThrows(() => parseBlock(value));
      },
    ),
  );
});
