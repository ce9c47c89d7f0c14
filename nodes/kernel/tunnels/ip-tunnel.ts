import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import {
  decodeGre,
  ETHERTYPE_TEB,
  type GreHeader,
  greLength,
  PROTO_GRE,
  PROTO_IPIP,
  writeGre,
} from '../../../protocols/gre.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../protocols/icmp.ts';
import { formatIp4, isMulticast } from '../../../protocols/ip4.ts';
import { IPV4_HLEN, ipDf, ipSrc, ipTtl } from '../../../protocols/ipv4.ts';
import { readMac } from '../../../protocols/mac.ts';
import { Device, type DeviceOptions } from '../device.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';

export type TunnelKind = 'ipip' | 'gre' | 'gretap';

/** Parameters of a tunnel (`struct ip_tunnel_parm`). Addresses of 0 stand for any. */
export interface TunnelOptions {
  readonly kind: TunnelKind;
  readonly local: number;
  /** Of 0: the next hop of the route is where a packet goes (NBMA). */
  readonly remote: number;
  /** 0 takes the inner packet's. */
  readonly ttl: number;
  /** Whether the outer packet must not be fragmented. */
  readonly pmtudisc: 'on' | 'off';
  /** GRE alone. */
  readonly key: number | null;
  readonly checksum: 'on' | 'off';
  readonly sequence: 'on' | 'off';
}

const DEFAULT_TTL = 64;
const ETHERTYPE_IPV6 = 0x86dd;

/** What a tunnel takes of the outer packet, bytes. */
export function tunnelOverhead(options: TunnelOptions): number {
  const inner = options.kind === 'gretap' ? ETH_HLEN : 0;
  return IPV4_HLEN + headerLength(options) + inner;
}

function headerLength(options: TunnelOptions): number {
  return options.kind === 'ipip' ? 0 : greLength(greHeader(options, 0, 0));
}

function greHeader({ key, checksum, sequence }: TunnelOptions, type: number, number: number): GreHeader {
  return { etherType: type, checksum: checksum === 'on', key, sequence: sequence === 'on' ? number : null };
}

/** A tunnel of IP in IP (RFC 2003), or of packets or frames in GRE (RFC 2784): ipip.c, ip_gre.c. */
export class IpTunnelDevice extends Device {
  override readonly kind: TunnelKind;
  readonly options: TunnelOptions;
  #sending = false;
  #sent = 0;
  #expected = 0;

  constructor(ns: Netns, options: DeviceOptions, tunnel: TunnelOptions) {
    super(ns, options);
    this.kind = tunnel.kind;
    this.options = tunnel;
  }

  override get hasLinkLayer(): boolean {
    return this.kind === 'gretap';
  }

  override get takesNexthop(): boolean {
    return this.kind !== 'gretap' && this.options.remote === 0;
  }

  override detail(): string {
    const { kind, local, remote, ttl, pmtudisc, key, checksum, sequence } = this.options;
    const any = (addr: number) => (addr === 0 ? 'any' : formatIp4(addr));
    return [
      `${kind} remote ${any(remote)} local ${any(local)} ttl ${ttl === 0 ? 'inherit' : ttl}`,
      ...(pmtudisc === 'off' ? ['nopmtudisc'] : []),
      ...(sequence === 'on' ? ['iseq oseq'] : []),
      ...(key === null ? [] : [`ikey ${formatIp4(key)} okey ${formatIp4(key)}`]),
      ...(checksum === 'on' ? ['icsum ocsum'] : []),
    ].join(' ');
  }

  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    const { kernel } = this.ns;
    if (!this.up) {
      kernel.drop('device-down');
      return;
    }
    if (this.#sending) {
      // The route to the other end leads back into the tunnel.
      kernel.drop('tunnel-loop');
      return;
    }
    const remote = this.options.remote !== 0 ? this.options.remote : readMac(frame, 0);
    if (remote === 0 || remote > 0xffffffff || isMulticast(remote)) {
      kernel.drop('tunnel-no-remote');
      return;
    }
    this.#sending = true;
    this.#encapsulate(frame, remote, skb?.mark ?? 0);
    this.#sending = false;
  }

  /** `ip_tunnel_xmit` */
  #encapsulate(frame: Uint8Array, remote: number, mark: number): void {
    const { options, ns } = this;
    const { rt, tracer } = ns.kernel;
    if (rt.cause < 0) {
      const how = `${this.kind} to ${formatIp4(remote)}`;
      tracer.step(ns, { at: 'encapsulate', dev: this.name, how }, frame);
    }
    const from = this.hasLinkLayer ? 0 : ETH_HLEN;
    const isIpv4 = !this.hasLinkLayer && frame[ETH_HLEN]! >> 4 === 4;
    const header = headerLength(options);
    const at = ETH_HLEN + IPV4_HLEN;
    const buffer = frameBuffer(at + header + frame.length - from);
    buffer.set(from === 0 ? frame : frame.subarray(from), at + header);
    if (options.kind !== 'ipip') {
      const type = options.kind === 'gretap' ? ETHERTYPE_TEB : isIpv4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
      writeGre(buffer, at, greHeader(options, type, this.#sent++ >>> 0));
    } else if (!isIpv4) {
      ns.kernel.drop('tunnel-protocol');
      return;
    }
    const innerDf = isIpv4 && ipDf(frame, ETH_HLEN);
    const innerTtl = isIpv4 ? ipTtl(frame, ETH_HLEN) : DEFAULT_TTL;
    const error = ns.ip.output(buffer, {
      src: options.local,
      dst: remote,
      proto: options.kind === 'ipip' ? PROTO_IPIP : PROTO_GRE,
      ttl: options.ttl === 0 ? innerTtl : options.ttl,
      df: innerDf || options.pmtudisc === 'on',
      mark,
    });
    if (error === null) return;
    ns.kernel.drop('tunnel-xmit');
    if (error === 'EMSGSIZE' && innerDf) this.#tooBig(frame, remote);
  }

  /** The path takes less than the tunnel does: whoever sent the packet is told (`tnl_update_pmtu`). */
  #tooBig(frame: Uint8Array, remote: number): void {
    const path = this.ns.lookup(remote, 0);
    if (path === null) return;
    const mtu = this.ns.pathMtus.of(remote, path) - tunnelOverhead(this.options);
    this.ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
  }

  /** What an outer packet for this tunnel holds at `at`; `frame` is the outer frame. */
  decapsulate(frame: Uint8Array, at: number, innerType: number): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) {
      const how = `${this.kind} from ${formatIp4(ipSrc(frame, ETH_HLEN))}`;
      tracer.step(this.ns, { at: 'decapsulate', dev: this.name, how }, null);
    }
    if (!this.up) {
      this.ns.kernel.drop('device-down');
      return;
    }
    if (this.kind === 'gretap') {
      if (frame.length - at < ETH_HLEN) this.ns.kernel.drop('tunnel-malformed');
      else this.receive(frame.subarray(at));
      return;
    }
    // The room of the Ethernet header is that of the outer one, which nobody needs any more.
    const inner = frame.subarray(at - ETH_HLEN);
    writeEthernet(inner, 0, 0, innerType);
    this.receive(inner);
  }

  /** Whether a sequence number is not behind those that came before (RFC 2890 §2.2); without one where one is wanted it is. */
  inSequence(sequence: number | null): boolean {
    if (this.options.sequence === 'off') return true;
    if (sequence === null || ((sequence - this.#expected) | 0) < 0) return false;
    this.#expected = (sequence + 1) >>> 0;
    return true;
  }
}

/** The tunnels of a namespace, by what their outer packets say (`ip_tunnel_lookup`). */
export class TunnelTable {
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The tunnel for packets between two addresses: both fit, or the remote, or the local alone, or one for all. */
  #find(
    kinds: readonly TunnelKind[],
    local: number,
    remote: number,
    key: number | null,
  ): IpTunnelDevice | null {
    let best: IpTunnelDevice | null = null;
    let bestScore = -1;
    for (const device of this.#ns.devices()) {
      if (!(device instanceof IpTunnelDevice) || !kinds.includes(device.kind)) continue;
      const { options } = device;
      const score = (options.remote === 0 ? 0 : 2) + (options.local === 0 ? 0 : 1);
      const fits =
        (options.remote === 0 || options.remote === remote) &&
        (options.local === 0 || options.local === local) &&
        options.key === key;
      if (fits && score > bestScore) {
        best = device;
        bestScore = score;
      }
    }
    return best;
  }

  /** Takes an outer packet of a tunnel's protocol; false where there is no tunnel for it. */
  receive(proto: number, frame: Uint8Array, at: number, src: number, dst: number): boolean {
    if (proto === PROTO_IPIP) {
      const device = this.#find(['ipip'], dst, src, null);
      device?.decapsulate(frame, at, ETHERTYPE_IPV4);
      return device !== null;
    }
    if (proto !== PROTO_GRE) return false;
    const header = decodeGre(frame, at, frame.length - at);
    if (header === null) {
      this.#ns.kernel.drop('tunnel-malformed');
      return true;
    }
    const kinds: readonly TunnelKind[] = header.etherType === ETHERTYPE_TEB ? ['gretap'] : ['gre'];
    const device = this.#find(kinds, dst, src, header.key);
    if (device === null) return false;
    if (!device.inSequence(header.sequence)) this.#ns.kernel.drop('tunnel-sequence');
    else device.decapsulate(frame, header.payloadOffset, header.etherType);
    return true;
  }
}
