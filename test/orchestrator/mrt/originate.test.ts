import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import { MrtFileError } from '../../../orchestrator/mrt/error.ts';
import { readMrtRoutes } from '../../../orchestrator/mrt/read.ts';
import { writeMrtFile } from '../../../orchestrator/mrt/write.ts';
import { baseline, waitConverged } from '../../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../../orchestrator/observe/verify.ts';
import { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { NO_ATTRIBUTES } from '../../../protocols/bgp/attributes.ts';
import { formatKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { tableDump } from '../../../protocols/mrt/table.ts';
import { cli } from '../../support/cli.ts';
import { temporaryFolder } from '../../support/nats.ts';

const LAB = `
name: mrt
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, originate: { mrt: table.mrt.gz }, session: { families: [ipv4, ipv6] } } }
    r2: { kind: router, bgp: { as: 65002, session: { families: [ipv4, ipv6] } } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"] }
`;

const PREFIXES = ['192.0.2.0/24', '198.51.100.0/25', '203.0.113.7/32', '2001:db8::/32'];

async function writeDump(file: string): Promise<void> {
  const attributes = {
    ...NO_ATTRIBUTES,
    asPath: [{ type: 'sequence' as const, asns: [3356, 4_200_000_001] }],
    communities: [((3356 << 16) | 5) >>> 0],
    med: 9,
  };
  const peers = [{ address: parseIp4('10.9.9.9')!, asn: 3356, asSize: 4 as const, identifier: 7 }];
  const routes = PREFIXES.map((text) => {
    const prefix = parseKey(text)!;
    const hop =
      typeof prefix === 'number'
        ? { nextHop: parseIp4('10.9.9.9')! }
        : { nextHop6: '\x20\x01'.padEnd(16, '\0') };
    return {
      prefix,
      paths: [{ peerIndex: 0, originatedAt: 0, pathId: null, attributes: { ...attributes, ...hop } }],
    };
  });
  await writeMrtFile(file, tableDump({ timestamp: 0, collector: 1, viewName: '', peers, routes }));
}

test('a router originates what a dump has, attributes and all, and tells it with its own AS in front', async (t) => {
  const folder = temporaryFolder(t);
  await writeDump(join(folder, 'table.mrt.gz'));
  writeFileSync(join(folder, 'lab.yaml'), LAB);
  const lab = new SimLab(await loadLab(join(folder, 'lab.yaml')));
  await lab.start();
  const result = await waitConverged(lab, {
    within: 60_000,
    since: await baseline(lab),
    sessions: 'established',
  });
  t.true(result.converged, result.reasons.join('; '));
  for (const node of lab.nodeNames) t.deepEqual((await verifyNode(lab, node)).differences, []);
  const reply = await lab.command('r2', { type: 'snapshot' });
  const view =
    reply.type === 'value'
      ? (
          reply.value as {
            view: {
              bgp: {
                locRib: { prefix: string; asPath: string; communities: string[]; med: number | null }[];
              };
            };
          }
        ).view
      : null;
  const learned = (view?.bgp.locRib ?? []).filter(({ asPath }) => asPath.includes('3356'));
  t.deepEqual(learned.map(({ prefix }) => prefix).sort(), [...PREFIXES].sort());
  for (const { asPath, communities } of learned) {
    t.is(asPath, '65001 3356 4200000001');
    t.deepEqual(communities, ['3356:5']);
  }
});

test('a dump that is not there is told by name', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'lab.yaml'), LAB);
  const lab = new SimLab(await loadLab(join(folder, 'lab.yaml')));
  const error = await t.throwsAsync(lab.start(), { instanceOf: MrtFileError });
  t.regex(error!.message, /table\.mrt\.gz/);
});

test('reroute dump writes the table and the messages of a node of a lab that is over', async (t) => {
  const folder = temporaryFolder(t);
  await writeDump(join(folder, 'table.mrt.gz'));
  writeFileSync(join(folder, 'lab.yaml'), LAB);
  const run = (...argv: string[]) => cli(t, folder, ...argv);
  const up = await run('up', '--simulate', join(folder, 'lab.yaml'));
  t.is(up.code, 0, up.stderr);
  const out = join(folder, 'out.mrt');
  t.is((await run('dump', 'r2', '--lab', 'mrt', '--mrt', out)).code, 0);
  const routes: string[] = [];
  for await (const { prefix } of readMrtRoutes(out, {
    peer: { type: 'all' },
    onMalformed: (text) => t.fail(text),
  })) {
    routes.push(formatKey(prefix));
  }
  t.deepEqual(routes.sort(), [...PREFIXES, '10.255.0.1/32'].sort());
  const updates = await run('dump', 'r2', '--lab', 'mrt', '--updates', '--mrt', join(folder, 'updates.mrt'));
  t.is(updates.code, 0, updates.stderr);
  t.regex(updates.stdout, /updates\.mrt: \d+ records of r2/);
  t.not((await run('dump', 'r9', '--lab', 'mrt', '--mrt', out)).code, 0);
});
