import { PROTO_ESP } from '../../../protocols/esp.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_PROTOCOL } from '../../../protocols/icmp.ts';
import { isLoopback, isMulticast } from '../../../protocols/ip4.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTotalLength,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  validateIpv4,
} from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import { NF_LOCAL_IN, NF_PRE_ROUTING } from '../netfilter/hooks.ts';
import { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { IpDefrag, isFragment } from './defrag.ts';
import type { IpForward } from './forward.ts';
import { logMartian } from './martians.ts';
import { describePath, flowHash, type Path, receivedFlow } from './path.ts';
import { type InputRefusal, routeInput } from './route-input.ts';

/** From a device to a socket or to forwarding (`ip_rcv`, `ip_rcv_finish`, `ip_local_deliver`). */
export class IpInput {
  readonly #ns: Netns;
  readonly #forward: IpForward;
  readonly #defrag: IpDefrag;

  constructor(ns: Netns, forward: IpForward) {
    this.#ns = ns;
    this.#forward = forward;
    this.#defrag = new IpDefrag(ns);
  }

  /**
   * An IPv4 frame that is for this host at the link layer. `carried` is what is known of it from its way out of this
   * very namespace, where it comes back by lo.
   */
  receive(device: Device, frame: Uint8Array, carried: Skb | null): void {
    const { kernel, netfilter } = this.#ns;
    const validity = validateIpv4(frame, ETH_HLEN, frame.length - ETH_HLEN);
    if (validity !== 'ok') {
      kernel.drop(`ip-${validity}`);
      return;
    }
    const total = ipTotalLength(frame, ETH_HLEN);
    const packet = frame.length === ETH_HLEN + total ? frame : frame.subarray(0, ETH_HLEN + total);
    if (!netfilter.active) {
      this.#route(device, packet, null);
      return;
    }
    const skb = carried ?? new Skb(packet, device);
    if (kernel.rt.cause < 0) skb.trace = true;
    skb.frame = packet;
    skb.in = device;
    skb.out = null;
    skb.cameBy = this.#ns.xfrm.behind;
    if (netfilter.run(NF_PRE_ROUTING, skb) === 'accept') this.#route(device, skb.frame, skb);
  }

  /** A frame that has been through PREROUTING as the bridge's own (`ip_sabotage_in`). */
  receiveBridged(device: Device, skb: Skb): void {
    this.#route(device, skb.frame, skb);
  }

  /** See `IpLayer.deliver`. */
  deliver(device: Device, frame: Uint8Array): void {
    this.#demux(device, frame, null);
  }

  /** `ip_rcv_finish` */
  #route(device: Device, frame: Uint8Array, skb: Skb | null): void {
    const ns = this.#ns;
    const dst = ipDst(frame, ETH_HLEN);
    const behind = device.rxHandler?.behind?.(frame);
    if (behind !== undefined) {
      const way = routeInput(
        behind.ns,
        behind,
        dst,
        0,
        receivedFlow(behind.ns, frame, behind, skb?.mark ?? 0),
      );
      if (typeof way !== 'string' && way.type === 'local') {
        this.#deliver(device, frame, skb, behind);
        return;
      }
    }
    if (isMulticast(dst)) {
      ns.kernel.drop(isMartianSource(frame) ? 'ip-martian' : 'ip-multicast');
      return;
    }
    const flow = receivedFlow(ns, frame, device, skb?.mark ?? 0);
    const policy = ns.sysctls.ipv4.fib_multipath_hash_policy;
    let way = routeInput(ns, device, dst, flowHash(frame, ETH_HLEN, flow.src, dst, policy), flow);
    if (ipHeaderLength(frame, ETH_HLEN) > IPV4_HLEN && !isMartian(way)) {
      const further = ns.ip.options.receive(device, frame, way, skb);
      if (further === null) return;
      way = further;
    }
    const { rt, tracer } = ns.kernel;
    if (rt.cause < 0) tracer.step(ns, { at: 'route', way: describePath(way, dst) }, frame);
    if (typeof way === 'string') {
      logMartian(ns, device, frame, way, dst, flow.src);
      this.#forward.refuse(way, frame, skb);
    } else if (way.type === 'unicast') this.#forward.forward(device, frame, way, skb);
    else this.#deliver(device, frame, skb);
  }

  /** `to`: who it is for in the end, be it another. */
  #deliver(device: Device, frame: Uint8Array, skb: Skb | null, to = device): void {
    let whole = frame;
    if (isFragment(frame)) {
      const rebuilt = this.#defrag.add(frame);
      if (rebuilt === null) return;
      whole = rebuilt;
      if (skb !== null) skb.fragmentSize = this.#defrag.largest;
      if (ipHeaderLength(whole, ETH_HLEN) > IPV4_HLEN) this.#ns.ip.options.adopt(whole);
    }
    if (skb !== null) {
      skb.frame = whole;
      if (this.#ns.netfilter.run(NF_LOCAL_IN, skb) !== 'accept') return;
      whole = skb.frame;
    }
    if (to !== device) to.ns.ip.deliver(to, whole);
    else this.#demux(device, whole, skb);
  }

  #demux(device: Device, frame: Uint8Array, skb: Skb | null): void {
    const ns = this.#ns;
    const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    const length = frame.length - at;
    const proto = ipProto(frame, ETH_HLEN);
    if (ns.xfrm.active && proto !== PROTO_ESP && !ns.xfrm.check('in', frame, device)) {
      ns.kernel.drop('xfrm-in-policy');
      return;
    }
    switch (proto) {
      case PROTO_ICMP:
        ns.icmp.receive(device, frame, at, length);
        return;
      case PROTO_UDP:
        ns.udp.receive(device, frame, at, length);
        return;
      case PROTO_TCP:
        ns.tcp.receive(device, frame, at, length);
        return;
      case PROTO_ESP:
        ns.xfrm.receive(device, frame, at);
        return;
      default:
        if (
          ns.tunnels.receive({
            ...{ proto, frame, at, device },
            ...{ src: ipSrc(frame, ETH_HLEN), dst: ipDst(frame, ETH_HLEN) },
          })
        )
          return;
        ns.kernel.drop('unknown-protocol');
        // What no protocol has taken has its flow still.
        ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PROTOCOL, 0, frame, skb);
    }
  }
}

/** What is not routed at all is not read further. */
function isMartian(way: Path | InputRefusal): boolean {
  return way === 'martian' || way === 'martian-destination' || way === 'rp-filter';
}

function isMartianSource(frame: Uint8Array): boolean {
  const src = ipSrc(frame, ETH_HLEN);
  return isMulticast(src) || isLoopback(src);
}
