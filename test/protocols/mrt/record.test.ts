import test from 'ava';
import { NO_ATTRIBUTES } from '../../../protocols/bgp/attributes.ts';
import { encodeMessage, encodeStateChange } from '../../../protocols/mrt/bgp4mp.ts';
import { encodeRecord } from '../../../protocols/mrt/record.ts';
import { tableDump } from '../../../protocols/mrt/table.ts';
import { encodePeerIndexTable, encodeRib } from '../../../protocols/mrt/table-dump-v2.ts';
import { concat, hex } from './bytes.ts';

const NOTHING = new Uint8Array(0);

const TIMES = [
  ['0 ms', 0, '00000000', '00000000'],
  ['1.999999 s', 1999.999, '00000001', '000f423f'],
  ['a rounding up to the next second', 1999.9999, '00000002', '00000000'],
  ['the last second of 32 bits', 0xffffffff * 1000, 'ffffffff', '00000000'],
  ['one second later, which has no room', 2 ** 32 * 1000, '00000000', '00000000'],
  ['before the epoch', -1, '00000000', '00000000'],
] as const;

for (const [what, ms, seconds, microseconds] of TIMES) {
  test(`extended timestamp: ${what}`, (t) => {
    t.deepEqual(encodeRecord(ms, 17, 4, NOTHING), hex(`${seconds} 0011 0004 00000004 ${microseconds}`));
  });
}

test('a plain timestamp keeps whole seconds', (t) => {
  t.deepEqual(encodeRecord(1999.9999, 16, 4, hex('ab')), hex('00000001 0010 0004 00000001 ab'));
});

test('a table with an IPv4 and an IPv6 peer, byte for byte', (t) => {
  const records = tableDump({
    timestamp: 256_000,
    collector: 0x0a000001,
    viewName: '',
    peers: [
      { identifier: 0x0a000002, address: 0xc0000202, asn: 65001 },
      {
        identifier: 0x0a000003,
        address: '\x20\x01\x0d\xb8'.padEnd(15, '\0').concat('\x02'),
        asn: 4200000000,
      },
    ],
    routes: [
      {
        // 10.0.0.0/8
        prefix: 0x0a000000 * 64 + 8,
        paths: [
          { peerIndex: 1, originatedAt: 1000, pathId: 9, attributes: { ...NO_ATTRIBUTES, nextHop: 1 } },
          { peerIndex: 0, originatedAt: 2000, pathId: null, attributes: { ...NO_ATTRIBUTES, nextHop: 2 } },
        ],
      },
    ],
  });
  t.deepEqual(
    concat(...records),
    hex(`
      00000100 000d 0001 0000002e 0a000001 0000 0002
        02 0a000002 c0000202 0000fde9
        03 0a000003 20010db8000000000000000000000002 fa56ea00
      00000100 000d 0002 0000001e 00000000 08 0a 0001
        0000 00000002 000e 400101 00 400200 400304 00000002
      00000100 000d 0008 00000022 00000001 08 0a 0001
        0001 00000001 00000009 000e 400101 00 400200 400304 00000001`),
  );
});

test('what no field can hold is refused', (t) => {
  const peer = { identifier: 0, address: 0, asn: 0 };
  const table = { collector: 0, viewName: '', peers: new Array<typeof peer>(65_536).fill(peer) };
  t.throws(() => encodePeerIndexTable(0, table), { instanceOf: RangeError });
  const name = { collector: 0, viewName: 'x'.repeat(65_536), peers: [] };
  t.throws(() => encodePeerIndexTable(0, name), { instanceOf: RangeError });
  const entry = { peerIndex: 0, originatedAt: 0, pathId: 0, attributes: NOTHING };
  const rib = { sequence: 0, prefix: 0, cast: 'unicast', pathIds: 'none' } as const;
  const many = new Array<typeof entry>(65_536).fill(entry);
  t.throws(() => encodeRib(0, { ...rib, entries: many }), { instanceOf: RangeError });
  const long = [{ ...entry, attributes: new Uint8Array(65_536) }];
  t.throws(() => encodeRib(0, { ...rib, entries: long }), { instanceOf: RangeError });
});

test('a session between two families cannot be told', (t) => {
  const session = {
    asSize: 4,
    peerAs: 1,
    localAs: 2,
    interfaceIndex: 0,
    peerAddress: 1,
    localAddress: '\0'.repeat(16),
  } as const;
  const change = { session, oldState: 'Idle', newState: 'Active' } as const;
  t.throws(() => encodeStateChange(0, 'seconds', change), { instanceOf: RangeError });
});

test('an AS number that two bytes cannot hold is AS_TRANS', (t) => {
  const session = {
    asSize: 2,
    peerAs: 4200000000,
    localAs: 65001,
    interfaceIndex: 0,
    peerAddress: 1,
    localAddress: 2,
  } as const;
  const message = hex('ffffffffffffffffffffffffffffffff 0013 04');
  t.deepEqual(
    encodeMessage(0, 'seconds', { session, direction: 'sent', pathIds: 'none', message }),
    concat(hex('00000000 0010 0006 00000023 5ba0 fde9 0000 0001 00000001 00000002'), message),
  );
});
