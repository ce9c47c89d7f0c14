import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from '../../../protocols/ethernet.ts';
import { fragmentIpv4, ipDf, ipTotalLength, validateIpv4 } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN, IPV6_MIN_MTU, ip6PayloadLength, validateIpv6 } from '../../../protocols/ipv6.ts';
import { fragmentIpv6 } from '../../../protocols/ipv6-fragments.ts';
import { writeMac } from '../../../protocols/mac.ts';
import type { BridgeDevice } from '../bridge.ts';
import type { Device } from '../device.ts';
import { sendToNeighbor } from '../ip/output.ts';
import { pathError } from '../ip/path.ts';
import type { Netns } from '../netns.ts';
import type { SysctlSpec } from '../sysctl.ts';
import { netfilterOf } from './families.ts';
import { type NetfilterHooks, NF_FORWARD, NF_POST_ROUTING, NF_PRE_ROUTING } from './hooks.ts';
import { Skb } from './skb.ts';
import { destinationOf, isIpv6 } from './xtables/packet.ts';

/** `net.bridge` of a namespace, as with br_netfilter loaded. */
type BridgeSettings = {
  'bridge-nf-call-iptables': number;
  'bridge-nf-call-ip6tables': number;
  /** Nothing is registered for ARP that could be called. */
  'bridge-nf-call-arptables': number;
};

/** What of an ARP packet there has to be to ask for its kind (`br_nf_forward_arp`), bytes. */
const ARP_FIXED = 8;

const FLAG: SysctlSpec = { min: 0, max: 1 };

/**
 * What br_netfilter does: frames of IPv4 and IPv6 that a bridge forwards pass PREROUTING, FORWARD and POSTROUTING as packets of the bridge
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
    const { netfilter, ipv6 } = this.#ns;
    if ((!netfilter.active && !ipv6.netfilter.active) || frame.length < ETH_HLEN) return false;
    const type = etherType(frame);
    if (type === ETHERTYPE_IPV4) return netfilter.active && this.#settings['bridge-nf-call-iptables'] === 1;
    if (type !== ETHERTYPE_IPV6) return false;
    return ipv6.netfilter.active && this.#settings['bridge-nf-call-ip6tables'] === 1;
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
    const { kernel } = this.#ns;
    const skb = new Skb(packet, bridge);
    const dst = destinationOf(skb);
    if (kernel.rt.cause < 0) skb.trace = true;
    skb.physIn = port;
    skb.vlan = tci;
    if (this.#hooksOf(skb).run(NF_PRE_ROUTING, skb) !== 'accept') return null;
    return destinationOf(skb) === dst ? skb : this.#redirect(bridge, skb);
  }

  #hooksOf(skb: Skb): NetfilterHooks {
    return netfilterOf(this.#ns, isIpv6(skb) ? 'inet6' : 'inet').netfilter;
  }

  /**
   * Sends a frame to where DNAT has pointed it (`br_nf_pre_routing_finish`): by the same bridge to the neighbour it is for,
   * without being routed; else to the host, which routes it.
   */
  #redirect(bridge: Device, skb: Skb): Skb | 'sent' | null {
    const ns = this.#ns;
    const { frame } = skb;
    const six = isIpv6(skb) ? ns.ipv6.layer.lookupPacket(frame, bridge, skb.mark) : null;
    const four = isIpv6(skb) ? null : ns.lookupPacket(frame, bridge, skb.mark);
    const path = six ?? four;
    if (path === null || pathError(path) !== null) {
      ns.kernel.drop('no-route');
      return null;
    }
    if (path.device !== bridge) {
      writeMac(frame, 0, bridge.mac);
      return skb;
    }
    skb.bridgedDnat = true;
    if (six !== null) bridge.inet6.neighbors.output(six.nexthop, frame, skb);
    else if (four !== null) sendToNeighbor(four, frame, skb);
    return 'sent';
  }

  /**
   * Takes a frame through FORWARD and POSTROUTING on its way to a port (`br_nf_forward_ip`, `br_nf_post_routing`), and sends
   * it.
   */
  forward(bridge: BridgeDevice, port: Device, skb: Skb): void {
    const netfilter = this.#hooksOf(skb);
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
    if (type === ETHERTYPE_IPV6 ? !together || !fits : !fits) {
      this.#ns.kernel.drop('frag-needed');
      return;
    }
    const packet = frame.subarray(ETH_HLEN);
    const parts =
      type === ETHERTYPE_IPV4
        ? fragmentIpv4(packet, Math.min(bridge.mtu, most), skb?.fragments ?? null)
        : fragmentIpv6(packet, Math.min(bridge.mtu, Math.max(most, IPV6_MIN_MTU)), 0, skb?.fragments ?? null);
    for (const fragment of parts) {
      const part = new Uint8Array(ETH_HLEN + fragment.length);
      part.set(frame.subarray(0, ETH_HLEN));
      part.set(fragment, ETH_HLEN);
      bridge.egress(port, part, tci, skb?.copy(part) ?? null);
    }
  }
}
