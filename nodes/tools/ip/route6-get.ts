import { ANY_IP6, formatIp6, type Ip6, LOOPBACK_IP6 } from '../../../protocols/ip6.ts';
import { formatJson } from '../format/json.ts';
import { protocolName } from '../format/routes.ts';
import { type IpContext, refused } from './context.ts';

/** `ip -6 route get ADDRESS`: the row that the kernel takes, and the address that it sends from. @throws ToolError */
export function printRoute6(ctx: IpContext, dst: Ip6): void {
  const { ns, options } = ctx;
  const { ipv6 } = ns;
  const path = ipv6.layer.lookup(dst, 0, null);
  if (path === null) throw refused('RTNETLINK answers: Network is unreachable');
  if (path.type === 'blackhole') throw refused('RTNETLINK answers: Invalid argument');
  if (path.type === 'prohibit') throw refused('RTNETLINK answers: Permission denied');
  if (path.type === 'unreachable') throw refused('RTNETLINK answers: No route to host');
  const local = path.type === 'local';
  const holder = ns.devices().find((device) => device.inet6.holds(dst));
  const facts = path.route?.facts;
  const fields = {
    ...(local ? { type: 'local' } : {}),
    dst: formatIp6(dst),
    from: '::',
    ...(path.nexthop === dst ? {} : { gateway: formatIp6(path.nexthop) }),
    dev: local ? (dst === LOOPBACK_IP6 ? 'lo' : (holder?.name ?? 'lo')) : path.device.name,
    ...(local ? { table: 'local' } : {}),
    ...(local
      ? { protocol: 'kernel' }
      : facts === undefined || protocolName(facts) === 'boot'
        ? {}
        : { protocol: protocolName(facts) }),
    ...sourceField(ipv6.sourceFor(path, dst)),
    metric: local ? 0 : (facts?.metric ?? 256),
  };
  if (options.json !== undefined) {
    ctx.out.stdout(formatJson([{ ...fields, flags: [], pref: 'medium' }], options.json));
    return;
  }
  const {
    type,
    dst: to,
    from,
    gateway,
    dev,
    table,
    protocol,
    prefsrc,
    metric,
  } = { type: '', gateway: '', table: '', protocol: '', prefsrc: '', ...fields };
  const words = [
    ...(type === '' ? [] : [type]),
    ...[to, 'from', from],
    ...(gateway === '' ? [] : ['via', gateway]),
    ...['dev', dev],
    ...(table === '' ? [] : ['table', table]),
    ...(protocol === '' ? [] : ['proto', protocol]),
    ...(prefsrc === '' ? [] : ['src', prefsrc]),
    ...['metric', String(metric), 'pref', 'medium'],
  ];
  ctx.out.stdout(`${words.join(' ')}\n`);
}

function sourceField(src: Ip6): { readonly prefsrc?: string } {
  return src === ANY_IP6 ? {} : { prefsrc: formatIp6(src) };
}
