import test from 'ava';
import { netemChanges } from '../../../orchestrator/cli/tc.ts';

test("containerlab's bare numbers, and netem's words", (t) => {
  t.deepEqual(netemChanges({ loss: '10', delay: '20ms' }, []), {
    ...netemChanges({}, ['netem', 'loss', '10%']),
    delay: 20,
  });
  t.deepEqual(netemChanges({ rate: '1000' }, []), netemChanges({}, ['rate', '1mbit']));
});

test('a wrong word is told with its place and the mend', (t) => {
  t.throws(() => netemChanges({}, ['netem', 'frob', '1']), {
    message: 'frob 1: What is "frob"?; write it like: delay 20ms 2ms loss 1% rate 10mbit (docs/links.md)',
  });
  t.throws(() => netemChanges({ loss: '200%' }, []), {
    message: /^loss 200%: Illegal "loss percent"; write it like/,
  });
});
