import type { IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime } from '../../runtime.ts';

export interface Closing {
  close(): void;
}

/** What the servers of a container or pod have of the system: sockets in its namespace, and time. */
export interface ProcessHost {
  readonly rt: Runtime;
  /** On all addresses, those of IPv6 too where the node has it. @throws PortInUseError */
  listenTcp(port: number, onAccept: (socket: TcpSocket<IpAddress>) => void): Closing;
  /** The same. `answer` sends to where the datagram came from, from the address that it came to. @throws PortInUseError */
  serveUdp(
    port: number,
    onDatagram: (payload: Uint8Array, answer: (payload: Uint8Array) => void) => void,
  ): Closing;
}

/** Those that run as long as they are there. */
export function processHost(ns: Netns): ProcessHost {
  return {
    rt: ns.kernel.rt,
    listenTcp: (port, onAccept) =>
      onBoth(
        ns,
        () => ns.listenTcp({ addr: 0, port }, onAccept),
        () => ns.ipv6.tcp.listen({ addr: ANY_IP6, port }, onAccept),
      ),
    serveUdp: (port, onDatagram) =>
      onBoth(
        ns,
        () => {
          const udp = ns.bindUdp({ addr: 0, port }, ({ src, srcPort, dst, payload }) =>
            onDatagram(payload, (answer) => udp.sendTo(src, srcPort, answer, { src: dst })),
          );
          return udp;
        },
        () => {
          const udp = ns.ipv6.udp.bind({ addr: ANY_IP6, port }, ({ src, srcPort, dst, payload, device }) =>
            onDatagram(payload, (answer) => udp.sendTo(src, srcPort, answer, { src: dst, device })),
          );
          return udp;
        },
      ),
  };
}

/** A socket of each family, as one of `::` without IPV6_V6ONLY is; of IPv4 alone on a node without IPv6. */
function onBoth(ns: Netns, inet: () => Closing, inet6: () => Closing): Closing {
  const first = inet();
  if (ns.kernel.ipv6 === 'off') return first;
  try {
    const second = inet6();
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
