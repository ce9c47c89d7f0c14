import { readFileSync } from 'node:fs';
import { words } from '../../../interop/linux/command.ts';
import type { LinuxPort, NamespaceOptions } from '../../../interop/linux/namespace.ts';
import { frameTexts, type Settle } from '../../../interop/linux/settle.ts';
import { EmulatedPorts } from '../../../support/router.ts';
import { run } from '../../tools/support/run.ts';

export type CaseStep =
  /** Taken or refused, and what comes out of the ports meanwhile. */
  | { readonly type: 'command'; readonly line: string }
  /** What a command prints, once what two kernels may each choose is taken out. */
  | { readonly type: 'show'; readonly line: string; readonly settle: (text: string) => string }
  /** Frames into a port, one after the other: what comes out of all ports. */
  | { readonly type: 'send'; readonly port: number; readonly frames: readonly Uint8Array[] }
  /** Time goes by, in Linux too: few ms. */
  | { readonly type: 'wait'; readonly ms: number }
  /** The same, and what comes out of the ports meanwhile. */
  | { readonly type: 'listen'; readonly ms: number };

/** What once differed from Linux: what was made, and what was done then. */
export interface LinuxCase {
  /** What Linux does, as a sentence: the title of the test. */
  readonly name: string;
  /** Commands that both take. */
  readonly setUp: readonly string[];
  readonly steps: readonly CaseStep[];
}

/** Cases that begin with the same ports. */
export interface CaseGroup extends Omit<NamespaceOptions, 'guest'> {
  /** Of the record too. */
  readonly name: string;
  /** The kernel that is asked: the machine's own, or where that lacks what it takes, a guest (`test/interop/linux/guest.ts`). */
  readonly kernel?: 'own' | 'guest';
  readonly ports: readonly LinuxPort[];
  /** Commands for Linux alone, before the others. */
  readonly first?: readonly string[];
  readonly settle: Settle;
  readonly cases: readonly LinuxCase[];
}

/** A text, or lines: 'taken' or 'refused' of a command, then frames that came out in the order of their ports, port first. */
export type Answer = string | readonly string[];

export interface CaseRecord {
  /** `uname -r` of the kernel that answered. */
  readonly linux: string;
  /** For each case an answer for each step. */
  readonly cases: Readonly<Record<string, readonly Answer[]>>;
}

export const command = (line: string): CaseStep => ({ type: 'command', line });
export const show = (line: string, settle: (text: string) => string = trimmed): CaseStep => ({
  type: 'show',
  line,
  settle,
});
export const send = (port: number, ...frames: readonly Uint8Array[]): CaseStep => ({
  type: 'send',
  port,
  frames,
});
export const wait = (ms: number): CaseStep => ({ type: 'wait', ms });
export const listen = (ms: number): CaseStep => ({ type: 'listen', ms });

/** Lines in the order of the alphabet, without blanks at their ends. */
export function trimmed(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .sort()
    .join('\n');
}

export function recordUrl({ name }: CaseGroup): URL {
  return new URL(`recorded/${name}.json`, import.meta.url);
}

/** @throws Error with the mend, where Linux has not been asked yet. */
export function recordedAnswers(group: CaseGroup, { name, steps }: LinuxCase): readonly Answer[] {
  const { cases } = JSON.parse(readFileSync(recordUrl(group), 'utf8')) as CaseRecord;
  const answers = cases[name];
  if (answers?.length !== steps.length)
    throw new Error(
      `no answers of Linux to '${name}': RECORD=1 npx ava test/interop/linux/cases.test.ts asks for them`,
    );
  return answers;
}

/** What our kernel answers to a case. */
export function ourAnswers(group: CaseGroup, { setUp, steps }: LinuxCase): Answer[] {
  const ours = new EmulatedPorts(group.ports);
  for (const line of setUp) {
    const { code, text } = run(words(line), ours.root);
    if (code !== 0) throw new Error(`${line}: ${text}`);
  }
  return steps.map((step) => ourAnswer(ours, step, group.settle));
}

function ourAnswer(ours: EmulatedPorts, step: CaseStep, settle: Settle): Answer {
  switch (step.type) {
    case 'command': {
      let code: number | null = null;
      const out = ours.during(() => {
        code = run(words(step.line), ours.root).code;
      });
      return [code === 0 ? 'taken' : 'refused', ...frameTexts(out, settle).sort()];
    }
    case 'show':
      return step.settle(run(words(step.line), ours.root).text);
    case 'send': {
      const out = step.frames.flatMap((frame) => ours.send(step.port, frame));
      return frameTexts(out, settle).sort();
    }
    case 'wait':
      ours.world.advance(step.ms);
      return '';
    case 'listen':
      return frameTexts(
        ours.during(() => ours.world.advance(step.ms)),
        settle,
      ).sort();
  }
}

/** The steps of a case with answers beside them, for people. */
export function story({ setUp, steps }: LinuxCase, answers: readonly Answer[]): string[] {
  return [
    ...setUp,
    ...steps.flatMap((step, i) => {
      const answer = answers[i] ?? '(no answer)';
      return [told(step), ...(typeof answer === 'string' ? [answer] : answer).map((line) => `  < ${line}`)];
    }),
  ];
}

function told(step: CaseStep): string {
  switch (step.type) {
    case 'command':
    case 'show':
      return step.line;
    case 'send':
      return `> ${step.port} ${step.frames.map((frame) => Buffer.from(frame).toString('hex')).join(' ')}`;
    case 'wait':
    case 'listen':
      return `(${step.ms} ms)`;
  }
}
