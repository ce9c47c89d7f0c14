import test from 'ava';
import { ourAnswers, recordedAnswers, story } from './case.ts';
import { ASKED_ONCE, GROUPS } from './groups.ts';

// What once differed from Linux, with what Linux answered: test/interop/linux/cases.test.ts asks it again.
for (const group of [...GROUPS, ...ASKED_ONCE])
  for (const held of group.cases)
    test(`${group.name}: ${held.name}`, (t) => {
      t.deepEqual(story(held, ourAnswers(group, held)), story(held, recordedAnswers(group, held)));
    });
