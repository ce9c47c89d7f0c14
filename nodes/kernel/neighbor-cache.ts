import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { formatMac, writeMac } from '../../protocols/mac.ts';
import type { NeighborFacts, NeighborState } from '../events/kernel.ts';
import type { EventId } from '../events/record.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { NeighborPool, PooledNeighbor } from './neighbor-pool.ts';
import type { Skb } from './netfilter/skb.ts';

interface Waiting {
  readonly frame: Uint8Array;
  readonly skb: Skb | null;
  readonly cause: EventId;
}

interface Neighbor<A> extends PooledNeighbor {
  readonly ip: A;
  mac: number;
  state: NeighborState;
  /** Last change, and last time that something waited for it, ms. */
  updated: number;
  used: number;
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

/** `NUD_VALID`: whether the MAC address is known. It may be 0. */
function isValid(state: NeighborState): boolean {
  return state !== 'INCOMPLETE' && state !== 'FAILED';
}

function macText({ state, mac }: { readonly state: NeighborState; readonly mac: number }): string {
  return isValid(state) ? formatMac(mac) : '';
}

/**
 * One device's neighbours of one address family, with the states and timers of Linux (net/core/neighbour.c), which are
 * those of RFC 4861 §7.3 for ARP too. How they are asked is the subclass' affair.
 */
export abstract class NeighborCache<A extends IpAddress> {
  protected readonly device: Device;
  readonly #entries = new Map<A, Neighbor<A>>();

  constructor(device: Device) {
    this.device = device;
  }

  /** The table that the entries count in. */
  protected abstract get pool(): NeighborPool;

  /** Asks for an address: of everybody, or of the MAC that it was last known to have. `waiting`: a frame that is for it. */
  protected abstract solicit(ip: A, mac: number | null, waiting: Uint8Array | null): void;

  /** A packet waited in vain. */
  protected abstract unreachable(frame: Uint8Array): void;

  /**
   * Sends a frame to the neighbour, now or when its address is known, with what netfilter knows of it. The Ethernet source
   * and type are in place.
   */
  output(ip: A, frame: Uint8Array, skb: Skb | null = null): void {
    const entry = this.#entries.get(ip);
    if (entry === undefined) {
      if (!this.pool.admits()) return;
      const fresh = this.#create(ip, 'INCOMPLETE', 0);
      this.#enqueue(fresh, frame, skb);
      this.#solicit(fresh);
      return;
    }
    if (entry.state !== 'REACHABLE' && entry.state !== 'PERMANENT') entry.used = this.#rt.now;
    switch (entry.state) {
      case 'INCOMPLETE':
        this.#enqueue(entry, frame, skb);
        return;
      case 'FAILED':
        this.#change(entry, 'INCOMPLETE', 0);
        entry.probes = 0;
        this.#enqueue(entry, frame, skb);
        this.#solicit(entry);
        return;
      case 'STALE':
        this.#change(entry, 'DELAY', entry.mac);
        this.#arm(entry, this.#timings.delayFirstProbe);
        break;
      default:
    }
    writeMac(frame, 0, entry.mac);
    if (this.#rt.cause < 0) this.#told(entry);
    this.device.transmit(frame, skb);
  }

  /** Whoever follows the packet hears who it goes to. */
  #told(entry: Neighbor<A>): void {
    const { ns, name } = this.device;
    const { ip, state } = entry;
    const step = { at: 'neighbor', dev: name, ip: formatIp(ip), mac: macText(entry), state } as const;
    ns.kernel.tracer.step(ns, step, null);
  }

  /** Whether the address of a neighbour is known; one that is not is asked for (`neigh_event_send`). */
  ask(ip: A): boolean {
    const entry = this.#entries.get(ip);
    if (entry !== undefined && isValid(entry.state)) return true;
    if (entry === undefined) {
      if (this.pool.admits()) this.#solicit(this.#create(ip, 'INCOMPLETE', 0));
    } else if (entry.state === 'FAILED') {
      this.#change(entry, 'INCOMPLETE', 0);
      entry.probes = 0;
      this.#solicit(entry);
    }
    return false;
  }

  /** A reply of an upper layer proves that the neighbour is there (`neigh_confirm`): its timer will see it. */
  confirm(ip: A): void {
    const entry = this.#entries.get(ip);
    if (entry !== undefined) entry.confirmed = this.#rt.now;
  }

  setPermanent(ip: A, mac: number): void {
    const entry = this.#entries.get(ip) ?? this.#create(ip, 'PERMANENT', mac);
    this.pool.remove(entry);
    this.#disarm(entry);
    this.#change(entry, 'PERMANENT', mac);
    this.#flush(entry);
  }

  /** Takes an entry out on an administrator's word: what waited for it, waited in vain (`neigh_delete`). */
  deleteByHand(ip: A): boolean {
    const waiting = this.#entries.get(ip)?.queue ?? [];
    const found = this.delete(ip);
    for (const { frame } of waiting) this.unreachable(frame);
    return found;
  }

  delete(ip: A): boolean {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return false;
    this.#disarm(entry);
    this.#entries.delete(ip);
    this.pool.remove(entry);
    const { name, ns } = this.device;
    this.#rt.emit({ type: 'neighbor.removed', ns: ns.name, dev: name, ip: formatIp(ip) });
    return true;
  }

  clear(): void {
    for (const ip of [...this.#entries.keys()]) this.delete(ip);
  }

  /** The link has lost its carrier: whoever is there next need not be the same (`neigh_carrier_down`). */
  carrierLost(): void {
    for (const { ip, state } of [...this.#entries.values()]) if (state !== 'PERMANENT') this.delete(ip);
  }

  list(): NeighborFacts[] {
    return [...this.#entries.values()].map((entry) => this.#facts(entry));
  }

  get #rt() {
    return this.device.ns.kernel.rt;
  }

  get #timings() {
    return this.device.ns.kernel.timings.neighbor;
  }

  /** What is known of an address. */
  protected known(
    ip: A,
  ): { readonly mac: number; readonly state: NeighborState; readonly updated: number } | undefined {
    return this.#entries.get(ip);
  }

  /** Something speaks against an address: it is used on, and asked for when it is. */
  protected suspect(ip: A): void {
    const entry = this.#entries.get(ip);
    if (entry?.state !== 'REACHABLE') return;
    this.#disarm(entry);
    this.#change(entry, 'STALE', entry.mac);
  }

  /**
   * An address that is known was heard of (`neigh_update`): in answer to us, which is proof that it hears us, or without having
   * been asked for. 'keep': the MAC address that is known holds against another.
   */
  protected learn(
    ip: A,
    mac: number,
    how: 'solicited' | 'unsolicited',
    other: 'override' | 'keep' = 'override',
  ): void {
    const entry = this.#entries.get(ip);
    if (entry !== undefined) this.#update(entry, mac, how, other);
  }

  /** Learns the sender of a request; false if there is no room for it (`neigh_event_ns`). */
  protected remember(ip: A, mac: number): boolean {
    const entry = this.#entries.get(ip);
    if (entry !== undefined) this.#update(entry, mac, 'unsolicited', 'override');
    else if (this.pool.admits()) this.#create(ip, 'STALE', mac);
    else return false;
    return true;
  }

  #update(
    entry: Neighbor<A>,
    mac: number,
    how: 'solicited' | 'unsolicited',
    other: 'override' | 'keep',
  ): void {
    const { state } = entry;
    if (state === 'PERMANENT') return;
    const { now } = this.#rt;
    if (how === 'solicited') entry.confirmed = now;
    const valid = isValid(state);
    const same = mac === entry.mac;
    if (valid && !same && other === 'keep') return;
    if (how === 'solicited') {
      if (state !== 'REACHABLE') {
        entry.probes = 0;
        const { reachable } = this.#timings;
        // Between a half and one and a half of base_reachable_time (RFC 4861 §6.3.2, which Linux uses for ARP too).
        entry.reachableFor = reachable * (0.5 + this.#rt.random.unit());
        this.#arm(entry, entry.reachableFor);
      }
      this.#change(entry, 'REACHABLE', mac);
    } else {
      if (valid && same) return;
      this.#disarm(entry);
      this.#change(entry, 'STALE', mac);
    }
    if (!valid) this.#flush(entry);
  }

  #expired(entry: Neighbor<A>): void {
    const { now, random } = this.#rt;
    const { delayFirstProbe, reachable } = this.#timings;
    switch (entry.state) {
      case 'REACHABLE': {
        const left = entry.confirmed + entry.reachableFor - now;
        if (left > 0) this.#arm(entry, left);
        else if (now <= entry.used + delayFirstProbe) {
          this.#change(entry, 'DELAY', entry.mac);
          this.#arm(entry, delayFirstProbe);
        } else this.#change(entry, 'STALE', entry.mac);
        return;
      }
      case 'DELAY':
        if (now <= entry.confirmed + delayFirstProbe) {
          entry.reachableFor = reachable * (0.5 + random.unit());
          this.#change(entry, 'REACHABLE', entry.mac);
          this.#arm(entry, entry.confirmed + entry.reachableFor - now);
          return;
        }
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

  #solicit(entry: Neighbor<A>): void {
    if (entry.probes >= PROBES) {
      this.#fail(entry);
      return;
    }
    entry.probes++;
    this.solicit(entry.ip, entry.state === 'PROBE' ? entry.mac : null, entry.queue.at(-1)?.frame ?? null);
    this.#arm(entry, this.#timings.retrans);
  }

  #fail(entry: Neighbor<A>): void {
    this.#change(entry, 'FAILED', 0);
    entry.probes = 0;
    this.#arm(entry, this.#timings.gcStale);
    const waiting = entry.queue;
    entry.queue = [];
    entry.queued = 0;
    for (const { frame, cause } of waiting) {
      this.#rt.cause = cause;
      this.unreachable(frame);
    }
  }

  #enqueue(entry: Neighbor<A>, frame: Uint8Array, skb: Skb | null): void {
    if (this.#rt.cause < 0) this.#told(entry);
    entry.queue.push({ frame, skb, cause: this.#rt.cause });
    entry.queued += frame.length;
    while (entry.queued > QUEUE_BYTES) {
      entry.queued -= entry.queue.shift()?.frame.length ?? 0;
      this.device.ns.kernel.drop('neighbor-queue-full');
    }
  }

  /** Sends what waited, each frame under its own cause. */
  #flush(entry: Neighbor<A>): void {
    if (entry.queue.length === 0) return;
    const waiting = entry.queue;
    entry.queue = [];
    entry.queued = 0;
    const rt = this.#rt;
    const cause = rt.cause;
    for (const item of waiting) {
      rt.cause = item.cause;
      this.output(entry.ip, item.frame, item.skb);
    }
    rt.cause = cause;
  }

  #create(ip: A, state: NeighborState, mac: number): Neighbor<A> {
    const entry: Neighbor<A> = {
      ip,
      mac,
      state,
      updated: this.#rt.now,
      used: this.#rt.now,
      confirmed: Number.NEGATIVE_INFINITY,
      reachableFor: 0,
      probes: 0,
      timer: null,
      queue: [],
      queued: 0,
      discard: () => this.delete(ip),
    };
    this.#entries.set(ip, entry);
    if (state !== 'PERMANENT') this.pool.add(entry);
    this.#emit(entry);
    return entry;
  }

  #change(entry: Neighbor<A>, state: NeighborState, mac: number): void {
    if (entry.state === state && entry.mac === mac) return;
    entry.state = state;
    entry.mac = mac;
    entry.updated = this.#rt.now;
    this.#emit(entry);
  }

  #emit(entry: Neighbor<A>): void {
    this.#rt.emit({ type: 'neighbor.set', ns: this.device.ns.name, neighbor: this.#facts(entry) });
  }

  #facts(entry: Neighbor<A>): NeighborFacts {
    return { dev: this.device.name, ip: formatIp(entry.ip), mac: macText(entry), state: entry.state };
  }

  #arm(entry: Neighbor<A>, after: number): void {
    this.#disarm(entry);
    const rt = this.#rt;
    entry.timer = rt.timers.set(rt.now + after, () => {
      entry.timer = null;
      this.#expired(entry);
    });
  }

  #disarm(entry: Neighbor<A>): void {
    if (entry.timer !== null) this.#rt.timers.cancel(entry.timer);
    entry.timer = null;
  }
}
