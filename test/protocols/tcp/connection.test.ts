import test from 'ava';
import fc from 'fast-check';
import { resetFor } from '../../../protocols/tcp/reset.ts';
import { RtoEstimator } from '../../../protocols/tcp/rto.ts';
import { ACK, FIN, RST, SYN, type TcpSegment } from '../../../protocols/tcp/segment.ts';
import { bytes, Net, timings } from './harness.ts';

const offsets = (net: Net, end: 'a' | 'b') => net[end].sent.map((sent) => sent.at);
const data = (net: Net, end: 'a' | 'b') => net[end].sent.filter(({ segment }) => segment.payload.length > 0);

test('three segments open a connection, MSS agreed', (t) => {
  const net = new Net({ a: { mss: 700 } }).open();
  t.deepEqual([net.a.tcp.state, net.b.tcp.state], ['ESTABLISHED', 'ESTABLISHED']);
  t.deepEqual([net.a.connects, net.b.connects], [1, 1]);
  t.deepEqual(
    net.a.sent.map(({ segment }) => segment.flags),
    [SYN, ACK],
  );
  t.deepEqual(
    net.b.sent.map(({ segment }) => segment.flags),
    [SYN | ACK],
  );
  net.b.tcp.send(bytes(2000), net.now, 0);
  net.advance(100);
  t.deepEqual(
    data(net, 'b').map(({ segment }) => segment.payload.length),
    [700, 700, 600],
  );
  t.deepEqual(net.a.received, [...bytes(2000)]);
});

test('bytes arrive in order and once, through loss, duplication and reordering; both ends close', (t) => {
  const fates = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.nat(50).map((delay) => [delay]) },
      { weight: 1, arbitrary: fc.constant<number[]>([]) },
      { weight: 1, arbitrary: fc.array(fc.nat(3000), { maxLength: 3 }) },
    ),
    { maxLength: 60 },
  );
  const iss = fc.oneof(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.integer({ min: 0xfffff000, max: 0xffffffff }),
  );
  const step = fc.record({
    end: fc.constantFrom('a' as const, 'b' as const),
    length: fc.nat(5000),
    wait: fc.nat(200),
  });
  fc.assert(
    fc.property(
      fates,
      iss,
      iss,
      fc.array(step, { maxLength: 12 }),
      fc.boolean(),
      (fates, issA, issB, steps, aFirst) => {
        const net = new Net({ a: { iss: issA }, b: { iss: issB } });
        let sent = 0;
        net.fate = () => fates[sent++] ?? [5];
        net.a.connect();
        // As long as it takes: the sixth SYN leaves after 31 s.
        while (net.a.tcp.state === 'SYN-SENT') net.advance(1000);
        const given = { a: [] as number[], b: [] as number[] };
        for (const [i, { end, length, wait }] of steps.entries()) {
          if (net[end].connection === null) continue;
          const chunk = bytes(length, i);
          t.is(net[end].tcp.send(chunk, net.now, 0), length);
          given[end].push(...chunk);
          net.advance(wait);
        }
        const order = aFirst ? [net.a, net.b] : [net.b, net.a];
        order[0]!.tcp.close(net.now, 0);
        net.advance(1);
        order[1]!.tcp.close(net.now, 0);
        net.run();
        t.deepEqual(net.b.received, given.a);
        t.deepEqual(net.a.received, given.b);
        for (const end of order) {
          t.deepEqual([end.tcp.state, end.connects, end.eof], ['CLOSED', 1, 1]);
          t.deepEqual(end.closings, ['closed']);
        }
      },
    ),
    { numRuns: 150, examples: [[[[], [], [], [], []], 0, 0xfffff000, [], false]] },
  );
});

test('with delays alone, loss that never ends is all that stops a connection', (t) => {
  const net = new Net().open();
  net.fate = () => [];
  net.a.tcp.send(bytes(10), net.now, 0);
  net.run();
  t.deepEqual(net.a.closings, ['timeout']);
  t.is(net.now, 100 + timings.userTimeout);
});

test('a SYN is repeated after 1 s, then after twice as long each time', (t) => {
  const net = new Net();
  net.fate = () => [];
  net.a.connect();
  net.advance(31_000);
  t.deepEqual(offsets(net, 'a'), [0, 1000, 3000, 7000, 15_000, 31_000]);
});

test('after a repeated SYN the timeout starts from three seconds', (t) => {
  const net = new Net();
  let first = true;
  net.fate = () => {
    if (!first) return [10];
    first = false;
    return [];
  };
  net.a.connect();
  net.advance(2000);
  t.is(net.a.tcp.state, 'ESTABLISHED');
  net.fate = () => [];
  net.a.tcp.send(bytes(1), net.now, 0);
  net.advance(10_000);
  t.deepEqual(
    data(net, 'a').map(({ at }) => at),
    [2000, 5000, 11_000],
  );
});

test('the retransmission timeout by RFC 6298', (t) => {
  const rto = new RtoEstimator({ rtoInitial: 1000, rtoMin: 200, rtoMax: 60_000 });
  t.is(rto.rto, 1000);
  rto.measure(500);
  t.is(rto.rto, 500 + 4 * 250);
  rto.measure(1300);
  // RTTVAR = 3/4 · 250 + 1/4 · 800, SRTT = 7/8 · 500 + 1/8 · 1300.
  t.is(rto.rto, 600 + 4 * 387.5);
  for (let i = 0; i < 10; i++) rto.backOff();
  t.is(rto.rto, 60_000);
  for (let i = 0; i < 200; i++) rto.measure(1);
  t.is(rto.rto, 200);
});

test('Karn: the acknowledgment of a repeated segment is no measurement, and the back-off stays', (t) => {
  const net = new Net({ b: { timings: { ...timings, rtoMin: 0 } } }).open();
  // Round trips of 20 ms leave the timeout at its least.
  net.a.tcp.send(bytes(1), net.now, 0);
  net.advance(100);
  net.fate = () => [];
  net.a.tcp.send(bytes(1), net.now, 0);
  net.advance(150);
  // The first copy would seem to have taken 650 ms.
  net.fate = () => [10];
  net.advance(500);
  t.is(net.a.tcp.unacked, 0);
  net.fate = () => [];
  const start = net.now;
  net.a.tcp.send(bytes(1), start, 0);
  net.advance(1300);
  t.deepEqual(
    data(net, 'a')
      .slice(3)
      .map(({ at }) => at - start),
    [0, 400, 1200],
  );
});

test('three duplicate acknowledgments repeat a segment before its timeout', (t) => {
  const net = new Net().open();
  let lost = false;
  net.fate = (from, segment) => {
    if (from !== net.a || segment.payload.length === 0 || lost) return [10];
    lost = true;
    return [];
  };
  const start = net.now;
  net.a.tcp.send(bytes(5000), start, 0);
  net.run(start + 50);
  t.deepEqual(net.b.received, [...bytes(5000)]);
  t.deepEqual(
    data(net, 'a').map(({ at }) => at - start),
    [0, 0, 0, 0, 0, 20],
  );
});

test('a lone segment is acknowledged after 40 ms, a second one at once', (t) => {
  const net = new Net().open();
  const acks = () => net.b.sent.slice(1).map(({ at, segment }) => [at - start, segment.ack - 1001]);
  const start = net.now;
  net.a.tcp.send(bytes(10), start, 5);
  net.run(start + 49);
  t.deepEqual(acks(), []);
  t.is(net.b.tcp.nextDeadline(), start + 50);
  net.run(start + 50);
  t.deepEqual(acks(), [[50, 10]]);
  net.run(start + 100);
  net.a.tcp.send(bytes(10), net.now, 0);
  net.advance(20);
  net.a.tcp.send(bytes(10), net.now, 0);
  net.advance(100);
  t.deepEqual(acks(), [
    [50, 10],
    [130, 30],
  ]);
});

test('a segment that goes out anyway carries the acknowledgment', (t) => {
  const net = new Net().open();
  net.a.tcp.send(bytes(10), net.now, 0);
  net.advance(20);
  net.b.tcp.send(bytes(3), net.now, 0);
  t.is(net.b.last?.ack, 1011);
  net.advance(200);
  t.is(net.b.sent.length, 2);
});

test('what is out of order, fills a gap or ends the stream is acknowledged at once', (t) => {
  const net = new Net().open();
  const { a, b } = net;
  net.fate = () => [];
  const at = (offset: number, length: number, flags = ACK) =>
    net.inject(b, { seq: a.options.iss + 1 + offset, ack: b.options.iss + 1, flags, payload: bytes(length) });
  at(10, 10);
  t.deepEqual([b.sent.length, b.last?.ack], [2, 1001]);
  at(30, 10);
  t.deepEqual([b.sent.length, b.last?.ack], [3, 1001]);
  at(0, 10);
  t.deepEqual([b.sent.length, b.last?.ack], [4, 1021]);
  at(20, 10);
  t.deepEqual([b.sent.length, b.last?.ack], [5, 1041]);
  at(40, 10);
  t.is(b.sent.length, 5);
  at(50, 0, ACK | FIN);
  t.deepEqual([b.sent.length, b.last?.ack], [6, 1052]);
});

for (const both of [false, true]) {
  test(`a closed window ${both ? 'at both ends' : 'at one end'} opens again and nothing is lost`, (t) => {
    const net = new Net().open();
    const readers = both ? [net.a, net.b] : [net.b];
    for (const reader of readers) reader.tcp.pause();
    for (const end of [net.a, net.b]) t.is(end.tcp.send(bytes(150_000), net.now, 0), 150_000);
    net.advance(120_000);
    t.deepEqual(
      readers.map((reader) => reader.received.length),
      readers.map(() => 0),
    );
    t.is(net.b.last?.window, 0);
    const start = net.now;
    for (const reader of readers) reader.tcp.resume(0);
    net.advance(2000);
    t.is(
      net.a.tcp.unacked + net.a.tcp.queued + net.b.tcp.unacked + net.b.tcp.queued,
      0,
      `at ${net.now - start}`,
    );
    for (const end of [net.a, net.b]) t.deepEqual(end.received, [...bytes(150_000)]);
  });
}

test('an end that reads again is heard by a peer whose own window is closed', (t) => {
  for (const wait of [100, 120_000]) {
    const net = new Net().open();
    for (const end of [net.a, net.b]) {
      end.tcp.pause();
      end.tcp.send(bytes(150_000), net.now, 0);
    }
    net.advance(wait);
    net.a.tcp.resume(0);
    net.advance(2000);
    t.deepEqual([net.a.received.length, net.b.tcp.unacked + net.b.tcp.queued], [150_000, 0]);
    t.is(net.b.received.length, 0);
    net.b.tcp.resume(0);
    net.advance(2000);
    t.is(net.b.received.length, 150_000);
  }
});

test('readers that pause and resume over a bad wire get everything once', (t) => {
  const action = fc.record({
    end: fc.constantFrom('a' as const, 'b' as const),
    pause: fc.boolean(),
    wait: fc.nat(3000),
  });
  const lost = fc.array(fc.boolean(), { maxLength: 150 });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 15 }), lost, (actions, lost) => {
      const net = new Net().open();
      let sent = 0;
      net.fate = () => (lost[sent++] === true ? [] : [5]);
      for (const end of [net.a, net.b]) end.tcp.send(bytes(140_000), net.now, 0);
      for (const { end, pause, wait } of actions) {
        if (pause) net[end].tcp.pause();
        else net[end].tcp.resume(0);
        net.advance(wait);
      }
      for (const end of [net.a, net.b]) {
        end.tcp.resume(0);
        end.tcp.close(net.now, 0);
      }
      net.run();
      for (const end of [net.a, net.b]) {
        t.true(Buffer.from(end.received).equals(bytes(140_000)));
        t.deepEqual(end.closings, ['closed']);
      }
    }),
    { numRuns: 40 },
  );
});

test('a closed window is probed at intervals that double; a peer that answers is never given up', (t) => {
  const net = new Net().open();
  net.b.tcp.pause();
  net.a.tcp.send(bytes(70_000), net.now, 0);
  net.advance(20 * timings.userTimeout);
  t.deepEqual(net.a.closings, []);
  const probes = data(net, 'a')
    .filter(({ segment }) => segment.payload.length === 1)
    .map(({ at }) => at);
  const gaps = probes.slice(1).map((at, i) => at - probes[i]!);
  for (const [i, gap] of gaps.slice(1).entries()) t.is(gap, Math.min(gaps[i]! * 2, timings.rtoMax));
  net.fate = () => [];
  net.advance(timings.userTimeout + timings.rtoMax);
  t.deepEqual(net.a.closings, ['timeout']);
});

test('with its window closed an end still takes acknowledgments and resets', (t) => {
  const net = new Net().open();
  const { a, b } = net;
  b.tcp.pause();
  a.tcp.send(bytes(65_535), net.now, 0);
  net.advance(1000);
  b.tcp.send(bytes(100), net.now, 0);
  t.is(b.tcp.unacked, 100);
  const edge = a.options.iss + 1 + 65_535;
  net.fate = () => [];
  net.inject(b, { seq: edge + 1, ack: b.options.iss + 101, flags: ACK });
  t.is(b.tcp.unacked, 0);
  const count = b.sent.length;
  net.inject(b, { seq: edge, ack: b.options.iss + 101, flags: ACK, payload: bytes(1) });
  t.deepEqual([b.sent.length, b.last?.ack, b.last?.window], [count + 1, edge, 0]);
  net.inject(b, { seq: edge, flags: RST });
  t.deepEqual(b.closings, ['reset']);
});

test('the end of the stream comes behind the bytes that were held', (t) => {
  const net = new Net().open();
  net.b.tcp.pause();
  net.a.tcp.send(bytes(10), net.now, 0);
  net.a.tcp.close(net.now, 0);
  net.advance(1000);
  t.deepEqual([net.b.tcp.state, net.b.eof], ['CLOSE-WAIT', 0]);
  net.b.tcp.resume(0);
  t.deepEqual([net.b.received.length, net.b.eof], [10, 1]);
});

test('a reader that aborts or pauses while it is given what was held gets no more', (t) => {
  for (const act of ['abort', 'pause'] as const) {
    const net = new Net().open();
    const { a, b } = net;
    b.tcp.pause();
    for (let i = 0; i < 3; i++) a.tcp.send(bytes(10), net.now, 0);
    net.advance(1000);
    b.onData = () => (act === 'abort' ? b.tcp.abort(0) : b.tcp.pause());
    b.tcp.resume(0);
    t.is(b.received.length, 10);
    if (act === 'abort') t.deepEqual(b.closings, ['aborted']);
    else {
      b.onData = null;
      b.tcp.resume(0);
      t.is(b.received.length, 30);
    }
  }
});

test('RST: exact resets, in the window is challenged, outside is ignored', (t) => {
  const net = new Net().open();
  const { b } = net;
  net.fate = () => [];
  const count = b.sent.length;
  for (const seq of [1000, 1001 + 65_535, 1001 - 2 ** 30]) net.inject(b, { seq: seq >>> 0, flags: RST });
  t.deepEqual([b.sent.length, b.tcp.state], [count, 'ESTABLISHED']);
  for (const seq of [1002, 1000 + 65_535]) net.inject(b, { seq, flags: RST });
  t.deepEqual([b.sent.length, b.tcp.state], [count + 2, 'ESTABLISHED']);
  t.like(b.last, { flags: ACK, seq: 9001, ack: 1001 });
  net.inject(b, { seq: 1001, flags: RST });
  t.deepEqual([b.tcp.state, b.closings], ['CLOSED', ['reset']]);
});

test('a SYN on an open connection is challenged (RFC 5961 §4)', (t) => {
  const net = new Net().open();
  net.fate = () => [];
  for (const seq of [500, 1001, 5000]) net.inject(net.b, { seq, flags: SYN });
  t.deepEqual(
    net.b.sent.slice(1).map(({ segment }) => [segment.flags, segment.ack]),
    [
      [ACK, 1001],
      [ACK, 1001],
      [ACK, 1001],
    ],
  );
  t.is(net.b.tcp.state, 'ESTABLISHED');
});

test('a repeated SYN gets the SYN-ACK again', (t) => {
  const net = new Net();
  net.fate = (from) => (from === net.a ? [10] : []);
  net.a.connect();
  net.advance(500);
  net.inject(net.b, { seq: 1000, flags: SYN, mss: 1000 });
  t.deepEqual(
    net.b.sent.map(({ segment }) => [segment.flags, segment.seq, segment.ack]),
    [
      [SYN | ACK, 9000, 1001],
      [SYN | ACK, 9000, 1001],
    ],
  );
});

test('who answers a SYN with resetFor refuses the connection', (t) => {
  const net = new Net();
  net.fate = () => [];
  net.a.connect();
  const syn = net.a.last!;
  const reset = resetFor(syn);
  t.like(reset, { flags: RST | ACK, seq: 0, ack: 1001, srcPort: 179, dstPort: 40_000 });
  net.a.tcp.receive({ ...reset, ack: 1002 }, 0, 0);
  t.is(net.a.tcp.state, 'SYN-SENT');
  net.a.tcp.receive(reset, 0, 0);
  t.deepEqual(net.a.closings, ['refused']);
  t.like(resetFor({ ...syn, flags: ACK, ack: 77 }), { flags: RST, seq: 77 });
  t.like(resetFor({ ...syn, flags: FIN, seq: 0xffffffff, payload: bytes(3) }), { flags: RST | ACK, ack: 3 });
});

test('half-close: the other direction goes on', (t) => {
  const net = new Net().open();
  net.a.tcp.close(net.now, 0);
  net.advance(100);
  t.deepEqual([net.a.tcp.state, net.b.tcp.state, net.b.eof], ['FIN-WAIT-2', 'CLOSE-WAIT', 1]);
  t.is(net.a.tcp.send(bytes(1), net.now, 0), 0);
  net.b.tcp.send(bytes(3000), net.now, 0);
  net.advance(100);
  t.deepEqual(net.a.received, [...bytes(3000)]);
  net.b.tcp.close(net.now, 0);
  net.advance(100);
  t.deepEqual([net.a.tcp.state, net.b.closings], ['TIME-WAIT', ['closed']]);
  net.run();
  t.deepEqual(net.a.closings, ['closed']);
});

test('TIME-WAIT lasts 2 MSL from the last FIN', (t) => {
  const net = new Net().open();
  net.a.tcp.close(net.now, 0);
  net.advance(100);
  // What b sends gets through, the acknowledgment of its FIN does not at first.
  net.fate = (from) => (from === net.b ? [10] : []);
  net.b.tcp.close(net.now, 0);
  net.advance(300);
  net.fate = () => [10];
  net.run();
  const fins = net.b.sent.filter(({ segment }) => (segment.flags & FIN) !== 0);
  t.true(fins.length > 1);
  t.is(net.now, fins.at(-1)!.at + 10 + 2 * timings.msl);
});

test('simultaneous open', (t) => {
  const net = new Net();
  net.a.connect();
  net.b.connect();
  net.advance(500);
  t.deepEqual([net.a.tcp.state, net.b.tcp.state], ['ESTABLISHED', 'ESTABLISHED']);
  t.deepEqual([net.a.connects, net.b.connects], [1, 1]);
  net.a.tcp.send(bytes(100), net.now, 0);
  net.advance(100);
  t.deepEqual(net.b.received, [...bytes(100)]);
});

test('simultaneous close', (t) => {
  const net = new Net().open();
  net.a.tcp.close(net.now, 0);
  net.b.tcp.close(net.now, 0);
  net.advance(15);
  t.deepEqual([net.a.tcp.state, net.b.tcp.state], ['CLOSING', 'CLOSING']);
  net.advance(100);
  t.deepEqual([net.a.tcp.state, net.b.tcp.state], ['TIME-WAIT', 'TIME-WAIT']);
  net.run();
  t.deepEqual([net.a.closings, net.b.closings], [['closed'], ['closed']]);
});

test('abort resets the peer and says so once', (t) => {
  const net = new Net().open();
  net.a.tcp.abort(0);
  net.a.tcp.abort(0);
  net.advance(100);
  t.deepEqual([net.a.closings, net.b.closings], [['aborted'], ['reset']]);
  t.is(net.next(), Number.POSITIVE_INFINITY);
  t.is(net.a.tcp.send(bytes(1), net.now, 0), 0);
});

test('an unreachable peer ends a connection that is being opened, not one that is open', (t) => {
  const net = new Net();
  net.fate = () => [];
  net.a.connect();
  net.a.tcp.icmpError('unreachable', 0);
  t.deepEqual(net.a.closings, ['unreachable']);
  const open = new Net().open();
  open.a.tcp.icmpError('unreachable', open.now);
  t.is(open.a.tcp.state, 'ESTABLISHED');
});

test('a smaller path MTU makes smaller segments, and what was too big goes again', (t) => {
  const net = new Net().open();
  net.fate = (_, segment) => (segment.payload.length > 500 ? [] : [10]);
  net.a.tcp.send(bytes(3000), net.now, 0);
  net.a.tcp.icmpError('frag-needed', net.now, 500);
  net.advance(5000);
  t.deepEqual(net.b.received, [...bytes(3000)]);
});

test('the send buffer is bounded, and tells when it is empty', (t) => {
  const net = new Net({ a: { sendLimit: 100 } }).open();
  net.fate = () => [];
  t.is(net.a.tcp.send(bytes(80), net.now, 0), 80);
  t.is(net.a.tcp.send(bytes(80), net.now, 0), 20);
  t.is(net.a.tcp.send(bytes(80), net.now, 0), 0);
  net.fate = () => [10];
  net.advance(2000);
  t.is(net.a.drains, 1);
  t.is(net.a.tcp.send(bytes(80), net.now, 0), 80);
});

test('a segment carries the cause of its last byte, also when it is repeated', (t) => {
  const net = new Net({ a: { mss: 50 } });
  net.a.connect(3);
  net.a.tcp.send(bytes(40), 0, 11);
  net.a.tcp.send(bytes(20), 0, 12);
  net.a.tcp.send(bytes(30), 0, 13);
  net.advance(20);
  net.fate = () => [];
  net.advance(3000);
  t.is(net.a.sent[0]?.cause, 3);
  const causes = data(net, 'a').map(({ segment, cause }) => [segment.seq, cause]);
  t.deepEqual(causes.slice(0, 3), [
    [1001, 12],
    [1051, 13],
    [1001, 12],
  ]);
});

test('segments of garbage never throw, and leave a connection that ends', (t) => {
  const near = (base: number) => fc.integer({ min: -70_000, max: 70_000 }).map((n) => (base + n) >>> 0);
  const garbage: fc.Arbitrary<Partial<TcpSegment>> = fc.record({
    seq: fc.oneof(near(1001), fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(1000, 1001, 1002)),
    ack: fc.oneof(near(9001), fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(9000, 9001, 9011)),
    flags: fc.nat(63),
    window: fc.oneof(fc.nat(65_535), fc.constantFrom(0, 1)),
    urgent: fc.nat(65_535),
    payload: fc.uint8Array({ maxLength: 30 }),
    mss: fc.nat(65_535),
  });
  fc.assert(
    fc.property(fc.array(garbage, { maxLength: 40 }), fc.nat(3), (segments, stage) => {
      const net = new Net();
      net.fate = (from) => (from === net.a && stage > 0 ? [1] : []);
      net.a.connect();
      if (stage > 1) net.fate = () => [1];
      net.advance(10);
      net.fate = () => [];
      const end = stage === 0 ? net.a : net.b;
      for (const [i, segment] of segments.entries()) {
        if (i === 10) end.tcp.send(bytes(10), net.now, 0);
        if (i === 20 && stage === 3) end.tcp.close(net.now, 0);
        net.inject(end, segment);
        net.advance(i * 10);
      }
      end.tcp.abort(0);
      t.is(end.tcp.state, 'CLOSED');
      t.is(end.closings.length, 1);
    }),
    { numRuns: 500 },
  );
});
