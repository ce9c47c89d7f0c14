import { z } from 'zod';
import { CaptureTargetError, parseTargets } from '../capture/target.ts';
import type { CompiledLab, RecordConfig } from './compiled.ts';
import type { Reporter } from './problem.ts';
import { map, type Parsed, scalar } from './schema-types.ts';

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** bytes */
const size = scalar('size', '256MB', (text): Parsed<number> => {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text) ?? [];
  const factor = Object.hasOwn(UNITS, unit) ? (UNITS[unit] ?? 0) : 0;
  if (factor === 0)
    return {
      wrong: `'${text}' is no size`,
      mend: `write it like 256MB; units: ${Object.keys(UNITS).join(', ')}`,
    };
  const value = Math.floor(Number(digits) * factor);
  if (value < LEAST) return { wrong: `'${text}' is too little`, mend: 'give it 1MB at least' };
  return { value };
});

const LEAST = 1e6;
const DEFAULT_LIMIT = 256e6;
/** All of any frame, as tcpdump has it. */
const SNAP_LENGTH = 262_144;

export const recordSchema = z.union([
  z.literal('frames'),
  map({
    frames: z.union([z.literal('all'), z.array(z.string()).min(1)]).optional(),
    limit: size.optional(),
    snapLength: z.int().min(64).max(SNAP_LENGTH).optional(),
  }),
]);

/** What a lab's `record` asks for; links and ports have to be there, what else a name means shows when the lab runs. */
export function recordConfig(
  spec: z.infer<typeof recordSchema>,
  lab: CompiledLab,
  reporter: Reporter,
): RecordConfig {
  const { frames = 'all', limit = DEFAULT_LIMIT, snapLength = SNAP_LENGTH } = spec === 'frames' ? {} : spec;
  const targets = frames === 'all' ? lab.segments.map(({ name }) => name) : [...new Set(frames)];
  for (const [i, word] of frames === 'all' ? [] : frames.entries()) {
    try {
      parseTargets(lab, [word]);
    } catch (error) {
      if (!(error instanceof CaptureTargetError)) throw error;
      const [message = '', ...mend] = error.message.split('; ');
      reporter.problem(['record', 'frames', i], message, mend.join('; '));
    }
  }
  if (targets.length === 0)
    reporter.problem(['record'], 'the lab has no link', 'name devices: record: { frames: ["n1:lo"] }');
  return { targets, limit, snapLength };
}
