import { u32 } from '../../../protocols/bytes.ts';
import { PROTO_ESP } from '../../../protocols/esp.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import {
  EXCEEDED6_HOP_LIMIT,
  ICMPV6_DEST_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  UNREACH6_NO_ROUTE,
} from '../../../protocols/icmpv6.ts';
import {
  ANY_IP6,
  formatIp6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  LOOPBACK_IP6,
  multicastMac,
  readIp6Cached,
} from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import {
  hopByHopRefusal,
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  IPV6_MIN_MTU,
  ip6HopLimit,
  ip6NextHeader,
  ip6PayloadLength,
  PROBLEM_HEADER,
  PROBLEM_INCOMPLETE,
  PROBLEM_NEXT_HEADER,
  PROTO_ICMPV6,
  upperLayer,
  validateIpv6,
  writeIpv6Header,
} from '../../../protocols/ipv6.ts';
import { fragmentIpv6 } from '../../../protocols/ipv6-fragments.ts';
import { writeMac } from '../../../protocols/mac.ts';
import type { Device } from '../device.ts';
import type { PacketOptions, SendError } from '../ip/output.ts';
import { describePath, type Path, pathError } from '../ip/path.ts';
import {
  NF_FORWARD,
  NF_LOCAL_IN,
  NF_LOCAL_OUT,
  NF_POST_ROUTING,
  NF_PRE_ROUTING,
} from '../netfilter/hooks.ts';
import { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import type { FlowKey } from '../rules.ts';
import { flowOf, portsAt, type XfrmFlow } from '../xfrm/flow.ts';
import { fragmentProblem, Ip6Defrag } from './defrag.ts';
import { fib6Lookup } from './fib-lookup.ts';
import { packetFlow6, sentFlow6 } from './flow.ts';

/** 'administratively prohibited', 'beyond scope of source address' (RFC 4443 §3.1). */
const UNREACH6_PROHIBITED = 1;
const UNREACH6_SCOPE = 2;

/**
 * The IPv6 layer of a namespace: input, forwarding, output (RFC 8200, net/ipv6). A packet meets netfilter's hooks where one of
 * IPv4 does, but for INPUT: that comes before the extension headers are looked at, and before fragments are put together.
 */
export class Ip6Layer {
  readonly #ns: Netns;
  readonly #defrag: Ip6Defrag;
  #id = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
    this.#defrag = new Ip6Defrag(ns);
  }

  /**
   * An IPv6 frame that is for this host at the link layer. `carried` is what is known of it from its way out of this very
   * namespace, where it comes back by lo.
   */
  input(device: Device, frame: Uint8Array, carried: Skb | null = null): void {
    const { kernel, ipv6 } = this.#ns;
    if (!device.inet6.enabled) {
      kernel.drop('ip6-disabled');
      return;
    }
    const validity = validateIpv6(frame, ETH_HLEN, frame.length - ETH_HLEN);
    if (validity !== 'ok') {
      kernel.drop(`ip6-${validity}`);
      return;
    }
    const end = ETH_HLEN + IPV6_HLEN + ip6PayloadLength(frame, ETH_HLEN);
    const packet = frame.length === end ? frame : frame.subarray(0, end);
    const src = readIp6Cached(packet, ETH_HLEN + IP6_SRC);
    const dst = readIp6Cached(packet, ETH_HLEN + IP6_DST);
    if (isMartian(device, src, dst)) {
      kernel.drop('ip6-martian');
      return;
    }
    const refused = hopByHopRefusal(packet, ETH_HLEN, packet.length);
    if (refused !== null) {
      if (refused.type === 'problem')
        ipv6.icmp.sendError(ICMPV6_PARAMETER_PROBLEM, refused.code, refused.pointer, packet, device);
      kernel.drop('ip6-hop-by-hop');
      return;
    }
    if (!ipv6.netfilter.active) {
      this.#route(device, packet, null);
      return;
    }
    const skb = carried ?? new Skb(packet, device);
    if (kernel.rt.cause < 0) skb.trace = true;
    skb.frame = packet;
    skb.in = device;
    skb.out = null;
    skb.cameBy = this.#ns.xfrm.behind;
    if (ipv6.netfilter.run(NF_PRE_ROUTING, skb) === 'accept') this.#route(device, skb.frame, skb);
  }

  /** A frame for this host that has been through PREROUTING on a bridge port. */
  inputBridged(device: Device, skb: Skb): void {
    const { frame } = skb;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    if (!device.inet6.enabled) this.#ns.kernel.drop('ip6-disabled');
    else if (isMartian(device, src, destinationOf(frame))) this.#ns.kernel.drop('ip6-martian');
    else this.#route(device, frame, skb);
  }

  /** The way of a packet that is complete; `iif` is null for one of the host's own. */
  lookupPacket(frame: Uint8Array, iif: Device | null, mark: number): Path<Ip6> | null {
    const flow = this.#ns.ipv6.rules.custom ? packetFlow6(frame, iif, mark) : null;
    return this.lookup(destinationOf(frame), flowHash(frame), null, flow);
  }

  /** `ip6_rcv_finish` */
  #route(device: Device, frame: Uint8Array, skb: Skb | null): void {
    const { kernel } = this.#ns;
    const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    if (isMulticastIp6(dst)) {
      if (device.kind === 'loopback' || device.inet6.listensTo(dst)) this.#deliver(device, frame, skb);
      else kernel.drop('ip6-multicast');
    } else if (this.#isForUs(device, frame, dst, skb)) {
      if (kernel.rt.cause < 0) this.#tell(`local ${formatIp6(dst)} dev lo`, frame);
      this.#deliver(device, frame, skb);
    } else this.#forward(device, frame, dst, skb);
  }

  #isForUs(device: Device, frame: Uint8Array, dst: Ip6, skb: Skb | null): boolean {
    const { addresses, rules, tables } = this.#ns.ipv6;
    if (!rules.custom && !tables.customLocal) return addresses.isLocal(dst, device);
    return this.lookup(dst, 0, null, packetFlow6(frame, device, skb?.mark ?? 0))?.type === 'local';
  }

  /** Whoever follows the packet hears which way it goes. */
  #tell(way: string, frame: Uint8Array | null): void {
    this.#ns.kernel.tracer.step(this.#ns, { at: 'route', way }, frame);
  }

  /** In the order of Linux: `ip6_route_input` answers for what cannot be reached, `ip6_forward` comes after. */
  #forward(device: Device, frame: Uint8Array, dst: Ip6, skb: Skb | null): void {
    const { kernel, ipv6 } = this.#ns;
    const { icmp } = ipv6;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const flow = ipv6.rules.custom ? packetFlow6(frame, device, skb?.mark ?? 0) : null;
    // What is for the link is sent back to it, and nowhere else (`rt6_need_strict`).
    const path = this.lookup(dst, flowHash(frame), isLinkLocal(dst) ? device : null, flow);
    if (kernel.rt.cause < 0) this.#tell(describePath(path ?? 'no-route', dst), frame);
    if (path === null || path.type === 'unreachable' || path.type === 'prohibit') {
      const code = path?.type === 'prohibit' ? UNREACH6_PROHIBITED : UNREACH6_NO_ROUTE;
      icmp.sendError(ICMPV6_DEST_UNREACHABLE, code, 0, frame, device, skb);
      kernel.drop('no-route');
      return;
    }
    if (path.type !== 'unicast' || ipv6.sysctls.all.forwarding === 0) {
      kernel.drop(path.type === 'blackhole' ? 'blackhole' : 'ip6-not-for-us');
      return;
    }
    if ((frame[0]! & 1) !== 0) {
      kernel.drop('ip6-link-multicast');
      return;
    }
    if (ip6HopLimit(frame, ETH_HLEN) <= 1) {
      icmp.sendError(ICMPV6_TIME_EXCEEDED, EXCEEDED6_HOP_LIMIT, 0, frame, device, skb);
      kernel.drop('ttl-exceeded');
      return;
    }
    if (path.device === device && device.hasLinkLayer) ipv6.redirectSender.send(device, frame, path);
    else if (src === ANY_IP6 || isLinkLocal(src)) {
      if (src !== ANY_IP6) icmp.sendError(ICMPV6_DEST_UNREACHABLE, UNREACH6_SCOPE, 0, frame, device, skb);
      kernel.drop('ip6-scope');
      return;
    }
    const { xfrm } = this.#ns;
    if (xfrm.active && !xfrm.check('fwd', frame, device)) {
      kernel.drop('xfrm-in-policy');
      return;
    }
    const most = mtuOfPath(path);
    const mtu = xfrm.active ? xfrm.mtu(flowOf(frame), most) : most;
    // What was put together here goes on in fragments as large as those that came.
    const largest = skb !== null && skb.fragmentSize !== 0 ? skb.fragmentSize : frame.length - ETH_HLEN;
    if (largest > mtu) {
      icmp.sendError(ICMPV6_PACKET_TOO_BIG, 0, mtu, frame, device, skb);
      kernel.drop('packet-too-big');
      return;
    }
    frame[ETH_HLEN + 7] = ip6HopLimit(frame, ETH_HLEN) - 1;
    if (skb !== null) {
      skb.out = path.device;
      if (ipv6.netfilter.run(NF_FORWARD, skb) !== 'accept') return;
    }
    if (path.device !== device || !device.hasLinkLayer) kernel.forwarded++;
    this.#finish(path, skb === null ? frame : skb.frame, mtu, skb);
  }

  /** See `fib6Lookup`. */
  lookup(dst: Ip6, hash: number, device: Device | null, flow: FlowKey<Ip6> | null = null): Path<Ip6> | null {
    return fib6Lookup(this.#ns, dst, hash, device, flow);
  }

  /** The largest packet for a destination by a path to it, bytes, unless IPsec makes another of it. */
  mtuOf(dst: Ip6, path: Path<Ip6>): number {
    return Math.min(mtuOfPath(path), this.#ns.ipv6.pathMtus.of(dst, path));
  }

  /** The largest packet of a flow by a path to its destination, bytes. */
  flowMtu(flow: XfrmFlow & { readonly dst: Ip6 }, path: Path<Ip6>): number {
    const mtu = this.mtuOf(flow.dst, path);
    return this.#ns.xfrm.active ? this.#ns.xfrm.mtu(flow, mtu) : mtu;
  }

  /**
   * Sends a packet of the host's own. `buffer` has room for the Ethernet and IPv6 headers (54 bytes) before the payload.
   * `fill` gets the source address once it is known, to compute the checksum of what is above IP.
   */
  output(buffer: Uint8Array, options: PacketOptions<Ip6>, fill?: (src: Ip6) => void): SendError | null {
    const { ipv6 } = this.#ns;
    const { dst, proto, device = null, df = false } = options;
    const flow = ipv6.rules.custom ? sentFlow6(buffer, options) : null;
    const path = this.lookup(dst, sentHash(options), device, flow);
    const error = pathError(path);
    if (path === null || error !== null) return error;
    const src = options.src !== ANY_IP6 ? options.src : ipv6.sourceFor(path, dst);
    // Without an address nothing but the claim to one may be sent (Linux says EADDRNOTAVAIL).
    if (src === ANY_IP6) return 'ENETUNREACH';
    const ports = portsAt(buffer, ETH_HLEN + IPV6_HLEN, proto);
    const mtu = df === 'probe' ? mtuOfPath(path) : this.flowMtu({ src, dst, proto, ...ports }, path);
    if (df !== false && buffer.length - ETH_HLEN > mtu) return 'EMSGSIZE';
    fill?.(src);
    writeIpv6Header(buffer, ETH_HLEN, {
      src,
      dst,
      nextHeader: proto,
      hopLimit: options.ttl ?? (isMulticastIp6(dst) ? 1 : hopLimitOf(path)),
      payloadLength: buffer.length - ETH_HLEN - IPV6_HLEN,
      trafficClass: options.tos ?? 0,
    });
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0) {
      tracer.step(this.#ns, { at: 'socket.send' }, buffer);
      this.#tell(describePath(path, dst), null);
    }
    if (!ipv6.netfilter.active) {
      this.#emit(path, buffer, mtu, null);
      return null;
    }
    const skb = new Skb(buffer, null);
    if (rt.cause < 0) skb.trace = true;
    skb.mark = options.mark ?? 0;
    if (options.about != null) skb.answers(options.about);
    return this.#localOut(path, skb, mtu);
  }

  /**
   * Sends a whole packet of the host's own, with room for an Ethernet header, through OUTPUT and POSTROUTING: what REJECT makes.
   * What the skb knows (mark, ct) goes with it.
   */
  localOut(skb: Skb): SendError | null {
    const path = this.#routeAgain(skb);
    return typeof path === 'string' ? path : this.#localOut(path, skb, mtuOfPath(path));
  }

  /**
   * Takes a packet of the host's own whose way is known through OUTPUT and POSTROUTING: what neighbour discovery sends. What is
   * known of it then, null where nothing is registered; 'gone': it is not to be sent.
   */
  leave(device: Device, nexthop: Ip6, frame: Uint8Array): Skb | 'gone' | null {
    const { netfilter } = this.#ns.ipv6;
    if (!netfilter.active) return null;
    const skb = new Skb(frame, null);
    if (this.#ns.kernel.rt.cause < 0) skb.trace = true;
    skb.out = device;
    if (netfilter.run(NF_LOCAL_OUT, skb) !== 'accept') return 'gone';
    skb.nexthop = nexthop;
    return netfilter.run(NF_POST_ROUTING, skb) === 'accept' ? skb : 'gone';
  }

  /** `__ip6_local_out` */
  #localOut(path: Path<Ip6>, skb: Skb, mtu: number): SendError | null {
    const { ipv6, kernel } = this.#ns;
    skb.out = path.device;
    const verdict = ipv6.netfilter.run(NF_LOCAL_OUT, skb);
    if (verdict !== 'accept') return verdict === 'drop' ? 'EPERM' : null;
    if (!skb.reroute) return this.#finish(path, skb.frame, mtu, skb);
    skb.reroute = false;
    const other = this.#routeAgain(skb);
    if (typeof other === 'string') {
      kernel.drop('no-route');
      return other;
    }
    return this.#finish(other, skb.frame, this.mtuOf(destinationOf(skb.frame), other), skb);
  }

  /** The way of a packet that is complete (`ip6_route_me_harder`). */
  #routeAgain({ frame, mark }: Skb): Path<Ip6> | SendError {
    const dst = destinationOf(frame);
    const path = this.lookupPacket(frame, null, mark);
    if (this.#ns.kernel.rt.cause < 0) this.#tell(describePath(path ?? 'no-route', dst), frame);
    return pathError(path) ?? path ?? 'ENETUNREACH';
  }

  /** What is routed goes out, through POSTROUTING where something is registered (`ip6_output`). */
  #finish(path: Path<Ip6>, frame: Uint8Array, mtu: number, skb: Skb | null): SendError | null {
    if (skb === null) {
      this.#emit(path, frame, mtu, null);
      return null;
    }
    skb.out = path.device;
    skb.nexthop = path.nexthop;
    const verdict = this.#ns.ipv6.netfilter.run(NF_POST_ROUTING, skb);
    if (verdict === 'accept') this.#emit(path, skb.frame, mtu, skb);
    return verdict === 'drop' ? 'EPERM' : null;
  }

  /** Fragments where needed, which is the affair of the source, and of who has put fragments together on the way. */
  #emit(path: Path<Ip6>, frame: Uint8Array, mtu: number, skb: Skb | null): void {
    const { xfrm } = this.#ns;
    const wanted = xfrm.active ? xfrm.outward(frame, path.device) : 'plain';
    if (wanted === 'plain') this.#fragmented(path, frame, mtu, skb);
    else if (wanted !== 'drop') {
      // A tunnel has fragments in it, no fragments of it (`__xfrm6_output`).
      const whole = wanted.options.mode === 'transport' || frame.length - ETH_HLEN <= mtu;
      this.#id = (this.#id + 1) >>> 0;
      const parts = whole
        ? [frame.subarray(ETH_HLEN)]
        : fragmentIpv6(frame.subarray(ETH_HLEN), mtu, this.#id);
      for (const part of parts) {
        const inner = frameBuffer(ETH_HLEN + part.length);
        inner.set(part, ETH_HLEN);
        const sent = xfrm.seal(inner, wanted, path.device);
        if (sent === null) continue;
        if (typeof wanted.options.dst === 'number') this.#ns.ip.sendSealed(sent, skb);
        else this.sendSealed(sent, skb);
      }
    }
  }

  /** Sends what IPsec has made of a packet, of either family, of which `skb` is what was known (`xfrm_output_resume`). */
  sendSealed(sent: Uint8Array, skb: Skb | null): void {
    const { netfilter } = this.#ns.ipv6;
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
    const mtu = this.mtuOf(destinationOf(outer.frame), way);
    this.#fragmented(way, outer.frame, mtu, netfilter.active ? outer : null);
  }

  #fragmented({ device, nexthop }: Path<Ip6>, frame: Uint8Array, mtu: number, skb: Skb | null): void {
    const came = skb === null ? 0 : skb.fragmentSize;
    const length = frame.length - ETH_HLEN;
    if (length <= mtu && (came === 0 || length <= came)) {
      this.#emitFrame(device, nexthop, frame, skb);
      return;
    }
    const most = came === 0 ? mtu : Math.min(mtu, Math.max(came, IPV6_MIN_MTU));
    this.#id = (this.#id + 1) >>> 0;
    const parts = fragmentIpv6(frame.subarray(ETH_HLEN), most, this.#id, skb?.fragments ?? null);
    for (const fragment of parts) {
      const part = frameBuffer(ETH_HLEN + fragment.length);
      part.set(fragment, ETH_HLEN);
      this.#emitFrame(device, nexthop, part, skb === null ? null : skb.copy(part));
    }
  }

  #emitFrame(device: Device, nexthop: Ip6, frame: Uint8Array, skb: Skb | null): void {
    const to = isMulticastIp6(nexthop) ? multicastMac(nexthop) : 0;
    writeEthernet(frame, device.hasLinkLayer ? to : 0, device.hasLinkLayer ? device.mac : 0, ETHERTYPE_IPV6);
    if (!device.hasLinkLayer || to !== 0) device.transmit(frame, skb);
    else if (device.noArp) {
      writeMac(frame, 0, device.mac);
      device.transmit(frame, skb);
    } else device.inet6.neighbors.output(nexthop, frame, skb);
  }

  /** `ip6_input` */
  #deliver(device: Device, frame: Uint8Array, skb: Skb | null): void {
    if (skb === null) this.#process(device, frame, null);
    else if (this.#ns.ipv6.netfilter.run(NF_LOCAL_IN, skb) === 'accept')
      this.#process(device, skb.frame, skb);
  }

  /** By its extension headers to whom it is for (`ip6_protocol_deliver_rcu`). */
  #process(device: Device, frame: Uint8Array, skb: Skb | null): void {
    const { icmp } = this.#ns.ipv6;
    const found = upperLayer(frame, ETH_HLEN, frame.length);
    switch (found.type) {
      case 'upper':
        this.#demux(device, frame, found.proto, found.offset, found.namedAt, skb);
        return;
      case 'fragment':
        this.#fragment(device, frame, found.offset, skb);
        return;
      case 'problem':
        icmp.sendError(ICMPV6_PARAMETER_PROBLEM, found.code, found.pointer, frame, device, skb);
        this.#ns.kernel.drop('ip6-parameter-problem');
        return;
      default:
        this.#ns.kernel.drop(`ip6-${found.type}`);
    }
  }

  #fragment(device: Device, frame: Uint8Array, at: number, skb: Skb | null): void {
    const { kernel, ipv6 } = this.#ns;
    const problem = fragmentProblem(frame, at);
    if (problem !== null) {
      const pointer = { incomplete: 0, length: 4, beyond: at + 2 - ETH_HLEN }[problem];
      const code = problem === 'incomplete' ? PROBLEM_INCOMPLETE : PROBLEM_HEADER;
      ipv6.icmp.sendError(ICMPV6_PARAMETER_PROBLEM, code, pointer, frame, device, skb);
      kernel.drop('ip6-fragment');
      return;
    }
    const whole = this.#defrag.add(frame, at);
    if (whole !== null) this.#process(device, whole, skb);
  }

  #demux(
    device: Device,
    frame: Uint8Array,
    proto: number,
    at: number,
    namedAt: number,
    skb: Skb | null,
  ): void {
    const { ipv6, kernel } = this.#ns;
    const length = frame.length - at;
    const { xfrm } = this.#ns;
    if (xfrm.active && proto !== PROTO_ESP && !xfrm.check('in', frame, device)) {
      kernel.drop('xfrm-in-policy');
      return;
    }
    switch (proto) {
      case PROTO_ICMPV6:
        ipv6.icmp.receive(device, frame, at, length);
        return;
      case PROTO_UDP:
        ipv6.udp.receive(device, frame, at, length);
        return;
      case PROTO_TCP:
        ipv6.tcp.receive(device, frame, at, length);
        return;
      case PROTO_ESP:
        xfrm.receive(device, frame, at);
        return;
      case NO_NEXT_HEADER:
        return;
      default:
        kernel.drop('unknown-protocol');
        ipv6.icmp.sendError(
          ICMPV6_PARAMETER_PROBLEM,
          PROBLEM_NEXT_HEADER,
          namedAt - ETH_HLEN,
          frame,
          device,
          skb,
        );
    }
  }
}

const NO_NEXT_HEADER = 59;

/** The largest packet by a path, bytes: as the route says, or the device (`ip6_mtu`). */
function mtuOfPath({ route, device }: Path<Ip6>): number {
  return route?.facts.mtu ?? device.inet6.mtu;
}

/** `ip6_dst_hoplimit` */
function hopLimitOf({ route, device }: Path<Ip6>): number {
  return route?.facts.hopLimit ?? device.inet6.conf.hop_limit;
}

function destinationOf(frame: Uint8Array): Ip6 {
  return readIp6Cached(frame, ETH_HLEN + IP6_DST);
}

/** What may not come from outside (`ip6_rcv_core`). */
function isMartian(device: Device, src: Ip6, dst: Ip6): boolean {
  if (isMulticastIp6(src)) return true;
  if (isMulticastIp6(dst) && (dst.charCodeAt(1) & 0x0f) < 1) return true;
  if (device.kind === 'loopback') return false;
  // ff01 stays within a node.
  if (isMulticastIp6(dst) && (dst.charCodeAt(1) & 0x0f) === 1) return true;
  return src === LOOPBACK_IP6 || dst === LOOPBACK_IP6;
}

/** Hash of a flow that is on its way: addresses, protocol, and ports where they follow at once. */
function flowHash(frame: Uint8Array): number {
  const proto = ip6NextHeader(frame, ETH_HLEN);
  let hash = proto;
  for (let at = ETH_HLEN + IP6_SRC; at < ETH_HLEN + IPV6_HLEN; at += 4)
    hash = Math.imul(hash ^ u32(frame, at), 0x9e3779b1) ^ (hash >>> 15);
  const at = ETH_HLEN + IPV6_HLEN;
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && at + 4 <= frame.length)
    hash = Math.imul(hash ^ u32(frame, at), 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function sentHash({ src, dst, proto }: PacketOptions<Ip6>): number {
  let hash = proto;
  for (let i = 0; i < 16; i++)
    hash = Math.imul(hash ^ (src.charCodeAt(i) << 8) ^ dst.charCodeAt(i), 0x9e3779b1);
  return hash >>> 0;
}
