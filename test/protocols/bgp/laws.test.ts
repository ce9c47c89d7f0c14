import test from 'ava';
import { decodeMessage } from '../../../protocols/bgp/message.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { route } from './arbitrary.ts';
import { FAST, Lab } from './lab.ts';
import { RawPeer } from './solo.ts';
import { build, everyPair, numbered } from './topology.ts';

/** Far above the delay of a link, so that time goes by in rounds. */
const MRAI = 30_000;
const PREFIX = '10.1.0.0/24';

/** A full mesh of ASes, the first of which originates a prefix. Timers do not vary: rounds stay in step. */
function clique(n: number): Lab {
  const lab = new Lab({ delay: 1, unit: () => () => 1 });
  const specs = numbered(n, (i) => 65000 + i).map((spec, i) => ({
    ...spec,
    networks: i === 0 ? [PREFIX] : [],
    loopAvoidance: 'plain' as const,
  }));
  build(lab, specs, everyPair(specs.map(({ name }) => name)), { ...FAST, mraiEbgp: MRAI });
  return lab;
}

function count(lab: Lab, since: number) {
  const total = { announcements: 0, withdrawals: 0, lastChange: 0 };
  for (const { log } of lab.nodes.values()) {
    for (const { at, event } of log) {
      if (at < since) continue;
      if (event.type === 'bgp.best') total.lastChange = Math.max(total.lastChange, at - since);
      const message = event.type === 'bgp.sent' ? decodeMessage(event.message) : null;
      if (message?.type !== 'update') continue;
      const withdrawal = message.body[0] !== 0 || message.body[1] !== 0;
      if (withdrawal) total.withdrawals++;
      else total.announcements++;
    }
  }
  return total;
}

for (const n of [3, 4, 5, 6, 7]) {
  test(`withdrawal in a clique of ${n}: (n-3) MRAI, the known numbers of messages`, (t) => {
    const lab = clique(n);
    lab.start();
    lab.run(10 * MRAI);
    const before = lab.now;
    lab.node('n1').speaker.withdraw(PREFIX);
    lab.run(40 * MRAI);
    const { announcements, withdrawals, lastChange } = count(lab, before);
    t.is(announcements, ((n - 2) * (n - 1) * (n + 1)) / 2);
    t.is(withdrawals, n * (n - 1));
    t.is(Math.round(lastChange / MRAI), n - 3);
    for (const node of lab.nodes.values()) t.deepEqual(node.routes(), []);
  });
}

test('announcement in a clique: one hop', (t) => {
  const lab = clique(6);
  lab.node('n1').speaker.withdraw(PREFIX);
  lab.start();
  lab.node('n1').speaker.withdraw(PREFIX);
  lab.run(10 * MRAI);
  const before = lab.now;
  lab.node('n1').speaker.originate(PREFIX);
  lab.run(10 * MRAI);
  t.is(count(lab, before).lastChange, 1);
});

/**
 * RFC 3345 §2.1: two clusters, paths by AS 10 and, with different MEDs, twice by AS 6. The reflectors drive each other in a
 * circle for ever, as each hides from the other what it would need to see.
 */
function persistentOscillation(compareMed: 'same-as' | 'always'): Lab {
  const lab = new Lab({ delay: 10 });
  const shared = { asn: 65000, compareMed };
  build(
    lab,
    [
      { ...shared, name: 'ra', address: '10.0.0.1', clusterId: '0.0.0.1' },
      { ...shared, name: 'rb', address: '10.0.0.2' },
      { ...shared, name: 'rc', address: '10.0.0.3' },
      { ...shared, name: 'rd', address: '10.0.0.4', clusterId: '0.0.0.2' },
      { ...shared, name: 're', address: '10.0.0.5' },
      { name: 'x10', asn: 10, address: '10.9.0.10' },
      { name: 'x6c', asn: 6, address: '10.9.0.6' },
      { name: 'x6e', asn: 6, address: '10.9.0.7' },
    ],
    [
      { a: 'ra', b: 'rb', client: 'rb', nextHopSelf: ['rb'] },
      { a: 'ra', b: 'rc', client: 'rc', nextHopSelf: ['rc'] },
      { a: 'rd', b: 're', client: 're', nextHopSelf: ['re'] },
      { a: 'ra', b: 'rd' },
      { a: 'rb', b: 'x10', passive: ['rb'] },
      { a: 'rc', b: 'x6c', passive: ['rc'] },
      { a: 're', b: 'x6e', passive: ['re'] },
    ],
  );
  // The next hop is the border router itself. Costs of the interior links: a-b 5, a-c 4, a-d 1, d-e 12.
  const cost = (node: string, entries: Record<string, number>) => {
    for (const [addr, metric] of Object.entries(entries)) lab.node(node).metrics.set(parseIp4(addr)!, metric);
  };
  cost('ra', { '10.0.0.2': 5, '10.0.0.3': 4, '10.0.0.5': 13 });
  cost('rd', { '10.0.0.2': 6, '10.0.0.3': 5, '10.0.0.5': 12 });
  for (const name of ['ra', 'rb', 'rc', 'rd', 're']) lab.node(name).speaker.start();
  lab.run(1000);
  const tell = (to: string, address: string, asn: number, med: number) => {
    const node = lab.node(to);
    const peer = new RawPeer(node, { name: '', asn, address }, node.speaker.config.routerId);
    peer.announce(route(parseIp4(address)!, [asn, 100], { med }), PREFIX);
  };
  tell('rb', '10.9.0.10', 10, 10);
  tell('rc', '10.9.0.6', 6, 1);
  tell('re', '10.9.0.7', 6, 0);
  return lab;
}

test('RFC 3345: MEDs make two reflectors oscillate for ever', (t) => {
  const lab = persistentOscillation('same-as');
  lab.run(100_000);
  const before = lab.node('ra').count('bgp.best');
  lab.run(100_000);
  t.true(lab.node('ra').count('bgp.best') - before > 1000);
});

test('RFC 3345: with always-compare-med they settle', (t) => {
  const lab = persistentOscillation('always');
  lab.run(10_000);
  const before = lab.now;
  lab.run(100_000);
  t.is(lab.node('ra').count('bgp.best', before), 0);
  t.deepEqual(lab.node('ra').routes(), [`${PREFIX} 10.0.0.5`]);
});
