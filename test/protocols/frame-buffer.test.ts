import test from 'ava';
import { copyFrame, frameBuffer } from '../../protocols/frame-buffer.ts';

test('buffers are zero, of their length, and nobody else’s', (t) => {
  const buffers = Array.from({ length: 2_000 }, (_, i) => frameBuffer(i));
  for (const [i, buffer] of buffers.entries()) {
    t.is(buffer.length, i);
    t.true(buffer.every((byte) => byte === 0));
    buffer.fill((i % 255) + 1);
  }
  for (const [i, buffer] of buffers.entries())
    t.true(
      buffer.every((byte) => byte === (i % 255) + 1),
      String(i),
    );
});

test('one longer than a block', (t) => {
  const buffer = frameBuffer(1_000_000);
  t.is(buffer.length, 1_000_000);
  t.is(frameBuffer(10).length, 10);
});

test('a copy has the bytes and not the place', (t) => {
  const frame = Uint8Array.of(1, 2, 3);
  const copy = copyFrame(frame);
  frame[0] = 9;
  t.deepEqual([...copy], [1, 2, 3]);
});
