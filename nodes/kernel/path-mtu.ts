import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import type { PathMtuFacts } from '../events/kernel.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { Path } from './ip/path.ts';
import type { Netns } from './netns.ts';
import type { Nexthop, Route } from './route-table.ts';

interface Learned<A extends IpAddress> {
  readonly mtu: number;
  /** Less was asked for: what goes this way may be fragmented, whatever its sender would have. */
  readonly locked: boolean;
  /** Those of the route when it was learned; it says nothing about a way by another. */
  readonly nexthops: readonly Nexthop<A>[];
  readonly timer: TimerHandle;
}

/** `net.ipv4.route.mtu_expires` and that of `net.ipv6`, ms (RFC 1191 §6.3). */
const EXPIRES = 600_000;

/** What the cache must know of its address family. */
export interface PathMtuFamily<A extends IpAddress> {
  /** No router is believed that asks for less, bytes. */
  readonly least: number;
  readonly unspecified: A;
  lookup(dst: A): Path<A> | null;
  route(dst: A): Route<A> | null;
}

/**
 * MTUs of paths that are smaller than the first hop's, by destination: learned from ICMP 'fragmentation needed'
 * (RFC 1191) or 'packet too big' (RFC 8201), forgotten after ten minutes. They hold for what the host itself sends
 * (Linux' next hop exceptions).
 */
export class PathMtuCache<A extends IpAddress = number> {
  readonly #ns: Netns;
  readonly #family: PathMtuFamily<A>;
  readonly #learned = new Map<A, Learned<A>>();

  constructor(ns: Netns, family: PathMtuFamily<A>) {
    this.#ns = ns;
    this.#family = family;
  }

  /** The largest packet for a destination by a path to it, bytes. */
  of(dst: A, path: Path<A>): number {
    return this.#find(dst, path)?.mtu ?? path.device.mtu;
  }

  /** Whether a router asks for less than can be had (`ip_mtu_locked`). */
  locked(dst: A, path: Path<A>): boolean {
    return this.#find(dst, path)?.locked === true;
  }

  /** When what is known of a path will be forgotten, ms; null if nothing is. */
  expiry(dst: A, path: Path<A>): number | null {
    return this.#find(dst, path)?.timer.at ?? null;
  }

  /** A router on the way to `dst` has said that it takes no more than `mtu` bytes. */
  learn(dst: A, mtu: number): void {
    const path = this.#family.lookup(dst);
    const route = this.#family.route(dst);
    if (path?.type !== 'unicast' || route === null) return;
    const { rt } = this.#ns.kernel;
    const accepted = Math.max(mtu, this.#family.least);
    const locked = mtu < this.#family.least;
    const old = this.#find(dst, path);
    if (old?.locked === true || accepted >= path.device.mtu || (old !== undefined && accepted > old.mtu))
      return;
    // The same again moves the end only once half of the time is over.
    if (old !== undefined && old.mtu === accepted && !locked && old.timer.at - rt.now > EXPIRES / 2) return;
    this.#cancel(this.#learned.get(dst));
    const timer = rt.timers.set(rt.now + EXPIRES, () => this.#forget(dst));
    this.#learned.set(dst, { mtu: accepted, locked, nexthops: route.nexthops, timer });
    rt.emit({ type: 'pmtu.set', ns: this.#ns.name, pmtu: this.#facts(dst, accepted, locked, timer) });
  }

  list(): PathMtuFacts[] {
    return [...this.#learned].map(([dst, { mtu, locked, timer }]) => this.#facts(dst, mtu, locked, timer));
  }

  /** `ip route flush cache` */
  clear(): void {
    for (const dst of [...this.#learned.keys()]) this.#forget(dst);
  }

  deviceDown(device: Device): void {
    for (const [dst, { nexthops }] of [...this.#learned])
      if (nexthops.some((hop) => hop.device === device)) this.#forget(dst);
  }

  #find(dst: A, { device, nexthop, redirected }: Path<A>): Learned<A> | undefined {
    if (this.#learned.size === 0) return undefined;
    const learned = this.#learned.get(dst);
    const same = learned?.nexthops.some(
      (hop) =>
        hop.device === device &&
        (redirected === true || (hop.via === this.#family.unspecified ? dst : hop.via) === nexthop),
    );
    return same === true ? learned : undefined;
  }

  #forget(dst: A): void {
    this.#cancel(this.#learned.get(dst));
    this.#learned.delete(dst);
    const { kernel, name } = this.#ns;
    kernel.rt.emit({ type: 'pmtu.removed', ns: name, dst: formatIp(dst) });
  }

  #cancel(learned: Learned<A> | undefined): void {
    if (learned !== undefined) this.#ns.kernel.rt.timers.cancel(learned.timer);
  }

  #facts(dst: A, mtu: number, locked: boolean, timer: TimerHandle): PathMtuFacts {
    const facts = { dst: formatIp(dst), mtu, expires: timer.at };
    return locked ? { ...facts, locked } : facts;
  }
}
