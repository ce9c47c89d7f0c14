import { type IpPrefix, ipPrefixContains, parseIpPrefix } from '../../../protocols/ip.ts';
import type { LinkFacts, NexthopFacts, RouteFacts } from '../../events/kernel.ts';
import { formatJson, type Json, type JsonStyle } from './json.ts';

export type RouteColumn = 'dev' | 'via' | 'protocol' | 'scope' | 'src' | 'metric';

export interface RouteFormat {
  readonly style?: 'full' | 'oneline';
  readonly json?: JsonStyle;
  /** `-d`: shows the type, protocol and scope that are usually understood. */
  readonly details?: 'shown';
  /** Links of the namespace: a route out of one without carrier is marked `linkdown`. */
  readonly links?: readonly LinkFacts[];
  /** Devices whose routes are passed over while they have no carrier: those are `dead` then. */
  readonly ignoring?: { readonly inet: ReadonlySet<string>; readonly inet6: ReadonlySet<string> };
  /** Columns that a filter has made constant, which iproute2 then leaves out. */
  readonly hide?: ReadonlySet<RouteColumn>;
  /** Now, ms: for what is left of lifetimes. */
  readonly now?: number;
  /** `show table all`: names the table of rows that are not main's. */
  readonly table?: string;
}

/**
 * Text of `ip route show`, byte for byte as iproute2 6.1 prints it, in the kernel's order: by address, then from
 * longer to shorter prefix, then by metric.
 */
export function formatRoutes(routes: readonly RouteFacts[], format: RouteFormat = {}): string {
  const ordered = inKernelOrder(routes);
  if (format.json !== undefined) return formatJson(routeObjects(ordered, format), format.json);
  const states = linkStates(format);
  return ordered.map((route) => `${routeText(route, format, states(route))}\n`).join('');
}

/** As `formatRoutes -j`, for listings that join several tables. */
export function routeObjects(routes: readonly RouteFacts[], format: RouteFormat): Json[] {
  const states = linkStates(format);
  return inKernelOrder(routes).map((route) => routeObject(route, format, states(route)));
}

function inKernelOrder(routes: readonly RouteFacts[]): RouteFacts[] {
  return routes
    .map((route) => ({ route, prefix: parseIpPrefix(route.dst) ?? { addr: 0, len: 0 } }))
    .sort((a, b) => comparePrefixes(a.prefix, b.prefix) || a.route.metric - b.route.metric)
    .map(({ route }) => route);
}

/** IPv6 is dumped as `fib6_walk` goes: what a prefix contains before it, the default route at the end. */
function comparePrefixes(a: IpPrefix, b: IpPrefix): number {
  if (typeof a.addr === 'number' && typeof b.addr === 'number') return a.addr - b.addr || b.len - a.len;
  if (ipPrefixContains(a, b.addr) || ipPrefixContains(b, a.addr)) return b.len - a.len;
  return a.addr < b.addr ? -1 : 1;
}

function isInet6({ dst }: RouteFacts): boolean {
  return dst.includes(':');
}

/** Flags of a route by a device (`fib_nexthop_info`). */
type LinkState = (dev: string) => readonly string[];

const LIVE: LinkState = () => [];

function linkStates({ links = [], ignoring }: RouteFormat): (route: RouteFacts) => LinkState {
  const down = new Map(links.filter(({ up, carrier }) => !up || !carrier).map(({ name, up }) => [name, up]));
  if (down.size === 0) return () => LIVE;
  return (route) => {
    // A host's own addresses do not depend on the carrier (`fib_sync_down_dev`).
    if (route.type === 'local') return LIVE;
    const ignored = ignoring?.[isInet6(route) ? 'inet6' : 'inet'];
    return (dev) => {
      const up = down.get(dev);
      if (up === undefined) return [];
      return !up || ignored?.has(dev) === true ? ['dead', 'linkdown'] : ['linkdown'];
    };
  };
}

/** A destination as iproute2 writes it: `default`, a host without its /32. */
function destination(dst: string): string {
  if (dst === '0.0.0.0/0' || dst === '::/0') return 'default';
  return dst.replace(dst.includes(':') ? /\/128$/ : /\/32$/, '');
}

/** flanneld and felix set no protocol of their own, so that netlink's default shows: boot. */
export function protocolName(route: RouteFacts): string {
  return route.protocol === 'flannel' || route.protocol === 'felix' ? 'boot' : route.protocol;
}

/** What is shown of a route; '' where it is absent, understood or filtered. */
function columns(route: RouteFacts, format: RouteFormat) {
  const details = format.details === 'shown';
  const shown = (column: RouteColumn) => format.hide?.has(column) !== true;
  const protocol = protocolName(route);
  const single = route.nexthops.length === 1 ? route.nexthops[0] : undefined;
  return {
    type: details || route.type !== 'unicast' ? route.type : '',
    dst: destination(route.dst),
    via: single !== undefined && (shown('via') || isForeign(route, single)) ? single.via : '',
    dev: shown('dev') ? (single?.dev ?? (isInet6(route) && route.nexthops.length === 0 ? 'lo' : '')) : '',
    table: format.table ?? '',
    protocol: details || (protocol !== 'boot' && shown('protocol')) ? protocol : '',
    scope: details || (route.scope !== 'global' && shown('scope')) ? route.scope : '',
    src: shown('src') ? route.src : '',
    metric: shown('metric') ? route.metric : 0,
    single,
    multipath: single === undefined ? route.nexthops : [],
  };
}

function flagsOf(nexthop: NexthopFacts, state: LinkState): string[] {
  return [...(nexthop.onlink ? ['onlink'] : []), ...state(nexthop.dev)];
}

function routeText(route: RouteFacts, format: RouteFormat, state: LinkState): string {
  const { type, dst, via, dev, table, protocol, scope, src, metric, single, multipath } = columns(
    route,
    format,
  );
  const words = type === '' ? [dst] : [type, dst];
  if (via !== '' && single !== undefined) words.push('via', ...gatewayWords(route, single));
  if (dev !== '') words.push('dev', dev);
  if (table !== '') words.push('table', table);
  if (protocol !== '') words.push('proto', protocol);
  if (scope !== '') words.push('scope', scope);
  if (src !== '') words.push('src', src);
  if (metric !== 0 || (isInet6(route) && format.hide?.has('metric') !== true))
    words.push('metric', String(metric));
  if (single !== undefined) words.push(...flagsOf(single, state));
  const newline = format.style === 'oneline' ? '\\' : '\n';
  if (route.expires !== undefined) words.push('expires', `${secondsLeft(route.expires, format)}sec`);
  words.push(...metricWords(route));
  if (isInet6(route)) words.push('pref', route.preference ?? 'medium');
  return `${words.join(' ')}${isInet6(route) ? '' : ' '}${multipath.map((hop) => `${newline}\t${nexthopText(route, hop, state)}`).join('')}`;
}

function secondsLeft(until: number, { now = 0 }: RouteFormat): number {
  return Math.floor((until - now) / 1_000);
}

/** `mtu 1400 hoplimit 64`, of what a route says. */
export function metricWords({ mtu, hopLimit }: Pick<RouteFacts, 'mtu' | 'hopLimit'>): string[] {
  return [
    ...(mtu === undefined ? [] : ['mtu', String(mtu)]),
    ...(hopLimit === undefined ? [] : ['hoplimit', String(hopLimit)]),
  ];
}

/** The same as `ip -j` has it. */
export function metricsField({ mtu, hopLimit }: Pick<RouteFacts, 'mtu' | 'hopLimit'>) {
  if (mtu === undefined && hopLimit === undefined) return {};
  const metrics = {
    ...(mtu === undefined ? {} : { mtu }),
    ...(hopLimit === undefined ? {} : { hoplimit: hopLimit }),
  };
  return { metrics: [metrics] };
}

/** Whether the gateway of an IPv4 route is one of IPv6 (`RTA_VIA`). */
function isForeign(route: RouteFacts, { via }: NexthopFacts): boolean {
  return via.includes(':') && !isInet6(route);
}

function gatewayWords(route: RouteFacts, hop: NexthopFacts): string[] {
  return isForeign(route, hop) ? ['inet6', hop.via] : [hop.via];
}

function gatewayField(route: RouteFacts, hop: NexthopFacts) {
  return isForeign(route, hop) ? { via: { family: 'inet6', host: hop.via } } : { gateway: hop.via };
}

function nexthopText(route: RouteFacts, hop: NexthopFacts, state: LinkState): string {
  const via = hop.via === '' ? '' : `via ${gatewayWords(route, hop).join(' ')} `;
  const flags = flagsOf(hop, state)
    .map((flag) => `${flag} `)
    .join('');
  return `nexthop ${via}dev ${hop.dev} weight ${hop.weight} ${flags}`;
}

function routeObject(route: RouteFacts, format: RouteFormat, state: LinkState): Json {
  const { type, dst, via, dev, table, protocol, scope, src, metric, single, multipath } = columns(
    route,
    format,
  );
  return {
    ...(type === '' ? {} : { type }),
    dst,
    ...(via === '' || single === undefined ? {} : gatewayField(route, single)),
    ...(dev === '' ? {} : { dev }),
    ...(table === '' ? {} : { table }),
    ...(protocol === '' ? {} : { protocol }),
    ...(scope === '' ? {} : { scope }),
    ...(src === '' ? {} : { prefsrc: src }),
    ...(metric === 0 ? {} : { metric }),
    flags: single === undefined ? [] : flagsOf(single, state),
    ...(route.expires === undefined ? {} : { expires: secondsLeft(route.expires, format) }),
    ...metricsField(route),
    ...(isInet6(route) ? { pref: route.preference ?? 'medium' } : {}),
    ...(multipath.length === 0
      ? {}
      : {
          nexthops: multipath.map((hop) => ({
            ...(hop.via === '' ? {} : gatewayField(route, hop)),
            dev: hop.dev,
            weight: hop.weight,
            flags: flagsOf(hop, state),
          })),
        }),
  };
}
