import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import type { RedirectFacts } from '../events/kernel.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import type { Path } from './ip/path.ts';
import type { Netns } from './netns.ts';
import type { Route } from './route-table.ts';
import type { RouteTables } from './route-tables.ts';

interface Redirected<A extends IpAddress> {
  /** The next hop of the route, in whose place `gateway` is; the redirect says nothing about a way by another. */
  readonly via: A;
  readonly device: Device;
  readonly gateway: A;
  readonly timer: TimerHandle;
  /** When a packet last went that way, ms. */
  used: number;
}

/** How long a redirect holds, ms: from when it came, or from when it was last of use. */
export interface RedirectLife {
  readonly from: 'learned' | 'used';
  readonly ms: number;
}

/**
 * First hops that routers have redirected this host to, by destination (RFC 1122 §3.3.1.2, RFC 4861 §8.3; Linux' next hop
 * exceptions). They hold for whatever is routed by the next hop that they stand in the place of.
 */
export class RedirectCache<A extends IpAddress = number> {
  readonly #ns: Netns;
  readonly #life: RedirectLife;
  readonly #redirected = new Map<A, Redirected<A>>();

  constructor(ns: Netns, life: RedirectLife) {
    this.#ns = ns;
    this.#life = life;
  }

  get size(): number {
    return this.#redirected.size;
  }

  /** The way that a packet for an address takes by now. */
  way(dst: A, path: Path<A>): Path<A> {
    const found = this.#redirected.get(dst);
    if (found === undefined || path.type !== 'unicast' || path.via6 !== undefined) return path;
    if (found.via !== path.nexthop || found.device !== path.device) return path;
    found.used = this.#ns.kernel.rt.now;
    return { ...path, nexthop: found.gateway, redirected: true };
  }

  /** Packets for an address that go by a path are to go to another gateway of its link, which may be the address itself. */
  learn(dst: A, path: Path<A>, gateway: A): void {
    const { rt } = this.#ns.kernel;
    const old = this.#redirected.get(dst);
    const via = path.redirected === true && old !== undefined ? old.via : path.nexthop;
    if (old !== undefined) rt.timers.cancel(old.timer);
    const timer = rt.timers.set(rt.now + this.#life.ms, () => this.#expired(dst));
    const redirected: Redirected<A> = { via, device: path.device, gateway, timer, used: rt.now };
    this.#redirected.set(dst, redirected);
    rt.emit({ type: 'redirect.set', ns: this.#ns.name, redirect: this.#facts(dst, redirected) });
  }

  /** When a redirect will be forgotten, ms; null if there is none, or if that depends on its use. */
  expiry(dst: A): number | null {
    return this.#life.from === 'used' ? null : (this.#redirected.get(dst)?.timer.at ?? null);
  }

  list(): RedirectFacts[] {
    return [...this.#redirected].map(([dst, redirected]) => this.#facts(dst, redirected));
  }

  /** `ip route flush cache` */
  clear(): void {
    for (const dst of [...this.#redirected.keys()]) this.#forget(dst);
  }

  /** Routes have changed: what stands in the place of a next hop that no route has any more is forgotten. */
  routesChanged(tables: RouteTables<A>): void {
    for (const [dst, { via, device }] of [...this.#redirected]) {
      const isKept = ({ nexthops }: Route<A>) =>
        nexthops.some((hop) => hop.via === via && hop.device === device);
      if (!tables.list().some((table) => table.some(isKept))) this.#forget(dst);
    }
  }

  deviceDown(device: Device): void {
    for (const [dst, redirected] of [...this.#redirected])
      if (redirected.device === device) this.#forget(dst);
  }

  #expired(dst: A): void {
    const found = this.#redirected.get(dst);
    if (found === undefined) return;
    const { rt } = this.#ns.kernel;
    const until = found.used + this.#life.ms;
    if (this.#life.from === 'learned' || until <= rt.now) {
      this.#forget(dst);
      return;
    }
    const timer = rt.timers.set(until, () => this.#expired(dst));
    this.#redirected.set(dst, { ...found, timer });
  }

  #forget(dst: A): void {
    const found = this.#redirected.get(dst);
    const { kernel, name } = this.#ns;
    if (found !== undefined) kernel.rt.timers.cancel(found.timer);
    this.#redirected.delete(dst);
    kernel.rt.emit({ type: 'redirect.removed', ns: name, dst: formatIp(dst) });
  }

  #facts(dst: A, { via, device, gateway, timer }: Redirected<A>): RedirectFacts {
    return {
      ...{ dst: formatIp(dst), dev: device.name, via: formatIp(via), gateway: formatIp(gateway) },
      ...(this.#life.from === 'learned' ? { expires: timer.at } : {}),
    };
  }
}
