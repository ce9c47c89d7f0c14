import { bitsOf, type IpAddress } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { formatIp6 } from '../../../protocols/ip6.ts';
import { PROTO_UDP } from '../../../protocols/ipv4.ts';
import type { Device } from '../../kernel/device.ts';
import { type Path, pathError } from '../../kernel/ip/path.ts';
import { type InputRefusal, routeInput, wantsRedirect } from '../../kernel/ip/route-input.ts';
import type { SendError } from '../../kernel/ip.ts';
import { LOCAL_TABLE, MAIN_TABLE } from '../../kernel/route-table.ts';
import type { FlowKey } from '../../kernel/rules.ts';
import { formatJson } from '../format/json.ts';
import { localTable } from '../format/local-table.ts';
import { formatRoutes, type RouteFormat, routeObjects } from '../format/routes.ts';
import { sendErrorText } from '../send-error.ts';
import { ToolError } from '../tool.ts';
import {
  type IpContext,
  type IpOptions,
  linkFormat,
  linksOf,
  refused,
  requireDevice,
  requireInterfaceAddress,
  requireIpAddress,
} from './context.ts';
import { parseDsfield } from './dsfield.ts';
import { tableName } from './route-protocols.ts';
import { printRoute6 } from './route6-get.ts';
import { ipProtocolOf, numberOf } from './rule-words.ts';
import { EXIT_ARGUMENT, garbage, invalidArgument, notEmulated, type Words } from './words.ts';

/** What a packet is said to be; `iif` null: one of the host's own. */
interface Question {
  readonly dst: number;
  readonly from: number | null;
  readonly flow: FlowKey;
  /** `fibmatch`: the row of the table, not the way. */
  readonly answer: 'way' | 'row';
}

/** `ip route get`: the way that the kernel takes to an address. @throws ToolError */
export function routeGet(words: Words, ctx: IpContext): void {
  let target: string | null = null;
  let from: IpAddress | null = null;
  let answer: Question['answer'] = 'way';
  let proto: number | null = null;
  const flow: { -readonly [K in keyof Omit<FlowKey, 'src'>]: FlowKey[K] } = {
    tos: 0,
    mark: 0,
    proto: 0,
    sport: 0,
    dport: 0,
    iif: null,
    oif: null,
  };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'from':
        from = requireIpAddress(words.argument(), familyOfTarget(ctx, target));
        break;
      case 'iif':
        flow.iif = requireDevice(ctx.ns, words.argument());
        break;
      case 'oif':
      case 'dev':
        flow.oif = requireDevice(ctx.ns, words.argument());
        break;
      case 'mark':
        flow.mark = numberOf(words.argument(), 0xffff_ffff, 'invalid mark\n');
        break;
      case 'tos':
      case 'dsfield': {
        const text = words.argument();
        const tos = parseDsfield(text);
        if (tos === null) throw invalidArgument(text, 'TOS value is invalid\n');
        flow.tos = tos;
        break;
      }
      case 'ipproto':
        proto = ipProtocolOf(words.argument());
        break;
      case 'sport':
      case 'dport':
        flow[word] = numberOf(words.argument(), 65_535, `invalid ${word}\n`);
        break;
      case 'fibmatch':
        answer = 'row';
        break;
      case 'vrf':
      case 'uid':
        throw notEmulated(`ip route get ${word}`);
      default: {
        const text = word === 'to' ? words.argument() : word;
        if (target !== null) throw garbage('to', text);
        target = text;
      }
    }
  }
  if (target === null) throw new ToolError('need at least a destination address', EXIT_ARGUMENT);
  const { addr, len } = requireInterfaceAddress(target, ctx.options.family);
  if (len !== bitsOf(addr))
    ctx.out.stderr(`Warning: /${len} as prefix is invalid, only /${bitsOf(addr)} (or none) is supported.\n`);
  if (typeof addr === 'string') {
    if (typeof from === 'number') throw refused('Error: Invalid source address.');
    printRoute6(ctx, { dst: addr, from, flow: { ...flow, proto: proto ?? 0 }, answer });
    return;
  }
  if (typeof from === 'string') throw refused('Error: Invalid source address.');
  // Of IPv4, one that nothing is said of is a datagram of UDP (`inet_rtm_getroute`).
  const question: Question = {
    dst: addr,
    from,
    flow: { ...flow, proto: proto ?? PROTO_UDP, src: from ?? 0 },
    answer,
  };
  const path = flow.iif === null ? outputWay(ctx, question) : inputWay(ctx, question, flow.iif);
  if (answer === 'row') printRow(ctx, addr, path);
  else print(ctx, question, path);
}

/** That of the command, else of the address that has been named. */
function familyOfTarget({ options }: IpContext, target: string | null): IpOptions['family'] {
  if (options.family !== 'any' || target === null) return options.family;
  return target.includes(':') ? 'inet6' : 'inet';
}

function outputWay({ ns }: IpContext, { dst, from, flow }: Question): Path {
  if (from !== null && !ns.isLocal(from)) throw refusedAs('ENETUNREACH');
  const path = ns.lookup(dst, (from ?? 0) ^ dst, flow);
  const error = pathError(path);
  if (path === null || error !== null) throw refusedAs(error ?? 'ENETUNREACH');
  return path;
}

const REFUSALS: Readonly<Record<InputRefusal, SendError>> = {
  martian: 'EINVAL',
  'martian-destination': 'EINVAL',
  'rp-filter': 'EINVAL',
  'not-for-us': 'EHOSTUNREACH',
  'no-route': 'ENETUNREACH',
  unreachable: 'EHOSTUNREACH',
  prohibit: 'EACCES',
  blackhole: 'EINVAL',
};

function inputWay({ ns }: IpContext, { dst, flow }: Question, iif: Device): Path {
  const way = routeInput(ns, iif, dst, flow.src ^ dst, flow);
  if (typeof way === 'string') throw refusedAs(REFUSALS[way]);
  return way;
}

function refusedAs(error: SendError): ToolError {
  return refused(`RTNETLINK answers: ${sendErrorText(error)}`);
}

/** The row that decided, as `ip route show` has it. */
function printRow(ctx: IpContext, dst: number, path: Path): void {
  const { ns, options } = ctx;
  const host = `${formatIp4(dst)}/32`;
  const row =
    path.route?.facts ?? localTable(linksOf(ns), ns.addresses.list()).find((local) => local.dst === host);
  if (row === undefined) throw refusedAs('ENETUNREACH');
  const id = path.route?.table ?? LOCAL_TABLE;
  const format: RouteFormat = {
    ...linkFormat(ns),
    ...(id === MAIN_TABLE ? {} : { table: tableName(id) }),
    ...(options.details === undefined ? {} : { details: options.details }),
  };
  ctx.out.stdout(
    options.json === undefined
      ? formatRoutes([row], format)
      : formatJson(routeObjects([row], format), options.json),
  );
}

/**
 * The table that a way is from, '' where it is understood. Local and main are one until a rule asks for it (`fib_unmerge`).
 */
function shownTable({ ns, options }: IpContext, { route, type }: Path): string {
  const id = route?.table ?? (type === 'unicast' ? MAIN_TABLE : LOCAL_TABLE);
  if (options.details !== undefined) return tableName(id);
  if (id === MAIN_TABLE || (id === LOCAL_TABLE && !ns.rules.unmerged)) return '';
  return tableName(id);
}

function print(ctx: IpContext, { dst, from, flow }: Question, path: Path): void {
  const { ns, options } = ctx;
  const { iif, mark } = flow;
  const local = path.type === 'local';
  const { via6 } = path;
  // A gateway may be the very destination.
  const isGateway = path.nexthop !== dst || path.route?.nexthops.some((hop) => hop.via === dst) === true;
  const gateway = path.type === 'unicast' && isGateway ? formatIp4(path.nexthop) : '';
  const via = via6 === undefined ? gateway : `inet6 ${formatIp6(via6)}`;
  const routed = local ? ns.addresses.localSource(dst) : ns.sourceFor(path.device, path.nexthop);
  const source = path.src !== 0 ? path.src : routed;
  // RTCF_LOCAL is of what goes by lo, too (`__mkroute_output`).
  const kept = local || path.device.kind === 'loopback' ? ['local'] : [];
  const cache = path.type === 'broadcast' ? ['local', 'brd'] : kept;
  if (path.redirected === true) cache.push('redirected');
  if (iif !== null && path.type === 'unicast' && wantsRedirect(ns, iif, dst, flow, path))
    cache.push('redirect');
  const type = path.type === 'unicast' && options.details === undefined ? '' : path.type;
  const dev = iif !== null && path.type === 'broadcast' ? 'lo' : path.device.name;
  const table = shownTable(ctx, path);
  const learned = exceptionOf(ctx, dst, path);
  const showsSource = from === null && iif === null && source !== 0;
  if (options.json !== undefined) {
    const object = {
      ...(type === '' ? {} : { type }),
      dst: formatIp4(dst),
      ...(from === null ? {} : { from: formatIp4(from) }),
      ...(gateway === '' ? {} : { gateway }),
      ...(via6 === undefined ? {} : { via: { family: 'inet6', host: formatIp6(via6) } }),
      dev,
      ...(table === '' ? {} : { table }),
      ...(showsSource ? { prefsrc: formatIp4(source) } : {}),
      flags: [],
      ...(mark === 0 ? {} : { mark }),
      ...(iif === null ? { uid: 0 } : {}),
      cache,
      ...(learned === null ? {} : { expires: learned.expires }),
      ...(learned?.mtu === undefined ? {} : { metrics: [{ mtu: learned.mtu }] }),
      ...(iif === null ? {} : { iif: iif.name }),
    };
    ctx.out.stdout(formatJson([object], options.json));
    return;
  }
  const words = [
    ...(type === '' ? [] : [type]),
    formatIp4(dst),
    ...(from === null ? [] : ['from', formatIp4(from)]),
    ...(via === '' ? [] : ['via', via]),
    ...['dev', dev],
    ...(table === '' ? [] : ['table', table]),
    ...(showsSource ? ['src', formatIp4(source)] : []),
    ...(mark === 0 ? [] : ['mark', mark >= 16 ? `0x${mark.toString(16)}` : String(mark)]),
    ...(iif === null ? ['uid 0'] : []),
  ];
  const newline = options.style === 'oneline' ? '\\' : '\n';
  const flags = cache.length === 0 ? '' : `<${cache.join(',')}> `;
  const expires = learned === null ? '' : `expires ${learned.expires}sec `;
  const mtu = learned?.mtu === undefined ? '' : `mtu ${learned.mtu} `;
  const input = iif === null ? '' : `iif ${iif.name} `;
  ctx.out.stdout(`${words.join(' ')} ${newline}    cache ${flags}${expires}${mtu}${input}\n`);
}

/** What routers have told of the path: for how many seconds that will hold, and the MTU where that was it. */
function exceptionOf(ctx: IpContext, dst: number, path: Path): { expires: number; mtu?: number } | null {
  const { pathMtus, redirects } = ctx.ns;
  const seconds = (until: number) => Math.floor((until - ctx.tool.rt.now) / 1000);
  const expiry = pathMtus.expiry(dst, path);
  if (expiry !== null) return { expires: seconds(expiry), mtu: pathMtus.of(dst, path) };
  const until = path.redirected === true ? redirects.expiry(dst) : null;
  return until === null ? null : { expires: seconds(until) };
}
