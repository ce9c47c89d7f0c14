import test from 'ava';
import type { NatsConnection } from 'nats';
import { BlockPool } from '../../bus/blocks.ts';

/** A connection of which only the questions to the server exist, which the test answers. */
function fakeConnection() {
  const asked: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const flush = () => new Promise<void>((resolve, reject) => asked.push({ resolve, reject }));
  return { nc: { flush } as unknown as NatsConnection, asked };
}

test('a block is used again when the server has read it, not before', async (t) => {
  const { nc, asked } = fakeConnection();
  const pool = new BlockPool(nc);
  const first = pool.take(100);
  pool.giveBack(first);
  const second = pool.take(100);
  t.not(second, first);
  asked[0]?.resolve();
  await Promise.resolve();
  await Promise.resolve();
  t.is(pool.take(100), first);
});

test('a block of a broken connection is not used again, and does not fill the queue for ever', async (t) => {
  const { nc, asked } = fakeConnection();
  const pool = new BlockPool(nc);
  const blocks = Array.from({ length: 128 }, () => pool.take(100));
  t.is(pool.queue, 'room');
  for (const block of blocks) pool.giveBack(block);
  t.is(pool.queue, 'full');
  for (const { reject } of asked) reject(new Error('disconnected'));
  await Promise.resolve();
  await Promise.resolve();
  t.is(pool.queue, 'room');
  t.false(blocks.includes(pool.take(100)));
});

test('what is longer than a block gets memory of its own', (t) => {
  const { nc, asked } = fakeConnection();
  const pool = new BlockPool(nc);
  const block = pool.take(1_000_000);
  t.true(block.bytes.length >= 1_000_000);
  pool.giveBack(block);
  t.is(asked.length, 0);
});
