import { rmSync } from 'node:fs';
import test from 'ava';
import { BlockPool } from '../../bus/blocks.ts';
import { decode } from '../../bus/codec.ts';
import { connectBus } from '../../bus/connection.ts';
import { BROADCAST, commandSubject, wirePrefix } from '../../bus/subjects.ts';
import { observeSegment, WirePort } from '../../bus/wire.ts';
import type { CommandEnvelope } from '../../nodes/commands.ts';
import { eventSeq } from '../../nodes/events/record.ts';
import { LabHome } from '../../orchestrator/home.ts';
import { parseMac } from '../../protocols/mac.ts';
import { converge, launch, pings, reportOf, run, until, verifies } from '../support/lab.ts';
import { startServer } from '../support/nats.ts';

/** No session waits long to be tried anew, and none ends because a busy machine is silent for a while. */
const TIMERS = 'timers: { bgp: { connectRetry: 300ms, idleHold: 300ms, idleHoldMax: 1s } }';

function mesh(name: string): string {
  return `
name: ${name}
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
segments:
  lan: { subnet: 172.18.18.0/24, rangeStart: 172.18.18.101, nodes: all }
cluster:
  cni: calico
  calico: { mesh: full, gracefulRestart: false }
  pods: 1
${TIMERS}`;
}

test('NATS killed and started again in the middle of a run: no event is lost, the lab heals', async (t) => {
  const { lab, supervisor } = await launch(t, mesh('scn-nats'));
  await pings(t, lab, 'web-n1-1', 'web-n2-1');
  await supervisor.server!.kill();
  await supervisor.server!.start();
  await until(lab, 'n1 answers', () =>
    run(lab, 'n1', 'ip link').then(
      (ran) => ran.code === 0,
      () => false,
    ),
  );
  await lab.act({
    type: 'pod.create',
    namespace: 'default',
    name: 'late',
    node: 'n2',
    labels: { app: 'late' },
  });
  await converge(t, lab);
  await until(lab, 'the session is up', async () =>
    (await reportOf(lab, 'n1')).sessions.every((s) => s.established),
  );
  await converge(t, lab);
  await pings(t, lab, 'web-n1-1', 'late');
  for (const node of ['n1', 'n2']) {
    let last = 0;
    for await (const record of lab.records(node)) {
      t.is(eventSeq(record.id), last + 1, `${node}: a gap in the log`);
      last = eventSeq(record.id);
    }
    t.true(last > 20);
  }
  await verifies(t, lab);
});

test('two labs with the same nodes, segments and addresses on one server do not meet', async (t) => {
  const server = await startServer(t);
  const bus = { type: 'given', url: server.url, token: server.token } as const;
  const [{ lab: left }, { lab: right }] = await Promise.all([
    launch(t, mesh('scn-left'), bus),
    launch(t, mesh('scn-right'), bus),
  ]);
  const before = await reportOf(right, 'n1');
  await left.act({ type: 'kill', node: 'n2', how: 'reset' });
  await left.act({ type: 'pod.create', namespace: 'default', name: 'only-left', node: 'n1', labels: {} });
  await converge(t, left);
  await converge(t, right);
  const after = await reportOf(right, 'n1');
  t.is(after.fibChanges, before.fibChanges);
  t.is(after.podsRunning, before.podsRunning);
  t.true(after.sessions.every((session) => session.established));
  t.is((await right.list('pods.>')).length, 2);
  t.is((await left.list('pods.>')).length, 3);
  await pings(t, right, 'web-n1-1', 'web-n2-1');
  await verifies(t, left);
  await verifies(t, right);
});

test('truncated and random frames are counted and dropped, and harm nothing', async (t) => {
  const { lab, compiled } = await launch(t, mesh('scn-garbage'));
  const target = compiled.nodes.find((node) => node.name === 'n1')!.interfaces[0]!;
  const status = new LabHome('scn-garbage').status()!;
  const nc = await connectBus({ ...status.bus, name: 'vandal', echo: 'on' });
  t.teardown(() => nc.close());
  const mac = parseMac(target.mac)!;
  const port = new WirePort(
    nc,
    new BlockPool(nc),
    { lab: 'scn-garbage', segment: target.segment, mac: 0x02_00_00_00_00_99, node: 99, port: 0 },
    () => {},
  );
  const total = async () =>
    Object.values((await reportOf(lab, 'n1')).dropped).reduce((sum, count) => sum + count, 0);
  const before = await total();

  const template = ipv4Frame(mac);
  for (let length = 6; length < template.length; length++) port.send(template.slice(0, length), 0, 0);
  let state = 1;
  for (let i = 0; i < 500; i++) {
    const frame = template.slice(0, 6 + (i % 60));
    for (let j = 6; j < frame.length; j++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      frame[j] = state >>> 24;
    }
    port.send(frame, 0, 0);
  }
  port.flush();
  const sent = template.length - 6 + 500;
  // What is not even a frame in an envelope.
  for (const bytes of [new Uint8Array(0), new Uint8Array(3), new Uint8Array(24).fill(9)]) {
    nc.publish(`${wirePrefix('scn-garbage', target.segment)}${BROADCAST}`, bytes);
  }
  await nc.flush();
  await until(lab, 'all are counted', async () => (await total()) >= before + sent + 3);
  await pings(t, lab, 'web-n2-1', 'web-n1-1');
  t.true((await reportOf(lab, 'n1')).sessions.every((session) => session.established));
  await verifies(t, lab);
});

test('a lab goes down when its bus is dead and its folder deleted', async (t) => {
  const { supervisor } = await launch(t, mesh('scn-orphan'));
  await supervisor.server!.kill();
  rmSync(new LabHome('scn-orphan').folder, { recursive: true });
  await supervisor.down();
  t.false(supervisor.nodes().some(({ pid }) => pid !== 0));
});

test('what a node that is killed has sent is on its way before it answers: then its process dies', async (t) => {
  const { lab, compiled } = await launch(t, mesh('scn-last-words'));
  const { number, interfaces } = compiled.nodes.find((node) => node.name === 'n2')!;
  const nc = await connectBus({
    ...new LabHome('scn-last-words').status()!.bus,
    name: 'witness',
    echo: 'on',
  });
  t.teardown(() => nc.close());
  const seen: string[] = [];
  let answer = '';
  observeSegment(nc, { lab: 'scn-last-words', segment: interfaces[0]!.segment }, ({ node }) => {
    if (node === number) seen.push('frame');
  });
  nc.subscribe(commandSubject('scn-last-words', 'n2'), {
    callback: (_error, { reply = '', data }) => {
      if ((decode(data) as CommandEnvelope).command?.type !== 'crash') return;
      answer = reply;
      seen.length = 0;
    },
  });
  nc.subscribe('_INBOX.>', {
    callback: (_error, { subject }) => {
      if (subject === answer) seen.push('answer');
    },
  });
  await nc.flush();
  await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
  await converge(t, lab);
  await nc.flush();
  t.true(seen.includes('frame'), 'it has reset its session');
  t.is(seen.at(-1), 'answer');
});

/** A frame to a MAC with the start of an IPv4 header whose checksum is wrong. */
function ipv4Frame(mac: number): Uint8Array {
  const frame = new Uint8Array(60);
  new DataView(frame.buffer).setUint16(0, Math.floor(mac / 2 ** 32));
  new DataView(frame.buffer).setUint32(2, mac >>> 0);
  frame.set([2, 0, 0, 0, 0, 0x99, 0x08, 0x00, 0x45, 0, 0, 46], 6);
  return frame;
}
