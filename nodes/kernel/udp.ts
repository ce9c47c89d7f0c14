import { setU16, u16 } from '../../protocols/bytes.ts';
import { ETH_HLEN } from '../../protocols/ethernet.ts';
import { frameBuffer } from '../../protocols/frame-buffer.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { PROTO_UDP } from '../../protocols/ipv4.ts';
import { decodeUdp, UDP_HLEN, writeUdp } from '../../protocols/udp.ts';
import type { Device } from './device.ts';
import type { IcmpErrorReport } from './icmp.ts';
import type { InetLayer } from './inet.ts';
import type { DontFragment, SendError } from './ip.ts';
import { ephemeralPort } from './local-ports.ts';
import type { Netns } from './netns.ts';
import type { SocketStack } from './tcp.ts';

export interface ReceivedDatagram<A extends IpAddress = number> {
  readonly src: A;
  readonly srcPort: number;
  readonly dst: A;
  readonly payload: Uint8Array;
  readonly ttl: number;
  /** Type of service, or traffic class. */
  readonly tos: number;
  readonly device: Device;
}

interface UdpSendOptions<A extends IpAddress> {
  /** Source address; absent takes the bound one, the unspecified address what routing prefers. */
  readonly src?: A;
  readonly ttl?: number;
  readonly df?: DontFragment;
  /** The only device that it may leave by (SO_BINDTODEVICE, a link-local address' scope). */
  readonly device?: Device | undefined;
}

export interface UdpSocket<A extends IpAddress = number> {
  readonly port: number;
  sendTo(dst: A, port: number, payload: Uint8Array, options?: UdpSendOptions<A>): SendError | null;
  close(): void;
  /** ICMP errors about what this socket sent. */
  onError: ((report: IcmpErrorReport<A>) => void) | null;
}

interface Bound<A extends IpAddress> extends UdpSocket<A> {
  readonly addr: A;
  readonly stack: SocketStack;
  readonly zeroChecksum: 'taken' | 'dropped';
  readonly onDatagram: (datagram: ReceivedDatagram<A>) => void;
}

/** A socket as ss(8) lists it. */
export interface UdpSocketFacts<A extends IpAddress> {
  readonly addr: A;
  readonly port: number;
  readonly stack: SocketStack;
}

export class PortInUseError extends Error {
  constructor(port: number) {
    super(`bind: Address already in use (port ${port})`);
    this.name = 'PortInUseError';
  }
}

/** `net.ipv4.ip_local_port_range` as it is at first. */
export const EPHEMERAL_MIN = 32_768;
export const EPHEMERAL_MAX = 60_999;

/** UDP sockets of a namespace (RFC 768, RFC 1122 §4.1). */
export class UdpLayer<A extends IpAddress = number> {
  readonly #ns: Netns;
  readonly #inet: InetLayer<A>;
  readonly #sockets = new Map<number, Bound<A>[]>();

  constructor(ns: Netns, inet: InetLayer<A>) {
    this.#ns = ns;
    this.#inet = inet;
  }

  /**
   * `zeroChecksum` says what becomes of datagrams over IPv6 that have no checksum (UDP_NO_CHECK6_RX of udp(7)).
   * @throws PortInUseError
   */
  bind(
    local: { readonly addr: A; readonly port: number },
    onDatagram: (datagram: ReceivedDatagram<A>) => void,
    stack: SocketStack = 'one',
    zeroChecksum: 'taken' | 'dropped' = 'dropped',
  ): UdpSocket<A> {
    const { unspecified, headerLength } = this.#inet;
    const port = local.port !== 0 ? local.port : this.#ephemeral();
    const bound = this.#sockets.get(port) ?? [];
    if (
      bound.some(
        (other) => other.addr === local.addr || other.addr === unspecified || local.addr === unspecified,
      )
    )
      throw new PortInUseError(port);
    const socket: Bound<A> = {
      addr: local.addr,
      port,
      stack,
      zeroChecksum,
      onDatagram,
      onError: null,
      sendTo: (dst, dstPort, payload, options = {}) => {
        const header = ETH_HLEN + headerLength + UDP_HLEN;
        const packet = frameBuffer(header + payload.length);
        packet.set(payload, header);
        return this.sendPacket(packet, {
          src: options.src ?? local.addr,
          dst,
          srcPort: port,
          dstPort,
          checksum: 'compute',
          ttl: options.ttl,
          df: options.df,
          device: options.device,
        });
      },
      close: () => {
        const left = (this.#sockets.get(port) ?? []).filter((other) => other !== socket);
        if (left.length === 0) this.#sockets.delete(port);
        else this.#sockets.set(port, left);
      },
    };
    bound.push(socket);
    this.#sockets.set(port, bound);
    return socket;
  }

  /** What is bound, by port in the order in which the ports were taken. */
  list(): UdpSocketFacts<A>[] {
    return [...this.#sockets.values()].flatMap((bound) =>
      bound.map(({ addr, port, stack }) => ({ addr, port, stack })),
    );
  }

  /** Sends a datagram whose payload stands in `packet` behind room for the Ethernet, IP and UDP headers. */
  sendPacket(packet: Uint8Array, options: UdpPacketOptions<A>): SendError | null {
    const at = ETH_HLEN + this.#inet.headerLength;
    const { srcPort, dstPort, dst, checksum } = options;
    // Rules may ask for the ports before the header is written.
    setU16(packet, at, srcPort);
    setU16(packet, at + 2, dstPort);
    return this.#inet.output(
      packet,
      {
        src: options.src,
        dst,
        proto: PROTO_UDP,
        ttl: options.ttl,
        df: options.df,
        tos: options.tos ?? 0,
        mark: options.mark,
        device: options.device,
      },
      (src) => writeUdp(packet, at, src, dst, srcPort, dstPort, packet.length - at - UDP_HLEN, { checksum }),
    );
  }

  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const src = this.#inet.source(frame);
    const dst = this.#inet.destination(frame);
    const unsummed =
      typeof dst === 'string' &&
      length >= UDP_HLEN &&
      u16(frame, at + 6) === 0 &&
      this.#find(dst, u16(frame, at + 2))?.zeroChecksum === 'taken';
    const datagram = decodeUdp(frame, at, length, src, dst, unsummed ? 'taken' : 'by-family');
    if (datagram === null) {
      this.#ns.kernel.drop('udp-malformed');
      return;
    }
    const socket = this.#find(dst, datagram.dstPort);
    if (socket === undefined) {
      this.#ns.kernel.drop('udp-no-socket');
      this.#inet.portUnreachable(frame, device);
      return;
    }
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0)
      tracer.step(this.#ns, { at: 'socket.receive', socket: `UDP port ${datagram.dstPort}` }, frame);
    const { srcPort, payloadOffset, payloadLength } = datagram;
    const payload = frame.subarray(payloadOffset, payloadOffset + payloadLength);
    const ttl = this.#inet.ttl(frame);
    socket.onDatagram({ src, srcPort, dst, payload, ttl, tos: this.#inet.tos(frame), device });
  }

  error(srcPort: number, report: IcmpErrorReport<A>): void {
    for (const socket of this.#sockets.get(srcPort) ?? []) socket.onError?.(report);
  }

  isBound(port: number): boolean {
    return this.#sockets.has(port);
  }

  #find(dst: A, port: number): Bound<A> | undefined {
    const bound = this.#sockets.get(port);
    if (bound === undefined) return undefined;
    const { unspecified } = this.#inet;
    const toAll = this.#inet.reachesAll(dst);
    return bound.find((socket) => socket.addr === dst || socket.addr === unspecified || toAll);
  }

  #ephemeral(): number {
    const port = ephemeralPort(this.#ns, (candidate) => !this.#sockets.has(candidate));
    if (port === null) throw new PortInUseError(0);
    return port;
  }
}

export interface UdpPacketOptions<A extends IpAddress = number> {
  readonly src: A;
  readonly dst: A;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly ttl?: number | undefined;
  readonly df?: DontFragment | undefined;
  readonly tos?: number;
  readonly mark?: number;
  readonly device?: Device | undefined;
  readonly checksum: 'compute' | 'zero';
}
