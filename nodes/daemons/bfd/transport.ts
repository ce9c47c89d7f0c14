import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { familyOf, type IpAddress, type IpFamily } from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import { IPV4_HLEN } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN } from '../../../protocols/ipv6.ts';
import { UDP_HLEN } from '../../../protocols/udp.ts';
import type { BfdMode } from '../../events/bfd.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { ReceivedDatagram, UdpLayer, UdpSocket } from '../../kernel/udp.ts';
import type { BfdRequest } from './request.ts';

/** A packet that somebody has forwarded has less (RFC 5881 §5), IPv4's TTL and IPv6's hop limit alike. */
export const BFD_TTL = 255;
/** Internetwork control (CS6), which bfdd and BIRD send with. */
const TOS = 0xc0;
/** UDP ports by mode: RFC 5881 §4, RFC 5883 §5. */
export const BFD_PORTS = { 'single-hop': 3784, multihop: 4784 } as const;

export type BfdDatagram = ReceivedDatagram | ReceivedDatagram<string>;

/** Sends a real daemon, by the name of the neighbour, the payload of a UDP packet. */
export type SendReal = (peer: string, payload: Uint8Array) => void;

/** What a session's packets go out by: a port of its own, RFC 5881 §4. */
export interface BfdSocket {
  /** Whether what comes from the peer would get here. */
  readonly reachable: boolean;
  /** Bytes of the headers before a packet. */
  readonly room: number;
  /** `packet` has room for the headers. A socket bound to an address that has gone sends nothing. */
  send(packet: Uint8Array): void;
  close(): void;
}

/** The socket that a mode's packets of one family come in by. @throws PortInUseError */
export function listenBfd(
  netns: Netns,
  family: IpFamily,
  mode: BfdMode,
  onDatagram: (datagram: BfdDatagram) => void,
): { close(): void } {
  const port = BFD_PORTS[mode];
  return family === 'inet'
    ? netns.udp.bind({ addr: 0, port }, onDatagram)
    : netns.ipv6.udp.bind({ addr: ANY_IP6, port }, onDatagram);
}

/** @throws PortInUseError */
export function bindBfd(
  netns: Netns,
  { local, remote, mode, device }: BfdRequest,
  port: number,
  onDatagram: () => void,
): BfdSocket {
  const dstPort = BFD_PORTS[mode];
  if (typeof local === 'number' && typeof remote === 'number') {
    const { udp } = netns;
    const socket = udp.bind({ addr: local, port }, onDatagram);
    return sender(udp, socket, IPV4_HLEN, { src: local, dst: remote, dstPort }, () => ({
      device: undefined,
      usable: netns.isLocal(local),
    }));
  }
  if (typeof local === 'number' || typeof remote === 'number') throw new TypeError('two families');
  const { udp, addresses } = netns.ipv6;
  const socket = udp.bind({ addr: local, port }, onDatagram);
  return sender(udp, socket, IPV6_HLEN, { src: local, dst: remote, dstPort }, () => {
    const link = device === undefined ? undefined : netns.device(device);
    return { device: link, usable: addresses.isLocal(local, link ?? null) };
  });
}

function sender<A extends IpAddress>(
  udp: UdpLayer<A>,
  socket: UdpSocket<A>,
  headerLength: number,
  ends: { readonly src: A; readonly dst: A; readonly dstPort: number },
  way: () => { readonly device: Netns['lo'] | undefined; readonly usable: boolean },
): BfdSocket {
  const options = { ...ends, srcPort: socket.port, ttl: BFD_TTL, tos: TOS, checksum: 'compute' } as const;
  return {
    reachable: true,
    room: ETH_HLEN + headerLength + UDP_HLEN,
    send: (packet) => {
      const { device, usable } = way();
      if (usable) udp.sendPacket(packet, { ...options, device });
    },
    close: () => socket.close(),
  };
}

/** Past the emulated network, by the shell's real sockets. A pulled cable cuts them off too. */
export function realBfd(netns: Netns, request: BfdRequest, peer: string, send: SendReal): BfdSocket {
  return {
    get reachable() {
      return hasWay(netns, request);
    },
    room: 0,
    send: (packet) => {
      if (hasWay(netns, request)) send(peer, packet);
    },
    close: () => {},
  };
}

function hasWay(netns: Netns, { local, remote, device }: BfdRequest): boolean {
  const link = device === undefined ? null : (netns.device(device) ?? null);
  if (typeof local === 'number' || typeof remote === 'number') {
    if (typeof local !== typeof remote) return false;
    return netns.isLocal(local as number) && netns.lookup(remote as number, 0)?.device.usable === true;
  }
  const { addresses, layer } = netns.ipv6;
  return addresses.isLocal(local, link) && layer.lookup(remote, 0, link)?.device.usable === true;
}

/** The family of a session's addresses. */
export function bfdFamily({ remote }: Pick<BfdRequest, 'remote'>): IpFamily {
  return familyOf(remote);
}
