import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { type Ip6, readIp6Cached } from '../../../protocols/ip6.ts';
import { IP6_DST } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { PacketOptions, SendError } from '../ip/output.ts';
import type { Path } from '../ip/path.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import type { FlowKey } from '../rules.ts';
import type { XfrmFlow } from '../xfrm/flow.ts';
import { fib6Lookup, type HashOf } from './fib-lookup.ts';
import { packetFlow6 } from './flow.ts';
import { Ip6Forward } from './forward.ts';
import { Ip6Input } from './input.ts';
import { Ip6Output } from './output.ts';

/**
 * The IPv6 layer of a namespace: input, forwarding, output (RFC 8200, net/ipv6). A packet meets netfilter's hooks where one of
 * IPv4 does, but for INPUT (see `Ip6Input`).
 */
export class Ip6Layer {
  readonly #ns: Netns;
  readonly #input: Ip6Input;
  readonly #output: Ip6Output;

  constructor(ns: Netns) {
    this.#ns = ns;
    this.#output = new Ip6Output(ns);
    this.#input = new Ip6Input(ns, new Ip6Forward(ns, this.#output));
  }

  /**
   * An IPv6 frame that is for this host at the link layer. `carried` is what is known of it from its way out of this very
   * namespace, where it comes back by lo.
   */
  input(device: Device, frame: Uint8Array, carried: Skb | null = null): void {
    this.#input.receive(device, frame, carried);
  }

  /** A frame for this host that has been through PREROUTING on a bridge port. */
  inputBridged(device: Device, skb: Skb): void {
    this.#input.receiveBridged(device, skb);
  }

  /** See `fib6Lookup`. */
  lookup(dst: Ip6, hash: HashOf, device: Device | null, flow: FlowKey<Ip6> | null = null): Path<Ip6> | null {
    return fib6Lookup(this.#ns, dst, hash, device, flow);
  }

  /** The way of a packet that is complete; `iif` is null for one of the host's own. */
  lookupPacket(frame: Uint8Array, iif: Device | null, mark: number): Path<Ip6> | null {
    const flow = this.#ns.ipv6.rules.custom ? packetFlow6(frame, iif, mark) : null;
    return this.lookup(readIp6Cached(frame, ETH_HLEN + IP6_DST), frame, null, flow);
  }

  /** The largest packet for a destination by a path to it, bytes, unless IPsec makes another of it. */
  mtuOf(dst: Ip6, path: Path<Ip6>): number {
    return this.#output.mtuOf(dst, path);
  }

  /** The largest packet of a flow by a path to its destination, bytes. */
  flowMtu(flow: XfrmFlow & { readonly dst: Ip6 }, path: Path<Ip6>): number {
    return this.#output.flowMtu(flow, path);
  }

  /**
   * Sends a packet of the host's own. `buffer` has room for the Ethernet and IPv6 headers (54 bytes) before the payload.
   * `fill` gets the source address once it is known, to compute the checksum of what is above IP.
   */
  output(buffer: Uint8Array, options: PacketOptions<Ip6>, fill?: (src: Ip6) => void): SendError | null {
    return this.#output.send(buffer, options, fill);
  }

  /** The way of a packet of the host's own that has no IP header yet. */
  wayOf(buffer: Uint8Array, options: PacketOptions<Ip6>): Path<Ip6> | null {
    return this.#output.wayOf(buffer, options);
  }

  /** The same as `output` by a way that has been found already. */
  outputBy(
    path: Path<Ip6>,
    buffer: Uint8Array,
    options: PacketOptions<Ip6>,
    fill?: (src: Ip6) => void,
  ): SendError | null {
    return this.#output.sendOn(path, buffer, options, fill);
  }

  /**
   * Sends a whole packet of the host's own, with room for an Ethernet header, through OUTPUT and POSTROUTING: what REJECT makes.
   * What the skb knows (mark, ct) goes with it.
   */
  localOut(skb: Skb): SendError | null {
    return this.#output.sendWhole(skb);
  }

  /** The same by the routes that lead by one device (`ipvlan_process_v6_outbound`). */
  localOutVia(device: Device, skb: Skb): SendError | null {
    return this.#output.sendVia(device, skb);
  }

  /** A packet for this host that another namespace has been taking so far. */
  deliver(device: Device, frame: Uint8Array): void {
    this.#input.deliver(device, frame);
  }

  /**
   * Takes a packet of the host's own whose way is known through OUTPUT and POSTROUTING: what neighbour discovery sends. What is
   * known of it then, null where nothing is registered; 'gone': it is not to be sent.
   */
  leave(device: Device, nexthop: Ip6, frame: Uint8Array): Skb | 'gone' | null {
    return this.#output.leave(device, nexthop, frame);
  }

  /** Sends what IPsec has made of a packet, of either family, of which `skb` is what was known (`xfrm_output_resume`). */
  sendSealed(sent: Uint8Array, skb: Skb | null): void {
    this.#output.sendSealed(sent, skb);
  }
}
