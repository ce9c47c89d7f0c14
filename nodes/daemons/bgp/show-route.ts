import { formatAsPath } from '../../../protocols/bgp/as-path.ts';
import type { PathAttributes } from '../../../protocols/bgp/attributes.ts';
import { formatExtendedCommunity } from '../../../protocols/bgp/community.ts';
import { localPref } from '../../../protocols/bgp/decision.ts';
import type { Destination } from '../../../protocols/bgp/destination.ts';
import { formatNextHop, formatNextHops } from '../../../protocols/bgp/nexthops.ts';
import {
  compareKeys,
  formatKey,
  keyAddress,
  keyLength,
  type PrefixKey,
  parseKey,
} from '../../../protocols/bgp/nlri.ts';
import type { Path, Peer } from '../../../protocols/bgp/path.ts';
import type { Session } from '../../../protocols/bgp/session.ts';
import { formatIp, type IpPrefix, ipPrefixContains, parseIpPrefix } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { IP6_LENGTH } from '../../../protocols/ip6.ts';
import { UNKNOWN_METRIC } from './fib.ts';
import { since } from './format.ts';
import { failure, type ShellOutput, type ShowContext } from './show.ts';

const ORIGIN_TEXT = ['IGP', 'EGP', 'Incomplete'] as const;

export interface RouteQuery {
  /** Prefix or address; null for all routes. */
  readonly prefix: string | null;
  readonly match: 'exact' | 'longest';
  /** Only routes learned from this neighbour. */
  readonly session: Session | null;
  readonly detail: 'line' | 'all';
}

/** `show route`: every candidate path, a prefix' best one first and marked with an asterisk. */
export function showRoutes(query: RouteQuery, context: ShowContext): ShellOutput {
  const found = select(query, context);
  if (found === null) return failure(`${query.prefix ?? ''} is not a prefix`);
  const text = found.map((destination) => showDestination(destination, query, context)).join('');
  return text === '' && query.prefix !== null ? failure('Network not in table') : { text, code: 0 };
}

/** The destination of a prefix, or the longest one that covers an address; null if the text is neither. */
export function routesOf(text: string, context: ShowContext): Destination[] | null {
  const match = text.includes('/') ? 'exact' : 'longest';
  return select({ prefix: text, match, session: null, detail: 'line' }, context);
}

function select({ prefix, match }: RouteQuery, { speaker }: ShowContext): Destination[] | null {
  const all = [...speaker.locRib.destinations()].sort((a, b) => compareKeys(a.key, b.key));
  if (prefix === null) return all;
  const exact = parseKey(prefix);
  if (match === 'exact') return exact === null ? null : all.filter(({ key }) => key === exact);
  const wanted = parseIpPrefix(prefix);
  if (wanted === null) return null;
  const covering = all.filter(({ key, paths }) => {
    const own = prefixOf(key);
    return paths.length > 0 && own.len <= wanted.len && ipPrefixContains(own, wanted.addr);
  });
  const longest = covering.sort((a, b) => keyLength(b.key) - keyLength(a.key))[0];
  return longest === undefined ? [] : [longest];
}

function prefixOf(key: PrefixKey): IpPrefix {
  const addr = typeof key === 'number' ? keyAddress(key) : key.slice(0, IP6_LENGTH);
  return { addr, len: keyLength(key) };
}

function showDestination(destination: Destination, query: RouteQuery, context: ShowContext): string {
  const { best, key } = destination;
  const paths = destination.paths.filter(
    ({ peer }) => query.session === null || (peer !== null && peer === query.session.peer),
  );
  paths.sort((a, b) => Number(b === best) - Number(a === best));
  return paths
    .map((path, i) => {
      const line = routeLine(i === 0 ? formatKey(key) : '', path, destination, context);
      return query.detail === 'all' ? line + attributeLines(path) : line;
    })
    .join('');
}

function routeLine(prefix: string, path: Path, destination: Destination, context: ShowContext): string {
  const { now, names } = context;
  const mark = path === destination.best ? ' *' : '';
  const column = prefix.padEnd(18);
  if (path.peer === null) {
    const { via, protocol, preference } = ownRoute(formatKey(destination.key), context);
    return `${column} ${via} [${protocol} ${since(path.at, now)}]${mark} (${preference})\n`;
  }
  const { via, hops } = way(path, destination, context);
  const protocol = names.of(path.peer.name);
  const from = isFromItsNextHop(path.attributes, path.peer) ? '' : ` from ${formatIp(path.peer.address)}`;
  const line = `${column} ${via} [${protocol} ${since(path.at, now)}${from}]${mark}${info(path)}\n`;
  return line + hops.map((hop) => `\t${hop}\n`).join('');
}

function isFromItsNextHop({ nextHop, nextHop6 }: PathAttributes, { address }: Peer): boolean {
  return typeof address === 'number' ? nextHop === address : (nextHop6?.includes(address) ?? false);
}

/** A prefix of ours: from the `direct` protocol if it is a link's, else a static one as Calico's blocks are. */
function ownRoute(dst: string, { netns }: ShowContext) {
  const row = dst.includes(':') ? netns.ipv6.routes.get(dst) : netns.routes.get(dst);
  const dev = row?.protocol === 'kernel' ? row.nexthops[0]?.dev : undefined;
  if (dev !== undefined) return { via: `dev ${dev}`, protocol: 'direct1', preference: 240 };
  return { via: 'blackhole', protocol: 'static1', preference: 200 };
}

/** `via GATEWAY on DEVICE`, or `multipath` and a line for each way. */
function way({ attributes, nextHop }: Path, { nextHops, best }: Destination, { fib }: ShowContext) {
  const several = best?.attributes === attributes && nextHops.length > 1;
  const addresses = several ? nextHops : [nextHop?.addr ?? attributes.nextHop ?? attributes.nextHop6 ?? 0];
  const [only] = addresses;
  const resolved = addresses.flatMap((addr) => fib.resolve(addr)?.hops ?? []);
  const [first] = resolved;
  // A node without IPv6 has no way of its own to show.
  if (first === undefined && typeof only === 'string' && fib.resolve(only) !== null)
    return { via: `via ${formatNextHop(only)}`, hops: [] };
  if (first === undefined) return { via: 'unreachable', hops: [] };
  if (resolved.length === 1) return { via: `via ${first.via} on ${first.dev}`, hops: [] };
  return {
    via: 'multipath',
    hops: resolved.map(({ via, dev, weight }) => `via ${via} on ${dev} weight ${weight}`),
  };
}

/** ` (100/0) [AS65001i]`: preference, cost of the next hop for an internal path, the AS that originated it, ORIGIN. */
function info({ peer, nextHop, attributes }: Path): string {
  const metric = nextHop?.metric ?? null;
  const cost = metric === null ? '/-' : metric >= UNKNOWN_METRIC ? '/?' : `/${metric}`;
  const last = attributes.asPath.at(-1)?.asns.at(-1);
  const origin = 'ie?'[attributes.origin] ?? '?';
  return ` (100${peer?.kind === 'internal' ? cost : ''}) [${last === undefined ? '' : `AS${last}`}${origin}]`;
}

function attributeLines(path: Path): string {
  if (path.peer === null) return '\tType: static unicast univ\n';
  const rows = ['Type: BGP unicast univ', ...attributes(path.attributes, localPref(path))];
  return rows.map((row) => `\t${row}\n`).join('');
}

function attributes(path: PathAttributes, preference: number): string[] {
  const rows = [
    `BGP.origin: ${ORIGIN_TEXT[path.origin]}`,
    `BGP.as_path: ${formatAsPath(path.asPath)}`,
    `BGP.next_hop: ${formatNextHops(path.nextHop ?? path.nextHop6 ?? 0)}`,
  ];
  if (path.med !== null) rows.push(`BGP.med: ${path.med}`);
  rows.push(`BGP.local_pref: ${preference}`);
  if (path.atomicAggregate) rows.push('BGP.atomic_aggr: ');
  if (path.aggregator !== null) {
    rows.push(`BGP.aggregator: ${formatIp4(path.aggregator.address)} AS${path.aggregator.asn}`);
  }
  const list = (name: string, items: readonly string[]) => {
    if (items.length > 0) rows.push(`${name}: ${items.join(' ')}`);
  };
  list(
    'BGP.community',
    path.communities.map((value) => `(${value >>> 16},${value & 0xffff})`),
  );
  if (path.originatorId !== null) rows.push(`BGP.originator_id: ${formatIp4(path.originatorId)}`);
  list('BGP.cluster_list', path.clusterList.map(formatIp4));
  list(
    'BGP.large_community',
    path.largeCommunities.map((parts) => `(${parts.join(', ')})`),
  );
  const extended = path.extendedCommunities.map((value) => formatExtendedCommunity(value).split(':'));
  list(
    'BGP.ext_community',
    extended.map((parts) => `(${parts.join(', ')})`),
  );
  return rows;
}
