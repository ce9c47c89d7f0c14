import { execFile, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { encodeAttributes } from '../../protocols/bgp/attribute-encode.ts';
import type { AttributeFields } from '../../protocols/bgp/attributes.ts';
import type { Capability } from '../../protocols/bgp/capability.ts';
import { FAMILIES } from '../../protocols/bgp/constants.ts';
import { encodeKeepalive } from '../../protocols/bgp/header.ts';
import { formatKey } from '../../protocols/bgp/nlri.ts';
import { encodeOpen } from '../../protocols/bgp/open.ts';
import { encodeUpdate } from '../../protocols/bgp/update.ts';
import { parseIp4 } from '../../protocols/ip4.ts';
import { route } from '../protocols/bgp/arbitrary.ts';
import { nlri, Solo, type SoloPeer } from '../protocols/bgp/solo.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryFolder } from '../support/nats.ts';
import { freePort } from './free-port.ts';
import { interopTest } from './harness.ts';

const OWN_AS = 65000;
const PREFIXES = 600;
/** Other than that of labs with daemons of their own. */
const LOOPBACK = '127.201.7';

/** Three peers in two other ASes, three in ours. */
const PEERS: readonly SoloPeer[] = [
  { name: 'p1', asn: 65001, address: '10.0.0.1' },
  { name: 'p2', asn: 65001, address: '10.0.0.2' },
  { name: 'p3', asn: 65002, address: '10.0.0.3' },
  { name: 'p4', asn: OWN_AS, address: '10.0.0.4' },
  { name: 'p5', asn: OWN_AS, address: '10.0.0.5' },
  { name: 'p6', asn: OWN_AS, address: '10.0.0.6' },
];

interface Announcement {
  readonly peer: SoloPeer;
  readonly prefix: string;
  readonly fields: AttributeFields;
}

/** What each peer says of each prefix, if anything, so that every step of the decision has work. */
function announcements(): Announcement[] {
  const tail = fc.array(fc.constantFrom(65001, 65002, 7), { maxLength: 2 });
  const sketch = fc.record({
    says: fc.boolean(),
    first: fc.constantFrom(65001, 65002, null),
    tail,
    origin: fc.constantFrom(0 as const, 0 as const, 2 as const),
    med: fc.constantFrom(null, 0, 1, 2),
    localPref: fc.constantFrom(100, 100, 100, 200),
    originator: fc.constantFrom(null, null, '10.9.9.1', '10.9.9.2'),
    clusters: fc.nat(2),
  });
  const sample = fc.sample(fc.array(sketch, { minLength: PEERS.length, maxLength: PEERS.length }), {
    numRuns: PREFIXES,
    seed: 4271,
  });
  return sample.flatMap((sketches, i) =>
    sketches.flatMap((each, j): Announcement[] => {
      const peer = PEERS[j]!;
      if (!each.says) return [];
      const prefix = `10.${100 + (i >> 8)}.${i & 255}.0/24`;
      const nextHop = parseIp4(`10.1.0.${j + 1}`)!;
      const { med, origin } = each;
      if (peer.asn !== OWN_AS)
        return [{ peer, prefix, fields: route(nextHop, [peer.asn, ...each.tail], { med, origin }) }];
      const path = each.first === null ? [] : [each.first, ...each.tail];
      const { localPref, clusters, originator } = each;
      const reflection = {
        originatorId: originator === null ? null : parseIp4(originator),
        clusterList: originator === null ? [] : Array.from({ length: clusters }, (_, k) => k + 1),
      };
      return [{ peer, prefix, fields: route(nextHop, path, { med, origin, localPref, ...reflection }) }];
    }),
  );
}

function updateOf({ fields, prefix }: Announcement): Uint8Array {
  return encodeUpdate(new Uint8Array(0), encodeAttributes(fields, 4), nlri([prefix]));
}

function configuration(port: number): string {
  const sessions = PEERS.map(({ name, asn }, i) =>
    [
      `protocol bgp ${name} {`,
      `  local ${LOOPBACK}.254 port ${port} as ${OWN_AS};`,
      `  neighbor ${LOOPBACK}.${i + 1} as ${asn};`,
      '  passive; multihop; deterministic med on; default bgp_med 0;',
      '  ipv4 { import all; export none; };',
      '}',
    ].join('\n'),
  );
  return [
    'log stderr all;',
    'router id 10.0.0.254;',
    'protocol device {}',
    'protocol static { ipv4; route 10.1.0.0/16 via "lo"; }',
    ...sessions,
    '',
  ].join('\n');
}

/** Best paths as BIRD has chosen them: prefix to protocol. */
async function birdChoices(t: ExecutionContext, said: readonly Announcement[]): Promise<Map<string, string>> {
  const folder = temporaryFolder(t);
  const control = join(folder, 'bird.ctl');
  const port = await freePort(`${LOOPBACK}.254`);
  writeFileSync(join(folder, 'bird.conf'), configuration(port));
  // It ends with the pipe to its guard, however this process ends.
  const guard = 'bird -f -c "$1" -s "$2" </dev/null & cat >/dev/null; kill -9 $!';
  const bird = spawn('sh', ['-c', guard, 'sh', join(folder, 'bird.conf'), control], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  t.teardown(() => void bird.stdin.end());
  const ask = async (...words: string[]) => {
    const { stdout } = await promisify(execFile)('birdc', ['-s', control, ...words], { maxBuffer: 1 << 26 });
    return stdout;
  };
  await eventually('BIRD runs', () => {
    if (bird.exitCode !== null) throw new Error('bird did not start');
    return ask('show', 'status').then(
      (text) => text.includes('up and running'),
      () => false,
    );
  });
  for (const [i, { asn, address, name }] of PEERS.entries()) {
    const socket = connect({ host: `${LOOPBACK}.254`, port, localAddress: `${LOOPBACK}.${i + 1}` });
    t.teardown(() => void socket.destroy());
    socket.on('error', () => {});
    socket.on('data', () => {});
    const capabilities: Capability[] = [
      { type: 'multiprotocol', family: FAMILIES.ipv4 },
      { type: 'four-octet-as', asn },
    ];
    socket.write(encodeOpen({ version: 4, asn, holdTime: 0, identifier: parseIp4(address)!, capabilities }));
    socket.write(encodeKeepalive());
    for (const each of said) if (each.peer.name === name) socket.write(updateOf(each));
  }
  await eventually('BIRD has all routes', async () =>
    (await ask('show', 'route', 'count')).includes(`${said.length + 1} of ${said.length + 1} routes`),
  );
  const chosen = new Map<string, string>();
  let prefix = '';
  for (const line of (await ask('show', 'route')).split('\n')) {
    prefix = /^(\d+\.\d+\.\d+\.\d+\/\d+)\s/.exec(line)?.[1] ?? prefix;
    const best = /\[(p\d) [^\]]*\] \*/.exec(line)?.[1];
    if (best !== undefined) chosen.set(prefix, best);
  }
  return chosen;
}

interopTest('bird')(`the same best paths as BIRD for ${PREFIXES} prefixes told by six peers`, async (t) => {
  const said = announcements();
  const solo = new Solo({ asn: OWN_AS }, PEERS);
  for (const each of said) solo.feed(each.peer.name, updateOf(each));
  const ours = new Map<string, string>();
  for (const { key, best } of solo.speaker.locRib.destinations()) {
    if (best !== null) ours.set(formatKey(key), best.peer?.name ?? '');
  }
  const theirs = await birdChoices(t, said);
  t.true(ours.size > PREFIXES * 0.9);
  t.deepEqual([...ours].sort(), [...theirs].sort());
  // Each peer wins somewhere: the sample is of use.
  t.is(new Set(ours.values()).size, PEERS.length);
});
