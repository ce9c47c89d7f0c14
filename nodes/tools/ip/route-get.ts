import { formatIp4 } from '../../../protocols/ip4.ts';
import type { Path } from '../../kernel/ip.ts';
import { formatJson } from '../format/json.ts';
import { ToolError } from '../tool.ts';
import { type IpContext, refused, requireAddress, requireDevice, requireIpAddress } from './context.ts';
import { printRoute6 } from './route6-get.ts';
import { EXIT_ARGUMENT, garbage, notEmulated, type Words } from './words.ts';

/** `ip route get`: the way that the kernel takes to an address. @throws ToolError */
export function routeGet(words: Words, ctx: IpContext): void {
  let target: string | null = null;
  let from: number | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'from') from = requireAddress(words.argument(), 'inet');
    else if (word === 'oif' || word === 'dev' || word === 'iif') {
      requireDevice(ctx.ns, words.argument());
      throw notEmulated(`ip route get ${word}`);
    } else if (['tos', 'mark', 'vrf', 'uid', 'ipproto', 'sport', 'dport', 'fibmatch'].includes(word)) {
      throw notEmulated(`ip route get ${word}`);
    } else {
      const text = word === 'to' ? words.argument() : word;
      if (target !== null) throw garbage('to', text);
      target = text;
    }
  }
  if (target === null) throw new ToolError('need at least a destination address', EXIT_ARGUMENT);
  const addr = requireIpAddress(
    target.replace(target.includes(':') ? /\/128$/ : /\/32$/, ''),
    ctx.options.family,
  );
  if (typeof addr === 'string') printRoute6(ctx, addr);
  else print(ctx, addr, from);
}

function print(ctx: IpContext, dst: number, from: number | null): void {
  const { ns, options } = ctx;
  if (from !== null && !ns.isLocal(from)) throw refused('RTNETLINK answers: Network is unreachable');
  const path = ns.lookup(dst, (from ?? 0) ^ dst);
  if (path === null) throw refused('RTNETLINK answers: Network is unreachable');
  if (path.type === 'blackhole') throw refused('RTNETLINK answers: Invalid argument');
  if (path.type === 'unreachable') throw refused('RTNETLINK answers: No route to host');
  const local = path.type === 'local';
  const gateway = path.type === 'unicast' && path.nexthop !== dst ? formatIp4(path.nexthop) : '';
  const source = local ? dst : path.src !== 0 ? path.src : ns.sourceFor(path.device, path.nexthop);
  const cache = path.type === 'unicast' ? [] : local ? ['local'] : ['local', 'brd'];
  const type = path.type === 'unicast' && options.details === undefined ? '' : path.type;
  const table = options.details === undefined ? '' : path.type === 'unicast' ? 'main' : 'local';
  const learned = pathMtu(ctx, dst, path);
  if (options.json !== undefined) {
    const object = {
      ...(type === '' ? {} : { type }),
      dst: formatIp4(dst),
      ...(from === null ? {} : { from: formatIp4(from) }),
      ...(gateway === '' ? {} : { gateway }),
      dev: path.device.name,
      ...(table === '' ? {} : { table }),
      ...(from === null ? { prefsrc: formatIp4(source) } : {}),
      flags: [],
      uid: 0,
      cache,
      ...(learned === null ? {} : { expires: learned.expires, metrics: [{ mtu: learned.mtu }] }),
    };
    ctx.out.stdout(formatJson([object], options.json));
    return;
  }
  const words = [
    ...(type === '' ? [] : [type]),
    formatIp4(dst),
    ...(from === null ? [] : ['from', formatIp4(from)]),
    ...(gateway === '' ? [] : ['via', gateway]),
    ...['dev', path.device.name],
    ...(table === '' ? [] : ['table', table]),
    ...(from === null ? ['src', formatIp4(source)] : []),
    'uid 0',
  ];
  const newline = options.style === 'oneline' ? '\\' : '\n';
  const flags = cache.length === 0 ? '' : `<${cache.join(',')}> `;
  const exception = learned === null ? '' : `expires ${learned.expires}sec mtu ${learned.mtu} `;
  ctx.out.stdout(`${words.join(' ')} ${newline}    cache ${flags}${exception}\n`);
}

/** What the kernel has learned of the path's MTU, and for how many seconds it will hold. */
function pathMtu(ctx: IpContext, dst: number, path: Path): { expires: number; mtu: number } | null {
  const { pathMtus } = ctx.ns;
  const expiry = pathMtus.expiry(dst, path);
  if (expiry === null) return null;
  return { expires: Math.floor((expiry - ctx.tool.rt.now) / 1000), mtu: pathMtus.of(dst, path) };
}
