import { formatIp4, isMulticast } from '../../protocols/ip4.ts';
import type { PathMtuFacts } from '../events/kernel.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { Path } from './ip.ts';
import type { Netns } from './netns.ts';
import type { Nexthop } from './route-table.ts';

interface Learned {
  readonly mtu: number;
  /** Those of the route when it was learned; it says nothing about a way by another. */
  readonly nexthops: readonly Nexthop[];
  readonly timer: TimerHandle;
}

/** `net.ipv4.route.mtu_expires`, ms (RFC 1191 §6.3). */
const EXPIRES = 600_000;
/** `net.ipv4.route.min_pmtu`, bytes: no router is believed that asks for less. */
const MIN_PMTU = 552;

/**
 * MTUs of paths that are smaller than the first hop's, by destination: learned from ICMP 'fragmentation needed'
 * (RFC 1191), forgotten after ten minutes. They hold for what the host itself sends (Linux' next hop exceptions).
 */
export class PathMtuCache {
  readonly #ns: Netns;
  readonly #learned = new Map<number, Learned>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The largest packet for a destination by a path to it, bytes. */
  of(dst: number, path: Path): number {
    return this.#find(dst, path)?.mtu ?? path.device.mtu;
  }

  /** When what is known of a path will be forgotten, ms; null if nothing is. */
  expiry(dst: number, path: Path): number | null {
    return this.#find(dst, path)?.timer.at ?? null;
  }

  /** A router on the way to `dst` has said that it takes no more than `mtu` bytes. */
  learn(dst: number, mtu: number): void {
    const path = this.#ns.lookup(dst, 0);
    const route = this.#ns.routes.lookup(dst);
    if (path?.type !== 'unicast' || route === null || isMulticast(dst)) return;
    const { rt } = this.#ns.kernel;
    const accepted = Math.max(mtu, MIN_PMTU);
    const old = this.#find(dst, path);
    if (accepted >= path.device.mtu || (old !== undefined && accepted > old.mtu)) return;
    // The same again moves the end only once half of the time is over.
    if (old !== undefined && old.mtu === accepted && old.timer.at - rt.now > EXPIRES / 2) return;
    this.#cancel(this.#learned.get(dst));
    const timer = rt.timers.set(rt.now + EXPIRES, () => this.#forget(dst));
    this.#learned.set(dst, { mtu: accepted, nexthops: route.nexthops, timer });
    rt.emit({ type: 'pmtu.set', ns: this.#ns.name, pmtu: this.#facts(dst, accepted, timer) });
  }

  list(): PathMtuFacts[] {
    return [...this.#learned].map(([dst, { mtu, timer }]) => this.#facts(dst, mtu, timer));
  }

  /** `ip route flush cache` */
  clear(): void {
    for (const dst of [...this.#learned.keys()]) this.#forget(dst);
  }

  deviceDown(device: Device): void {
    for (const [dst, { nexthops }] of [...this.#learned])
      if (nexthops.some((hop) => hop.device === device)) this.#forget(dst);
  }

  #find(dst: number, { device, nexthop }: Path): Learned | undefined {
    if (this.#learned.size === 0) return undefined;
    const learned = this.#learned.get(dst);
    const same = learned?.nexthops.some(
      (hop) => hop.device === device && (hop.via === 0 ? dst : hop.via) === nexthop,
    );
    return same === true ? learned : undefined;
  }

  #forget(dst: number): void {
    this.#cancel(this.#learned.get(dst));
    this.#learned.delete(dst);
    const { kernel, name } = this.#ns;
    kernel.rt.emit({ type: 'pmtu.removed', ns: name, dst: formatIp4(dst) });
  }

  #cancel(learned: Learned | undefined): void {
    if (learned !== undefined) this.#ns.kernel.rt.timers.cancel(learned.timer);
  }

  #facts(dst: number, mtu: number, timer: TimerHandle): PathMtuFacts {
    return { dst: formatIp4(dst), mtu, expires: timer.at };
  }
}
