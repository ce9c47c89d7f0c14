import { findEncapLimit } from '../../../protocols/encap-limit.ts';
import { ETH_HLEN, ETHERTYPE_IPV4 } from '../../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, UNREACH_HOST } from '../../../protocols/icmp.ts';
import {
  EXCEEDED6_HOP_LIMIT,
  ICMPV6_DEST_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  UNREACH6_ADDRESS,
} from '../../../protocols/icmpv6.ts';
import { IPV4_HLEN, ipDst } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN, IPV6_MIN_MTU, ip6PayloadLength, PROBLEM_HEADER } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { TunnelDevice } from './tunnel-device.ts';

/** An outer packet that an ICMPv6 error quotes. */
export interface QuotedPacket {
  /** The error's frame. */
  readonly frame: Uint8Array;
  /** Where the quoted IPv6 header begins, and what is above it. */
  readonly off: number;
  readonly at: number;
  readonly type: 'dest-unreachable' | 'packet-too-big' | 'time-exceeded' | 'parameter-problem';
  readonly code: number;
  /** The MTU, or the pointer. */
  readonly extra: number;
  /** That the error came by. */
  readonly device: Device;
}

/** What the sender of the packet within is told: that its way is closed, or how much that takes, bytes. */
type Relayed = { readonly type: 'unreachable' } | { readonly type: 'too-big'; readonly mtu: number };

/** RFC 2473 §8: what goes back to the sender of the packet in a quoted one (`ip6_tnl_err`); null: nothing. */
function relayed({ frame, off, at, type, code, extra }: QuotedPacket): Relayed | null {
  switch (type) {
    case 'dest-unreachable':
      return { type: 'unreachable' };
    case 'time-exceeded':
      return code === EXCEEDED6_HOP_LIMIT ? { type: 'unreachable' } : null;
    case 'parameter-problem': {
      const option = code === PROBLEM_HEADER ? findEncapLimit(frame, off, frame.length) : 0;
      // Too many tunnels are one in another.
      return option !== 0 && option === extra - 2 && frame[off + option + 2] === 0
        ? { type: 'unreachable' }
        : null;
    }
    case 'packet-too-big': {
      const mtu = Math.max(extra - (at - off), IPV6_MIN_MTU);
      return IPV6_HLEN + ip6PayloadLength(frame, off) > mtu ? { type: 'too-big', mtu } : null;
    }
  }
}

/** Tells the sender of a tunnel's packet of an error about the outer one (`ip4ip6_err`, `ip6ip6_err`). */
export function relayError(ns: Netns, tunnel: TunnelDevice, quoted: QuotedPacket, innerType: number): void {
  const told = relayed(quoted);
  if (told === null) return;
  const { frame, at, device } = quoted;
  const inner = packetAt(frame, at);
  if (innerType !== ETHERTYPE_IPV4) {
    if (frame.length < at + IPV6_HLEN) return;
    if (told.type === 'too-big') ns.ipv6.icmp.sendError(ICMPV6_PACKET_TOO_BIG, 0, told.mtu, inner, device);
    else ns.ipv6.icmp.sendError(ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS, 0, inner, device);
    return;
  }
  if (frame.length < at + IPV4_HLEN) return;
  const dst = ipDst(inner, ETH_HLEN);
  const path = ns.lookup(dst, 0);
  if (path?.device !== tunnel) return;
  if (told.type === 'too-big') {
    if (told.mtu > ns.pathMtus.of(dst, path)) return;
    ns.pathMtus.learn(dst, told.mtu);
    ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, told.mtu, inner);
  } else ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_HOST, 0, inner);
}

/** A packet that is quoted, behind room for an Ethernet header. */
function packetAt(frame: Uint8Array, at: number): Uint8Array {
  const packet = new Uint8Array(ETH_HLEN + frame.length - at);
  packet.set(frame.subarray(at), ETH_HLEN);
  return packet;
}
