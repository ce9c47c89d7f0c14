import { mkdirSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import type { ExecutionContext } from 'ava';
import { firstValueFrom, from, mergeMap, toArray } from 'rxjs';
import {
  type Answer,
  type CaseGroup,
  type CaseStep,
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
/** How long a worker of the kernel may take until what it does is seen, ms. */
const WORKERS = 2_000;
/** Cases that are asked side by side: each in a namespace of its own, which mostly waits for the kernel. */
const AT_ONCE = 4;
const IS_RECORDING = process.env.RECORD === '1';

type ShowStep = Extract<CaseStep, { type: 'show' }>;

/** What Linux answers to a case. */
async function linuxAnswers(group: CaseGroup, asked: LinuxCase, guest: Guest | undefined): Promise<Answer[]> {
  const { setUp, steps } = asked;
  const { ports, first = [], settle, ipv6 = 'off' } = group;
  const expected = IS_RECORDING ? undefined : recordedAnswers(group, asked);
  const linux = await LinuxNamespace.start(ports, [...first, ...setUp.map(onLinux)], {
    ipv6,
    ...(guest === undefined ? {} : { guest }),
  });
  if (setUp.some((line) => line.includes('nodad'))) await linux.run(AWAIT_ADDRESSES);
  const shown = async (step: ShowStep, expected: Answer | undefined): Promise<Answer> => {
    const end = performance.now() + WORKERS;
    for (;;) {
      const text = step.settle(await linux.run(`${onLinux(step.line)} 2>&1`));
      if (expected === undefined || text === expected || performance.now() > end) return text;
    }
  };
  /** What has come out, and what is to come out yet: what a worker sends may be late. */
  const awaited = async (out: Out[], frames: number): Promise<string[]> => {
    const end = performance.now() + WORKERS;
    while (out.length < frames && performance.now() < end)
      out.push(...(await linux.exchange([], AFTERWARDS)));
    return frameTexts(out, settle).sort();
  };
  const answer = async (step: CaseStep, expected: Answer | undefined): Promise<Answer> => {
    switch (step.type) {
      case 'command': {
        const answer = (await linux.run(takenOrRefused(step.line))).trim();
        const frames = expected === undefined ? 0 : expected.length - 1;
        return [answer, ...(await awaited(await linux.exchange([], AFTERWARDS), frames))];
      }
      case 'show':
        return shown(step, expected);
      case 'send': {
        const out: Out[] = [];
        for (const frame of step.frames) out.push(...(await linux.send(step.port, frame)));
        if (expected === undefined) out.push(...(await linux.exchange([], AFTERWARDS)));
        return awaited(out, expected?.length ?? 0);
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
    for (const [i, step] of steps.entries()) answers.push(await answer(step, expected?.[i]));
    return answers;
  } finally {
    linux.stop();
  }
}

async function ask(t: ExecutionContext, group: CaseGroup, guest?: Guest): Promise<void> {
  t.timeout(120_000);
  // A guest may stand still where several namespaces load modules or make tunnels.
  const atOnce = guest === undefined ? AT_ONCE : 1;
  const asked = from(group.cases).pipe(
    mergeMap(async (one) => [one.name, await linuxAnswers(group, one, guest)] as const, atOnce),
    toArray(),
  );
  const found = new Map(await firstValueFrom(asked));
  const answers = Object.fromEntries(group.cases.map(({ name }) => [name, found.get(name) ?? []]));
  if (IS_RECORDING) {
    const linux = guest === undefined ? release() : await guest.ready;
    mkdirSync(new URL('.', recordUrl(group)), { recursive: true });
    writeFileSync(recordUrl(group), `${JSON.stringify({ linux, cases: answers }, null, 1)}\n`);
  }
  for (const one of group.cases)
    t.deepEqual(story(one, answers[one.name] ?? []), story(one, recordedAnswers(group, one)), one.name);
}

const guestTest = guestTestWith('ipvsadm');
for (const group of GROUPS) {
  const title = `${group.name}: Linux still answers as it is recorded`;
  if (group.kernel === 'guest') guestTest(title, (t, guest) => ask(t, group, guest));
  else linuxTest(title, (t) => ask(t, group));
}
