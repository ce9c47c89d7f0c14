import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import {
  EXCEEDED_TTL,
  ICMP_DEST_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  UNREACH_FRAG_NEEDED,
  UNREACH_HOST,
  UNREACH_NET,
} from '../../../protocols/icmp.ts';
import { decrementTtl, ipDf, ipTtl } from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import { NF_FORWARD } from '../netfilter/hooks.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import { isGroupFrame } from './icmp-error.ts';
import type { IpOutput } from './output.ts';
import { flowHash } from './path.ts';

/** Forwarding (RFC 1812 §5). */
export class IpForward {
  readonly #ns: Netns;
  readonly #output: IpOutput;

  constructor(ns: Netns, output: IpOutput) {
    this.#ns = ns;
    this.#output = output;
  }

  /** In the order of Linux: `ip_route_input` decides and answers for what cannot be reached, `ip_forward` comes after. */
  forward(device: Device, frame: Uint8Array, src: number, dst: number, skb: Skb | null): void {
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
      ns.ip.icmpError(ICMP_DEST_UNREACHABLE, path === null ? UNREACH_NET : UNREACH_HOST, 0, frame);
      ns.kernel.drop('no-route');
      return;
    }
    if (path.type !== 'unicast') {
      ns.kernel.drop(path.type === 'blackhole' ? 'blackhole' : 'ip-not-for-us');
      return;
    }
    if (ipTtl(frame, ETH_HLEN) <= 1) {
      ns.ip.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_TTL, 0, frame);
      ns.kernel.drop('ttl-exceeded');
      return;
    }
    const { mtu } = path.device;
    if (frame.length - ETH_HLEN > mtu && ipDf(frame, ETH_HLEN)) {
      ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
      ns.kernel.drop('frag-needed');
      return;
    }
    decrementTtl(frame, ETH_HLEN);
    if (skb !== null) {
      skb.out = path.device;
      if (ns.netfilter.run(NF_FORWARD, skb) !== 'accept') return;
    }
    if (path.device !== device || !device.hasLinkLayer) ns.kernel.forwarded++;
    this.#output.finish(path, skb === null ? frame : skb.frame, mtu, skb);
  }
}
