import test from 'ava';
import fc from 'fast-check';
import { FAST, Lab, type LabNode } from './lab.ts';
import { build, type LinkSpec, numbered } from './topology.ts';

/** `from>to reason` of every change of a session. */
function changes(node: LabNode, peer: string): string[] {
  return node.log.flatMap(({ event }) =>
    event.type === 'bgp.session' && event.peer === peer ? [`${event.from}>${event.to} ${event.reason}`] : [],
  );
}

/** Times of the changes of a session to a state, ms. */
function times(node: LabNode, to: string): number[] {
  return node.log.flatMap(({ at, event }) => (event.type === 'bgp.session' && event.to === to ? [at] : []));
}

function pair(
  lab: Lab,
  link: Partial<LinkSpec> = {},
  timings: Partial<typeof FAST> = {},
): [LabNode, LabNode] {
  const [a, b] = build(
    lab,
    numbered(2, () => 65000),
    [{ a: 'n1', b: 'n2', ...link }],
    { ...FAST, ...timings },
  );
  return [a!, b!];
}

test('both connect at once, one connection stays, and both ends know it by the same key', (t) => {
  const lab = new Lab();
  const [a, b] = pair(lab);
  lab.start();
  lab.run(100);
  const [one, two] = [a.speaker.report().sessions[0]!, b.speaker.report().sessions[0]!];
  t.true(one.established && two.established);
  t.is(one.key, two.key);
  t.not(one.key, '');
  t.is(a.pipes.size, 1);
  t.is(b.pipes.size, 1);
  // n2 has the higher identifier, so that what it opened stays: its port is not 179.
  t.is(b.speaker.session('n1')?.connection.origin, 'outgoing');
  t.is(a.speaker.session('n2')?.connection.origin, 'incoming');
});

test('whenever the two begin, they end up with one connection and without having fallen back', (t) => {
  const offset = fc.integer({ min: 0, max: 24 }).map((quarter) => quarter / 4);
  fc.assert(
    fc.property(offset, fc.integer({ min: 1, max: 3 }), (gap, delay) => {
      const lab = new Lab({ delay });
      const [a, b] = pair(lab);
      a.speaker.start();
      lab.at(gap, () => b.speaker.start());
      lab.run(200);
      // One that was refused before the other was there tries again within the retry time.
      if (a.speaker.session('n2')?.state !== 'Established') lab.run(FAST.connectRetry + 200);
      for (const node of [a, b]) {
        t.is(node.pipes.size, 1);
        const states = changes(node, node === a ? 'n2' : 'n1');
        t.is(states.filter((change) => change.includes('>Established')).length, 1);
        t.false(states.some((change) => change.includes('>Idle')));
      }
    }),
  );
});

test('a passive end only accepts', (t) => {
  const lab = new Lab();
  const [a, b] = pair(lab, { passive: ['n1'] });
  a.speaker.start();
  lab.run(20_000);
  t.deepEqual(changes(a, 'n2'), ['Idle>Active ManualStart_with_PassiveTcpEstablishment']);
  b.speaker.start();
  lab.run(100);
  t.is(a.speaker.session('n2')?.state, 'Established');
});

test('with a connect delay a speaker listens before it connects', (t) => {
  const lab = new Lab();
  const [a] = pair(lab, { passive: ['n2'] }, { connectDelay: 2000 });
  lab.start();
  lab.run(1499);
  t.is(a.speaker.session('n2')?.state, 'Active');
  lab.run(600);
  t.is(a.speaker.session('n2')?.state, 'Established');
});

test('a peer that refuses is tried again within the retry time, and the session counts as settled', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  a.speaker.start();
  t.false(a.speaker.report().sessions[0]!.settled);
  lab.run(5);
  t.like(changes(a, 'n2'), { 0: 'Idle>Connect ManualStart', 1: 'Connect>Active TcpConnectionFails' });
  t.true(a.speaker.report().sessions[0]!.settled);
  t.is(a.speaker.session('n2')?.lastError, 'Socket: Connection refused');
  lab.run(30_000);
  const attempts = times(a, 'Connect');
  for (const [i, at] of attempts.entries()) {
    if (i === 0) continue;
    // Jitter of 0.75 to 1, and the 2 ms that a refusal takes.
    const gap = at - attempts[i - 1]!;
    t.true(gap >= 0.75 * FAST.connectRetry && gap <= FAST.connectRetry + 2, `${gap}`);
  }
  t.true(attempts.length >= 6);
});

test('a connect that is not answered is given up after the retry time', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  lab.cut('n1', 'n2');
  a.speaker.start();
  lab.run(0.7 * FAST.connectRetry);
  t.false(a.speaker.report().sessions[0]!.settled);
  lab.run(0.4 * FAST.connectRetry);
  t.true(a.speaker.report().sessions[0]!.settled);
  t.is(a.speaker.session('n2')?.state, 'Connect');
});

/** n2 has taken n1's connection and sent its OPEN; the link is cut before n1's own is there. */
function silentAfterConnect(timings: Partial<typeof FAST>): [Lab, LabNode] {
  const lab = new Lab();
  const [, b] = pair(lab, { passive: ['n2'] }, timings);
  lab.start();
  lab.run(2);
  lab.cut('n1', 'n2');
  return [lab, b];
}

test('in OpenSent the hold time is the four minutes of RFC 4271 §8.2.2, whatever is configured', (t) => {
  for (const holdTime of [0, 3_000, 9_000]) {
    const [lab, b] = silentAfterConnect({ holdTime });
    lab.run(239_900);
    t.is(b.speaker.session('n1')?.state, 'OpenSent');
    lab.run(100);
    t.is(changes(b, 'n1').at(-1), 'OpenSent>Idle HoldTimer_Expires: Hold Timer Expired');
  }
});

test('or what the lab says', (t) => {
  const [lab, b] = silentAfterConnect({ startupHold: 1_000 });
  lab.run(900);
  t.is(b.speaker.session('n1')?.state, 'OpenSent');
  lab.run(100);
  t.is(changes(b, 'n1').at(-1), 'OpenSent>Idle HoldTimer_Expires: Hold Timer Expired');
});

test('an attempt from before a change of topology says nothing of what comes after it', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  lab.cut('n1', 'n2');
  a.speaker.start();
  lab.run(0.5 * FAST.connectRetry);
  a.speaker.topologyChanged();
  lab.run(0.55 * FAST.connectRetry);
  t.true(times(a, 'Connect').length === 1 && a.speaker.session('n2')!.state === 'Connect');
  t.false(a.speaker.report().sessions[0]!.settled, 'the attempt that has timed out was the one before');
  lab.run(FAST.connectRetry);
  t.true(a.speaker.report().sessions[0]!.settled);
});

test('with a short retry time it takes several attempts that are not answered: ARP and TCP ask again after 1 s', (t) => {
  const lab = new Lab();
  const [a] = pair(lab, {}, { connectRetry: 300 });
  lab.cut('n1', 'n2');
  a.speaker.start();
  lab.run(1_900);
  t.false(a.speaker.report().sessions[0]!.settled);
  lab.run(400);
  t.true(a.speaker.report().sessions[0]!.settled);
});

test('after a change of topology an unreachable peer has to be tried again', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  a.speaker.start();
  lab.run(5);
  t.true(a.speaker.report().sessions[0]!.settled);
  a.speaker.topologyChanged();
  t.false(a.speaker.report().sessions[0]!.settled);
  lab.run(FAST.connectRetry + 5);
  t.true(a.speaker.report().sessions[0]!.settled);
});

test('a passive end whose peer never comes is settled after twice the retry time', (t) => {
  const lab = new Lab();
  const [a] = pair(lab, { passive: ['n1'] });
  a.speaker.start();
  lab.run(2 * FAST.connectRetry - 1);
  t.false(a.speaker.report().sessions[0]!.settled);
  lab.run(2);
  t.true(a.speaker.report().sessions[0]!.settled);
});

test('a wrong AS is refused by NOTIFICATION, and the wait doubles up to its limit', (t) => {
  const lab = new Lab();
  const specs = numbered(2, () => 65000);
  build(lab, specs, [{ a: 'n1', b: 'n2', passive: ['n1'] }], FAST);
  const node = lab.node('n1');
  const other = new Lab();
  build(other, [specs[0]!, { ...specs[1]!, asn: 65009 }], [{ a: 'n1', b: 'n2' }]);
  // The same wire, but n2 believes to be in another AS.
  lab.add('n2', other.node('n2').speaker.config, FAST);
  lab.start();
  lab.run(120_000);
  const seen = changes(node, 'n2');
  t.true(
    seen.some((change) => change === 'OpenSent>Idle BGPOpenMsgErr: OPEN Message Error/Bad Peer AS'),
    seen.join(),
  );
  t.is(node.speaker.session('n2')?.lastError, 'Error: OPEN Message Error/Bad Peer AS');
  const idle = times(node, 'Idle');
  const active = times(node, 'Active');
  const waits = idle.slice(0, 4).map((at) => active.find((up) => up > at)! - at);
  t.deepEqual(waits, [5000, 10_000, 20_000, 30_000]);
});

test('while idle after an error a speaker refuses its peer', (t) => {
  const lab = new Lab();
  const [a, b] = pair(lab);
  lab.start();
  lab.run(100);
  a.speaker.stopPeer('n2');
  lab.run(10);
  t.deepEqual(changes(b, 'n1').slice(-1), ['Established>Idle NotifMsg: Cease/Administrative Shutdown']);
  t.is(b.speaker.session('n1')?.lastError, 'Received: Cease/Administrative Shutdown');
  lab.run(FAST.idleHold + 100);
  t.is(b.speaker.session('n1')?.lastError, 'Socket: Connection refused');
  a.speaker.startPeer('n2');
  lab.run(100);
  t.is(a.speaker.session('n2')?.state, 'Established');
});

test('a silent peer is lost when the hold time is over, not before', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  lab.start();
  lab.run(40_000);
  lab.cut('n1', 'n2');
  const last = Math.max(...a.log.filter(({ event }) => event.type === 'bgp.received').map(({ at }) => at));
  t.deepEqual(a.routes(), ['10.244.1.0/24', '10.244.2.0/24 10.0.0.2']);
  lab.run(last + FAST.holdTime - lab.now - 1);
  t.is(a.speaker.session('n2')?.state, 'Established');
  lab.run(2);
  t.is(changes(a, 'n2').at(-1), 'Established>Idle HoldTimer_Expires: Hold Timer Expired');
  t.deepEqual(a.routes(), ['10.244.1.0/24']);
  t.deepEqual([...a.fib.keys()], []);
});

test('KEEPALIVEs come between 0.75 and 1 times the interval after the last message', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  lab.start();
  lab.run(1000);
  const before = a.log.length;
  lab.run(600_000);
  const sent = a.log.slice(before).filter(({ event }) => event.type === 'bgp.sent');
  t.true(sent.length >= 20 && sent.length <= 27, `${sent.length}`);
  for (const [i, { at }] of sent.entries()) {
    const gap = i === 0 ? FAST.keepalive : at - sent[i - 1]!.at;
    t.true(gap >= 0.75 * FAST.keepalive && gap <= FAST.keepalive, `${gap}`);
  }
  t.is(a.speaker.session('n2')?.state, 'Established');
});

test('with hold time 0 nobody sends KEEPALIVEs and nobody is lost', (t) => {
  const lab = new Lab();
  const [a, b] = pair(lab, {}, { holdTime: 0 });
  lab.start();
  lab.run(1000);
  lab.cut('n1', 'n2');
  lab.run(3_600_000);
  t.is(a.speaker.session('n2')?.state, 'Established');
  // OPENs (two each while they collide), one KEEPALIVE to confirm, one UPDATE, one End-of-RIB.
  t.true(b.count('bgp.sent') <= 6);
});

test('an external link that goes down takes the session along, which comes back with it', (t) => {
  const lab = new Lab();
  const [a] = pair(lab);
  lab.start();
  lab.run(100);
  lab.cut('n1', 'n2');
  a.speaker.neighborLost('n2', 'Network is down');
  t.is(changes(a, 'n2').at(-2), 'Established>Idle TcpConnectionFails');
  t.is(a.speaker.session('n2')?.lastError, 'Socket: Network is down');
  t.deepEqual(a.routes(), ['10.244.1.0/24']);
  lab.mend('n1', 'n2');
  lab.run(200_000);
  t.is(a.speaker.session('n2')?.state, 'Established');
});

test('a peer that has rebooted is refused while the old session lives, and taken when it is gone', (t) => {
  const lab = new Lab();
  const [a, b] = pair(lab);
  lab.start();
  lab.run(100);
  lab.kill('n2');
  const { config } = b.speaker;
  const reborn = lab.add('n2', config, FAST);
  reborn.speaker.start();
  lab.run(50);
  t.is(a.speaker.session('n2')?.state, 'Established');
  t.true(changes(reborn, 'n1').some((change) => change.endsWith('Cease/Connection Collision Resolution')));
  lab.run(FAST.holdTime + FAST.idleHoldMax + FAST.connectRetry);
  t.is(a.speaker.session('n2')?.state, 'Established');
  t.is(reborn.speaker.session('n1')?.state, 'Established');
  t.deepEqual(reborn.routes(), ['10.244.1.0/24 10.0.0.1', '10.244.2.0/24']);
});

test('with DelayOpen the OPEN waits, and an early OPEN of the peer is answered at once', (t) => {
  const lab = new Lab();
  const specs = numbered(2, () => 65000);
  build(
    lab,
    [{ ...specs[0]!, timings: { delayOpen: 3000 } }, specs[1]!],
    [{ a: 'n1', b: 'n2', passive: ['n2'] }],
  );
  lab.start();
  lab.run(50);
  // n2 sends its OPEN as soon as it has accepted, so n1 goes from Connect to OpenConfirm.
  t.true(changes(lab.node('n1'), 'n2').includes('Connect>OpenConfirm BGPOpen_with_DelayOpenTimer_running'));
  t.is(lab.node('n1').speaker.session('n2')?.state, 'Established');
});
