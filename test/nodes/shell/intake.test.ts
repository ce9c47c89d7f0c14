import test from 'ava';
import type { NodeInput } from '../../../nodes/machine-io.ts';
import { Intake } from '../../../nodes/shell/intake.ts';

const MEGABYTE = 1_048_576;

const frame = (): NodeInput => ({ type: 'frame', port: 0, frame: new Uint8Array(MEGABYTE), cause: 0 });

function intake() {
  const steps: NodeInput[] = [];
  const state = { keepsUp: false };
  const queue = new Intake(
    (input) => steps.push(input),
    () => state.keepsUp,
  );
  return { steps, state, queue };
}

test('what came together goes in as one batch, in order', async (t) => {
  const { steps, state, queue } = intake();
  state.keepsUp = true;
  const inputs = [frame(), { type: 'time' } as const, frame()];
  for (const input of inputs) queue.take(input);
  await Promise.resolve();
  t.deepEqual(steps, [{ type: 'batch', inputs }]);
});

test('frames that wait are bounded: the rest is dropped and counted, nothing else is', async (t) => {
  const { steps, state, queue } = intake();
  for (let i = 0; i < 80; i++) queue.take(frame());
  queue.take({ type: 'time' });
  await Promise.resolve();
  t.is(steps.length, 0);
  state.keepsUp = true;
  queue.resume();
  const [batch] = steps;
  t.is(batch?.type, 'batch');
  const inputs = batch?.type === 'batch' ? batch.inputs : [];
  t.is(inputs.filter(({ type }) => type === 'frame').length, 64);
  t.deepEqual(inputs.slice(64), [{ type: 'time' }, { type: 'overrun', frames: 16 }]);
  queue.take(frame());
  await Promise.resolve();
  t.is(steps[1]?.type, 'frame');
});
