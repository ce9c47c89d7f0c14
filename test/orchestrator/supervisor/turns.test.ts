import test from 'ava';
import { Turns } from '../../../orchestrator/supervisor/turns.ts';

test('so many run at one time, the others in the order in which they came, after failures too', async (t) => {
  const turns = new Turns(2);
  const begun: number[] = [];
  const ends: ((outcome: 'well' | 'badly') => void)[] = [];
  const runs = [0, 1, 2, 3, 4].map((i) =>
    turns.take(async () => {
      begun.push(i);
      const outcome = await new Promise<'well' | 'badly'>((resolve) => {
        ends[i] = resolve;
      });
      if (outcome === 'badly') throw new Error(`run ${i}`);
      return i;
    }),
  );
  t.deepEqual(begun, [0, 1]);
  const failed = t.throwsAsync(runs[1]!, { message: 'run 1' });
  ends[1]!('badly');
  await failed;
  t.deepEqual(begun, [0, 1, 2]);
  ends[0]!('well');
  t.is(await runs[0], 0);
  t.deepEqual(begun, [0, 1, 2, 3]);
  ends[2]!('well');
  ends[3]!('well');
  t.deepEqual(await Promise.all([runs[2], runs[3]]), [2, 3]);
  t.deepEqual(begun, [0, 1, 2, 3, 4]);
  ends[4]!('well');
  t.is(await runs[4], 4);
  t.is(await turns.take(async () => 5), 5);
});
