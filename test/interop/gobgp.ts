import type { BusLab } from '../../orchestrator/bus-lab.ts';
import type { Driver } from './driver.ts';
import { mrtDump } from './mrt.ts';
import { tool, withFile } from './observe.ts';
import type { Route, RouteGroup } from './routes.ts';

/** Attributes of a path as `gobgp global rib -j` prints them, by type code. */
interface Attribute {
  readonly type: number;
  /** ORIGIN as a number; communities of RFC 4360 and RFC 8092 as lists. */
  readonly value?: number | readonly ExtendedOrLarge[];
  readonly as_paths?: readonly { readonly asns: readonly number[] }[];
  readonly nexthop?: string;
  readonly metric?: number;
  readonly communities?: readonly number[];
}

interface ExtendedOrLarge {
  readonly subtype?: number;
  readonly value?: string;
  readonly ASN?: number;
  readonly LocalData1?: number;
  readonly LocalData2?: number;
}

type Rib = Readonly<Record<string, readonly { readonly attrs: readonly Attribute[] }[]>>;

const CAPABILITIES: Readonly<Record<string, string>> = {
  'route-refresh': 'route-refresh',
  '4-octet-as': 'four-octet-as',
  'enhanced-route-refresh': 'enhanced-route-refresh',
  'graceful-restart': 'graceful-restart',
  'long-lived-graceful-restart': 'long-lived-graceful-restart',
  'add-path': 'add-path',
  // It has no name for this one.
  'UnknownCapability(6)': 'extended-message',
};

export const gobgp: Driver = {
  kind: 'gobgp',
  shows: ['multiprotocol ipv4', 'multiprotocol ipv6', ...Object.values(CAPABILITIES)],
  med: 'kept',
  session: {},
  deviations: {
    'a marker that is not all ones': 'goes on',
    'a KEEPALIVE of 20 bytes': 'goes on',
    'a message of type 99': 'crashes',
    'an OPEN with parameter 99': 'goes on',
    'a KEEPALIVE in the place of the OPEN': 'closed',
    'an UPDATE in the place of the KEEPALIVE': 'closed',
    'a second OPEN': 'crashes',
    'an UPDATE with a prefix of 33 bits': '3/1',
  },
  config: () => '',
  load: async (lab, node, groups, asn) => {
    // The command line ends while its last few hundred routes are still on their way, and they are lost.
    let missing = groups;
    while (missing.some(({ prefixes }) => prefixes.length > 0)) {
      await inject(lab, node, mrtDump([...missing, FILLER], asn));
      const present = new Set((await ribOf(lab, node)).map(({ prefix }) => prefix));
      missing = groups.map((group) => ({
        ...group,
        prefixes: group.prefixes.filter((prefix) => !present.has(prefix)),
      }));
    }
  },
  withdraw: async (lab, node) => {
    await tool(lab, node, ['gobgp', 'global', 'rib', 'del', 'all']);
    return [];
  },
  routes: ribOf,
  paths: async (lab, node, prefix) => {
    const family = prefix.includes(':') ? ['-a', 'ipv6'] : [];
    const text = await tool(lab, node, ['gobgp', 'global', 'rib', prefix, ...family, '-j']);
    // Of a prefix that it does not have it says so in words.
    return text.startsWith('{') ? parseRoutes(JSON.parse(text) as Rib) : [];
  },
  capabilities,
  forgets: ['own'],
  // `softresetin` goes over what it has kept; it asks nobody.
  refresh: null,
};

/** One route many times over, to be lost in the place of others. */
const FILLER: RouteGroup = {
  number: 0,
  prefixes: new Array(2_000).fill('198.18.0.0/15'),
  origin: 'IGP',
  path: [],
  med: 0,
  communities: [],
  large: [],
  extended: [],
};

async function inject(lab: BusLab, node: string, dump: Uint8Array): Promise<void> {
  await withFile('routes.mrt', dump, (file) => tool(lab, node, ['gobgp', 'mrt', 'inject', 'global', file]));
}

async function ribOf(lab: BusLab, node: string): Promise<Route[]> {
  return parseRoutes(JSON.parse(await tool(lab, node, ['gobgp', 'global', 'rib', '-j'])) as Rib);
}

/** The neighbour's real address, which is all that it is known by. */
async function addressOf(lab: BusLab, node: string, peer: string): Promise<string> {
  const text = await tool(lab, node, ['gobgp', 'neighbor', '-j']);
  const neighbors = JSON.parse(text) as readonly {
    readonly conf: { readonly neighbor_address: string; readonly description: string };
  }[];
  const address = neighbors.find(({ conf }) => conf.description === peer)?.conf.neighbor_address;
  if (address === undefined) throw new Error(`${node} has no neighbour ${peer}: ${text}`);
  return address;
}

function parseRoutes(rib: Rib): Route[] {
  return Object.entries(rib).flatMap(([prefix, paths]) =>
    paths.map(({ attrs }): Route => {
      const of = (type: number) => attrs.find((attribute) => attribute.type === type);
      const list = (type: number) => {
        const value = of(type)?.value;
        return typeof value === 'object' ? value : [];
      };
      const asns = (of(2)?.as_paths ?? []).flatMap((segment) => segment.asns);
      const origin = of(1)?.value;
      const communities = of(8)?.communities ?? [];
      return {
        prefix,
        origin: origin === 2 ? 'INCOMPLETE' : origin === 1 ? 'EGP' : 'IGP',
        path: asns.join(' '),
        nextHop: (of(3) ?? of(14))?.nexthop ?? '',
        med: of(4)?.metric ?? null,
        communities: communities.map((each) => `${each >>> 16}:${each & 0xffff}`).toSorted(),
        large: list(32)
          .map(({ ASN, LocalData1, LocalData2 }) => `${ASN}:${LocalData1}:${LocalData2}`)
          .toSorted(),
        extended: list(16)
          .map(({ subtype, value }) => `${subtype === 2 ? 'rt' : 'ro'}:${value}`)
          .toSorted(),
      };
    }),
  );
}

async function capabilities(lab: BusLab, node: string, peer: string) {
  const text = await tool(lab, node, ['gobgp', 'neighbor', await addressOf(lab, node, peer)]);
  const local: string[] = [];
  const remote: string[] = [];
  for (const [, name = '', who = ''] of text.matchAll(
    /^\s+(\S+):\s+(advertised|received|advertised and received)$/gm,
  )) {
    const family = /^(ipv[46])-unicast$/.exec(name)?.[1];
    const known = family === undefined ? CAPABILITIES[name] : `multiprotocol ${family}`;
    if (known === undefined) continue;
    if (who.includes('advertised')) local.push(known);
    if (who.includes('received')) remote.push(known);
  }
  const holdTime = /^\s+Hold time is (\d+)/m.exec(text)?.[1];
  return {
    local: local.toSorted(),
    remote: remote.toSorted(),
    holdTime: holdTime === undefined ? null : Number(holdTime),
  };
}
