import { PROTO_ESP } from '../../../protocols/esp.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMPV6_PARAMETER_PROBLEM } from '../../../protocols/icmpv6.ts';
import { formatIp6, type Ip6, isMulticastIp6, LOOPBACK_IP6, readIp6Cached } from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import {
  hopByHopRefusal,
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  ip6PayloadLength,
  PROBLEM_HEADER,
  PROBLEM_INCOMPLETE,
  PROBLEM_NEXT_HEADER,
  PROTO_ICMPV6,
  upperLayer,
  validateIpv6,
} from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import { NF_LOCAL_IN, NF_PRE_ROUTING } from '../netfilter/hooks.ts';
import { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { fragmentProblem, Ip6Defrag } from './defrag.ts';
import { fib6Lookup } from './fib-lookup.ts';
import { packetFlow6 } from './flow.ts';
import type { Ip6Forward } from './forward.ts';

const NO_NEXT_HEADER = 59;

/**
 * From a device to a socket or to forwarding (`ipv6_rcv`, `ip6_rcv_finish`, `ip6_input`). INPUT comes before the extension headers
 * are looked at, and before fragments are put together.
 */
export class Ip6Input {
  readonly #ns: Netns;
  readonly #forward: Ip6Forward;
  readonly #defrag: Ip6Defrag;

  constructor(ns: Netns, forward: Ip6Forward) {
    this.#ns = ns;
    this.#forward = forward;
    this.#defrag = new Ip6Defrag(ns);
  }

  /** See `Ip6Layer.input`. */
  receive(device: Device, frame: Uint8Array, carried: Skb | null): void {
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
    const dst = destinationOf(packet);
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
      this.#route(device, packet, dst, null);
      return;
    }
    const skb = carried ?? new Skb(packet, device);
    if (kernel.rt.cause < 0) skb.trace = true;
    skb.frame = packet;
    skb.in = device;
    skb.out = null;
    skb.cameBy = this.#ns.xfrm.behind;
    if (ipv6.netfilter.run(NF_PRE_ROUTING, skb) === 'accept')
      this.#route(device, skb.frame, destinationOf(skb.frame), skb);
  }

  /** See `Ip6Layer.inputBridged`. */
  receiveBridged(device: Device, skb: Skb): void {
    const { frame } = skb;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const dst = destinationOf(frame);
    if (!device.inet6.enabled) this.#ns.kernel.drop('ip6-disabled');
    else if (isMartian(device, src, dst)) this.#ns.kernel.drop('ip6-martian');
    else this.#route(device, frame, dst, skb);
  }

  /** See `Ip6Layer.deliver`. */
  deliver(device: Device, frame: Uint8Array): void {
    this.#process(device, frame, null);
  }

  /** `ip6_rcv_finish` */
  #route(device: Device, frame: Uint8Array, dst: Ip6, skb: Skb | null): void {
    const { kernel } = this.#ns;
    const behind = device.rxHandler?.behind?.(frame);
    if (behind?.ns.ipv6.addresses.isLocal(dst, behind) === true) this.#deliver(device, frame, skb, behind);
    else if (isMulticastIp6(dst)) {
      if (device.kind === 'loopback' || device.inet6.listensTo(dst)) this.#deliver(device, frame, skb);
      else kernel.drop('ip6-multicast');
    } else if (this.#isForUs(device, frame, dst, skb)) {
      if (kernel.rt.cause < 0)
        kernel.tracer.step(this.#ns, { at: 'route', way: `local ${formatIp6(dst)} dev lo` }, frame);
      this.#deliver(device, frame, skb);
    } else this.#forward.forward(device, frame, dst, skb);
  }

  #isForUs(device: Device, frame: Uint8Array, dst: Ip6, skb: Skb | null): boolean {
    const { addresses, rules, tables } = this.#ns.ipv6;
    if (!rules.custom && !tables.customLocal) return addresses.isLocal(dst, device);
    return fib6Lookup(this.#ns, dst, 0, null, packetFlow6(frame, device, skb?.mark ?? 0))?.type === 'local';
  }

  /** `ip6_input`. `to`: who it is for in the end, be it another. */
  #deliver(device: Device, frame: Uint8Array, skb: Skb | null, to = device): void {
    if (skb !== null && this.#ns.ipv6.netfilter.run(NF_LOCAL_IN, skb) !== 'accept') return;
    const taken = skb?.frame ?? frame;
    if (to !== device) to.ns.ipv6.layer.deliver(to, taken);
    else this.#process(device, taken, skb);
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
        if (
          this.#ns.tunnels.receive6({
            ...{ proto, frame, at, device },
            ...{ src: readIp6Cached(frame, ETH_HLEN + IP6_SRC), dst: destinationOf(frame) },
          })
        )
          return;
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
