import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { formatIp6, mapIp4 } from '../../protocols/ip6.ts';
import type { TcpState } from '../../protocols/tcp/connection.ts';
import type { Netns } from '../kernel/netns.ts';
import type { SocketStack, TcpSocketFacts } from '../kernel/tcp.ts';
import type { UdpSocketFacts } from '../kernel/udp.ts';

/** A socket as ss(8) and netstat(8) list it. */
export interface SocketRow {
  readonly protocol: 'udp' | 'tcp';
  readonly family: 4 | 6;
  /** Of one of IPv6: 'both' where IPv4 reaches it too, with IPV6_V6ONLY off. */
  readonly stack: SocketStack;
  readonly state: TcpState | 'LISTEN' | 'UNCONN';
  /** Bytes of the queues; of a listener, connections that wait to be accepted and how many may. */
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export interface Endpoint {
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  /** The device that a local address of a link is of; '' for any other. */
  readonly scope: string;
}

/** What servers commonly ask listen(2) for. */
const BACKLOG = 128;

/** All sockets of a namespace: UDP, then TCP, those of IPv4 before those of IPv6, listeners before connections. */
export function socketRows(ns: Netns): SocketRow[] {
  const { ipv6 } = ns;
  const rows = [
    ...ns.udp.list().flatMap((bound) => udpRow(4, bound)),
    ...ipv6.udp.list().flatMap((bound) => udpRow(6, bound)),
    ...ns.tcp.list().flatMap((socket) => tcpRow(4, socket)),
    ...ipv6.tcp.list().flatMap((socket) => tcpRow(6, socket)),
  ];
  const rank = ({ protocol, family, state }: SocketRow) =>
    (protocol === 'udp' ? 0 : 4) + (family === 4 ? 0 : 2) + (state === 'LISTEN' ? 0 : 1);
  return rows.sort((a, b) => rank(a) - rank(b));
}

const ANY = { 4: '0.0.0.0', 6: '::' } as const;

/** An address as a socket of `::` sees it, if it is of one. */
function seen(addr: IpAddress, stack: SocketStack): string {
  return typeof addr === 'number' && stack === 'both' ? formatIp6(mapIp4(addr)) : formatIp(addr);
}

/** None for the half of a socket of `::` that takes IPv4: that of IPv6 stands for it. */
function udpRow<A extends IpAddress>(family: 4 | 6, { addr, port, stack }: UdpSocketFacts<A>): SocketRow[] {
  if (family === 4 && stack === 'both' && addr === 0) return [];
  const shown = stack === 'both' ? 6 : family;
  return [
    {
      protocol: 'udp',
      family: shown,
      stack,
      state: 'UNCONN',
      receiveQueue: 0,
      sendQueue: 0,
      local: { address: seen(addr, stack), port, scope: '' },
      remote: { address: ANY[shown], port: 0, scope: '' },
    },
  ];
}

function tcpRow<A extends IpAddress>(family: 4 | 6, socket: TcpSocketFacts<A>): SocketRow[] {
  const { stack } = socket;
  const scope = 'scope' in socket ? (socket.scope?.name ?? '') : '';
  const local = { address: seen(socket.local.addr, stack), port: socket.local.port, scope };
  const common = { protocol: 'tcp', stack, receiveQueue: 0, local } as const;
  if (!('remote' in socket)) {
    if (family === 4 && stack === 'both') return [];
    const remote = { address: ANY[family], port: 0, scope: '' };
    return [{ ...common, family, state: 'LISTEN', sendQueue: BACKLOG, remote }];
  }
  return [
    {
      ...common,
      family: stack === 'both' ? 6 : family,
      state: socket.state,
      sendQueue: socket.unacked + socket.queued,
      remote: { address: seen(socket.remote.addr, stack), port: socket.remote.port, scope: '' },
    },
  ];
}
