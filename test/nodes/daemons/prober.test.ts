import test from 'ava';
import fc from 'fast-check';
import { KEPT_SAMPLES, ProbeError, Prober } from '../../../nodes/daemons/prober.ts';
import { EchoStream, serveEcho, Workload } from '../../../nodes/daemons/workload.ts';
import type { TcpSocket } from '../../../nodes/kernel/tcp.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import {
  answer,
  encodeProbe,
  PROBE_HLEN,
  ProbeReplyReader,
  replyTemplate,
} from '../../../protocols/probe.ts';
import { Network } from '../../support/network.ts';

const ip = (text: string) => parseIp4(text)!;

function bench() {
  const net = new Network();
  const [a, b, c] = [net.host('a'), net.host('b'), net.host('c')];
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  net.attach(c, 'lan', 'eth0', '10.0.0.3/24');
  const workload = new Workload(b.kernel.root, { uid: 'uid-b', name: 'default/b' });
  new Workload(c.kernel.root, { uid: 'uid-c', name: 'default/c' });
  const prober = new Prober(a.rt);
  return { net, a, b, c, workload, prober };
}

test('a probe counts what it sends and what comes back, packet by packet', (t) => {
  const { net, a, prober } = bench();
  prober.start({ id: 'p', ns: a.kernel.root, target: ip('10.0.0.2'), interval: 100 });
  net.advance(450);
  const report = prober.stop('p')!;
  t.like(report, { probe: 'p', startedAt: 0, stoppedAt: 450, sent: 5, received: 5, lost: 0 });
  t.deepEqual(
    report.results.map(({ seq, sentAt, target, uid }) => ({ seq, sentAt, target, uid })),
    [0, 1, 2, 3, 4].map((seq) => ({ seq, sentAt: seq * 100, target: '10.0.0.2', uid: 'uid-b' })),
  );
  for (const { rtt, seq } of report.results)
    t.true(Math.abs(rtt! - (seq === 0 ? 0.4 : 0.2)) < 1e-6, `${seq}: ${rtt}`);
  t.is(prober.stop('p'), null);
});

test('what is lost has no round-trip time, and a service that ends loses everything', (t) => {
  const { net, a, workload, prober } = bench();
  prober.start({ id: 'p', ns: a.kernel.root, target: ip('10.0.0.2'), interval: 10 });
  net.advance(25);
  workload.close();
  net.advance(20);
  const report = prober.stop('p')!;
  t.like(report, { sent: 5, received: 3, lost: 2 });
  t.deepEqual(
    report.results.map((sample) => sample.rtt === null),
    [false, false, false, true, true],
  );
  t.deepEqual(
    report.results.slice(3).map((sample) => sample.uid),
    ['', ''],
  );
});

test('an answer that comes after the target was changed counts for the packet it answers', (t) => {
  const { net, a, prober } = bench();
  prober.start({ id: 'p', ns: a.kernel.root, target: ip('10.0.0.2'), interval: 10 });
  t.true(prober.retarget('p', ip('10.0.0.3')));
  net.advance(25);
  t.deepEqual(
    prober.report('p')!.results.map(({ target, uid }) => [target, uid]),
    [
      ['10.0.0.2', 'uid-b'],
      ['10.0.0.3', 'uid-c'],
      ['10.0.0.3', 'uid-c'],
    ],
  );
  t.false(prober.retarget('other', 1));
});

test('an answer counts once, from the target alone, and to this very probe alone', (t) => {
  const { net, a, b, workload, prober } = bench();
  workload.close();
  const reply = replyTemplate('uid-b', 'b');
  const wrong = replyTemplate('uid-x', 'x');
  let client = { src: 0, srcPort: 0 };
  const socket = b.kernel.root.bindUdp({ addr: 0, port: 7 }, ({ src, srcPort, payload }) => {
    client = { src, srcPort };
    // To another probe, to a packet not sent yet, and no answer at all: before the right one, so that it is not what hides them.
    for (const byte of [8, 12]) {
      answer(wrong, payload, 0);
      wrong[byte]! ^= 1;
      socket.sendTo(src, srcPort, wrong);
    }
    socket.sendTo(src, srcPort, new Uint8Array(5));
    answer(reply, payload, 0);
    socket.sendTo(src, srcPort, reply);
    answer(wrong, payload, 0);
    socket.sendTo(src, srcPort, wrong);
  });
  prober.start({ id: 'p', ns: a.kernel.root, target: ip('10.0.0.2'), interval: 10 });
  net.advance(5);
  t.like(prober.report('p'), { sent: 1, received: 1 });
  t.is(prober.report('p')!.results[0]?.uid, 'uid-b');

  prober.retarget('p', ip('10.0.0.9'));
  net.advance(10);
  reply[15] = 1;
  socket.sendTo(client.src, client.srcPort, reply);
  net.advance(1);
  t.like(prober.stop('p'), { sent: 2, received: 1 });
});

test('a probe whose namespace goes sends no more and keeps its counts', (t) => {
  const { net, a, prober } = bench();
  prober.start({ id: 'p', ns: a.kernel.root, target: ip('10.0.0.2'), interval: 10 });
  net.advance(25);
  prober.namespaceRemoved(a.kernel.root);
  net.advance(100);
  t.like(prober.stop('p'), { sent: 3, received: 3, stoppedAt: 25 });
});

test('an id names one probe, and an interval is a positive time', (t) => {
  const { a, prober } = bench();
  const options = { id: 'p', ns: a.kernel.root, target: ip('10.0.0.2'), interval: 10 };
  prober.start(options);
  t.throws(() => prober.start(options), { instanceOf: ProbeError });
  t.throws(() => prober.start({ ...options, id: 'q', interval: 0 }), { instanceOf: ProbeError });
  t.throws(() => prober.start({ ...options, id: 'q', interval: Number.NaN }), { instanceOf: ProbeError });
});

test('counts cover every packet, the list the last of them', (t) => {
  const { net, a, prober } = bench();
  net.passes = () => false;
  prober.start({ id: 'p', ns: a.kernel.root, target: ip('127.0.0.1'), interval: 0.01 });
  const local = new Workload(a.kernel.root, { uid: 'uid-a', name: 'default/a' });
  net.advance(0.01 * (KEPT_SAMPLES + 10));
  local.close();
  const report = prober.stop('p')!;
  t.true(report.sent > KEPT_SAMPLES);
  t.is(report.results.length, KEPT_SAMPLES);
  t.is(report.results.at(-1)!.seq, report.sent - 1);
  t.is(report.results[0]!.seq, report.sent - KEPT_SAMPLES);
  t.true(report.received >= report.sent - 2);
});

test('over UDP anything that is no probe is echoed', (t) => {
  const { net, a } = bench();
  const got: Uint8Array[] = [];
  const socket = a.kernel.root.bindUdp({ addr: 0, port: 0 }, ({ payload }) => got.push(payload.slice()));
  const data = Uint8Array.from([1, 2, 3]);
  socket.sendTo(ip('10.0.0.2'), 7, data);
  net.advance(5);
  t.deepEqual(got, [data]);
});

test('over TCP probes are answered, and the rest is echoed, however the stream is cut', (t) => {
  const template = replyTemplate('uid', 'name');
  fc.assert(
    fc.property(
      fc.nat({ max: 4 }),
      fc.uint8Array({ maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 40 })),
      (count, rest, cuts) => {
        const probes = Array.from({ length: count }, (_, seq) =>
          encodeProbe({ probe: 5, seq, sentAt: seq + 0.5 }),
        );
        const tail = rest.length > 0 && rest[0] === 0x52 ? new Uint8Array(0) : rest;
        const stream = Buffer.concat([...probes, tail]);
        const out: Uint8Array[] = [];
        const echo = new EchoStream(template, (bytes) => out.push(bytes.slice()));
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          echo.receive(stream.subarray(at, at + cut));
          at += cut;
        }
        const reply = (probe: Uint8Array) => {
          const bytes = template.slice();
          answer(bytes, probe, 0);
          return bytes;
        };
        t.deepEqual(Buffer.concat(out), Buffer.concat([...probes.map(reply), tail]));
      },
    ),
  );
});

test('a pod echoes a long stream whole', (t) => {
  const { net, a } = bench();
  const data = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >>> 8)) & 255);
  const got: Uint8Array[] = [];
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.0.2'), port: 7 });
  socket.onConnected = () => socket.send(data);
  socket.onData = (bytes) => got.push(bytes.slice());
  net.advance(1_000);
  t.is(Buffer.compare(Buffer.concat(got), data), 0);
});

/** A socket whose send buffer takes `room` bytes, until it is writable. */
class NarrowSocket implements TcpSocket {
  readonly error = null;
  readonly local = { addr: 0, port: 7 };
  readonly remote = { addr: 0, port: 9 };
  readonly scope = undefined;
  readonly state = 'ESTABLISHED';
  readonly unacked = 0;
  readonly queued = 0;
  onConnected: TcpSocket['onConnected'] = null;
  onData: TcpSocket['onData'] = null;
  onPeerClosed: TcpSocket['onPeerClosed'] = null;
  onClosed: TcpSocket['onClosed'] = null;
  onDrained: TcpSocket['onDrained'] = null;
  onWritable: TcpSocket['onWritable'] = null;
  readonly sent: number[] = [];
  reading = true;
  closed = false;
  room = 0;

  send(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, this.room);
    this.room -= taken.length;
    this.sent.push(...taken);
    return taken.length;
  }

  close(): void {
    this.closed = true;
  }

  abort(): void {}

  pause(): void {
    this.reading = false;
  }

  resume(): void {
    this.reading = true;
  }
}

test('a pod reads no faster than its client, loses nothing, and closes when all is sent', (t) => {
  const rounds = fc.array(fc.record({ data: fc.uint8Array({ maxLength: 12 }), room: fc.nat({ max: 10 }) }), {
    minLength: 1,
  });
  fc.assert(
    fc.property(rounds, (list) => {
      const socket = new NarrowSocket();
      serveEcho(socket, replyTemplate('uid', 'name'));
      const given = [0];
      socket.onData?.(Uint8Array.of(0));
      for (const { data, room } of list) {
        given.push(...data);
        if (data.length > 0) socket.onData?.(data);
        socket.room = room;
        socket.onWritable?.();
        t.is(socket.reading, socket.sent.length === given.length);
        t.deepEqual(socket.sent, given.slice(0, socket.sent.length));
      }
      socket.onPeerClosed?.();
      t.is(socket.closed, socket.reading);
      socket.room = 10_000;
      socket.onWritable?.();
      t.deepEqual(socket.sent, given);
      t.true(socket.closed);
    }),
  );
});

test('a pod answers a probe over TCP', (t) => {
  const { net, a } = bench();
  const got: Uint8Array[] = [];
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.0.2'), port: 7 });
  socket.onConnected = () => {
    const probe = encodeProbe({ probe: 1, seq: 2, sentAt: 3 });
    socket.send(probe.slice(0, 10));
    socket.send(probe.slice(10));
  };
  socket.onData = (bytes) => got.push(bytes.slice());
  net.advance(50);
  t.like(new ProbeReplyReader().read(Buffer.concat(got)), {
    probe: 1,
    seq: 2,
    sentAt: 3,
    uid: 'uid-b',
    name: 'default/b',
  });
  let closed = '';
  socket.onClosed = (reason) => {
    closed = reason;
  };
  socket.close();
  net.advance(200_000);
  t.is(closed, 'closed');
  t.is(PROBE_HLEN, 24);
});
