import test from 'ava';
import fc from 'fast-check';
import type { UpdateContext } from '../../../protocols/bgp/attribute-decode.ts';
import { encodeAttributes } from '../../../protocols/bgp/attribute-encode.ts';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import { NO_ATTRIBUTES, PathAttributes } from '../../../protocols/bgp/attributes.ts';
import { messageBody } from '../../../protocols/bgp/header.ts';
import { encodeMpReach, encodeMpUnreach } from '../../../protocols/bgp/mp-nlri.ts';
import { encodeIpv4Nlri, formatKey, type PrefixKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import {
  encodeEndOfRib,
  encodeUpdate,
  type Update,
  UpdateDecoder,
  UpdatePacker,
} from '../../../protocols/bgp/update.ts';
import { attributeFields, prefixKeys, route } from './arbitrary.ts';

const INTERNAL: UpdateContext = { asSize: 4, peer: 'internal', pathIds: { ipv4: 'none', ipv6: 'none' } };
const EXTERNAL: UpdateContext = { ...INTERNAL, peer: 'external' };
const NOTHING = new Uint8Array(0);

function nlri(keys: readonly number[]): Uint8Array {
  return encodeIpv4Nlri({ keys, pathIds: null });
}

function decode(message: Uint8Array, context: UpdateContext = INTERNAL, table = new AttributeTable()) {
  return new UpdateDecoder(table).decode(messageBody(message), context);
}

test('an UPDATE comes back as it went, with two-octet AS numbers too', (t) => {
  const keys = fc.array(prefixKeys, { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(
      attributeFields,
      keys,
      keys,
      fc.constantFrom(2 as const, 4 as const),
      (fields, gone, come, asSize) => {
        const table = new AttributeTable();
        const message = encodeUpdate(nlri(gone), encodeAttributes(fields, asSize), nlri(come));
        const result = decode(message, { ...INTERNAL, asSize }, table);
        t.is(result.action, 'ok');
        if (result.action !== 'ok') return;
        t.deepEqual(result.update.withdrawn.keys, gone);
        t.deepEqual(result.update.reach.keys, come);
        t.is(result.update.attributes, table.intern(fields));
      },
    ),
  );
});

test('equal attribute sets are one object, different ones are not', (t) => {
  fc.assert(
    fc.property(attributeFields, attributeFields, (a, b) => {
      const table = new AttributeTable();
      t.is(table.intern(a), table.intern({ ...a }));
      const equal = Buffer.from(encodeAttributes(a, 4)).equals(Buffer.from(encodeAttributes(b, 4)));
      t.is(table.intern(a) === table.intern(b), equal);
    }),
  );
});

test('a set that is used stays itself however many come after it', (t) => {
  const table = new AttributeTable();
  const held = table.intern({ ...NO_ATTRIBUTES, med: 0 });
  for (let med = 1; med < 5000; med++) table.intern({ ...NO_ATTRIBUTES, med });
  t.is(table.intern({ ...NO_ATTRIBUTES, med: 0 }), held);
  t.true(held instanceof PathAttributes);
});

test('IPv4 in MP attributes has the next hop of MP_REACH_NLRI', (t) => {
  const keys = [0x0a000000 * 64 + 8];
  const family = { afi: 1, safi: 1 };
  const list = { type: 'ipv4' as const, family, list: { keys, pathIds: null } };
  const reach = encodeMpReach({ nextHop: Uint8Array.of(10, 9, 9, 9), nlri: list }, 'none');
  const unreach = encodeMpUnreach(list, 'none');
  const base = encodeAttributes({ ...NO_ATTRIBUTES, localPref: 100 }, 4);
  const result = decode(encodeUpdate(NOTHING, Buffer.concat([base, reach, unreach]), NOTHING));
  t.is(result.action, 'ok');
  if (result.action !== 'ok') return;
  t.is(result.update.mpReach?.attributes.nextHop, 0x0a090909);
  t.deepEqual(result.update.mpReach?.reach.nlri, list);
  t.deepEqual(result.update.mpWithdrawn, [list]);
});

test('IPv6 unicast and a family that is not known here come back as they went', (t) => {
  const prefixes = [{ key: parseKey('2001:db8:0:1::/64') as string, pathId: 0 }];
  const ipv6 = { type: 'ipv6' as const, family: { afi: 2, safi: 1 }, prefixes };
  const other = { type: 'opaque' as const, family: { afi: 25, safi: 70 }, bytes: Uint8Array.of(1, 2, 3) };
  const nextHop = new Uint8Array(32).fill(9);
  const base = encodeAttributes(NO_ATTRIBUTES, 4);
  const attributes = Buffer.concat([
    base,
    encodeMpReach({ nextHop, nlri: ipv6 }, 'none'),
    encodeMpUnreach(other, 'none'),
  ]);
  const result = decode(encodeUpdate(NOTHING, attributes, NOTHING), EXTERNAL);
  t.is(result.action, 'ok');
  if (result.action !== 'ok') return;
  t.deepEqual(result.update.mpReach?.reach, { nextHop, nlri: ipv6 });
  t.is(result.update.mpReach?.attributes.nextHop, null);
  t.is(result.update.mpReach?.attributes.nextHop6, '\t'.repeat(32));
  t.deepEqual(result.update.mpWithdrawn, [other]);
});

test('path identifiers come with the prefixes where both sides agreed on them', (t) => {
  const list = { keys: [0x0a000000 * 64 + 8, 0x0a000000 * 64 + 8], pathIds: [1, 77] };
  const attributes = encodeAttributes(route(0x0a000001, [1]), 4);
  const message = encodeUpdate(encodeIpv4Nlri(list), attributes, encodeIpv4Nlri(list));
  const result = decode(message, { ...INTERNAL, pathIds: { ipv4: 'present', ipv6: 'none' } });
  t.is(result.action, 'ok');
  if (result.action === 'ok') t.deepEqual([result.update.withdrawn, result.update.reach], [list, list]);
});

test('End-of-RIB is an UPDATE without anything, or with an empty MP_UNREACH_NLRI', (t) => {
  const classic = decode(encodeEndOfRib('ipv4'));
  t.is(classic.action, 'ok');
  if (classic.action === 'ok') t.deepEqual(classic.update.endOfRib, { afi: 1, safi: 1 });
  const empty = { type: 'ipv6' as const, family: { afi: 2, safi: 1 }, prefixes: [] };
  const other = decode(encodeUpdate(NOTHING, encodeMpUnreach(empty, 'none'), NOTHING));
  t.is(other.action, 'ok');
  if (other.action === 'ok') t.deepEqual(other.update.endOfRib, { afi: 2, safi: 1 });
});

test('unknown attributes: optional transitive ones are kept and marked partial, others go', (t) => {
  const base = encodeAttributes(route(0x0a000001, [1]), 4);
  const kept = Uint8Array.of(0xc0, 99, 2, 1, 2);
  const dropped = Uint8Array.of(0x80, 98, 1, 7);
  const result = decode(encodeUpdate(NOTHING, Buffer.concat([base, dropped, kept]), nlri([24])));
  t.is(result.action, 'ok');
  if (result.action !== 'ok') return;
  t.deepEqual(result.update.attributes?.unknown, [{ flags: 0xe0, type: 99, value: Uint8Array.of(1, 2) }]);
});

// ---- RFC 7606, attribute by attribute

const PREFIX = '18 0a0101';
const ORIGIN = '40 01 01 00';
const AS_PATH = '40 02 06 02 01 0000fde9';
const NEXT_HOP = '40 03 04 0a000001';
const GOOD = `${ORIGIN} ${AS_PATH} ${NEXT_HOP}`;
const MP_REACH = '80 0e 0d 0001 01 04 0a000001 00 18 0a0202';

interface Case {
  readonly name: string;
  readonly attributes: string;
  readonly expected: string;
  readonly from?: 'external';
  readonly nlri?: string;
  readonly withdrawn?: string;
}

/** Action, and the error's code, subcode and data where the session ends. */
const CASES: readonly Case[] = [
  { name: 'nothing wrong', attributes: GOOD, expected: 'ok' },
  {
    name: '§3 c: ORIGIN optional',
    attributes: `c0 01 01 00 ${AS_PATH} ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§3 c: AS_PATH not transitive',
    attributes: `${ORIGIN} 00 02 00 ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  { name: '§3 c: MED transitive', attributes: `${GOOD} c0 04 04 00000001`, expected: 'treat-as-withdraw' },
  { name: '§3 c: partial bit is not looked at', attributes: `${GOOD} e0 08 04 00010001`, expected: 'ok' },
  { name: '§3 d: no ORIGIN', attributes: `${AS_PATH} ${NEXT_HOP}`, expected: 'treat-as-withdraw' },
  { name: '§3 d: no AS_PATH', attributes: `${ORIGIN} ${NEXT_HOP}`, expected: 'treat-as-withdraw' },
  { name: '§3 d: no NEXT_HOP', attributes: `${ORIGIN} ${AS_PATH}`, expected: 'treat-as-withdraw' },
  { name: '§3 d: no attributes at all', attributes: '', expected: 'treat-as-withdraw' },
  {
    name: '§3 d: NEXT_HOP not needed with MP_REACH',
    attributes: `${ORIGIN} ${AS_PATH} ${MP_REACH}`,
    nlri: '',
    expected: 'ok',
  },
  {
    name: '§3 d: ORIGIN needed with MP_REACH',
    attributes: `${AS_PATH} ${MP_REACH}`,
    nlri: '',
    expected: 'treat-as-withdraw',
  },
  { name: '§3 g: two ORIGINs', attributes: `${GOOD} 40 01 01 02`, expected: 'attribute-discard' },
  {
    name: '§3 g: two MP_REACH',
    attributes: `${GOOD} ${MP_REACH} ${MP_REACH}`,
    expected: `reset 3/1 ${MP_REACH}`,
  },
  {
    name: '§3 g: two MP_UNREACH',
    attributes: `${GOOD} 80 0f 03 000101 80 0f 03 000101`,
    expected: 'reset 3/1 800f03000101',
  },
  {
    name: '§3 h: the strongest wins',
    attributes: `${GOOD} 40 06 01 00 40 01 01 00 80 04 01 00`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§4: last attribute overruns',
    attributes: `${GOOD} 80 04 05 00000001`,
    expected: 'treat-as-withdraw',
  },
  { name: '§4: too short for a header', attributes: `${GOOD} 80 04`, expected: 'treat-as-withdraw' },
  {
    name: '§4: too short for an extended header',
    attributes: `${GOOD} 90 04 00`,
    expected: 'treat-as-withdraw',
  },
  { name: '§4: empty MED', attributes: `${GOOD} 80 04 00`, expected: 'treat-as-withdraw' },
  { name: '§4: empty COMMUNITIES', attributes: `${GOOD} c0 08 00`, expected: 'treat-as-withdraw' },
  { name: '§4: empty AGGREGATOR', attributes: `${GOOD} c0 07 00`, expected: 'treat-as-withdraw' },
  { name: '§4: empty AS_PATH is fine', attributes: `${ORIGIN} 40 02 00 ${NEXT_HOP}`, expected: 'ok' },
  { name: '§4: empty ATOMIC_AGGREGATE is fine', attributes: `${GOOD} 40 06 00`, expected: 'ok' },
  {
    name: '§5.2: fault without reachable NLRI',
    attributes: `${ORIGIN} 80 04 01 00`,
    nlri: '',
    expected: 'reset 3/5 80040100',
  },
  {
    name: '§5.2: discard without reachable NLRI',
    attributes: `${ORIGIN} 40 06 01 00`,
    nlri: '',
    expected: 'attribute-discard',
  },
  { name: '§5.3: NLRI of 33 bits', attributes: GOOD, nlri: '21 0a010101 00', expected: 'reset 3/10' },
  { name: '§5.3: NLRI that overruns', attributes: GOOD, nlri: '18 0a01', expected: 'reset 3/10' },
  {
    name: '§5.3: withdrawn routes that overrun',
    attributes: GOOD,
    withdrawn: '20 0a0101',
    expected: 'reset 3/10',
  },
  {
    name: '§5.3: MP NLRI of 33 bits',
    attributes: `${GOOD} 80 0e 0e 0001 01 04 0a000001 00 21 0a020200`,
    expected: 'reset 3/10 800e0e000101040a00000100210a020200',
  },
  {
    name: '§7.1: ORIGIN of two bytes',
    attributes: `40 01 02 0000 ${AS_PATH} ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  { name: '§7.1: ORIGIN 3', attributes: `40 01 01 03 ${AS_PATH} ${NEXT_HOP}`, expected: 'treat-as-withdraw' },
  {
    name: '§7.2: AS_PATH segment overruns',
    attributes: `${ORIGIN} 40 02 06 02 02 0000fde9 ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.2: AS_PATH segment empty',
    attributes: `${ORIGIN} 40 02 02 02 00 ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.2: AS_PATH segment type 5',
    attributes: `${ORIGIN} 40 02 06 05 01 0000fde9 ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.3: NEXT_HOP of five bytes',
    attributes: `${ORIGIN} ${AS_PATH} 40 03 05 0a00000100`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.3: NEXT_HOP multicast',
    attributes: `${ORIGIN} ${AS_PATH} 40 03 04 e0000001`,
    expected: 'treat-as-withdraw',
  },
  { name: '§7.4: MED of three bytes', attributes: `${GOOD} 80 04 03 000001`, expected: 'treat-as-withdraw' },
  {
    name: '§7.5: LOCAL_PREF of three bytes, internal',
    attributes: `${GOOD} 40 05 03 000001`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.5: LOCAL_PREF of three bytes, external',
    attributes: `${GOOD} 40 05 03 000001`,
    from: 'external',
    expected: 'attribute-discard',
  },
  {
    name: '§7.5: LOCAL_PREF, external',
    attributes: `${GOOD} 40 05 04 00000064`,
    from: 'external',
    expected: 'attribute-discard',
  },
  {
    name: '§7.6: ATOMIC_AGGREGATE of one byte',
    attributes: `${GOOD} 40 06 01 00`,
    expected: 'attribute-discard',
  },
  {
    name: '§7.7: AGGREGATOR of six bytes with four octets',
    attributes: `${GOOD} c0 07 06 fde9 0a000001`,
    expected: 'attribute-discard',
  },
  {
    name: '§7.8: COMMUNITIES of five bytes',
    attributes: `${GOOD} c0 08 05 0001000100`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.9: ORIGINATOR_ID of three bytes, internal',
    attributes: `${GOOD} 80 09 03 000001`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.9: ORIGINATOR_ID, external',
    attributes: `${GOOD} 80 09 04 0a000001`,
    from: 'external',
    expected: 'attribute-discard',
  },
  {
    name: '§7.10: CLUSTER_LIST of six bytes, internal',
    attributes: `${GOOD} 80 0a 06 0a0000010a00`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.10: CLUSTER_LIST, external',
    attributes: `${GOOD} 80 0a 04 0a000001`,
    from: 'external',
    expected: 'attribute-discard',
  },
  {
    name: '§7.11: MP_REACH next hop of three bytes',
    attributes: `${GOOD} 80 0e 0c 0001 01 03 0a0000 00 18 0a0202`,
    expected: 'reset 3/9 800e0c000101030a000000180a0202',
  },
  {
    name: '§7.11: MP_REACH shorter than its header',
    attributes: `${GOOD} 80 0e 03 000101`,
    expected: 'reset 3/9 800e03000101',
  },
  {
    name: '§7.11: MP_REACH transitive',
    attributes: `${GOOD} c0 0e 0d 0001 01 04 0a000001 00 18 0a0202`,
    expected: 'reset 3/4 c00e0d000101040a00000100180a0202',
  },
  {
    name: '§7.12: MP_UNREACH shorter than its header',
    attributes: `${GOOD} 80 0f 02 0001`,
    expected: 'reset 3/9 800f020001',
  },
  {
    name: '§7.14: EXTENDED COMMUNITIES of nine bytes',
    attributes: `${GOOD} c0 10 09 000200010000000100`,
    expected: 'treat-as-withdraw',
  },
  {
    name: 'RFC 8092: LARGE_COMMUNITY of eight bytes',
    attributes: `${GOOD} c0 20 08 0000000100000001`,
    expected: 'treat-as-withdraw',
  },
  {
    name: 'RFC 6793 §6: AS4_PATH from a speaker of four octets',
    attributes: `${GOOD} c0 11 06 02 01 00010001`,
    expected: 'attribute-discard',
  },
  {
    name: 'RFC 7607: AS 0 in AS_PATH',
    attributes: `${ORIGIN} 40 02 06 02 01 00000000 ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§3 d: AS_PATH needed with MP_REACH',
    attributes: `${ORIGIN} ${MP_REACH}`,
    nlri: '',
    expected: 'treat-as-withdraw',
  },
  { name: '§4: empty ORIGIN', attributes: `40 01 00 ${AS_PATH} ${NEXT_HOP}`, expected: 'treat-as-withdraw' },
  { name: '§4: empty NEXT_HOP', attributes: `${ORIGIN} ${AS_PATH} 40 03 00`, expected: 'treat-as-withdraw' },
  { name: '§4: empty CLUSTER_LIST', attributes: `${GOOD} 80 0a 00`, expected: 'treat-as-withdraw' },
  { name: '§4: empty LARGE_COMMUNITY', attributes: `${GOOD} c0 20 00`, expected: 'treat-as-withdraw' },
  {
    name: '§4: empty AS_PATH is fine from outside, where policy may refuse it',
    attributes: `${ORIGIN} 40 02 00 ${NEXT_HOP}`,
    from: 'external',
    expected: 'ok',
  },
  {
    name: '§4: extended length where one octet would do',
    attributes: `${ORIGIN} 50 02 0006 02 01 0000fde9 ${NEXT_HOP}`,
    expected: 'ok',
  },
  {
    name: '§5.1: MP_REACH behind all others is read all the same',
    attributes: `${GOOD} ${MP_REACH}`,
    expected: 'ok',
  },
  {
    name: '§5.3: withdrawn route of 33 bits',
    attributes: GOOD,
    withdrawn: '21 0a01010100',
    expected: 'reset 3/10',
  },
  {
    name: '§5.3: NLRI of 255 bits, all of them there',
    attributes: GOOD,
    nlri: `ff ${'00'.repeat(32)}`,
    expected: 'reset 3/10',
  },
  {
    name: '§5.3: IPv6 NLRI of 129 bits',
    attributes: `${GOOD} 80 0e 27 0002 01 10 ${'20'.repeat(16)} 00 81 ${'00'.repeat(17)}`,
    expected: `reset 3/10 800e2700020110${'20'.repeat(16)}0081${'00'.repeat(17)}`,
  },
  {
    name: '§5.3: IPv6 withdrawn route of 129 bits',
    attributes: `${GOOD} 80 0f 15 0002 01 81 ${'00'.repeat(17)}`,
    expected: `reset 3/10 800f1500020181${'00'.repeat(17)}`,
  },
  {
    name: '§7.2: AS_PATH ends in half a segment header',
    attributes: `${ORIGIN} 40 02 07 02 01 0000fde9 02 ${NEXT_HOP}`,
    expected: 'treat-as-withdraw',
  },
  {
    name: 'RFC 5065 §5: a confederation segment from outside',
    attributes: `${ORIGIN} 40 02 06 03 01 0000fde9 ${NEXT_HOP}`,
    from: 'external',
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.3: NEXT_HOP of three bytes',
    attributes: `${ORIGIN} ${AS_PATH} 40 03 03 0a0000`,
    expected: 'treat-as-withdraw',
  },
  {
    name: '§7.9: ORIGINATOR_ID of three bytes, external',
    attributes: `${GOOD} 80 09 03 000001`,
    from: 'external',
    expected: 'attribute-discard',
  },
  {
    name: '§7.10: CLUSTER_LIST of six bytes, external',
    attributes: `${GOOD} 80 0a 06 0a0000010a00`,
    from: 'external',
    expected: 'attribute-discard',
  },
  {
    name: '§7.11: MP_REACH whose next hop overruns',
    attributes: `${GOOD} 80 0e 06 0002 01 10 2001`,
    expected: 'reset 3/9 800e06000201102001',
  },
  {
    name: 'RFC 4760 §6: an AFI and SAFI that nobody knows are passed over',
    attributes: `${GOOD} 80 0e 0a 4004 47 04 0a000001 00 ff`,
    expected: 'ok',
  },
  {
    name: 'RFC 4760 §6: a SAFI that nobody knows, withdrawn',
    attributes: `${GOOD} 80 0f 05 0001 f0 ff ff`,
    expected: 'ok',
  },
  { name: 'attribute 255, optional transitive', attributes: `${GOOD} c0 ff 03 010203`, expected: 'ok' },
  { name: 'attribute 255, optional', attributes: `${GOOD} 80 ff 03 010203`, expected: 'ok' },
  { name: 'attribute 255, optional and empty', attributes: `${GOOD} 80 ff 00`, expected: 'ok' },
  {
    name: 'attribute 255, well-known',
    attributes: `${GOOD} 40 ff 01 00`,
    expected: 'reset 3/2 40ff0100',
  },
  {
    name: 'RFC 4271 §6.3: unrecognized well-known attribute',
    attributes: `${GOOD} 40 63 01 00`,
    expected: 'reset 3/2 40630100',
  },
];

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

for (const { name, attributes, expected, from, nlri: reach = PREFIX, withdrawn = '10 ac10' } of CASES) {
  test(`RFC 7606 ${name}`, (t) => {
    const message = encodeUpdate(bytes(withdrawn), bytes(attributes), bytes(reach));
    const result = decode(message, from === undefined ? INTERNAL : EXTERNAL);
    if (result.action === 'session-reset') {
      const { code, subcode, data } = result.error;
      const text = `reset ${code}/${subcode} ${Buffer.from(data).toString('hex')}`;
      t.is(text.trim().replaceAll(' ', ''), expected.replaceAll(' ', ''));
      return;
    }
    const action: string = result.action;
    t.is(action, expected);
    const gone = result.update.withdrawn.keys.map(formatKey);
    const announced = result.update.reach.keys.map(formatKey);
    const before = withdrawn === '' ? [] : ['172.16.0.0/16'];
    const prefixes = reach === '' ? [] : ['10.1.1.0/24'];
    if (result.action === 'treat-as-withdraw') {
      t.deepEqual(gone, [...before, ...prefixes]);
      t.deepEqual(announced, []);
      t.is(result.update.attributes, null);
      t.is(result.update.mpReach, null);
    } else {
      t.deepEqual(gone, before);
      t.deepEqual(announced, prefixes);
      t.is(result.update.attributes !== null, reach !== '');
    }
  });
}

for (const [name, hex] of [
  ['withdrawn routes length', '0005 10 ac10 0000'],
  ['path attribute length', '0000 0010 40010100'],
  ['nothing behind the withdrawn routes', '0003 10 ac10 00'],
] as const) {
  test(`RFC 7606 §3 a: ${name} past the end`, (t) => {
    const result = new UpdateDecoder(new AttributeTable()).decode(bytes(hex), INTERNAL);
    t.like(result, { action: 'session-reset', error: { code: 3, subcode: 1 } });
  });
}

test('what treat-as-withdraw withdraws includes the NLRI of MP attributes', (t) => {
  const message = encodeUpdate(NOTHING, bytes(`40 01 01 03 ${AS_PATH} ${MP_REACH}`), NOTHING);
  const result = decode(message);
  t.is(result.action, 'treat-as-withdraw');
  if (result.action !== 'treat-as-withdraw') return;
  const [gone] = result.update.mpWithdrawn;
  t.deepEqual(gone?.type === 'ipv4' && gone.list.keys.map(formatKey), ['10.2.2.0/24']);
});

test('of repeated attributes the first holds', (t) => {
  const result = decode(encodeUpdate(NOTHING, bytes(`${GOOD} 40 01 01 02`), bytes(PREFIX)));
  t.is(result.action, 'attribute-discard');
  if (result.action === 'attribute-discard') t.is(result.update.attributes?.origin, 0);
});

test('RFC 6793 §4.2.3: AS4_PATH counts unless the AGGREGATOR is of a speaker that does not know of it', (t) => {
  const narrow: UpdateContext = { ...EXTERNAL, asSize: 2 };
  const path = '40 02 06 02 02 5ba0 fde9';
  const as4Path = 'c0 11 06 02 01 0000fde9';
  const head = `${ORIGIN} ${path} ${NEXT_HOP}`;
  const as4Aggregator = 'c0 12 08 00010001 0a000002';
  const asPathOf = (attributes: string) => {
    const result = decode(encodeUpdate(NOTHING, bytes(attributes), bytes(PREFIX)), narrow);
    return result.action === 'ok' ? result.update.attributes : null;
  };
  t.deepEqual(asPathOf(`${head} ${as4Path}`)?.asPath, [{ type: 'sequence', asns: [23456, 65001] }]);
  const before = asPathOf(`${ORIGIN} c0 11 0a 02 02 00010001 0000fde9 ${path} ${NEXT_HOP}`);
  t.deepEqual(before?.asPath, [{ type: 'sequence', asns: [65537, 65001] }], 'AS4_PATH before AS_PATH');
  const within = 'c0 11 10 03 01 0000fde8 02 02 00010001 0000fde9';
  t.deepEqual(asPathOf(`${head} ${within}`)?.asPath, before?.asPath, 'segments of a confederation');
  const translated = asPathOf(`${head} c0 07 06 5ba0 0a000002 ${as4Path} ${as4Aggregator}`);
  t.deepEqual(translated?.aggregator, { asn: 65537, address: 0x0a000002 });
  const old = asPathOf(`${head} c0 07 06 fde9 0a000002 c0 11 0a 02 02 00010001 0000fde9 ${as4Aggregator}`);
  t.deepEqual(old?.aggregator, { asn: 65001, address: 0x0a000002 });
  t.deepEqual(old?.asPath, [{ type: 'sequence', asns: [23456, 65001] }]);
});

test('mutated, truncated and random UPDATEs give a result, never an exception', (t) => {
  const whole = fc
    .tuple(attributeFields, fc.array(prefixKeys, { maxLength: 5 }), fc.array(prefixKeys, { maxLength: 5 }))
    .map(([fields, gone, come]) => encodeUpdate(nlri(gone), encodeAttributes(fields, 4), nlri(come)));
  const mutated = fc
    .tuple(whole, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat(30))
    .map(([message, changes, cut]) => {
      const body = Uint8Array.from(messageBody(message));
      for (const [at, value] of changes) body[at % body.length] = value;
      return body.subarray(0, Math.max(0, body.length - cut));
    });
  const body = fc.oneof(mutated, fc.uint8Array({ maxLength: 120 }));
  const decoder = new UpdateDecoder(new AttributeTable());
  fc.assert(
    fc.property(body, fc.boolean(), fc.boolean(), (input, internal, wide) => {
      const context: UpdateContext = {
        ...INTERNAL,
        peer: internal ? 'internal' : 'external',
        asSize: wide ? 4 : 2,
      };
      const copy = input.slice();
      const result = decoder.decode(input, context);
      t.deepEqual(input, copy);
      // What is decoded twice is decoded alike, remembered or not.
      t.deepEqual(new UpdateDecoder(new AttributeTable()).decode(input, context).action, result.action);
    }),
    { numRuns: 2000 },
  );
});

test('packing fills messages to the limit and loses nothing', (t) => {
  const packer = new UpdatePacker();
  const table = new AttributeTable();
  const context = { asSize: 4, pathIds: { ipv4: 'none', ipv6: 'none' }, maxMessage: 4096 } as const;
  const attributes = fc.option(attributeFields.map((fields) => table.intern(fields)));
  fc.assert(
    fc.property(fc.uniqueArray(prefixKeys, { maxLength: 3000, size: 'max' }), attributes, (keys, wire) => {
      const messages: Uint8Array[] = [];
      packer.begin(wire, context);
      for (const key of keys) {
        if (packer.add(key, 0)) continue;
        messages.push(packer.finish());
        packer.begin(wire, context);
        t.true(packer.add(key, 0));
      }
      if (!packer.isEmpty) messages.push(packer.finish());
      const seen: PrefixKey[] = [];
      for (const [i, message] of messages.entries()) {
        t.true(message.length <= 4096);
        // Another prefix of the longest kind would not have fitted.
        if (i < messages.length - 1) t.true(message.length > 4096 - 5);
        const result = decode(message);
        if (result.action !== 'ok') return t.fail();
        const { update }: { update: Update } = result;
        seen.push(...(wire === null ? update.withdrawn : update.reach).keys);
      }
      t.deepEqual(seen, keys);
    }),
    { numRuns: 20 },
  );
});
