import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Daemon, RunningDaemon } from './daemons/daemon.ts';
import { Child, consumption, freePort } from './process.ts';
import { Received } from './receiver.ts';
import type { Scenario } from './scenario.ts';
import { type Endpoint, Session } from './session.ts';
import { injectorAt, probe, RECEIVER, TARGET, type Workload } from './workload.ts';

/** Times in ms from the first byte of an UPDATE on. */
export interface Outcome {
  /** All paths are in the target's table, by its own count. */
  readonly tableTime: number;
  /** Every prefix is at the receiver by its best path. */
  readonly sentTime: number;
  readonly paths: number;
  readonly prefixesRight: number;
  /** UPDATEs and prefixes that the receiver got, repetitions counted. */
  readonly receivedUpdates: number;
  readonly receivedPrefixes: number;
  /** Bytes that went back to all the injectors together, each of which is told what others have announced better. */
  readonly bytesBack: number;
  /** bytes */
  readonly peakRss: number;
  /** Processor time of the target from the first UPDATE until all was sent on, s. */
  readonly cpu: number;
  /** Processors, on average, that went to processes which are not the bench's. */
  readonly foreign: number;
  /** ms from the write of an UPDATE to its arrival at the receiver, one for each probe, in the order of probing. */
  readonly latencies: readonly number[];
}

export interface Stage {
  readonly scenario: Scenario;
  readonly workload: Workload;
  /** Folder for what the run writes. */
  readonly folder: string;
  readonly build: string;
  readonly nodeOptions: readonly string[];
}

const TIMEOUT = 300_000;
/** Nothing more may come for so long after all is right. */
const QUIET = 500;
const POLL = 20;
const PROBE_TIMEOUT = 10_000;
const PROBING_TIMEOUT = 120_000;
/** Between an arrival and the next probe: the target is to be idle. */
const PROBE_GAP = 2;

export class MeasureError extends Error {
  override readonly name = 'MeasureError';
}

/** Starts a daemon, lets the scenario pass through it, ends it. @throws MeasureError */
export async function measure(daemon: Daemon, stage: Stage): Promise<Outcome> {
  const { folder, build, nodeOptions, scenario } = stage;
  mkdirSync(folder, { recursive: true });
  const target = { address: TARGET.address, port: await freePort(TARGET.address) };
  const running = await daemon.start({
    folder,
    port: target.port,
    injectors: scenario.injectors,
    build,
    nodeOptions,
  });
  try {
    return await pass(daemon, running, target, stage);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MeasureError(`${daemon.name}, ${scenario.name}: ${reason}\n${running.child.lastWords}`.trim());
  } finally {
    await running.stop();
  }
}

async function pass(
  daemon: Daemon,
  running: RunningDaemon,
  target: Endpoint,
  stage: Stage,
): Promise<Outcome> {
  const { scenario, workload } = stage;
  const received = new Received(workload.best);
  const receiver = await Session.establish({
    localAddress: RECEIVER.address,
    asn: RECEIVER.asn,
    identifier: RECEIVER.identifier,
    target,
    update: (bytes, at, end) => received.update(bytes, at, end),
  });
  const injectors = await establishInjectors(scenario.injectors, target);
  const sessions = [receiver, ...injectors];
  try {
    await pause(scenario.settle);
    const before = consumption();
    const cpuBefore = running.child.usage.cpu;
    const started = performance.now();
    for (const [i, session] of injectors.entries()) session.write(workload.feeds[i]!.bytes);
    const expected = scenario.injectors * scenario.prefixes;
    const failed = () => {
      const lost = sessions.find(({ error }) => error !== null);
      if (lost?.error) throw lost.error;
      if (performance.now() > started + TIMEOUT) {
        throw new MeasureError(
          `only ${received.right} of ${workload.best.size} prefixes have arrived in time`,
        );
      }
    };
    const tableAt = await pollTable(running, { daemon, expected, received, failed });
    while (received.rightAt === Number.POSITIVE_INFINITY || performance.now() < received.lastAt + QUIET) {
      failed();
      await pause(POLL);
    }
    const measuredAt = performance.now();
    const after = consumption();
    const sentAt = received.rightAt;
    const { updates } = receiver;
    const { prefixes, right } = received;
    const paths = await running.paths();
    const { peakRss, cpu } = running.child.usage;
    if (received.unknown > 0)
      throw new MeasureError(`${received.unknown} prefixes came that nobody announced`);
    const latencies = await probeAll(scenario.probes, injectors[0]!, received);
    return {
      // What one injector has sent is in the table for sure when the receiver has it.
      tableTime: (scenario.injectors === 1 ? Math.min(tableAt, sentAt) : tableAt) - started,
      sentTime: sentAt - started,
      paths,
      prefixesRight: right,
      receivedUpdates: updates,
      receivedPrefixes: prefixes,
      bytesBack: injectors.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
      peakRss,
      cpu: cpu - cpuBefore,
      foreign: (after.all - before.all - (after.own - before.own)) / ((measuredAt - started) / 1000),
      latencies,
    };
  } finally {
    for (const session of sessions) session.close();
  }
}

interface Polling {
  readonly daemon: Daemon;
  readonly expected: number;
  readonly received: Received;
  readonly failed: () => void;
}

/**
 * When the target has counted all paths in its table. One that goes through its table to count is asked so rarely that it spends at
 * most a twentieth of its time on that, and again when the receiver has all.
 */
async function pollTable(
  running: RunningDaemon,
  { daemon, expected, received, failed }: Polling,
): Promise<number> {
  for (;;) {
    failed();
    const asked = performance.now();
    const paths = await running.paths();
    const now = performance.now();
    if (paths === expected) return now;
    if (paths > expected) throw new MeasureError(`${paths} paths in the table where ${expected} were sent`);
    const complete = new Promise<void>((resolve) => {
      received.complete = resolve;
    });
    const interval = daemon.counting === 'walk' ? Math.max(POLL, 20 * (now - asked)) : POLL;
    await Promise.race([pause(interval), complete]);
  }
}

async function probeAll(count: number, injector: Session, received: Received): Promise<number[]> {
  const latencies: number[] = [];
  const deadline = performance.now() + PROBING_TIMEOUT;
  for (let i = 0; i < count && performance.now() < deadline; i++) {
    await pause(PROBE_GAP);
    const { key, bytes } = probe(i);
    const arrived = new Promise<number>((resolve) => {
      received.awaited = { key, come: () => resolve(performance.now()) };
    });
    const sent = performance.now();
    injector.write(bytes);
    const late = pause(PROBE_TIMEOUT, null, { ref: false });
    const at = await Promise.race([arrived, late]);
    if (at === null) throw new MeasureError(`probe ${i} has not arrived in ${PROBE_TIMEOUT} ms`);
    latencies.push(at - sent);
  }
  return latencies;
}

function establishInjectors(count: number, target: Endpoint): Promise<Session[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => {
      const { address, asn, identifier } = injectorAt(i);
      return Session.establish({ localAddress: address, asn, identifier, target });
    }),
  );
}

/** Time that the injectors need for all into a process that only reads, ms. */
export async function measureSink({ scenario, workload, folder, build }: Stage): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const target = { address: TARGET.address, port: await freePort(TARGET.address) };
  const args = [join(build, 'sink.cjs'), String(target.port), String(workload.updates)];
  const sink = new Child(process.execPath, args, { folder, channel: 'ipc' });
  await sink.next();
  const sessions = await establishInjectors(scenario.injectors, target);
  try {
    const all = sink.next();
    const started = performance.now();
    for (const [i, session] of sessions.entries()) session.write(workload.feeds[i]!.bytes);
    await all;
    return performance.now() - started;
  } finally {
    for (const session of sessions) session.close();
    await sink.stop();
  }
}
