import { readRecording } from '../capture/recording/files.ts';
import { replay } from '../capture/recording/replay.ts';
import { StreamSink } from '../capture/sink.ts';
import { CaptureTargetError } from '../capture/target.ts';
import { LabHome } from '../home.ts';
import { openLog } from '../observe/past.ts';
import { parseMoment } from '../observe/time-travel.ts';
import { withLab } from './attach.ts';
import {
  type CaptureCliOptions,
  causeComment,
  report,
  say,
  shortList,
  withPodAddresses,
} from './capture-common.ts';
import { humanTime, plural } from './output.ts';

/** `reroute capture --recorded`: what a lab recorded, as a capture while it ran would have been. Exit code. */
export async function captureRecorded(words: readonly string[], options: CaptureCliOptions): Promise<number> {
  for (const [name, value] of [
    ['simulate', options.simulate],
    ['for', options.for],
    ['exec', options.exec[0]],
  ] as const)
    if (value !== undefined)
      throw new CaptureTargetError(`--${name} does not go with --recorded: what was recorded is over`);
  const home = LabHome.choose(options.lab, 'any');
  const compiled = home.compiled();
  const { from, to } = await times(home, options);
  const filter = await filterFor(home, options.filter);
  const sink = new StreamSink(options.write, 'keep');
  const { counts, head } = await replay(readRecording(home.recordingFolder), {
    compiled,
    sink,
    section: {
      hardware: 'emulated',
      os: home.status()?.shell === 'simulator' ? `reroute simulator, seed ${compiled.seed}` : 'reroute',
      application: 'reroute capture --recorded',
      comment: `lab ${compiled.name}`,
    },
    words,
    filter,
    snapLength: options.snapLength,
    limit: options.count ?? Number.POSITIVE_INFINITY,
    comment: causeComment(compiled, options),
    from,
    to,
    begin: () => sink.open(),
    room: () => sink.room(),
  });
  const where = options.write === '-' ? 'standard output' : options.write;
  say(`writing ${shortList(words.length > 0 ? words : head.targets)} as recorded to ${where}`);
  if (head.lost.frames > 0) {
    const since = humanTime(head.lost.until - head.startedAt);
    say(`the limit has cost ${plural(head.lost.frames, 'frame')}, those until +${since}`);
  }
  report(counts);
  await sink.close();
  return 0;
}

async function times(home: LabHome, options: CaptureCliOptions) {
  let [from, to] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  if (options.from === undefined && options.to === undefined) return { from, to };
  const log = await openLog(home);
  try {
    if (options.from !== undefined) from = (await parseMoment(log, options.from, '--from')).at;
    if (options.to !== undefined) to = (await parseMoment(log, options.to, '--to')).at;
  } finally {
    await log.close();
  }
  return { from, to };
}

/** @throws CaptureTargetError for a pod's address where there are no pods to ask. */
function filterFor(home: LabHome, filter: string): Promise<string> {
  if (!filter.includes('@')) return Promise.resolve(filter);
  if (home.isRunning()) return withLab(home.name, (lab) => withPodAddresses(lab, filter));
  throw new CaptureTargetError(
    'lab is down, and its pods have no address; write it out (reroute get pods --at TIME has it)',
  );
}
