import { z } from 'zod';
import type { ImpairmentChange } from '../../nodes/commands.ts';
import {
  changeNetem,
  DISTRIBUTIONS,
  isPlain,
  type NetemChanges,
  type NetemParameters,
  netemProblem,
  PLAIN_NETEM,
} from '../../protocols/netem/parameters.ts';
import { NetemError, parseNetem } from '../../protocols/netem/words.ts';
import type { Path, Reporter } from './problem.ts';
import { duration, type Parsed, scalar } from './schema-types.ts';

/** A value in netem's own words, as they stand on tc's command line behind the key. */
function words(key: string, example: string) {
  return scalar(`netem ${key}`, example, (text): Parsed<NetemChanges> => {
    try {
      return { value: parseNetem([key, ...text.trim().split(/\s+/)]) };
    } catch (error) {
      if (!(error instanceof NetemError)) throw error;
      return { wrong: `'${text}' is no netem ${key}`, mend: `write it like ${example}` };
    }
  }).optional();
}

/** Keys of a link, a segment or an interface that say what is wrong with it. */
export const netemShape = {
  delay: duration.optional(),
  jitter: duration.optional(),
  distribution: z.enum(DISTRIBUTIONS).optional(),
  loss: words('loss', '1%, or gemodel 1% 10%'),
  duplicate: words('duplicate', '1%'),
  reorder: words('reorder', '25% 50%'),
  gap: words('gap', '5'),
  corrupt: words('corrupt', '0.1%'),
  rate: words('rate', '10mbit'),
  limit: words('limit', '1000'),
};

/** What `netemShape` reads. */
interface NetemSpec {
  readonly delay?: number | undefined;
  readonly jitter?: number | undefined;
  readonly distribution?: NetemParameters['distribution'] | undefined;
  readonly loss?: NetemChanges | undefined;
  readonly duplicate?: NetemChanges | undefined;
  readonly reorder?: NetemChanges | undefined;
  readonly gap?: NetemChanges | undefined;
  readonly corrupt?: NetemChanges | undefined;
  readonly rate?: NetemChanges | undefined;
  readonly limit?: NetemChanges | undefined;
}

/** The keys as a change at run time. */
export function netemChange(spec: NetemSpec): ImpairmentChange {
  return { op: 'netem', changes: changesOf(spec) };
}

function changesOf(spec: NetemSpec): NetemChanges {
  const { delay, jitter, distribution, loss, duplicate, reorder, gap, corrupt, rate, limit } = spec;
  const own = { delay, jitter, distribution };
  return { ...own, ...loss, ...duplicate, ...reorder, ...gap, ...corrupt, ...rate, ...limit };
}

/** What the keys say, on top of `base`; null for a wire that nothing is wrong with. */
export function netemOf(
  spec: NetemSpec,
  base: NetemParameters | null,
  path: Path,
  reporter: Reporter,
): NetemParameters | null {
  const netem = changeNetem(base ?? PLAIN_NETEM, changesOf(spec));
  const problem = netemProblem(netem);
  // What is wrong with the segment already has been told of there.
  const known = base !== null && netemProblem(base) === problem;
  if (problem !== null && !known) reporter.problem(path, problem, 'add delay and jitter', 'key');
  return isPlain(netem) ? null : netem;
}
