import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { type LastHeader, lastHeader } from '../../../protocols/ipv6-headers.ts';
import type { Device } from '../device.ts';
import type { XfrmState } from '../xfrm/state.ts';
import type { Conntrack, CtDirection, CtState } from './conntrack-entry.ts';

/**
 * A packet on its way through one namespace, with what is known of it beside its bytes (`struct sk_buff`). A veth to another
 * namespace or a wire ends its way: there the frame alone goes on, as `skb_scrub_packet` has it.
 */
export class Skb {
  /** Ethernet header first, the IP header at ETH_HLEN. Replaced where a target has to change its length. */
  frame: Uint8Array;
  /** Where it came in; null for a packet of the host's own, until it comes back by lo. */
  in: Device | null;
  /** Where it will go out, from the routing decision on. */
  out: Device | null = null;
  /** Address that `out` is to resolve, from the routing decision on. */
  nexthop: IpAddress = 0;
  /** Bridge ports that a bridged packet came in and goes out by (`-m physdev`). */
  physIn: Device | null = null;
  physOut: Device | null = null;
  /** DNAT has sent a bridged packet to another port of its bridge (BRNF_BRIDGED_DNAT). */
  bridgedDnat = false;
  /** `fwmark`, unsigned 32 bits. */
  mark = 0;
  /** The association of IPsec that it came through (`skb_sec_path`); and whether one has sealed it, on its way out. */
  cameBy: XfrmState | null = null;
  sealed = false;
  /** Class of traffic control (`-j CLASSIFY`), major number above minor, unsigned 32 bits. */
  priority = 0;
  /** Tag control information of the VLAN that a bridge has it in: priority (3 bits), 0, VLAN (12). */
  vlan = 0;
  ct: Conntrack | null = null;
  ctState: CtState = 'none';
  ctDirection: CtDirection = 0;
  /** Put together from fragments of at most so many bytes, into which it is to be split again; 0 if it was none. */
  fragmentSize = 0;
  /** Bytes of the data of each of them. */
  fragments: readonly number[] | null = null;
  /** Set by `-j TRACE`. */
  trace = false;
  /** IPVS has seen to it, and lets it pass from there on (`ipvs_property`). */
  ipvs = false;
  /** Set where netfilter changed what routing decides by (destination, mark, TOS) at LOCAL_OUT: `ip_route_me_harder`. */
  reroute = false;
  /** A match has found the packet broken: it is dropped, whatever the rules say. */
  hotdrop = false;
  #upper: LastHeader | null = null;
  /** The frame that `#upper` is of. */
  #upperOf: Uint8Array | null = null;

  constructor(frame: Uint8Array, input: Device | null) {
    this.frame = frame;
    this.in = input;
  }

  /** What the extension headers of a packet of IPv6 lead to; null where they end in the middle of one. */
  get upper(): LastHeader | null {
    const { frame } = this;
    if (this.#upperOf !== frame) {
      this.#upperOf = frame;
      this.#upper = lastHeader(frame, ETH_HLEN, frame.length);
    }
    return this.#upper;
  }

  /** Puts what the kernel sends of itself about a packet into that one's flow, the other way (`nf_conntrack_attach`). */
  answers({ ct, ctDirection }: Skb): void {
    if (ct === null) return;
    this.ct = ct;
    this.ctState = 'related';
    this.ctDirection = ctDirection === 0 ? 1 : 0;
  }

  /** For another frame of the same packet: a fragment, or a copy that a bridge floods (`skb_clone`). */
  copy(frame: Uint8Array): Skb {
    const copy = new Skb(frame, this.in);
    copy.out = this.out;
    copy.nexthop = this.nexthop;
    copy.physIn = this.physIn;
    copy.physOut = this.physOut;
    copy.mark = this.mark;
    copy.priority = this.priority;
    copy.vlan = this.vlan;
    copy.ct = this.ct;
    copy.ctState = this.ctState;
    copy.ctDirection = this.ctDirection;
    copy.fragmentSize = this.fragmentSize;
    copy.fragments = this.fragments;
    copy.trace = this.trace;
    copy.ipvs = this.ipvs;
    return copy;
  }
}
