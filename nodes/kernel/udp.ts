import { ETH_HLEN } from '../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_PORT } from '../../protocols/icmp.ts';
import { LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import { IPV4_HLEN, ipDst, ipSrc, ipTtl, PROTO_UDP } from '../../protocols/ipv4.ts';
import { decodeUdp, UDP_HLEN, writeUdp } from '../../protocols/udp.ts';
import type { Device } from './device.ts';
import type { IcmpErrorReport } from './icmp.ts';
import type { DontFragment, SendError } from './ip.ts';
import type { Netns } from './netns.ts';

export interface ReceivedDatagram {
  readonly src: number;
  readonly srcPort: number;
  readonly dst: number;
  readonly payload: Uint8Array;
  readonly ttl: number;
  readonly device: Device;
}

interface UdpSendOptions {
  /** Source address; 0 or absent takes the bound one, or what routing prefers. */
  readonly src?: number;
  readonly ttl?: number;
  readonly df?: DontFragment;
}

export interface UdpSocket {
  readonly port: number;
  sendTo(dst: number, port: number, payload: Uint8Array, options?: UdpSendOptions): SendError | null;
  close(): void;
  /** ICMP errors about what this socket sent. */
  onError: ((report: IcmpErrorReport) => void) | null;
}

interface Bound extends UdpSocket {
  readonly addr: number;
  readonly onDatagram: (datagram: ReceivedDatagram) => void;
}

export class PortInUseError extends Error {
  constructor(port: number) {
    super(`bind: Address already in use (port ${port})`);
    this.name = 'PortInUseError';
  }
}

/** `net.ipv4.ip_local_port_range` */
export const EPHEMERAL_MIN = 32_768;
export const EPHEMERAL_MAX = 60_999;

/** UDP sockets of a namespace (RFC 768, RFC 1122 §4.1). */
export class UdpLayer {
  readonly #ns: Netns;
  readonly #sockets = new Map<number, Bound[]>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** @throws PortInUseError */
  bind(
    local: { readonly addr: number; readonly port: number },
    onDatagram: (datagram: ReceivedDatagram) => void,
  ): UdpSocket {
    const port = local.port !== 0 ? local.port : this.#ephemeral();
    const bound = this.#sockets.get(port) ?? [];
    if (bound.some((other) => other.addr === local.addr || other.addr === 0 || local.addr === 0)) {
      throw new PortInUseError(port);
    }
    const socket: Bound = {
      addr: local.addr,
      port,
      onDatagram,
      onError: null,
      sendTo: (dst, dstPort, payload, options = {}) => {
        const header = ETH_HLEN + IPV4_HLEN + UDP_HLEN;
        const packet = new Uint8Array(header + payload.length);
        packet.set(payload, header);
        return this.sendPacket(packet, {
          src: options.src ?? local.addr,
          dst,
          srcPort: port,
          dstPort,
          checksum: 'compute',
          ttl: options.ttl,
          df: options.df,
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

  /** Sends a datagram whose payload stands in `packet` behind room for the Ethernet, IP and UDP headers (42 bytes). */
  sendPacket(packet: Uint8Array, options: UdpPacketOptions): SendError | null {
    const at = ETH_HLEN + IPV4_HLEN;
    const { srcPort, dstPort, dst, checksum } = options;
    return this.#ns.ip.output(
      packet,
      {
        src: options.src,
        dst,
        proto: PROTO_UDP,
        ttl: options.ttl,
        df: options.df,
        tos: options.tos ?? 0,
      },
      (src) => writeUdp(packet, at, src, dst, srcPort, dstPort, packet.length - at - UDP_HLEN, { checksum }),
    );
  }

  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const src = ipSrc(frame, ETH_HLEN);
    const dst = ipDst(frame, ETH_HLEN);
    const datagram = decodeUdp(frame, at, length, src, dst);
    if (datagram === null) {
      this.#ns.kernel.drop('udp-malformed');
      return;
    }
    const socket = this.#find(dst, datagram.dstPort);
    if (socket === undefined) {
      this.#ns.kernel.drop('udp-no-socket');
      this.#ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PORT, 0, frame);
      return;
    }
    const { srcPort, payloadOffset, payloadLength } = datagram;
    const payload = frame.subarray(payloadOffset, payloadOffset + payloadLength);
    socket.onDatagram({ src, srcPort, dst, payload, ttl: ipTtl(frame, ETH_HLEN), device });
  }

  error(srcPort: number, report: IcmpErrorReport): void {
    for (const socket of this.#sockets.get(srcPort) ?? []) socket.onError?.(report);
  }

  #find(dst: number, port: number): Bound | undefined {
    const bound = this.#sockets.get(port);
    if (bound === undefined) return undefined;
    const broadcast = dst === LIMITED_BROADCAST || this.#ns.isBroadcast(dst);
    return bound.find((socket) => socket.addr === dst || socket.addr === 0 || broadcast);
  }

  #ephemeral(): number {
    const { random } = this.#ns.kernel.rt;
    for (;;) {
      const port = random.int(EPHEMERAL_MIN, EPHEMERAL_MAX);
      if (!this.#sockets.has(port)) return port;
    }
  }
}

export interface UdpPacketOptions {
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly ttl?: number | undefined;
  readonly df?: DontFragment | undefined;
  readonly tos?: number;
  readonly checksum: 'compute' | 'zero';
}
