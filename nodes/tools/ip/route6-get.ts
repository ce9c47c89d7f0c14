import { ANY_IP6, formatIp6, type Ip6, isMulticastIp6, LOOPBACK_IP6 } from '../../../protocols/ip6.ts';
import type { RouteFacts } from '../../events/kernel.ts';
import { type Path, pathError } from '../../kernel/ip/path.ts';
import { ANY_FLOW6 } from '../../kernel/ipv6/rules.ts';
import { LOCAL_TABLE, MAIN_TABLE } from '../../kernel/route-table.ts';
import type { FlowKey } from '../../kernel/rules.ts';
import { formatJson } from '../format/json.ts';
import { localTable6 } from '../format/local-table.ts';
import {
  formatRoutes,
  metricsField,
  metricWords,
  protocolName,
  type RouteFormat,
  routeObjects,
} from '../format/routes.ts';
import { sendErrorText } from '../send-error.ts';
import { type IpContext, linkFormat, linksOf, refused } from './context.ts';
import { tableName } from './route-protocols.ts';

/** What a packet is said to be; `iif` null: one of the host's own. */
export interface Question6 {
  readonly dst: Ip6;
  readonly from: Ip6 | null;
  readonly flow: Omit<FlowKey<Ip6>, 'src'>;
  /** `fibmatch`: the row of the table, not the way. */
  readonly answer: 'way' | 'row';
}

/** `ip -6 route get ADDRESS`: the way that the kernel takes, and the address that it sends from. @throws ToolError */
export function printRoute6(ctx: IpContext, question: Question6): void {
  const { dst, from, flow, answer } = question;
  const src = from ?? ANY_IP6;
  const path = ctx.ns.ipv6.layer.lookup(dst, 0, flow.oif, { ...ANY_FLOW6, ...flow, src });
  const error = pathError(path);
  if (path === null || error !== null)
    throw refused(`RTNETLINK answers: ${sendErrorText(error ?? 'ENETUNREACH')}`);
  if (answer === 'row') printRow(ctx, dst, path);
  else printWay(ctx, question, path);
}

function printWay({ ns, options, out }: IpContext, { dst, from, flow }: Question6, path: Path<Ip6>): void {
  const { ipv6 } = ns;
  const multicast = isMulticastIp6(dst);
  const local = path.type === 'local';
  const own = local || multicast;
  const facts = path.route?.facts;
  const id = path.route?.table ?? (own ? LOCAL_TABLE : MAIN_TABLE);
  const details = options.details === 'shown';
  const protocol = facts === undefined ? 'kernel' : protocolName(facts);
  const { iif } = flow;
  const fields = {
    ...(multicast ? { type: 'multicast' } : local ? { type: 'local' } : details ? { type: 'unicast' } : {}),
    dst: formatIp6(dst),
    from: formatIp6(from ?? ANY_IP6),
    ...(path.nexthop === dst ? {} : { gateway: formatIp6(path.nexthop) }),
    dev: path.device.name,
    ...(id === MAIN_TABLE && !details ? {} : { table: tableName(id) }),
    ...(protocol === 'boot' && !details ? {} : { protocol }),
    ...(details ? { scope: 'global' } : {}),
    ...(iif === null ? sourceField(ipv6.sourceFor(path, dst)) : {}),
    metric: facts?.metric ?? (local ? 0 : 256),
  };
  // What a router has told of the path.
  const expiry = ipv6.pathMtus.expiry(dst, path);
  const learned = expiry === null ? null : { expires: Math.floor((expiry - ns.kernel.rt.now) / 1_000) };
  const metrics = { ...facts, ...(learned === null ? {} : { mtu: ipv6.pathMtus.of(dst, path) }) };
  const input = iif === null ? {} : { iif: iif.name };
  const pref = facts?.preference ?? 'medium';
  if (options.json !== undefined) {
    out.stdout(
      formatJson(
        [{ ...fields, flags: [], ...learned, ...metricsField(metrics), ...input, pref }],
        options.json,
      ),
    );
    return;
  }
  const {
    type,
    dst: to,
    from: sender,
    gateway,
    dev,
    table,
    protocol: maker,
    scope,
    prefsrc,
    metric,
  } = {
    ...{ type: '', gateway: '', table: '', protocol: '', scope: '', prefsrc: '' },
    ...fields,
  };
  const words = [
    ...(type === '' ? [] : [type]),
    ...[to, 'from', sender],
    ...(gateway === '' ? [] : ['via', gateway]),
    ...['dev', dev],
    ...(table === '' ? [] : ['table', table]),
    ...(maker === '' ? [] : ['proto', maker]),
    ...(scope === '' ? [] : ['scope', scope]),
    ...(prefsrc === '' ? [] : ['src', prefsrc]),
    ...['metric', String(metric)],
    ...(learned === null ? [] : ['expires', `${learned.expires}sec`]),
    ...metricWords(metrics),
    ...(iif === null ? [] : ['iif', iif.name]),
    ...['pref', pref],
  ];
  out.stdout(`${words.join(' ')}\n`);
}

function sourceField(src: Ip6): { readonly prefsrc?: string } {
  return src === ANY_IP6 ? {} : { prefsrc: formatIp6(src) };
}

/** The row that decided, as `ip -6 route show` has it. */
function printRow(ctx: IpContext, dst: Ip6, path: Path<Ip6>): void {
  const row = path.route?.facts ?? localRow(ctx, dst);
  if (row === undefined) throw refused(`RTNETLINK answers: ${sendErrorText('ENETUNREACH')}`);
  const { ns, options, out } = ctx;
  const id = path.route?.table ?? LOCAL_TABLE;
  const format: RouteFormat = {
    ...linkFormat(ns),
    now: ns.kernel.rt.now,
    ...(id === MAIN_TABLE ? {} : { table: tableName(id) }),
    ...(options.details === undefined ? {} : { details: options.details }),
  };
  out.stdout(
    options.json === undefined
      ? formatRoutes([row], format)
      : formatJson(routeObjects([row], format), options.json),
  );
}

function localRow({ ns }: IpContext, dst: Ip6): RouteFacts | undefined {
  const enabled = (dev: string) => ns.device(dev)?.inet6.enabled === true;
  const rows = localTable6(linksOf(ns), ns.ipv6.addresses.list(), enabled);
  const host = dst === LOOPBACK_IP6 ? '::1/128' : `${formatIp6(dst)}/128`;
  return rows.find((row) => row.dst === (isMulticastIp6(dst) ? 'ff00::/8' : host));
}
