import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../protocols/icmp.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import {
  fragmentIpv4,
  IPV4_HLEN,
  ipDf,
  ipDst,
  ipHeaderLength,
  writeIpv4Header,
} from '../../../protocols/ipv4.ts';
import { BROADCAST_MAC, writeMac } from '../../../protocols/mac.ts';
import type { Device } from '../device.ts';
import { NF_LOCAL_OUT, NF_POST_ROUTING } from '../netfilter/hooks.ts';
import { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { ANY_FLOW } from '../rules.ts';
import { portsAt } from '../xfrm/flow.ts';
import { type AnswerOptions, timeOfDay, writeOptions } from './answer-options.ts';
import { describePath, flowHash, type Path, packetFlow, pathError, sentFlow } from './path.ts';

/** Why a packet of the node's own could not be sent. EPERM: netfilter dropped it. */
export type SendError = 'ENETUNREACH' | 'EINVAL' | 'EHOSTUNREACH' | 'EACCES' | 'EMSGSIZE' | 'EPERM';

/**
 * Whether a packet may be fragmented on its way; 'probe' forbids it like true, and sends what the first hop takes even
 * where the path is known to take less (IP_PMTUDISC_DONT, _DO and _PROBE of ip(7)).
 */
export type DontFragment = boolean | 'probe';

export interface PacketOptions<A extends IpAddress = number> {
  /** The unspecified address takes the source that routing prefers. */
  readonly src: A;
  /** The source of a packet that routing has none for. */
  readonly fallbackSrc?: A;
  readonly dst: A;
  readonly proto: number;
  readonly ttl?: number | undefined;
  readonly df?: DontFragment | undefined;
  readonly tos?: number;
  /** Flow label, of IPv6 alone. Default 0. */
  readonly flowLabel?: number;
  /** The packet's fwmark (SO_MARK), 0 if absent. */
  readonly mark?: number | undefined;
  /** The packet that an ICMP error is about. */
  readonly about?: Skb | null;
  /** The packet that this answers, whose options it takes up (`ip_options_echo`). */
  readonly inReplyTo?: Uint8Array;
  /** The only device that it may leave by. */
  readonly device?: Device | undefined;
  /** It carries what came in fragments, of which it is to have none that are larger: bytes, 0 if it came whole. */
  readonly fragmentSize?: number;
}

/** From a socket or from forwarding to the neighbour layer (`ip_local_out`, `ip_output`, `ip_finish_output`). */
export class IpOutput {
  readonly #ns: Netns;
  #id = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** See `IpLayer.output`. */
  send(buffer: Uint8Array, options: PacketOptions, fill?: (src: number) => void): SendError | null {
    const ns = this.#ns;
    const { inReplyTo } = options;
    if (inReplyTo !== undefined && ipHeaderLength(inReplyTo, ETH_HLEN) > IPV4_HLEN) {
      const answer = ns.ip.options.answer(inReplyTo);
      if (answer === 'unanswerable') return 'EINVAL';
      if (answer !== null) return this.#sendWithOptions(buffer, options, answer, fill);
    }
    const path = this.wayOf(buffer, options);
    const error = pathError(path);
    if (path === null || error !== null) return error;
    return this.sendOn(path, buffer, options, fill);
  }

  /** See `IpLayer.wayOf`. */
  wayOf(buffer: Uint8Array, options: PacketOptions): Path | null {
    const ns = this.#ns;
    const { dst } = options;
    const bound = ns.rules.custom || options.device !== undefined;
    const flow = bound ? sentFlow(buffer, options) : ANY_FLOW;
    return ns.lookup(dst, options.src ^ dst ^ options.proto, flow);
  }

  #sendWithOptions(
    buffer: Uint8Array,
    options: PacketOptions,
    answer: AnswerOptions,
    fill?: (src: number) => void,
  ): SendError | null {
    const first = answer.via ?? options.dst;
    const path = this.#ns.lookup(first, options.src ^ first ^ options.proto, sentFlow(buffer, options));
    const error = pathError(path);
    if (path === null || error !== null) return error;
    return this.sendOn(path, buffer, options, fill, answer);
  }

  /** See `IpLayer.outputBy`. */
  sendOn(
    path: Path,
    buffer: Uint8Array,
    options: PacketOptions,
    fill?: (src: number) => void,
    answer: AnswerOptions | null = null,
  ): SendError | null {
    const ns = this.#ns;
    const dst = answer?.via ?? options.dst;
    const preferred =
      options.src || path.src || ns.sourceFor(path.device, path.nexthop) || options.fallbackSrc || 0;
    const src =
      path.type === 'local' && options.src === 0 ? path.src || ns.addresses.localSource(dst) : preferred;
    const { df = false } = options;
    const pathMtu = df === 'probe' ? path.device.mtu : ns.pathMtus.of(dst, path);
    const mtu = ns.xfrm.active
      ? ns.xfrm.mtu(
          { src, dst, proto: options.proto, ...portsAt(buffer, ETH_HLEN + IPV4_HLEN, options.proto) },
          pathMtu,
        )
      : pathMtu;
    if (df !== false && buffer.length - ETH_HLEN > mtu) return 'EMSGSIZE';
    fill?.(src);
    this.#id = (this.#id + 1) & 0xffff;
    const packet = answer === null ? buffer : withRoom(buffer, answer.bytes.length);
    writeIpv4Header(packet, ETH_HLEN, {
      src,
      dst,
      proto: options.proto,
      ttl: options.ttl ?? ns.sysctls.ipv4.ip_default_ttl,
      totalLength: packet.length - ETH_HLEN,
      id: this.#id,
      tos: options.tos ?? 0,
      df: df !== false,
    });
    if (answer !== null) writeOptions(packet, answer, src, options.dst, timeOfDay(ns));
    const { rt, tracer } = ns.kernel;
    if (rt.cause < 0) {
      tracer.step(ns, { at: 'socket.send' }, packet);
      tracer.step(ns, { at: 'route', way: describePath(path, dst) }, null);
    }
    if (!ns.netfilter.active) {
      this.#emit(path, packet, mtu, null);
      return null;
    }
    const skb = new Skb(packet, null);
    if (rt.cause < 0) skb.trace = true;
    skb.mark = options.mark ?? 0;
    skb.fragmentSize = options.fragmentSize ?? 0;
    if (options.about != null) skb.answers(options.about);
    return this.#localOut(path, skb, mtu);
  }

  /** See `IpLayer.localOut`. */
  sendWhole(skb: Skb): SendError | null {
    const path = this.#routeAgain(skb);
    if (typeof path === 'string') return path;
    return this.#localOut(path, skb, path.device.mtu);
  }

  /** See `IpLayer.localOutBy`. */
  sendBy(path: Path, skb: Skb): SendError | null {
    const { rt, tracer } = this.#ns.kernel;
    const dst = ipDst(skb.frame, ETH_HLEN);
    if (rt.cause < 0) tracer.step(this.#ns, { at: 'route', way: describePath(path, dst) }, skb.frame);
    return this.#localOut(path, skb, path.device.mtu);
  }

  /** See `IpLayer.localOutVia`. */
  sendVia(device: Device, skb: Skb): SendError | null {
    const { frame, mark } = skb;
    const flow = { ...packetFlow(frame, null, mark), oif: device };
    const dst = ipDst(frame, ETH_HLEN);
    const policy = this.#ns.sysctls.ipv4.fib_multipath_hash_policy;
    const path = this.#ns.lookup(dst, flowHash(frame, ETH_HLEN, flow.src, dst, policy), flow);
    if (path === null || (path.type !== 'unicast' && path.type !== 'local')) return 'ENETUNREACH';
    return this.sendBy(path, skb);
  }

  /** `__ip_local_out` */
  #localOut(path: Path, skb: Skb, mtu: number): SendError | null {
    const { netfilter } = this.#ns;
    skb.out = path.device;
    const verdict = netfilter.run(NF_LOCAL_OUT, skb);
    if (verdict !== 'accept') return verdict === 'drop' ? 'EPERM' : null;
    if (!skb.reroute) return this.finish(path, skb.frame, mtu, skb);
    skb.reroute = false;
    const other = this.#routeAgain(skb);
    if (typeof other === 'string') {
      this.#ns.kernel.drop('no-route');
      return other;
    }
    return this.finish(other, skb.frame, this.#ns.pathMtus.of(ipDst(skb.frame, ETH_HLEN), other), skb);
  }

  /** The way of a packet that is complete (`ip_route_me_harder`). */
  #routeAgain(skb: Skb): Path | SendError {
    const path = this.#ns.lookupPacket(skb.frame, null, skb.mark);
    const { rt, tracer } = this.#ns.kernel;
    const dst = ipDst(skb.frame, ETH_HLEN);
    if (rt.cause < 0)
      tracer.step(this.#ns, { at: 'route', way: describePath(path ?? 'no-route', dst) }, skb.frame);
    return pathError(path) ?? path ?? 'ENETUNREACH';
  }

  /** What is routed goes out, through POSTROUTING where something is registered (`ip_output`). */
  finish(path: Path, frame: Uint8Array, mtu: number, skb: Skb | null): SendError | null {
    if (skb === null) {
      this.#emit(path, frame, mtu, null);
      return null;
    }
    skb.out = path.device;
    skb.nexthop = path.nexthop;
    const verdict = this.#ns.netfilter.run(NF_POST_ROUTING, skb);
    if (verdict === 'accept') this.#emit(path, skb.frame, mtu, skb);
    return verdict === 'drop' ? 'EPERM' : null;
  }

  /** Sends a packet as it is, or what IPsec makes of it, which goes through the last hooks anew. */
  #emit(path: Path, frame: Uint8Array, mtu: number, skb: Skb | null): void {
    const { xfrm } = this.#ns;
    const wanted = xfrm.active ? xfrm.outward(frame, path.device) : 'plain';
    if (wanted === 'plain') this.#fragment(path, frame, mtu, skb);
    else if (wanted !== 'drop') {
      const sent = xfrm.seal(frame, wanted, path.device);
      if (sent === null) return;
      if (typeof wanted.options.dst === 'number') this.sendSealed(sent, skb);
      else this.#ns.ipv6.layer.sendSealed(sent, skb);
    }
  }

  /** See `IpLayer.sendSealed`. */
  sendSealed(sent: Uint8Array, skb: Skb | null): void {
    const { netfilter } = this.#ns;
    const outer = new Skb(sent, null);
    outer.sealed = true;
    outer.mark = skb?.mark ?? 0;
    outer.trace = skb?.trace ?? false;
    const way = this.#routeAgain(outer);
    if (typeof way === 'string') {
      this.#ns.kernel.drop('no-route');
      return;
    }
    if (netfilter.active) {
      outer.out = way.device;
      if (netfilter.run(NF_LOCAL_OUT, outer) !== 'accept') return;
      outer.nexthop = way.nexthop;
      if (netfilter.run(NF_POST_ROUTING, outer) !== 'accept') return;
    }
    const outerMtu = this.#ns.pathMtus.of(ipDst(outer.frame, ETH_HLEN), way);
    this.#fragment(way, outer.frame, outerMtu, netfilter.active ? outer : null);
  }

  /** Fragments where needed and hands the frame to the neighbour layer. */
  #fragment(path: Path, frame: Uint8Array, mtu: number, skb: Skb | null): void {
    const limit = skb !== null && skb.fragmentSize !== 0 ? Math.min(mtu, skb.fragmentSize) : mtu;
    if (frame.length - ETH_HLEN <= limit) {
      this.#emitFrame(path, frame, skb);
      return;
    }
    const together = skb !== null && skb.fragmentSize !== 0 && skb.fragmentSize <= mtu;
    if (!together && frame.length - ETH_HLEN > mtu && ipDf(frame, ETH_HLEN)) {
      this.#ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
      this.#ns.kernel.drop('frag-needed');
      return;
    }
    for (const fragment of fragmentIpv4(frame.subarray(ETH_HLEN), limit, skb?.fragments ?? null)) {
      const part = frameBuffer(ETH_HLEN + fragment.length);
      part.set(fragment, ETH_HLEN);
      this.#emitFrame(path, part, skb === null ? null : skb.copy(part));
    }
  }

  #emitFrame(path: Path, frame: Uint8Array, skb: Skb | null): void {
    const { type, device, nexthop } = path;
    if (!device.hasLinkLayer) {
      writeEthernet(frame, device.takesNexthop ? nexthop : 0, 0, ETHERTYPE_IPV4);
      device.transmit(frame, skb);
    } else if (type === 'broadcast') {
      writeEthernet(frame, BROADCAST_MAC, device.mac, ETHERTYPE_IPV4);
      device.transmit(frame, skb);
    } else {
      writeEthernet(frame, 0, device.mac, ETHERTYPE_IPV4);
      if (device.noArp) {
        writeMac(frame, 0, device.mac);
        device.transmit(frame, skb);
      } else sendToNeighbor(path, frame, skb);
    }
  }
}

/** The packet with room for options between its header and what it carries. */
function withRoom(buffer: Uint8Array, length: number): Uint8Array {
  const packet = new Uint8Array(buffer.length + length);
  packet.set(buffer.subarray(ETH_HLEN + IPV4_HLEN), ETH_HLEN + IPV4_HLEN + length);
  return packet;
}

/** Hands a frame of IPv4 to the neighbour that is next, of either family (`ip_neigh_for_gw`). */
export function sendToNeighbor({ device, nexthop, via6 }: Path, frame: Uint8Array, skb: Skb | null): void {
  if (via6 === undefined) device.neighbors.output(nexthop, frame, skb);
  else device.inet6.neighbors.output(via6, frame, skb);
}
