import test from 'ava';
import fc from 'fast-check';
import { formatAsPath } from '../../../../protocols/bgp/as-path.ts';
import { type AttributeFields, NO_ATTRIBUTES } from '../../../../protocols/bgp/attributes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
} from '../../../../protocols/bgp/community.ts';
import { formatNextHops } from '../../../../protocols/bgp/nexthops.ts';
import { type PrefixKey, parseKey } from '../../../../protocols/bgp/nlri.ts';
import type { Peer } from '../../../../protocols/bgp/path.ts';
import { AsPathRegex } from '../../../../protocols/bgp/policy/as-path-regex.ts';
import {
  CommunityPattern,
  parseCommunity,
  withCommunity,
} from '../../../../protocols/bgp/policy/community-pattern.ts';
import {
  type Actions,
  type Conditions,
  type PolicyConfig,
  PolicyError,
  type Term,
} from '../../../../protocols/bgp/policy/config.ts';
import { compilePolicies } from '../../../../protocols/bgp/policy/policy.ts';
import { PrefixSet } from '../../../../protocols/bgp/policy/prefix-set.ts';
import type { PolicyContext } from '../../../../protocols/bgp/route-policy.ts';
import { formatIp } from '../../../../protocols/ip.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { parseIp6 } from '../../../../protocols/ip6.ts';
import { attributeFields, prefixKeys, route } from '../arbitrary.ts';

const key = (text: string): PrefixKey => parseKey(text)!;
const ip = (text: string): number => parseIp4(text)!;

function peer(name: string, kind: 'internal' | 'external' = 'external', asn = 65001): Peer {
  return {
    name,
    kind,
    asn,
    identifier: 1,
    address: ip('10.0.0.1'),
    localAddress: ip('10.0.0.9'),
    link: null,
    extendedNextHop: 'no',
    client: false,
    nextHopSelf: false,
    asSize: 4,
    ipv4: 'yes',
    ipv6: 'no',
    longLived: 'no',
    sendsPathIds: { ipv4: 'none', ipv6: 'none' },
    maxMessage: 4096,
    options: { routeReflectorClient: false, nextHopSelf: false, passive: false, ttl: 1 },
  };
}

const CONTEXT: PolicyContext = { source: peer('p1'), peer: peer('p1'), direction: 'import', asn: 65000 };
const ROUTE = route(ip('10.0.0.1'), [65001, 65002, 65010], {
  med: 20,
  communities: [((65000 << 16) | 1) >>> 0],
  largeCommunities: [[65000, 1, 2]],
  extendedCommunities: [[(0x00020000 | 65000) >>> 0, 7]],
});

const SETS: Omit<PolicyConfig, 'policies'> = {
  prefixSets: {
    ten: [{ prefix: '10.0.0.0/8', ge: 16, le: 24 }],
    default: [{ prefix: '0.0.0.0/0' }],
    hosts: [{ prefix: '10.0.0.0/24', ge: 32 }],
    doc6: [{ prefix: '2001:db8::/32', ge: 48 }],
    wires: [{ prefix: '10.0.0.0/30' }],
  },
  asPathSets: { customer: ['^65001_'], stub: ['_65010$'], nobody: ['^7$', '^$'] },
  communitySets: { ours: ['65000:*'], large: ['65000:1:*'], target: ['rt:65000:7'], none: ['no-export'] },
};

function compile(terms: readonly Term[], otherwise: 'accept' | 'reject' = 'reject') {
  return compilePolicies({ ...SETS, policies: { p: { terms, otherwise } } }).p!;
}

function term(match: Conditions, set: Actions = {}, action: Term['action'] = 'accept'): Term {
  return { name: 't', match, set, action };
}

function matches(
  match: Conditions,
  prefix = '10.1.0.0/16',
  attributes: AttributeFields = ROUTE,
  context = CONTEXT,
): boolean {
  return compile([term(match)]).apply(key(prefix), attributes, context) !== null;
}

const conditions: readonly (readonly [title: string, match: Conditions, yes: boolean])[] = [
  ['nothing asked', {}, true],
  ['a prefix set', { prefixes: ['ten'] }, true],
  ['none of several prefix sets', { prefixes: ['default', 'hosts'] }, false],
  ['one of several prefix sets', { prefixes: ['default', 'ten'] }, true],
  ['an AS path', { asPaths: ['customer'] }, true],
  ['one of several AS paths', { asPaths: ['nobody', 'stub'] }, true],
  ['no AS path', { asPaths: ['nobody'] }, false],
  ['the length of the path', { asPathLength: { ge: 3, le: 3 } }, true],
  ['another length', { asPathLength: { le: 2 } }, false],
  ['the neighbour AS', { neighborAs: [7, 65001] }, true],
  ['not the neighbour AS', { neighborAs: [65002] }, false],
  ['the origin AS', { originAs: [65010] }, true],
  ['any community', { communities: { which: 'any', sets: ['none', 'ours'] } }, true],
  ['all communities', { communities: { which: 'all', sets: ['ours', 'large', 'target'] } }, true],
  ['not all communities', { communities: { which: 'all', sets: ['ours', 'none'] } }, false],
  ['the next hop', { nextHop: ['wires'] }, true],
  ['another next hop', { nextHop: ['doc6'] }, false],
  ['the peer', { peers: ['p2', 'p1'] }, true],
  ['another peer', { peers: ['p2'] }, false],
  ["the peer's AS", { peerAs: [65001] }, true],
  ['where it came from', { from: ['p1'] }, true],
  ['a source', { source: ['ebgp'] }, true],
  ['another source', { source: ['local', 'ibgp'] }, false],
  ['an origin', { origin: ['igp'] }, true],
  ['a MED', { med: { ge: 20, le: 20 } }, true],
  ['a MED too low', { med: { ge: 21 } }, false],
  ['the default LOCAL_PREF', { localPref: { ge: 100, le: 100 } }, true],
  ['several of which one does not hold', { prefixes: ['ten'], originAs: [1] }, false],
];

for (const [title, match, yes] of conditions) {
  test(`match: ${title}`, (t) => t.is(matches(match), yes));
}

test('ge and le bound the length as in a prefix list', (t) => {
  const inside = ['10.1.0.0/16', '10.1.128.0/17', '10.255.255.0/24'];
  const outside = ['10.0.0.0/8', '10.0.0.0/15', '10.1.1.0/25', '11.1.0.0/16', '0.0.0.0/0', '2001:db8::/48'];
  for (const prefix of inside) t.true(matches({ prefixes: ['ten'] }, prefix), prefix);
  for (const prefix of outside) t.false(matches({ prefixes: ['ten'] }, prefix), prefix);
  t.true(matches({ prefixes: ['default'] }, '0.0.0.0/0'));
  t.false(matches({ prefixes: ['default'] }, '10.0.0.0/8'));
  t.true(matches({ prefixes: ['hosts'] }, '10.0.0.7/32'));
  t.true(matches({ prefixes: ['doc6'] }, '2001:db8:1::/48'));
  t.false(matches({ prefixes: ['doc6'] }, '2001:db8::/32'));
  t.false(matches({ prefixes: ['doc6'] }, '2001:db9:1::/48'));
});

test('a prefix set is what its bounds say of every prefix', (t) => {
  const len = fc.integer({ min: 0, max: 32 });
  fc.assert(
    fc.property(prefixKeys, prefixKeys, len, len, (outer, inner, a, b) => {
      const own = outer % 64;
      const [ge, le] = [Math.max(own, Math.min(a, b)), Math.max(own, a, b)];
      const set = new PrefixSet([{ prefix: text(outer), ge, le }]);
      const [outerBits, innerBits] = [bits(outer), bits(inner)];
      const expected = innerBits.startsWith(outerBits) && innerBits.length >= ge && innerBits.length <= le;
      t.is(set.contains(inner), expected);
    }),
  );
});

function text(prefix: number): string {
  const addr = Math.floor(prefix / 64);
  return `${[24, 16, 8, 0].map((shift) => (addr >>> shift) & 255).join('.')}/${prefix % 64}`;
}

function bits(prefix: number): string {
  return Math.floor(prefix / 64)
    .toString(2)
    .padStart(32, '0')
    .slice(0, prefix % 64);
}

const actions: readonly (readonly [title: string, set: Actions, expected: Partial<AttributeFields>])[] = [
  ['LOCAL_PREF', { localPref: 7 }, { localPref: 7 }],
  ['MED', { med: { how: 'set', value: 3 } }, { med: 3 }],
  ['more MED', { med: { how: 'add', value: 5 } }, { med: 25 }],
  ['less MED, not below 0', { med: { how: 'subtract', value: 50 } }, { med: 0 }],
  ['no MED', { med: { how: 'none' } }, { med: null }],
  ['origin', { origin: 'incomplete' }, { origin: 2 }],
  ['next hop', { nextHop: { address: '10.7.7.7' } }, { nextHop: ip('10.7.7.7') }],
  ['own next hop', { nextHop: 'self' }, { nextHop: ip('10.0.0.9') }],
  ["the peer's next hop", { nextHop: 'peer' }, { nextHop: ip('10.0.0.1') }],
  [
    'no communities',
    { communities: { add: [], remove: [], keep: 'no' } },
    { communities: [], largeCommunities: [], extendedCommunities: [] },
  ],
];

for (const [title, set, expected] of actions) {
  test(`set: ${title}`, (t) => {
    const result = compile([term({}, set)]).apply(key('10.1.0.0/16'), ROUTE, CONTEXT);
    t.deepEqual(result, { ...ROUTE, ...expected });
  });
}

test('next hops of both families, on routes of both families', (t) => {
  const ip6 = (text: string) => parseIp6(text)!;
  const six = { ...ROUTE, nextHop: null, nextHop6: ip6('2001:db8::1') + ip6('fe80::1') };
  const session6: Peer = {
    ...peer('p6'),
    address: ip6('2001:db8::1'),
    localAddress: ip6('2001:db8::9'),
    link: { dev: 'eth1', linkLocal: ip6('fe80::9') },
    extendedNextHop: 'yes',
  };
  const over6: PolicyContext = { ...CONTEXT, peer: session6 };
  const applied = (set: Actions, prefix: string, context: PolicyContext) => {
    const result = compile([term({}, set)]).apply(key(prefix), six, context)!;
    return result.nextHop !== null ? formatIp(result.nextHop) : formatNextHops(result.nextHop6!);
  };
  const [v4, v6] = ['10.1.0.0/16', '2001:db8:7::/48'];
  t.is(applied({ nextHop: { address: '10.7.7.7' } }, v4, over6), '10.7.7.7');
  t.is(applied({ nextHop: { address: '10.7.7.7' } }, v6, over6), '::ffff:10.7.7.7');
  t.is(applied({ nextHop: { address: '2001:db8::7' } }, v4, over6), '2001:db8::7');
  t.is(applied({ nextHop: 'self' }, v4, over6), '2001:db8::9 fe80::9');
  t.is(applied({ nextHop: 'self' }, v6, over6), '2001:db8::9 fe80::9');
  t.is(applied({ nextHop: 'self' }, v6, CONTEXT), '::ffff:10.0.0.9');
  t.is(applied({ nextHop: 'peer' }, v6, over6), '2001:db8::1');
  t.is(applied({ nextHop: 'peer' }, v6, CONTEXT), '::ffff:10.0.0.1');

  t.true(matches({ nextHop: ['doc6'] }, v4, six, over6));
  t.true(matches({ nextHop: ['doc6'] }, v6, six, over6));
  t.false(matches({ nextHop: ['wires'] }, v4, six, over6));
});

test('set: prepending, private AS numbers', (t) => {
  const path = (set: Actions) =>
    formatAsPath(
      compile([term({}, set)]).apply(key('10.1.0.0/16'), route(1, [65001, 7, 65010]), CONTEXT)!.asPath,
    );
  t.is(path({ prepend: { asn: 'own', times: 2 } }), '65000 65000 65001 7 65010');
  t.is(path({ prepend: { asn: 9, times: 1 } }), '9 65001 7 65010');
  t.is(path({ privateAs: 'remove' }), '7');
  t.is(path({ privateAs: 'replace' }), '65000 7 65000');
});

test('set: communities of all three kinds are added once and removed by pattern', (t) => {
  const set: Actions = {
    communities: {
      add: ['65000:9', 'no-export', '1:2:3', 'rt:10.0.0.1:5', '65000:1'],
      remove: ['65000:1:*'],
      keep: 'yes',
    },
  };
  const { communities, largeCommunities, extendedCommunities } = compile([term({}, set)]).apply(
    key('10.1.0.0/16'),
    ROUTE,
    CONTEXT,
  )!;
  t.deepEqual(communities.map(formatCommunity), ['65000:1', '65000:9', 'no-export']);
  t.deepEqual(largeCommunities.map(formatLargeCommunity), ['1:2:3']);
  t.deepEqual(extendedCommunities.map(formatExtendedCommunity), ['rt:65000:7', 'rt:10.0.0.1:5']);
});

test('a community comes back from its text, and a pattern without a star matches it alone', (t) => {
  const part = fc.integer({ min: 0, max: 65535 });
  const long = fc.integer({ min: 0, max: 0xffffffff });
  const texts = fc.oneof(
    fc.tuple(part, part).map((parts) => parts.join(':')),
    fc.tuple(long, long, long).map((parts) => parts.join(':')),
    fc.tuple(fc.constantFrom('rt', 'ro'), part, long).map((parts) => parts.join(':')),
    fc
      .tuple(fc.constantFrom('rt', 'ro'), fc.integer({ min: 65536, max: 0xffffffff }), part)
      .map((parts) => parts.join(':')),
  );
  fc.assert(
    fc.property(texts, texts, (a, b) => {
      const with1 = withCommunity(NO_ATTRIBUTES, parseCommunity(a));
      t.true(new CommunityPattern(a).isIn(with1));
      t.is(new CommunityPattern(b).isIn(with1), a === b);
      t.deepEqual(new CommunityPattern(a).without(with1), NO_ATTRIBUTES);
    }),
  );
});

test('terms go in order: next goes on with what was set, and the last word is the policy’s', (t) => {
  const terms = [
    term({ prefixes: ['default'] }, {}, 'reject'),
    term({ neighborAs: [65001] }, { localPref: 50 }, 'next'),
    term({ localPref: { le: 60 } }, { med: { how: 'set', value: 1 } }),
  ];
  const policy = compile(terms);
  t.like(policy.apply(key('10.1.0.0/16'), ROUTE, CONTEXT), { localPref: 50, med: 1 });
  t.is(policy.apply(key('0.0.0.0/0'), ROUTE, CONTEXT), null);
  const other = route(1, [9]);
  t.is(policy.apply(key('10.1.0.0/16'), other, CONTEXT), null);
  t.is(
    compile(terms, 'accept').apply(key('10.1.0.0/16'), other, CONTEXT),
    other,
    'what is not changed is the same',
  );
});

test('the trace says what was tried and what decided', (t) => {
  const policy = compile([
    term({ prefixes: ['default'] }, {}, 'reject'),
    term({ originAs: [65010], med: { ge: 5 } }, { localPref: 9 }),
  ]);
  const trace = policy.trace(key('10.1.0.0/16'), ROUTE, CONTEXT);
  t.deepEqual(
    trace.terms.map(({ matched, conditions: tried, set }) => [
      matched,
      tried.map(({ text, holds }) => `${text}: ${holds}`),
      set,
    ]),
    [
      [false, ['prefix in default: false'], []],
      [true, ['last AS is 65010: true', 'MED at least 5: true'], ['LOCAL_PREF 9']],
    ],
  );
  t.is(trace.decidedBy, 'term');
  t.is(trace.result?.localPref, 9);
});

test('the trace ends as the policy does, whatever the route', (t) => {
  const conditionsOf = fc.constantFrom(...conditions.map(([, match]) => match));
  const terms = fc.array(
    fc.record({
      name: fc.constant('t'),
      match: conditionsOf,
      set: fc.constantFrom(...actions.map(([, set]) => set)),
      action: fc.constantFrom<Term['action']>('accept', 'reject', 'next'),
    }),
    { maxLength: 5 },
  );
  fc.assert(
    fc.property(
      terms,
      fc.constantFrom('accept' as const, 'reject' as const),
      prefixKeys,
      attributeFields,
      (list, otherwise, prefix, fields) => {
        const policy = compile(list, otherwise);
        const result = policy.apply(prefix, fields, CONTEXT);
        t.deepEqual(policy.trace(prefix, fields, CONTEXT).result, result);
        // A model: one term after the other, each as a policy of its own.
        let current: AttributeFields | null = fields;
        let decided = false;
        for (const each of list) {
          const { action } = each;
          if (compile([{ ...each, set: {}, action: 'accept' }]).apply(prefix, current!, CONTEXT) === null)
            continue;
          if (action === 'reject') current = null;
          else current = compile([{ ...each, match: {}, action: 'accept' }]).apply(prefix, current!, CONTEXT);
          if (action === 'next') continue;
          decided = true;
          break;
        }
        t.deepEqual(result, decided || otherwise === 'accept' ? current : null);
      },
    ),
  );
});

// ---- AS path expressions

const paths: readonly (readonly [source: string, yes: readonly string[], no: readonly string[]])[] = [
  ['^$', [''], ['1', '65001']],
  ['^65001$', ['65001'], ['65001 1', '165001', '650011']],
  ['_65001_', ['65001', '1 65001', '65001 2', '1 65001 2', '{65001 7}'], ['165001', '650012', '1 650012']],
  ['^65001_', ['65001', '65001 2'], ['650011', '2 65001']],
  ['_65001$', ['65001', '2 65001'], ['65001 2', '165001']],
  ['^(1|2)+ 3$', ['1 3', '12 3', '2 3'], ['3', '13']],
  ['^[0-9]+$', ['1', '65001'], ['', '1 2']],
  ['^[^ ]+ [^ ]+$', ['1 2'], ['1', '1 2 3']],
  ['.*', ['', '1'], []],
  ['_(65001|65002)_', ['65002', '3 65001 4'], ['6500']],
  ['^65001( 65001)*$', ['65001', '65001 65001 65001'], ['65001 65002']],
  ['^1? 2$', [' 2', '1 2'], ['11 2']],
];

for (const [source, yes, no] of paths) {
  test(`AS path expression ${source}`, (t) => {
    const regex = new AsPathRegex(source);
    for (const path of yes) t.true(regex.test(path), `'${path}'`);
    for (const path of no) t.false(regex.test(path), `'${path}'`);
  });
}

test('an AS path expression is the regular expression that it looks like', (t) => {
  const atom = fc.constantFrom('1', '2', ' ', '.', '[12]', '[^1]', '^', '$');
  const node: fc.Arbitrary<string> = fc.letrec<{ e: string }>((tie) => ({
    e: fc.oneof(
      { depthSize: 'small' },
      atom,
      fc.tuple(tie('e'), tie('e')).map(([a, b]) => `${a}${b}`),
      fc.tuple(tie('e'), tie('e')).map(([a, b]) => `(${a}|${b})`),
      fc
        .tuple(
          tie('e').filter((e) => !/[\^$]/.test(e.replace('[^1]', ''))),
          fc.constantFrom('*', '+', '?'),
        )
        .map(([a, sign]) => `(${a})${sign}`),
    ),
  })).e;
  fc.assert(
    fc.property(node, fc.stringMatching(/^[12 ]{0,8}$/), (source, path) => {
      t.is(new AsPathRegex(source).test(path), new RegExp(source).test(path), `${source} on '${path}'`);
    }),
    { numRuns: 500 },
  );
});

test('an expression that would make a backtracking matcher run for ever is done at once', (t) => {
  const regex = new AsPathRegex('^(([0-9]+)*)*x?$'.replace('x?', ''));
  t.false(regex.test(`${'1'.repeat(2_000)} `));
});

test('what is no expression is told with its place', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['(1', /character 3: a '\)' is missing/],
    ['1)', /character 2: unexpected '\)'/],
    ['*1', /character 1: '\*' repeats nothing/],
    ['[12', /a '\]' is missing/],
    ['AS1', /character 1: 'A' cannot be in an AS path/],
    ['[2-1]', /range that is none/],
    ['1\\', /nothing after the backslash/],
  ];
  for (const [source, says] of cases) {
    const error = t.throws(() => new AsPathRegex(source), { instanceOf: PolicyError });
    t.regex(error!.message, says);
  }
});

test('what a policy names and is not there, or cannot be, is told', (t) => {
  const cases: readonly (readonly [Term, RegExp])[] = [
    [term({ prefixes: ['tenn'] }), /policy p, term t: there is no prefix set tenn; there are: ten, default/],
    [term({ asPaths: ['x'] }), /no AS path set x/],
    [term({ communities: { which: 'any', sets: ['x'] } }), /no community set x/],
    [term({}, { communities: { add: ['65536:1'], remove: [], keep: 'yes' } }), /'65536:1' is no community/],
    [term({}, { nextHop: { address: '10.0.0' } }), /'10.0.0' is no address/],
  ];
  for (const [bad, says] of cases) {
    const error = t.throws(() => compile([bad]), { instanceOf: PolicyError });
    t.regex(error!.message, says);
  }
  for (const rule of [
    { prefix: '10.0.0.0/8', ge: 7 },
    { prefix: '10.0.0.0/8', ge: 24, le: 16 },
    { prefix: '10.0.0.0/8', le: 33 },
    { prefix: 'x' },
  ]) {
    t.throws(() => new PrefixSet([rule]), { instanceOf: PolicyError });
  }
});
