import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { ANY_IP6, type Ip6, isMulticastIp6, multicastMac, readIp6Cached } from '../../../protocols/ip6.ts';
import { IP6_DST, IPV6_HLEN, IPV6_MIN_MTU, writeIpv6Header } from '../../../protocols/ipv6.ts';
import { fragmentIpv6 } from '../../../protocols/ipv6-fragments.ts';
import { writeMac } from '../../../protocols/mac.ts';
import type { Device } from '../device.ts';
import type { PacketOptions, SendError } from '../ip/output.ts';
import { describePath, type Path, pathError } from '../ip/path.ts';
import { NF_LOCAL_OUT, NF_POST_ROUTING } from '../netfilter/hooks.ts';
import { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { portsAt, type XfrmFlow } from '../xfrm/flow.ts';
import { fib6Lookup } from './fib-lookup.ts';
import { packetFlow6, sentFlow6, sentHash6 } from './flow.ts';

/** From a socket or from forwarding to the neighbour layer (`ip6_local_out`, `ip6_output`, `ip6_finish_output`). */
export class Ip6Output {
  readonly #ns: Netns;
  #id = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** See `Ip6Layer.output`. */
  send(buffer: Uint8Array, options: PacketOptions<Ip6>, fill?: (src: Ip6) => void): SendError | null {
    const path = this.wayOf(buffer, options);
    const error = pathError(path);
    if (path === null || error !== null) return error;
    return this.sendOn(path, buffer, options, fill);
  }

  /** See `Ip6Layer.wayOf`. */
  wayOf(buffer: Uint8Array, options: PacketOptions<Ip6>): Path<Ip6> | null {
    const flow = this.#ns.ipv6.rules.custom ? sentFlow6(buffer, options) : null;
    return fib6Lookup(this.#ns, options.dst, sentHash6(options), options.device ?? null, flow);
  }

  /** See `Ip6Layer.outputBy`. */
  sendOn(
    path: Path<Ip6>,
    buffer: Uint8Array,
    options: PacketOptions<Ip6>,
    fill?: (src: Ip6) => void,
  ): SendError | null {
    const { ipv6 } = this.#ns;
    const { dst, proto, df = false } = options;
    const src = options.src !== ANY_IP6 ? options.src : ipv6.sourceFor(path, dst);
    // Without an address nothing but the claim to one may be sent (Linux says EADDRNOTAVAIL).
    if (src === ANY_IP6) return 'ENETUNREACH';
    let mtu = df === 'probe' ? mtuOfPath(path) : this.mtuOf(dst, path);
    const { xfrm } = this.#ns;
    if (xfrm.active && df !== 'probe')
      mtu = xfrm.mtu({ src, dst, proto, ...portsAt(buffer, ETH_HLEN + IPV6_HLEN, proto) }, mtu);
    if (df !== false && buffer.length - ETH_HLEN > mtu) return 'EMSGSIZE';
    fill?.(src);
    writeIpv6Header(buffer, ETH_HLEN, {
      src,
      dst,
      nextHeader: proto,
      hopLimit: options.ttl ?? (isMulticastIp6(dst) ? 1 : hopLimitOf(path)),
      payloadLength: buffer.length - ETH_HLEN - IPV6_HLEN,
      trafficClass: options.tos ?? 0,
      flowLabel: options.flowLabel ?? 0,
    });
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0) {
      tracer.step(this.#ns, { at: 'socket.send' }, buffer);
      tracer.step(this.#ns, { at: 'route', way: describePath(path, dst) }, null);
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

  /** See `Ip6Layer.localOut`. */
  sendWhole(skb: Skb): SendError | null {
    const path = this.#routeAgain(skb);
    return typeof path === 'string' ? path : this.#localOut(path, skb, mtuOfPath(path));
  }

  /** See `Ip6Layer.localOutVia`. */
  sendVia(device: Device, skb: Skb): SendError | null {
    const { frame, mark } = skb;
    const flow = { ...packetFlow6(frame, null, mark), oif: device };
    const path = fib6Lookup(this.#ns, destinationOf(frame), frame, device, flow);
    const error = pathError(path);
    return path === null || error !== null ? error : this.#localOut(path, skb, mtuOfPath(path));
  }

  /** See `Ip6Layer.leave`. */
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
    if (!skb.reroute) return this.finish(path, skb.frame, mtu, skb);
    skb.reroute = false;
    const other = this.#routeAgain(skb);
    if (typeof other === 'string') {
      kernel.drop('no-route');
      return other;
    }
    return this.finish(other, skb.frame, this.mtuOf(destinationOf(skb.frame), other), skb);
  }

  /** The way of a packet that is complete (`ip6_route_me_harder`). */
  #routeAgain({ frame, mark }: Skb): Path<Ip6> | SendError {
    const dst = destinationOf(frame);
    const path = this.#ns.ipv6.layer.lookupPacket(frame, null, mark);
    const { rt, tracer } = this.#ns.kernel;
    if (rt.cause < 0)
      tracer.step(this.#ns, { at: 'route', way: describePath(path ?? 'no-route', dst) }, frame);
    return pathError(path) ?? path ?? 'ENETUNREACH';
  }

  /** What is routed goes out, through POSTROUTING where something is registered (`ip6_output`). */
  finish(path: Path<Ip6>, frame: Uint8Array, mtu: number, skb: Skb | null): SendError | null {
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

  /** See `Ip6Layer.sendSealed`. */
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

  /** See `Ip6Layer.mtuOf`. */
  mtuOf(dst: Ip6, path: Path<Ip6>): number {
    return Math.min(mtuOfPath(path), this.#ns.ipv6.pathMtus.of(dst, path));
  }

  /** See `Ip6Layer.flowMtu`. */
  flowMtu(flow: XfrmFlow & { readonly dst: Ip6 }, path: Path<Ip6>): number {
    const mtu = this.mtuOf(flow.dst, path);
    return this.#ns.xfrm.active ? this.#ns.xfrm.mtu(flow, mtu) : mtu;
  }
}

/** The largest packet by a path, bytes: as the route says, or the device (`ip6_mtu`). */
export function mtuOfPath({ route, device }: Path<Ip6>): number {
  return route?.facts.mtu ?? device.inet6.mtu;
}

/** `ip6_dst_hoplimit` */
function hopLimitOf({ route, device }: Path<Ip6>): number {
  return route?.facts.hopLimit ?? device.inet6.conf.hop_limit;
}

function destinationOf(frame: Uint8Array): Ip6 {
  return readIp6Cached(frame, ETH_HLEN + IP6_DST);
}
