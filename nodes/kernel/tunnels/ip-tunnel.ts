import { ecnEncapsulated } from '../../../protocols/ecn.ts';
import { ETH_HLEN, ETHERTYPE_IPV4 } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_GRE, PROTO_IPIP, writeGre } from '../../../protocols/gre.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../protocols/icmp.ts';
import { formatIp4, isMulticast } from '../../../protocols/ip4.ts';
import { IPV4_HLEN, ipDf, ipDst, ipTos, ipTtl } from '../../../protocols/ipv4.ts';
import { readMac } from '../../../protocols/mac.ts';
import type { DeviceOptions } from '../device.ts';
import type { Path } from '../ip/path.ts';
import type { Netns } from '../netns.ts';
import { greHeaderLength, isGre, isTap, TunnelDevice, type TunnelParameters } from './tunnel-device.ts';

/** Parameters of a tunnel over IPv4 (`struct ip_tunnel_parm`). Addresses of 0 stand for any. */
export interface TunnelOptions extends TunnelParameters {
  readonly kind: 'ipip' | 'gre' | 'gretap' | 'sit';
  readonly local: number;
  /** Of 0: the next hop of the route is where a packet goes (NBMA). */
  readonly remote: number;
  /** 0 takes the inner packet's. */
  readonly ttl: number;
  /** Whether the outer packet must not be fragmented. */
  readonly pmtudisc: 'on' | 'off';
  /** What sit takes of what comes. Default any. */
  readonly mode?: 'any' | 'ip6ip' | 'ipip';
}

const DEFAULT_TTL = 64;

/** What a tunnel takes of the outer packet, bytes. */
export function tunnelOverhead(options: TunnelOptions): number {
  return IPV4_HLEN + greHeaderLength(options) + (isTap(options.kind) ? ETH_HLEN : 0);
}

/** A tunnel of IP in IP (RFC 2003), or of packets or frames in GRE (RFC 2784): ipip.c, ip_gre.c. */
export class IpTunnelDevice extends TunnelDevice {
  override readonly kind: TunnelOptions['kind'];
  override readonly options: TunnelOptions;

  constructor(ns: Netns, options: DeviceOptions, tunnel: TunnelOptions) {
    super(ns, options);
    this.kind = tunnel.kind;
    this.options = tunnel;
  }

  override get takesNexthop(): boolean {
    return !isTap(this.kind) && this.options.remote === 0;
  }

  override carries(innerType: number): boolean {
    return isGre(this.kind) || innerType === ETHERTYPE_IPV4;
  }

  override detail(): string {
    const { kind, pmtudisc, key, checksum, sequence } = this.options;
    if (kind === 'ipip')
      return `ipip any ${this.endsText()} ${pmtudisc === 'on' ? 'pmtudisc' : 'nopmtudisc'}`;
    return [
      `${kind} ${this.endsText()}`,
      ...(pmtudisc === 'off' ? ['nopmtudisc'] : []),
      ...(key === null ? [] : [`ikey ${formatIp4(key)} okey ${formatIp4(key)}`]),
      ...(sequence === 'on' ? ['iseq oseq'] : []),
      ...(checksum === 'on' ? ['icsum ocsum'] : []),
    ].join(' ');
  }

  protected endsText(): string {
    const { local, remote, ttl } = this.options;
    const any = (addr: number) => (addr === 0 ? 'any' : formatIp4(addr));
    return `remote ${any(remote)} local ${any(local)} ttl ${ttl === 0 ? 'inherit' : ttl}`;
  }

  protected override encapsulate(frame: Uint8Array, mark: number): void {
    const remote = this.options.remote !== 0 ? this.options.remote : this.#nexthopOf(frame);
    if (remote === 0 || remote > 0xffffffff || isMulticast(remote)) {
      this.ns.kernel.drop('tunnel-no-remote');
      return;
    }
    this.#encapsulate(frame, remote, mark);
  }

  /**
   * Where a packet goes that is for no end in particular: to the next hop. A tunnel of GRE wants to be told where that is, and
   * takes its own address where nobody does (`arp_constructor`, as it has a header and no ARP).
   */
  #nexthopOf(frame: Uint8Array): number {
    return this.kind === 'gre' ? this.options.local : readMac(frame, 0);
  }

  /** `ip_tunnel_xmit` */
  #encapsulate(frame: Uint8Array, remote: number, mark: number): void {
    const { options, ns } = this;
    this.tellSent(remote, frame);
    const from = this.hasLinkLayer ? 0 : ETH_HLEN;
    const type = this.innerType(frame);
    const isIpv4 = type === ETHERTYPE_IPV4 && frame.length >= ETH_HLEN + IPV4_HLEN;
    const header = greHeaderLength(options);
    const at = ETH_HLEN + IPV4_HLEN;
    const buffer = frameBuffer(at + header + frame.length - from);
    buffer.set(from === 0 ? frame : frame.subarray(from), at + header);
    if (isGre(options.kind)) writeGre(buffer, at, this.nextHeader(type));
    else if (!isIpv4) {
      ns.kernel.drop('tunnel-protocol');
      return;
    }
    const innerDf = isIpv4 && ipDf(frame, ETH_HLEN);
    const df = innerDf || options.pmtudisc === 'on';
    const path = ns.lookup(remote, 0);
    if (isIpv4 && path !== null && this.#tooBig(frame, remote, path, df)) {
      ns.kernel.drop('tunnel-xmit');
      return;
    }
    this.tellFailure(frame);
    const innerTtl = isIpv4 ? ipTtl(frame, ETH_HLEN) : DEFAULT_TTL;
    const error = ns.ip.output(buffer, {
      src: options.local,
      dst: remote,
      proto: isGre(options.kind) ? PROTO_GRE : PROTO_IPIP,
      ttl: options.ttl === 0 ? innerTtl : options.ttl,
      tos: isIpv4 ? ecnEncapsulated(0, ipTos(frame, ETH_HLEN)) : 0,
      // Where a router asks for less than can be had, it is fragmented after all (`iptunnel_xmit`).
      df: df && !(path !== null && ns.pathMtus.locked(remote, path)),
      mark,
    });
    if (error !== null) ns.kernel.drop('tunnel-xmit');
  }

  /**
   * Whether the path takes less than a packet that is not to be fragmented: its sender is told. The way into the tunnel is known
   * to take no more from now on, whatever the packet's size (`tnl_update_pmtu`).
   */
  #tooBig(frame: Uint8Array, remote: number, path: Path, df: boolean): boolean {
    const { ns } = this;
    const mtu = df ? ns.pathMtus.of(remote, path) - tunnelOverhead(this.options) : this.mtu;
    const dst = ipDst(frame, ETH_HLEN);
    if (df && mtu < this.mtu && ns.lookup(dst, 0)?.device === this) ns.pathMtus.learn(dst, mtu);
    if (!ipDf(frame, ETH_HLEN) || frame.length - ETH_HLEN <= mtu) return false;
    ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
    return true;
  }
}
