import { setU16, setU32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6, writeIp6 } from '../../../protocols/ip6.ts';
import { IPV4_HLEN } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN } from '../../../protocols/ipv6.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import { PortInUseError, type ReceivedDatagram, type UdpSocket } from '../udp.ts';

/** Where a peer is, and the address of this end that it talks to. */
export interface Endpoint {
  readonly addr: IpAddress;
  readonly port: number;
  readonly src: IpAddress | null;
}

export interface WireguardSocketEvents {
  receive(datagram: ReceivedDatagram<IpAddress>): void;
  /** It has taken a port that is free, as none was asked for. */
  portChosen(): void;
}

/** `HANDSHAKE_DSCP`, as a TOS byte. */
const HANDSHAKE_TOS = 0x88;

/** The UDP sockets of a WireGuard device, one of each family at the same port (drivers/net/wireguard/socket.c). */
export class WireguardSocket {
  /** The fwmark of what it sends. */
  mark = 0;
  /** The namespace that the device was made in, whose sockets carry it wherever it goes. */
  readonly #ns: Netns;
  readonly #on: WireguardSocketEvents;
  #socket: UdpSocket | null = null;
  #socket6: UdpSocket<string> | null = null;
  #port = 0;
  #sending = false;

  constructor(ns: Netns, on: WireguardSocketEvents) {
    this.#ns = ns;
    this.#on = on;
  }

  /** 0 until it was open first, if none was set. */
  get port(): number {
    return this.#port;
  }

  /** Whether a message is on its way out. */
  get sending(): boolean {
    return this.#sending;
  }

  /** @throws NetlinkError where the port is taken; it stays as it was then. */
  setPort(port: number): void {
    if (port === this.#port) return;
    const old = this.#port;
    this.#port = port;
    if (this.#socket === null) return;
    this.close();
    try {
      this.open();
    } catch (error) {
      this.#port = old;
      this.open();
      throw error;
    }
  }

  /** @throws NetlinkError where the port is taken. */
  open(): void {
    const ns = this.#ns;
    const receive = (datagram: ReceivedDatagram<IpAddress>) => this.#on.receive(datagram);
    try {
      this.#socket = ns.udp.bind({ addr: 0, port: this.#port }, receive);
      if (ns.kernel.ipv6 === 'on')
        this.#socket6 = ns.ipv6.udp.bind({ addr: ANY_IP6, port: this.#socket.port }, receive);
    } catch (error) {
      this.close();
      if (error instanceof PortInUseError)
        throw new NetlinkError('RTNETLINK answers: Address already in use');
      throw error;
    }
    if (this.#port === this.#socket.port) return;
    this.#port = this.#socket.port;
    this.#on.portChosen();
  }

  close(): void {
    this.#socket?.close();
    this.#socket6?.close();
    this.#socket = null;
    this.#socket6 = null;
  }

  /** `wg_socket_send_skb_to_peer`. It may be fragmented: the outer packet does not say otherwise. */
  send({ addr, port, src }: Endpoint, message: Uint8Array, what: 'handshake' | 'data'): void {
    const ns = this.#ns;
    const header = ETH_HLEN + (typeof addr === 'number' ? IPV4_HLEN : IPV6_HLEN) + 8;
    const packet = frameBuffer(header + message.length);
    packet.set(message, header);
    const common = {
      srcPort: this.#port,
      dstPort: port,
      checksum: 'compute',
      tos: what === 'handshake' ? HANDSHAKE_TOS : 0,
      mark: this.mark,
    } as const;
    const nested = this.#sending;
    this.#sending = true;
    const error =
      typeof addr === 'number'
        ? ns.udp.sendPacket(packet, {
            ...common,
            src: typeof src === 'number' && ns.isLocal(src) ? src : 0,
            dst: addr,
          })
        : ns.ipv6.udp.sendPacket(packet, { ...common, src: ANY_IP6, dst: addr });
    this.#sending = nested;
    if (error !== null) ns.kernel.drop('tunnel-xmit');
  }
}

/** As a cookie has it (`make_cookie`). */
export function endpointBytes({ addr, port }: Endpoint): Uint8Array {
  const length = typeof addr === 'number' ? 4 : 16;
  const bytes = new Uint8Array(length + 2);
  if (typeof addr === 'number') setU32(bytes, 0, addr);
  else writeIp6(bytes, 0, addr);
  setU16(bytes, length, port);
  return bytes;
}

export function formatEndpoint({ addr, port }: Pick<Endpoint, 'addr' | 'port'>): string {
  return typeof addr === 'number' ? `${formatIp(addr)}:${port}` : `[${formatIp(addr)}]:${port}`;
}
