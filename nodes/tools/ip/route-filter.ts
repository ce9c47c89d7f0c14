import {
  formatIp,
  type IpFamily,
  type IpPrefix,
  ipPrefixContains,
  parseIpPrefix,
} from '../../../protocols/ip.ts';
import type { RouteFacts, RouteProtocol, RouteScope } from '../../events/kernel.ts';
import { MAIN_TABLE } from '../../kernel/route-table.ts';
import { protocolName, type RouteColumn } from '../format/routes.ts';
import {
  type IpContext,
  type IpOptions,
  requireDevice,
  requireIpAddress,
  requireIpPrefix,
  takeDevice,
} from './context.ts';
import { takeGateway } from './route-arguments.ts';
import { listedTable, metricOf, protocolOf, routeScopeOf } from './route-protocols.ts';
import { garbage, notEmulated, type Words } from './words.ts';

/** What `ip route show` and `flush` can be narrowed to. */
export interface RouteFilter {
  /** Without `-6` it is IPv4, whatever the prefix; of all tables it is both. */
  readonly families: readonly IpFamily[];
  readonly table: number | 'all';
  /** Columns that the filter makes constant. */
  readonly hide: ReadonlySet<RouteColumn>;
  /** `cache`: the routing cache, of which nothing is left since Linux 3.6. */
  readonly cache: boolean;
  matches(route: RouteFacts): boolean;
}

const TYPES = ['unicast', 'blackhole', 'unreachable', 'prohibit', 'throw', 'local', 'broadcast'];

/** @throws ToolError */
export function parseRouteFilter(words: Words, ctx: IpContext): RouteFilter {
  let table: number | 'all' = MAIN_TABLE;
  let dev: string | null = null;
  let cache = false;
  let prefixSeen = false;
  const hide = new Set<RouteColumn>();
  const tests: ((route: RouteFacts, dst: IpPrefix) => boolean)[] = [];
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'table':
      case 'lookup':
        {
          const name = words.argument();
          if (name === 'cache') cache = true;
          else table = listedTable(name);
        }
        break;
      case 'dev':
      case 'oif': {
        const name = takeDevice(dev, words.argument());
        requireDevice(ctx.ns, name);
        dev = name;
        hide.add('dev');
        // A multipath route has no device of its own, only its next hops have.
        tests.push(({ nexthops }) => nexthops.length === 1 && nexthops[0]?.dev === name);
        break;
      }
      case 'via': {
        const { via } = takeGateway(words, ctx.options.family);
        hide.add('via');
        tests.push(({ nexthops }) => nexthops.length === 1 && nexthops[0]?.via === via);
        break;
      }
      case 'proto':
      case 'protocol': {
        const name = words.argument();
        if (name === 'all') break;
        const protocol: RouteProtocol = protocolOf(name);
        hide.add('protocol');
        tests.push((route) => protocolName(route) === protocol);
        break;
      }
      case 'scope': {
        const name = words.argument();
        if (name === 'all') break;
        const scope: RouteScope = routeScopeOf(name);
        hide.add('scope');
        tests.push((route) => route.scope === scope);
        break;
      }
      case 'type': {
        const type = words.argument();
        if (!TYPES.includes(type)) throw notEmulated(`route type ${type}`);
        tests.push((route) => route.type === type);
        break;
      }
      case 'src': {
        const src = formatIp(requireIpAddress(words.argument(), ctx.options.family));
        hide.add('src');
        tests.push((route) => route.src === src);
        break;
      }
      case 'metric': {
        const metric = metricOf(words.argument());
        hide.add('metric');
        tests.push((route) => route.metric === metric);
        break;
      }
      case 'cache':
      case 'cached':
        cache = true;
        break;
      case 'root':
      case 'match':
      case 'exact':
        tests.push(prefixTest(word, words.argument(), ctx));
        break;
      default: {
        const mode = word === 'to' ? words.argument() : word;
        const isMode = mode === 'root' || mode === 'match' || mode === 'exact';
        if (prefixSeen) throw garbage('to', mode);
        prefixSeen = true;
        tests.push(isMode ? prefixTest(mode, words.argument(), ctx) : prefixTest('exact', mode, ctx));
      }
    }
  }
  return {
    families: familiesOf(ctx.options.family, table),
    table,
    hide,
    cache,
    matches: (route) => {
      const dst = parseIpPrefix(route.dst);
      return dst !== null && tests.every((test) => test(route, dst));
    },
  };
}

function familiesOf(family: IpOptions['family'], table: number | 'all'): readonly IpFamily[] {
  if (family !== 'any') return [family];
  return table === 'all' ? ['inet', 'inet6'] : ['inet'];
}

/** `root`: within the prefix; `match`: around it; `exact`: it. @throws ToolError */
function prefixTest(mode: 'root' | 'match' | 'exact', word: string, ctx: IpContext) {
  const wanted = requireIpPrefix(word, ctx.options.family);
  return (_: RouteFacts, dst: IpPrefix): boolean => {
    if (mode === 'root') return dst.len >= wanted.len && ipPrefixContains(wanted, dst.addr);
    if (mode === 'match') return dst.len <= wanted.len && ipPrefixContains(dst, wanted.addr);
    return dst.len === wanted.len && dst.addr === wanted.addr;
  };
}
