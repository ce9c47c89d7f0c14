import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { formatAsPath } from '../../../protocols/bgp/as-path.ts';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import { type AttributeFields, ORIGIN_NAMES } from '../../../protocols/bgp/attributes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
} from '../../../protocols/bgp/community.ts';
import { decodeMessage } from '../../../protocols/bgp/message.ts';
import { nlriKeys } from '../../../protocols/bgp/mp-nlri.ts';
import { formatKey } from '../../../protocols/bgp/nlri.ts';
import { UpdateDecoder } from '../../../protocols/bgp/update.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { formatIp6 } from '../../../protocols/ip6.ts';
import { type BgpMessage, updateContext } from '../../../protocols/mrt/bgp4mp.ts';
import { formatPeer } from '../../../protocols/mrt/peer.ts';
import { readMrt } from '../../../protocols/mrt/reader.ts';
import { RouteReader } from '../../../protocols/mrt/routes.ts';

/**
 * Files that BIRD 2.0.12 and GoBGP 3.10.0 wrote, of three speakers: BIRD AS65000 at 127.0.0.1, with ADD-PATH for IPv4 to
 * GoBGP AS4200000001 at 127.0.0.2, and another BIRD AS65003 at 127.0.0.3, which adds communities, a MED of 50 and two
 * numbers to its paths. What is expected is what they were configured with, and bgpdump 1.6.2 prints.
 */
function fixture(name: string): Uint8Array {
  return readFileSync(fileURLToPath(new URL(`fixtures/${name}`, import.meta.url)));
}

function nextHopOf({ nextHop, nextHop6 }: AttributeFields): string {
  return nextHop6 === null ? formatIp4(nextHop ?? 0) : formatIp6(nextHop6.slice(0, 16));
}

/** As far as a line of bgpdump, and all communities. */
function describe(fields: AttributeFields): string {
  const { med, localPref } = fields;
  return [
    formatAsPath(fields.asPath),
    ORIGIN_NAMES[fields.origin],
    nextHopOf(fields),
    `${localPref ?? 0} ${med ?? 0}`,
    ...fields.communities.map(formatCommunity),
    ...fields.largeCommunities.map(formatLargeCommunity),
    ...fields.extendedCommunities.map(formatExtendedCommunity),
  ].join('|');
}

function routesOf(name: string): string[] {
  const reader = new RouteReader({ type: 'all' });
  return [...readMrt(fixture(name))]
    .flatMap((record) => [...reader.read(record)])
    .map((found) => {
      if (found.kind === 'fault') return `${found.offset}: ${found.reason}`;
      const { peer, pathId, prefix, attributes } = found;
      return `${formatPeer(peer)} ${formatKey(prefix)} #${pathId} ${describe(attributes)}`;
    })
    .sort();
}

const DECORATED = '65003:100|65003:1:2|rt:65003:7';
const FROM_BIRD = `65003 65010 196700|IGP|198.51.100.3|100 50|${DECORATED}`;
const FROM_BIRD_6 = `65003 65010 196700|IGP|2001:db8:ff::3|100 50|${DECORATED}`;

test("BIRD's table of IPv4: ADD-PATH and plain records, static routes without attributes", (t) => {
  t.deepEqual(routesOf('bird-table4.mrt'), [
    '127.0.0.2 AS4200000001 10.1.0.0/16 #3 4200000001 65001 65002|INCOMPLETE|198.51.100.2|100 0',
    '127.0.0.2 AS4200000001 172.20.0.0/16 #1 4200000001|INCOMPLETE|198.51.100.2|100 9|65001:7',
    '127.0.0.2 AS4200000001 172.21.0.0/16 #1 4200000001|INCOMPLETE|198.51.100.2|100 0',
    `127.0.0.3 AS65003 0.0.0.0/0 #0 ${FROM_BIRD}`,
    `127.0.0.3 AS65003 10.1.0.0/16 #0 ${FROM_BIRD}`,
    `127.0.0.3 AS65003 10.1.2.0/23 #0 ${FROM_BIRD}`,
    `127.0.0.3 AS65003 10.9.9.9/32 #0 ${FROM_BIRD}`,
    `127.0.0.3 AS65003 203.0.113.0/24 #0 ${FROM_BIRD}`,
  ]);
});

test("BIRD's table of IPv6: the short form of MP_REACH_NLRI", (t) => {
  t.deepEqual(routesOf('bird-table6.mrt'), [
    '127.0.0.2 AS4200000001 2001:db8:20::/48 #0 4200000001|INCOMPLETE|2001:db8:ff::2|100 0',
    `127.0.0.3 AS65003 2001:db8:3::/48 #0 ${FROM_BIRD_6}`,
    `127.0.0.3 AS65003 2001:db8:3::33/128 #0 ${FROM_BIRD_6}`,
    `127.0.0.3 AS65003 ::/0 #0 ${FROM_BIRD_6}`,
  ]);
});

/** GoBGP gives the routes that it originates a peer that is not in the table. */
const NO_PEER = 'peer 2 of a PEER_INDEX_TABLE with 2';

test("GoBGP's table: MP_REACH_NLRI as the peer sent it, two paths to a prefix", (t) => {
  const far = `65000 65003 65010 196700|IGP|198.51.100.1|0 0|${DECORATED}`;
  const far6 = `65000 65003 65010 196700|IGP|2001:db8:ff::1|0 0|${DECORATED}`;
  const found = routesOf('gobgp-table.mrt');
  t.deepEqual(
    found.filter((line) => !line.includes(NO_PEER)),
    [
      `127.0.0.1 AS65000 0.0.0.0/0 #4 ${far}`,
      '127.0.0.1 AS65000 10.1.0.0/16 #2 65000|IGP|198.51.100.1|0 0',
      `127.0.0.1 AS65000 10.1.0.0/16 #4 ${far}`,
      `127.0.0.1 AS65000 10.1.2.0/23 #4 ${far}`,
      `127.0.0.1 AS65000 10.9.9.9/32 #4 ${far}`,
      '127.0.0.1 AS65000 192.0.2.0/24 #2 65000|IGP|198.51.100.1|0 0',
      '127.0.0.1 AS65000 2001:db8:3::/48 #0 '.concat(far6),
      '127.0.0.1 AS65000 2001:db8:3::33/128 #0 '.concat(far6),
      '127.0.0.1 AS65000 2001:db8::/32 #0 65000|IGP|2001:db8:ff::1|0 0',
      '127.0.0.1 AS65000 2001:db8:ff::/48 #0 65000|IGP|2001:db8:ff::1|0 0',
      '127.0.0.1 AS65000 203.0.113.0/24 #4 '.concat(far),
      `127.0.0.1 AS65000 ::/0 #0 ${far6}`,
    ].sort(),
  );
  // 172.20.0.0/16, 172.21.0.0/16, 10.1.0.0/16 and 2001:db8:20::/48.
  t.is(found.filter((line) => line.includes(NO_PEER)).length, 4);
});

/** What a message announces and withdraws. */
function told(decoder: UpdateDecoder, record: BgpMessage): string[] {
  const message = decodeMessage(record.message);
  const from = formatIp(record.session.peerAddress);
  if (message.type === 'open') {
    return [message.result.ok ? `${from} open AS${message.result.open.asn}` : `${from} bad open`];
  }
  if (message.type !== 'update') return [`${from} ${message.type}`];
  const result = decoder.decode(message.body, updateContext(record));
  if (result.action !== 'ok') return [`${from} ${result.action}`];
  const { withdrawn, reach, mpReach, mpWithdrawn, endOfRib } = result.update;
  if (endOfRib !== null) return [`${from} end of rib`];
  const announced = [
    { list: reach, sign: `+` },
    ...(mpReach === null ? [] : [{ list: nlriKeys(mpReach.reach.nlri), sign: '+' }]),
    { list: withdrawn, sign: '-' },
    ...mpWithdrawn.map((nlri) => ({ list: nlriKeys(nlri), sign: '-' })),
  ];
  return announced.flatMap(({ list, sign }) =>
    list.keys.map((key, i) => `${from} ${sign}${formatKey(key)} #${list.pathIds?.[i] ?? 0}`),
  );
}

function story(name: string): string[] {
  const decoder = new UpdateDecoder(new AttributeTable());
  return [...readMrt(fixture(name))].flatMap((record) => {
    if (record.kind === 'message') return told(decoder, record);
    if (record.kind !== 'state-change') return [record.kind];
    const { session, oldState, newState } = record;
    return [`${formatIp(session.peerAddress)} ${oldState} ${newState}`];
  });
}

test("BIRD's log of messages and states", (t) => {
  const lines = story('bird-updates.mrt');
  t.deepEqual(
    lines.filter((line) => line.startsWith('127.0.0.2')),
    [
      '127.0.0.2 Active Connect',
      '127.0.0.2 Connect OpenSent',
      '127.0.0.2 open AS4200000001',
      '127.0.0.2 OpenSent OpenConfirm',
      '127.0.0.2 keepalive',
      '127.0.0.2 OpenConfirm Established',
      '127.0.0.2 +172.20.0.0/16 #1',
      '127.0.0.2 +172.21.0.0/16 #1',
      '127.0.0.2 +10.1.0.0/16 #3',
      '127.0.0.2 +2001:db8:20::/48 #0',
      ...lines.filter((line) => line === '127.0.0.2 keepalive').slice(1),
      '127.0.0.2 Established Idle',
    ],
  );
  t.deepEqual(
    lines.filter((line) => line.startsWith('127.0.0.3 +')).sort(),
    [
      '0.0.0.0/0',
      '10.9.9.9/32',
      '10.1.2.0/23',
      '10.1.0.0/16',
      '203.0.113.0/24',
      '::/0',
      '2001:db8:3::/48',
      '2001:db8:3::33/128',
    ]
      .map((prefix) => `127.0.0.3 +${prefix} #0`)
      .sort(),
  );
  t.deepEqual(
    lines.filter((line) => /malformed|unsupported|reset|withdraw|discard/.test(line)),
    [],
  );
});

test("GoBGP's log of updates: path identifiers by family, and withdrawals", (t) => {
  const lines = story('gobgp-updates.mrt');
  const wide = ['0.0.0.0/0', '10.9.9.9/32', '10.1.2.0/23', '10.1.0.0/16', '203.0.113.0/24'];
  const wide6 = ['::/0', '2001:db8:3::/48', '2001:db8:3::33/128'];
  t.deepEqual(
    lines.toSorted(),
    [
      ...wide.flatMap((prefix) => [`127.0.0.1 +${prefix} #4`, `127.0.0.1 -${prefix} #4`]),
      ...wide6.flatMap((prefix) => [`127.0.0.1 +${prefix} #0`, `127.0.0.1 -${prefix} #0`]),
      '127.0.0.1 +192.0.2.0/24 #2',
      '127.0.0.1 +10.1.0.0/16 #2',
      '127.0.0.1 +2001:db8::/32 #0',
      '127.0.0.1 +2001:db8:ff::/48 #0',
    ].sort(),
  );
});
