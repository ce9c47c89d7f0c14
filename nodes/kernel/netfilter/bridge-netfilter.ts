import { ETH_HLEN, ETHERTYPE_IPV4, etherType } from '../../../protocols/ethernet.ts';
import { fragmentIpv4, ipDst, ipTotalLength, validateIpv4 } from '../../../protocols/ipv4.ts';
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
   * Takes a frame through PREROUTING (`br_nf_pre_routing`). Null: it is not to be bridged on, be it that it was dropped or
   * that it waits for an address. What DNAT has sent elsewhere has a new Ethernet destination.
   */
  preRouting(bridge: Device, port: Device, frame: Uint8Array, tci: number): Skb | null {
    const { kernel, netfilter } = this.#ns;
    const validity = validateIpv4(frame, ETH_HLEN, frame.length - ETH_HLEN);
    if (validity !== 'ok') {
      kernel.drop(`ip-${validity}`);
      return null;
    }
    const total = ETH_HLEN + ipTotalLength(frame, ETH_HLEN);
    const packet = frame.length === total ? frame : frame.subarray(0, total);
    const dst = ipDst(packet, ETH_HLEN);
    const skb = new Skb(packet, bridge);
    if (kernel.rt.cause < 0) skb.trace = true;
    skb.physIn = port;
    skb.vlan = tci;
    if (netfilter.run(NF_PRE_ROUTING, skb) !== 'accept') return null;
    return ipDst(skb.frame, ETH_HLEN) === dst || this.#redirect(bridge, skb) ? skb : null;
  }

  /**
   * Sends a frame to where DNAT has pointed it (`br_nf_pre_routing_finish`): by the same bridge to the neighbour it is for,
   * without being routed; else to the host, which routes it. False: it is gone, or waits.
   */
  #redirect(bridge: Device, skb: Skb): boolean {
    const ns = this.#ns;
    const { frame } = skb;
    const path = ns.lookupPacket(frame, bridge, skb.mark);
    if (pathError(path) !== null || path === null) {
      ns.kernel.drop('no-route');
      return false;
    }
    if (path.device !== bridge) {
      writeMac(frame, 0, bridge.mac);
      return true;
    }
    skb.bridgedDnat = true;
    sendToNeighbor(path, frame, skb);
    return false;
  }

  /**
   * Takes a frame through FORWARD and POSTROUTING on its way to a port (`br_nf_forward_ip`, `br_nf_post_routing`), and sends
   * it, in fragments where it was put together from some.
   */
  forward(bridge: BridgeDevice, port: Device, skb: Skb): void {
    const { netfilter } = this.#ns;
    skb.physOut = port;
    skb.out = bridge;
    if (netfilter.run(NF_FORWARD, skb) !== 'accept') return;
    if (netfilter.run(NF_POST_ROUTING, skb) !== 'accept') return;
    const { frame, fragmentSize } = skb;
    if (fragmentSize === 0 || frame.length - ETH_HLEN <= fragmentSize) {
      bridge.egress(port, frame, skb.vlan, skb);
      return;
    }
    for (const fragment of fragmentIpv4(frame.subarray(ETH_HLEN), fragmentSize)) {
      const part = new Uint8Array(ETH_HLEN + fragment.length);
      part.set(frame.subarray(0, ETH_HLEN));
      part.set(fragment, ETH_HLEN);
      bridge.egress(port, part, skb.vlan, skb.copy(part));
    }
  }
}
