import { dsField, ecnEncapsulated } from '../../../protocols/ecn.ts';
import { ENCAP_LIMIT_HLEN, findEncapLimit, writeEncapLimit } from '../../../protocols/encap-limit.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_GRE, PROTO_IPIP, PROTO_IPV6, writeGre } from '../../../protocols/gre.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../protocols/icmp.ts';
import { ICMPV6_PACKET_TOO_BIG, ICMPV6_PARAMETER_PROBLEM } from '../../../protocols/icmpv6.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import {
  ANY_IP6,
  formatIp6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  LOOPBACK_IP6,
  readIp6Cached,
} from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipTtl } from '../../../protocols/ipv4.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  IPV6_MIN_MTU,
  ip6FlowLabel,
  ip6HopLimit,
  PROBLEM_HEADER,
} from '../../../protocols/ipv6.ts';
import { NEXT_DEST_OPTIONS } from '../../../protocols/ipv6-headers.ts';
import type { DeviceOptions } from '../device.ts';
import type { Netns } from '../netns.ts';
import { greHeaderLength, isGre, isTap, TunnelDevice, type TunnelParameters } from './tunnel-device.ts';

/** Parameters of a tunnel over IPv6 (`struct __ip6_tnl_parm`). `::` stands for any address. */
export interface Tunnel6Options extends TunnelParameters {
  readonly kind: 'ip6tnl' | 'ip6gre' | 'ip6gretap';
  readonly local: Ip6;
  readonly remote: Ip6;
  /** What ip6tnl carries. */
  readonly mode: 'any' | 'ip6ip6' | 'ipip6';
  /** 0 takes the inner packet's. */
  readonly hopLimit: number;
  /** How often what is sent may be put into other packets (RFC 2473 §4.1.1); null does not say so. */
  readonly encapLimit: number | null;
  readonly trafficClass: number | 'inherit';
  readonly flowLabel: number | 'inherit';
}

const IPV4_MIN_MTU = 68;

/** Whether packets of a tunnel travel over IPv6. */
export function isOver6(tunnel: TunnelParameters): tunnel is Tunnel6Options {
  return tunnel.kind === 'ip6tnl' || tunnel.kind === 'ip6gre' || tunnel.kind === 'ip6gretap';
}

/** What a tunnel takes of the outer packet, bytes. */
export function tunnel6Overhead(options: Tunnel6Options): number {
  const { kind, encapLimit } = options;
  const option = encapLimit === null ? 0 : ENCAP_LIMIT_HLEN;
  return IPV6_HLEN + option + greHeaderLength(options) + (isTap(kind) ? ETH_HLEN : 0);
}

/** A tunnel of IP in IPv6 (RFC 2473), or of packets or frames in GRE over IPv6: ip6_tunnel.c, ip6_gre.c. */
export class Ip6TunnelDevice extends TunnelDevice {
  override readonly kind: Tunnel6Options['kind'];
  override readonly options: Tunnel6Options;

  constructor(ns: Netns, options: DeviceOptions, tunnel: Tunnel6Options) {
    super(ns, options);
    this.kind = tunnel.kind;
    this.options = tunnel;
  }

  /** `ip6_tnl_change_mtu` */
  override get minMtu(): number {
    const { kind, mode } = this.options;
    return kind === 'ip6tnl' && mode === 'ip6ip6' ? IPV6_MIN_MTU : super.minMtu;
  }

  override carries(innerType: number): boolean {
    const { kind, mode } = this.options;
    if (kind !== 'ip6tnl' || mode === 'any') return true;
    return (mode === 'ip6ip6') === (innerType === ETHERTYPE_IPV6);
  }

  override detail(): string {
    const { kind, mode, local, remote, hopLimit, encapLimit, key, checksum, sequence } = this.options;
    const { trafficClass, flowLabel } = this.options;
    const any = (addr: Ip6) => (addr === ANY_IP6 ? 'any' : formatIp6(addr));
    const hex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}`;
    return [
      kind === 'ip6tnl' ? `ip6tnl ${mode}` : kind,
      `remote ${any(remote)} local ${any(local)}`,
      `hoplimit ${hopLimit === 0 ? 'inherit' : hopLimit}`,
      `encaplimit ${encapLimit ?? 'none'}`,
      `tclass ${trafficClass === 'inherit' ? trafficClass : hex(trafficClass, 2)}`,
      `flowlabel ${flowLabel === 'inherit' ? flowLabel : hex(flowLabel, 5)}`,
      ...(key === null ? [] : [`ikey ${formatIp4(key)} okey ${formatIp4(key)}`]),
      ...(sequence === 'on' ? ['iseq oseq'] : []),
      ...(checksum === 'on' ? ['icsum ocsum'] : []),
    ].join(' ');
  }

  /** `ip6_tnl_start_xmit`, `ip6gre_tunnel_xmit` */
  protected override encapsulate(frame: Uint8Array, mark: number): void {
    const { kernel } = this.ns;
    const { local, remote } = this.options;
    const type = this.innerType(frame);
    const least = type === ETHERTYPE_IPV4 ? IPV4_HLEN : type === ETHERTYPE_IPV6 ? IPV6_HLEN : 0;
    if (frame.length < ETH_HLEN + least || !this.carries(type)) kernel.drop('tunnel-protocol');
    else if (type === ETHERTYPE_IPV6 && readIp6Cached(frame, ETH_HLEN + IP6_SRC) === remote)
      kernel.drop('tunnel-loop');
    else if (isGre(this.kind) && !this.#maySend(local, remote)) kernel.drop('tunnel-no-remote');
    else {
      const limit = this.#limitOf(frame, type);
      if (limit === 'used-up') kernel.drop('tunnel-encap-limit');
      else this.#encapsulate(frame, type, limit, mark);
    }
  }

  /** The limit that a packet goes with: one less than the one it has. 'used-up': its sender was told so. */
  #limitOf(frame: Uint8Array, type: number): number | null | 'used-up' {
    const at = type === ETHERTYPE_IPV6 ? findEncapLimit(frame, ETH_HLEN, frame.length) : 0;
    if (at === 0) return this.options.encapLimit;
    const limit = frame[ETH_HLEN + at + 2]!;
    if (limit > 0) return limit - 1;
    this.tell6(ICMPV6_PARAMETER_PROBLEM, PROBLEM_HEADER, at + 2, frame);
    return 'used-up';
  }

  /** `ip6_tnl_xmit` */
  #encapsulate(frame: Uint8Array, type: number, limit: number | null, mark: number): void {
    const { ns, options } = this;
    const { local, trafficClass, flowLabel, hopLimit } = options;
    const { layer } = ns.ipv6;
    const inner = dsField(frame, ETH_HLEN, type);
    const own = trafficClass === 'inherit' ? inner : trafficClass;
    const tos = isGre(this.kind) ? own : ecnEncapsulated(own, inner);
    const label =
      flowLabel !== 'inherit' ? flowLabel : type === ETHERTYPE_IPV6 ? ip6FlowLabel(frame, ETH_HLEN) : 0;
    const dst = options.remote !== ANY_IP6 ? options.remote : this.#nexthopOf(frame, type);
    const path = this.#maySend(local, dst) ? layer.lookup(dst, 0, null) : null;
    if (path?.type !== 'unicast') {
      this.linkFailure(frame);
      ns.kernel.drop('tunnel-xmit');
      return;
    }
    if (path.device === this) {
      ns.kernel.drop('tunnel-loop');
      return;
    }
    const option = limit === null ? 0 : ENCAP_LIMIT_HLEN;
    const gre = greHeaderLength(options);
    const from = this.hasLinkLayer ? 0 : ETH_HLEN;
    const room = layer.mtuOf(dst, path) - IPV6_HLEN - option - gre - (ETH_HLEN - from);
    const mtu = Math.max(room, type === ETHERTYPE_IPV6 ? IPV6_MIN_MTU : IPV4_MIN_MTU);
    if (this.#tooBig(frame, type, mtu)) {
      ns.kernel.drop('tunnel-xmit');
      return;
    }
    this.tellSent(dst, frame);
    this.tellFailure(frame);
    const at = ETH_HLEN + IPV6_HLEN;
    const buffer = frameBuffer(at + option + gre + frame.length - from);
    buffer.set(from === 0 ? frame : frame.subarray(from), at + option + gre);
    if (isGre(this.kind)) writeGre(buffer, at + option, this.nextHeader(type));
    const proto = isGre(this.kind) ? PROTO_GRE : type === ETHERTYPE_IPV4 ? PROTO_IPIP : PROTO_IPV6;
    if (limit !== null) writeEncapLimit(buffer, at, proto, limit);
    const error = layer.outputBy(path, buffer, {
      src: local,
      dst,
      proto: limit === null ? proto : NEXT_DEST_OPTIONS,
      ttl: hopLimit === 0 ? innerHopLimit(frame, type) : hopLimit,
      tos,
      flowLabel: label,
      df: true,
      mark,
    });
    if (error !== null) ns.kernel.drop('tunnel-xmit');
  }

  /** The next hop of a packet that is for no end in particular. */
  #nexthopOf(frame: Uint8Array, type: number): Ip6 {
    if (type === ETHERTYPE_IPV6) {
      const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
      return this.ns.ipv6.layer.lookup(dst, 0, this)?.nexthop ?? ANY_IP6;
    }
    return type === ETHERTYPE_IPV4 ? (this.ns.lookup(ipDst(frame, ETH_HLEN), 0)?.via6 ?? ANY_IP6) : ANY_IP6;
  }

  /** Whether packets may go between two ends: the one is the host's, the other is not (`ip6_tnl_xmit_ctl`). */
  #maySend(local: Ip6, remote: Ip6): boolean {
    return !isMulticastIp6(local) && this.#areEnds(local, remote);
  }

  /** The same of packets that come (`ip6_tnl_rcv_ctl`). */
  mayReceive(local: Ip6, remote: Ip6): boolean {
    return !isMulticastIp6(remote) && this.#areEnds(local, remote);
  }

  #areEnds(local: Ip6, remote: Ip6): boolean {
    const { addresses } = this.ns.ipv6;
    for (const end of [local, remote])
      if (end === ANY_IP6 || end === LOOPBACK_IP6 || isLinkLocal(end)) return false;
    if (!isMulticastIp6(local) && !addresses.isLocal(local, null)) return false;
    return isMulticastIp6(remote) || !addresses.isLocal(remote, null);
  }

  /**
   * Whether the path takes less than a packet, whose sender is told so, be it one that may be fragmented. The way into the tunnel is
   * known to take no more from now on.
   */
  #tooBig(frame: Uint8Array, type: number, mtu: number): boolean {
    const { ns } = this;
    const isTooBig = frame.length - ETH_HLEN > mtu;
    if (type === ETHERTYPE_IPV4) {
      const dst = ipDst(frame, ETH_HLEN);
      if (ns.lookup(dst, 0)?.device === this) ns.pathMtus.learn(dst, mtu);
      if (isTooBig) ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
    } else if (type === ETHERTYPE_IPV6) {
      const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
      if (ns.ipv6.layer.lookup(dst, 0, null)?.device === this) ns.ipv6.pathMtus.learn(dst, mtu);
      if (isTooBig) this.tell6(ICMPV6_PACKET_TOO_BIG, 0, mtu, frame);
    }
    return isTooBig;
  }
}

function innerHopLimit(frame: Uint8Array, type: number): number | undefined {
  if (type === ETHERTYPE_IPV4) return ipTtl(frame, ETH_HLEN);
  return type === ETHERTYPE_IPV6 ? ip6HopLimit(frame, ETH_HLEN) : undefined;
}
