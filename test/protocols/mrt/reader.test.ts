import test from 'ava';
import { parseKey } from '../../../protocols/bgp/nlri.ts';
import { parseIp } from '../../../protocols/ip.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { readMrt } from '../../../protocols/mrt/reader.ts';
import { encodeRecord } from '../../../protocols/mrt/record.ts';
import { concat, hex } from './bytes.ts';

function ip(text: string): number | string {
  const address = parseIp(text);
  if (address === null) throw new Error(text);
  return address;
}

function ip4(text: string): number {
  return parseIp4(text) ?? -1;
}

/** The only record of some bytes. */
function only(bytes: Uint8Array): object {
  const [record, ...others] = readMrt(bytes);
  if (record === undefined || others.length > 0) throw new Error(`${others.length + 1} records`);
  return record;
}

/** What is said of a record of this type, subtype and message. */
function reasonOf(type: number, subtype: number, message: string): string {
  const record = only(encodeRecord(0, type, subtype, hex(message)));
  return 'reason' in record ? String(record.reason) : `a good ${JSON.stringify(record)}`;
}

test('PEER_INDEX_TABLE, RFC 6396 §4.3.1: peers of both families and both sizes of AS number', (t) => {
  const bytes = hex(`
    5e0be100 000d 0001 00000054
    c0000201 0004 76696577 0004
    00 0a000001 c0000202 fde9
    02 0a000002 c0000203 0003000a
    01 0a000003 20010db8000000000000000000000001 fdea
    03 0a000004 20010db8000000000000000000000002 fa56ea00`);
  t.deepEqual(only(bytes), {
    kind: 'peer-index-table',
    offset: 0,
    timestamp: 0x5e0be100 * 1000,
    collector: ip4('192.0.2.1'),
    viewName: 'view',
    peers: [
      { identifier: ip4('10.0.0.1'), address: ip('192.0.2.2'), asn: 65001 },
      { identifier: ip4('10.0.0.2'), address: ip('192.0.2.3'), asn: 0x3000a },
      { identifier: ip4('10.0.0.3'), address: ip('2001:db8::1'), asn: 65002 },
      { identifier: ip4('10.0.0.4'), address: ip('2001:db8::2'), asn: 4200000000 },
    ],
  });
});

test('RIB_IPV4_UNICAST, §4.3.2: two entries', (t) => {
  const bytes = hex(`
    00000000 000d 0002 0000001e
    0000002a 17 0a0102 0002
    0000 00000064 0003 400101
    0001 00000065 0001 ff`);
  t.deepEqual(only(bytes), {
    kind: 'rib',
    offset: 0,
    timestamp: 0,
    sequence: 42,
    prefix: parseKey('10.1.2.0/23'),
    cast: 'unicast',
    pathIds: 'none',
    entries: [
      { peerIndex: 0, originatedAt: 100_000, pathId: 0, attributes: hex('400101') },
      { peerIndex: 1, originatedAt: 101_000, pathId: 0, attributes: hex('ff') },
    ],
  });
});

/** The subtype, its sequence and its NLRI, the prefix and the rest of what it must read as. */
const FORMS = [
  [2, '18 c00002', '192.0.2.0/24', 'unicast', 'none'],
  [3, '18 c00002', '192.0.2.0/24', 'multicast', 'none'],
  [4, '20 20010db8', '2001:db8::/32', 'unicast', 'none'],
  [5, '00', '::/0', 'multicast', 'none'],
  [6, '0001 01 18 c00002', '192.0.2.0/24', 'unicast', 'none'],
  [6, '0002 02 20 20010db8', '2001:db8::/32', 'multicast', 'none'],
  [8, '18 c00002', '192.0.2.0/24', 'unicast', 'present'],
  [9, '00', '0.0.0.0/0', 'multicast', 'present'],
  [10, '20 20010db8', '2001:db8::/32', 'unicast', 'present'],
  [11, '20 20010db8', '2001:db8::/32', 'multicast', 'present'],
] as const;

for (const [subtype, nlri, prefix, cast, pathIds] of FORMS) {
  test(`TABLE_DUMP_V2 subtype ${subtype}, ${nlri}: ${cast} ${prefix}, path identifiers ${pathIds}`, (t) => {
    const pathId = pathIds === 'present' ? '0000002a' : '';
    const message = hex(`00000007 ${nlri} 0001 0003 00000001 ${pathId} 0002 abcd`);
    t.deepEqual(only(encodeRecord(0, 13, subtype, message)), {
      kind: 'rib',
      offset: 0,
      timestamp: 0,
      sequence: 7,
      prefix: parseKey(prefix),
      cast,
      pathIds,
      entries: [
        {
          peerIndex: 3,
          originatedAt: 1000,
          pathId: pathIds === 'present' ? 42 : 0,
          attributes: hex('abcd'),
        },
      ],
    });
  });
}

const GENERIC_ADDPATH = [
  ["RFC 8050 §4.2's, before the prefix", '0000002a 18 c00002 0001 0003 00000001 0002 abcd'],
  ["GoBGP's, in each entry", '18 c00002 0001 0003 00000001 0000002a 0002 abcd'],
] as const;

for (const [form, rest] of GENERIC_ADDPATH) {
  test(`RIB_GENERIC_ADDPATH with the path identifier ${form}`, (t) => {
    t.like(only(encodeRecord(0, 13, 12, hex(`00000007 0001 01 ${rest}`))), {
      kind: 'rib',
      sequence: 7,
      prefix: parseKey('192.0.2.0/24'),
      pathIds: 'present',
      entries: [{ peerIndex: 3, originatedAt: 1000, pathId: 42, attributes: hex('abcd') }],
    });
  });
}

test('bits of a prefix behind its length count for nothing', (t) => {
  t.like(only(encodeRecord(0, 13, 2, hex('00000000 14 0affff 0000'))), {
    prefix: parseKey('10.255.240.0/20'),
  });
  t.like(only(encodeRecord(0, 13, 4, hex('00000000 0c 2fff 0000'))), { prefix: parseKey('2ff0::/12') });
});

test('TABLE_DUMP, §4.2: both families', (t) => {
  const v4 = hex('0001 0002 c0000200 18 01 00000005 c6336401 fde9 0003 400101');
  t.deepEqual(only(encodeRecord(9000, 12, 1, v4)), {
    kind: 'table-dump',
    offset: 0,
    timestamp: 9000,
    view: 1,
    sequence: 2,
    prefix: parseKey('192.0.2.0/24'),
    originatedAt: 5000,
    peerAddress: ip('198.51.100.1'),
    peerAs: 65001,
    attributes: hex('400101'),
  });
  const v6 = hex(`0000 0000 20010db8000000000000000000000000 20 01 00000005
    20010db8000000000000000000000009 fdea 0000`);
  t.like(only(encodeRecord(0, 12, 2, v6)), {
    kind: 'table-dump',
    prefix: parseKey('2001:db8::/32'),
    peerAddress: ip('2001:db8::9'),
    peerAs: 65002,
    attributes: new Uint8Array(0),
  });
});

test('BGP4MP_STATE_CHANGE and its AS4 form, §4.4.1, §4.4.4', (t) => {
  const session = { interfaceIndex: 3, peerAddress: ip('192.0.2.1'), localAddress: ip('192.0.2.2') };
  t.deepEqual(only(hex('00000001 0010 0000 00000014 fde9 fdea 0003 0001 c0000201 c0000202 0005 0006')), {
    kind: 'state-change',
    offset: 0,
    timestamp: 1000,
    session: { asSize: 2, peerAs: 65001, localAs: 65002, ...session },
    oldState: 'OpenConfirm',
    newState: 'Established',
  });
  t.like(only(hex('00000001 0010 0005 00000018 fa56ea00 0000fdea 0003 0001 c0000201 c0000202 0001 0007')), {
    session: { asSize: 4, peerAs: 4200000000, localAs: 65002, ...session },
    oldState: 'Idle',
    newState: 'Clearing',
  });
});

test('BGP4MP_ET, §3: microseconds come first in the message and count in its length', (t) => {
  const keepalive = 'ffffffffffffffffffffffffffffffff 0013 04';
  const record = hex(`00000002 0011 0004 00000043 0001e240
    0000fde9 0000fdea 0000 0002 20010db8000000000000000000000001 20010db8000000000000000000000002 ${keepalive}`);
  t.deepEqual(only(record), {
    kind: 'message',
    offset: 0,
    timestamp: 2123.456,
    session: {
      asSize: 4,
      peerAs: 65001,
      localAs: 65002,
      interfaceIndex: 0,
      peerAddress: ip('2001:db8::1'),
      localAddress: ip('2001:db8::2'),
    },
    direction: 'received',
    pathIds: 'none',
    message: hex(keepalive),
  });
});

/** Subtype, size of AS numbers, direction, path identifiers: RFC 6396 §4.4 and RFC 8050 §3. */
const MESSAGES = [
  [1, 2, 'received', 'none'],
  [4, 4, 'received', 'none'],
  [6, 2, 'sent', 'none'],
  [7, 4, 'sent', 'none'],
  [8, 2, 'received', 'present'],
  [9, 4, 'received', 'present'],
  [10, 2, 'sent', 'present'],
  [11, 4, 'sent', 'present'],
] as const;

for (const [subtype, asSize, direction, pathIds] of MESSAGES) {
  test(`BGP4MP subtype ${subtype}: a message ${direction}, AS numbers of ${asSize}, path identifiers ${pathIds}`, (t) => {
    const asns = asSize === 2 ? 'fde9 fdea' : '0000fde9 0000fdea';
    const message = `ffffffffffffffffffffffffffffffff 0013 04`;
    const record = only(encodeRecord(0, 16, subtype, hex(`${asns} 0000 0001 c0000201 c0000202 ${message}`)));
    t.like(record, { kind: 'message', direction, pathIds, message: hex(message) });
    t.like(record, { session: { asSize, peerAs: 65001, localAs: 65002 } });
  });
}

test('what is not read here is named by its type and subtype', (t) => {
  t.like(only(encodeRecord(0, 11, 0, hex('00'))), { kind: 'unsupported', type: 11, subtype: 0 });
  t.like(only(encodeRecord(0, 13, 7, hex('00'))), { kind: 'unsupported', type: 13, subtype: 7 });
  t.like(only(encodeRecord(0, 16, 2, hex('00'))), { kind: 'unsupported', type: 16, subtype: 2 });
  // RIB_GENERIC of VPN-IPv4, SAFI 128.
  t.like(only(encodeRecord(0, 13, 6, hex('00000000 0001 80 00'))), { kind: 'unsupported', subtype: 6 });
});

const PEER = '0000fde9 0000fdea 0000 0001 c0000201 c0000202';

const MALFORMED = [
  [
    'a PEER_INDEX_TABLE with fewer peers than it says',
    13,
    1,
    '00000000 0000 0002 02 00000000 00000000 00000001',
    /over the end/,
  ],
  ['a view name longer than the record', 13, 1, '00000000 ffff 00', /over the end/],
  ['bytes behind the last peer', 13, 1, '00000000 0000 0000 00', /1 bytes are left over/],
  ['an IPv4 prefix of 33 bits', 13, 2, '00000000 21 0000000000 0000', /longer than 32 bits/],
  ['an IPv6 prefix of 129 bits', 13, 4, '00000000 81 0000', /longer than 128 bits/],
  ['attributes longer than the record', 13, 2, '00000000 00 0001 0000 00000000 0005 01', /over the end/],
  ['bytes behind the last entry', 13, 2, '00000000 00 0000 ffff', /2 bytes are left over/],
  ['a RIB record of no bytes', 13, 2, '', /over the end/],
  [
    'a legacy prefix of 33 bits',
    12,
    1,
    '0000 0000 00000000 21 01 00000000 00000000 0001 0000',
    /longer than 32 bits/,
  ],
  ['a legacy record cut short', 12, 1, '0000 0000 00000000 20 01 00000000', /over the end/],
  [
    'an address family of its own',
    16,
    4,
    '0000fde9 0000fdea 0000 0003 c0000201 c0000202',
    /address family 3/,
  ],
  ['a state 9', 16, 5, `${PEER} 0001 0009`, /from 1 to 9/],
  ['a state 0', 16, 5, `${PEER} 0000 0001`, /from 0 to 1/],
  ['one state', 16, 5, `${PEER} 0001`, /not 2/],
  ['a message shorter than its header', 16, 4, `${PEER} ffff`, /2 bytes are no BGP message/],
  [
    'a message whose length is another',
    16,
    4,
    `${PEER} ffffffffffffffffffffffffffffffff 0014 04`,
    /length 20 in 19 bytes/,
  ],
] as const;

for (const [what, type, subtype, message, reason] of MALFORMED) {
  test(`malformed: ${what}`, (t) => t.regex(reasonOf(type, subtype, message), reason));
}

test('malformed: an extended timestamp in three bytes', (t) => {
  t.deepEqual(only(hex('00000000 0011 0004 00000003 000000')), {
    kind: 'malformed',
    offset: 0,
    reason: 'no room for the extended timestamp',
  });
});

test('reading goes on behind a malformed record, and behind one that claims more than any has', (t) => {
  const good = encodeRecord(0, 13, 1, hex('00000000 0000 0000'));
  const bad = encodeRecord(0, 13, 2, hex('00000000 21 00'));
  const huge = new Uint8Array(12 + 0x1000001);
  huge.set(hex('00000000 000d 0002 01000001'));
  const file = concat(good, bad, good);
  t.deepEqual(
    [...readMrt(file)].map(({ kind, offset }) => [kind, offset]),
    [
      ['peer-index-table', 0],
      ['malformed', good.length],
      ['peer-index-table', good.length + bad.length],
    ],
  );
  const long = new Uint8Array(huge.length + good.length);
  long.set(huge);
  long.set(good, huge.length);
  t.deepEqual(
    [...readMrt(long)].map(({ kind, offset }) => [kind, offset]),
    [
      ['malformed', 0],
      ['peer-index-table', huge.length],
    ],
  );
});

test('a file that ends within a record says so at its offset', (t) => {
  const good = encodeRecord(0, 13, 1, hex('00000000 0000 0000'));
  for (const length of [1, 11, 12, good.length - 1]) {
    const records = [...readMrt(concat(good, good.subarray(0, length)))];
    t.is(records.length, 2);
    t.deepEqual(records[1], {
      kind: 'malformed',
      offset: good.length,
      reason: 'the file ends within this record',
    });
  }
});
