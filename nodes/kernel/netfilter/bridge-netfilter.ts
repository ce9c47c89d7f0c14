import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from '../../../protocols/ethernet.ts';
import { fragmentIpv4, ipDf, ipDst, ipTotalLength, validateIpv4 } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN, ip6PayloadLength, validateIpv6 } from '../../../protocols/ipv6.ts';
import { writeMac } from '../../../protocols/mac.ts';
import type { BridgeDevice } from '../bridge.ts';
import type { Device } from '../device.ts';
import { sendToNeighbor } from '../ip/output.ts';
import { pathError } from '../ip/path.ts';
import type { Netns } from '../netns.ts';
import type { SysctlSpec } from '../sysctl.ts';
import { NF_FORWARD, NF_POST_ROUTING, NF_PRE_ROUTING } from './hooks.ts';
import { Skb } from './skb.ts';

/** `net.bridge` of a namespace, as with br_netfilter loaded. */
type BridgeSettings = {
  'bridge-nf-call-iptables': number;
  /** Nothing is registered for these two families that could be called. */
  'bridge-nf-call-ip6tables': number;
  'bridge-nf-call-arptables': number;
};

/** What of an ARP packet there has to be to ask for its kind (`br_nf_forward_arp`), bytes. */
const ARP_FIXED = 8;

const FLAG: SysctlSpec = { min: 0, max: 1 };

/**
 * What br_netfilter does: IPv4 frames that a bridge forwards pass PREROUTING, FORWARD and POSTROUTING as packets of the bridge
 * device, their ports beside them. So DNAT works between pods of one bridge, and answers that would go past the host by the
 * bridge have their addresses put back (net/bridge/br_netfilter_hooks.c).
 */
export class BridgeNetfilter {
  readonly #settings: BridgeSettings = {
    'bridge-nf-call-iptables': 1,
    'bridge-nf-call-ip6tables': 1,
    'bridge-nf-call-arptables': 1,
  };
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
    ns.sysctls.add({
      path: 'bridge',
      variables: Object.fromEntries(Object.keys(this.#settings).map((name) => [name, FLAG])),
      values: () => this.#settings,
    });
  }

  /** Whether a frame that a bridge got by a port is netfilter's affair. */
  calls(frame: Uint8Array): boolean {
    return (
      this.#ns.netfilter.active &&
      this.#settings['bridge-nf-call-iptables'] === 1 &&
      frame.length >= ETH_HLEN &&
      etherType(frame) === ETHERTYPE_IPV4
    );
  }

  /**
   * A frame that nothing is registered for: as long as its packet says it is. Null where that is malformed, which no bridge
   * passes on that could be asked (`br_validate_ipv4`, `br_validate_ipv6`).
   */
  validated(frame: Uint8Array): Uint8Array | null {
    const length = frame.length - ETH_HLEN;
    if (length < 0) return frame;
    const type = etherType(frame);
    let total = length;
    if (type === ETHERTYPE_IPV4 && this.#settings['bridge-nf-call-iptables'] === 1) {
      if (validateIpv4(frame, ETH_HLEN, length) !== 'ok') return null;
      total = ipTotalLength(frame, ETH_HLEN);
    } else if (type === ETHERTYPE_IPV6 && this.#settings['bridge-nf-call-ip6tables'] === 1) {
      if (validateIpv6(frame, ETH_HLEN, length) !== 'ok') return null;
      total = IPV6_HLEN + ip6PayloadLength(frame, ETH_HLEN);
    }
    return total === length ? frame : frame.subarray(0, ETH_HLEN + total);
  }

  /**
   * Takes a valid frame through PREROUTING (`br_nf_pre_routing`). Null: it was dropped. 'sent': it has gone on, or waits for an
   * address. What DNAT has sent elsewhere has a new Ethernet destination.
   */
  preRouting(bridge: Device, port: Device, packet: Uint8Array, tci: number): Skb | 'sent' | null {
    const { kernel, netfilter } = this.#ns;
    const dst = ipDst(packet, ETH_HLEN);
    const skb = new Skb(packet, bridge);
    if (kernel.rt.cause < 0) skb.trace = true;
    skb.physIn = port;
    skb.vlan = tci;
    if (netfilter.run(NF_PRE_ROUTING, skb) !== 'accept') return null;
    return ipDst(skb.frame, ETH_HLEN) === dst ? skb : this.#redirect(bridge, skb);
  }

  /**
   * Sends a frame to where DNAT has pointed it (`br_nf_pre_routing_finish`): by the same bridge to the neighbour it is for,
   * without being routed; else to the host, which routes it.
   */
  #redirect(bridge: Device, skb: Skb): Skb | 'sent' | null {
    const ns = this.#ns;
    const { frame } = skb;
    const path = ns.lookupPacket(frame, bridge, skb.mark);
    if (pathError(path) !== null || path === null) {
      ns.kernel.drop('no-route');
      return null;
    }
    if (path.device !== bridge) {
      writeMac(frame, 0, bridge.mac);
      return skb;
    }
    skb.bridgedDnat = true;
    sendToNeighbor(path, frame, skb);
    return 'sent';
  }

  /**
   * Takes a frame through FORWARD and POSTROUTING on its way to a port (`br_nf_forward_ip`, `br_nf_post_routing`), and sends
   * it.
   */
  forward(bridge: BridgeDevice, port: Device, skb: Skb): void {
    const { netfilter } = this.#ns;
    skb.physOut = port;
    skb.out = bridge;
    if (netfilter.run(NF_FORWARD, skb) !== 'accept') return;
    if (netfilter.run(NF_POST_ROUTING, skb) !== 'accept') return;
    this.send(bridge, port, skb.frame, skb.vlan, skb);
  }

  /**
   * Sends a frame that came by another port; in fragments where it was put together from some, or is longer than the port takes
   * (`br_nf_dev_queue_xmit`). How long they are then the bridge's own MTU says.
   */
  send(bridge: BridgeDevice, port: Device, frame: Uint8Array, tci: number, skb: Skb | null): void {
    const most = skb === null || skb.fragmentSize === 0 ? Number.POSITIVE_INFINITY : skb.fragmentSize;
    const length = frame.length - ETH_HLEN;
    if (length <= port.mtu && length <= most) {
      if (
        length < ARP_FIXED &&
        etherType(frame) === ETHERTYPE_ARP &&
        this.#settings['bridge-nf-call-arptables'] === 1
      ) {
        this.#ns.kernel.drop('arp-malformed');
        return;
      }
      bridge.egress(port, frame, tci, skb);
      return;
    }
    const type = etherType(frame);
    const asked = type === ETHERTYPE_IPV4 ? 'bridge-nf-call-iptables' : 'bridge-nf-call-ip6tables';
    if ((type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) || this.#settings[asked] !== 1) {
      bridge.egress(port, frame, tci, skb);
      return;
    }
    const together = most !== Number.POSITIVE_INFINITY;
    const fits = together ? most <= bridge.mtu : !ipDf(frame, ETH_HLEN);
    if (type === ETHERTYPE_IPV6 || !fits) {
      this.#ns.kernel.drop('frag-needed');
      return;
    }
    for (const fragment of fragmentIpv4(frame.subarray(ETH_HLEN), Math.min(bridge.mtu, most))) {
      const part = new Uint8Array(ETH_HLEN + fragment.length);
      part.set(frame.subarray(0, ETH_HLEN));
      part.set(fragment, ETH_HLEN);
      bridge.egress(port, part, tci, skb?.copy(part) ?? null);
    }
  }
}
