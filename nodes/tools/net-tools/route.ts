import { formatIp4, parsePrefix, prefixMask } from '../../../protocols/ip4.ts';
import type { RouteFacts } from '../../events/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import { getopt } from '../getopt.ts';
import { type Command, ToolError } from '../tool.ts';

/** route(8) of net-tools, to look at the main table; it does not change it. */
export const route: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: 'nveF4', values: '' });
  if (!parsed.ok && (parsed.name === '6' || parsed.name === 'A'))
    throw new ToolError(`route: -${parsed.name} is not emulated: use ip -6 route`, 4);
  if (!parsed.ok) throw new ToolError(`route: invalid option -- '${parsed.name}'\nUsage: route [-ne]`, 3);
  const [verb] = parsed.operands.map(({ text }) => text);
  if (verb === 'add' || verb === 'del')
    throw new ToolError(`route: ${verb} is not emulated: use ip route ${verb}`, 4);
  if (verb !== undefined) throw new ToolError('Usage: route [-ne]', 3);
  const flags = new Set(parsed.options.map(({ name }) => name));
  out.stdout(routeTable(ctx.ns, { numeric: flags.has('n'), style: flags.has('e') ? 'netstat' : 'route' }));
  return 0;
};

interface RouteTableOptions {
  readonly numeric: boolean;
  /** Columns of `route`, or of `netstat -r`. */
  readonly style: 'route' | 'netstat';
}

/** The main table as /proc/net/route has it: the first next hop of each route. */
export function routeTable(ns: Netns, { numeric, style }: RouteTableOptions): string {
  const columns = style === 'route' ? 'Flags Metric Ref    Use Iface' : 'Flags   MSS Window  irtt Iface';
  const lines = ns.routes.list().flatMap((facts) => routeLine(facts, numeric, style) ?? []);
  return `Kernel IP routing table\nDestination     Gateway         Genmask         ${columns}\n${lines.join('')}`;
}

function routeLine(facts: RouteFacts, numeric: boolean, style: 'route' | 'netstat'): string | null {
  const prefix = parsePrefix(facts.dst);
  const [hop] = facts.nexthops;
  if (prefix === null || facts.type === 'blackhole') return null;
  const refused = facts.type === 'unreachable';
  const destination = prefix.len === 0 && !numeric ? 'default' : formatIp4(prefix.addr);
  // An IPv6 gateway does not fit into its column, which has a flag all the same.
  const via = hop?.via ?? '';
  const gateway = refused ? '-' : via === '' || via.includes(':') ? '0.0.0.0' : via;
  const up = refused ? '!' : 'U';
  const flags = `${up}${!refused && via !== '' ? 'G' : ''}${prefix.len === 32 ? 'H' : ''}`;
  const dev = refused || hop === undefined ? '-' : hop.dev;
  const head = [destination, gateway, formatIp4(prefixMask(prefix.len))]
    .map((text) => text.padEnd(15))
    .join(' ');
  const tail =
    style === 'route' ? `${String(facts.metric).padEnd(6)} 0        0 ${dev}` : `    0 0          0 ${dev}`;
  return `${head} ${flags.padEnd(5)} ${tail}\n`;
}
