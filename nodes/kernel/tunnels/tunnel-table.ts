import { u16, u32 } from '../../../protocols/bytes.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import {
  decodeGre,
  ETHERTYPE_TEB,
  type GreHeader,
  PROTO_GRE,
  PROTO_IPIP,
  PROTO_IPV6,
} from '../../../protocols/gre.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_PORT } from '../../../protocols/icmp.ts';
import { ICMPV6_DEST_UNREACHABLE, UNREACH6_PORT } from '../../../protocols/icmpv6.ts';
import type { IpAddress, IpFamily } from '../../../protocols/ip.ts';
import { ANY_IP6, readIp6Cached } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipSrc } from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { IpTunnelDevice } from './ip-tunnel.ts';
import { Ip6TunnelDevice } from './ip6-tunnel.ts';
import { SitDevice } from './sit.ts';
import { isGre, TunnelDevice, type TunnelKind } from './tunnel-device.ts';
import { type QuotedPacket, relayError } from './tunnel-errors.ts';

/** Bytes of GRE that are looked at over IPv4. */
const GRE_LEAST = 12;
/** Bits of the first word (RFC 2890 §2). */
const [GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE] = [0x8000, 0x2000, 0x1000];

/** A packet that came for the host, in a tunnel's protocol. */
export interface OuterPacket<A extends IpAddress> {
  readonly proto: number;
  readonly frame: Uint8Array;
  /** Where what is above IP begins. */
  readonly at: number;
  readonly src: A;
  readonly dst: A;
  readonly device: Device;
}

/** The tunnels of a namespace, by what their outer packets say (`ip_tunnel_lookup`, `ip6_tnl_lookup`). */
export class TunnelTable {
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The tunnel for packets between two addresses: both fit, or one of them alone, or one for all. */
  #find(
    kinds: readonly TunnelKind[],
    local: IpAddress,
    remote: IpAddress,
    key: number | null,
  ): TunnelDevice | null {
    let best: TunnelDevice | null = null;
    let bestScore = -1;
    for (const device of this.#ns.devices()) {
      if (!(device instanceof TunnelDevice) || !kinds.includes(device.kind)) continue;
      const { options } = device;
      if (!device.up) continue;
      const [anyRemote, anyLocal] = [isAny(options.remote), isAny(options.local)];
      // Of two that fit by half that with the remote is the one, but for ip6tnl.
      const remoteFirst = device.kind !== 'ip6tnl';
      const score = (anyRemote ? 0 : remoteFirst ? 2 : 1) + (anyLocal ? 0 : remoteFirst ? 1 : 2);
      const fits =
        (anyRemote || options.remote === remote) &&
        (anyLocal || options.local === local) &&
        options.key === key;
      if (fits && score > bestScore) {
        best = device;
        bestScore = score;
      }
    }
    return best;
  }

  /** Takes an outer packet of a tunnel's protocol over IPv4; false where no tunnel of the node ever knew of it. */
  receive(packet: OuterPacket<number>): boolean {
    const { proto, frame, at, src, dst } = packet;
    if (!this.#isKnown(proto, 'inet')) return false;
    if (proto === PROTO_GRE) {
      // Linux takes flags that no RFC has for a part of the version (`gre_rcv`).
      const isGre = frame.length - at >= GRE_LEAST && (frame[at + 1]! & 0x7f) === 0;
      this.#receiveGre(packet, isGre, ['gretap'], ['gre']);
      return true;
    }
    const type = innerTypeOf(proto);
    const ipip = proto === PROTO_IPIP ? this.#find(['ipip'], dst, src, null) : null;
    const device = ipip ?? this.#find(['sit'], dst, src, null);
    if (frame.length - at < leastOf(type)) this.#ns.kernel.drop('tunnel-malformed');
    else if (device === null) this.#refuse(packet);
    else if (!device.carries(type)) this.#ns.kernel.drop('tunnel-protocol');
    else if (device instanceof SitDevice && type === ETHERTYPE_IPV6 && device.isSpoofed(frame, at, src, dst))
      this.#ns.kernel.drop('tunnel-spoofed');
    else device.decapsulate(frame, at, type);
    return true;
  }

  /** The same over IPv6. */
  receive6(packet: OuterPacket<string>): boolean {
    const { proto, frame, at, src, dst } = packet;
    if (!this.#isKnown(proto, 'inet6')) return false;
    if (proto === PROTO_GRE) {
      this.#receiveGre(packet, true, ['ip6gretap'], ['ip6gre']);
      return true;
    }
    const type = innerTypeOf(proto);
    const device = this.#find(['ip6tnl'], dst, src, null);
    if (frame.length - at < leastOf(type)) this.#ns.kernel.drop('tunnel-malformed');
    else if (!(device instanceof Ip6TunnelDevice)) this.#refuse(packet);
    else if (!device.carries(type)) this.#ns.kernel.drop('tunnel-protocol');
    else if (!device.mayReceive(dst, src)) this.#ns.kernel.drop('tunnel-unknown');
    else device.decapsulate(frame, at, type);
    return true;
  }

  #receiveGre(
    packet: OuterPacket<IpAddress>,
    isWhole: boolean,
    taps: readonly TunnelKind[],
    others: readonly TunnelKind[],
  ): void {
    const { frame, at, src, dst } = packet;
    const { kernel } = this.#ns;
    const header = isWhole ? decodeGre(frame, at, frame.length - at) : null;
    if (header === null) {
      kernel.drop('tunnel-malformed');
      return;
    }
    const device = this.#find(header.etherType === ETHERTYPE_TEB ? taps : others, dst, src, header.key);
    if (device === null) {
      // Frames go to the tunnels of packets as well, which have nobody for them.
      if (header.etherType === ETHERTYPE_TEB && this.#find(others, dst, src, header.key) !== null)
        kernel.drop('unknown-ethertype');
      else this.#refuse(packet);
    } else if (header.checksum !== (device.options.checksum === 'on')) kernel.drop('tunnel-checksum');
    else if (!device.inSequence(header.sequence)) kernel.drop('tunnel-sequence');
    else device.decapsulate(frame, header.payloadOffset, header.etherType);
  }

  /** An ICMP error quotes an outer packet from `off` on, with its payload at `at`. */
  error(
    proto: number,
    frame: Uint8Array,
    off: number,
    at: number,
    kind: 'unreachable' | 'exceeded',
    code: number,
  ): void {
    const [local, remote] = [ipSrc(frame, off), ipDst(frame, off)];
    let device: TunnelDevice | null = null;
    if (proto === PROTO_IPIP)
      device = this.#find(['ipip'], local, remote, null) ?? this.#find(['sit'], local, remote, null);
    else if (proto === PROTO_IPV6) device = this.#find(['sit'], local, remote, null);
    else if (proto === PROTO_GRE) {
      // "Impossible event", says `ipgre_err`.
      if (kind === 'unreachable' && code === UNREACH_PORT) return;
      device = this.#ofQuoted(frame, at, ['gretap'], ['gre'], local, remote);
    }
    if (!(device instanceof IpTunnelDevice)) return;
    // Linux tells the sender itself then, from an address of IPv4 in one of IPv6, which does not come out (`ip6_err_gen_icmpv6_unreach`).
    if (proto === PROTO_IPV6 && frame.length >= at + IPV6_HLEN + 8) return;
    if (device.options.remote === 0) return;
    if (kind === 'exceeded' && device.options.ttl === 0) return;
    device.failed();
  }

  /** An ICMPv6 error quotes an outer packet (`ip6_tnl_err`, `ip6gre_err`). */
  error6(proto: number, quoted: QuotedPacket): void {
    const { frame, off, at, type, code } = quoted;
    const [local, remote] = [IP6_SRC, IP6_DST].map((offset) => readIp6Cached(frame, off + offset));
    if (proto === PROTO_GRE) {
      const counts =
        (type === 'dest-unreachable' && code !== UNREACH6_PORT) || (type === 'time-exceeded' && code === 0);
      if (counts) this.#ofQuoted(frame, at, ['ip6gretap'], ['ip6gre'], local!, remote!)?.failed();
      return;
    }
    if (proto !== PROTO_IPIP && proto !== PROTO_IPV6) return;
    const innerType = innerTypeOf(proto);
    const device = this.#find(['ip6tnl'], local!, remote!, null);
    if (device?.carries(innerType) === true) relayError(this.#ns, device, quoted, innerType);
  }

  /** The tunnel that a packet of GRE was sent by, of which an error quotes the beginning. */
  #ofQuoted(
    frame: Uint8Array,
    at: number,
    taps: readonly TunnelKind[],
    others: readonly TunnelKind[],
    local: IpAddress,
    remote: IpAddress,
  ): TunnelDevice | null {
    const quoted = quotedGre(frame, at);
    if (quoted === null) return null;
    return this.#find(quoted.etherType === ETHERTYPE_TEB ? taps : others, local, remote, quoted.key);
  }

  /** Whether the protocol is there at all: Linux loads its module with the first tunnel, wherever that is. */
  #isKnown(proto: number, family: IpFamily): boolean {
    if (proto !== PROTO_IPIP && proto !== PROTO_IPV6 && proto !== PROTO_GRE) return false;
    for (const ns of this.#ns.kernel.namespaces())
      for (const device of ns.devices()) {
        if (!(device instanceof TunnelDevice)) continue;
        const over = device instanceof Ip6TunnelDevice ? 'inet6' : 'inet';
        if (over === family && isGre(device.kind) === (proto === PROTO_GRE)) return true;
      }
    return false;
  }

  /** No tunnel is for it (`tunnel4_rcv`, `tunnel6_rcv`, `gre_rcv`). */
  #refuse({ frame, dst, device }: OuterPacket<IpAddress>): void {
    this.#ns.kernel.drop('tunnel-unknown');
    if (typeof dst === 'number') this.#ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PORT, 0, frame);
    else this.#ns.ipv6.icmp.sendError(ICMPV6_DEST_UNREACHABLE, UNREACH6_PORT, 0, frame, device);
  }
}

function isAny(address: IpAddress): boolean {
  return address === 0 || address === ANY_IP6;
}

function innerTypeOf(proto: number): number {
  return proto === PROTO_IPIP ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
}

function leastOf(innerType: number): number {
  return innerType === ETHERTYPE_IPV4 ? IPV4_HLEN : IPV6_HLEN;
}

/** Of a header that an error quotes, whose checksum is over more than that; null where it is cut off. */
function quotedGre(frame: Uint8Array, at: number): Pick<GreHeader, 'etherType' | 'key'> | null {
  if (frame.length < at + 4) return null;
  const flags = u16(frame, at);
  const keyAt = at + 4 + ((flags & GRE_CHECKSUM) !== 0 ? 4 : 0);
  const hasKey = (flags & GRE_KEY) !== 0;
  const end = keyAt + (hasKey ? 4 : 0) + ((flags & GRE_SEQUENCE) !== 0 ? 4 : 0);
  if (frame.length < end) return null;
  return { etherType: u16(frame, at + 2), key: hasKey ? u32(frame, keyAt) : null };
}
