import test from 'ava';
import fc from 'fast-check';
import { formatAsPath } from '../../../protocols/bgp/as-path.ts';
import { WellKnown } from '../../../protocols/bgp/community.ts';
import type { GracefulRestartConfig, NeighborOptions, SpeakerConfig } from '../../../protocols/bgp/config.ts';
import { formatKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import type { Path } from '../../../protocols/bgp/path.ts';
import { checkFolds } from '../../support/bgp-fold.ts';
import { FAST, Lab, type LabNode } from './lab.ts';
import { build, type LinkSpec, type SpeakerSpec } from './topology.ts';

const P = '10.9.0.0/24';

function speaker(i: number, asn: number, rest: Partial<SpeakerSpec> = {}): SpeakerSpec {
  return { name: `n${i}`, asn, address: `10.0.0.${i}`, ...rest };
}

function link(a: number, b: number, options: Record<string, Partial<NeighborOptions>> = {}): LinkSpec {
  return { a: `n${a}`, b: `n${b}`, options };
}

function run(specs: readonly SpeakerSpec[], links: readonly LinkSpec[]): Lab {
  const lab = new Lab();
  build(lab, specs, links);
  lab.start();
  lab.converge();
  return lab;
}

function paths(node: LabNode, prefix: string): readonly Path[] {
  const found = [...node.speaker.locRib.destinations()].find(({ key }) => formatKey(key) === prefix);
  return found?.paths ?? [];
}

const told = (node: LabNode, peer: string) =>
  [...(node.speaker.session(peer)?.advertiser?.advertised() ?? [])].map(([{ key }, id]) => [
    formatKey(key),
    id,
  ]);

// ---- families

test('IPv6 prefixes go over an IPv4 session, with the mapped address as next hop where no other is set', (t) => {
  const both: Partial<NeighborOptions> = { families: ['ipv4', 'ipv6'] };
  const lab = run(
    [speaker(1, 65001, { networks: [P, '2001:db8:1::/48', '::/0'] }), speaker(2, 65002), speaker(3, 65003)],
    [link(1, 2, { n1: both, n2: both }), link(2, 3, { n2: { ...both, nextHop6: '2001:db8::2' }, n3: both })],
  );
  t.deepEqual(lab.node('n2').routes(), [
    '10.9.0.0/24 10.0.0.1',
    '2001:db8:1::/48 ::ffff:10.0.0.1',
    '::/0 ::ffff:10.0.0.1',
  ]);
  t.deepEqual(lab.node('n3').routes(), [
    '10.9.0.0/24 10.0.0.2',
    '2001:db8:1::/48 2001:db8::2',
    '::/0 2001:db8::2',
  ]);
  t.deepEqual(formatAsPath(paths(lab.node('n3'), '2001:db8:1::/48')[0]!.attributes.asPath), '65002 65001');
  checkFolds(t, lab);
  lab.node('n1').speaker.withdraw('2001:db8:1::/48');
  lab.converge();
  t.false(
    lab
      .node('n3')
      .routes()
      .some((row) => row.startsWith('2001:db8:1::')),
  );
  checkFolds(t, lab);
});

test('a family that one end does not carry is not spoken of', (t) => {
  const lab = run(
    [speaker(1, 65001, { networks: [P, '2001:db8:1::/48'] }), speaker(2, 65002)],
    [link(1, 2, { n1: { families: ['ipv4', 'ipv6'] } })],
  );
  t.deepEqual(lab.node('n2').routes(), ['10.9.0.0/24 10.0.0.1']);
  checkFolds(t, lab);
});

test('without a family in common the session is refused with the capability that is missing', (t) => {
  const lab = new Lab();
  build(lab, [speaker(1, 65001), speaker(2, 65002)], [link(1, 2, { n1: { families: ['ipv6'] } })]);
  lab.start();
  lab.run(5_000);
  t.is(lab.node('n1').speaker.session('n2')?.state === 'Established', false);
  t.regex(lab.node('n1').speaker.session('n2')!.lastError, /Unsupported Capability/);
});

// ---- ADD-PATH

test('with ADD-PATH a reflector tells its client of every path, and of each withdrawal', (t) => {
  const add: Partial<NeighborOptions> = { addPath: 'both' };
  const lab = run(
    [
      speaker(1, 65001, { networks: [P] }),
      speaker(2, 65002, { networks: [P] }),
      speaker(3, 65000, { clusterId: '1.1.1.1' }),
      speaker(4, 65000),
      speaker(5, 65000),
    ],
    [
      link(1, 3),
      link(2, 3),
      { ...link(3, 4, { n3: add, n4: { addPath: 'receive' } }), client: 'n4' },
      { ...link(3, 5), client: 'n5' },
    ],
  );
  const { n4, n5 } = { n4: lab.node('n4'), n5: lab.node('n5') };
  t.deepEqual(
    paths(n4, P)
      .map(({ attributes }) => formatAsPath(attributes.asPath))
      .sort(),
    ['65001', '65002'],
  );
  t.is(new Set(paths(n4, P).map(({ pathId }) => pathId)).size, 2);
  t.is(paths(n5, P).length, 1);
  checkFolds(t, lab);

  const best = formatAsPath(paths(n5, P)[0]!.attributes.asPath);
  const other = best === '65001' ? 'n2' : 'n1';
  lab.node(other).speaker.withdraw(P);
  lab.converge();
  t.deepEqual(
    paths(n4, P).map(({ attributes }) => formatAsPath(attributes.asPath)),
    [best],
  );
  checkFolds(t, lab);
  lab.node(other === 'n1' ? 'n2' : 'n1').speaker.withdraw(P);
  lab.converge();
  t.deepEqual([paths(n4, P), told(lab.node('n3'), 'n4')], [[], []]);
  checkFolds(t, lab);
});

test('a limit of paths keeps the best ones', (t) => {
  const lab = run(
    [
      speaker(1, 65001, { networks: [P] }),
      speaker(2, 65002, { networks: [P] }),
      speaker(3, 65003, { networks: [P] }),
      speaker(4, 65004),
      speaker(5, 65005),
    ],
    [
      link(1, 4),
      link(2, 4),
      link(3, 4),
      link(4, 5, { n4: { addPath: 'send', addPathLimit: 2 }, n5: { addPath: 'receive' } }),
    ],
  );
  t.deepEqual(
    paths(lab.node('n5'), P)
      .map(({ attributes }) => formatAsPath(attributes.asPath))
      .sort(),
    ['65004 65001', '65004 65002'],
  );
  lab.node('n1').speaker.withdraw(P);
  lab.converge();
  t.deepEqual(
    paths(lab.node('n5'), P)
      .map(({ attributes }) => formatAsPath(attributes.asPath))
      .sort(),
    ['65004 65002', '65004 65003'],
  );
  checkFolds(t, lab);
});

// ---- route refresh

test('a refresh brings everything again, marked where both know how, and sweeps what is gone', (t) => {
  const lab = run([speaker(1, 65001, { networks: [P, '10.8.0.0/24'] }), speaker(2, 65002)], [link(1, 2)]);
  const n2 = lab.node('n2');
  const before = n2.count('bgp.received');
  t.true(n2.speaker.requestRefresh('n1', 'ipv4'));
  lab.converge();
  // BoRR, one UPDATE with both prefixes, EoRR.
  t.is(n2.count('bgp.received') - before, 3);
  t.deepEqual(n2.routes().length, 2);
  t.is(n2.speaker.session('n1')!.ribIn.staleCount, 0);
  t.false(n2.speaker.requestRefresh('n1', 'ipv6'));
  checkFolds(t, lab);
});

// ---- graceful restart

const GR = { gracefulRestart: { restartTime: 10_000 } };

test('routes of a peer whose connection fails are kept, and stay when it comes back with its forwarding state', (t) => {
  const lab = run(
    [speaker(1, 65001, { networks: [P], ...GR }), speaker(2, 65002, GR), speaker(3, 65003)],
    [link(1, 2), link(2, 3)],
  );
  const fibChanges = lab.node('n2').count('bgp.best');
  lab.cut('n1', 'n2');
  lab.reset('n1', 'n2');
  lab.run(1_000);
  t.deepEqual(lab.node('n2').routes(), [`${P} 10.0.0.1`]);
  t.is(lab.node('n2').speaker.session('n1')!.ribIn.staleCount, 1);
  checkFolds(t, lab);
  lab.run(9_500);
  t.deepEqual(lab.node('n2').routes(), []);
  t.deepEqual(lab.node('n3').routes(), []);
  t.is(lab.node('n2').count('bgp.best'), fibChanges + 1);
  checkFolds(t, lab);
});

test('a peer that comes back without its forwarding state loses its routes at once, and tells them anew', (t) => {
  const lab = run([speaker(1, 65001, { networks: [P], ...GR }), speaker(2, 65002, GR)], [link(1, 2)]);
  lab.reset('n1', 'n2');
  lab.converge();
  t.deepEqual(lab.node('n2').routes(), [`${P} 10.0.0.1`]);
  t.is(lab.node('n2').speaker.session('n1')!.ribIn.staleCount, 0);
  const swept = lab
    .node('n2')
    .log.filter(({ event }) => event.type === 'bgp.stale' && event.what === 'swept');
  t.is(swept.length, 1);
  checkFolds(t, lab);
});

test('a speaker that restarts with its forwarding state disturbs nobody, and tells nothing before it has heard all', (t) => {
  const specs = [
    speaker(1, 65001, { networks: [P], ...GR }),
    speaker(2, 65002, GR),
    speaker(3, 65003, { networks: ['10.7.0.0/24'], ...GR }),
  ];
  const links = [link(1, 2), link(2, 3)];
  const lab = run(specs, links);
  const before = [lab.node('n1').count('bgp.best'), lab.node('n3').count('bgp.best')];
  lab.reset('n1', 'n2');
  lab.reset('n3', 'n2');
  lab.kill('n2');
  lab.run(500);
  t.deepEqual(lab.node('n3').routes(), [`10.7.0.0/24`, `${P} 10.0.0.2`]);
  const other = new Lab();
  const config = build(other, specs, links).find(({ name }) => name === 'n2')!.speaker.config;
  const n2 = lab.add('n2', config);
  let done = 0;
  n2.speaker.restart('daemon-forwarding-kept', 5_000, () => {
    done = lab.now;
  });
  n2.speaker.start();
  lab.run(4_000);
  t.true(done > 0);
  lab.converge();
  const opens = n2.log.flatMap(({ event }) =>
    event.type === 'bgp.sent' && event.message[18] === 1 ? [event] : [],
  );
  t.true(opens.length >= 2);
  // Every UPDATE of n2 came after it had heard from both.
  const heard = n2.log
    .filter(({ event }) => event.type === 'bgp.received' && event.message.length === 23)
    .map(({ at }) => at);
  const said = n2.log
    .filter(({ event }) => event.type === 'bgp.sent' && event.message[18] === 2)
    .map(({ at }) => at);
  t.is(heard.length, 2);
  t.true(Math.min(...said) >= Math.max(...heard));
  t.deepEqual(
    [lab.node('n1').count('bgp.best'), lab.node('n3').count('bgp.best')],
    before,
    'nobody chose anew',
  );
  t.is(lab.node('n1').speaker.session('n2')!.ribIn.staleCount, 0);
  checkFolds(t, lab);
});

test('a NOTIFICATION ends it all, unless both ends know RFC 8538', (t) => {
  const lab = run([speaker(1, 65001, { networks: [P], ...GR }), speaker(2, 65002, GR)], [link(1, 2)]);
  lab.node('n1').speaker.shutdown();
  lab.run(50);
  t.deepEqual(lab.node('n2').routes(), []);
  checkFolds(t, lab);
  const again = run([speaker(1, 65001, { networks: [P], ...GR }), speaker(2, 65002, GR)], [link(1, 2)]);
  again.cut('n1', 'n2');
  // The hold time of FAST: n2 sends the NOTIFICATION, keeps the routes, and gives them up after the restart time.
  again.run(FAST.holdTime + 100);
  t.not(again.node('n2').speaker.session('n1')?.state, 'Established');
  t.deepEqual(again.node('n2').routes(), [`${P} 10.0.0.1`]);
  again.run(10_000);
  t.deepEqual(again.node('n2').routes(), []);
  checkFolds(t, again);
});

test('long-lived stale routes are the last choice, marked, and end with their time', (t) => {
  const llgr = { gracefulRestart: { restartTime: 1_000, longLivedTime: 60_000 } };
  const lab = run(
    [
      speaker(1, 65001, { networks: [P, '10.8.0.0/24'], ...llgr }),
      speaker(2, 65002, llgr),
      speaker(3, 65003, { networks: [P], ...llgr }),
      speaker(4, 65004),
      speaker(5, 65005, llgr),
    ],
    [link(1, 2), link(2, 3), link(2, 4), link(2, 5)],
  );
  t.is(
    paths(lab.node('n2'), P).find((path) => path === lab.node('n2').speaker.locRib.get(parseKey(P)!)?.best)
      ?.peer?.name,
    'n1',
  );
  lab.cut('n1', 'n2');
  lab.reset('n1', 'n2');
  lab.run(2_000);
  // n3's path to P is preferred now; of the other prefix there is only the stale one.
  t.deepEqual(lab.node('n2').routes(), ['10.8.0.0/24 10.0.0.1', `${P} 10.0.0.3`]);
  t.true(paths(lab.node('n5'), '10.8.0.0/24')[0]!.attributes.communities.includes(WellKnown.llgrStale));
  t.deepEqual(paths(lab.node('n4'), '10.8.0.0/24'), [], 'a peer that does not know of it is not told');
  checkFolds(t, lab);
  lab.run(60_000);
  t.deepEqual(lab.node('n2').routes(), [`${P} 10.0.0.3`]);
  checkFolds(t, lab);
});

test('RFC 9494 §4.6: inside the AS a peer that does not know LLGR gets stale routes as the last choice, and keeps them there', (t) => {
  const llgr = { gracefulRestart: { restartTime: 1_000, longLivedTime: 60_000 } };
  const lab = run(
    [
      speaker(1, 65001, { networks: [P], ...llgr }),
      speaker(2, 65002, llgr),
      speaker(3, 65002),
      speaker(4, 65002, llgr),
    ],
    [link(1, 2), link(2, 3), link(2, 4)],
  );
  lab.cut('n1', 'n2');
  lab.reset('n1', 'n2');
  lab.run(2_000);
  const at = (name: string) => paths(lab.node(name), P)[0]!.attributes;
  t.deepEqual(at('n3').communities, [WellKnown.llgrStale, WellKnown.noExport]);
  t.is(at('n3').localPref, 0);
  t.deepEqual(at('n4').communities, [WellKnown.llgrStale]);
  t.is(at('n4').localPref, 100);
});

// ---- attributes for external peers

test('allowas-in, as-override, private AS numbers, MED and LOCAL_PREF', (t) => {
  const lab = run(
    [speaker(1, 65001, { networks: [P] }), speaker(2, 100), speaker(3, 65001), speaker(4, 200)],
    [
      link(1, 2, { n2: { localPref: 333 } }),
      link(2, 3, { n2: { med: 42 }, n3: { allowAsIn: 1 } }),
      link(2, 4, { n2: { privateAs: 'remove' } }),
    ],
  );
  const [n2] = paths(lab.node('n2'), P);
  const [n3] = paths(lab.node('n3'), P);
  const [n4] = paths(lab.node('n4'), P);
  t.is(n2!.attributes.localPref, 333);
  t.is(n2!.received.localPref, null);
  t.is(n3!.attributes.med, 42);
  t.is(formatAsPath(n3!.attributes.asPath), '100 65001');
  t.is(formatAsPath(n4!.attributes.asPath), '100');
  const override = run(
    [speaker(1, 65001, { networks: [P] }), speaker(2, 100), speaker(3, 65001)],
    [link(1, 2), link(2, 3, { n2: { asOverride: 'on' } })],
  );
  t.is(formatAsPath(paths(override.node('n3'), P)[0]!.attributes.asPath), '100 100');
  checkFolds(t, lab);
});

test('RFC 8212: without a policy nothing is taken from, or told to, an external peer', (t) => {
  const lab = run(
    [
      speaker(1, 65001, { networks: [P] }),
      speaker(2, 65002, { ebgpRequiresPolicy: 'on' }),
      speaker(3, 65003),
    ],
    [link(1, 2), link(2, 3)],
  );
  t.deepEqual(lab.node('n2').routes(), []);
  const [kept] = [...lab.node('n2').speaker.session('n1')!.ribIn.routes()];
  t.is(kept?.path.rejection, 'no-import-policy');
  checkFolds(t, lab);
});

// ---- limits

test('too many prefixes: a warning on the way, then Cease, and no further attempt before its time', (t) => {
  const networks = Array.from({ length: 8 }, (_, i) => `10.${i}.0.0/16`);
  const lab = new Lab();
  build(
    lab,
    [speaker(1, 65001, { networks: networks.slice(0, 3) }), speaker(2, 65002)],
    [link(1, 2, { n2: { maximumPrefixes: { limit: 4, warnAt: 0.7, restartAfter: 30_000 } } })],
  );
  lab.start();
  lab.converge();
  const n2 = lab.node('n2');
  t.is(n2.count('bgp.notice'), 1);
  t.is(n2.routes().length, 3);
  for (const network of networks.slice(3)) lab.node('n1').speaker.originate(network);
  lab.run(100);
  t.deepEqual(n2.routes(), []);
  t.regex(n2.speaker.session('n1')!.lastError, /Maximum Number of Prefixes Reached/);
  lab.run(20_000);
  t.is(n2.speaker.session('n1')!.state, 'Idle');
  for (const network of networks.slice(3)) lab.node('n1').speaker.withdraw(network);
  lab.run(15_000);
  t.is(n2.speaker.session('n1')!.state, 'Established');
  t.is(n2.routes().length, 3);
  checkFolds(t, lab);
});

test('peers from a range are taken up to their limit, and forgotten when they have gone', (t) => {
  const lab = new Lab();
  build(lab, [speaker(1, 65001, { networks: [P] }), speaker(2, 65002), speaker(3, 65009)], []);
  const hub: SpeakerConfig = {
    asn: 65000,
    routerId: '10.0.0.9',
    networks: [],
    maximumPaths: 1,
    neighbors: [],
    dynamicNeighbors: [
      {
        prefix: '10.0.0.0/29',
        remoteAs: [65001, 65002],
        limit: 1,
        routeReflectorClient: false,
        nextHopSelf: false,
        passive: true,
        ttl: 1,
      },
    ],
  };
  const node = lab.add('hub', hub);
  node.own.add((10 << 24) | 9);
  const spoke = (i: number, asn: number) =>
    lab.add(`s${i}`, {
      asn,
      routerId: `10.0.0.${i}`,
      networks: [`10.1.${i}.0/24`],
      maximumPaths: 1,
      neighbors: [
        {
          name: 'hub',
          address: '10.0.0.9',
          localAddress: `10.0.0.${i}`,
          remoteAs: 65000,
          routeReflectorClient: false,
          nextHopSelf: false,
          passive: false,
          ttl: 1,
        },
      ],
    });
  const first = spoke(4, 65001);
  const second = spoke(5, 65002);
  const outside = spoke(12, 65001);
  node.speaker.start();
  first.speaker.start();
  lab.run(500);
  second.speaker.start();
  outside.speaker.start();
  lab.run(2_000);
  t.deepEqual(
    [...node.speaker.sessions()].map(({ name, state }) => [name, state]),
    [['10.0.0.4', 'Established']],
  );
  t.deepEqual(node.routes(), ['10.1.4.0/24 10.0.0.4']);
  checkFolds(t, lab);
  first.speaker.shutdown();
  lab.run(100);
  t.deepEqual(node.routes(), []);
  t.false([...node.speaker.sessions()].some(({ name }) => name === '10.0.0.4'));
  checkFolds(t, lab);
});

test('a peer that takes no byte is given up after the send hold time, with bounded memory', (t) => {
  const lab = new Lab();
  const networks = Array.from({ length: 2_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
  build(
    lab,
    [
      speaker(1, 65001, { networks, timings: { sendHold: 5_000, holdTime: 0 } }),
      speaker(2, 65002, { timings: { holdTime: 0 } }),
    ],
    [link(1, 2)],
  );
  const n1 = lab.node('n1');
  lab.start();
  lab.run(2);
  n1.window = 4_000;
  lab.run(300);
  n1.window = 0;
  for (const network of networks.slice(0, 500)) n1.speaker.withdraw(network);
  lab.run(1);
  t.true(n1.speaker.session('n2')!.blocked);
  lab.run(6_000);
  t.regex(n1.speaker.session('n2')!.lastError, /Send Hold Timer Expired/);
});

test('whatever is said when a session is shut down reaches the other operator', (t) => {
  const lab = run([speaker(1, 65001), speaker(2, 65002)], [link(1, 2)]);
  lab.node('n1').speaker.stopPeer('n2', 'maintenance until 10:00 – ☎ 123');
  lab.run(50);
  t.is(
    lab.node('n2').speaker.session('n1')!.lastError,
    'Received: Cease/Administrative Shutdown: "maintenance until 10:00 – ☎ 123"',
  );
});

// ---- damping

test('a route that flaps is suppressed, and used again when its penalty has decayed', (t) => {
  const damping = { halfLife: 60_000, suppress: 2_500, reuse: 750, maxSuppress: 240_000 };
  const lab = run([speaker(1, 65001, { networks: [P] }), speaker(2, 65002, { damping })], [link(1, 2)]);
  const n1 = lab.node('n1');
  for (let i = 0; i < 3; i++) {
    n1.speaker.withdraw(P);
    lab.run(100);
    n1.speaker.originate(P);
    lab.run(100);
  }
  t.deepEqual(lab.node('n2').routes(), []);
  t.is([...lab.node('n2').speaker.session('n1')!.ribIn.routes()][0]?.path.rejection, 'damped');
  checkFolds(t, lab);
  // From about 3000 to 750 are two half-lives.
  lab.run(100_000);
  t.deepEqual(lab.node('n2').routes(), []);
  lab.run(30_000);
  t.deepEqual(lab.node('n2').routes(), [`${P} 10.0.0.1`]);
  checkFolds(t, lab);
});

test('as in FRR, routes of internal peers are not damped: the routers of the AS would disagree', (t) => {
  const damping = { halfLife: 60_000, suppress: 2_500, reuse: 750, maxSuppress: 240_000 };
  const lab = run([speaker(1, 65001, { networks: [P] }), speaker(2, 65001, { damping })], [link(1, 2)]);
  for (let i = 0; i < 4; i++) {
    lab.node('n1').speaker.withdraw(P);
    lab.run(100);
    lab.node('n1').speaker.originate(P);
    lab.run(100);
  }
  t.deepEqual(lab.node('n2').routes(), [`${P} 10.0.0.1`]);
});

// ---- everything at once

test('whatever happens, the fold of the events is the state, and nothing stays unsaid', (t) => {
  const option: fc.Arbitrary<Partial<NeighborOptions>> = fc.record(
    {
      families: fc.constantFrom<readonly ('ipv4' | 'ipv6')[]>(['ipv4'], ['ipv4', 'ipv6']),
      addPath: fc.constantFrom('off', 'receive', 'send', 'both'),
      addPathLimit: fc.integer({ min: 1, max: 3 }),
      extendedMessages: fc.constantFrom('on', 'off'),
      gracefulRestart: fc.constantFrom<GracefulRestartConfig | 'off'>(
        'off',
        { restartTime: 1_000 },
        { restartTime: 1_000, longLivedTime: 2_000 },
      ),
      allowAsIn: fc.nat(1),
    },
    { requiredKeys: [] },
  );
  const step = fc.tuple(
    fc.constantFrom('originate', 'withdraw', 'reset', 'cut', 'mend', 'refresh', 'stop', 'start', 'wait'),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom('10.1.0.0/24', '10.2.0.0/24', '2001:db8::/32'),
  );
  fc.assert(
    fc.property(
      fc.array(option, { minLength: 8, maxLength: 8 }),
      fc.array(step, { maxLength: 25 }),
      (options, steps) => {
        const lab = new Lab();
        const edges = [
          [1, 2],
          [2, 3],
          [3, 4],
          [1, 3],
        ] as const;
        const links = edges.map(([a, b], i) =>
          link(a, b, { [`n${a}`]: options[2 * i]!, [`n${b}`]: options[2 * i + 1]! }),
        );
        const specs = [
          speaker(1, 65001),
          speaker(2, 65002),
          speaker(3, 65003, { clusterId: '3.3.3.3' }),
          speaker(4, 65003),
        ];
        build(
          lab,
          specs,
          links.map((each) => (each.b === 'n4' ? { ...each, client: 'n4' } : each)),
        );
        lab.start();
        lab.run(100);
        for (const [what, i, j, prefix] of steps) {
          const node = lab.node(`n${i}`);
          const peer = `n${j}`;
          if (what === 'originate') node.speaker.originate(prefix);
          else if (what === 'withdraw') node.speaker.withdraw(prefix);
          else if (what === 'reset') lab.reset(node.name, peer);
          else if (what === 'cut') {
            lab.cut(node.name, peer);
            lab.reset(node.name, peer);
          } else if (what === 'mend') lab.mend(node.name, peer);
          else if (what === 'refresh') node.speaker.requestRefresh(peer, 'ipv4');
          else if (what === 'stop') node.speaker.stopPeer(peer);
          else if (what === 'start') node.speaker.startPeer(peer);
          lab.run(20);
          checkFolds(t, lab);
        }
        for (const a of [1, 2, 3, 4]) for (const b of [1, 2, 3, 4]) if (a < b) lab.mend(`n${a}`, `n${b}`);
        for (const node of lab.nodes.values())
          for (const { name } of node.speaker.sessions()) node.speaker.startPeer(name);
        lab.run(30_000);
        lab.converge();
        checkFolds(t, lab);
        // What one end holds to have told is what the other holds to have been told.
        for (const node of lab.nodes.values()) {
          for (const session of node.speaker.sessions()) {
            if (session.state !== 'Established') continue;
            const far = lab.node(session.name).speaker.session(node.name)!;
            const said = [...(session.advertiser?.advertised() ?? [])].map(
              ([{ key }, id]) => `${formatKey(key)} ${id}`,
            );
            const heard = [...far.ribIn.routes()].map(
              ({ destination, path }) => `${formatKey(destination.key)} ${path.pathId}`,
            );
            t.deepEqual(heard.sort(), said.sort(), `${node.name} -> ${session.name}`);
            t.is(far.ribIn.staleCount, 0);
          }
        }
      },
    ),
    { numRuns: 150 },
  );
});
