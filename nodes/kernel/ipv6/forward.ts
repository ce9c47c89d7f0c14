import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import {
  EXCEEDED6_HOP_LIMIT,
  ICMPV6_DEST_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_TIME_EXCEEDED,
  UNREACH6_NO_ROUTE,
} from '../../../protocols/icmpv6.ts';
import { ANY_IP6, type Ip6, isLinkLocal, readIp6Cached } from '../../../protocols/ip6.ts';
import { IP6_SRC, ip6HopLimit } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import { describePath } from '../ip/path.ts';
import { NF_FORWARD } from '../netfilter/hooks.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { flowOf } from '../xfrm/flow.ts';
import { fib6Lookup } from './fib-lookup.ts';
import { packetFlow6 } from './flow.ts';
import { type Ip6Output, mtuOfPath } from './output.ts';

/** 'administratively prohibited', 'beyond scope of source address' (RFC 4443 §3.1). */
const UNREACH6_PROHIBITED = 1;
const UNREACH6_SCOPE = 2;

/** Forwarding (RFC 8200 §3, RFC 4443 §3). */
export class Ip6Forward {
  readonly #ns: Netns;
  readonly #output: Ip6Output;

  constructor(ns: Netns, output: Ip6Output) {
    this.#ns = ns;
    this.#output = output;
  }

  /** In the order of Linux: `ip6_route_input` answers for what cannot be reached, `ip6_forward` comes after. */
  forward(device: Device, frame: Uint8Array, dst: Ip6, skb: Skb | null): void {
    const { kernel, ipv6 } = this.#ns;
    const { icmp } = ipv6;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const flow = ipv6.rules.custom ? packetFlow6(frame, device, skb?.mark ?? 0) : null;
    // What is for the link is sent back to it, and nowhere else (`rt6_need_strict`).
    const path = fib6Lookup(this.#ns, dst, frame, isLinkLocal(dst) ? device : null, flow);
    if (kernel.rt.cause < 0)
      kernel.tracer.step(this.#ns, { at: 'route', way: describePath(path ?? 'no-route', dst) }, frame);
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
    // What is known of the path is looked at as the packet leaves (`ip6_fragment`).
    const pathMtu = ipv6.pathMtus.of(dst, path);
    if (pathMtu < mtu && largest > pathMtu) {
      icmp.sendError(ICMPV6_PACKET_TOO_BIG, 0, pathMtu, skb === null ? frame : skb.frame, device, skb);
      kernel.drop('packet-too-big');
      return;
    }
    if (path.device !== device || !device.hasLinkLayer) kernel.forwarded++;
    this.#output.finish(path, skb === null ? frame : skb.frame, mtu, skb);
  }
}
