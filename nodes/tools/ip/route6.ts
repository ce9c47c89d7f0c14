import { parseIp6 } from '../../../protocols/ip6.ts';
import type { NexthopFacts, RouteFacts } from '../../events/kernel.ts';
import { gateway6 } from '../../kernel/ipv6/gateway.ts';
import { USER_METRIC } from '../../kernel/ipv6/route-table.ts';
import type { Netns } from '../../kernel/netns.ts';
import { LOCAL_TABLE, MAIN_TABLE } from '../../kernel/route-table.ts';
import { change, refused } from './context.ts';
import type { RouteArguments } from './route-arguments.ts';
import { notEmulated } from './words.ts';

/** What is done with a route and those of its prefix and metric; the last two are one thing in IPv6. */
type Command = 'add' | 'change' | 'replace' | 'append' | 'prepend';

/** `ip -6 route add|change|replace|append|prepend`. @throws ToolError */
export function setRoute6(ns: Netns, wanted: RouteArguments, command: Command): void {
  const { tables, addresses } = ns.ipv6;
  const { dst, src } = wanted;
  const type = wanted.type ?? 'unicast';
  if (type === 'broadcast') throw notEmulated('IPv6 route type broadcast');
  const reaches = type === 'unicast' || type === 'local';
  if (reaches && wanted.nexthops.length === 0) throw refused('RTNETLINK answers: No such device');
  if (src !== '' && !addresses.isLocal(parseIp6(src) ?? '', null))
    throw refused('Error: Invalid source address.');
  const table = tables.open(wanted.table ?? (type === 'local' ? LOCAL_TABLE : MAIN_TABLE));
  const resolve = (hop: NexthopFacts): NexthopFacts => {
    const via = hop.dev === '' ? parseIp6(hop.via) : null;
    return via === null ? hop : { ...hop, dev: gateway6(ns, via, hop, table).name };
  };
  change(() => {
    // What is refused goes by no device, although the kernel names lo.
    const nexthops = reaches ? wanted.nexthops.map(resolve) : [];
    const metric = wanted.metric || USER_METRIC;
    const protocol = wanted.protocol ?? 'boot';
    const facts: RouteFacts = { dst, type, protocol, scope: 'global', metric, src, nexthops };
    const rows = table.rowsOf(dst).filter((row) => row.metric === metric);
    switch (command) {
      case 'add':
        if (rows.length > 0) throw refused('RTNETLINK answers: File exists');
        table.add(facts, 'last');
        return;
      case 'change':
      case 'replace': {
        if (rows.length === 0 && command === 'change')
          throw refused('Error: Can not replace route - no match found.');
        // One by gateways takes the place of one by gateways, any other that of any other; else that of the first.
        const old = rows.find((row) => hasGateways(row) === hasGateways(facts)) ?? rows[0];
        if (old === undefined) table.add(facts, 'last');
        else table.replace(old, facts);
        return;
      }
      default: {
        if (rows.some((row) => sharesNexthop(row, facts))) throw refused('RTNETLINK answers: File exists');
        // Routes by gateways are next hops of one (`rt6_qualify_for_ecmp`).
        const sibling = hasGateways(facts) ? rows.find(hasGateways) : undefined;
        if (sibling === undefined) table.add(facts, 'last');
        else table.replace(sibling, { ...sibling, nexthops: [...sibling.nexthops, ...nexthops] });
      }
    }
  });
}

function hasGateways({ nexthops }: RouteFacts): boolean {
  return nexthops.length > 0 && nexthops.every(({ via }) => via !== '');
}

/** `rt6_duplicate_nexthop`; all that is refused goes by lo. */
function sharesNexthop(a: RouteFacts, b: RouteFacts): boolean {
  if (a.nexthops.length === 0 || b.nexthops.length === 0) return a.nexthops.length === b.nexthops.length;
  return a.nexthops.some(({ via, dev }) => b.nexthops.some((hop) => hop.via === via && hop.dev === dev));
}

/** `ip -6 route del`: the first that is meant, or one next hop of it. @throws ToolError */
export function removeRoute6(
  ns: Netns,
  wanted: RouteArguments,
  isMeant: (wanted: RouteArguments, route: RouteFacts) => boolean,
): void {
  const table = ns.ipv6.tables.get(wanted.table ?? MAIN_TABLE);
  if (table === undefined) throw refused('Error: FIB table does not exist.');
  const rows = table.rowsOf(wanted.dst);
  const [hop, ...others] = wanted.nexthops;
  for (const row of rows) {
    if (isMeant(wanted, row)) {
      table.remove(row);
      return;
    }
    if (hop === undefined || others.length > 0 || row.nexthops.length < 2) continue;
    if (!isMeant({ ...wanted, nexthops: [] }, row)) continue;
    const at = row.nexthops.findIndex(
      ({ via, dev }) => (hop.via === '' || hop.via === via) && (hop.dev === '' || hop.dev === dev),
    );
    if (at < 0) continue;
    // A device alone means all of them.
    if (hop.via === '') table.remove(row);
    else change(() => table.replace(row, { ...row, nexthops: row.nexthops.toSpliced(at, 1) }));
    return;
  }
  // The root of the tree always holds something, which nobody can take out (`fib6_null_entry`).
  const root = wanted.dst === '::/0' && rows.length === 0 && hop === undefined && wanted.metric === null;
  throw refused(`RTNETLINK answers: ${root ? 'No such file or directory' : 'No such process'}`);
}
