import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { BgpEvent } from '../../../nodes/events/bgp.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { MessageRecords } from '../../../orchestrator/mrt/messages.ts';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import { formatNextHops } from '../../../protocols/bgp/nexthops.ts';
import { formatKey } from '../../../protocols/bgp/nlri.ts';
import { UpdateDecoder } from '../../../protocols/bgp/update.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { readMrt } from '../../../protocols/mrt/reader.ts';
import { concat } from '../../protocols/mrt/bytes.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { needing } from '../../support/needs.ts';
import { recordsOf, simulate } from '../../support/sim.ts';

const BGPDUMP = 'bgpdump';

const LAB = `
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 4200000001, networks: [192.0.2.0/24, "2001:db8:1::/48"], peers: { r2: { addPath: send, families: [ipv4, ipv6] } } } }
    r2: { kind: router, bgp: { as: 65002, networks: ["2001:db8:2::/48"], neighbors: [{ node: r1, addPath: receive, families: [ipv4, ipv6] }, { address: 10.0.0.3, as: 65003 }] } }
    r3: { kind: router, bgp: { as: 65003, dynamicNeighbors: [{ prefix: 10.0.0.0/8, as: [65002] }], neighbors: [] } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"] }
    - { endpoints: ["r2:eth2", "r3:eth1"] }
`;

/** Sessions over IPv6, by global and link-local addresses, with IPv4 by IPv6 next hops. */
const LAB6 = `
name: x6
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, networks: [192.0.2.0/24] } }
    r2: { kind: router, bgp: { as: 65002, neighbors: [{ interface: eth1 }, { address: "2001:db8::2", as: 65003 }] } }
    r3: { kind: router, bgp: { as: 65003, networks: [198.51.100.0/24], dynamicNeighbors: [{ prefix: "2001:db8::/64", as: [65002], families: [ipv4, ipv6] }], neighbors: [] } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"], subnet: none }
    - { endpoints: ["r2:eth2", "r3:eth1"], subnet: none, subnet6: "2001:db8::/64" }
`;

/** Messages and state changes of a node's sessions, as a file that is read back. */
async function dumpOf(node: string, text = LAB) {
  const lab = compileLab(text, 'x.yaml');
  const config = lab.nodes.find(({ name }) => name === node)?.bgp;
  if (config === undefined) throw new Error(node);
  const records = new MessageRecords(config);
  const encoded: Uint8Array[] = [];
  for (const { at, event } of await recordsOf(await simulate(lab), node)) {
    const record = event.type.startsWith('bgp.') ? records.encode(at, event as BgpEvent) : null;
    if (record !== null) encoded.push(record);
  }
  const file = concat(...encoded);
  return { file, read: [...readMrt(file)] };
}

test('UPDATEs with path identifiers are of the subtypes of RFC 8050, by direction; all else of the plain ones', async (t) => {
  const { read } = await dumpOf('r2');
  const messages = read.flatMap((record) => (record.kind === 'message' ? [record] : []));
  t.is(messages.length + read.filter(({ kind }) => kind === 'state-change').length, read.length);
  const updates = (peerAs: number, direction: string) =>
    messages.filter(
      ({ session, direction: way, message }) =>
        session.peerAs === peerAs && way === direction && message[18] === 2,
    );
  const received = updates(4200000001, 'received');
  const sent = updates(4200000001, 'sent');
  t.true(received.length >= 3 && sent.length >= 2);
  t.true(received.every(({ pathIds }) => pathIds === 'present'));
  t.true(sent.every(({ pathIds }) => pathIds === 'none'));
  t.true(messages.filter(({ message }) => message[18] !== 2).every(({ pathIds }) => pathIds === 'none'));
});

needing(BGPDUMP, 'bgpdump')('bgpdump reads the routes out of it', async (t) => {
  const { file } = await dumpOf('r2');
  const path = join(temporaryFolder(t), 'updates.mrt');
  writeFileSync(path, file);
  const { stdout } = spawnSync(BGPDUMP, ['-m', path], { encoding: 'utf8' });
  const line = (prefix: string) => stdout.split('\n').find((text) => text.includes(prefix)) ?? '';
  t.regex(
    line('192.0.2.0/24'),
    /^BGP4MP_ET_AP\|[\d.]+\|A\|10\.0\.0\.0\|4200000001\|192\.0\.2\.0\/24\|1\|4200000001\|IGP\|/,
  );
  t.regex(line('2001:db8:1::/48'), /\|A\|10\.0\.0\.0\|4200000001\|2001:db8:1::\/48\|\d+\|4200000001\|IGP\|/);
});

test('a session that nobody has configured by name is in it too, with what its OPEN says', async (t) => {
  const { read } = await dumpOf('r3');
  const opens = read.filter((record) => record.kind === 'message' && record.message[18] === 1);
  t.is(opens.length, 2);
  t.true(read.some((record) => record.kind === 'message' && record.session.peerAs === 65002));
});

test('peers over IPv6, dynamic ones too, are there by their addresses, and IPv4 by its IPv6 next hops', async (t) => {
  const { read } = await dumpOf('r2', LAB6);
  const peers = new Set(
    read.flatMap((record) =>
      record.kind === 'message' || record.kind === 'state-change'
        ? [
            `${record.session.peerAs} ${formatIp(record.session.peerAddress)} ${formatIp(record.session.localAddress)}`,
          ]
        : [],
    ),
  );
  t.deepEqual(
    peers,
    new Set(['65001 fe80::52:ff:fe01:0 fe80::52:ff:fe02:0', '65003 2001:db8::2 2001:db8::1']),
  );
  const decoder = new UpdateDecoder(new AttributeTable());
  const hops = read.flatMap((record) => {
    if (record.kind !== 'message' || record.direction !== 'received' || record.message[18] !== 2) return [];
    const result = decoder.decode(record.message.subarray(19), {
      asSize: 4,
      peer: 'external',
      pathIds: { ipv4: 'none', ipv6: 'none' },
    });
    const reach = result.action === 'ok' ? result.update.mpReach : null;
    if (reach === null || reach.reach.nlri.type !== 'ipv4') return [];
    return reach.reach.nlri.list.keys.map(
      (key) => `${formatKey(key)} ${formatNextHops(reach.attributes.nextHop6!)}`,
    );
  });
  // r1 has no address but the link-local one; r3's dynamic session may cross routers, so that the global one stands alone.
  t.deepEqual(hops.filter((text) => !text.startsWith('10.255.')).toSorted(), [
    '192.0.2.0/24 fe80::52:ff:fe01:0',
    '198.51.100.0/24 2001:db8::2',
  ]);

  const dynamic = (await dumpOf('r3', LAB6)).read.flatMap((record) =>
    record.kind === 'message' ? [formatIp(record.session.peerAddress)] : [],
  );
  t.deepEqual(new Set(dynamic), new Set(['2001:db8::1']));
});
