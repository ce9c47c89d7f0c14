import { ecnEncapsulated } from '../../../protocols/ecn.ts';
import { ETH_HLEN, ETHERTYPE_IPV4 } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_IPV6 } from '../../../protocols/gre.ts';
import { ICMPV6_PACKET_TOO_BIG } from '../../../protocols/icmpv6.ts';
import { type Ip6, ip6Word, readIp6Cached } from '../../../protocols/ip6.ts';
import { IPV4_HLEN } from '../../../protocols/ipv4.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  IPV6_MIN_MTU,
  ip6HopLimit,
  ip6TrafficClass,
} from '../../../protocols/ipv6.ts';
import { IpTunnelDevice } from './ip-tunnel.ts';

/** `IPV4_MIN_MTU` */
const IPV4_MIN_MTU = 68;

/** A tunnel of IPv6 in IPv4 (RFC 4213), which may carry IPv4 beside it (net/ipv6/sit.c). */
export class SitDevice extends IpTunnelDevice {
  override get minMtu(): number {
    return IPV6_MIN_MTU;
  }

  override carries(innerType: number): boolean {
    const { mode = 'any' } = this.options;
    return mode === 'any' || (mode === 'ipip') === (innerType === ETHERTYPE_IPV4);
  }

  override detail(): string {
    const { mode = 'any', pmtudisc } = this.options;
    return `sit ${mode} ${this.endsText()} ${pmtudisc === 'on' ? 'pmtudisc' : 'nopmtudisc'}`;
  }

  protected override encapsulate(frame: Uint8Array, mark: number): void {
    if (this.innerType(frame) === ETHERTYPE_IPV4) super.encapsulate(frame, mark);
    else if (frame.length >= ETH_HLEN + IPV6_HLEN) this.#encapsulate(frame, mark);
    else this.ns.kernel.drop('tunnel-protocol');
  }

  /** `ipip6_tunnel_xmit` */
  #encapsulate(frame: Uint8Array, mark: number): void {
    const { ns, options } = this;
    const remote = options.remote !== 0 ? options.remote : this.#remoteOf(frame);
    if (remote === null) {
      ns.kernel.drop('tunnel-no-remote');
      return;
    }
    const { local, pmtudisc } = options;
    const path = local !== 0 && !ns.isLocal(local) ? null : ns.lookup(remote, 0);
    if (path === null || (path.type !== 'unicast' && path.type !== 'local')) {
      this.linkFailure(frame);
      ns.kernel.drop('tunnel-xmit');
      return;
    }
    if (path.device === this) {
      ns.kernel.drop('tunnel-loop');
      return;
    }
    let df = pmtudisc === 'on';
    if (df) {
      const most = ns.pathMtus.of(remote, path) - IPV4_HLEN;
      const mtu = Math.max(most, IPV6_MIN_MTU);
      if (most < IPV6_MIN_MTU) df = false;
      const inner = readIp6Cached(frame, ETH_HLEN + IP6_DST);
      if (options.remote !== 0 && ns.ipv6.layer.lookup(inner, 0, null)?.device === this)
        ns.ipv6.pathMtus.learn(inner, mtu);
      const isTooBig = frame.length - ETH_HLEN > mtu;
      if (isTooBig) this.tell6(ICMPV6_PACKET_TOO_BIG, 0, mtu, frame);
      if (isTooBig || most < IPV4_MIN_MTU) {
        ns.kernel.drop('tunnel-xmit');
        return;
      }
    }
    this.tellSent(remote, frame);
    this.tellFailure(frame);
    const at = ETH_HLEN + IPV4_HLEN;
    const buffer = frameBuffer(at + frame.length - ETH_HLEN);
    buffer.set(frame.subarray(ETH_HLEN), at);
    const error = ns.ip.outputBy(path, buffer, {
      src: local,
      dst: remote,
      proto: PROTO_IPV6,
      ttl: options.ttl === 0 ? ip6HopLimit(frame, ETH_HLEN) : options.ttl,
      tos: ecnEncapsulated(0, ip6TrafficClass(frame, ETH_HLEN)),
      df: df && !ns.pathMtus.locked(remote, path),
      mark,
    });
    if (error !== null) ns.kernel.drop('tunnel-xmit');
  }

  /** The end that is in the destination (6to4, RFC 3056), or in the next hop (RFC 4291 §2.5.5.1). */
  #remoteOf(frame: Uint8Array): number | null {
    const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    const embedded = embedded6to4(dst);
    if (embedded !== null && embedded !== 0) return embedded;
    const nexthop = this.ns.ipv6.layer.lookup(dst, 0, this)?.nexthop ?? dst;
    return isCompatible(nexthop) ? ip6Word(nexthop, 3) : null;
  }

  /** Whether what is inside says itself that it is from, or for, another end (`packet_is_spoofed`). */
  isSpoofed(frame: Uint8Array, at: number, src: number, dst: number): boolean {
    if (this.options.remote !== 0) return false;
    const claimed = [
      embedded6to4(readIp6Cached(frame, at + IP6_SRC)),
      embedded6to4(readIp6Cached(frame, at + IP6_DST)),
    ];
    return (claimed[0] !== null && claimed[0] !== src) || (claimed[1] !== null && claimed[1] !== dst);
  }
}

/** The address of IPv4 in one of 2002::/16; null of others. */
function embedded6to4(address: Ip6): number | null {
  if (!address.startsWith('\x20\x02')) return null;
  return (((ip6Word(address, 0) & 0xffff) << 16) | (ip6Word(address, 1) >>> 16)) >>> 0;
}

/** `::a.b.c.d`, neither `::` nor `::1` */
function isCompatible(address: Ip6): boolean {
  return address.startsWith('\0'.repeat(12)) && ip6Word(address, 3) > 1;
}
