import type { IpAddress } from '../../../protocols/ip.ts';
import { bindBoth, listenBoth } from '../../kernel/dual-stack.ts';
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
    listenTcp: (port, onAccept) => listenBoth(ns, port, onAccept),
    serveUdp: (port, onDatagram) => bindBoth(ns, port, ({ payload }, answer) => onDatagram(payload, answer)),
  };
}
