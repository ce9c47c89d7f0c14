import type { BusLab } from '../../orchestrator/bus-lab.ts';
import type { Driver } from './driver.ts';
import { tool, withFile } from './observe.ts';
import type { Route, RouteGroup } from './routes.ts';

/** Groups from this number on are taken back. */
const LAST_GROUPS = 95;

/** The parts of FRR's JSON that are looked at. */
interface FrrPath {
  readonly aspath?: { readonly string: string };
  readonly origin?: string;
  readonly metric?: number;
  readonly nexthops?: readonly { readonly ip: string }[];
  readonly community?: { readonly list: readonly string[] };
  readonly largeCommunity?: { readonly list: readonly string[] };
  readonly extendedCommunity?: { readonly string: string };
}

interface FrrTable {
  readonly routes: Readonly<Record<string, readonly FrrPath[]>>;
}

interface FrrNeighbor {
  readonly nbrDesc?: string;
  readonly bgpTimerHoldTimeMsecs?: number;
  readonly neighborCapabilities?: Readonly<Record<string, unknown>>;
}

const CAPABILITIES: Readonly<Record<string, string>> = {
  routeRefresh: 'route-refresh',
  enhancedRouteRefresh: 'enhanced-route-refresh',
  extendedMessage: 'extended-message',
  '4byteAs': 'four-octet-as',
  gracefulRestartCapability: 'graceful-restart',
  gracefulRestart: 'graceful-restart',
  longLivedGracefulRestart: 'long-lived-graceful-restart',
};

export const frr: Driver = {
  kind: 'frr',
  shows: ['multiprotocol ipv4', 'multiprotocol ipv6', ...Object.values(CAPABILITIES)],
  med: 'kept',
  deviations: {
    'a second OPEN': 'closed',
    'an UPDATE with ORIGIN 7': '3/10',
  },
  // Where enhanced refresh is agreed on, FRR 8 answers no refresh before it has sent End-of-RIB, and that it sends to peers
  // with graceful restart alone.
  session: { gracefulRestart: { restartTime: '10s' } },
  config: () => '',
  // In its configuration file, behind route-maps, every network takes it 2 ms; told by vtysh, a tenth of that.
  load: async (lab, node, groups, asn) => {
    await tell(lab, node, groups.flatMap(routeMap));
    await tell(lab, node, [
      `router bgp ${asn}`,
      'address-family ipv4 unicast',
      ...groups.flatMap(({ number, prefixes }) =>
        prefixes.map((prefix) => `network ${prefix} route-map group${number}`),
      ),
    ]);
  },
  withdraw: async (lab, node, groups, asn) => {
    const gone = groups.filter(({ number }) => number >= LAST_GROUPS);
    await tell(lab, node, [
      `router bgp ${asn}`,
      'address-family ipv4 unicast',
      ...gone.flatMap(({ number, prefixes }) =>
        prefixes.map((prefix) => `no network ${prefix} route-map group${number}`),
      ),
    ]);
    return groups.filter(({ number }) => number < LAST_GROUPS);
  },
  routes: async (lab, node) => {
    const table = (await json(lab, node, 'show bgp ipv4 unicast json detail')) as FrrTable;
    return Object.entries(table.routes).flatMap(([prefix, rows]) =>
      rows.filter((row) => row.aspath !== undefined).map((path) => routeOf(prefix, path)),
    );
  },
  paths: async (lab, node, prefix) => {
    const family = prefix.includes(':') ? 'ipv6' : 'ipv4';
    const { paths = [] } = (await json(lab, node, `show bgp ${family} unicast ${prefix} json`)) as {
      readonly paths?: readonly FrrPath[];
    };
    return paths.map((path) => routeOf(prefix, path));
  },
  capabilities,
  forgets: ['stale path'],
  refresh: async (lab, node, peer) => {
    const { address } = await neighborOf(lab, node, peer);
    await tool(lab, node, ['vtysh', '-c', `clear bgp ${address} soft in`]);
  },
};

function routeMap({ number, origin, path, med, communities, large, extended }: RouteGroup): string[] {
  const values = (type: 'rt' | 'ro') =>
    extended.filter(([each]) => each === type).map(([, asn, value]) => `${asn}:${value}`);
  const set = (what: string, words: readonly string[]) =>
    words.length === 0 ? [] : [` set ${what} ${words.join(' ')}`];
  return [
    `route-map group${number} permit 10`,
    ` set origin ${origin.toLowerCase()}`,
    ` set metric ${med}`,
    ...set('as-path prepend', path.map(String)),
    ...set(
      'community',
      communities.map((each) => each.join(':')),
    ),
    ...set(
      'large-community',
      large.map((each) => each.join(':')),
    ),
    ...set('extcommunity rt', values('rt')),
    ...set('extcommunity soo', values('ro')),
    'exit',
  ];
}

/** Communities that its JSON has by name. */
const NAMED: Readonly<Record<string, string>> = { llgrStale: '65535:6', noLlgr: '65535:7' };

/** Lines of configuration mode. */
async function tell(lab: BusLab, node: string, lines: readonly string[]): Promise<void> {
  await withFile('frr.conf', lines.join('\n'), (file) => tool(lab, node, ['vtysh', '-f', file]));
}

async function json(lab: BusLab, node: string, command: string): Promise<unknown> {
  return JSON.parse(await tool(lab, node, ['vtysh', '-c', command]));
}

function routeOf(prefix: string, path: FrrPath): Route {
  const text = path.aspath?.string ?? '';
  const extended = path.extendedCommunity?.string ?? '';
  return {
    prefix,
    origin: path.origin === 'EGP' ? 'EGP' : path.origin === 'IGP' ? 'IGP' : 'INCOMPLETE',
    path: text === 'Local' ? '' : text,
    nextHop: path.nexthops?.[0]?.ip ?? '',
    med: path.metric ?? null,
    communities: (path.community?.list ?? []).map((each) => NAMED[each] ?? each).toSorted(),
    large: (path.largeCommunity?.list ?? []).toSorted(),
    extended: extended
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => word.toLowerCase().replace(/^soo:/, 'ro:'))
      .toSorted(),
  };
}

async function neighborOf(lab: BusLab, node: string, peer: string) {
  const all = (await json(lab, node, 'show bgp neighbors json')) as Readonly<Record<string, FrrNeighbor>>;
  const found = Object.entries(all).find(([, neighbor]) => neighbor.nbrDesc === peer);
  if (found === undefined) throw new Error(`${node} has no neighbour ${peer}`);
  return { address: found[0], neighbor: found[1] };
}

async function capabilities(lab: BusLab, node: string, peer: string) {
  const { neighbor } = await neighborOf(lab, node, peer);
  const local = new Set<string>();
  const remote = new Set<string>();
  const note = (name: string, said: string) => {
    if (said.startsWith('advertised')) local.add(name);
    if (said.toLowerCase().includes('received')) remote.add(name);
  };
  for (const [key, value] of Object.entries(neighbor.neighborCapabilities ?? {})) {
    const name = CAPABILITIES[key];
    if (name !== undefined && typeof value === 'string') note(name, value);
    if (key !== 'multiprotocolExtensions' || typeof value !== 'object' || value === null) continue;
    for (const [family, said] of Object.entries(value)) {
      const known = { ipv4Unicast: 'multiprotocol ipv4', ipv6Unicast: 'multiprotocol ipv6' }[family];
      if (known !== undefined) note(known, Object.keys(Object(said)).join(' '));
    }
  }
  const holdTime = neighbor.bgpTimerHoldTimeMsecs;
  return {
    local: [...local].toSorted(),
    remote: [...remote].toSorted(),
    holdTime: holdTime === undefined ? null : holdTime / 1000,
  };
}
