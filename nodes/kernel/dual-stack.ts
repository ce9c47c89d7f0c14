import type { IpAddress } from '../../protocols/ip.ts';
import { ANY_IP6, type Ip6 } from '../../protocols/ip6.ts';
import type { SendError } from './ip.ts';
import { scopeDevice } from './ipv6/icmp.ts';
import type { Netns } from './netns.ts';
import type { SocketStack, TcpListener, TcpSocket } from './tcp.ts';
import type { ReceivedDatagram, UdpSocket } from './udp.ts';

/** `answer` sends to where the datagram came from, from the address that it came to. */
export type OnDatagram = (
  datagram: ReceivedDatagram<IpAddress>,
  answer: (payload: Uint8Array) => SendError | null,
) => void;

/**
 * Listens at a port of `::` for both families, as a socket of IPv6 without IPV6_V6ONLY does; for IPv4 alone on a node without
 * IPv6. @throws PortInUseError
 */
export function listenBoth(
  ns: Netns,
  port: number,
  onAccept: (socket: TcpSocket<IpAddress>) => void,
): TcpListener {
  if (ns.kernel.ipv6 === 'off') return ns.listenTcp({ addr: 0, port }, onAccept);
  const inet = ns.tcp.listen({ addr: 0, port }, onAccept, undefined, 'both');
  return joined(inet, () => ns.ipv6.tcp.listen({ addr: ANY_IP6, port }, onAccept, undefined, 'both'));
}

/** Listens at an address of either family. @throws PortInUseError */
export function listenAt(
  ns: Netns,
  { addr, port }: { readonly addr: IpAddress; readonly port: number },
  onAccept: (socket: TcpSocket<IpAddress>) => void,
): TcpListener {
  return typeof addr === 'number'
    ? ns.listenTcp({ addr, port }, onAccept)
    : ns.ipv6.tcp.listen({ addr, port }, onAccept);
}

/** Binds a UDP socket as `listenBoth` does one of TCP. @throws PortInUseError */
export function bindBoth(ns: Netns, port: number, onDatagram: OnDatagram): { close(): void } {
  if (ns.kernel.ipv6 === 'off') return bindInet(ns, 0, port, onDatagram, 'one');
  return joined(bindInet(ns, 0, port, onDatagram, 'both'), () =>
    bindInet6(ns, ANY_IP6, port, onDatagram, 'both'),
  );
}

/** Binds a UDP socket to an address of either family. @throws PortInUseError */
export function bindAt(
  ns: Netns,
  { addr, port }: { readonly addr: IpAddress; readonly port: number },
  onDatagram: OnDatagram,
): { close(): void } {
  return typeof addr === 'number'
    ? bindInet(ns, addr, port, onDatagram, 'one')
    : bindInet6(ns, addr, port, onDatagram, 'one');
}

function bindInet(
  ns: Netns,
  addr: number,
  port: number,
  onDatagram: OnDatagram,
  stack: SocketStack,
): UdpSocket {
  const socket: UdpSocket = ns.udp.bind(
    { addr, port },
    (datagram) => {
      const { src, srcPort, dst } = datagram;
      onDatagram(datagram, (payload) => socket.sendTo(src, srcPort, payload, { src: dst }));
    },
    stack,
  );
  return socket;
}

function bindInet6(
  ns: Netns,
  addr: Ip6,
  port: number,
  onDatagram: OnDatagram,
  stack: SocketStack,
): UdpSocket<Ip6> {
  const socket: UdpSocket<Ip6> = ns.ipv6.udp.bind(
    { addr, port },
    (datagram) => {
      const { src, srcPort, dst } = datagram;
      const device = scopeDevice(datagram.device, src);
      onDatagram(datagram, (payload) => socket.sendTo(src, srcPort, payload, { src: dst, device }));
    },
    stack,
  );
  return socket;
}

/** Two halves that end as one; the first is closed where there is no second. */
function joined(first: { close(): void }, open: () => { close(): void }): { close(): void } {
  try {
    const second = open();
    return {
      close: () => {
        first.close();
        second.close();
      },
    };
  } catch (error) {
    first.close();
    throw error;
  }
}

/** Whether an address of either family is the host's own. */
export function isOwnAddress(ns: Netns, address: IpAddress): boolean {
  return typeof address === 'number' ? ns.isLocal(address) : ns.ipv6.addresses.isLocal(address, null);
}
