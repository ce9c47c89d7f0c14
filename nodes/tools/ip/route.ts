import { parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import type { NexthopFacts, RouteFacts } from '../../events/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import { formatJson } from '../format/json.ts';
import { localTable } from '../format/local-table.ts';
import { formatRoutes, protocolName, type RouteFormat, routeObjects } from '../format/routes.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, linksOf, refused } from './context.ts';
import { parseRoute, type RouteArguments, routeUsage } from './route-arguments.ts';
import { parseRouteFilter } from './route-filter.ts';
import { routeGet } from './route-get.ts';
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
    chg: (words, ctx) => set(words, ctx, 'chg'),
    replace: (words, ctx) => set(words, ctx, 'replace'),
    prepend: null,
    append: null,
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

function list(words: Words, ctx: IpContext): void {
  const filter = parseRouteFilter(words, ctx);
  const { ns, options } = ctx;
  if (filter.table === 'absent') throw refused('Error: ipv4: FIB table does not exist.\nDump terminated');
  const empty = filter.cache || options.family === 'inet6';
  const main = empty || filter.table === 'local' ? [] : ns.routes.list().filter(filter.matches);
  const links = linksOf(ns);
  const local = empty || filter.table === 'main' ? [] : localTable(links, ns.addresses.list());
  const format: RouteFormat = {
    links,
    hide: filter.hide,
    ...(options.style === 'oneline' ? { style: 'oneline' as const } : {}),
    ...(options.details === undefined ? {} : { details: options.details }),
  };
  const localFormat: RouteFormat = filter.table === 'all' ? { ...format, table: 'local' } : format;
  const rows = local.filter(filter.matches);
  if (options.json !== undefined) {
    const objects = [...routeObjects(main, format), ...routeObjects(rows, localFormat)];
    ctx.out.stdout(formatJson(objects, options.json));
  } else ctx.out.stdout(formatRoutes(main, format) + formatRoutes(rows, localFormat));
}

function set(words: Words, ctx: IpContext, command: 'add' | 'change' | 'chg' | 'replace'): void {
  const wanted = parsed(words, ctx);
  const { ns } = ctx;
  const type = wanted.type ?? 'unicast';
  const metric = wanted.metric ?? 0;
  if (type === 'unicast' && wanted.nexthops.length === 0) throw refused('RTNETLINK answers: No such device');
  if (type !== 'unicast' && wanted.nexthops.length > 0)
    throw refused('Error: Gateway, device and multipath can not be specified for this route type.');
  if (wanted.src !== '' && !ns.isLocal(parseIp4(wanted.src) ?? 0))
    throw refused('Error: Invalid prefsrc address.');
  const nexthops = wanted.nexthops.map((hop) => withDevice(ns, hop));
  const exists = ns.routes.get(wanted.dst, metric) !== undefined;
  if (command === 'add' && exists) throw refused('RTNETLINK answers: File exists');
  if ((command === 'change' || command === 'chg') && !exists)
    throw refused('RTNETLINK answers: No such file or directory');
  const attached = type === 'unicast' && nexthops.every((hop) => hop.via === '');
  change(() =>
    ns.routes.set({
      dst: wanted.dst,
      type,
      protocol: wanted.protocol ?? 'boot',
      scope: wanted.scope ?? (attached ? 'link' : 'global'),
      metric,
      src: wanted.src,
      nexthops,
    }),
  );
}

/** Finds the device of a gateway that was given without one. @throws ToolError */
function withDevice(ns: Netns, hop: NexthopFacts): NexthopFacts {
  if (hop.dev !== '') return hop;
  const way = hop.via === '' ? undefined : ns.routes.lookup(parseIp4(hop.via) ?? 0)?.nexthops[0];
  if (way === undefined || way.via !== 0) throw refused('Error: Nexthop has invalid gateway.');
  return { ...hop, dev: way.device.name };
}

/** Of several metrics, without one named, the lowest goes (`fib_table_delete`). */
function remove(words: Words, ctx: IpContext): void {
  const wanted = parsed(words, ctx);
  const { ns } = ctx;
  const prefix = parsePrefix(wanted.dst);
  const route = ns.routes
    .list()
    .filter((candidate) => candidate.dst === wanted.dst)
    .sort((a, b) => a.metric - b.metric)
    .find((candidate) => isMeant(wanted, candidate));
  if (prefix === null || route === undefined) throw refused('RTNETLINK answers: No such process');
  ns.routes.delete(route.dst, route.metric);
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
  if (options.family === 'inet6' || filter.table === 'absent') return;
  if (filter.cache) {
    ns.pathMtus.clear();
    return;
  }
  if (filter.table !== 'main') throw notEmulated(`a change of route table ${filter.table}`);
  ns.routes.removeWhere((route) => filter.matches(route.facts));
}
