import test from 'ava';
import { ACK } from '../../../protocols/tcp/segment.ts';
import { bytes, type End, Net } from './harness.ts';

const MIB = 1024 * 1024;

/** Keeps the send buffer as full as it may be, until so many bytes are in it. */
function stream(net: Net, end: End, total: number): void {
  let left = total;
  const fill = () => {
    while (left > 0) {
      const taken = end.tcp.send(new Uint8Array(Math.min(left, 131_072)), net.now, 0);
      left -= taken;
      if (taken === 0) return;
    }
  };
  end.onWritable = fill;
  fill();
}

function payloads(end: End): number[] {
  return end.sent.map(({ segment }) => segment.payload.length).filter((length) => length > 0);
}

test('who waits for room is woken once a third of the send buffer is free, and not before', (t) => {
  const net = new Net({ a: { mss: 100, sendLimit: 900 } }).open();
  const rooms: number[] = [];
  net.a.onWritable = () => rooms.push(900 - net.a.tcp.unacked - net.a.tcp.queued);
  t.is(net.a.tcp.send(bytes(1_000), net.now, 0), 900);
  net.advance(1_000);
  t.deepEqual(rooms, [400]);
  // Who was never refused does not wait.
  t.is(net.a.tcp.send(bytes(900), net.now, 0), 900);
  net.advance(1_000);
  t.deepEqual([rooms.length, net.a.drains, net.b.received.length], [1, 2, 1_800]);
});

test('who is refused once more is woken once more', (t) => {
  const net = new Net({ a: { sendLimit: 10_000 } }).open();
  stream(net, net.a, 55_000);
  net.advance(5_000);
  t.is(net.b.received.length, 55_000);
});

test('who aborts when woken hears nothing more', (t) => {
  const net = new Net({ a: { mss: 100, sendLimit: 100 } }).open();
  net.a.onWritable = () => net.a.tcp.abort(0);
  net.a.tcp.send(bytes(200), net.now, 0);
  net.advance(1_000);
  t.deepEqual([net.a.closings, net.a.drains], [['aborted'], 0]);
});

for (const mss of [1_460, 1_440])
  test(`a stream in segments of ${mss} bytes never pauses for an acknowledgment that is delayed`, (t) => {
    const net = new Net({ a: { mss, sendLimit: MIB }, b: { mss } }).open();
    net.fate = () => [1];
    net.b.data = () => {};
    stream(net, net.a, 4 * MIB);
    net.advance(2_000);
    t.is(net.a.tcp.unacked + net.a.tcp.queued, 0);
    const times = net.a.sent.filter(({ segment }) => segment.payload.length > 0).map(({ at }) => at);
    t.true(Math.max(...times.slice(2).map((at, i) => at - times[i + 1]!)) <= 2);
    // No segment fills the end of a window.
    t.deepEqual(payloads(net.a), [...new Array(Math.floor((4 * MIB) / mss)).fill(mss), (4 * MIB) % mss]);
  });

test('a segment that is not full goes out where it is all there is, or nothing is on its way', (t) => {
  const net = new Net({ a: { mss: 1_000 }, b: { mss: 1_000 } }).open();
  const heard = (window: number) =>
    net.inject(net.a, {
      seq: 9_001,
      ack: 1_001 + payloads(net.a).reduce((a, b) => a + b, 0),
      flags: ACK,
      window,
    });
  net.fate = () => [];
  heard(2_400);
  net.a.tcp.send(bytes(1_300), net.now, 0);
  t.deepEqual(payloads(net.a), [1_000, 300]);
  net.a.tcp.send(bytes(5_000), net.now, 0);
  t.deepEqual(payloads(net.a), [1_000, 300, 1_000]);
  heard(700);
  t.deepEqual(payloads(net.a).slice(3), [700]);
  heard(900);
  t.deepEqual(payloads(net.a).slice(3), [700, 900]);
});

test('half of the largest window is worth a segment', (t) => {
  const net = new Net({ a: { mss: 1_000 }, b: { mss: 1_000 } });
  net.a.connect();
  net.inject(net.a, { seq: 9_000, ack: 1_001, flags: 18, window: 1_000, mss: 1_000 });
  net.a.tcp.send(bytes(100), net.now, 0);
  net.a.tcp.send(bytes(5_000), net.now, 0);
  t.deepEqual(payloads(net.a), [100, 900]);
});
