import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { ANY_IP6, type Ip6, parseIp6 } from '../../protocols/ip6.ts';
import { PROTO_ICMP, PROTO_UDP } from '../../protocols/ipv4.ts';
import type { Device } from '../kernel/device.ts';
import { pathError } from '../kernel/ip/path.ts';
import { icmpErrorMark } from './icmp-text.ts';
import { icmp6ErrorMark } from './icmp6-text.ts';
import { formatPeer, type HostPeer, inetAton } from './resolve.ts';
import { reach, sendErrorText } from './send-error.ts';
import { type ToolContext, ToolError } from './tool.ts';
import type { TracerouteOptions } from './traceroute-options.ts';
import {
  type Answer,
  icmpProbes,
  type ProbeMethod,
  type ProbeTransport,
  udpProbes,
} from './traceroute-probes.ts';

/** What traceroute does by the family of its target. */
export interface TracerouteFamily {
  /** IP header and 40 bytes, unless a length was asked for. */
  readonly packetLength: number;
  /** Finds out whether it can be sent, in what order against `header` the method has it. @throws ToolError */
  prepare(header: () => void): void;
  open(onAnswer: (index: number, answer: Answer) => void): ProbeMethod;
  /** MTU of the first hop, bytes. */
  linkMtu(): number;
  format(addr: IpAddress): string;
}

export function tracerouteFamily(
  ctx: ToolContext,
  options: TracerouteOptions,
  { addr, device }: HostPeer,
): TracerouteFamily {
  return typeof addr === 'number' ? inet(ctx, options, addr) : inet6(ctx, options, addr, device);
}

const HEADERS = 28;
const HEADERS6 = 48;
const BESIDE_IP = 40;

function badSource(source: string): ToolError {
  return new ToolError(`Cannot handle \`-s' option with arg \`${source}'`, 2);
}

function checkDevice({ ns }: ToolContext, device: string): void {
  if (device !== '' && ns.device(device) === undefined)
    throw new ToolError('\nsetsockopt SO_BINDTODEVICE: No such device', 1);
}

function checkWay(device: string, type: string, dev: string): void {
  if (device !== '' && type !== 'local' && dev !== device)
    throw new ToolError(`\n-i ${device}: the route leaves by ${dev}, sending against it is not emulated`, 1);
}

function inet(ctx: ToolContext, options: TracerouteOptions, dst: number): TracerouteFamily {
  const { method, source, device, packetLength, dontFragment, port } = options;
  const { ns } = ctx;
  const src = source === '' ? 0 : (inetAton(source) ?? -1);
  const proto = method === 'udp' ? PROTO_UDP : PROTO_ICMP;
  const length = Math.max(packetLength ?? 20 + BESIDE_IP, HEADERS);
  return {
    packetLength: length,
    prepare: (header) => {
      if (method === 'udp') header();
      if (src === -1) throw badSource(source);
      checkDevice(ctx, device);
      if (src !== 0 && !ns.isLocal(src)) throw new ToolError('\nbind: Cannot assign requested address', 1);
      const way = reach(ns, dst, src, proto);
      if (!way.ok) throw new ToolError(`\nconnect: ${sendErrorText(way.error)}`, 1);
      checkWay(device, way.type, way.dev);
      if (method === 'icmp') header();
    },
    open: (onAnswer) => {
      const transport: ProbeTransport<number> = {
        bindUdp: (on) => ns.bindUdp({ addr: src, port: 0 }, on),
        openIcmp: (handlers) => ns.openIcmp(handlers),
        mark: icmpErrorMark,
      };
      const probes = { dst, src, payload: length - HEADERS, dontFragment, port };
      return (method === 'udp' ? udpProbes : icmpProbes)(ctx, transport, probes, onAnswer);
    },
    linkMtu: () => {
      const way = reach(ns, dst, src, proto);
      return way.ok ? way.linkMtu : 0;
    },
    format: formatIp,
  };
}

function inet6(
  ctx: ToolContext,
  options: TracerouteOptions,
  dst: Ip6,
  scope: Device | undefined,
): TracerouteFamily {
  const { method, source, device, packetLength, dontFragment, port } = options;
  const { ipv6 } = ctx.ns;
  const src = source === '' ? ANY_IP6 : parseIp6(source);
  const length = Math.max(packetLength ?? 40 + BESIDE_IP, HEADERS6);
  const path = () => ipv6.layer.lookup(dst, 0, scope ?? null);
  return {
    packetLength: length,
    prepare: (header) => {
      if (method === 'udp') header();
      if (src === null) throw badSource(source);
      checkDevice(ctx, device);
      if (src !== ANY_IP6 && !ipv6.addresses.isLocal(src, null))
        throw new ToolError('\nbind: Cannot assign requested address', 1);
      const way = path();
      const error = pathError(way);
      if (way === null || error !== null)
        throw new ToolError(`\nconnect: ${sendErrorText(error ?? 'ENETUNREACH')}`, 1);
      checkWay(device, way.type, way.device.name);
      if (method === 'icmp') header();
    },
    open: (onAnswer) => {
      const transport: ProbeTransport<Ip6> = {
        bindUdp: (on) => ipv6.udp.bind({ addr: src ?? ANY_IP6, port: 0 }, on),
        openIcmp: (handlers) => ipv6.icmp.open(handlers),
        mark: icmp6ErrorMark,
      };
      const probes = {
        dst,
        src: src ?? ANY_IP6,
        payload: length - HEADERS6,
        dontFragment,
        port,
        device: scope,
      };
      return (method === 'udp' ? udpProbes : icmpProbes)(ctx, transport, probes, onAnswer);
    },
    linkMtu: () => path()?.device.inet6.mtu ?? 0,
    format: (addr) => formatPeer({ addr, device: scope }),
  };
}
