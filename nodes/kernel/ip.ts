import type { Device } from './device.ts';
import { IpForward } from './ip/forward.ts';
import { sendIcmpError } from './ip/icmp-error.ts';
import { IpInput } from './ip/input.ts';
import { IpOptions } from './ip/options.ts';
import { IpOutput, type PacketOptions, type SendError } from './ip/output.ts';
import type { Path } from './ip/path.ts';
import type { Skb } from './netfilter/skb.ts';
import type { Netns } from './netns.ts';

export type { DontFragment, PacketOptions, SendError } from './ip/output.ts';

/** The IPv4 layer of a namespace: input, forwarding, output, ICMP errors (RFC 791, RFC 1122 §3, RFC 1812 §5). */
export class IpLayer {
  /** Options of packets that have come in. */
  readonly options: IpOptions;
  readonly #ns: Netns;
  readonly #input: IpInput;
  readonly #output: IpOutput;

  constructor(ns: Netns) {
    this.#ns = ns;
    this.options = new IpOptions(ns);
    this.#output = new IpOutput(ns);
    this.#input = new IpInput(ns, new IpForward(ns, this.#output));
  }

  /**
   * An IPv4 frame that is for this host at the link layer. `skb` is what is known of it from its way out of this very
   * namespace, where it comes back by lo.
   */
  input(device: Device, frame: Uint8Array, skb: Skb | null = null): void {
    this.#input.receive(device, frame, skb);
  }

  /** A frame for this host that has been through PREROUTING on a bridge port. */
  inputBridged(device: Device, skb: Skb): void {
    this.#input.receiveBridged(device, skb);
  }

  /**
   * Sends a packet of the host's own. `buffer` has room for the Ethernet and IP headers (34 bytes) before the
   * payload. `fill` gets the source address once it is known, to compute the checksum of what is above IP.
   */
  output(buffer: Uint8Array, options: PacketOptions, fill?: (src: number) => void): SendError | null {
    return this.#output.send(buffer, options, fill);
  }

  /** The way of a packet of the host's own that has no IP header yet. */
  wayOf(buffer: Uint8Array, options: PacketOptions): Path | null {
    return this.#output.wayOf(buffer, options);
  }

  /** The same as `output` by a way that has been found already. */
  outputBy(
    path: Path,
    buffer: Uint8Array,
    options: PacketOptions,
    fill?: (src: number) => void,
  ): SendError | null {
    return this.#output.sendOn(path, buffer, options, fill);
  }

  /**
   * Sends a whole IP packet of the host's own, with room for an Ethernet header, through OUTPUT and POSTROUTING
   * (`ip_local_out`): what REJECT and tunnels make. What the skb knows (mark, ct) goes with it.
   */
  localOut(skb: Skb): SendError | null {
    return this.#output.sendWhole(skb);
  }

  /** The same by a way that has been found already: what IPVS sends on (`ip_vs_nat_send_or_cont`). */
  localOutBy(path: Path, skb: Skb): SendError | null {
    return this.#output.sendBy(path, skb);
  }

  /** The same by the routes that lead by one device, or straight to it (`ipvlan_process_v4_outbound`). */
  localOutVia(device: Device, skb: Skb): SendError | null {
    return this.#output.sendVia(device, skb);
  }

  /** A packet for this host that another namespace has been taking so far. */
  deliver(device: Device, frame: Uint8Array): void {
    this.#input.deliver(device, frame);
  }

  /** Sends what IPsec has made of a packet, of which `known` is what was known (`xfrm_output_resume`). */
  sendSealed(sealed: Uint8Array, known: Skb | null): void {
    this.#output.sendSealed(sealed, known);
  }

  /**
   * Sends an ICMP error about a packet, unless RFC 1122 §3.2.2 forbids one. `extra` is the message's second word, `about` what
   * is known of the packet: the error belongs to its flow.
   */
  icmpError(type: number, code: number, extra: number, frame: Uint8Array, about: Skb | null = null): void {
    sendIcmpError(this.#ns, type, code, extra, frame, about);
  }
}
