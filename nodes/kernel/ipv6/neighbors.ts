import { ETH_HLEN, ETHERTYPE_IPV6, etherType } from '../../../protocols/ethernet.ts';
import { ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS } from '../../../protocols/icmpv6.ts';
import { type Ip6, readIp6Cached, solicitedNode } from '../../../protocols/ip6.ts';
import { IP6_SRC } from '../../../protocols/ipv6.ts';
import type { NdpMessage } from '../../../protocols/ndp.ts';
import { NeighborCache } from '../neighbor-cache.ts';
import type { NeighborPool } from '../neighbor-pool.ts';

/**
 * One device's IPv6 neighbours: neighbour discovery (RFC 4861 §7). Packets of IPv4 go to them too, whose routes have IPv6 next
 * hops (`Nexthop.via6`).
 */
export class NdpTable extends NeighborCache<Ip6> {
  /** A solicitation tells of its sender; false if there is no room to remember it. */
  solicitedBy(ip: Ip6, mac: number): boolean {
    return this.remember(ip, mac);
  }

  /** The MAC address of a neighbour as it was last heard of; null if it is not known. */
  macOf(ip: Ip6): number | null {
    const entry = this.known(ip);
    return entry === undefined || entry.mac === 0 ? null : entry.mac;
  }

  /** RFC 4861 §7.2.5, as `ndisc_recv_na` and `neigh_update` have it. */
  advertised(message: Extract<NdpMessage, { type: 'neighbor-advert' }>): void {
    const { target, solicited, override, options } = message;
    const entry = this.known(target);
    if (entry === undefined || entry.state === 'PERMANENT' || entry.state === 'FAILED') return;
    const unresolved = entry.state === 'INCOMPLETE';
    const mac = options.targetMac ?? (unresolved ? undefined : entry.mac);
    if (mac === undefined || mac === 0) return;
    if (!unresolved && mac !== entry.mac && !override) {
      this.suspect(target);
      return;
    }
    this.learn(target, mac, solicited ? 'solicited' : 'unsolicited');
  }

  protected override get pool(): NeighborPool {
    return this.device.ns.kernel.neighborPool6;
  }

  protected override solicit(ip: Ip6, mac: number | null, waiting: Uint8Array | null): void {
    const { inet6, ns } = this.device;
    const packet = waiting !== null && etherType(waiting) === ETHERTYPE_IPV6 ? waiting : null;
    const from = packet === null ? null : readIp6Cached(packet, ETH_HLEN + IP6_SRC);
    // Whom the packet is not from asks by the link's address, and cannot ask while there is none (`ndisc_send_ns`).
    const src = from !== null && inet6.holds(from) ? from : inet6.linkLocal();
    if (src === null) return;
    const message: NdpMessage = {
      type: 'neighbor-solicit',
      target: ip,
      options: { sourceMac: this.device.mac },
    };
    ns.ipv6.ndp.send(this.device, message, { src, dst: mac === null ? solicitedNode(ip) : ip, mac });
  }

  protected override unreachable(frame: Uint8Array): void {
    const { ns } = this.device;
    if (etherType(frame) !== ETHERTYPE_IPV6) {
      ns.neighborUnreachable(frame);
      return;
    }
    ns.kernel.drop('neighbor-failed');
    ns.ipv6.icmp.sendError(ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS, 0, frame, null);
  }
}
