import type { IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6, type Ip6 } from '../../../protocols/ip6.ts';
import { IPV4_HLEN } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN } from '../../../protocols/ipv6.ts';
import type { PacketOptions, SendError } from '../ip/output.ts';
import type { Path } from '../ip/path.ts';
import type { Netns } from '../netns.ts';

/**
 * The network layer that carries a tunnel's outer packets. A tunnel's ends are of one family, which is seen to as it is made: who
 * has an underlay of either family asks it about addresses of that family alone.
 */
export interface Underlay<A extends IpAddress> {
  /** 0.0.0.0, or `::` */
  readonly unspecified: A;
  /** Bytes of the outer header that `send` writes. */
  readonly headerLength: number;
  /** Whether nothing is sent from an address that the host does not have (`ip_route_output_key_hash_rcu`). */
  readonly source: 'own' | 'any';
  isLocal(addr: A): boolean;
  /** The way of a packet that has no outer header yet; its ports are in their place, for rules to ask for. */
  lookup(packet: Uint8Array, options: PacketOptions<A>): Path<A> | null;
  /** The largest packet for a destination by a path to it, bytes (`dst_mtu`). */
  mtu(dst: A, path: Path<A>): number;
  /** Whether a router asks for less than can be had: then a packet may be divided, whatever it says (`iptunnel_xmit`). */
  locked(dst: A, path: Path<A>): boolean;
  /** See `IpLayer.outputBy`. Over IPv6 what does not fit its path is not divided (`ip6tunnel_xmit`). */
  send(
    path: Path<A>,
    packet: Uint8Array,
    options: PacketOptions<A>,
    fill?: (src: A) => void,
  ): SendError | null;
}

export function underlay4(ns: Netns): Underlay<number> {
  return {
    unspecified: 0,
    headerLength: IPV4_HLEN,
    source: 'own',
    isLocal: (addr) => ns.isLocal(addr),
    lookup: (packet, options) => ns.ip.wayOf(packet, options),
    mtu: (dst, path) => ns.pathMtus.of(dst, path),
    locked: (dst, path) => ns.pathMtus.locked(dst, path),
    send: (path, packet, options, fill) => ns.ip.outputBy(path, packet, options, fill),
  };
}

export function underlay6(ns: Netns): Underlay<Ip6> {
  const { addresses, layer } = ns.ipv6;
  return {
    unspecified: ANY_IP6,
    headerLength: IPV6_HLEN,
    source: 'any',
    isLocal: (addr) => addresses.isLocal(addr, null),
    lookup: (packet, options) => layer.wayOf(packet, options),
    mtu: (dst, path) => layer.mtuOf(dst, path),
    locked: () => false,
    send: (path, packet, options, fill) => layer.outputBy(path, packet, options, fill),
  };
}
