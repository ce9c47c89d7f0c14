import type { IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import { isOwnAddress } from '../dual-stack.ts';
import type { Netns } from '../netns.ts';
import { PortInUseError, type ReceivedDatagram } from '../udp.ts';
import type { XfrmState } from './state.ts';

/** A keepalive of NAT (RFC 3948 §2.3), and the four bytes that stand before what is IKE's (§2.2). */
const KEEPALIVE = 0xff;
const MARKER_LENGTH = 4;

/**
 * UDP ports where ESP comes in. In a real host an IKE daemon has the socket and tells the kernel so (UDP_ENCAP); here the ports are
 * open as long as there is an association that uses them.
 */
export class EncapPorts {
  readonly #ns: Netns;
  readonly #receive: (datagram: ReceivedDatagram<IpAddress>, dport: number) => void;
  readonly #open = new Map<number, readonly { close(): void }[]>();

  constructor(ns: Netns, receive: (datagram: ReceivedDatagram<IpAddress>, dport: number) => void) {
    this.#ns = ns;
    this.#receive = receive;
  }

  /** Opens and closes ports as the associations want it. */
  sync(states: Iterable<XfrmState>): void {
    const wanted = new Set<number>();
    for (const { options } of states) {
      if (options.encap === null) continue;
      wanted.add(isOwnAddress(this.#ns, options.dst) ? options.encap.dport : options.encap.sport);
    }
    for (const [port, sockets] of this.#open) {
      if (wanted.has(port)) continue;
      for (const socket of sockets) socket.close();
      this.#open.delete(port);
    }
    for (const port of wanted) if (!this.#open.has(port)) this.#open.set(port, this.#bind(port));
  }

  /** A port that a program has stays the program's. */
  #bind(port: number): readonly { close(): void }[] {
    const ns = this.#ns;
    const take = (datagram: ReceivedDatagram<IpAddress>) => this.#take(datagram, port);
    const sockets: { close(): void }[] = [];
    try {
      sockets.push(ns.udp.bind({ addr: 0, port }, take));
      if (ns.kernel.ipv6 === 'on') sockets.push(ns.ipv6.udp.bind({ addr: ANY_IP6, port }, take));
    } catch (error) {
      if (!(error instanceof PortInUseError)) throw error;
    }
    return sockets;
  }

  /** `xfrm4_udp_encap_rcv` */
  #take(datagram: ReceivedDatagram<IpAddress>, port: number): void {
    const { payload } = datagram;
    if (payload.length === 1 && payload[0] === KEEPALIVE) return;
    if (payload.length <= MARKER_LENGTH || payload.subarray(0, MARKER_LENGTH).every((byte) => byte === 0)) {
      this.#ns.kernel.drop('xfrm-ike');
      return;
    }
    this.#receive(datagram, port);
  }
}
