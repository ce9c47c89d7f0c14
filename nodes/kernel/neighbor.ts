import { ARP_LEN, ARP_REPLY, ARP_REQUEST, decodeArp, encodeArp } from '../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../protocols/ethernet.ts';
import { isLoopback, isMulticast } from '../../protocols/ip4.ts';
import { BROADCAST_MAC } from '../../protocols/mac.ts';
import { NeighborCache } from './neighbor-cache.ts';
import type { NeighborPool } from './neighbor-pool.ts';

/** One device's IPv4 neighbours: ARP (RFC 826, arp(7)). */
export class NeighborTable extends NeighborCache<number> {
  /** An ARP packet has come in by the device. */
  receiveArp(frame: Uint8Array): void {
    const arp = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
    const { ns } = this.device;
    if (arp === null || (arp.op !== ARP_REQUEST && arp.op !== ARP_REPLY)) {
      ns.kernel.drop('arp-malformed');
      return;
    }
    if (isMulticast(arp.tpa) || isLoopback(arp.tpa) || arp.sha === 0) {
      ns.kernel.drop('arp-martian');
      return;
    }
    if (arp.op === ARP_REQUEST && arp.spa !== arp.tpa) {
      if (ns.isLocal(arp.tpa) || this.#proxies(arp.tpa, arp.spa)) {
        // Linux answers nobody that it cannot remember.
        if (arp.spa !== 0 && !ns.isLocal(arp.spa) && !this.remember(arp.spa, arp.sha)) return;
        this.#sendArp(ARP_REPLY, arp.tpa, arp.sha, arp.spa, arp.sha);
        return;
      }
    }
    if (arp.spa === 0 || ns.isLocal(arp.spa)) return;
    const solicited = arp.op === ARP_REPLY && ns.isLocal(arp.tpa);
    this.learn(arp.spa, arp.sha, solicited ? 'solicited' : 'unsolicited');
  }

  protected override get pool(): NeighborPool {
    return this.device.ns.kernel.neighborPool;
  }

  protected override solicit(ip: number, mac: number | null): void {
    const source = this.device.ns.sourceFor(this.device, ip);
    this.#sendArp(ARP_REQUEST, source, 0, ip, mac ?? BROADCAST_MAC);
  }

  protected override unreachable(frame: Uint8Array): void {
    this.device.ns.neighborUnreachable(frame);
  }

  #proxies(target: number, sender: number): boolean {
    const { conf, ns } = this.device;
    if ((conf.proxy_arp | ns.sysctls.all.proxy_arp) === 0) return false;
    const route = this.device.ns.lookup(target, 0);
    return route !== null && route.type === 'unicast' && route.device !== this.device && target !== sender;
  }

  #sendArp(op: number, spa: number, tha: number, tpa: number, to: number): void {
    const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
    const { mac } = this.device;
    writeEthernet(frame, to, mac, ETHERTYPE_ARP);
    encodeArp(frame, ETH_HLEN, { op, sha: mac, spa, tha, tpa });
    this.device.transmit(frame);
  }

  /** Tells the segment that an address is here now (RFC 5227 §3, announcement). */
  announce(ip: number): void {
    this.#sendArp(ARP_REQUEST, ip, 0, ip, BROADCAST_MAC);
  }
}
