import test from 'ava';
import type { KernelEvent } from '../../../nodes/events/kernel.ts';
import { NetemQdisc } from '../../../nodes/kernel/netem.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { changeNetem, type NetemChanges, PLAIN_NETEM } from '../../../protocols/netem/parameters.ts';
import { Network } from '../../support/network.ts';
import { FakeWorld } from '../../support/runtime.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

function qdisc(changes: NetemChanges) {
  const world = new FakeWorld();
  const rt = world.runtime(1, 1);
  const sent: {
    readonly at: number;
    readonly id: number;
    readonly cause: number;
    readonly bytes: Uint8Array;
  }[] = [];
  const queue = new NetemQdisc(rt, changeNetem(PLAIN_NETEM, changes), (frame) =>
    sent.push({ at: rt.now, id: frame[0]!, cause: rt.cause, bytes: frame }),
  );
  const start = rt.now;
  const send = (id: number, length = 125) => {
    const frame = new Uint8Array(length);
    frame[0] = id;
    return queue.enqueue(frame);
  };
  const times = () => sent.map(({ at }) => at - start);
  return { world, rt, queue, sent, send, times };
}

test('a delay holds each frame for its time, under the cause that sent it', (t) => {
  const { world, rt, sent, send, times } = qdisc({ delay: 10 });
  rt.cause = 7;
  send(1);
  world.advance(4);
  rt.cause = 8;
  send(2);
  world.advance(100);
  t.deepEqual(times(), [10, 14]);
  t.deepEqual(
    sent.map(({ cause }) => cause),
    [7, 8],
  );
});

test('a rate sends one frame after the other, each for the time that its bits take', (t) => {
  // 125 bytes are 1000 bit: 1 ms at 1 Mbit/s.
  const { world, send, times } = qdisc({ rate: 1_000_000 });
  for (const id of [1, 2, 3]) send(id);
  world.advance(100);
  t.deepEqual(times(), [1, 2, 3]);
});

test('a rate with a delay: the time that a frame waits for those before it counts as delay', (t) => {
  const { world, send, times } = qdisc({ rate: 1_000_000, delay: 5 });
  for (const id of [1, 2, 3]) send(id);
  world.advance(100);
  t.deepEqual(times(), [6, 7, 8]);
});

test('more than the limit is dropped, and counted', (t) => {
  const { world, queue, send, times } = qdisc({ delay: 10, limit: 2 });
  t.deepEqual(
    [1, 2, 3].map((id) => send(id)),
    [true, true, false],
  );
  t.is(queue.statistics.queued, 2);
  world.advance(100);
  t.deepEqual(times(), [10, 10]);
  t.deepEqual(queue.statistics, { bytes: 250, packets: 2, dropped: 1, queued: 0, backlog: 0 });
});

test('jitter reorders, and a rate keeps the order', (t) => {
  const order = (changes: NetemChanges) => {
    const { world, sent, send } = qdisc(changes);
    for (let id = 0; id < 100; id++) {
      send(id);
      world.advance(1);
    }
    world.advance(1000);
    return sent.map(({ id }) => id);
  };
  const ids = Array.from({ length: 100 }, (_, id) => id);
  t.notDeepEqual(order({ delay: 50, jitter: 40 }), ids);
  t.deepEqual(
    order({ delay: 50, jitter: 40 }).toSorted((a, b) => a - b),
    ids,
  );
  t.deepEqual(order({ delay: 50, jitter: 40, rate: 10_000_000 }), ids);
});

test('reorder with a gap: every third frame goes at once', (t) => {
  const { world, sent, send } = qdisc({ delay: 10, reorder: 1, gap: 3 });
  for (let id = 1; id <= 6; id++) send(id);
  world.advance(100);
  t.deepEqual(
    sent.map(({ id }) => id),
    [3, 6, 1, 2, 4, 5],
  );
});

test('what is doubled comes twice, what is spoilt differs in one bit', (t) => {
  const doubled = qdisc({ duplicate: 1 });
  doubled.send(1);
  t.is(doubled.sent.length, 2);
  const spoilt = qdisc({ corrupt: 1 });
  spoilt.queue.enqueue(new Uint8Array(100));
  const bits = [...spoilt.sent[0]!.bytes].reduce(
    (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
    0,
  );
  t.is(bits, 1);
});

test('a change holds for what comes after it', (t) => {
  const { world, queue, send, times } = qdisc({ delay: 10 });
  send(1);
  queue.change(changeNetem(queue.parameters, { delay: 2 }));
  send(2);
  world.advance(100);
  t.deepEqual(times(), [2, 10]);
});

function pair() {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.latency = 0;
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  const ping = (ms: number) => {
    const rtts: number[] = [];
    const sent = a.rt.now;
    const socket = a.kernel.root.openIcmp({ onReply: () => rtts.push(a.rt.now - sent), onError: () => {} });
    socket.sendEcho(ip('10.0.0.2'), { id: 1, seq: 1, size: 8 });
    net.advance(ms);
    socket.close();
    return rtts;
  };
  return { net, a, b, ping };
}

test('a device with netem delays what it sends, and not what it receives', (t) => {
  const { a, ping } = pair();
  ping(100);
  a.kernel.root.impairments.setNetem('eth0', changeNetem(PLAIN_NETEM, { delay: 30 }));
  t.deepEqual(ping(100), [30]);
  t.true(a.kernel.root.impairments.removeNetem('eth0'));
  t.deepEqual(ping(100), [0]);
  t.false(a.kernel.root.impairments.removeNetem('eth0'));
});

test('who captures sees a frame when it leaves the queue', (t) => {
  const { net, a, ping } = pair();
  ping(100);
  a.kernel.root.impairments.setNetem('eth0', changeNetem(PLAIN_NETEM, { delay: 30 }));
  const seen: number[] = [];
  const began = a.rt.now;
  a.kernel.root
    .device('eth0')!
    .addTap({ seen: (direction) => direction === 'out' && seen.push(a.rt.now - began) });
  ping(100);
  t.deepEqual(seen, [30]);
  t.true(net.frames.length > 0);
});

test('a device that goes down loses what waits', (t) => {
  const { net, a, ping } = pair();
  ping(100);
  a.kernel.root.impairments.setNetem('eth0', changeNetem(PLAIN_NETEM, { delay: 30 }));
  const before = net.frames.length;
  a.kernel.root
    .openIcmp({ onReply: () => {}, onError: () => {} })
    .sendEcho(ip('10.0.0.2'), { id: 1, seq: 1, size: 8 });
  a.kernel.root.setDown('eth0');
  net.advance(100);
  t.is(net.frames.length, before);
});

for (const [cut, outgoing] of [
  ['out', 0],
  ['in', 1],
  ['both', 0],
] as const) {
  test(`a wire cut ${cut} carries nothing that way, with the carrier there`, (t) => {
    const { net, a, b, ping } = pair();
    ping(100);
    const before = b.kernel.root.neighbors().length;
    a.kernel.root.impairments.setCut('eth0', cut);
    const frames = net.frames.length;
    t.deepEqual(ping(100), []);
    t.is(net.frames.slice(frames).filter(({ frame }) => frame[23] === 1 && frame[34] === 8).length, outgoing);
    t.true(a.kernel.root.device('eth0')!.carrier);
    t.is(b.kernel.root.neighbors().length, before);
    a.kernel.root.impairments.setCut('eth0', 'none');
    t.is(ping(100).length, 1);
  });
}

test('the fold of the events is what is wrong now', (t) => {
  const { a } = pair();
  const { impairments } = a.kernel.root;
  const check = () => {
    const fold = new KernelFold();
    for (const event of a.rt.events) fold.apply(event as KernelEvent);
    t.deepEqual(fold.view(), a.kernel.snapshot());
  };
  impairments.setNetem('eth0', changeNetem(PLAIN_NETEM, { delay: 3 }));
  impairments.setNetem('eth0', changeNetem(PLAIN_NETEM, { delay: 3, rate: 8000 }));
  impairments.setNetem('lo', changeNetem(PLAIN_NETEM, { delay: 1 }));
  impairments.setCut('eth0', 'in');
  check();
  t.is(a.kernel.snapshot().qdiscs['']?.length, 2);
  impairments.removeNetem('lo');
  impairments.setCut('eth0', 'none');
  check();
  impairments.setCut('eth0', 'out');
  a.kernel.root.removeDevice('eth0');
  check();
  t.deepEqual(a.kernel.snapshot().cuts[''], []);
});
