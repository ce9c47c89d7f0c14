import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { simWires } from '../../../orchestrator/capture/observe.ts';
import { FolderFiles, MemoryFiles, readRecording } from '../../../orchestrator/capture/recording/files.ts';
import {
  decodeEntries,
  encodeEntry,
  type RecordingEntry,
} from '../../../orchestrator/capture/recording/format.ts';
import { LabRecorder } from '../../../orchestrator/capture/recording/lab-recorder.ts';
import { type ReplayOptions, replay } from '../../../orchestrator/capture/recording/replay.ts';
import { RecordingWriter } from '../../../orchestrator/capture/recording/writer.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { waitConverged } from '../../../orchestrator/observe/quiescence.ts';
import { recordSimulation } from '../../../orchestrator/simulate/recording.ts';
import { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { addressOf, run } from '../../support/lab.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { readCapture } from '../../support/pcapng.ts';
import { MemorySink, SECTION, simulateCapture } from './simulated.ts';

const LAB = `
name: recorded
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
segments:
  lan: { subnet: 192.168.0.0/24, rangeStart: 192.168.0.11, nodes: all }
cluster: { cni: flannel, backend: udp, podCIDR: 10.244.0.0/16, pods: 1 }
`;
const TARGETS = ['lan', 'n1:flannel0', 'web-n1-1:eth0'];
const RECORD = `record: { frames: [lan, "n1:flannel0", "web-n1-1:eth0"] }\n`;

/** What ping says of two pings between pods. */
async function ping(lab: SimLab): Promise<string> {
  return (await run(lab, 'web-n1-1', `ping -n -c 2 ${await addressOf(lab, 'web-n2-1')}`)).output;
}

async function pingPods(lab: SimLab): Promise<void> {
  await ping(lab);
}

async function record(yaml: string, during: (lab: SimLab) => Promise<void> = pingPods) {
  const compiled = compileLab(yaml, 'sim.yaml');
  const lab = new SimLab(compiled);
  const files = new MemoryFiles();
  const config = compiled.record!;
  const recorder = new LabRecorder({
    lab,
    compiled,
    config,
    observe: simWires(lab),
    files,
    settle: async () => {},
  });
  await lab.start();
  recorder.followDevices();
  const since = { at: 0, reports: [] };
  await waitConverged(lab, { within: 60_000, since, sessions: 'established' });
  await during(lab);
  await recorder.endDevices();
  await recorder.end();
  return { compiled, files, lab };
}

async function replayed(
  { compiled, files }: Pick<Awaited<ReturnType<typeof record>>, 'compiled' | 'files'>,
  words: readonly string[] = [],
  options: Partial<ReplayOptions> = {},
) {
  const sink = new MemorySink();
  const { counts, head } = await replay(files.entries(), {
    compiled,
    sink,
    section: SECTION,
    words,
    filter: '',
    snapLength: 262_144,
    limit: Number.POSITIVE_INFINITY,
    comment: () => '',
    from: Number.NEGATIVE_INFINITY,
    to: Number.POSITIVE_INFINITY,
    begin: async () => {},
    room: async () => {},
    ...options,
  });
  return { ...readCapture(sink.bytes), counts, head };
}

for (const filter of ['', 'icmp', 'not udp'])
  test(`what was recorded is what a capture would have written, '${filter}'`, async (t) => {
    const live = readCapture((await simulateCapture(LAB, TARGETS, pingPods, { filter })).bytes);
    const after = await replayed(await record(LAB + RECORD), TARGETS, { filter });
    t.true(live.packets.length >= 8);
    t.deepEqual(after.interfaces, live.interfaces);
    t.deepEqual(after.packets, live.packets);
    for (const [name, [, accepted]] of live.statistics) t.is(after.statistics.get(name)?.[1], accepted, name);
  });

test('a port is shown of the recording of its link, with its direction', async (t) => {
  const live = await simulateCapture(LAB, ['n1:eth0'], pingPods);
  const recorded = await record(`${LAB}record: frames\n`);
  t.deepEqual((await replayed(recorded, ['n1:eth0'])).packets, readCapture(live.bytes).packets);
  t.deepEqual(
    (await replayed(recorded)).interfaces.map(({ name }) => name),
    ['lan'],
  );
  await t.throwsAsync(replayed(recorded, ['n2:cni0']), {
    message: /n2:cni0 was not recorded; there are lan/,
  });
});

test('of a recording a part can be had: by time, by count', async (t) => {
  const recorded = await record(`${LAB}record: frames\n`);
  const { packets } = await replayed(recorded);
  const ms = packets.map(({ at }) => Number(at) / 1e6);
  const [from, to] = [ms[5]!, ms[20]!];
  const wanted = packets.filter((_, i) => ms[i]! >= from - 1e-6 && ms[i]! <= to + 1e-6);
  t.deepEqual((await replayed(recorded, [], { from: from - 1e-6, to: to + 1e-6 })).packets, wanted);
  t.deepEqual((await replayed(recorded, [], { limit: 3 })).packets, packets.slice(0, 3));
});

test('what would not fit goes, the oldest first, and it is told', async (t) => {
  const compiled = compileLab(LAB, 'sim.yaml');
  const files = new MemoryFiles();
  const options = { targets: ['lan'], segments: ['lan'], limit: 1e6, snapLength: 200, startedAt: 0 };
  const writer = new RecordingWriter(files, options);
  const sender = { node: 1, port: 0, cause: 0 };
  for (let i = 1; i <= 10_000; i++)
    writer.wire('lan', { frame: new Uint8Array(1_000), ...sender, sentAt: i, arrivesAt: i });
  writer.flush();
  const { packets, head } = await replayed({ compiled, files });
  t.is(head.lost.frames + packets.length, 10_000);
  t.true(packets.length > 2_500 && packets.length < 5_000, String(packets.length));
  t.is(Number(packets[0]!.at) / 1e6, head.lost.until + 1);
  t.is(Number(packets.at(-1)!.at) / 1e6, 10_000);
  t.true(packets.every(({ length, data }) => length === 1_000 && data.length === 200));
});

test('a device is recorded again after its node has come back', async (t) => {
  let said = '';
  const recorded = await record(LAB + RECORD, async (lab) => {
    t.regex(await ping(lab), / 2 received/);
    // What a node's socket still holds dies with the node.
    await lab.sleep(100);
    await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
    await lab.sleep(1_000);
    await lab.act({ type: 'start', node: 'n1' });
    await lab.sleep(30_000);
    said = await ping(lab);
  });
  const { packets, interfaces } = await replayed(recorded, ['n1:flannel0'], { filter: 'icmp' });
  t.is(interfaces.length, 1);
  t.is(packets.length, 8, said);
});

test('a file that a killed process has cut off is read as far as it goes; what is none is refused', (t) => {
  const folder = temporaryFolder(t);
  const head: RecordingEntry = {
    type: 'head',
    version: 1,
    startedAt: 5,
    targets: ['lan'],
    segments: ['lan'],
    lost: { frames: 0, until: 0 },
  };
  const wire: RecordingEntry = {
    type: 'wire',
    segment: 'lan',
    node: 1,
    port: 0,
    cause: 7,
    sentAt: 1.5,
    arrivesAt: 2.5,
    length: 3,
    frame: Buffer.from([1, 2, 3]),
  };
  const files = new FolderFiles(folder);
  const bytes = Buffer.concat([encodeEntry(head), encodeEntry(wire), encodeEntry(wire)]);
  files.append(1, bytes);
  t.deepEqual([...readRecording(folder)], [head, wire, wire]);
  const last = encodeEntry(wire).length;
  for (let cut = 1; cut < last; cut++)
    t.deepEqual([...decodeEntries(bytes.subarray(0, bytes.length - cut))], [head, wire]);
  writeFileSync(join(folder, '00000001.frames'), encodeEntry(wire));
  t.throws(() => [...readRecording(folder)], { message: /no recording that this version/ });
  t.throws(() => [...readRecording(join(folder, 'none'))], { message: /has to say `record: frames`/ });
});

test('a simulated run leaves its recording in a folder', async (t) => {
  const compiled = compileLab(LAB + RECORD, 'sim.yaml');
  const lab = new SimLab(compiled);
  const recording = recordSimulation(lab, compiled);
  await lab.start();
  recording?.followDevices();
  await waitConverged(lab, { within: 60_000, since: { at: 0, reports: [] }, sessions: 'established' });
  await pingPods(lab);
  const folder = join(temporaryFolder(t), 'frames');
  await recording?.save(folder);
  const { files } = await record(LAB + RECORD);
  t.deepEqual([...readRecording(folder)], [...files.entries()]);
  t.is(recordSimulation(lab, compileLab(LAB, 'sim.yaml')), null);
});

test('record takes links, ports and devices, and says what is wrong', (t) => {
  const config = (text: string) => compileLab(`${LAB}record: ${text}\n`, 'lab.yaml').record;
  t.is(compileLab(LAB, 'lab.yaml').record, undefined);
  t.deepEqual(config('frames'), { targets: ['lan'], limit: 256e6, snapLength: 262_144 });
  t.deepEqual(config('{ frames: ["n1:eth0", "n1:cni0"], limit: 2MiB, snapLength: 96 }'), {
    targets: ['n1:eth0', 'n1:cni0'],
    limit: 2_097_152,
    snapLength: 96,
  });
  t.throws(() => config('{ frames: [wan] }'), { message: /record\.frames\[0\]: there is no link wan/ });
  t.throws(() => config('{ limit: 5 }'), { message: /record\.limit: '5' is no size; write it like 256MB/ });
  t.throws(() => config('{ limit: 10KB }'), { message: /too little/ });
});
