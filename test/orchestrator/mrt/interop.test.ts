import { execFile, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { writeMrtFile } from '../../../orchestrator/mrt/write.ts';
import { encodeAttributes } from '../../../protocols/bgp/attribute-encode.ts';
import type { AttributeFields } from '../../../protocols/bgp/attributes.ts';
import { encodeMpReach } from '../../../protocols/bgp/mp-nlri.ts';
import { encodeIpv4Nlri, type PrefixKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import { encodeUpdate } from '../../../protocols/bgp/update.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { type BgpMessage, encodeMessage, encodeStateChange } from '../../../protocols/mrt/bgp4mp.ts';
import { tableDump } from '../../../protocols/mrt/table.ts';
import { freePort } from '../../interop/free-port.ts';
import { route } from '../../protocols/bgp/arbitrary.ts';
import { concat } from '../../protocols/mrt/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { needing } from '../../support/needs.ts';

const run = promisify(execFile);

const BGPDUMP = 'bgpdump';
const GOBGPD = 'gobgpd';
const GOBGP = 'gobgp';

const testWithBgpdump = needing(BGPDUMP, 'bgpdump');
const testWithGobgp = needing(GOBGPD, 'gobgpd');

function key(text: string): PrefixKey {
  const found = parseKey(text);
  if (found === null) throw new Error(text);
  return found;
}

function ip4(text: string): number {
  return parseIp4(text) ?? 0;
}

function ip6(text: string): string {
  return parseIp6(text) ?? '';
}

/** A second of the epoch, which bgpdump prints as it is. */
const AT = 1_700_000_000;
const PEERS = [
  { identifier: 1, address: ip4('192.0.2.1'), asn: 65001 },
  { identifier: 2, address: ip6('2001:db8::1'), asn: 4200000000 },
];

const DECORATED = route(ip4('198.51.100.1'), [65001, 196700], {
  med: 5,
  localPref: 200,
  atomicAggregate: true,
  aggregator: { asn: 196700, address: ip4('10.9.9.9') },
  communities: [65001 * 65536 + 7],
  largeCommunities: [[65001, 1, 2]],
  extendedCommunities: [[0x0002fde9, 7]],
});
const PLAIN = route(ip4('198.51.100.2'), [4200000000], { origin: 2 });
const OVER_IPV6: AttributeFields = { ...PLAIN, nextHop: null, nextHop6: ip6('2001:db8::1') };
const WITH_SET: AttributeFields = {
  ...PLAIN,
  asPath: [
    { type: 'sequence', asns: [65001, 65002] },
    { type: 'set', asns: [65003, 65004] },
  ],
};
const LONG = route(ip4('198.51.100.3'), new Array<number>(200).fill(65001));

function path(peerIndex: number, pathId: number | null, attributes: AttributeFields) {
  return { peerIndex, originatedAt: AT * 1000, pathId, attributes };
}

const IPV4 = [
  { prefix: key('10.1.0.0/16'), paths: [path(0, null, DECORATED), path(1, 7, PLAIN)] },
  { prefix: key('0.0.0.0/0'), paths: [path(0, null, WITH_SET)] },
  { prefix: key('10.2.3.4/32'), paths: [path(0, null, LONG)] },
];
const IPV6 = [
  { prefix: key('2001:db8:5::/48'), paths: [path(1, null, OVER_IPV6)] },
  { prefix: key('2001:db8:6::/47'), paths: [path(1, 9, OVER_IPV6), path(0, 10, OVER_IPV6)] },
];

function table(routes: typeof IPV4): Iterable<Uint8Array> {
  const head = { timestamp: AT * 1000, collector: ip4('10.0.0.1'), viewName: 'n1', peers: PEERS };
  return tableDump({ ...head, routes });
}

/** What it says of a file, and what it complains of. */
async function bgpdump(file: string): Promise<{ lines: string[]; complaints: string }> {
  const { stdout, stderr } = await run(BGPDUMP, ['-m', '-v', file]);
  return { lines: stdout.split('\n').filter((line) => line !== ''), complaints: stderr };
}

for (const name of ['table.mrt', 'table.mrt.gz']) {
  testWithBgpdump(`bgpdump reads a table that was written to ${name}`, async (t) => {
    const file = join(temporaryFolder(t), name);
    await writeMrtFile(file, table([...IPV4, ...IPV6]));
    const v2 = `TABLE_DUMP2|${AT}|B`;
    const addPath = `TABLE_DUMP2_AP|${AT}|B`;
    const long = new Array<number>(200).fill(65001).join(' ');
    t.deepEqual(await bgpdump(file), {
      lines: [
        `${v2}|192.0.2.1|65001|10.1.0.0/16|65001 196700|IGP|198.51.100.1|200|5|65001:7|AG|196700 10.9.9.9|`,
        `${addPath}|2001:db8::1|4200000000|10.1.0.0/16|7|4200000000|INCOMPLETE|198.51.100.2|0|0||NAG||`,
        `${v2}|192.0.2.1|65001|0.0.0.0/0|65001 65002 {65003,65004}|INCOMPLETE|198.51.100.2|0|0||NAG||`,
        `${v2}|192.0.2.1|65001|10.2.3.4/32|${long}|IGP|198.51.100.3|0|0||NAG||`,
        `${v2}|2001:db8::1|4200000000|2001:db8:5::/48|4200000000|INCOMPLETE|2001:db8::1|0|0||NAG||`,
        `${addPath}|2001:db8::1|4200000000|2001:db8:6::/47|9|4200000000|INCOMPLETE|2001:db8::1|0|0||NAG||`,
        `${addPath}|192.0.2.1|65001|2001:db8:6::/47|10|4200000000|INCOMPLETE|2001:db8::1|0|0||NAG||`,
      ],
      complaints: '',
    });
  });
}

const NOTHING = new Uint8Array(0);
const SESSION = {
  asSize: 4,
  peerAs: 65001,
  localAs: 4200000000,
  interfaceIndex: 0,
  peerAddress: ip4('192.0.2.1'),
  localAddress: ip4('192.0.2.2'),
} as const;
const SESSION_6 = { ...SESSION, peerAddress: ip6('2001:db8::1'), localAddress: ip6('2001:db8::2') };

function nlri(prefix: string, pathId: number | null): Uint8Array {
  const [address = '', len = ''] = prefix.split('/');
  const keys = [ip4(address) * 64 + Number(len)];
  return encodeIpv4Nlri({ keys, pathIds: pathId === null ? null : [pathId] });
}

function update(message: Uint8Array, rest: Partial<BgpMessage> = {}): Omit<BgpMessage, 'kind'> {
  return { session: SESSION, direction: 'received', pathIds: 'none', message, ...rest };
}

testWithBgpdump('bgpdump reads a log of messages and states', async (t) => {
  const four = encodeAttributes(DECORATED, 4);
  const two = encodeAttributes(DECORATED, 2);
  const reach = encodeMpReach(
    {
      nextHop: Uint8Array.from(OVER_IPV6.nextHop6 ?? '', (char) => char.charCodeAt(0)),
      nlri: {
        type: 'ipv6',
        family: { afi: 2, safi: 1 },
        prefixes: [{ key: String(key('2001:db8:5::/48')), pathId: 0 }],
      },
    },
    'none',
  );
  const six = concat(encodeAttributes(OVER_IPV6, 4), reach);
  const announced = encodeUpdate(NOTHING, four, nlri('10.1.0.0/16', null));
  const withPathId = encodeUpdate(NOTHING, four, nlri('10.1.0.0/16', 7));
  const from2 = encodeUpdate(NOTHING, two, nlri('10.1.0.0/16', null));
  const withdrawn = encodeUpdate(nlri('10.1.0.0/16', null), NOTHING, NOTHING);
  const old = { ...SESSION, asSize: 2 } as const;
  const file = join(temporaryFolder(t), 'updates.mrt');
  await writeMrtFile(file, [
    encodeStateChange(AT * 1000, 'seconds', {
      session: SESSION,
      oldState: 'OpenConfirm',
      newState: 'Established',
    }),
    encodeMessage(AT * 1000, 'seconds', update(announced)),
    encodeMessage(AT * 1000 + 1.25, 'microseconds', update(announced)),
    encodeMessage(AT * 1000, 'seconds', update(withPathId, { pathIds: 'present' })),
    encodeMessage(AT * 1000, 'seconds', update(from2, { session: old })),
    encodeMessage(AT * 1000, 'seconds', update(withdrawn)),
    encodeMessage(AT * 1000, 'seconds', update(encodeUpdate(NOTHING, six, NOTHING), { session: SESSION_6 })),
    encodeStateChange(AT * 1000, 'seconds', {
      session: { ...SESSION_6, asSize: 2 },
      oldState: 'Established',
      newState: 'Idle',
    }),
  ]);
  const rest = '65001 196700|IGP|198.51.100.1|200|5|65001:7|AG|196700 10.9.9.9|';
  t.deepEqual(await bgpdump(file), {
    lines: [
      `BGP4MP|${AT}|STATE|192.0.2.1|65001|5|6`,
      `BGP4MP|${AT}|A|192.0.2.1|65001|10.1.0.0/16|${rest}`,
      `BGP4MP_ET|${AT}.001250|A|192.0.2.1|65001|10.1.0.0/16|${rest}`,
      `BGP4MP_AP|${AT}|A|192.0.2.1|65001|10.1.0.0/16|7|${rest}`,
      `BGP4MP|${AT}|A|192.0.2.1|65001|10.1.0.0/16|${rest}`,
      `BGP4MP|${AT}|W|192.0.2.1|65001|10.1.0.0/16`,
      `BGP4MP|${AT}|A|2001:db8::1|65001|2001:db8:5::/48|4200000000|INCOMPLETE|2001:db8::1|0|0||NAG||`,
      `BGP4MP|${AT}|STATE|2001:db8::1|65001|6|1`,
    ],
    complaints: '',
  });
});

/** The command line of a GoBGP that runs until the test ends. */
async function startGobgp(t: ExecutionContext): Promise<(...args: readonly string[]) => Promise<string>> {
  const folder = temporaryFolder(t);
  const config = join(folder, 'gobgpd.toml');
  // Port -1: it listens for no peers.
  writeFileSync(config, '[global.config]\nas = 64999\nrouter-id = "10.0.0.9"\nport = -1\n');
  // No other test has this address: nobody takes the port before gobgpd does.
  const host = '127.202.0.1';
  const port = await freePort(host);
  const api = `${host}:${port}`;
  const daemon = spawn(GOBGPD, ['-f', config, '--pprof-disable', '--api-hosts', api], { stdio: 'ignore' });
  const exited = new Promise((resolve) => daemon.once('exit', resolve));
  t.teardown(async () => {
    daemon.kill();
    await exited;
  });
  const gobgp = async (...args: readonly string[]): Promise<string> =>
    (await run(GOBGP, ['--host', host, '--port', String(port), ...args])).stdout;
  await eventually('gobgpd answers', () =>
    gobgp('global').then(
      (text) => text.includes('64999'),
      () => false,
    ),
  );
  return gobgp;
}

/**
 * IPv4 alone: GoBGP 3 takes MP_REACH_NLRI in RFC 4760's form only, so that it reads no IPv6 table that follows RFC 6396.
 * With -d it prints each record as it has read it.
 */
testWithGobgp('GoBGP reads a table that was written', async (t) => {
  const gobgp = await startGobgp(t);
  const file = join(temporaryFolder(t), 'table.mrt');
  await writeMrtFile(file, table(IPV4));
  const lines = (await gobgp('-d', 'mrt', 'inject', 'global', file)).split('\n');
  const long = new Array<number>(200).fill(65001).join(' ');
  const decorated =
    '{Origin: i} 65001 196700 {Nexthop: 198.51.100.1} {Med: 5} {LocalPref: 200} {AtomicAggregate} ' +
    '{Aggregate: {AS: 196700, Address: 10.9.9.9}} {Communities: 65001:7} {Extcomms: [65001:7]} ' +
    '{LargeCommunity: [ 65001:1:2]}';
  const expected = [
    /ViewName \[n1\].* ID \[0\.0\.0\.1\] Addr \[192\.0\.2\.1\] AS \[65001\].* Addr \[2001:db8::1\] AS \[4200000000\]/,
    literal(
      `Seq [0] Prefix [10.1.0.0/16] Entries [[RIB_ENTRY: PeerIndex [0] OriginatedTime [${AT}] PathAttributes [[${decorated}]]]]`,
    ),
    literal('PathIdentifier[7] PathAttributes [[{Origin: ?} 4200000000 {Nexthop: 198.51.100.2}]]'),
    literal('Prefix [0.0.0.0/0]'),
    literal(`[[{Origin: i} ${long} {Nexthop: 198.51.100.3}]]`),
  ];
  for (const [i, pattern] of expected.entries()) t.regex(lines[i] ?? '', pattern);
});

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[^\w ]/g, '\\$&'));
}
