import type { IpFamily } from '../../../protocols/ip.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import type { NexthopFacts, RouteFacts, RouteScope, RouteType } from '../../events/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import { isAttached, LOCAL_TABLE, MAIN_TABLE } from '../../kernel/route-table.ts';
import { formatJson } from '../format/json.ts';
import { localTable, localTable6 } from '../format/local-table.ts';
import { formatRoutes, protocolName, type RouteFormat, routeObjects } from '../format/routes.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, linkFormat, linksOf, refused } from './context.ts';
import { parseRoute, type RouteArguments, routeUsage } from './route-arguments.ts';
import { parseRouteFilter } from './route-filter.ts';
import { routeGet } from './route-get.ts';
import { tableName } from './route-protocols.ts';
import { removeRoute6, setRoute6 } from './route6.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import { EXIT_ARGUMENT, notEmulated, type Words } from './words.ts';

const ROUTE: Subcommands = {
  object: 'ip route',
  help: routeUsage,
  usual: 'list',
  commands: {
    list,
    show: list,
    lst: list,
    get: routeGet,
    add: (words, ctx) => set(words, ctx, 'add'),
    change: (words, ctx) => set(words, ctx, 'change'),
    chg: (words, ctx) => set(words, ctx, 'change'),
    replace: (words, ctx) => set(words, ctx, 'replace'),
    prepend: (words, ctx) => set(words, ctx, 'prepend'),
    append: (words, ctx) => set(words, ctx, 'append'),
    test: null,
    delete: remove,
    flush,
    save: null,
    restore: null,
    showdump: null,
  },
};

/** `ip route`. @throws ToolError */
export function ipRoute(args: readonly string[], ctx: IpContext): void {
  runSubcommand(ROUTE, args, ctx);
}

function parsed(words: Words, ctx: IpContext): RouteArguments {
  const route = parseRoute(words, ctx);
  if (route === null) throw routeUsage();
  return route;
}

interface ListedTable {
  readonly id: number;
  readonly rows: readonly RouteFacts[];
}

/** The rows of a table, the kernel's own among those of the local one; null if there is no such table. */
function tableRows(ns: Netns, id: number): readonly RouteFacts[] | null {
  const rows = ns.tables.get(id)?.list();
  if (id !== LOCAL_TABLE) return rows ?? null;
  return [...localTable(linksOf(ns), ns.addresses.list()), ...(rows ?? [])];
}

function tableRows6(ns: Netns, id: number): readonly RouteFacts[] | null {
  const rows = ns.ipv6.tables.get(id)?.list();
  if (id !== LOCAL_TABLE) return rows ?? null;
  const enabled = (dev: string) => ns.device(dev)?.inet6.enabled === true;
  return [...localTable6(linksOf(ns), ns.ipv6.addresses.list(), enabled), ...(rows ?? [])];
}

function listedTables(ns: Netns, table: number | 'all', family: IpFamily): ListedTable[] {
  const rowsOf = (id: number) => (family === 'inet' ? tableRows(ns, id) : tableRows6(ns, id));
  if (table !== 'all') {
    const rows = rowsOf(table);
    const name = family === 'inet' ? 'ipv4' : 'ipv6';
    if (rows === null) throw refused(`Error: ${name}: FIB table does not exist.\nDump terminated`);
    return [{ id: table, rows }];
  }
  const ids = (family === 'inet' ? ns.tables : ns.ipv6.tables).list().map(({ id }) => id);
  return (ids.includes(LOCAL_TABLE) ? ids : [...ids, LOCAL_TABLE]).map((id) => ({
    id,
    rows: rowsOf(id) ?? [],
  }));
}

function list(words: Words, ctx: IpContext): void {
  const filter = parseRouteFilter(words, ctx);
  const { ns, options } = ctx;
  const tables = filter.cache
    ? []
    : filter.families.flatMap((family) => listedTables(ns, filter.table, family));
  const format: RouteFormat = {
    ...linkFormat(ns),
    now: ns.kernel.rt.now,
    hide: filter.hide,
    ...(options.style === 'oneline' ? { style: 'oneline' as const } : {}),
    ...(options.details === undefined ? {} : { details: options.details }),
  };
  const formatOf = (id: number): RouteFormat =>
    filter.table === 'all' && id !== MAIN_TABLE ? { ...format, table: tableName(id) } : format;
  if (options.json !== undefined) {
    const objects = tables.flatMap(({ id, rows }) => routeObjects(rows.filter(filter.matches), formatOf(id)));
    ctx.out.stdout(formatJson(objects, options.json));
    return;
  }
  ctx.out.stdout(
    tables.map(({ id, rows }) => formatRoutes(rows.filter(filter.matches), formatOf(id))).join(''),
  );
}

/** Routes to the host itself and to all of a subnet are the local table's (`iproute_modify`). */
function tableFor({ table, type }: RouteArguments): number {
  return table ?? (type === 'local' || type === 'broadcast' ? LOCAL_TABLE : MAIN_TABLE);
}

function usualScope(type: RouteType, nexthops: readonly NexthopFacts[]): RouteScope {
  if (type === 'local') return 'host';
  const attached = type === 'unicast' && nexthops.every((hop) => hop.via === '');
  return type === 'broadcast' || attached ? 'link' : 'global';
}

type Change = 'add' | 'change' | 'replace' | 'append' | 'prepend';

function set(words: Words, ctx: IpContext, command: Change): void {
  const wanted = parsed(words, ctx);
  const { ns } = ctx;
  if (wanted.family === 'inet6') {
    setRoute6(ns, wanted, command);
    return;
  }
  const type = wanted.type ?? 'unicast';
  const metric = wanted.metric ?? 0;
  const id = tableFor(wanted);
  const reachable = type === 'unicast' || type === 'local' || type === 'broadcast';
  if (reachable && wanted.nexthops.length === 0) throw refused('RTNETLINK answers: No such device');
  if (!reachable && wanted.nexthops.length > 0)
    throw refused('Error: Gateway, device and multipath can not be specified for this route type.');
  if (wanted.src !== '' && !ns.isLocal(parseIp4(wanted.src) ?? 0))
    throw refused('Error: Invalid prefsrc address.');
  const nexthops = wanted.nexthops.map((hop) => withDevice(ns, hop));
  const rows = id === LOCAL_TABLE ? tableRows(ns, id) : ns.tables.get(id)?.rowsOf(wanted.dst);
  const exists = rows?.some((row) => row.dst === wanted.dst && row.metric === metric) === true;
  if (command === 'add' && exists) throw refused('RTNETLINK answers: File exists');
  if (command === 'change' && !exists) throw refused('RTNETLINK answers: No such file or directory');
  const table = ns.tables.open(id);
  const facts: RouteFacts = {
    dst: wanted.dst,
    type,
    protocol: wanted.protocol ?? 'boot',
    scope: wanted.scope ?? usualScope(type, nexthops),
    metric,
    src: wanted.src,
    nexthops,
  };
  change(() => {
    if (command === 'append' || command === 'prepend')
      table.add(facts, command === 'append' ? 'last' : 'first');
    else table.set(facts);
  });
}

/** Finds the device of a gateway that was given without one. @throws ToolError */
function withDevice(ns: Netns, hop: NexthopFacts): NexthopFacts {
  if (hop.dev !== '' || hop.via.includes(':')) return hop;
  // By a route of the scope of a link alone: one that leads by a gateway itself does not count.
  const gateway = hop.via === '' ? null : parseIp4(hop.via);
  const route =
    gateway === null ? null : ns.routes.lookupWhere(gateway, ({ facts }) => facts.scope !== 'global');
  const way = route?.nexthops[0];
  if (way === undefined || !isAttached(way, 0)) throw refused('Error: Nexthop has invalid gateway.');
  return { ...hop, dev: way.device.name };
}

/** Of several metrics, without one named, the lowest goes (`fib_table_delete`). */
function remove(words: Words, ctx: IpContext): void {
  const wanted = parsed(words, ctx);
  const { ns } = ctx;
  if (wanted.family === 'inet6') {
    removeRoute6(ns, wanted, isMeant);
    return;
  }
  const id = wanted.table ?? MAIN_TABLE;
  const table = ns.tables.get(id);
  if (table === undefined && id !== LOCAL_TABLE) throw refused('Error: FIB table does not exist.');
  const route = table?.rowsOf(wanted.dst).find((candidate) => isMeant(wanted, candidate));
  if (route !== undefined) {
    table?.remove(route);
    return;
  }
  if (tableRows(ns, id)?.some((row) => row.dst === wanted.dst && isMeant(wanted, row)) === true)
    throw notEmulated('taking out a route that the kernel keeps for an address');
  throw refused('RTNETLINK answers: No such process');
}

function isMeant(wanted: RouteArguments, route: RouteFacts): boolean {
  return (
    (wanted.type === null || route.type === wanted.type) &&
    (wanted.metric === null || route.metric === wanted.metric) &&
    (wanted.protocol === null || protocolName(route) === wanted.protocol) &&
    (wanted.scope === null || route.scope === wanted.scope) &&
    (wanted.src === '' || route.src === wanted.src) &&
    (wanted.nexthops.length === 0 ||
      (wanted.nexthops.length === route.nexthops.length &&
        wanted.nexthops.every((hop, i) => {
          const other = route.nexthops[i];
          return (hop.via === '' || hop.via === other?.via) && (hop.dev === '' || hop.dev === other?.dev);
        })))
  );
}

function flush(words: Words, ctx: IpContext): void {
  if (words.done) throw new ToolError('"ip route flush" requires arguments.', EXIT_ARGUMENT);
  const filter = parseRouteFilter(words, ctx);
  const { ns, options } = ctx;
  if (filter.cache) {
    for (const { pathMtus, redirects } of [ns, ns.ipv6]) {
      if (options.family === (pathMtus === ns.pathMtus ? 'inet6' : 'inet')) continue;
      pathMtus.clear();
      redirects.clear();
    }
    return;
  }
  const { table, families } = filter;
  for (const family of families) {
    if (table === 'all' || table === LOCAL_TABLE) continue;
    if ((family === 'inet' ? ns.tables : ns.ipv6.tables).get(table) === undefined)
      throw refused(
        `Error: ${family === 'inet' ? 'ipv4' : 'ipv6'}: FIB table does not exist.\nFlush terminated`,
      );
  }
  if (families.includes('inet6'))
    ns.ipv6.tables.removeWhere(
      (route) => (table === 'all' || route.table === table) && filter.matches(route.facts),
    );
  // What follows from the addresses stays.
  if (families.includes('inet'))
    ns.tables.removeWhere(
      (route) => (table === 'all' || route.table === table) && filter.matches(route.facts),
    );
}
