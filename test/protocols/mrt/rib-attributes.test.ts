import test from 'ava';
import { NO_ATTRIBUTES } from '../../../protocols/bgp/attributes.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { decodeRibAttributes, encodeRibAttributes } from '../../../protocols/mrt/rib-attributes.ts';
import { route } from '../bgp/arbitrary.ts';
import { hex } from './bytes.ts';

const NEXT_HOP_6 = '20010db8000000000000000000000001';
const nextHop6 = parseIp6('2001:db8::1') ?? '';
const LINK_LOCAL = 'fe800000000000000000000000000001';

/** ORIGIN IGP; AS_PATH 65001, with numbers of four bytes. */
const BASE = '400101 00 400206 0201 0000fde9';
const base = { ...NO_ATTRIBUTES, asPath: [{ type: 'sequence' as const, asns: [65001] }] };

const MP_REACH = [
  ['the short form of RFC 6396 §4.3.4', `800e11 10 ${NEXT_HOP_6}`, nextHop6],
  [
    'the short form with a link-local address',
    `800e21 20 ${NEXT_HOP_6} ${LINK_LOCAL}`,
    nextHop6 + (parseIp6('fe80::1') ?? ''),
  ],
  ['the form of RFC 4760, with prefixes', `800e1a 0002 01 10 ${NEXT_HOP_6} 00 20 20010db8`, nextHop6],
  ['the form of RFC 4760, without any', `900e0015 0002 01 10 ${NEXT_HOP_6} 00`, nextHop6],
] as const;

for (const [form, attribute, expected] of MP_REACH) {
  test(`MP_REACH_NLRI in ${form}`, (t) => {
    t.deepEqual(decodeRibAttributes(hex(`${BASE} ${attribute}`), 4), { ...base, nextHop6: expected });
  });
}

test('an IPv4 next hop in MP_REACH_NLRI is one', (t) => {
  t.deepEqual(decodeRibAttributes(hex(`${BASE} 800e05 04 c0000201`), 4), route(0xc0000201, [65001]));
});

test('MP_REACH_NLRI prevails over NEXT_HOP, as in an UPDATE', (t) => {
  const read = decodeRibAttributes(hex(`${BASE} 400304 c0000201 800e11 10 ${NEXT_HOP_6}`), 4);
  t.deepEqual(read, { ...base, nextHop6 });
});

test('what is written for an IPv6 next hop has the short form, in order of type', (t) => {
  const fields = { ...base, med: 5, nextHop6, largeCommunities: [[1, 2, 3] as const] };
  t.deepEqual(
    encodeRibAttributes(fields),
    hex(`${BASE} 800404 00000005 800e11 10 ${NEXT_HOP_6} c0200c 000000010000000200000003`),
  );
});

test("BIRD's attributes without flags are read as what they are", (t) => {
  const read = decodeRibAttributes(hex(`${BASE} 000304 c0000201 000504 00000064`), 4);
  t.deepEqual(read, route(0xc0000201, [65001], { localPref: 100 }));
});

test('a next hop is taken as it is, 0.0.0.0 too', (t) => {
  t.like(decodeRibAttributes(hex(`${BASE} 400304 00000000`), 4), { nextHop: 0 });
  t.like(decodeRibAttributes(hex(`${BASE} 400304 7f000001`), 4), { nextHop: parseIp4('127.0.0.1') });
});

test('AS numbers of two bytes are joined with AS4_PATH, RFC 6793 §4.2.3', (t) => {
  const bytes = hex('400101 00 400206 0202 fde9 5ba0 400304 c0000201 c01106 0201 fa56ea00');
  t.like(decodeRibAttributes(bytes, 2), { asPath: [{ type: 'sequence', asns: [65001, 4200000000] }] });
});

test('in a table with numbers of four bytes AS4_PATH is left out, and the route stays', (t) => {
  const bytes = hex(`${BASE} 400304 c0000201 c01106 0201 fa56ea00`);
  t.deepEqual(decodeRibAttributes(bytes, 4), route(0xc0000201, [65001]));
});

const REFUSED = [
  ['', /no ORIGIN/],
  ['400206 0201 0000fde9 400304 c0000201', /no ORIGIN/],
  ['400101 00 400304 c0000201', /no AS_PATH/],
  [BASE, /no next hop/],
  [`${BASE} 400303 c00002`, /a NEXT_HOP of 3 bytes/],
  [`${BASE} 40`, /run over their length/],
  [`${BASE} 400304 c00002`, /attribute 3 runs over/],
  [`${BASE} 500304`, /run over their length/],
  [`${BASE} 800e05 10 20010db8`, /MP_REACH_NLRI is cut short/],
  [`${BASE} 800e03 0002 01`, /MP_REACH_NLRI is cut short/],
  [`${BASE} 800e00`, /MP_REACH_NLRI is cut short/],
  [`${BASE} 800e0d 0c 0000000000000000 c0000201`, /a next hop of 12 bytes/],
  ['400101 07 400206 0201 0000fde9 400304 c0000201', /attribute 1: .*Invalid ORIGIN/],
  ['400101 00 400206 0901 0000fde9 400304 c0000201', /attribute 2: .*Malformed AS_PATH/],
  [`${BASE} 400304 c0000201 006301 00`, /attribute 99: .*Unrecognized Well-known/],
] as const;

for (const [bytes, reason] of REFUSED) {
  test(`refused: ${bytes === '' ? 'nothing' : bytes}: ${reason.source}`, (t) => {
    const read = decodeRibAttributes(hex(bytes), 4);
    t.regex(typeof read === 'string' ? read : 'read', reason);
  });
}
