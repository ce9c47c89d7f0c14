import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { ANY_IP6, formatIp6, type Ip6, isLinkLocal, isMulticastIp6, parseIp6 } from '../../protocols/ip6.ts';
import { PROTO_ICMP } from '../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../protocols/ipv6.ts';
import type { Device } from '../kernel/device.ts';
import type { EchoReply, IcmpErrorReport } from '../kernel/icmp.ts';
import { pathError } from '../kernel/ip/path.ts';
import type { SendError } from '../kernel/ip.ts';
import { icmpErrorText } from './icmp-text.ts';
import { icmp6ErrorText } from './icmp6-text.ts';
import type { PingOptions } from './ping-options.ts';
import { inetAton, type Target } from './resolve.ts';
import { type Reach, reach, sendErrorText } from './send-error.ts';
import { type ToolContext, ToolError } from './tool.ts';

/** An ICMP error about one of ping's own packets. */
export interface PingError {
  readonly from: IpAddress;
  readonly dst: IpAddress;
  readonly id: number;
  readonly seq: number;
  /** Null: nothing that ping minds. */
  readonly text: string | null;
}

export interface PingHandlers {
  onReply(
    reply: Pick<EchoReply<string>, 'id' | 'seq' | 'ttl' | 'payload'> & { readonly from: IpAddress },
  ): void;
  onError(error: PingError): void;
}

export interface PingEcho {
  readonly id: number;
  readonly seq: number;
  readonly size: number;
  readonly ttl: number | null;
  readonly dontFragment: boolean;
}

/** What ping does by the family of its target. The way that it sends was looked at before anything is. */
export interface PingSocket {
  /** Of the first line, between the target and the newline. `name` is the address' own, null where it has none or is not wanted. */
  head(name: string | null): string;
  /** Whether the first line has the address by its name. */
  readonly namesTarget: boolean;
  send(echo: PingEcho): SendError | null;
  /** Of the whole path as far as it is known, bytes. */
  mtu(): number;
  /** How a MTU that is too small is told of. */
  tooLong(): string;
  format(addr: IpAddress): string;
  close(): void;
}

/** @throws ToolError */
export function openPing(
  ctx: ToolContext,
  options: PingOptions,
  target: Target<IpAddress>,
  handlers: PingHandlers,
): PingSocket {
  const { addr } = target;
  return typeof addr === 'number'
    ? openInet(ctx, options, addr, handlers)
    : openInet6(ctx, options, addr, handlers);
}

interface Source<A> {
  /** Address to send from, the unspecified one for what routing prefers. */
  readonly addr: A;
  /** For the first line. */
  readonly shown: string;
}

const INET_HEADERS = 28;

function openInet(ctx: ToolContext, options: PingOptions, dst: number, handlers: PingHandlers): PingSocket {
  const from = source(ctx, options, dst);
  const { size } = options;
  const socket = ctx.ns.openIcmp({
    onReply: (reply) => handlers.onReply(reply),
    onError: (report) => {
      const text = report.type === 'redirect' ? null : icmpErrorText(report);
      handlers.onError({ ...errorFacts(report), text });
    },
  });
  const mtu = () => {
    const way = reach(ctx.ns, dst, from.addr, PROTO_ICMP);
    return way.ok ? way.mtu : 0;
  };
  return {
    head: () => ` (${formatIp4(dst)}) ${from.shown}${size}(${size + INET_HEADERS}) bytes of data.`,
    namesTarget: false,
    send: ({ ttl, dontFragment, ...echo }) =>
      socket.sendEcho(dst, {
        ...echo,
        src: from.addr,
        ...(ttl === null ? {} : { ttl }),
        ...(dontFragment ? { df: true } : {}),
      }),
    mtu,
    tooLong: () => `message too long, mtu=${mtu()}`,
    format: formatIp,
    close: () => socket.close(),
  };
}

function errorFacts({
  from,
  dst,
  id,
  seq,
}: Pick<IcmpErrorReport<string>, 'id' | 'seq'> & { readonly from: IpAddress; readonly dst: IpAddress }) {
  return { from, dst, id, seq };
}

/** Finds out, before anything is sent, whether it can be. @throws ToolError */
function source(ctx: ToolContext, options: PingOptions, dst: number): Source<number> {
  const { ns } = ctx;
  const { from, flags } = options;
  const bound = from === '' ? null : inetAton(from);
  if (bound !== null) {
    if (!ns.isLocal(bound)) throw new ToolError('ping: bind: Cannot assign requested address', 2);
    return { addr: bound, shown: `from ${formatIp4(bound)} : ` };
  }
  const device = bindDevice(ctx, from);
  const way = reach(ns, dst, 0, PROTO_ICMP);
  if (!way.ok) throw new ToolError(`ping: connect: ${sendErrorText(way.error)}`, 2);
  if (way.type === 'broadcast' && !flags.has('b'))
    throw new ToolError(
      'ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules',
      2,
    );
  if (device === null) return { addr: 0, shown: '' };
  return boundTo(device.name, way);
}

function bindDevice({ ns }: ToolContext, name: string): Device | null {
  if (name === '') return null;
  const device = ns.device(name);
  if (device === undefined) throw new ToolError(`ping: SO_BINDTODEVICE ${name}: No such device`, 2);
  return device;
}

function boundTo(dev: string, way: Extract<Reach, { ok: true }>): Source<number> {
  if (way.type !== 'local' && way.dev !== dev)
    throw new ToolError(
      `ping: -I ${dev}: the route leaves by ${way.dev}, sending against it is not emulated`,
      2,
    );
  return { addr: way.src, shown: `from ${formatIp4(way.src)} ${dev}: ` };
}

function openInet6(ctx: ToolContext, options: PingOptions, dst: Ip6, handlers: PingHandlers): PingSocket {
  const { ipv6 } = ctx.ns;
  const [, scope = ''] = options.target.split('%');
  const boundAddress = options.from === '' ? null : parseIp6(options.from);
  const named = boundAddress === null && options.from !== '' ? options.from : scope;
  const device = bindDevice(ctx, named);
  if (boundAddress !== null && !ipv6.addresses.isLocal(boundAddress, null))
    throw new ToolError('ping: bind icmp socket: Cannot assign requested address', 2);
  const path = ipv6.layer.lookup(dst, 0, device);
  const error = pathError(path);
  const src = path === null ? ANY_IP6 : (boundAddress ?? ipv6.sourceFor(path, dst));
  if (path === null || error !== null || src === ANY_IP6)
    throw new ToolError(
      `ping: connect: ${error === null ? 'Cannot assign requested address' : sendErrorText(error)}`,
      2,
    );
  const format = (addr: IpAddress): string => {
    const linked = typeof addr === 'string' && isLinkLocal(addr) && path.device.kind !== 'loopback';
    return linked ? `${formatIp6(addr)}%${path.device.name}` : formatIp(addr);
  };
  const shown =
    boundAddress !== null
      ? ` from ${format(boundAddress)} :`
      : options.from !== ''
        ? ` from ${format(src)} ${options.from}:`
        : '';
  const socket = ipv6.icmp.open({
    onReply: (reply) => handlers.onReply(reply),
    onError: (report) => handlers.onError({ ...errorFacts(report), text: icmp6ErrorText(report) }),
  });
  const mtu = () => {
    const from = boundAddress ?? ipv6.sourceFor(path, dst);
    return ipv6.layer.flowMtu({ src: from, dst, proto: PROTO_ICMPV6, sport: null, dport: null }, path);
  };
  const group = isMulticastIp6(dst) && device !== null ? `%${device.name}` : '';
  return {
    head: (name) => {
      const address = `${format(dst)}${group}`;
      return `(${name === null ? address : `${name} (${address})`})${shown} ${options.size} data bytes`;
    },
    namesTarget: true,
    send: ({ ttl, dontFragment, ...echo }) =>
      socket.sendEcho(dst, {
        ...echo,
        src: boundAddress ?? ANY_IP6,
        device: device ?? undefined,
        ...(ttl === null ? {} : { ttl }),
        ...(dontFragment ? { df: true } : {}),
      }),
    mtu,
    tooLong: () => `message too long, mtu: ${mtu()}`,
    format,
    close: () => socket.close(),
  };
}
