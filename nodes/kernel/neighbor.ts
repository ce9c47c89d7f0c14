import {
  ARP_LEN,
  ARP_REPLY,
  ARP_REQUEST,
  type ArpPacket,
  decodeArp,
  encodeArp,
} from '../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../protocols/ethernet.ts';
import { isLoopback, isMulticast } from '../../protocols/ip4.ts';
import { ipSrc } from '../../protocols/ipv4.ts';
import { BROADCAST_MAC } from '../../protocols/mac.ts';
import { addressType } from './address-type.ts';
import { arpAccepts, arpFilters, arpIgnores, arpSource } from './arp-policy.ts';
import { isGroupFrame } from './ip/icmp-error.ts';
import { logMartian } from './ip/martians.ts';
import type { Path } from './ip/path.ts';
import { routeInput } from './ip/route-input.ts';
import { NeighborCache } from './neighbor-cache.ts';
import type { NeighborPool } from './neighbor-pool.ts';
import { ANY_FLOW } from './rules.ts';

/** `proxy_qlen`: answers in others' places that may wait at a device. */
const PROXY_QUEUE = 64;

/** One device's IPv4 neighbours: ARP (RFC 826, arp(7)). */
export class NeighborTable extends NeighborCache<number> {
  #delayed = 0;

  /** The MAC address of a neighbour that is known for certain, for those who answer in its place; null if it is not. */
  macOf(ip: number): number | null {
    const entry = this.known(ip);
    return entry?.state === 'PERMANENT' || entry?.state === 'REACHABLE' ? entry.mac : null;
  }

  /** An ARP packet has come in by the device. */
  receiveArp(frame: Uint8Array): void {
    const arp = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
    const { ns } = this.device;
    if (arp === null || (arp.op !== ARP_REQUEST && arp.op !== ARP_REPLY)) {
      ns.kernel.drop('arp-malformed');
      return;
    }
    const { conf } = this.device;
    const { all } = ns.sysctls;
    const localnet = (conf.route_localnet | all.route_localnet) !== 0;
    if (isMulticast(arp.tpa) || (isLoopback(arp.tpa) && !localnet)) {
      ns.kernel.drop('arp-martian');
      return;
    }
    const gratuitous = arp.spa === arp.tpa;
    if (gratuitous && (conf.drop_gratuitous_arp | all.drop_gratuitous_arp) !== 0) {
      ns.kernel.drop('arp-gratuitous');
      return;
    }
    const toUs = !isGroupFrame(frame);
    if (arp.op === ARP_REQUEST && this.#answers(arp, frame, toUs)) return;
    if (arp.spa !== 0) this.#hears(arp, toUs);
  }

  /** Takes what a packet says of its sender (the end of `arp_process`). */
  #hears({ op, sha, spa, tha, tpa }: ArpPacket, toUs: boolean): void {
    const { rt } = this.device.ns.kernel;
    const reply = op === ARP_REPLY;
    const isUnicast = addressType(this.device.ns, spa) === 'UNICAST';
    const announced = spa === tpa && (!reply || tha === sha) && isUnicast;
    const entry = this.known(spa);
    if (entry === undefined) {
      const wanted = announced || (reply && isUnicast);
      if (!wanted || !arpAccepts(this.device, spa) || !this.remember(spa, sha)) return;
    }
    // Of several answers the first holds; what is sent to all is no proof that the sender hears us.
    const free = entry === undefined || announced;
    const override = free || rt.now > entry.updated + this.device.neighConf.locktime * 10;
    this.learn(spa, sha, reply && toUs ? 'solicited' : 'unsolicited', override ? 'override' : 'keep');
  }

  /** Addresses of many need no entry: where they are is known (`arp_constructor`). */
  protected override remember(ip: number, mac: number): boolean {
    const type = addressType(this.device.ns, ip);
    return type === 'BROADCAST' || type === 'MULTICAST' || super.remember(ip, mac);
  }

  /**
   * Answers a request for an address of the host's own, or in the place of another (`arp_process`). True: that is all there is
   * to be done about it. `toUs`: it came to the device's own address.
   */
  #answers({ sha, spa, tpa }: ArpPacket, frame: Uint8Array, toUs: boolean): boolean {
    const { device } = this;
    const { ns } = device;
    if (spa === 0) {
      // Somebody asks whether the address is free (RFC 5227 §2.1.1).
      if (ns.isLocal(tpa) && !arpIgnores(device, 0, tpa)) this.#sendArp(ARP_REPLY, tpa, sha, 0, sha);
      return true;
    }
    const way = routeInput(ns, device, tpa, 0, { ...ANY_FLOW, src: spa, iif: device });
    if (typeof way === 'string') {
      logMartian(ns, device, frame, way, tpa, spa);
      return false;
    }
    if (way.type === 'local') {
      if (arpIgnores(device, spa, tpa) || arpFilters(device, spa, tpa)) return true;
      // Linux answers nobody that it cannot remember.
      if (this.remember(spa, sha)) this.#sendArp(ARP_REPLY, tpa, sha, spa, sha);
      return true;
    }
    if (way.type !== 'unicast' || !this.#proxies(way, spa === tpa)) return false;
    if (!this.remember(spa, sha)) return true;
    const delay = toUs ? 0 : device.neighConf.proxy_delay * 10;
    if (delay === 0) this.#sendArp(ARP_REPLY, tpa, sha, spa, sha);
    else this.#sendLater(delay, () => this.#sendArp(ARP_REPLY, tpa, sha, spa, sha));
    return true;
  }

  /** Another host, who has the address, is to be heard first: `pneigh_enqueue`. */
  #sendLater(delay: number, send: () => void): void {
    const { rt } = this.device.ns.kernel;
    if (this.#delayed >= PROXY_QUEUE) {
      this.device.ns.kernel.drop('arp-proxy-queue-full');
      return;
    }
    this.#delayed++;
    rt.timers.set(rt.now + rt.random.unit() * delay, () => {
      this.#delayed--;
      if (this.device.neighbors === this && this.device.up) send();
    });
  }

  protected override get pool(): NeighborPool {
    return this.device.ns.kernel.neighborPool;
  }

  protected override solicit(ip: number, mac: number | null, waiting: Uint8Array | null): void {
    const from = waiting === null ? 0 : ipSrc(waiting, ETH_HLEN);
    this.#sendArp(ARP_REQUEST, arpSource(this.device, ip, from), 0, ip, mac ?? BROADCAST_MAC);
  }

  protected override unreachable(frame: Uint8Array): void {
    this.device.ns.neighborUnreachable(frame);
  }

  /**
   * `arp_fwd_proxy`, `arp_fwd_pvlan`: the way leads on by another device; or back by this, between hosts kept apart, where nobody
   * asks for himself.
   */
  #proxies(way: Path, forItself: boolean): boolean {
    const { conf, ns } = this.device;
    const { all } = ns.sysctls;
    if (way.device === this.device) return !forItself && (conf.proxy_arp_pvlan | all.proxy_arp_pvlan) !== 0;
    return (conf.proxy_arp | all.proxy_arp) !== 0;
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
