import { existsSync } from 'node:fs';
import { arch, release, type } from 'node:os';
import { connectBus } from '../../bus/connection.ts';
import { busWires, settleWires, simWires } from '../capture/observe.ts';
import { CaptureSession } from '../capture/session.ts';
import { StreamSink } from '../capture/sink.ts';
import { CaptureTargetError, parseTargets, targetName } from '../capture/target.ts';
import type { ObserveWire } from '../capture/wires.ts';
import { LabHome, LabHomeError } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { loadLab } from '../lab/load.ts';
import type { RunningLab } from '../running-lab.ts';
import { SimLab } from '../simulate/sim-lab.ts';
import { PLAIN } from './arguments.ts';
import { withLab } from './attach.ts';
import {
  type CaptureCliOptions,
  causeComment,
  report,
  say,
  shortList,
  withPodAddresses,
} from './capture-common.ts';
import { captureRecorded } from './capture-recorded.ts';
import { resolveTarget, withAddresses } from './target.ts';
import { awaitUp } from './up.ts';

/** What a capture is taken of. */
interface Scene {
  readonly lab: RunningLab;
  readonly compiled: CompiledLab;
  readonly observe: ObserveWire;
  /** Resolves when all that was sent has been observed. */
  readonly settle: () => Promise<void>;
  /** For the file's head. */
  readonly os: string;
}

/** Longest virtual time that a simulated lab gets to converge, ms. */
const CONVERGE_WITHIN = 600_000;
/** How long a capture goes on after its last command, ms, for what is still on its way. */
const AFTERGLOW = 200;
/** Time between two looks at whether the lab still runs, ms. */
const ALIVE_CHECK = 1_000;
/** Time between two looks at whether a simulated capture is to end, ms. */
const STEP = 50;

/** `reroute capture`: exit code. */
export async function capture(words: readonly string[], options: CaptureCliOptions): Promise<number> {
  if (options.recorded) return captureRecorded(words, options);
  if (options.from !== undefined || options.to !== undefined)
    throw new CaptureTargetError('--from and --to go with --recorded');
  if (options.simulate === undefined) return captureLive(words, options);
  return captureSimulated(options.simulate, words, options);
}

function captureLive(words: readonly string[], options: CaptureCliOptions): Promise<number> {
  const named = options.lab === undefined ? null : new LabHome(options.lab);
  if (named !== null && !named.isRunning() && existsSync(named.recordingFolder))
    throw new LabHomeError(
      `lab ${named.name} is down; what it recorded is had with: reroute capture --recorded`,
    );
  return withLab(options.lab, async (lab, home) => {
    const compiled = home.compiled();
    const bus = home.status()?.bus ?? { url: '', token: '' };
    // A connection of its own: a capture that does not keep up holds up nothing else.
    const nc = await connectBus({ ...bus, name: 'capture', echo: 'on' });
    const observe = busWires(nc, compiled, () => lab.now());
    const settle = () => settleWires(nc);
    const os = `${type()} ${release()} ${arch()}, Node.js ${process.version}`;
    try {
      return await run(words, options, { lab, compiled, observe, settle, os }, async (session, opened) => {
        await session.openDevices();
        await nc.flush();
        await opened();
        const timers = [setInterval(() => home.isRunning() || session.end(), ALIVE_CHECK)];
        if (options.for !== undefined) timers.push(setTimeout(() => session.end(), options.for));
        try {
          if (options.exec.length > 0) {
            await execAll(lab, options.exec, session.ended);
            if (options.for === undefined) timers.push(setTimeout(() => session.end(), AFTERGLOW));
          }
          await aborted(session.ended);
        } finally {
          for (const timer of timers) clearTimeout(timer);
        }
      });
    } finally {
      await nc.close();
    }
  });
}

/** Captures from the boot on: to the convergence and the end of the commands, or for a time on the virtual clock. */
async function captureSimulated(
  file: string,
  words: readonly string[],
  options: CaptureCliOptions,
): Promise<number> {
  const compiled = await loadLab(file);
  const lab = new SimLab(compiled);
  const os = `reroute simulator, seed ${compiled.seed}; time counts from the lab's start`;
  return run(
    words,
    options,
    { lab, compiled, observe: simWires(lab), settle: async () => {}, os },
    async (session, opened) => {
      await opened();
      await lab.start();
      session.awaitDevices();
      if (options.exec.length > 0 || options.for === undefined) {
        const { converged, reasons } = await awaitUp(lab, 0, CONVERGE_WITHIN, () => {});
        if (!converged) say(`the lab has not converged: ${reasons.slice(0, 3).join('; ')}`);
      }
      await execAll(lab, options.exec, session.ended);
      const end = Math.max(options.for ?? 0, options.exec.length > 0 ? lab.now() + AFTERGLOW : 0);
      while (lab.now() < end && !session.ended.aborted) await lab.sleep(Math.min(STEP, end - lab.now()));
    },
  );
}

/** Begins a capture, ends it on Ctrl-C, when its reader has gone and when `during` is over, and tells what came of it. */
async function run(
  words: readonly string[],
  options: CaptureCliOptions,
  scene: Scene,
  during: (session: CaptureSession, opened: () => Promise<void>) => Promise<void>,
): Promise<number> {
  const { lab, compiled, observe, settle, os } = scene;
  const targets = parseTargets(compiled, words);
  const sink = new StreamSink(options.write, options.simulate === undefined ? 'drop' : 'keep');
  const session = new CaptureSession({
    lab,
    compiled,
    observe,
    settle,
    sink,
    targets,
    section: {
      hardware: 'emulated',
      os,
      application: 'reroute capture',
      comment: `lab ${compiled.name}`,
    },
    filter: await withPodAddresses(lab, options.filter),
    snapLength: options.snapLength,
    limit: options.count ?? Number.POSITIVE_INFINITY,
    comment: causeComment(compiled, options),
    warn: say,
  });
  const end = () => session.end();
  sink.onClosed = end;
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  let opened = false;
  try {
    await during(session, async () => {
      await sink.open();
      opened = true;
      const where = options.write === '-' ? 'standard output' : options.write;
      say(`capturing ${shortList(targets.map(targetName))} to ${where}`);
    });
  } finally {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
    const counts = await session.finish();
    if (opened) report(counts);
    await sink.close();
  }
  return session.neverFound ? PLAIN : 0;
}

/** Runs command lines one after the other, their output to standard error. */
async function execAll(lab: RunningLab, lines: readonly string[], signal: AbortSignal): Promise<void> {
  for (const line of lines) {
    if (signal.aborted) return;
    const [place = '', ...words] = line
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '--');
    const { node, pod } = await resolveTarget(lab, place);
    const argv = await withAddresses(lab, words);
    const reply = await lab.command(
      node,
      { type: 'exec', pod, argv },
      {
        signal,
        onReply: (part) => {
          if (part.type === 'stdout' || part.type === 'stderr') process.stderr.write(part.text);
        },
      },
    );
    if (reply.type === 'error') say(`${line}: ${reply.message}`);
    else if (reply.type === 'exit' && reply.code !== 0) say(`${line}: exit status ${reply.code}`);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
