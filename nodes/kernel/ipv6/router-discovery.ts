import {
  ALL_ROUTERS,
  ANY_IP6,
  eui64,
  formatIp6,
  formatPrefix6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  maskIp6,
} from '../../../protocols/ip6.ts';
import { IPV6_MIN_MTU } from '../../../protocols/ipv6.ts';
import type { NdpMessage, PrefixInformation } from '../../../protocols/ndp.ts';
import type { RouteFacts } from '../../events/kernel.ts';
import type { TimerHandle } from '../../runtime.ts';
import { RouteError } from '../route-error.ts';
import type { Inet6Device } from './inet6-device.ts';
import { KERNEL_METRIC, prefixRoute, USER_METRIC } from './route-table.ts';

type RouterAdvert = Extract<NdpMessage, { type: 'router-advert' }>;

const FOREVER = 0xffff_ffff;
/** RFC 4862 §5.5.3 e: what an advertisement cannot shorten a lifetime below, s. */
const TWO_HOURS = 7200;

/**
 * The host's side of router discovery on one device (RFC 4861 §6.3, RFC 4862 §5.5): solicits routers, and takes default
 * routers, prefixes and addresses from what they advertise.
 */
export class HostDiscovery {
  readonly #inet6: Inet6Device;
  #timer: TimerHandle | null = null;
  #sent = 0;
  #interval = 0;
  #heard = false;
  /** Default routers, with the end of their lifetimes. */
  readonly #routers = new Map<Ip6, TimerHandle>();
  /** Prefixes that are on the link by an advertisement alone, with the end of their lifetimes; null for ever. */
  readonly #prefixes = new Map<string, TimerHandle | null>();

  constructor(inet6: Inet6Device) {
    this.#inet6 = inet6;
  }

  /** Whether advertisements count here: with `accept_ra` 1 on hosts alone, with 2 on routers too. */
  get accepts(): boolean {
    const { accept_ra, forwarding } = this.#inet6.conf;
    return accept_ra === 2 || (accept_ra === 1 && forwarding === 0);
  }

  /** The link-local address is good: routers are asked for (`addrconf_dad_completed`). */
  start(): void {
    const { conf } = this.#inet6;
    this.stop();
    if (!this.accepts || conf.router_solicitations === 0) return;
    this.#sent = 0;
    this.#heard = false;
    this.#interval = conf.router_solicitation_interval * this.#second;
    this.#solicit();
  }

  stop(): void {
    const { timers } = this.#rt;
    if (this.#timer !== null) timers.cancel(this.#timer);
    this.#timer = null;
    for (const timer of [...this.#routers.values(), ...this.#prefixes.values()])
      if (timer !== null) timers.cancel(timer);
    this.#routers.clear();
    this.#prefixes.clear();
  }

  /** The host is a router now, and has no others, unless it listens to them all the same (`rt6_purge_dflt_routers`). */
  purge(): void {
    if (this.#inet6.conf.accept_ra === 2) return;
    for (const [src, timer] of this.#routers) {
      this.#rt.timers.cancel(timer);
      this.#removeRow(src);
    }
    this.#routers.clear();
  }

  /** What an advertisement says of its router; false: it cannot be one, and nothing more is taken (`ndisc_router_discovery`). */
  heard(message: RouterAdvert, src: Ip6): boolean {
    const { conf } = this.#inet6;
    this.#heard = true;
    const fromHere = this.#inet6.find(src) !== undefined;
    if (conf.accept_ra_defrtr === 0 || (fromHere && conf.accept_ra_from_local === 0)) return true;
    return this.#router(message, src);
  }

  /** What it says of the link. */
  advertised({ options }: RouterAdvert, src: Ip6): void {
    const { conf, device } = this.#inet6;
    const { mtu, prefixes = [] } = options;
    if (conf.accept_ra_pinfo !== 0) for (const prefix of prefixes) this.#prefix(prefix);
    if (conf.accept_ra_mtu !== 0 && mtu !== undefined && mtu >= IPV6_MIN_MTU && mtu <= device.mtu)
      this.#mtu(mtu, src);
  }

  get #rt() {
    return this.#inet6.device.ns.kernel.rt;
  }

  get #second(): number {
    return this.#inet6.device.ns.kernel.timings.neighbor.retrans;
  }

  get #routes() {
    return this.#inet6.device.ns.ipv6.routes;
  }

  /** `addrconf_rs_timer`: ever more slowly, until a router has been heard. */
  #solicit(): void {
    const { device, conf } = this.#inet6;
    const src = this.#inet6.linkLocal();
    this.#timer = null;
    if (this.#heard || !this.accepts) return;
    if (conf.router_solicitations > 0 && this.#sent >= conf.router_solicitations) return;
    const options = src === null ? {} : { sourceMac: device.mac };
    const envelope = { src: src ?? ANY_IP6, dst: ALL_ROUTERS, mac: null };
    device.ns.ipv6.ndp.send(device, { type: 'router-solicit', options }, envelope);
    this.#sent++;
    this.#timer = this.#rt.timers.set(this.#rt.now + this.#interval, () => this.#solicit());
    // RFC 7559 §2
    const most = conf.router_solicitation_max_interval * this.#second;
    this.#interval = Math.min(most, this.#interval * (1.9 + 0.2 * this.#rt.random.unit()));
  }

  #router({ routerLifetime, hopLimit, preference }: RouterAdvert, src: Ip6): boolean {
    const { conf, device } = this.#inet6;
    const { timers, now } = this.#rt;
    const until = now + routerLifetime * this.#second;
    const old = this.#routers.get(src);
    if (old !== undefined) timers.cancel(old);
    this.#routers.delete(src);
    const row = this.#rowOf(src);
    const heeded = hopLimit !== 0 && hopLimit >= conf.accept_ra_min_hop_limit;
    if (routerLifetime === 0) this.#removeRow(src);
    else {
      // One that somebody has put in by hand stays as it is.
      if (row !== undefined && row.protocol !== 'ra') return false;
      const { preference: _preference, ...known } = row ?? {
        dst: '::/0',
        type: 'unicast',
        protocol: 'ra',
        scope: 'global',
        metric: USER_METRIC,
        src: '',
        nexthops: [{ via: formatIp6(src), dev: device.name, onlink: false, weight: 1 }],
      };
      const facts: RouteFacts = {
        ...known,
        expires: until,
        ...(heeded ? { hopLimit } : {}),
        ...(preference === 'medium' || conf.accept_ra_rtr_pref === 0 ? {} : { preference }),
      };
      try {
        if (row === undefined) this.#routes.add(facts, 'last');
        else this.#routes.replace(row, facts);
      } catch (error) {
        // Nobody is a gateway for himself.
        if (!(error instanceof RouteError)) throw error;
        return false;
      }
      this.#routers.set(
        src,
        timers.set(until, () => {
          this.#routers.delete(src);
          this.#removeRow(src);
        }),
      );
    }
    if (heeded) conf.hop_limit = hopLimit;
    return true;
  }

  /** The default route by a router (`rt6_get_dflt_router`). */
  #rowOf(src: Ip6): RouteFacts | undefined {
    const { name } = this.#inet6.device;
    const via = formatIp6(src);
    const rows = this.#routes.rowsOf('::/0').filter(({ metric }) => metric === USER_METRIC);
    return rows.find(({ nexthops }) => nexthops.some((hop) => hop.via === via && hop.dev === name));
  }

  #removeRow(src: Ip6): void {
    const row = this.#rowOf(src);
    if (row?.protocol === 'ra') this.#routes.remove(row);
  }

  /** Another MTU than before goes for the router's route, and for others that were given a larger one (`rt6_mtu_change`). */
  #mtu(mtu: number, src: Ip6): void {
    if (mtu === this.#inet6.mtu) return;
    this.#inet6.advertisedMtu = mtu;
    const own = this.#rowOf(src);
    const { name } = this.#inet6.device;
    for (const row of this.#routes.rowsOf('::/0')) {
      if (row.protocol !== 'ra' || row.nexthops[0]?.dev !== name) continue;
      if (row === own || (row.mtu !== undefined && row.mtu > mtu)) this.#routes.replace(row, { ...row, mtu });
    }
  }

  #prefix(info: PrefixInformation): void {
    const { conf } = this.#inet6;
    const { prefix } = info;
    if (isLinkLocal(prefix) || isMulticastIp6(prefix) || info.preferredLifetime > info.validLifetime) return;
    if (info.onLink) this.#onLink(info);
    if (info.autonomous && conf.autoconf !== 0 && info.len === 64) this.#address(info);
  }

  /** `addrconf_prefix_rcv`: a route that is there by an address stays as it is. */
  #onLink({ prefix, len, validLifetime }: PrefixInformation): void {
    const { timers, now } = this.#rt;
    const { device } = this.#inet6;
    const dst = formatPrefix6({ addr: maskIp6(prefix, len), len });
    const row = this.#routes.get(dst, KERNEL_METRIC, device.name);
    const old = this.#prefixes.get(dst);
    if (old === undefined && row !== undefined) return;
    if (old !== undefined && old !== null) timers.cancel(old);
    this.#prefixes.delete(dst);
    if (validLifetime === 0) {
      if (old !== undefined) this.#routes.delete(dst, KERNEL_METRIC, device.name);
      return;
    }
    const until = validLifetime === FOREVER ? null : now + validLifetime * this.#second;
    const gone = () => {
      this.#prefixes.delete(dst);
      // An address may have made it a lasting one.
      if (this.#routes.get(dst, KERNEL_METRIC, device.name)?.expires === until)
        this.#routes.delete(dst, KERNEL_METRIC, device.name);
    };
    this.#prefixes.set(dst, until === null ? null : timers.set(until, gone));
    const route = prefixRoute(dst, device);
    this.#routes.set(until === null ? route : { ...route, expires: until });
  }

  /** RFC 4862 §5.5.3, `addrconf_prefix_rcv_add_addr` */
  #address({ prefix, len, validLifetime, preferredLifetime }: PrefixInformation): void {
    const { device } = this.#inet6;
    const { now } = this.#rt;
    const { addresses } = device.ns.ipv6;
    const addr = eui64(prefix, device.mac);
    const until = (lifetime: number) => (lifetime === FOREVER ? null : now + lifetime * this.#second);
    const old = this.#inet6.find(addr);
    if (old === undefined) {
      if (validLifetime === 0) return;
      const lifetimes = { preferredUntil: until(preferredLifetime), validUntil: until(validLifetime) };
      addresses.insert(device, { addr, len, scope: 'global', origin: 'router', ...lifetimes });
      this.#expire(addr, lifetimes.validUntil);
      return;
    }
    // An address that was put in by hand is none of the routers' business.
    if (old.origin === 'manual') return;
    const left = (old.validUntil ?? Number.POSITIVE_INFINITY) - now;
    const offered = validLifetime * this.#second;
    const shortest = Math.min(left, TWO_HOURS * this.#second);
    old.validUntil = validLifetime === FOREVER ? null : now + Math.max(offered, shortest);
    old.preferredUntil = until(preferredLifetime);
    addresses.changed(device, old);
    this.#expire(addr, old.validUntil);
  }

  #expire(addr: Ip6, validUntil: number | null): void {
    const { device } = this.#inet6;
    const address = this.#inet6.find(addr);
    if (address === undefined) return;
    const { timers } = this.#rt;
    if (address.lifeTimer !== null) timers.cancel(address.lifeTimer);
    address.lifeTimer = null;
    if (validUntil === null) return;
    address.lifeTimer = timers.set(validUntil, () => {
      address.lifeTimer = null;
      device.ns.ipv6.addresses.drop(device, address);
    });
  }
}
