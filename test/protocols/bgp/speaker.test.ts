import test from 'ava';
import { WellKnown } from '../../../protocols/bgp/community.ts';
import type { LoopAvoidance } from '../../../protocols/bgp/config.ts';
import { BgpConfigError } from '../../../protocols/bgp/config.ts';
import { encodeRouteRefresh } from '../../../protocols/bgp/route-refresh.ts';
import { encodeUpdate } from '../../../protocols/bgp/update.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { route } from './arbitrary.ts';
import { nlri, OWN_ADDRESS, Solo, type SoloPeer } from './solo.ts';

const ip = (text: string) => parseIp4(text)!;
const P = '10.1.0.0/24';
const Q = '10.2.0.0/24';

const EXTERNAL_1: SoloPeer = { name: 'e1', asn: 65001, address: '10.0.0.1' };
const EXTERNAL_2: SoloPeer = { name: 'e2', asn: 65002, address: '10.0.0.2' };
const INTERNAL_1: SoloPeer = { name: 'i1', asn: 65000, address: '10.0.0.11' };
const INTERNAL_2: SoloPeer = { name: 'i2', asn: 65000, address: '10.0.0.12' };
const CLIENT_1: SoloPeer = { ...INTERNAL_1, name: 'c1', address: '10.0.0.21', client: true };
const CLIENT_2: SoloPeer = { ...INTERNAL_1, name: 'c2', address: '10.0.0.22', client: true };

/** A route as an external peer tells it. */
const from = (peer: SoloPeer, asns: readonly number[] = [peer.asn], rest = {}) =>
  route(ip(peer.address), asns, rest);
/** A route as an internal peer tells it. */
const inside = (nextHop: string, asns: readonly number[] = [], rest = {}) =>
  route(ip(nextHop), asns, { localPref: 100, ...rest });

test('a new session gets the whole table and the End-of-RIB marker, an empty table the marker alone', (t) => {
  const solo = new Solo({ asn: 65000, networks: [P, Q] }, [EXTERNAL_1]);
  t.deepEqual(solo.told('e1'), [`+${P} 65000`, `+${Q} 65000`, 'end-of-rib']);
  t.deepEqual(new Solo({ asn: 65000 }, [EXTERNAL_1]).told('e1'), ['end-of-rib']);
});

test('to another AS: own AS in front, own address as next hop, no LOCAL_PREF, no MED of a third', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.announce('e1', from(EXTERNAL_1, [65001, 7], { med: 50, communities: [(65001 << 16) >>> 0] }), P);
  const sent = solo.attributes('e2').get(P);
  t.deepEqual(sent?.asPath, [{ type: 'sequence', asns: [65000, 65001, 7] }]);
  t.is(sent?.nextHop, ip(OWN_ADDRESS));
  t.is(sent?.localPref, null);
  t.is(sent?.med, null);
  t.deepEqual(sent?.communities, [(65001 << 16) >>> 0]);
});

test('inside the AS: path, next hop and MED as they came, LOCAL_PREF 100; next-hop-self where it is set', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, INTERNAL_1, { ...INTERNAL_2, nextHopSelf: true }]);
  solo.announce('e1', from(EXTERNAL_1, [65001], { med: 50 }), P);
  const plain = solo.attributes('i1').get(P);
  t.deepEqual(plain?.asPath, [{ type: 'sequence', asns: [65001] }]);
  t.is(plain?.nextHop, ip(EXTERNAL_1.address));
  t.is(plain?.med, 50);
  t.is(plain?.localPref, 100);
  t.is(solo.attributes('i2').get(P)?.nextHop, ip(OWN_ADDRESS));
});

test('a route of its own has its own address as next hop everywhere', (t) => {
  const solo = new Solo({ asn: 65000, networks: [P] }, [EXTERNAL_1, INTERNAL_1]);
  t.is(solo.attributes('i1').get(P)?.nextHop, ip(OWN_ADDRESS));
  t.deepEqual(solo.attributes('i1').get(P)?.asPath, []);
  t.is(solo.attributes('e1').get(P)?.nextHop, ip(OWN_ADDRESS));
  t.deepEqual(solo.node.fib.size, 0);
});

test('what one internal peer tells goes to no other', (t) => {
  const solo = new Solo({ asn: 65000 }, [INTERNAL_1, INTERNAL_2, EXTERNAL_1]);
  solo.announce('i1', inside('10.0.0.11'), P);
  t.deepEqual(solo.told('i2'), ['end-of-rib']);
  t.deepEqual(solo.told('e1'), ['end-of-rib', `+${P} 65000`]);
});

test('reflection, RFC 4456 §6: clients to all, non-clients to clients, other ASes to all', (t) => {
  const peers = [CLIENT_1, CLIENT_2, INTERNAL_1, INTERNAL_2, EXTERNAL_1];
  const told = (teller: string) => {
    const solo = new Solo({ asn: 65000, clusterId: '10.9.9.9' }, peers);
    solo.forget();
    solo.announce(teller, teller === 'e1' ? from(EXTERNAL_1) : inside('10.0.0.99'), P);
    return peers.filter(({ name }) => solo.told(name).length > 0).map(({ name }) => name);
  };
  t.deepEqual(told('c1'), ['c2', 'i1', 'i2', 'e1']);
  t.deepEqual(told('i1'), ['c1', 'c2', 'e1']);
  t.deepEqual(told('e1'), ['c1', 'c2', 'i1', 'i2']);
});

test('reflection, RFC 4456 §8: ORIGINATOR_ID if there is none, own cluster in front, all else untouched', (t) => {
  const solo = new Solo({ asn: 65000, clusterId: '10.9.9.9' }, [
    CLIENT_1,
    { ...CLIENT_2, nextHopSelf: true },
    EXTERNAL_1,
  ]);
  solo.announce('c1', inside('10.0.0.99', [], { med: 7, localPref: 300 }), P);
  solo.announce('c1', inside('10.0.0.99', [], { originatorId: 5, clusterList: [6] }), Q);
  const sent = solo.attributes('c2');
  t.like(sent.get(P), {
    originatorId: ip('10.0.0.21'),
    clusterList: [ip('10.9.9.9')],
    med: 7,
    localPref: 300,
  });
  t.like(sent.get(Q), { originatorId: 5, clusterList: [ip('10.9.9.9'), 6] });
  t.is(sent.get(P)?.nextHop, ip('10.0.0.99'));
  t.like(solo.attributes('e1').get(P), { originatorId: null, clusterList: [], localPref: null });
});

test('what came by itself is dropped: own AS, own ORIGINATOR_ID, own CLUSTER_ID, own next hop', (t) => {
  const solo = new Solo({ asn: 65000, clusterId: '10.9.9.9' }, [CLIENT_1, CLIENT_2, EXTERNAL_1]);
  solo.forget();
  solo.announce('e1', from(EXTERNAL_1, [65001, 65000, 7]), '10.1.1.0/24');
  solo.announce('c1', inside('10.0.0.99', [], { originatorId: ip(OWN_ADDRESS) }), '10.1.2.0/24');
  solo.announce('c1', inside('10.0.0.99', [], { clusterList: [1, ip('10.9.9.9')] }), '10.1.3.0/24');
  solo.announce('c1', inside(OWN_ADDRESS), '10.1.4.0/24');
  t.deepEqual(solo.node.routes(), []);
  t.deepEqual(solo.told('c2'), []);
  t.is(solo.speaker.session('c1')?.ribIn.size, 3);
  // A loop replaces the good route that was there before.
  solo.announce('c1', inside('10.0.0.99'), P);
  t.deepEqual(solo.node.routes(), [`${P} 10.0.0.99`]);
  solo.announce('c1', inside('10.0.0.99', [], { originatorId: ip(OWN_ADDRESS) }), P);
  t.deepEqual(solo.node.routes(), []);
  t.deepEqual(solo.told('c2'), [`+${P}`, `-${P}`]);
});

test('well-known communities, RFC 1997', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2, INTERNAL_1]);
  solo.forget();
  solo.announce('e1', from(EXTERNAL_1, [65001], { communities: [WellKnown.noExport] }), '10.1.1.0/24');
  solo.announce('e1', from(EXTERNAL_1, [65001], { communities: [WellKnown.noAdvertise] }), '10.1.2.0/24');
  solo.announce(
    'e1',
    from(EXTERNAL_1, [65001], { communities: [WellKnown.noExportSubconfed] }),
    '10.1.3.0/24',
  );
  t.deepEqual(solo.told('e2'), []);
  t.deepEqual(solo.told('i1'), ['+10.1.1.0/24 65001', '+10.1.3.0/24 65001']);
});

for (const [mode, toTeller, toLooped] of [
  ['plain', [`+${P} 65000 65001 65002`], [`+${P} 65000 65001 65002`]],
  ['split-horizon', [], [`+${P} 65000 65001 65002`]],
  ['sender-side-loop-detection', [], []],
] as const satisfies readonly (readonly [LoopAvoidance, readonly string[], readonly string[]])[]) {
  test(`loop avoidance: ${mode}`, (t) => {
    const solo = new Solo({ asn: 65000, loopAvoidance: mode }, [EXTERNAL_1, EXTERNAL_2]);
    solo.forget();
    solo.announce('e1', from(EXTERNAL_1, [65001, 65002]), P);
    t.deepEqual(solo.told('e1'), toTeller);
    t.deepEqual(solo.told('e2'), toLooped);
  });
}

test('with split horizon a peer loses the route when it becomes its own', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.forget();
  solo.announce('e1', from(EXTERNAL_1, [65001, 7, 7]), P);
  solo.announce('e2', from(EXTERNAL_2, [65002]), P);
  t.deepEqual(solo.told('e2'), [`+${P} 65000 65001 7 7`, `-${P}`]);
  t.deepEqual(solo.told('e1'), [`+${P} 65000 65002`]);
});

test('a peer without four-octet AS numbers gets AS_TRANS and AS4_PATH', (t) => {
  const old: SoloPeer = { ...EXTERNAL_2, old: true };
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, old]);
  solo.announce('e1', from(EXTERNAL_1, [65001, 4_200_000_000]), P);
  t.deepEqual(solo.attributes('e2').get(P)?.asPath, [
    { type: 'sequence', asns: [65000, 65001, 4_200_000_000] },
  ]);
  solo.announce('e2', from(old, [65002, 4_200_000_001]), Q);
  t.deepEqual(solo.attributes('e1').get(Q)?.asPath, [
    { type: 'sequence', asns: [65000, 65002, 4_200_000_001] },
  ]);
});

test('the same again changes nothing and tells nobody; a peer is never told what it has', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2, INTERNAL_1]);
  solo.announce('e1', from(EXTERNAL_1, [65001]), P);
  solo.forget();
  const { length } = solo.node.log;
  solo.announce('e1', from(EXTERNAL_1, [65001]), P);
  t.deepEqual(
    solo.node.log.slice(length).map(({ event }) => event.type),
    ['bgp.received'],
  );
  // MED does not go to another AS: inside there is news, outside there is none.
  solo.announce('e1', from(EXTERNAL_1, [65001], { med: 3 }), P);
  t.deepEqual(solo.told('i1'), [`+${P} 65001`]);
  t.deepEqual(solo.told('e2'), []);
});

test('the decision runs once for all that one input brings', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.forget();
  const longer = solo.announcement('e1', from(EXTERNAL_1, [65001, 1, 2]), P, Q);
  const shorter = solo.announcement('e1', from(EXTERNAL_1, [65001, 1]), P);
  const gone = encodeUpdate(nlri([Q]), new Uint8Array(0), new Uint8Array(0));
  const { decisions } = solo.speaker.stats;
  solo.feed('e1', Buffer.concat([longer, shorter, gone]));
  t.is(solo.speaker.stats.decisions - decisions, 1);
  t.deepEqual(solo.told('e2'), [`+${P} 65000 65001 1`]);
});

test('prefixes with equal attributes share a message, withdrawals go first', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.announce('e1', from(EXTERNAL_1, [65001]), '10.9.0.0/24');
  const before = solo.node.count('bgp.sent');
  solo.forget();
  const batch = [
    solo.announcement('e1', from(EXTERNAL_1, [65001, 1]), '10.1.1.0/24'),
    solo.announcement('e1', from(EXTERNAL_1, [65001, 2]), '10.1.2.0/24'),
    solo.announcement('e1', from(EXTERNAL_1, [65001, 1]), '10.1.3.0/24'),
    encodeUpdate(nlri(['10.9.0.0/24']), new Uint8Array(0), new Uint8Array(0)),
  ];
  solo.feed('e1', Buffer.concat(batch));
  t.is(solo.node.count('bgp.sent') - before, 3);
  t.deepEqual(solo.told('e2'), [
    '-10.9.0.0/24',
    '+10.1.1.0/24 65000 65001 1',
    '+10.1.3.0/24 65000 65001 1',
    '+10.1.2.0/24 65000 65001 2',
  ]);
});

test('MRAI holds announcements back, lets withdrawals through, and forgets what came and went', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2], { mraiEbgp: 30_000 });
  solo.forget();
  solo.announce('e1', from(EXTERNAL_1), P);
  t.deepEqual(solo.told('e2'), [`+${P} 65000 65001`]);
  solo.announce('e1', from(EXTERNAL_1), Q);
  solo.announce('e1', from(EXTERNAL_1), '10.3.0.0/24');
  solo.withdraw('e1', '10.3.0.0/24');
  solo.withdraw('e1', P);
  t.deepEqual(solo.told('e2'), [`+${P} 65000 65001`, `-${P}`]);
  t.is(solo.speaker.report().pendingWork, 1);
  solo.lab.run(0.75 * 30_000 - 1);
  t.is(solo.told('e2').length, 2);
  solo.lab.run(0.25 * 30_000 + 1);
  t.deepEqual(solo.told('e2').slice(2), [`+${Q} 65000 65001`]);
  t.is(solo.speaker.report().pendingWork, 0);
});

test('MRAI runs out without effect when there is nothing to tell, and the next news goes at once', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2], { mraiEbgp: 30_000 });
  solo.announce('e1', from(EXTERNAL_1), P);
  solo.lab.run(30_000);
  solo.forget();
  solo.announce('e1', from(EXTERNAL_1), Q);
  t.deepEqual(solo.told('e2'), [`+${Q} 65000 65001`]);
});

test('MRAI for all holds withdrawals back too', (t) => {
  const solo = new Solo({ asn: 65000, mraiAppliesTo: 'all' }, [EXTERNAL_1, EXTERNAL_2], { mraiEbgp: 30_000 });
  solo.announce('e1', from(EXTERNAL_1), P);
  solo.forget();
  solo.withdraw('e1', P);
  t.deepEqual(solo.told('e2'), []);
  solo.lab.run(30_000);
  t.deepEqual(solo.told('e2'), [`-${P}`]);
});

test('MRAI differs for internal and external peers', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2, INTERNAL_1], {
    mraiEbgp: 30_000,
    mraiIbgp: 5000,
  });
  solo.announce('e1', from(EXTERNAL_1), P);
  solo.forget();
  solo.announce('e1', from(EXTERNAL_1), Q);
  solo.lab.run(5000);
  t.deepEqual(solo.told('i1'), [`+${Q} 65001`]);
  t.deepEqual(solo.told('e2'), []);
});

test('ECMP: equal paths are installed together up to the limit', (t) => {
  const third: SoloPeer = { name: 'e3', asn: 65003, address: '10.0.0.3' };
  const solo = new Solo({ asn: 65000, maximumPaths: 2 }, [EXTERNAL_1, EXTERNAL_2, third]);
  solo.announce('e2', from(EXTERNAL_2, [65002, 9]), P);
  solo.announce('e1', from(EXTERNAL_1, [65001, 9]), P);
  solo.announce('e3', from(third, [65003, 9]), P);
  t.deepEqual(solo.node.fib.get(P), ['10.0.0.1', '10.0.0.2']);
  solo.withdraw('e1', P);
  t.deepEqual(solo.node.fib.get(P), ['10.0.0.2', '10.0.0.3']);
  solo.announce('e3', from(third, [65003, 9, 9]), P);
  t.deepEqual(solo.node.fib.get(P), ['10.0.0.2']);
});

test('when the way to a next hop is lost or gets longer, what uses it is decided anew', (t) => {
  const solo = new Solo({ asn: 65000 }, [INTERNAL_1, INTERNAL_2, EXTERNAL_1]);
  solo.announce('i1', inside('10.0.1.1'), P);
  solo.announce('i2', inside('10.0.1.2'), P);
  t.deepEqual(solo.node.routes(), [`${P} 10.0.1.1`]);
  solo.node.metrics.set(ip('10.0.1.1'), 10);
  solo.speaker.fibChanged();
  t.deepEqual(solo.node.routes(), [`${P} 10.0.1.2`]);
  solo.node.unreachable.add(ip('10.0.1.1')).add(ip('10.0.1.2'));
  solo.forget();
  solo.speaker.fibChanged();
  t.deepEqual(solo.node.routes(), []);
  t.deepEqual(solo.told('e1'), [`-${P}`]);
  solo.node.unreachable.clear();
  solo.speaker.fibChanged();
  t.deepEqual(solo.node.routes(), [`${P} 10.0.1.2`]);
});

test('a lost session takes its routes along, and nothing of them stays in memory', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.announce('e1', from(EXTERNAL_1), P, Q);
  solo.announce('e1', from(EXTERNAL_1, [65001, 65000]), '10.3.0.0/24');
  solo.announce('e2', from(EXTERNAL_2, [65002, 1]), Q);
  solo.forget();
  solo.lose('e1');
  t.deepEqual(solo.node.routes(), [`${Q} 10.0.0.2`]);
  t.deepEqual([...solo.node.fib], [[Q, ['10.0.0.2']]]);
  t.deepEqual(solo.told('e2'), [`-${P}`, `-${Q}`]);
  t.is([...solo.speaker.locRib.destinations()].length, 1);
});

test('a faulty UPDATE really removes the old route, and the session lives', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.announce('e1', from(EXTERNAL_1), P, Q);
  solo.forget();
  // ORIGIN 7
  solo.feed('e1', encodeUpdate(new Uint8Array(0), Uint8Array.of(0x40, 1, 1, 7), nlri([P])));
  t.deepEqual(solo.node.routes(), [`${Q} 10.0.0.1`]);
  t.deepEqual(solo.told('e2'), [`-${P}`]);
  t.is(solo.speaker.session('e1')?.state, 'Established');
  t.is(solo.speaker.session('e1')?.stats.treatedAsWithdraw, 1);
  t.is(solo.speaker.lastFaults[0]?.attribute, 1);
});

test('an UPDATE that cannot be read ends the session with the NOTIFICATION of RFC 4271 §6.3', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.announce('e1', from(EXTERNAL_1), P);
  solo.forget();
  solo.feed('e1', encodeUpdate(new Uint8Array(0), new Uint8Array(0), Uint8Array.of(33, 1, 2, 3, 4, 5)));
  t.deepEqual(solo.told('e1'), ['UPDATE Message Error/Invalid Network Field']);
  t.is(solo.speaker.session('e1')?.state, 'Idle');
  t.deepEqual(solo.told('e2'), [`-${P}`]);
});

test('bytes after the message that ended a session are not read', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1]);
  const bad = encodeUpdate(new Uint8Array(0), new Uint8Array(0), Uint8Array.of(33));
  const received = solo.node.count('bgp.received');
  solo.feed('e1', Buffer.concat([bad, solo.announcement('e1', from(EXTERNAL_1), P)]));
  t.is(solo.node.count('bgp.received'), received + 1);
  t.deepEqual(solo.node.routes(), []);
});

test('a ROUTE-REFRESH is answered with all that the peer holds', (t) => {
  const solo = new Solo({ asn: 65000, networks: [P, Q] }, [EXTERNAL_1]);
  solo.forget();
  solo.feed('e1', encodeRouteRefresh({ family: { afi: 1, safi: 1 }, subtype: 0 }));
  t.deepEqual(solo.told('e1'), [`+${P} 65000`, `+${Q} 65000`]);
});

test('originating and withdrawing', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1]);
  solo.forget();
  solo.speaker.originate(P);
  solo.speaker.originate(P);
  t.deepEqual(solo.told('e1'), [`+${P} 65000`]);
  solo.speaker.withdraw(P);
  solo.speaker.withdraw(P);
  t.deepEqual(solo.told('e1'), [`+${P} 65000`, `-${P}`]);
  t.deepEqual([solo.node.count('bgp.originated'), solo.node.count('bgp.unoriginated')], [1, 1]);
  t.throws(() => solo.speaker.originate('10.0.0.0/33'), { instanceOf: BgpConfigError });
});

test('a route of its own is preferred to a learned one, which takes its place when it goes', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.announce('e1', from(EXTERNAL_1), P);
  solo.speaker.originate(P);
  t.deepEqual(solo.node.routes(), [P]);
  t.deepEqual([...solo.node.fib], []);
  solo.speaker.withdraw(P);
  t.deepEqual(solo.node.routes(), [`${P} 10.0.0.1`]);
});

test('a full send buffer stops the flow, and it goes on when there is room; nothing is lost or repeated', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  solo.forget();
  solo.node.window = 100;
  const prefixes = Array.from({ length: 40 }, (_, i) => `10.1.${i}.0/24`);
  const each = prefixes.map((prefix, i) => solo.announcement('e1', from(EXTERNAL_1, [65001, i + 1]), prefix));
  solo.feed('e1', Buffer.concat(each));
  const early = solo.told('e2').length;
  t.true(early < 5, `${early}`);
  t.true(solo.speaker.report().pendingWork > 30);
  // What changes meanwhile is sent in its last state only.
  solo.withdraw('e1', '10.1.39.0/24');
  solo.lab.run(100);
  t.is(solo.speaker.report().pendingWork, 0);
  t.deepEqual(
    solo.told('e2').sort(),
    prefixes
      .slice(0, 39)
      .map((prefix, i) => `+${prefix} 65000 65001 ${i + 1}`)
      .sort(),
  );
});

test('causes: an UPDATE follows from the best-path change of what it carries, that from the UPDATE received', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2], { mraiEbgp: 10_000 });
  const { log } = solo.node;
  solo.announce('e1', from(EXTERNAL_1), P);
  const start = log.length;
  solo.feed('e1', solo.announcement('e1', from(EXTERNAL_1, [65001, 1]), Q), 4711);
  solo.feed('e1', solo.announcement('e1', from(EXTERNAL_1, [65001, 1]), '10.3.0.0/24'), 4712);
  const [first, , second, best] = log.slice(start);
  t.is(first?.cause, 4711);
  t.is(second?.cause, 4712);
  t.is(best?.event.type, 'bgp.best');
  t.is(best?.cause, second?.id);
  solo.lab.run(10_000);
  const sent = log.findLast(({ event }) => event.type === 'bgp.sent');
  // Both prefixes in one message: the later change is the cause.
  t.is(sent?.cause, best?.id);
  t.deepEqual(solo.told('e2').slice(-2), [`+${Q} 65000 65001 1`, '+10.3.0.0/24 65000 65001 1']);
});

test('causes: messages that come in one chunk each stand for themselves', (t) => {
  const solo = new Solo({ asn: 65000 }, [EXTERNAL_1, EXTERNAL_2]);
  const start = solo.node.log.length;
  const one = solo.announcement('e1', from(EXTERNAL_1, [65001, 1]), P);
  const two = solo.announcement('e1', from(EXTERNAL_1, [65001, 2]), Q);
  solo.feed('e1', Buffer.concat([one, two]), 99);
  const rows = solo.node.log.slice(start);
  const ids = (type: string) => rows.filter(({ event }) => event.type === type);
  t.deepEqual(
    ids('bgp.received').map(({ cause }) => cause),
    [99, 99],
  );
  t.deepEqual(
    ids('bgp.best').map(({ cause }) => cause),
    ids('bgp.received').map(({ id }) => id),
  );
  t.deepEqual(
    ids('bgp.sent').map(({ cause }) => cause),
    ids('bgp.best').map(({ id }) => id),
  );
});

test('configuration errors are told', (t) => {
  t.throws(() => new Solo({ asn: 1, routerId: 'x' }, []), { message: 'x is not a valid BGP router id' });
  t.throws(() => new Solo({ asn: 1, networks: ['10.0.0.0'.repeat(2)] }, []), { instanceOf: BgpConfigError });
  const twice = [EXTERNAL_1, { ...EXTERNAL_2, address: EXTERNAL_1.address }];
  t.throws(() => new Solo({ asn: 1 }, twice), { message: /configured twice/ });
});
