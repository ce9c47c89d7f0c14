import { ETH_HLEN } from '../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_PORT } from '../../protocols/icmp.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import { IPV4_HLEN, ipDst, ipSrc, ipTos, ipTtl, PROTO_TCP } from '../../protocols/ipv4.ts';
import type { Device } from './device.ts';
import type { PacketOptions, SendError } from './ip/output.ts';
import type { Path } from './ip/path.ts';
import type { Netns } from './netns.ts';

/** The network layer of one address family as the transports above it see it. */
export interface InetLayer<A extends IpAddress> {
  /** 0.0.0.0, or `::` */
  readonly unspecified: A;
  /** Bytes of the header that `output` writes. */
  readonly headerLength: number;
  source(frame: Uint8Array): A;
  destination(frame: Uint8Array): A;
  ttl(frame: Uint8Array): number;
  /** DSCP and ECN. */
  tos(frame: Uint8Array): number;
  /** See `IpLayer.output`. */
  output(buffer: Uint8Array, options: PacketOptions<A>, fill?: (src: A) => void): SendError | null;
  /** By one device alone where one is named. */
  lookup(dst: A, device?: Device): Path<A> | null;
  /** The address to send from by a path. */
  sourceFor(path: Path<A>, dst: A): A;
  isLocal(addr: A): boolean;
  /** Whether what is sent there is for every socket of its port: broadcast or multicast. */
  reachesAll(addr: A): boolean;
  pathMtu(dst: A, path: Path<A>): number;
  /** A reply of an upper layer proves that the neighbour is there. */
  confirm(path: Path<A>): void;
  portUnreachable(frame: Uint8Array, device: Device): void;
  /** The device, for an address that means something on its link alone; undefined for any other. */
  scope(addr: A, device: Device): Device | undefined;
  /** Whether an address means nothing without a device (RFC 4007 §6). */
  needsScope(addr: A): boolean;
  /** Whether there is an address of the family to send from at all; IPv4 does without. */
  hasAddress(): boolean;
  /** Keys a map by a remote address, with its scope, and port. */
  remoteKey(addr: A, port: number, scope: Device | undefined): number | string;
}

export function inet4(ns: Netns): InetLayer<number> {
  return {
    unspecified: 0,
    headerLength: IPV4_HLEN,
    source: (frame) => ipSrc(frame, ETH_HLEN),
    destination: (frame) => ipDst(frame, ETH_HLEN),
    ttl: (frame) => ipTtl(frame, ETH_HLEN),
    tos: (frame) => ipTos(frame, ETH_HLEN),
    output: (buffer, options, fill) => ns.ip.output(buffer, options, fill),
    lookup: (dst) => ns.lookup(dst, 0),
    sourceFor: (path, dst) => {
      if (path.src !== 0) return path.src;
      return path.type === 'local' ? ns.addresses.localSource(dst) : ns.sourceFor(path.device, path.nexthop);
    },
    isLocal: (addr) => ns.isLocal(addr),
    reachesAll: (addr) => addr === LIMITED_BROADCAST || ns.isBroadcast(addr),
    pathMtu: (dst, path) => {
      const mtu = ns.pathMtus.of(dst, path);
      if (!ns.xfrm.active) return mtu;
      const src = path.src !== 0 ? path.src : ns.sourceFor(path.device, path.nexthop);
      return ns.xfrm.mtu({ src, dst, proto: PROTO_TCP, sport: null, dport: null }, mtu);
    },
    confirm: ({ device, nexthop, via6 }) => {
      if (via6 === undefined) device.neighbors.confirm(nexthop);
      else device.inet6.neighbors.confirm(via6);
    },
    portUnreachable: (frame) => ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PORT, 0, frame),
    scope: () => undefined,
    needsScope: () => false,
    hasAddress: () => true,
    remoteKey: (addr, port) => addr * 65_536 + port,
  };
}
