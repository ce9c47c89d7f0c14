import { isLinkLocal, parseIp6 } from '../../../protocols/ip6.ts';
import type { RouteFacts } from '../../events/kernel.ts';
import { USER_METRIC } from '../../kernel/ipv6/route-table.ts';
import type { Netns } from '../../kernel/netns.ts';
import { MAIN_TABLE } from '../../kernel/route-table.ts';
import { change, refused } from './context.ts';
import type { RouteArguments } from './route-arguments.ts';
import { notEmulated } from './words.ts';

/** `ip -6 route add|change|replace`. @throws ToolError */
export function setRoute6(
  ns: Netns,
  wanted: RouteArguments,
  command: 'add' | 'change' | 'chg' | 'replace',
): void {
  const { routes, addresses } = ns.ipv6;
  const { dst, src, nexthops } = wanted;
  const type = wanted.type ?? 'unicast';
  const metric = wanted.metric || USER_METRIC;
  requireMain(wanted);
  if (type === 'local' || type === 'broadcast') throw notEmulated(`IPv6 route type ${type}`);
  if (type === 'unicast' && nexthops.length === 0) throw refused('RTNETLINK answers: No such device');
  for (const { dev, onlink, via } of nexthops) {
    if (dev === '' && isLinkLocal(parseIp6(via) ?? '')) throw refused('Error: Egress device not specified.');
    if (onlink && dev === '') throw refused('Error: Nexthop device required for onlink.');
    if (dev !== '' && ns.device(dev)?.inet6.enabled !== true)
      throw refused('Error: IPv6 is disabled on nexthop device.');
  }
  if (src !== '' && !addresses.isLocal(parseIp6(src) ?? '', null))
    throw refused('Error: Invalid source address.');
  const rows = routes.list().filter((row) => row.dst === dst && row.metric === metric);
  const same = rows.some(
    ({ nexthops: hops }) => hops[0]?.dev === nexthops[0]?.dev && hops[0]?.via === nexthops[0]?.via,
  );
  if (command === 'add' && (same || rows.some((row) => clashes(row, wanted))))
    throw refused('RTNETLINK answers: File exists');
  if ((command === 'change' || command === 'chg') && rows.length === 0)
    throw refused('Error: Can not replace route - no match found.');
  change(() => {
    routes.set({
      dst,
      type,
      protocol: wanted.protocol ?? 'boot',
      scope: 'global',
      metric,
      src,
      // What is refused goes by no device, although the kernel names lo.
      nexthops: type === 'unicast' ? nexthops : [],
    });
    const [first] = routes.list().filter((row) => row.dst === dst && row.metric === metric);
    if (command !== 'add' && first !== undefined && rows.length > 0)
      for (const row of rows)
        if (isOther(row, wanted)) routes.delete(dst, metric, row.nexthops[0]?.dev ?? '');
  });
}

/** Routes to attached destinations by two devices are two; all else of one prefix and metric is one. */
function clashes(row: RouteFacts, { nexthops }: RouteArguments): boolean {
  const attached = ({ length, 0: hop }: RouteFacts['nexthops']) => length === 1 && hop?.via === '';
  return !(attached(row.nexthops) || attached(nexthops));
}

function isOther(row: RouteFacts, { nexthops }: RouteArguments): boolean {
  const [old, now] = [row.nexthops[0], nexthops[0]];
  return (
    row.nexthops.length === 1 &&
    old?.via === '' &&
    !(nexthops.length === 1 && now?.via === '' && now.dev === old.dev)
  );
}

/** `ip -6 route del`: the first that is meant. @throws ToolError */
export function removeRoute6(
  ns: Netns,
  wanted: RouteArguments,
  isMeant: (wanted: RouteArguments, route: RouteFacts) => boolean,
): void {
  requireMain(wanted);
  const { routes } = ns.ipv6;
  const found = routes.list().find((row) => row.dst === wanted.dst && isMeant(wanted, row));
  if (found === undefined) throw refused('RTNETLINK answers: No such process');
  const [hop] = found.nexthops;
  routes.delete(found.dst, found.metric, found.nexthops.length === 1 && hop?.via === '' ? hop.dev : '');
}

function requireMain({ table }: RouteArguments): void {
  if (table !== null && table !== MAIN_TABLE)
    throw notEmulated('IPv6 policy routing (other tables than main)');
}
