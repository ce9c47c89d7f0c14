import test from 'ava';
import fc from 'fast-check';
import { copyFrame, frameBuffer, withHeadroom } from '../../protocols/frame-buffer.ts';

const filled = (length: number, value: number) => {
  const frame = frameBuffer(length);
  frame.fill(value);
  return frame;
};

test('headers before a frame are put where it is, once', (t) => {
  const frame = filled(100, 7);
  const outer = withHeadroom(frame, 50);
  t.is(outer.buffer, frame.buffer);
  t.is(outer.byteOffset, frame.byteOffset - 50);
  t.deepEqual([...outer], [...Array(50).fill(0), ...Array(100).fill(7)]);
  outer.fill(9, 0, 50);
  const again = withHeadroom(frame, 50);
  t.not(again.byteOffset, outer.byteOffset);
  t.deepEqual([...again], [...Array(50).fill(0), ...Array(100).fill(7)]);
});

test('a part of a frame, and a frame of other memory, are copied', (t) => {
  const frame = filled(100, 7);
  for (const given of [frame.subarray(16), new Uint8Array(64).fill(7)]) {
    const outer = withHeadroom(given, 16);
    t.false(outer.buffer === given.buffer && outer.byteOffset === given.byteOffset - 16);
    t.deepEqual([...outer], [...Array(16).fill(0), ...given]);
  }
});

test('no two buffers share a byte, whatever is put before them', (t) => {
  const step = fc.record({
    length: fc.integer({ min: 0, max: 70_000 }),
    push: fc.constantFrom(0, 8, 50, 70, 80, 81, 200),
    copy: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const live: { readonly frame: Uint8Array; readonly value: number }[] = [];
      for (const [i, { length, push, copy }] of steps.entries()) {
        const value = (i % 250) + 1;
        let frame = filled(length, value);
        if (push > 0) {
          frame = withHeadroom(frame, push);
          if (!frame.subarray(0, push).every((byte) => byte === 0)) return false;
          if (!frame.subarray(push).every((byte) => byte === value)) return false;
          frame.fill(value);
        }
        live.push({ frame: copy ? copyFrame(frame) : frame, value });
      }
      return live.every(({ frame, value }) => frame.every((byte) => byte === value));
    }),
    { numRuns: 60 },
  );
  t.pass();
});
