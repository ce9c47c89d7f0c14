import { u16, u32 } from '../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import {
  EXCEEDED_REASSEMBLY,
  EXCEEDED_TTL,
  encodeIcmpError,
  ICMP_DEST_UNREACHABLE,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_TIME_EXCEEDED,
  UNREACH_FRAG_NEEDED,
  UNREACH_HOST,
  UNREACH_NET,
  UNREACH_PROTOCOL,
} from '../../protocols/icmp.ts';
import { isLoopback, isMulticast, LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import {
  decrementTtl,
  fragmentIpv4,
  IPV4_HLEN,
  ipDf,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipMf,
  ipProto,
  ipSrc,
  ipTotalLength,
  ipTtl,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  validateIpv4,
  writeIpv4Header,
} from '../../protocols/ipv4.ts';
import { BROADCAST_MAC } from '../../protocols/mac.ts';
import { Reassembler } from '../../protocols/reassembly.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';
import type { Nexthop, Route } from './route-table.ts';

/** Where a packet goes next. */
export interface Path {
  readonly type: 'local' | 'broadcast' | 'unicast' | 'blackhole' | 'unreachable';
  readonly device: Device;
  /** Address to resolve on the device. */
  readonly nexthop: number;
  /** Preferred source of the route, 0 if none. */
  readonly src: number;
}

/** Why a packet of the node's own could not be sent. */
export type SendError = 'ENETUNREACH' | 'EINVAL' | 'EHOSTUNREACH' | 'EMSGSIZE';

/**
 * Whether a packet may be fragmented on its way; 'probe' forbids it like true, and sends what the first hop takes even
 * where the path is known to take less (IP_PMTUDISC_DONT, _DO and _PROBE of ip(7)).
 */
export type DontFragment = boolean | 'probe';

export interface PacketOptions {
  /** 0 takes the source that routing prefers. */
  readonly src: number;
  readonly dst: number;
  readonly proto: number;
  readonly ttl?: number | undefined;
  readonly df?: DontFragment | undefined;
  readonly tos?: number;
}

const DEFAULT_TTL = 64;

/** The IPv4 layer of a namespace: input, forwarding, output, ICMP errors (RFC 791, RFC 1122 §3, RFC 1812 §5). */
export class IpLayer {
  readonly #ns: Netns;
  readonly #reassembler = new Reassembler();
  #reassemblyTimer: TimerHandle | null = null;
  #id = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** An IPv4 frame that is for this host at the link layer. */
  input(device: Device, frame: Uint8Array): void {
    const { kernel } = this.#ns;
    const validity = validateIpv4(frame, ETH_HLEN, frame.length - ETH_HLEN);
    if (validity !== 'ok') {
      kernel.drop(`ip-${validity}`);
      return;
    }
    const total = ipTotalLength(frame, ETH_HLEN);
    const packet = frame.length === ETH_HLEN + total ? frame : frame.subarray(0, ETH_HLEN + total);
    const src = ipSrc(packet, ETH_HLEN);
    const dst = ipDst(packet, ETH_HLEN);
    if (this.#martian(device, src, dst)) {
      kernel.drop('ip-martian');
      return;
    }
    if (this.#ns.isLocal(dst) || dst === LIMITED_BROADCAST || this.#ns.isBroadcast(dst)) {
      this.#deliver(device, packet);
    } else if (isMulticast(dst)) kernel.drop('ip-multicast');
    else this.#forward(device, packet, src, dst);
  }

  #martian(device: Device, src: number, dst: number): boolean {
    if (device.kind === 'loopback') return false;
    if (isLoopback(src) || isLoopback(dst) || isMulticast(src) || src === LIMITED_BROADCAST) return true;
    // Our own address from outside is a loop or a lie (Linux: accept_local=0).
    return this.#ns.isLocal(src) || (src >>> 24 === 0 && dst !== LIMITED_BROADCAST);
  }

  /** In the order of Linux: `ip_route_input` decides and answers for what cannot be reached, `ip_forward` comes after. */
  #forward(device: Device, frame: Uint8Array, src: number, dst: number): void {
    const ns = this.#ns;
    if (!ns.ipForward) {
      ns.kernel.drop('ip-not-for-us');
      return;
    }
    if (isGroupFrame(frame)) {
      ns.kernel.drop('ip-link-broadcast');
      return;
    }
    const path = ns.lookup(dst, flowHash(frame, ETH_HLEN, src, dst));
    if (path === null || path.type === 'unreachable') {
      this.icmpError(ICMP_DEST_UNREACHABLE, path === null ? UNREACH_NET : UNREACH_HOST, 0, frame);
      ns.kernel.drop('no-route');
      return;
    }
    if (path.type !== 'unicast') {
      ns.kernel.drop(path.type === 'blackhole' ? 'blackhole' : 'ip-not-for-us');
      return;
    }
    if (ipTtl(frame, ETH_HLEN) <= 1) {
      this.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_TTL, 0, frame);
      ns.kernel.drop('ttl-exceeded');
      return;
    }
    const { mtu } = path.device;
    if (frame.length - ETH_HLEN > mtu && ipDf(frame, ETH_HLEN)) {
      this.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
      ns.kernel.drop('frag-needed');
      return;
    }
    decrementTtl(frame, ETH_HLEN);
    if (path.device !== device || !device.hasLinkLayer) ns.kernel.forwarded++;
    this.#emit(path, frame, mtu);
  }

  /** Fragments where needed and hands the frame to the neighbour layer. */
  #emit({ device, nexthop }: Path, frame: Uint8Array, mtu: number): void {
    if (frame.length - ETH_HLEN <= mtu) {
      this.#emitFrame(device, nexthop, frame);
      return;
    }
    for (const fragment of fragmentIpv4(frame.subarray(ETH_HLEN), mtu)) {
      const part = new Uint8Array(ETH_HLEN + fragment.length);
      part.set(fragment, ETH_HLEN);
      this.#emitFrame(device, nexthop, part);
    }
  }

  #emitFrame(device: Device, nexthop: number, frame: Uint8Array): void {
    if (!device.hasLinkLayer) {
      writeEthernet(frame, 0, 0, ETHERTYPE_IPV4);
      device.transmit(frame);
    } else if (nexthop === LIMITED_BROADCAST || this.#ns.isBroadcast(nexthop)) {
      writeEthernet(frame, BROADCAST_MAC, device.mac, ETHERTYPE_IPV4);
      device.transmit(frame);
    } else {
      writeEthernet(frame, 0, device.mac, ETHERTYPE_IPV4);
      device.neighbors.output(nexthop, frame);
    }
  }

  /**
   * Sends a packet of the host's own. `buffer` has room for the Ethernet and IP headers (34 bytes) before the
   * payload. `fill` gets the source address once it is known, to compute the checksum of what is above IP.
   */
  output(buffer: Uint8Array, options: PacketOptions, fill?: (src: number) => void): SendError | null {
    const ns = this.#ns;
    const { dst } = options;
    const path = ns.lookup(dst, options.src ^ dst ^ options.proto);
    if (path === null) return 'ENETUNREACH';
    if (path.type === 'blackhole') return 'EINVAL';
    if (path.type === 'unreachable') return 'EHOSTUNREACH';
    const src =
      options.src !== 0 ? options.src : path.src !== 0 ? path.src : ns.sourceFor(path.device, path.nexthop);
    const { df = false } = options;
    const mtu = df === 'probe' ? path.device.mtu : ns.pathMtus.of(dst, path);
    if (df !== false && buffer.length - ETH_HLEN > mtu) return 'EMSGSIZE';
    fill?.(path.type === 'local' && options.src === 0 ? dst : src);
    this.#id = (this.#id + 1) & 0xffff;
    writeIpv4Header(buffer, ETH_HLEN, {
      src: path.type === 'local' && options.src === 0 ? dst : src,
      dst,
      proto: options.proto,
      ttl: options.ttl ?? DEFAULT_TTL,
      totalLength: buffer.length - ETH_HLEN,
      id: this.#id,
      tos: options.tos ?? 0,
      df: df !== false,
    });
    this.#emit(path, buffer, mtu);
    return null;
  }

  /** Forwards or delivers a whole IP packet with room for an Ethernet header, already complete. */
  route(frame: Uint8Array): void {
    const dst = ipDst(frame, ETH_HLEN);
    const path = this.#ns.lookup(dst, flowHash(frame, ETH_HLEN, ipSrc(frame, ETH_HLEN), dst));
    if (path === null || path.type === 'blackhole' || path.type === 'unreachable')
      this.#ns.kernel.drop('no-route');
    else this.#emit(path, frame, path.device.mtu);
  }

  #deliver(device: Device, frame: Uint8Array): void {
    if (ipMf(frame, ETH_HLEN) || ipFragmentOffset(frame, ETH_HLEN) > 0) {
      const { rt } = this.#ns.kernel;
      const whole = this.#reassembler.add(frame.slice(ETH_HLEN), rt.now);
      this.#armReassembly();
      if (whole === null) return;
      const rebuilt = new Uint8Array(ETH_HLEN + whole.length);
      rebuilt.set(frame.subarray(0, ETH_HLEN));
      rebuilt.set(whole, ETH_HLEN);
      this.#demux(device, rebuilt);
    } else this.#demux(device, frame);
  }

  #armReassembly(): void {
    const { rt } = this.#ns.kernel;
    const deadline = this.#reassembler.nextDeadline;
    if (this.#reassemblyTimer !== null || deadline === Number.POSITIVE_INFINITY) return;
    this.#reassemblyTimer = rt.timers.set(deadline, () => {
      this.#reassemblyTimer = null;
      for (const first of this.#reassembler.expire(rt.now)) {
        const frame = new Uint8Array(ETH_HLEN + first.length);
        frame.set(first, ETH_HLEN);
        this.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_REASSEMBLY, 0, frame);
      }
      this.#armReassembly();
    });
  }

  #demux(device: Device, frame: Uint8Array): void {
    const ns = this.#ns;
    const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    const length = frame.length - at;
    switch (ipProto(frame, ETH_HLEN)) {
      case PROTO_ICMP:
        ns.icmp.receive(frame, at, length);
        return;
      case PROTO_UDP:
        ns.udp.receive(device, frame, at, length);
        return;
      case PROTO_TCP:
        ns.tcp.receive(device, frame, at, length);
        return;
      default:
        ns.kernel.drop('unknown-protocol');
        this.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PROTOCOL, 0, frame);
    }
  }

  /** Sends an ICMP error about a packet, unless RFC 1122 §3.2.2 forbids one. */
  icmpError(type: number, code: number, extra: number, frame: Uint8Array): void {
    const src = ipSrc(frame, ETH_HLEN);
    const dst = ipDst(frame, ETH_HLEN);
    if (ipFragmentOffset(frame, ETH_HLEN) > 0 || src === 0 || isMulticast(src) || isMulticast(dst)) return;
    if (dst === LIMITED_BROADCAST || this.#ns.isBroadcast(dst) || src === LIMITED_BROADCAST) return;
    if (isGroupFrame(frame)) return;
    if (ipProto(frame, ETH_HLEN) === PROTO_ICMP) {
      const icmpType = frame[ETH_HLEN + ipHeaderLength(frame, ETH_HLEN)];
      if (icmpType !== ICMP_ECHO_REQUEST && icmpType !== ICMP_ECHO_REPLY) return;
    }
    const message = encodeIcmpError(type, code, extra, frame, ETH_HLEN, frame.length - ETH_HLEN);
    const buffer = new Uint8Array(ETH_HLEN + IPV4_HLEN + message.length);
    buffer.set(message, ETH_HLEN + IPV4_HLEN);
    // An error about a packet that was for us comes from the address it was for (icmp_send: saddr = iph->daddr).
    this.output(buffer, { src: this.#ns.isLocal(dst) ? dst : 0, dst: src, proto: PROTO_ICMP, tos: 0xc0 });
  }

  /** Picks the next hop of a route for a flow; null if none is usable. */
  static choose(route: Route, hash: number): Nexthop | null {
    const { nexthops } = route;
    const first = nexthops[0];
    if (nexthops.length === 1) return first?.device.usable ? first : null;
    let total = 0;
    for (const hop of nexthops) if (hop.device.usable) total += hop.weight;
    if (total === 0) return null;
    let point = (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0) % total;
    for (const hop of nexthops) {
      if (!hop.device.usable) continue;
      point -= hop.weight;
      if (point < 0) return hop;
    }
    return null;
  }
}

/** Whether a frame came as a link-layer broadcast or multicast; 0 stands in the place of addresses that do not exist. */
function isGroupFrame(frame: Uint8Array): boolean {
  return (frame[0]! & 1) !== 0;
}

/** Hash of a flow: addresses, protocol, and ports where the packet has them (`fib_multipath_hash_policy=1`). */
function flowHash(buf: Uint8Array, off: number, src: number, dst: number): number {
  const proto = ipProto(buf, off);
  let hash = Math.imul(src ^ Math.imul(dst, 0x9e3779b1), 0x85ebca6b) ^ proto;
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && (u16(buf, off + 6) & 0x3fff) === 0) {
    const at = off + ipHeaderLength(buf, off);
    if (at + 4 <= buf.length) hash = Math.imul(hash ^ u32(buf, at), 0xc2b2ae35);
  }
  return (hash ^ (hash >>> 13)) >>> 0;
}
