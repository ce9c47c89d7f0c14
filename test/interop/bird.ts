import type { BusLab } from '../../orchestrator/bus-lab.ts';
import type { Driver } from './driver.ts';
import { tool } from './observe.ts';
import type { Route, RouteGroup } from './routes.ts';

/** Groups from this number on are in a protocol of their own, to be disabled. */
const HIGH = 50;

const CAPABILITIES: readonly (readonly [line: RegExp, name: string])[] = [
  [/^Route refresh$/, 'route-refresh'],
  [/^Enhanced refresh$/, 'enhanced-route-refresh'],
  [/^Extended message$/, 'extended-message'],
  [/^4-octet AS numbers$/, 'four-octet-as'],
  [/^Graceful restart$/, 'graceful-restart'],
  [/^Long-lived graceful restart$/, 'long-lived-graceful-restart'],
  [/^ADD-PATH$/, 'add-path'],
];

export const bird: Driver = {
  kind: 'bird',
  shows: ['multiprotocol ipv4', 'multiprotocol ipv6', ...CAPABILITIES.map(([, name]) => name)],
  // Only what an export filter sets goes to another AS.
  med: 'dropped',
  session: {},
  deviations: {
    'a KEEPALIVE of 20 bytes': 'goes on',
    // It takes an UPDATE for the KEEPALIVE that it waits for.
    'an UPDATE in the place of the KEEPALIVE': 'goes on',
  },
  config: (groups) =>
    [
      ...groups.map(attributeFunction),
      protocol(
        'groups_a',
        groups.filter(({ number }) => number < HIGH),
      ),
      protocol(
        'groups_b',
        groups.filter(({ number }) => number >= HIGH),
      ),
    ].join('\n'),
  load: async () => {},
  withdraw: async (lab, node, groups) => {
    await tool(lab, node, ['birdc', 'disable', 'groups_b']);
    return groups.filter(({ number }) => number < HIGH);
  },
  routes: async (lab, node) => parseRoutes(await tool(lab, node, ['birdc', 'show', 'route', 'all'])),
  paths: async (lab, node, prefix) =>
    // Of a prefix that it does not have birdc ends with an error, of all it tells those that it has.
    parseRoutes(await tool(lab, node, ['birdc', 'show', 'route', 'all'])).filter(
      (route) => route.prefix === prefix,
    ),
  capabilities,
  forgets: [],
  refresh: async (lab, node, peer) => {
    await tool(lab, node, ['birdc', 'reload', 'in', peer]);
  },
};

function attributeFunction(group: RouteGroup): string {
  const { number, origin, path, med, communities, large, extended } = group;
  const lines = [
    `bgp_origin = ORIGIN_${origin === 'INCOMPLETE' ? 'INCOMPLETE' : origin};`,
    ...path.toReversed().map((asn) => `bgp_path.prepend(${asn});`),
    `bgp_med = ${med};`,
    ...communities.map((each) => `bgp_community.add((${each.join(',')}));`),
    ...large.map((each) => `bgp_large_community.add((${each.join(',')}));`),
    ...extended.map((each) => `bgp_ext_community.add((${each.join(',')}));`),
  ];
  return `function group${number}()\n{\n${lines.map((line) => `  ${line}\n`).join('')}}`;
}

function protocol(name: string, groups: readonly RouteGroup[]): string {
  const routes = groups.flatMap(({ number, prefixes }) =>
    prefixes.map((prefix) => `  route ${prefix} unreachable { group${number}(); };`),
  );
  return `protocol static ${name} {\n  ipv4;\n${routes.join('\n')}\n}`;
}

/** Paths behind the first of a prefix are told without it. */
function parseRoutes(text: string): Route[] {
  const routes: Route[] = [];
  let prefix = '';
  for (const block of text.split(/\n(?=\S| +(?:unicast|unreachable) )/)) {
    prefix = /^([\da-f.:]+\/\d+)\s/.exec(block)?.[1] ?? prefix;
    if (!block.includes('BGP.origin')) continue;
    const value = (name: string) =>
      new RegExp(`^\\tBGP\\.${name}: (.*)$`, 'm').exec(block)?.[1]?.trim() ?? '';
    const tuples = (name: string) =>
      Array.from(value(name).matchAll(/\(([^)]*)\)/g), ([, inside = '']) =>
        inside.replace(/,\s*/g, ':'),
      ).toSorted();
    const origin = value('origin');
    routes.push({
      prefix,
      origin: origin === 'Incomplete' ? 'INCOMPLETE' : origin === 'EGP' ? 'EGP' : 'IGP',
      path: value('as_path'),
      nextHop: value('next_hop').split(' ')[0] ?? '',
      med: value('med') === '' ? null : Number(value('med')),
      communities: tuples('community'),
      large: tuples('large_community'),
      extended: tuples('ext_community'),
    });
  }
  return routes;
}

async function capabilities(lab: BusLab, node: string, peer: string) {
  const text = await tool(lab, node, ['birdc', 'show', 'protocols', 'all', peer]);
  const section = (name: string) => {
    const lines = text.split('\n').map((line) => ({ indent: line.search(/\S/), words: line.trim() }));
    const start = lines.findIndex(({ words }) => words === `${name} capabilities`);
    const indent = lines[start]?.indent ?? 0;
    const end = lines.findIndex((line, i) => i > start && line.indent <= indent);
    const found: string[] = [];
    for (const { words } of lines.slice(start + 1, end)) {
      const families = /^AF announced: (.*)$/.exec(words)?.[1];
      for (const family of families?.split(' ') ?? []) found.push(`multiprotocol ${family}`);
      for (const [line, known] of CAPABILITIES) if (line.test(words)) found.push(known);
    }
    return found.toSorted();
  };
  const holdTime = /Hold timer:\s+[\d.]+\/(\d+)/.exec(text)?.[1];
  return {
    local: section('Local'),
    remote: section('Neighbor'),
    holdTime: holdTime === undefined ? null : Number(holdTime),
  };
}
