import { u16 } from '../../protocols/bytes.ts';
import { ETH_HLEN } from '../../protocols/ethernet.ts';
import { frameBuffer } from '../../protocols/frame-buffer.ts';
import {
  decodeIcmp,
  EXCEEDED_TTL,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HLEN,
  ICMP_TIMESTAMP_LENGTH,
  type IcmpMessage,
  UNREACH_FRAG_NEEDED,
  writeEcho,
  writeTimestampReply,
} from '../../protocols/icmp.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTos,
  ipTtl,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from '../../protocols/ipv4.ts';
import type { Device } from './device.ts';
import { receiveRedirect } from './ip/redirect-input.ts';
import type { DontFragment, SendError } from './ip.ts';
import type { Netns } from './netns.ts';
import { unreachableError } from './socket-error.ts';

/** An ICMP error as the socket sees it that sent the packet it quotes. */
export interface IcmpErrorReport<A extends IpAddress = number> {
  /** Who sent the error. */
  readonly from: A;
  readonly type:
    | 'dest-unreachable'
    | 'time-exceeded'
    | 'parameter-problem'
    | 'redirect'
    | (A extends string ? 'packet-too-big' : never);
  readonly code: number;
  /** Next hop's MTU, for code 4 of dest-unreachable and for packet-too-big; else 0. */
  readonly mtu: number;
  /** Destination, and port or echo id and sequence, of the packet that is quoted. */
  readonly dst: A;
  readonly dstPort: number;
  readonly id: number;
  readonly seq: number;
}

export interface EchoReply<A extends IpAddress = number> {
  readonly from: A;
  readonly id: number;
  readonly seq: number;
  readonly ttl: number;
  readonly payload: Uint8Array;
}

export interface IcmpHandlers<A extends IpAddress = number> {
  onReply(reply: EchoReply<A>): void;
  onError(report: IcmpErrorReport<A>): void;
}

interface EchoOptions<A extends IpAddress = number> {
  readonly id: number;
  readonly seq: number;
  /** Bytes of payload. */
  readonly size: number;
  readonly src?: A;
  readonly ttl?: number;
  readonly df?: DontFragment;
  /** The only device that it may leave by; of IPv6 alone. */
  readonly device?: Device | undefined;
}

export interface IcmpSocket<A extends IpAddress = number> {
  sendEcho(dst: A, options: EchoOptions<A>): SendError | null;
  close(): void;
}

/** ICMP of a namespace (RFC 792, RFC 1122 §3.2.2): answers echoes, brings errors to the sockets they are about. */
export class IcmpLayer {
  readonly #ns: Netns;
  readonly #sockets = new Set<IcmpHandlers>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  open(handlers: IcmpHandlers): IcmpSocket {
    this.#sockets.add(handlers);
    return {
      sendEcho: (dst, options) => {
        const at = ETH_HLEN + IPV4_HLEN;
        const packet = frameBuffer(at + ICMP_HLEN + options.size);
        for (let i = 0; i < options.size; i++) packet[at + ICMP_HLEN + i] = i;
        writeEcho(packet, at, ICMP_ECHO_REQUEST, options.id, options.seq, options.size);
        return this.#ns.ip.output(packet, {
          src: options.src ?? 0,
          dst,
          proto: PROTO_ICMP,
          ttl: options.ttl,
          df: options.df,
        });
      },
      close: () => this.#sockets.delete(handlers),
    };
  }

  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const message = decodeIcmp(frame, at, length);
    if (message === null) {
      this.#ns.kernel.drop('icmp-malformed');
      return;
    }
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0) tracer.step(this.#ns, { at: 'socket.receive', socket: `ICMP ${message.type}` }, frame);
    switch (message.type) {
      case 'echo-request':
        if (this.#mayAnswer(frame)) this.#answer(frame, at, length);
        else this.#ns.kernel.drop('icmp-echo-ignored');
        return;
      case 'echo-reply': {
        const { id, seq, payloadOffset, payloadLength } = message;
        const payload = frame.subarray(payloadOffset, payloadOffset + payloadLength);
        const reply = { from: ipSrc(frame, ETH_HLEN), id, seq, ttl: ipTtl(frame, ETH_HLEN), payload };
        for (const socket of [...this.#sockets]) socket.onReply(reply);
        return;
      }
      case 'timestamp-request':
        if (
          this.#isBroadcast(ipDst(frame, ETH_HLEN)) &&
          this.#ns.sysctls.ipv4.icmp_echo_ignore_broadcasts !== 0
        )
          this.#ns.kernel.drop('icmp-echo-ignored');
        else this.#tellTime(frame, message);
        return;
      case 'other':
        this.#ns.kernel.drop('icmp-unknown-type');
        return;
      default:
        this.#error(device, frame, at, message);
    }
  }

  #mayAnswer(frame: Uint8Array): boolean {
    const { icmp_echo_ignore_all: none, icmp_echo_ignore_broadcasts: noBroadcasts } = this.#ns.sysctls.ipv4;
    if (none !== 0) return false;
    return noBroadcasts === 0 || !this.#isBroadcast(ipDst(frame, ETH_HLEN));
  }

  #isBroadcast(dst: number): boolean {
    return dst === LIMITED_BROADCAST || this.#ns.isBroadcast(dst);
  }

  #answer(frame: Uint8Array, at: number, length: number): void {
    const start = ETH_HLEN + IPV4_HLEN;
    const packet = frameBuffer(start + length);
    packet.set(frame.subarray(at, at + length), start);
    writeEcho(packet, start, ICMP_ECHO_REPLY, u16(frame, at + 4), u16(frame, at + 6), length - ICMP_HLEN);
    this.#reply(packet, frame);
  }

  /** `icmp_timestamp` (RFC 1122 §3.2.2.8) */
  #tellTime(frame: Uint8Array, message: Extract<IcmpMessage, { type: 'timestamp-request' }>): void {
    const start = ETH_HLEN + IPV4_HLEN;
    const packet = frameBuffer(start + ICMP_TIMESTAMP_LENGTH);
    writeTimestampReply(packet, start, message, Math.floor(this.#ns.kernel.rt.now) % MS_A_DAY);
    this.#reply(packet, frame);
  }

  /** Sends the answer to a request (`icmp_reply`). */
  #reply(packet: Uint8Array, frame: Uint8Array): void {
    const dst = ipDst(frame, ETH_HLEN);
    // From the address that was asked, which a local route may have made ours (`fib_compute_spec_dst`).
    const src = this.#isBroadcast(dst) ? 0 : dst;
    const tos = ipTos(frame, ETH_HLEN);
    this.#ns.ip.output(packet, {
      src,
      dst: ipSrc(frame, ETH_HLEN),
      proto: PROTO_ICMP,
      tos,
      inReplyTo: frame,
    });
  }

  #error(
    device: Device,
    frame: Uint8Array,
    at: number,
    message: Extract<IcmpMessage, { innerOffset: number }>,
  ): void {
    const { innerOffset, innerLength, type, code } = message;
    if (innerLength < IPV4_HLEN + 8 || innerLength < ipHeaderLength(frame, innerOffset) + 8) {
      this.#ns.kernel.drop('icmp-malformed');
      return;
    }
    // A quote of a packet that we did not send is none of our business.
    if (!this.#ns.isLocal(ipSrc(frame, innerOffset))) {
      this.#ns.kernel.drop('icmp-not-ours');
      return;
    }
    const inner = innerOffset + ipHeaderLength(frame, innerOffset);
    const proto = ipProto(frame, innerOffset);
    const report: IcmpErrorReport = {
      from: ipSrc(frame, ETH_HLEN),
      type,
      code,
      mtu: message.type === 'dest-unreachable' ? message.nextHopMtu : 0,
      dst: ipDst(frame, innerOffset),
      dstPort: proto === PROTO_ICMP ? 0 : u16(frame, inner + 2),
      id: proto === PROTO_ICMP ? u16(frame, inner + 4) : 0,
      seq: proto === PROTO_ICMP ? u16(frame, inner + 6) : 0,
    };
    // Before its sender hears of it, so that what is sent at once is of the right size.
    const fragNeeded = type === 'dest-unreachable' && code === UNREACH_FRAG_NEEDED;
    if (fragNeeded) this.#ns.pathMtus.learn(report.dst, report.mtu);
    if (proto === PROTO_UDP) this.#ns.udp.error(u16(frame, inner), report);
    if (proto === PROTO_TCP && type === 'dest-unreachable') {
      const kind = fragNeeded ? 'frag-needed' : 'unreachable';
      this.#ns.tcp.error(
        u16(frame, inner),
        { addr: report.dst, port: report.dstPort },
        undefined,
        kind,
        report.mtu,
        unreachableError(code),
      );
    }
    if ((type === 'dest-unreachable' && !fragNeeded) || (type === 'time-exceeded' && code === EXCEEDED_TTL)) {
      const kind = type === 'time-exceeded' ? 'exceeded' : 'unreachable';
      this.#ns.tunnels.error(proto, frame, innerOffset, inner, kind, code);
    }
    if (type === 'redirect' && this.#concerns(frame, innerOffset, inner, report))
      receiveRedirect(this.#ns, device, frame, at, innerOffset);
    for (const socket of [...this.#sockets]) socket.onError(report);
  }

  /** Whether a packet that a redirect quotes was of a socket, or the kernel's own answer to an echo (`icmp_err`). */
  #concerns(
    frame: Uint8Array,
    innerOffset: number,
    inner: number,
    { dst, dstPort }: IcmpErrorReport,
  ): boolean {
    const { tcp, udp } = this.#ns;
    const port = u16(frame, inner);
    switch (ipProto(frame, innerOffset)) {
      case PROTO_ICMP:
        return frame[inner] === ICMP_ECHO_REPLY || this.#sockets.size > 0;
      case PROTO_UDP:
        return udp.isBound(port);
      case PROTO_TCP:
        return tcp.isConnected(port, { addr: dst, port: dstPort });
      default:
        return false;
    }
  }
}

const MS_A_DAY = 86_400_000;
