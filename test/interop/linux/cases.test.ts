import { mkdirSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import type { ExecutionContext } from 'ava';
import {
  type Answer,
  type CaseGroup,
  type LinuxCase,
  recordedAnswers,
  recordUrl,
  story,
} from '../../nodes/kernel/linux/case.ts';
import { GROUPS } from '../../nodes/kernel/linux/groups.ts';
import type { Out } from '../../support/router.ts';
import { AWAIT_ADDRESSES, onLinux, takenOrRefused } from './command.ts';
import type { Guest } from './guest.ts';
import { LinuxNamespace } from './namespace.ts';
import { frameTexts } from './settle.ts';
import { guestTestWith, linuxTest } from './suite.ts';

/** How long what a command brings about may take to come out, ms. */
const AFTERWARDS = 20;
const IS_RECORDING = process.env.RECORD === '1';

/** What Linux answers to a case. */
async function linuxAnswers(
  group: CaseGroup,
  { setUp, steps }: LinuxCase,
  guest: Guest | undefined,
): Promise<Answer[]> {
  const { ports, first = [], settle, ipv6 = 'off' } = group;
  const linux = await LinuxNamespace.start(ports, [...first, ...setUp.map(onLinux)], {
    ipv6,
    ...(guest === undefined ? {} : { guest }),
  });
  await linux.run(AWAIT_ADDRESSES);
  const answer = async (step: LinuxCase['steps'][number]): Promise<Answer> => {
    switch (step.type) {
      case 'command': {
        const answer = (await linux.run(takenOrRefused(step.line))).trim();
        const out = await linux.exchange([], AFTERWARDS);
        return [answer, ...frameTexts(out, settle).sort()];
      }
      case 'show':
        return step.settle(await linux.run(`${onLinux(step.line)} 2>&1`));
      case 'send': {
        const out: Out[] = [];
        for (const frame of step.frames) out.push(...(await linux.send(step.port, frame)));
        return frameTexts(out, settle).sort();
      }
      case 'wait':
        return linux.run(`sleep ${step.ms / 1_000}`);
      case 'listen':
        await linux.run(`sleep ${step.ms / 1_000}`);
        return frameTexts(await linux.exchange([], 0), settle).sort();
    }
  };
  try {
    const answers: Answer[] = [];
    for (const step of steps) answers.push(await answer(step));
    return answers;
  } finally {
    linux.stop();
  }
}

async function ask(t: ExecutionContext, group: CaseGroup, guest?: Guest): Promise<void> {
  t.timeout(120_000);
  const answers: Record<string, readonly Answer[]> = {};
  for (const asked of group.cases) answers[asked.name] = await linuxAnswers(group, asked, guest);
  if (IS_RECORDING) {
    const linux = guest === undefined ? release() : await guest.ready;
    mkdirSync(new URL('.', recordUrl(group)), { recursive: true });
    writeFileSync(recordUrl(group), `${JSON.stringify({ linux, cases: answers }, null, 1)}\n`);
  }
  for (const asked of group.cases)
    t.deepEqual(
      story(asked, answers[asked.name] ?? []),
      story(asked, recordedAnswers(group, asked)),
      asked.name,
    );
}

const guestTest = guestTestWith('ipvsadm');
for (const group of GROUPS) {
  const title = `${group.name}: Linux still answers as it is recorded`;
  if (group.kernel === 'guest') guestTest(title, (t, guest) => ask(t, group, guest));
  else linuxTest(title, (t) => ask(t, group));
}
