import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import {
  EXCEEDED_TTL,
  ICMP_DEST_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  UNREACH_ADMIN,
  UNREACH_FRAG_NEEDED,
  UNREACH_HOST,
  UNREACH_NET,
  UNREACH_SOURCE_ROUTE,
} from '../../../protocols/icmp.ts';
import { decrementTtl, IPV4_HLEN, ipDf, ipDst, ipHeaderLength, ipTtl } from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import { NF_FORWARD } from '../netfilter/hooks.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { flowOf } from '../xfrm/flow.ts';
import { isGroupFrame } from './icmp-error.ts';
import type { IpOutput } from './output.ts';
import { type Path, packetFlow } from './path.ts';
import { RedirectSender } from './redirect.ts';
import { type InputRefusal, wantsRedirect } from './route-input.ts';

/** Forwarding (RFC 1812 §5). */
export class IpForward {
  readonly #ns: Netns;
  readonly #output: IpOutput;
  readonly #redirects: RedirectSender;

  constructor(ns: Netns, output: IpOutput) {
    this.#ns = ns;
    this.#output = output;
    this.#redirects = new RedirectSender(ns);
  }

  /** Answers for a packet that came in and goes nowhere (`ip_error`). */
  refuse(why: InputRefusal, frame: Uint8Array, skb: Skb | null): void {
    const ns = this.#ns;
    const code = REFUSAL_CODES[why];
    if (code !== null) ns.ip.icmpError(ICMP_DEST_UNREACHABLE, code, 0, frame, skb);
    // Nobody is told of what came as a broadcast.
    ns.kernel.drop(code !== null && isGroupFrame(frame) ? 'ip-link-broadcast' : REFUSAL_DROPS[why]);
  }

  /** What `ip_forward` does once `ip_route_input` has decided. */
  forward(device: Device, frame: Uint8Array, path: Path, skb: Skb | null): void {
    const ns = this.#ns;
    if (isGroupFrame(frame)) {
      ns.kernel.drop('ip-link-broadcast');
      return;
    }
    const { unsealing } = ns.xfrm;
    if (ns.xfrm.active && !ns.xfrm.check('fwd', frame, device)) {
      ns.kernel.drop('xfrm-in-policy');
      return;
    }
    if (ipTtl(frame, ETH_HLEN) <= 1) {
      ns.ip.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_TTL, 0, frame, skb);
      ns.kernel.drop('ttl-exceeded');
      return;
    }
    const { options } = ns.ip;
    const hasOptions = ipHeaderLength(frame, ETH_HLEN) > IPV4_HLEN;
    if (hasOptions && options.isStrict(frame) && isByGateway(path, options.destination(frame))) {
      ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_SOURCE_ROUTE, 0, frame, skb);
      ns.kernel.drop('ip-source-route');
      return;
    }
    // What routers further on have said is the senders' affair, unless this one is to heed it too.
    const dst = ipDst(frame, ETH_HLEN);
    // What the host learned for itself counts where it was told to (`ip_dst_mtu_maybe_forward`), or less than can be had was asked for.
    const usesPathMtu = ns.sysctls.ipv4.ip_forward_use_pmtu !== 0 || ns.pathMtus.locked(dst, path);
    const pathMtu = usesPathMtu ? ns.pathMtus.of(dst, path) : path.device.mtu;
    const mtu = ns.xfrm.active ? ns.xfrm.mtu(flowOf(frame), pathMtu) : pathMtu;
    // What was put together here goes on in fragments as large as those that came (`ip_exceeds_mtu`).
    const largest = skb !== null && skb.fragmentSize !== 0 ? skb.fragmentSize : frame.length - ETH_HLEN;
    if (largest > mtu && ipDf(frame, ETH_HLEN)) {
      ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame, skb);
      ns.kernel.drop('frag-needed');
      return;
    }
    // Before a redirect, which quotes the packet as it goes on.
    decrementTtl(frame, ETH_HLEN);
    if (path.device === device && !unsealing && !(hasOptions && options.hasSourceRoute(frame))) {
      const flow = packetFlow(frame, device, skb?.mark ?? 0);
      if (wantsRedirect(ns, device, ipDst(frame, ETH_HLEN), flow, path))
        this.#redirects.send(device, frame, path.nexthop, skb);
    }
    if (skb !== null) {
      skb.out = path.device;
      if (ns.netfilter.run(NF_FORWARD, skb) !== 'accept') return;
    }
    if (hasOptions) options.forward(skb === null ? frame : skb.frame, path);
    if (path.device !== device || !device.hasLinkLayer) ns.kernel.forwarded++;
    this.#output.finish(path, skb === null ? frame : skb.frame, mtu, skb);
  }
}

/** `rt_uses_gateway` */
function isByGateway({ nexthop, via6 }: Path, dst: number): boolean {
  return via6 !== undefined || nexthop !== dst;
}

const REFUSAL_CODES: Readonly<Record<InputRefusal, number | null>> = {
  martian: null,
  'martian-destination': null,
  'rp-filter': null,
  'not-for-us': null,
  'no-route': UNREACH_NET,
  unreachable: UNREACH_HOST,
  prohibit: UNREACH_ADMIN,
  blackhole: null,
};

const REFUSAL_DROPS: Readonly<Record<InputRefusal, string>> = {
  martian: 'ip-martian',
  'martian-destination': 'ip-martian',
  'rp-filter': 'ip-rp-filter',
  'not-for-us': 'ip-not-for-us',
  'no-route': 'no-route',
  unreachable: 'no-route',
  prohibit: 'no-route',
  blackhole: 'blackhole',
};
