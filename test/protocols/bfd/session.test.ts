import test from 'ava';
import fc from 'fast-check';
import {
  type BfdState,
  FLAG_AUTHENTICATION,
  FLAG_DEMAND,
  FLAG_FINAL,
  FLAG_POLL,
} from '../../../protocols/bfd/control.ts';
import type { BfdParameters } from '../../../protocols/bfd/host.ts';
import { FakeWorld } from '../../support/runtime.ts';
import { End, FAST, MS, Pair } from './pair.ts';

const STATES: readonly BfdState[] = ['AdminDown', 'Down', 'Init', 'Up'];
const has = (flag: number) => (sent: { packet: { flags: number } }) => (sent.packet.flags & flag) !== 0;

/** A session in a state, by the way that leads there. */
function endIn(state: BfdState, parameters = FAST): End {
  const end = new End(new FakeWorld(), 7, parameters);
  end.session.start();
  if (state === 'AdminDown') end.session.disable();
  if (state === 'Init' || state === 'Up') end.hear({ state: 'Down' });
  if (state === 'Up') end.hear({ state: 'Up' });
  return end;
}

test('two sessions come up through Init, each at once after the packet that lets it', (t) => {
  const pair = new Pair();
  pair.passes = () => false;
  pair.a.session.start();
  pair.advance(100);
  pair.passes = () => true;
  pair.b.session.start();
  pair.advance(5_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
  t.deepEqual(pair.a.changes, [
    { at: 101, to: 'Init', diag: 0 },
    { at: 103, to: 'Up', diag: 0 },
  ]);
  t.deepEqual(pair.b.changes, [{ at: 102, to: 'Up', diag: 0 }]);
  t.is(pair.a.session.diag, 0);
  for (const { session } of [pair.a, pair.b])
    t.like(session, { transmitInterval: 50, detectionTime: 150, polling: false, remoteState: 'Up' });
});

test('every state goes where RFC 5880 §6.8.6 sends it', (t) => {
  // Rows: local; columns: received AdminDown, Down, Init, Up.
  const table: Readonly<Record<BfdState, readonly BfdState[]>> = {
    AdminDown: ['AdminDown', 'AdminDown', 'AdminDown', 'AdminDown'],
    Down: ['Down', 'Init', 'Up', 'Down'],
    Init: ['Down', 'Init', 'Up', 'Up'],
    Up: ['Down', 'Down', 'Up', 'Up'],
  };
  for (const local of STATES) {
    for (const [i, received] of STATES.entries()) {
      const end = endIn(local);
      t.is(end.session.state, local);
      end.hear({ state: received });
      t.is(end.session.state, table[local][i]!, `${local}, receives ${received}`);
      if (local !== 'AdminDown' && local !== 'Down' && end.session.state === 'Down')
        t.is(end.session.diag, 3, `${local}, receives ${received}`);
      t.is(end.session.remoteState, received);
    }
  }
});

test('a session that is not up sends once a second at most, whatever it wishes', (t) => {
  const pair = new Pair();
  pair.passes = () => false;
  pair.start();
  pair.advance(60_000);
  const { sent } = pair.a;
  t.true(sent.length >= 60);
  for (const [i, { at, packet }] of sent.entries()) {
    t.like(packet, { state: 'Down', yourDiscriminator: 0, desiredMinTx: 1_000_000, requiredMinRx: 50 * MS });
    const gap = at - (sent[i - 1]?.at ?? -1000);
    t.true(gap >= 750 && gap <= 1000, `${gap}`);
  }
});

test('each direction runs at what its slower end says, and is watched by the multiplier of its sender', (t) => {
  const pair = Pair.up(FAST, { desiredMinTx: 200 * MS, requiredMinRx: 300 * MS, detectMult: 4 });
  t.like(pair.a.session, { transmitInterval: 300, detectionTime: 4 * 200 });
  t.like(pair.b.session, { transmitInterval: 200, detectionTime: 3 * 300 });
});

test('a path that is cut is noticed a Detection Time after the last packet, and comes back', (t) => {
  const pair = Pair.up();
  pair.passes = () => false;
  pair.advance(1_000);
  for (const { session, changes, received } of [pair.a, pair.b]) {
    t.is(session.state, 'Down');
    t.deepEqual(changes.at(-1), { at: received.at(-1)!.at + 150, to: 'Down', diag: 1 });
    t.like(session, { yourDiscriminator: 0, remoteState: 'Down', detectionTime: 0, transmitInterval: 1000 });
  }
  t.like(pair.a.sent.at(-1)!.packet, {
    state: 'Down',
    diag: 1,
    yourDiscriminator: 0,
    desiredMinTx: 1_000_000,
  });
  pair.passes = () => true;
  pair.advance(3_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
  t.like(pair.a.session, { diag: 0, transmitInterval: 50, detectionTime: 150 });
});

test('who is no longer heard is told so by who no longer hears it', (t) => {
  const pair = Pair.up();
  pair.passes = (from) => from === pair.a;
  pair.advance(500);
  t.deepEqual(pair.a.changes.at(-1), { at: pair.a.received.at(-1)!.at + 150, to: 'Down', diag: 1 });
  const told = pair.b.changes.find(({ at, to }) => at > 5_000 && to === 'Down');
  t.deepEqual(told, { at: pair.a.changes.at(-1)!.at + 1, to: 'Down', diag: 3 });
});

test('nobody hears of packets that change nothing', (t) => {
  const pair = Pair.up();
  const before = [pair.a, pair.b].map(({ changes, intervalChanges }) => changes.length + intervalChanges);
  const packets = pair.a.received.length;
  pair.advance(60_000);
  t.true(pair.a.received.length - packets > 1200);
  t.deepEqual(
    [pair.a, pair.b].map(({ changes, intervalChanges }) => changes.length + intervalChanges),
    before,
  );
});

test('packets leave 75 to 100 % of the interval apart, 75 to 90 % where one loss is failure', (t) => {
  for (const [detectMult, most] of [
    [3, 1],
    [1, 0.9],
  ] as const) {
    const pair = Pair.up({ ...FAST, detectMult });
    pair.advance(20_000);
    const sent = pair.a.sentSince(5_000);
    const gaps = sent.slice(1).map(({ at }, i) => (at - sent[i]!.at) / 50);
    t.true(gaps.length > 400);
    const least = Math.min(...gaps);
    const greatest = Math.max(...gaps);
    t.true(least >= 0.75 - 1e-9 && least < 0.76, `${least}`);
    t.true(greatest <= most + 1e-9 && greatest > most - 0.01, `${greatest}`);
    t.deepEqual(pair.states, ['Up', 'Up']);
  }
});

// ---- Poll Sequences

test('a longer transmit interval is polled for first, and used after the Final', (t) => {
  const pair = Pair.up();
  const { a, b } = pair;
  a.session.configure({ ...FAST, desiredMinTx: 200 * MS }, 'active');
  t.like(a.session, { polling: true, transmitInterval: 50, desiredMinTx: 200 * MS });
  t.is(b.session.detectionTime, 150);
  const since = a.sent.at(-1)!;
  t.like(since, { at: 5_000, packet: { flags: FLAG_POLL, desiredMinTx: 200 * MS } });
  pair.advance(1);
  t.is(b.session.detectionTime, 600, 'the peer waits longer before there are fewer packets');
  t.is(a.session.transmitInterval, 50);
  pair.advance(1);
  t.like(b.sent.find(({ at }) => at >= 5_000)!.packet, { flags: FLAG_FINAL });
  t.like(a.session, { polling: false, transmitInterval: 200 });
  pair.advance(5_000);
  t.is(a.sentSince(5_000).filter(has(FLAG_POLL)).length, 1);
  const gaps = a.sentSince(5_400).map(({ at }, i, all) => at - (all[i - 1]?.at ?? at - 200));
  t.true(gaps.every((gap) => gap >= 150 - 1e-9 && gap <= 200 + 1e-9));
  t.deepEqual(pair.states, ['Up', 'Up']);
});

test('a shorter receive interval shortens the Detection Time after the Final', (t) => {
  const pair = Pair.up({ ...FAST, requiredMinRx: 400 * MS });
  const { a, b } = pair;
  t.is(a.session.detectionTime, 1200);
  a.session.configure(FAST, 'active');
  t.like(a.session, { polling: true, detectionTime: 1200, requiredMinRx: 50 * MS });
  pair.advance(1);
  t.is(b.session.transmitInterval, 50, 'the peer is faster at once');
  t.is(a.session.detectionTime, 1200);
  pair.advance(1);
  t.is(a.session.detectionTime, 150);
  pair.advance(5_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
});

test('the other two changes count at once', (t) => {
  const pair = Pair.up({ ...FAST, desiredMinTx: 300 * MS });
  pair.a.session.configure({ ...FAST, requiredMinRx: 100 * MS }, 'active');
  t.like(pair.a.session, { polling: true, transmitInterval: 50, detectionTime: 300 });
  pair.advance(50);
  t.true(pair.a.sentSince(5_001).length > 0, 'and do not wait for the timer of the longer interval');
});

test('a Poll is repeated until the Final gets through, on the packets that are due anyway', (t) => {
  const pair = Pair.up();
  pair.passes = (from) => from === pair.a;
  pair.a.session.configure({ ...FAST, desiredMinTx: 60 * MS }, 'active');
  pair.advance(120);
  const polls = pair.a.sentSince(5_000);
  t.true(polls.length >= 3 && polls.length <= 4, `${polls.length}`);
  t.true(polls.every(has(FLAG_POLL)));
  pair.passes = () => true;
  pair.advance(200);
  t.false(pair.a.session.polling);
  t.false(has(FLAG_POLL)(pair.a.sent.at(-1)!));
  t.deepEqual(pair.states, ['Up', 'Up']);
});

test('a second change waits for the end of the first Poll Sequence, and a packet after it', (t) => {
  const a = endIn('Up');
  const { session } = a;
  a.hear({ state: 'Up', flags: FLAG_FINAL });
  a.hear({ state: 'Up' });
  t.false(session.polling);
  session.configure({ ...FAST, desiredMinTx: 70 * MS }, 'active');
  session.configure({ ...FAST, desiredMinTx: 90 * MS }, 'active');
  t.like(session, { polling: true, desiredMinTx: 70 * MS, transmitInterval: 50 });
  a.hear({ state: 'Up', flags: FLAG_FINAL });
  t.like(session, { polling: false, desiredMinTx: 70 * MS, transmitInterval: 70 });
  a.hear({ state: 'Up', flags: FLAG_FINAL });
  t.is(session.desiredMinTx, 70 * MS, 'another Final may be a late answer to the first');
  a.hear({ state: 'Up' });
  t.like(session, { polling: true, desiredMinTx: 90 * MS, transmitInterval: 70 });
  a.hear({ state: 'Up', flags: FLAG_FINAL });
  t.like(session, { polling: false, transmitInterval: 90 });
});

test('a Poll is answered at once and with the same fields, and moves no timer', (t) => {
  const a = endIn('Up');
  const due = a.rt.timers.next();
  const count = a.sent.length;
  a.hear({ state: 'Up', flags: FLAG_POLL });
  t.is(a.sent.length, count + 1);
  t.like(a.sent.at(-1)!.packet, { flags: FLAG_FINAL, state: 'Up', yourDiscriminator: 99 });
  t.is(a.rt.timers.next(), due);
});

test('another multiplier is told with the next packet and needs no Poll', (t) => {
  const pair = Pair.up();
  pair.a.session.configure({ ...FAST, detectMult: 5 }, 'active');
  t.false(pair.a.session.polling);
  pair.advance(1);
  t.is(pair.b.session.detectionTime, 250);
});

// ---- administration, roles, demand

test('a session that is shut down says so until it is enabled, and is no failure to its peer', (t) => {
  const pair = Pair.up();
  pair.a.session.disable();
  pair.advance(10_000);
  t.deepEqual(pair.states, ['AdminDown', 'Down']);
  t.deepEqual(pair.b.changes.at(-1), { at: 5_001, to: 'Down', diag: 3 });
  t.like(pair.b.session, { remoteState: 'AdminDown', remoteDiag: 7 });
  const told = pair.a.sentSince(5_000);
  t.true(told.length >= 10 && told.length <= 15, 'at the slow rate');
  t.true(told.every(({ packet }) => packet.state === 'AdminDown' && packet.diag === 7));
  pair.a.session.enable();
  pair.advance(3_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
});

test('a passive end waits to be spoken to, and falls silent with its peer', (t) => {
  const both = new Pair(FAST, FAST, ['passive', 'passive']);
  both.start();
  both.advance(10_000);
  t.is(both.a.sent.length + both.b.sent.length, 0);

  const pair = new Pair(FAST, FAST, ['active', 'passive']);
  pair.start();
  pair.advance(5_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
  t.is(pair.a.received[0]!.at, 2 * pair.latency);
  pair.passes = () => false;
  pair.advance(1_000);
  const silent = pair.b.sent.length;
  pair.advance(10_000);
  t.is(pair.b.sent.length, silent);
  pair.passes = () => true;
  pair.advance(3_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
});

/** Runs the end's timers, with a peer that sends something every 50 ms. */
function keep(end: End, ms: number, fields: Parameters<End['hear']>[0]): void {
  const { world } = end;
  for (let spent = 0; spent < ms; spent += 50) {
    world.advance(50);
    end.hear({ desiredMinTx: 50 * MS, ...fields });
  }
}

test('Demand mode at the peer stops the periodic packets while both are up', (t) => {
  const a = endIn('Up');
  const demand = { state: 'Up', flags: FLAG_DEMAND } as const;
  a.hear({ state: 'Up', flags: FLAG_DEMAND | FLAG_FINAL });
  keep(a, 100, demand);
  t.true(a.session.remoteDemandActive);
  let count = a.sent.length;
  keep(a, 5_000, demand);
  t.is(a.sent.length, count);
  t.is(a.session.state, 'Up', 'the peer is heard all the same');

  a.hear({ state: 'Up', flags: FLAG_DEMAND | FLAG_POLL });
  t.is(a.sent.length, ++count);
  t.true(has(FLAG_FINAL)(a.sent.at(-1)!));

  // What is new is polled for, until it is answered.
  a.session.configure({ ...FAST, detectMult: 9 }, 'active');
  keep(a, 500, demand);
  const polls = a.sent.slice(count);
  t.true(
    polls.length >= 10 && polls.every(has(FLAG_POLL)) && polls.every(({ packet }) => packet.detectMult === 9),
  );
  a.hear({ state: 'Up', flags: FLAG_DEMAND | FLAG_FINAL });
  count = a.sent.length;
  keep(a, 1_000, demand);
  t.is(a.sent.length, count);

  keep(a, 1_000, { state: 'Up' });
  t.true(a.sent.length - count >= 20, 'and they begin again without it');
  count = a.sent.length;
  keep(a, 3_000, { state: 'Down', flags: FLAG_DEMAND });
  t.true(a.sent.length - count >= 3, 'or once one is not up');
});

test('a peer that requires an interval of 0 gets no periodic packets, and its answers', (t) => {
  const a = endIn('Up');
  keep(a, 100, { state: 'Up', flags: FLAG_FINAL, requiredMinRx: 0 });
  const count = a.sent.length;
  keep(a, 1_000, { state: 'Up', requiredMinRx: 0 });
  t.is(a.sent.length, count);
  a.hear({ state: 'Up', requiredMinRx: 0, flags: FLAG_POLL });
  t.is(a.sent.length, count + 1);
  keep(a, 1_000, { state: 'Up', requiredMinRx: 100 * MS });
  t.true(a.sent.length > count + 9);
});

test('a peer that is gone is spoken to again at the slow rate, whatever it wished', (t) => {
  for (const requiredMinRx of [0, 5_000_000]) {
    const a = endIn('Up');
    a.hear({ state: 'Up', requiredMinRx });
    a.world.advance(10_000);
    t.like(a.session, { state: 'Down', transmitInterval: 1000 });
    const count = a.sent.length;
    a.world.advance(10_000);
    t.true(a.sent.length - count >= 10 && a.sent.length - count <= 14, `${requiredMinRx}`);
  }
});

test('a peer that wants fewer packets gets fewer from the very next on', (t) => {
  for (let i = 0; i < 20; i++) {
    const a = endIn('Up');
    keep(a, 1_000 + i, { state: 'Up' });
    a.hear({ state: 'Up', requiredMinRx: 400 * MS, desiredMinTx: 1_000_000 });
    const last = a.sent.at(-1)!;
    a.world.advance(1_000);
    const next = a.sent[a.sent.indexOf(last) + 1]!;
    t.true(next.at - last.at >= 300 && next.at - last.at <= 400, `${next.at - last.at}`);
  }
});

test('nobody is polled who is not known', (t) => {
  const pair = Pair.up();
  pair.passes = () => false;
  pair.a.session.configure({ ...FAST, desiredMinTx: 70 * MS }, 'active');
  t.true(pair.a.session.polling);
  pair.advance(1_000);
  t.like(pair.a.session, { state: 'Down', polling: false });
  pair.a.session.configure({ ...FAST, requiredMinRx: 70 * MS }, 'active');
  pair.advance(10_000);
  t.false(pair.a.sentSince(6_000).some(has(FLAG_POLL)));
  pair.passes = () => true;
  pair.advance(5_000);
  t.deepEqual(pair.states, ['Up', 'Up']);
  t.false(pair.a.session.polling);
});

test('what changes with the state while a Poll runs is polled for after it', (t) => {
  const a = endIn('Up');
  a.hear({ state: 'Up', flags: FLAG_FINAL });
  a.hear({ state: 'Up' });
  a.session.configure({ ...FAST, desiredMinTx: 70 * MS }, 'active');
  a.hear({ state: 'Down' });
  t.like(a.session, { state: 'Down', polling: true, desiredMinTx: 1_000_000 });
  a.hear({ state: 'AdminDown', flags: FLAG_FINAL });
  t.false(a.session.polling);
  a.hear({ state: 'AdminDown' });
  t.true(a.session.polling);
  a.hear({ state: 'AdminDown', flags: FLAG_FINAL });
  a.hear({ state: 'AdminDown' });
  t.false(a.session.polling);
});

test('a session that is shut down answers no Poll', (t) => {
  const a = endIn('AdminDown');
  a.hear({ state: 'Down' });
  const count = a.sent.length;
  a.hear({ state: 'Down', flags: FLAG_POLL });
  t.is(a.sent.length, count);
});

test('a packet with authentication is refused and leaves no trace', (t) => {
  const a = endIn('Up');
  const sent = a.sent.length;
  const packet = Object.assign(a.received[0]!.packet, { flags: FLAG_AUTHENTICATION, myDiscriminator: 5 });
  t.is(a.session.receive(packet), 'auth-unexpected');
  t.like(a.session, { state: 'Up', yourDiscriminator: 99 });
  t.is(a.sent.length, sent);
});

test('an end that was itself held up gives the peer one interval more, once', (t) => {
  const run = (end: End) => end.rt.timers.run(end.rt.now, (fire) => fire());
  const held = () => {
    const end = endIn('Up');
    keep(end, 200, { state: 'Up' });
    end.world.now += 400;
    run(end);
    t.is(end.session.state, 'Up', 'what came in meanwhile has not been read yet');
    return end;
  };
  const heard = held();
  heard.hear({ state: 'Up', desiredMinTx: 50 * MS });
  heard.world.advance(149);
  t.is(heard.session.state, 'Up');
  heard.world.advance(2);
  t.is(heard.session.state, 'Down');

  const silent = held();
  silent.world.advance(49);
  t.is(silent.session.state, 'Up');
  silent.world.advance(2);
  t.like(silent.session, { state: 'Down', diag: 1 });

  const again = held();
  again.world.now += 400;
  run(again);
  t.is(again.session.state, 'Down');
});

test('a stopped session has no timer left', (t) => {
  const pair = Pair.up();
  for (const { session } of [pair.a, pair.b]) session.stop();
  t.deepEqual(
    [pair.a, pair.b].map(({ rt }) => rt.timers.next()),
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  );
});

// ---- laws

const parameters: fc.Arbitrary<BfdParameters> = fc.record({
  desiredMinTx: fc.integer({ min: 10 * MS, max: 400 * MS }),
  requiredMinRx: fc.integer({ min: 10 * MS, max: 400 * MS }),
  detectMult: fc.integer({ min: 1, max: 5 }),
});

test('on a path without loss no change of the parameters ever costs the session', (t) => {
  const steps = fc.array(fc.tuple(fc.boolean(), parameters, fc.nat(400)), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(parameters, parameters, steps, (first, second, changes) => {
      // A constant delay shorter than any jitter leaves over.
      const pair = new Pair(first, second);
      pair.latency = 0.5;
      pair.start();
      pair.advance(6_000);
      t.deepEqual(pair.states, ['Up', 'Up']);
      for (const [which, wanted, wait] of changes) {
        (which ? pair.a : pair.b).session.configure(wanted, 'active');
        pair.advance(wait);
      }
      pair.advance(8_000);
      for (const end of [pair.a, pair.b]) {
        t.deepEqual(
          end.changes.filter(({ to }) => to === 'Down'),
          [],
        );
        const peer = end === pair.a ? pair.b : pair.a;
        const wanted = changes.findLast(([which]) => which === (end === pair.a))?.[1];
        const own = wanted ?? (end === pair.a ? first : second);
        t.like(end.session, { ...own, polling: false });
        t.is(
          Math.round(end.session.transmitInterval * MS),
          Math.max(own.desiredMinTx, peer.session.requiredMinRx),
        );
        const agreed = Math.max(own.requiredMinRx, peer.session.desiredMinTx);
        t.is(Math.round(end.session.detectionTime * MS), peer.session.detectMult * agreed);
      }
    }),
    { numRuns: 60 },
  );
});

test('under random loss a session fails when its Detection Time passes without a packet, and only then', (t) => {
  let failures = 0;
  let recoveries = 0;
  fc.assert(
    fc.property(
      parameters,
      parameters,
      fc.integer({ min: 5, max: 70 }),
      fc.nat(),
      (first, second, loss, seed) => {
        const pair = new Pair(first, second);
        const dice = pair.world.runtime(3, seed).random;
        pair.passes = () => dice.int(1, 100) > loss;
        pair.start();
        pair.advance(30_000);
        for (const [end, peer, own, other] of [
          [pair.a, pair.b, first, second],
          [pair.b, pair.a, second, first],
        ] as const) {
          // Once more from outside: the packets and the changes alone say when it had to fail.
          const moments = [
            ...end.received.map(({ at, packet }) => ({ at, packet, to: null })),
            ...end.changes.map(({ at, to, diag }) => ({ at, packet: null, to, diag })),
          ].sort((x, y) => x.at - y.at || (x.packet !== null ? -1 : 1));
          let state: BfdState = 'Down';
          let deadline = Number.POSITIVE_INFINITY;
          for (const moment of moments) {
            if (state === 'Up' || state === 'Init') {
              // Both may fall on one moment: the timer that fires first, or the packet.
              t.true(moment.at <= deadline + 1e-6, `silent until ${moment.at}, deadline ${deadline}`);
            }
            if (moment.packet !== null) {
              const { desiredMinTx, detectMult } = moment.packet;
              t.is(detectMult, other.detectMult);
              deadline = moment.at + (detectMult * Math.max(own.requiredMinRx, desiredMinTx)) / MS;
            } else if (moment.to !== null) {
              if (moment.to === 'Down' && 'diag' in moment && moment.diag === 1) {
                failures++;
                t.true(Math.abs(moment.at - deadline) < 1e-6, `failed at ${moment.at}, not at ${deadline}`);
              }
              if (moment.to === 'Up') recoveries++;
              state = moment.to;
            }
          }
          t.true(peer.sent.length >= end.received.length);
          const sent = end.sent.filter((one) => !has(FLAG_FINAL)(one));
          const least = Math.min(first.desiredMinTx, second.desiredMinTx, own.desiredMinTx) / MS;
          t.true(sent.length < 30_000 / (0.75 * least) + 30 * end.changes.length + 10, 'no storm of packets');
        }
      },
    ),
    { numRuns: 40 },
  );
  t.true(failures > 20 && recoveries > 20, `${failures} failures, ${recoveries} times up`);
});

test('garbled fields never make a session throw, send without end or leave the four states', (t) => {
  const word = fc.oneof(fc.constantFrom(0, 1, 0xffffffff), fc.nat(0xffffffff));
  const packet = fc.record({
    state: fc.constantFrom(...STATES),
    diag: fc.nat(31),
    flags: fc.nat(63).map((flags) => flags & ~FLAG_AUTHENTICATION & ~1),
    detectMult: fc.integer({ min: 1, max: 255 }),
    myDiscriminator: fc.integer({ min: 1, max: 3 }),
    desiredMinTx: word,
    requiredMinRx: word,
  });
  const step = fc.tuple(packet, fc.constantFrom(0, 1, 20, 300, 5_000));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const end = new End(new FakeWorld(), 7, FAST);
      end.session.start();
      for (const [fields, wait] of steps) {
        const before = end.sent.length;
        end.hear(fields);
        t.true(end.sent.length - before <= 1);
        end.world.advance(wait);
        t.true(STATES.includes(end.session.state));
      }
    }),
    { numRuns: 100 },
  );
});
