import { u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import {
  decodeIcmpv6,
  encodeIcmpv6Error,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HLEN,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  type Icmpv6Message,
  sealIcmpv6,
  writeEcho6,
} from '../../../protocols/icmpv6.ts';
import { ANY_IP6, type Ip6, isLinkLocal, isMulticastIp6, readIp6Cached } from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  IPV6_MIN_MTU,
  ip6HopLimit,
  ip6TrafficClass,
  PROBLEM_OPTION,
  PROTO_ICMPV6,
  readFragmentHeader,
  upperLayer,
} from '../../../protocols/ipv6.ts';
import { findHeader, lastHeader, NEXT_FRAGMENT } from '../../../protocols/ipv6-headers.ts';
import type { Device } from '../device.ts';
import type { IcmpErrorReport, IcmpHandlers, IcmpSocket } from '../icmp.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';

/** ICMPv6 of a namespace (RFC 4443): answers echoes, sends errors, brings those of others to the sockets they are about. */
export class Icmp6Layer {
  readonly #ns: Netns;
  readonly #sockets = new Set<IcmpHandlers<Ip6>>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  open(handlers: IcmpHandlers<Ip6>): IcmpSocket<Ip6> {
    this.#sockets.add(handlers);
    return {
      sendEcho: (dst, { id, seq, size, src = ANY_IP6, ttl, df, device }) => {
        const at = ETH_HLEN + IPV6_HLEN;
        const length = ICMPV6_HLEN + size;
        const packet = frameBuffer(at + length);
        for (let i = 0; i < size; i++) packet[at + ICMPV6_HLEN + i] = i;
        writeEcho6(packet, at, ICMPV6_ECHO_REQUEST, id, seq);
        const options = { src, dst, proto: PROTO_ICMPV6, ttl, df, device };
        return this.#ns.ipv6.layer.output(packet, options, (from) =>
          sealIcmpv6(packet, at, length, from, dst),
        );
      },
      close: () => this.#sockets.delete(handlers),
    };
  }

  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    const message = decodeIcmpv6(frame, at, length, src, dst);
    if (message === null) {
      this.#ns.kernel.drop('icmp6-malformed');
      return;
    }
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0 && message.type !== 'ndp')
      tracer.step(this.#ns, { at: 'socket.receive', socket: `ICMPv6 ${message.type}` }, frame);
    switch (message.type) {
      case 'echo-request':
        this.#answer(device, frame, at, length, src, dst);
        return;
      case 'echo-reply': {
        const { id, seq, payloadOffset, payloadLength } = message;
        const payload = frame.subarray(payloadOffset, payloadOffset + payloadLength);
        const reply = { from: src, id, seq, ttl: ip6HopLimit(frame, ETH_HLEN), payload };
        for (const socket of [...this.#sockets]) socket.onReply(reply);
        return;
      }
      case 'ndp':
        this.#ns.ipv6.ndp.receive(device, frame, at, length);
        return;
      case 'other':
        this.#ns.kernel.drop('icmp6-unknown-type');
        return;
      default:
        this.#error(device, frame, message, src);
    }
  }

  #answer(device: Device, frame: Uint8Array, at: number, length: number, from: Ip6, to: Ip6): void {
    const start = ETH_HLEN + IPV6_HLEN;
    const packet = frameBuffer(start + length);
    packet.set(frame.subarray(at, at + length), start);
    packet[start] = ICMPV6_ECHO_REPLY;
    const src = isMulticastIp6(to) ? ANY_IP6 : to;
    const tos = ip6TrafficClass(frame, ETH_HLEN);
    // To a group, by the way it came alone (`icmpv6_echo_reply`: `flowi6_oif` with no source).
    const back = isMulticastIp6(to) && device.kind !== 'loopback' ? device : scopeDevice(device, from);
    const options = { src, dst: from, proto: PROTO_ICMPV6, tos, device: back };
    this.#ns.ipv6.layer.output(packet, options, (own) => sealIcmpv6(packet, start, length, own, from));
  }

  #error(
    device: Device,
    frame: Uint8Array,
    message: Extract<Icmpv6Message, { innerOffset: number }>,
    from: Ip6,
  ): void {
    const { innerOffset: inner, innerLength, type, code, extra } = message;
    const { kernel, ipv6 } = this.#ns;
    const end = inner + innerLength;
    if (innerLength < IPV6_HLEN || frame[inner]! >> 4 !== 6) {
      kernel.drop('icmp6-malformed');
      return;
    }
    const dst = readIp6Cached(frame, inner + IP6_DST);
    // A quote of a packet that we did not send is none of our business.
    if (!ipv6.addresses.isLocal(readIp6Cached(frame, inner + IP6_SRC), null)) {
      kernel.drop('icmp6-not-ours');
      return;
    }
    // Before its sender hears of it, so that what is sent at once is of the right size.
    if (type === 'packet-too-big' && extra >= IPV6_MIN_MTU) ipv6.pathMtus.learn(dst, extra);
    const found = upperLayer(frame, inner, end);
    let proto = found.type === 'upper' ? found.proto : -1;
    let at = found.type === 'upper' ? found.offset : end;
    if (found.type === 'fragment') {
      const fragment = readFragmentHeader(frame, found.offset);
      if (fragment.offset === 0) {
        proto = fragment.nextHeader;
        at = found.offset + 8;
      }
    }
    if (at + 8 > end) return;
    const echo = proto === PROTO_ICMPV6;
    const report: IcmpErrorReport<Ip6> = {
      from,
      type,
      code,
      mtu: type === 'packet-too-big' ? extra : 0,
      dst,
      dstPort: echo ? 0 : u16(frame, at + 2),
      id: echo ? u16(frame, at + 4) : 0,
      seq: echo ? u16(frame, at + 6) : 0,
    };
    if (proto === PROTO_UDP) ipv6.udp.error(u16(frame, at), report);
    if (proto === PROTO_TCP && (type === 'packet-too-big' || type === 'dest-unreachable')) {
      const kind = type === 'packet-too-big' ? 'frag-needed' : 'unreachable';
      const remote = { addr: dst, port: report.dstPort };
      for (const scope of this.#scopesOf(device, frame, inner))
        ipv6.tcp.error(u16(frame, at), remote, scope, kind, report.mtu);
    }
    this.#ns.tunnels.error6(proto, { frame, off: inner, at, type, code, extra, device });
    for (const socket of [...this.#sockets]) socket.onError(report);
  }

  /**
   * The links that a packet of ours, quoted by an error, may have been meant for. What a neighbour's silence tells us comes by lo:
   * then those of the devices that have its source.
   */
  #scopesOf(device: Device, frame: Uint8Array, inner: number): (Device | undefined)[] {
    const dst = readIp6Cached(frame, inner + IP6_DST);
    if (device.kind !== 'loopback' || !isLinkLocal(dst)) return [scopeDevice(device, dst)];
    const src = readIp6Cached(frame, inner + IP6_SRC);
    return this.#ns.devices().filter(({ inet6 }) => inet6.holds(src));
  }

  /**
   * Sends an error about a packet that came in by a device (null: by none that matters), unless RFC 4443 §2.4 forbids one.
   * `extra` is the MTU or the pointer, `about` what is known of the packet: the error belongs to its flow.
   */
  sendError(
    type: number,
    code: number,
    extra: number,
    frame: Uint8Array,
    device: Device | null,
    about: Skb | null = null,
  ): void {
    const { ipv6 } = this.#ns;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    if (src === ANY_IP6 || isMulticastIp6(src)) return;
    // About what was for many, only what its path takes, and an option that asks for it in that case too (`opt_unrec`).
    const unknown = type === ICMPV6_PARAMETER_PROBLEM && code === PROBLEM_OPTION;
    const toMany =
      type === ICMPV6_PACKET_TOO_BIG || (unknown && ((frame[ETH_HLEN + extra] ?? 0) & 0xc0) === 0x80);
    const wasForMany = isMulticastIp6(dst) || (frame[0]! & 1) !== 0;
    if (wasForMany && !toMany) return;
    if (isError(frame)) return;
    // The default of net.ipv6.icmp.ratemask: all errors but 'packet too big'.
    if (type !== ICMPV6_PACKET_TOO_BIG && !ipv6.peers.admits(src, ipv6.sysctls.icmp.ratelimit)) {
      this.#ns.kernel.drop('icmp6-ratelimit');
      return;
    }
    const at = ETH_HLEN + IPV6_HLEN;
    const packet = encodeIcmpv6Error(type, code, extra, frame.subarray(ETH_HLEN), at);
    const own = !wasForMany && ipv6.addresses.isLocal(dst, device) ? dst : this.#sourceOf(device, src);
    const out = device === null ? undefined : scopeDevice(device, src);
    ipv6.layer.output(packet, { src: own, dst: src, proto: PROTO_ICMPV6, device: out, about }, (from) =>
      sealIcmpv6(packet, at, packet.length - at, from, src),
    );
  }

  /** An error comes from an address of where the packet came in, if the way back prefers none (`icmp6_send`). */
  #sourceOf(device: Device | null, to: Ip6): Ip6 {
    const { layer, addresses } = this.#ns.ipv6;
    if (device === null) return ANY_IP6;
    const path = layer.lookup(to, 0, scopeDevice(device, to) ?? null);
    return path === null || path.src !== ANY_IP6 ? ANY_IP6 : (addresses.sourceFor(to, device) ?? ANY_IP6);
  }
}

/** An address of a link is answered by the way it came. */
export function scopeDevice(device: Device, to: Ip6): Device | undefined {
  const local = to.charCodeAt(0) === 0xfe && (to.charCodeAt(1) & 0xc0) === 0x80;
  return local && device.kind !== 'loopback' ? device : undefined;
}

/** Whether a packet is an ICMPv6 error (`is_ineligible`); what does not tell is none. */
function isError(frame: Uint8Array): boolean {
  const last = lastHeader(frame, ETH_HLEN, frame.length);
  if (last === null || last.fragment !== 0 || last.proto !== PROTO_ICMPV6) return false;
  const type = frame[last.offset];
  if (type !== undefined) return type < 128;
  return findHeader(frame, ETH_HLEN, frame.length, NEXT_FRAGMENT) < 0;
}
