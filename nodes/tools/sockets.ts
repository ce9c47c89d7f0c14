import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import type { TcpState } from '../../protocols/tcp/connection.ts';
import type { Netns } from '../kernel/netns.ts';
import type { TcpSocketFacts } from '../kernel/tcp.ts';

/** A socket as ss(8) and netstat(8) list it. */
export interface SocketRow {
  readonly protocol: 'udp' | 'tcp';
  readonly family: 4 | 6;
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
}

/** What servers commonly ask listen(2) for. */
const BACKLOG = 128;

/** All sockets of a namespace: UDP, then TCP, IPv4 before IPv6. */
export function socketRows(ns: Netns): SocketRow[] {
  const { ipv6 } = ns;
  return [
    ...ns.udp.list().map((bound) => udpRow(4, bound)),
    ...ipv6.udp.list().map((bound) => udpRow(6, bound)),
    ...ns.tcp.list().map((socket) => tcpRow(4, socket)),
    ...ipv6.tcp.list().map((socket) => tcpRow(6, socket)),
  ];
}

const ANY = { 4: '0.0.0.0', 6: '::' } as const;

function udpRow<A extends IpAddress>(
  family: 4 | 6,
  { addr, port }: { readonly addr: A; readonly port: number },
): SocketRow {
  return {
    protocol: 'udp',
    family,
    state: 'UNCONN',
    receiveQueue: 0,
    sendQueue: 0,
    local: { address: formatIp(addr), port },
    remote: { address: ANY[family], port: 0 },
  };
}

function tcpRow<A extends IpAddress>(family: 4 | 6, socket: TcpSocketFacts<A>): SocketRow {
  const local = { address: formatIp(socket.local.addr), port: socket.local.port };
  if (!('remote' in socket))
    return {
      protocol: 'tcp',
      family,
      state: 'LISTEN',
      receiveQueue: 0,
      sendQueue: BACKLOG,
      local,
      remote: { address: ANY[family], port: 0 },
    };
  return {
    protocol: 'tcp',
    family,
    state: socket.state,
    receiveQueue: 0,
    sendQueue: socket.unacked + socket.queued,
    local,
    remote: { address: formatIp(socket.remote.addr), port: socket.remote.port },
  };
}
