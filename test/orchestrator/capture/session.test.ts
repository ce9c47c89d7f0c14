import test from 'ava';
import { type RecordedFrame, Recorder } from '../../../orchestrator/capture/recorder.ts';
import { CaptureTargetError, parseTargets, targetName } from '../../../orchestrator/capture/target.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { isGroupMac, readMac } from '../../../protocols/mac.ts';
import { LINKTYPE_ETHERNET } from '../../../protocols/pcapng.ts';
import { addressOf, run } from '../../support/lab.ts';
import { readCapture } from '../../support/pcapng.ts';
import { MemorySink, SECTION, simulateCapture } from './simulated.ts';

const LAB = `
name: capture
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    n3: { kind: node }
segments:
  lan: { subnet: 172.18.18.0/24, nodes: all }
cluster: { cni: calico, calico: { mesh: full }, pods: 1 }
`;

const ROUTERS = `
name: routers
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    r2: { kind: router, bgp: { as: 65002 } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"], delay: 5ms }
`;

test('the same seed gives the same capture, byte for byte', async (t) => {
  const capture = () =>
    simulateCapture(LAB, ['lan', 'n1:lo', 'web-n1-1:eth0'], async (lab) => {
      await run(lab, 'web-n1-1', `ping -n -c 2 ${await addressOf(lab, 'web-n2-1')}`);
    });
  const [one, two] = [await capture(), await capture()];
  t.true(one.counts.delivered > 50);
  t.deepEqual(Buffer.from(one.bytes), Buffer.from(two.bytes));
});

test('a capture leaves the run as it is', async (t) => {
  const logOf = async (targets: readonly string[]) => {
    const { lab } = await simulateCapture(LAB, targets, async (sim) => {
      await run(sim, 'web-n1-1', `ping -n -c 2 ${await addressOf(sim, 'web-n2-1')}`);
    });
    const records: unknown[] = [];
    for await (const record of lab.records('n1')) records.push(record);
    return records;
  };
  t.deepEqual(await logOf(['lan', 'n1:eth0', 'web-n1-1:eth0']), await logOf(['lan']));
});

test('a link has each frame once, its ends have their own, and the statistics tell', async (t) => {
  const ends = ['n1:eth0', 'n2:eth0', 'n3:eth0'];
  const { bytes, counts } = await simulateCapture(LAB, ['lan', ...ends], async () => {});
  const { packets, statistics, interfaces } = readCapture(bytes);
  t.deepEqual(
    interfaces.map(({ name }) => name),
    ['lan', ...ends],
  );
  const on = (name: string) => packets.filter((packet) => packet.interface === name);
  const groups = on('lan').filter(({ data }) => isGroupMac(readMac(data, 0))).length;
  t.true(groups > 0);
  t.true(on('lan').every(({ direction }) => direction === 'none'));
  const count = (direction: string) =>
    ends.flatMap((name) => on(name)).filter((packet) => packet.direction === direction).length;
  t.is(count('out'), on('lan').length);
  // A broadcast comes in at both of the others.
  t.is(count('in'), on('lan').length + groups);
  t.is(counts.delivered, packets.length);
  for (const [name, [received, accepted, dropped, delivered]] of statistics) {
    const all = BigInt(on(name).length);
    t.deepEqual([received, accepted, dropped, delivered], [all, all, 0n, all], name);
  }
  const times = packets.map(({ at }) => at);
  t.deepEqual(
    times,
    times.toSorted((a, b) => Number(a - b)),
  );
});

test('a frame is seen when the delay of its link is over, as netem has it', async (t) => {
  const filter = 'icmp';
  const { bytes } = await simulateCapture(
    ROUTERS,
    ['r1:eth1', 'r2:eth1'],
    async (lab) => {
      const { output } = await run(lab, 'r2', 'ip -4 addr show dev eth1');
      const [, address = ''] = /inet (\S+)\//.exec(output) ?? [];
      t.is((await run(lab, 'r1', `ping -n -c 1 ${address}`)).code, 0);
    },
    { filter },
  );
  const seen = readCapture(bytes).packets;
  t.deepEqual(
    seen.map((packet) => `${packet.interface} ${packet.direction}`),
    ['r1:eth1 out', 'r2:eth1 in', 'r2:eth1 out', 'r1:eth1 in'],
  );
  const times = seen.map(({ at }) => Number(at - seen[0]!.at) / 1e6);
  for (const [i, least] of [0, 0, 5, 5].entries())
    t.true(times[i]! >= least && times[i]! < least + 0.2, times.join());
});

test('the filter holds for wires and devices alike, and the limit for all together', async (t) => {
  const pinged = async (limit: number) =>
    simulateCapture(
      LAB,
      ['lan', 'web-n1-1:eth0'],
      async (lab) => {
        await run(lab, 'web-n1-1', `ping -n -c 3 ${await addressOf(lab, 'web-n2-1')}`);
      },
      { filter: 'icmp', limit },
    );
  const all = await pinged(Number.POSITIVE_INFINITY);
  t.is(all.counts.accepted, 12);
  t.is(all.counts.delivered, 12);
  t.true(all.counts.received > 50);
  t.is(readCapture(all.bytes).packets.length, 12);
  const few = await pinged(5);
  t.is(few.counts.delivered, 5);
  t.is(readCapture(few.bytes).packets.length, 5);
});

test('a capture that is full says so', async (t) => {
  let ended = false;
  await simulateCapture(
    LAB,
    ['lan'],
    async (lab, session) => {
      await lab.sleep(200);
      ended = session.ended.aborted;
    },
    { limit: 3 },
  );
  t.true(ended);
});

test('a device whose node dies ends its capture with a word, and the others go on', async (t) => {
  const { bytes, warnings } = await simulateCapture(LAB, ['lan', 'n2:lo', 'n1:lo'], async (lab) => {
    await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
    await lab.sleep(100);
    await run(lab, 'n1', 'ping -n -c 1 127.0.0.1');
  });
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /^n2:lo: node n2 is not running.*its capture has ended$/);
  t.is(readCapture(bytes).packets.filter((packet) => packet.interface === 'n1:lo').length, 2);
});

test('a device of a pod ends its capture with the pod', async (t) => {
  const { warnings } = await simulateCapture(LAB, ['web-n1-1:eth0'], async (lab) => {
    await lab.act({ type: 'pod.delete', namespace: 'default', name: 'web-n1-1', node: 'n1' });
    await lab.sleep(2_000);
  });
  t.deepEqual(warnings, ['web-n1-1:eth0: the device has gone; its capture has ended']);
});

test('a device that never comes is named at the end', async (t) => {
  const { warnings, neverFound } = await simulateCapture(LAB, ['n1:cni7', 'web-9:eth0'], async () => {});
  t.true(neverFound);
  t.regex(warnings.join('\n'), /n1:cni7: there is no device cni7; there are lo, eth0, cali/);
  t.regex(warnings.join('\n'), /there is no node, pod or node\/container web-9/);
});

test('targets are links, ports and devices, without any all links', (t) => {
  const lab = compileLab(LAB, 'lab.yaml');
  const read = (...words: string[]) =>
    parseTargets(lab, words).map((target) => `${target.type} ${targetName(target)}`);
  t.deepEqual(read(), ['link lan']);
  t.deepEqual(read('n1:eth0', 'n1:cali1', 'default/web-1:eth0', 'n1:eth0'), [
    'port n1:eth0',
    'device n1:cali1',
    'device default/web-1:eth0',
  ]);
  for (const [word, says] of [
    ['lam', /there is no link lam in lab capture; did you mean 'lan'\?/],
    ['n1', /n1 is a node; name one of its devices: n1:eth0, n1:lo/],
    [':eth0', /names no device/],
    ['n1:', /names no device/],
  ] as const)
    t.throws(() => read(word), { instanceOf: CaptureTargetError, message: says });
});

test('frames are written in order of time, once none before them can come', (t) => {
  const sink = new MemorySink();
  const recorder = new Recorder(sink, {
    section: SECTION,
    filter: (frame) => frame[0] !== 9,
    snapLength: 2,
    limit: Number.POSITIVE_INFINITY,
    comment: () => '',
    onFull: () => t.fail(),
  });
  const info = { linkType: LINKTYPE_ETHERNET, description: '', mac: 0, filter: '' };
  const [a, b] = ['a', 'b'].map((name) => recorder.addInterface({ ...info, name }, 0)) as [
    ReturnType<Recorder['addInterface']>,
    ReturnType<Recorder['addInterface']>,
  ];
  const frame = (at: number, order: number, ...bytes: number[]): RecordedFrame => {
    return { at, order, direction: 'none', length: bytes.length, data: Uint8Array.from(bytes), cause: 0 };
  };
  const written = () => readCapture(sink.bytes).packets.map(({ data, length }) => `${data[0]}/${length}`);
  a.offer(frame(30, 1, 3, 3, 3));
  b.offer(frame(20, 2, 2));
  a.offer(frame(20, 1, 1));
  a.offer(frame(10, 1, 9));
  t.deepEqual(written(), []);
  recorder.release(25);
  t.deepEqual(written(), ['1/1', '2/1']);
  b.take(frame(27, 1, 9));
  recorder.finish(40);
  t.deepEqual(written(), ['1/1', '2/1', '9/1', '3/3']);
  t.deepEqual(a.counts.received, 3);
  t.deepEqual(a.counts.accepted, 2);
  t.deepEqual(
    readCapture(sink.bytes).packets.map(({ data }) => data.length),
    [1, 1, 1, 2],
  );
});

test('what a slow reader has no room for is counted as dropped', (t) => {
  let room = 2;
  const sink = new MemorySink(() => room-- > 0);
  const recorder = new Recorder(sink, {
    section: SECTION,
    filter: () => true,
    snapLength: 100,
    limit: Number.POSITIVE_INFINITY,
    comment: () => '',
    onFull: () => t.fail(),
  });
  const info = { linkType: LINKTYPE_ETHERNET, name: 'a', description: '', mac: 0, filter: '' };
  const recorded = recorder.addInterface(info, 0);
  for (const at of [1, 2, 3, 4, 5])
    recorded.offer({ at, order: 0, direction: 'in', length: 1, data: Uint8Array.of(at), cause: 0 });
  recorder.finish(9);
  t.deepEqual(recorder.counts, { received: 5, accepted: 5, dropped: 3, delivered: 2 });
  t.deepEqual(readCapture(sink.bytes).statistics.get('a'), [5n, 5n, 3n, 2n]);
});
