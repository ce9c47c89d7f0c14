import { ARP_LEN, ARP_REPLY, ARP_REQUEST, decodeArp, encodeArp } from '../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../protocols/ethernet.ts';
import { formatIp4, isLoopback, isMulticast } from '../../protocols/ip4.ts';
import { BROADCAST_MAC, formatMac, writeMac } from '../../protocols/mac.ts';
import type { NeighborFacts, NeighborState } from '../events/kernel.ts';
import type { EventId } from '../events/record.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { PooledNeighbor } from './neighbor-pool.ts';

interface Waiting {
  readonly frame: Uint8Array;
  readonly cause: EventId;
}

interface Neighbor extends PooledNeighbor {
  readonly ip: number;
  mac: number;
  state: NeighborState;
  updated: number;
  /** Last proof that the neighbour answers, ms. */
  confirmed: number;
  /** Reachable time drawn for this entry, ms. */
  reachableFor: number;
  probes: number;
  timer: TimerHandle | null;
  queue: Waiting[];
  queued: number;
}

/** `mcast_solicit` and `ucast_solicit`. */
const PROBES = 3;
/** `unres_qlen_bytes`: what may wait for one address. */
const QUEUE_BYTES = 212_992;

/** One device's neighbours: ARP (RFC 826) with the states and timers of Linux (arp(7), net/core/neighbour.c). */
export class NeighborTable {
  readonly #device: Device;
  readonly #entries = new Map<number, Neighbor>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Sends a frame to the neighbour, now or when its address is known. The Ethernet source and type are in place. */
  output(ip: number, frame: Uint8Array): void {
    const entry = this.#entries.get(ip);
    if (entry === undefined) {
      if (!this.#pool.admits()) return;
      const fresh = this.#create(ip, 'INCOMPLETE', 0);
      this.#enqueue(fresh, frame);
      this.#solicit(fresh);
      return;
    }
    switch (entry.state) {
      case 'INCOMPLETE':
        this.#enqueue(entry, frame);
        return;
      case 'FAILED':
        this.#change(entry, 'INCOMPLETE', 0);
        entry.probes = 0;
        this.#enqueue(entry, frame);
        this.#solicit(entry);
        return;
      case 'STALE':
        this.#change(entry, 'DELAY', entry.mac);
        this.#arm(entry, this.#timings.delayFirstProbe);
        break;
      default:
    }
    writeMac(frame, 0, entry.mac);
    this.#device.transmit(frame);
  }

  /** A reply of an upper layer proves that the neighbour is there (`MSG_CONFIRM`). */
  confirm(ip: number): void {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return;
    const { now } = this.#rt;
    if (entry.state === 'REACHABLE') entry.confirmed = now;
    else if (entry.state === 'DELAY' || entry.state === 'PROBE' || entry.state === 'STALE')
      this.#reachable(entry, entry.mac);
  }

  /** An ARP packet has come in by the device. */
  receiveArp(frame: Uint8Array): void {
    const arp = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
    const { ns } = this.#device;
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
        if (arp.spa !== 0 && !ns.isLocal(arp.spa) && !this.#remember(arp.spa, arp.sha)) return;
        this.#sendArp(ARP_REPLY, arp.tpa, arp.sha, arp.spa, arp.sha);
        return;
      }
    }
    if (arp.spa === 0 || ns.isLocal(arp.spa)) return;
    const entry = this.#entries.get(arp.spa);
    if (entry === undefined || entry.state === 'PERMANENT') return;
    const solicited = arp.op === ARP_REPLY && ns.isLocal(arp.tpa);
    if (solicited) this.#reachable(entry, arp.sha);
    else this.#heard(entry, arp.sha);
  }

  setPermanent(ip: number, mac: number): void {
    const entry = this.#entries.get(ip) ?? this.#create(ip, 'PERMANENT', mac);
    this.#pool.remove(entry);
    this.#disarm(entry);
    this.#change(entry, 'PERMANENT', mac);
    this.#flush(entry);
  }

  delete(ip: number): boolean {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return false;
    this.#disarm(entry);
    this.#entries.delete(ip);
    this.#pool.remove(entry);
    const { name, ns } = this.#device;
    this.#rt.emit({ type: 'neighbor.removed', ns: ns.name, dev: name, ip: formatIp4(ip) });
    return true;
  }

  clear(): void {
    for (const ip of [...this.#entries.keys()]) this.delete(ip);
  }

  list(): NeighborFacts[] {
    return [...this.#entries.values()].map((entry) => this.#facts(entry));
  }

  get #rt() {
    return this.#device.ns.kernel.rt;
  }

  get #pool() {
    return this.#device.ns.kernel.neighborPool;
  }

  get #timings() {
    return this.#device.ns.kernel.timings.neighbor;
  }

  #proxies(target: number, sender: number): boolean {
    const { conf, ns } = this.#device;
    if ((conf.proxy_arp | ns.sysctls.all.proxy_arp) === 0) return false;
    const route = this.#device.ns.lookup(target, 0);
    return route !== null && route.type === 'unicast' && route.device !== this.#device && target !== sender;
  }

  /** Learns the sender of a request; false if there is no room for it. */
  #remember(ip: number, mac: number): boolean {
    const entry = this.#entries.get(ip);
    if (entry !== undefined) this.#heard(entry, mac);
    else if (this.#pool.admits()) this.#create(ip, 'STALE', mac);
    else return false;
    return true;
  }

  /** An address was heard without having been asked for: good, but not proof that it hears us. */
  #heard(entry: Neighbor, mac: number): void {
    if (entry.state === 'PERMANENT') return;
    if (entry.mac === mac && entry.state !== 'INCOMPLETE' && entry.state !== 'FAILED') return;
    this.#disarm(entry);
    this.#change(entry, 'STALE', mac);
    this.#flush(entry);
  }

  #reachable(entry: Neighbor, mac: number): void {
    const { now, random } = this.#rt;
    this.#disarm(entry);
    entry.confirmed = now;
    entry.probes = 0;
    const { reachable } = this.#timings;
    // Between a half and one and a half of base_reachable_time (RFC 4861 §6.3.2, which Linux uses for ARP too).
    entry.reachableFor = reachable * (0.5 + random.unit());
    this.#change(entry, 'REACHABLE', mac);
    this.#arm(entry, entry.reachableFor);
    this.#flush(entry);
  }

  #expired(entry: Neighbor): void {
    const { now } = this.#rt;
    switch (entry.state) {
      case 'REACHABLE': {
        const left = entry.confirmed + entry.reachableFor - now;
        if (left > 0) this.#arm(entry, left);
        else this.#change(entry, 'STALE', entry.mac);
        return;
      }
      case 'DELAY':
        entry.probes = 0;
        this.#change(entry, 'PROBE', entry.mac);
        this.#solicit(entry);
        return;
      case 'INCOMPLETE':
      case 'PROBE':
        this.#solicit(entry);
        return;
      case 'FAILED':
        this.delete(entry.ip);
        return;
      default:
    }
  }

  #solicit(entry: Neighbor): void {
    if (entry.probes >= PROBES) {
      this.#fail(entry);
      return;
    }
    entry.probes++;
    const source = this.#device.ns.sourceFor(this.#device, entry.ip);
    const target = entry.state === 'PROBE' ? entry.mac : BROADCAST_MAC;
    this.#sendArp(ARP_REQUEST, source, 0, entry.ip, target);
    this.#arm(entry, this.#timings.retrans);
  }

  #fail(entry: Neighbor): void {
    this.#change(entry, 'FAILED', 0);
    entry.probes = 0;
    this.#arm(entry, this.#timings.gcStale);
    const waiting = entry.queue;
    entry.queue = [];
    entry.queued = 0;
    for (const { frame, cause } of waiting) {
      this.#rt.cause = cause;
      this.#device.ns.neighborUnreachable(frame);
    }
  }

  #enqueue(entry: Neighbor, frame: Uint8Array): void {
    entry.queue.push({ frame, cause: this.#rt.cause });
    entry.queued += frame.length;
    while (entry.queued > QUEUE_BYTES) {
      entry.queued -= entry.queue.shift()?.frame.length ?? 0;
      this.#device.ns.kernel.drop('neighbor-queue-full');
    }
  }

  /** Sends what waited, each frame under its own cause. */
  #flush(entry: Neighbor): void {
    if (entry.queue.length === 0) return;
    const waiting = entry.queue;
    entry.queue = [];
    entry.queued = 0;
    const rt = this.#rt;
    const cause = rt.cause;
    for (const item of waiting) {
      rt.cause = item.cause;
      this.output(entry.ip, item.frame);
    }
    rt.cause = cause;
  }

  #sendArp(op: number, spa: number, tha: number, tpa: number, to: number): void {
    const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
    const { mac } = this.#device;
    writeEthernet(frame, to, mac, ETHERTYPE_ARP);
    encodeArp(frame, ETH_HLEN, { op, sha: mac, spa, tha, tpa });
    this.#device.transmit(frame);
  }

  /** Tells the segment that an address is here now (RFC 5227 §3, announcement). */
  announce(ip: number): void {
    this.#sendArp(ARP_REQUEST, ip, 0, ip, BROADCAST_MAC);
  }

  #create(ip: number, state: NeighborState, mac: number): Neighbor {
    const entry: Neighbor = {
      ip,
      mac,
      state,
      updated: this.#rt.now,
      confirmed: 0,
      reachableFor: 0,
      probes: 0,
      timer: null,
      queue: [],
      queued: 0,
      discard: () => this.delete(ip),
    };
    this.#entries.set(ip, entry);
    if (state !== 'PERMANENT') this.#pool.add(entry);
    this.#emit(entry);
    return entry;
  }

  #change(entry: Neighbor, state: NeighborState, mac: number): void {
    if (entry.state === state && entry.mac === mac) return;
    entry.state = state;
    entry.mac = mac;
    entry.updated = this.#rt.now;
    this.#emit(entry);
  }

  #emit(entry: Neighbor): void {
    this.#rt.emit({ type: 'neighbor.set', ns: this.#device.ns.name, neighbor: this.#facts(entry) });
  }

  #facts(entry: Neighbor): NeighborFacts {
    const mac = entry.mac === 0 ? '' : formatMac(entry.mac);
    return { dev: this.#device.name, ip: formatIp4(entry.ip), mac, state: entry.state };
  }

  #arm(entry: Neighbor, after: number): void {
    this.#disarm(entry);
    const rt = this.#rt;
    entry.timer = rt.timers.set(rt.now + after, () => {
      entry.timer = null;
      this.#expired(entry);
    });
  }

  #disarm(entry: Neighbor): void {
    if (entry.timer !== null) this.#rt.timers.cancel(entry.timer);
    entry.timer = null;
  }
}
