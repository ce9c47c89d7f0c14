import test from 'ava';
import { formatKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import { parseIp } from '../../../protocols/ip.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { formatPeer, type MrtPeer } from '../../../protocols/mrt/peer.ts';
import { readMrt } from '../../../protocols/mrt/reader.ts';
import { encodeRecord } from '../../../protocols/mrt/record.ts';
import { encodeRibAttributes } from '../../../protocols/mrt/rib-attributes.ts';
import {
  formatPeerSelector,
  type PeerSelector,
  parsePeerSelector,
  RouteReader,
} from '../../../protocols/mrt/routes.ts';
import { encodePeerIndexTable, encodeRib } from '../../../protocols/mrt/table-dump-v2.ts';
import { route } from '../bgp/arbitrary.ts';
import { concat, hex } from './bytes.ts';

function peerAt(address: string, asn: number): MrtPeer {
  return { identifier: 0, address: parseIp(address) ?? 0, asn };
}

const PEERS = [peerAt('0.0.0.0', 0), peerAt('192.0.2.1', 65001), peerAt('2001:db8::1', 65002)];
const TABLE = encodePeerIndexTable(0, { collector: 1, viewName: '', peers: PEERS });

/** A record with a route of each of these peers; null stands for one without attributes. */
function rib(prefix: string, ...peers: readonly (number | null)[]): Uint8Array {
  const good = encodeRibAttributes(route(parseIp4('198.51.100.1') ?? 0, [65001]));
  const entries = peers.map((peer) => ({
    peerIndex: peer ?? 0,
    originatedAt: 0,
    pathId: 0,
    attributes: peer === null ? new Uint8Array(0) : good,
  }));
  return encodeRib(0, {
    sequence: 0,
    prefix: parseKey(prefix) ?? 0,
    cast: 'unicast',
    pathIds: 'none',
    entries,
  });
}

function read(selector: PeerSelector, ...records: readonly Uint8Array[]): string[] {
  const reader = new RouteReader(selector);
  return [...readMrt(concat(...records))]
    .flatMap((record) => [...reader.read(record)])
    .map((found) =>
      found.kind === 'route'
        ? `${formatKey(found.prefix)} ${formatPeer(found.peer)}`
        : `${found.offset}: ${found.reason}`,
    );
}

const FILE = [
  TABLE,
  rib('10.0.0.0/8', null),
  rib('10.1.0.0/16', null, 2, 1),
  rib('10.2.0.0/16', 1),
  rib('2001:db8::/32', 2),
];

test('all: every route that is from BGP', (t) => {
  t.deepEqual(read({ type: 'all' }, ...FILE), [
    '10.1.0.0/16 2001:db8::1 AS65002',
    '10.1.0.0/16 192.0.2.1 AS65001',
    '10.2.0.0/16 192.0.2.1 AS65001',
    '2001:db8::/32 2001:db8::1 AS65002',
  ]);
});

test('first: the peer of the first route, not of the first entry of the table', (t) => {
  t.deepEqual(read({ type: 'first' }, ...FILE), [
    '10.1.0.0/16 2001:db8::1 AS65002',
    '2001:db8::/32 2001:db8::1 AS65002',
  ]);
});

test('by address and by AS number', (t) => {
  const expected = ['10.1.0.0/16 192.0.2.1 AS65001', '10.2.0.0/16 192.0.2.1 AS65001'];
  t.deepEqual(read({ type: 'address', address: parseIp4('192.0.2.1') ?? 0 }, ...FILE), expected);
  t.deepEqual(read({ type: 'as', asn: 65001 }, ...FILE), expected);
  t.deepEqual(read({ type: 'as', asn: 65009 }, ...FILE), []);
});

test('a second PEER_INDEX_TABLE takes the place of the first, for the first peer too', (t) => {
  const other = encodePeerIndexTable(0, { collector: 1, viewName: '', peers: PEERS.toReversed() });
  t.deepEqual(read({ type: 'first' }, TABLE, rib('10.1.0.0/16', 1), other, rib('10.2.0.0/16', 0, 1, 2)), [
    '10.1.0.0/16 192.0.2.1 AS65001',
    '10.2.0.0/16 192.0.2.1 AS65001',
  ]);
});

test('multicast routes are not among them', (t) => {
  const attributes = encodeRibAttributes(route(1, [65001]));
  const entries = [{ peerIndex: 1, originatedAt: 0, pathId: 0, attributes }];
  const made = encodeRib(0, { sequence: 0, prefix: 0, cast: 'multicast', pathIds: 'none', entries });
  t.deepEqual(read({ type: 'all' }, TABLE, made), []);
});

test('the legacy TABLE_DUMP has its peers in each record', (t) => {
  const attributes = '400101 00 400204 0201 fde9 400304 c6336401';
  const dump = (peer: string) =>
    encodeRecord(0, 12, 1, hex(`0000 0000 c0000200 18 01 00000005 ${peer} fde9 0012 ${attributes}`));
  const records = [dump('c0000201'), dump('c0000202'), dump('c0000201')];
  t.deepEqual(read({ type: 'first' }, ...records), [
    '192.0.2.0/24 192.0.2.1 AS65001',
    '192.0.2.0/24 192.0.2.1 AS65001',
  ]);
  t.deepEqual(read({ type: 'address', address: parseIp4('192.0.2.2') ?? 0 }, ...records), [
    '192.0.2.0/24 192.0.2.2 AS65001',
  ]);
});

test('faults are told at the offset of their record, and what is good in it is read', (t) => {
  const bad = encodeRib(0, {
    sequence: 0,
    prefix: 0,
    cast: 'unicast',
    pathIds: 'none',
    entries: [
      { peerIndex: 1, originatedAt: 0, pathId: 0, attributes: hex('400101 07') },
      { peerIndex: 7, originatedAt: 0, pathId: 0, attributes: hex('400101 00') },
    ],
  });
  t.deepEqual(read({ type: 'all' }, rib('10.0.0.0/8', 1), TABLE, bad, hex('00'), new Uint8Array(0)), [
    '0: a RIB record, but no PEER_INDEX_TABLE before it',
    `${rib('10.0.0.0/8', 1).length + TABLE.length}: 192.0.2.1 AS65001: attribute 1: UPDATE Message Error/Invalid ORIGIN Attribute`,
    `${rib('10.0.0.0/8', 1).length + TABLE.length}: peer 7 of a PEER_INDEX_TABLE with 3`,
    `${rib('10.0.0.0/8', 1).length + TABLE.length + bad.length}: the file ends within this record`,
  ]);
});

test("another peer's malformed route is none of ours", (t) => {
  const entries = [
    { peerIndex: 2, originatedAt: 0, pathId: 0, attributes: hex('400101 07') },
    { peerIndex: 1, originatedAt: 0, pathId: 0, attributes: encodeRibAttributes(route(1, [65001])) },
  ];
  const made = encodeRib(0, { sequence: 0, prefix: 0, cast: 'unicast', pathIds: 'none', entries });
  t.deepEqual(read({ type: 'as', asn: 65001 }, TABLE, made), ['0.0.0.0/0 192.0.2.1 AS65001']);
});

const SELECTORS: readonly (readonly [string, PeerSelector | null])[] = [
  ['first', { type: 'first' }],
  ['all', { type: 'all' }],
  ['AS65001', { type: 'as', asn: 65001 }],
  ['as4200000000', { type: 'as', asn: 4200000000 }],
  ['65001', { type: 'as', asn: 65001 }],
  ['192.0.2.1', { type: 'address', address: 0xc0000201 }],
  ['2001:db8::1', { type: 'address', address: parseIp('2001:db8::1') ?? 0 }],
  ['4294967296', null],
  ['AS', null],
  ['192.0.2', null],
  ['192.0.2.0/24', null],
  ['', null],
];

for (const [text, selector] of SELECTORS) {
  test(`selector ${JSON.stringify(text)}`, (t) => {
    t.deepEqual(parsePeerSelector(text), selector);
    if (selector !== null) t.deepEqual(parsePeerSelector(formatPeerSelector(selector)), selector);
  });
}
