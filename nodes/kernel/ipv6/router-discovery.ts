import {
  ALL_ROUTERS,
  ANY_IP6,
  eui64,
  formatIp6,
  formatPrefix6,
  type Ip6,
  isLinkLocal,
  maskIp6,
} from '../../../protocols/ip6.ts';
import { IPV6_MIN_MTU } from '../../../protocols/ipv6.ts';
import type { NdpMessage, PrefixInformation } from '../../../protocols/ndp.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { Inet6Device } from './inet6-device.ts';
import { KERNEL_METRIC, USER_METRIC } from './route-table.ts';

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
  /** Prefixes that are on the link by an advertisement alone, with the end of their lifetimes. */
  readonly #prefixes = new Map<string, TimerHandle>();

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
    for (const timer of [...this.#routers.values(), ...this.#prefixes.values()]) timers.cancel(timer);
    this.#routers.clear();
    this.#prefixes.clear();
  }

  advertised(message: RouterAdvert, src: Ip6): void {
    const { conf } = this.#inet6;
    this.#heard = true;
    if (message.hopLimit !== 0) conf.hop_limit = message.hopLimit;
    if (conf.accept_ra_defrtr !== 0) this.#router(src, message.routerLifetime);
    const { mtu, prefixes = [] } = message.options;
    if (conf.accept_ra_mtu !== 0 && mtu !== undefined && mtu >= IPV6_MIN_MTU) this.#inet6.advertisedMtu = mtu;
    if (conf.accept_ra_pinfo === 0) return;
    for (const prefix of prefixes) this.#prefix(prefix);
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

  #router(src: Ip6, lifetime: number): void {
    const { timers, now } = this.#rt;
    const old = this.#routers.get(src);
    if (old !== undefined) timers.cancel(old);
    this.#routers.delete(src);
    if (lifetime > 0)
      this.#routers.set(
        src,
        timers.set(now + lifetime * this.#second, () => {
          this.#routers.delete(src);
          this.#programDefault();
        }),
      );
    this.#programDefault();
  }

  #programDefault(): void {
    const { name } = this.#inet6.device;
    const mine = [...this.#routers.keys()].map((src) => ({
      via: formatIp6(src),
      dev: name,
      onlink: false,
      weight: 1,
    }));
    const row = this.#routes.get('::/0', USER_METRIC);
    // A route that somebody has put in by hand stays.
    if (row !== undefined && row.protocol !== 'ra') return;
    const others = row?.nexthops.filter(({ dev }) => dev !== name) ?? [];
    const nexthops = [...others, ...mine];
    if (nexthops.length === 0) {
      if (row !== undefined) this.#routes.delete('::/0', USER_METRIC);
      return;
    }
    this.#routes.set({
      dst: '::/0',
      type: 'unicast',
      protocol: 'ra',
      scope: 'global',
      metric: USER_METRIC,
      src: '',
      nexthops,
    });
  }

  #prefix(info: PrefixInformation): void {
    const { conf } = this.#inet6;
    if (isLinkLocal(info.prefix) || info.preferredLifetime > info.validLifetime) return;
    if (info.onLink) this.#onLink(info);
    if (info.autonomous && conf.autoconf !== 0 && info.len === 64) this.#address(info);
  }

  #onLink({ prefix, len, validLifetime }: PrefixInformation): void {
    const { timers, now } = this.#rt;
    const { device } = this.#inet6;
    const dst = formatPrefix6({ addr: maskIp6(prefix, len), len });
    const old = this.#prefixes.get(dst);
    if (old !== undefined) timers.cancel(old);
    this.#prefixes.delete(dst);
    const gone = () => {
      this.#prefixes.delete(dst);
      this.#routes.delete(dst, KERNEL_METRIC, device.name);
    };
    if (validLifetime === 0) {
      if (old !== undefined) gone();
      return;
    }
    if (validLifetime !== FOREVER)
      this.#prefixes.set(dst, timers.set(now + validLifetime * this.#second, gone));
    this.#routes.set({
      dst,
      type: 'unicast',
      protocol: 'kernel',
      scope: 'global',
      metric: KERNEL_METRIC,
      src: '',
      nexthops: [{ via: '', dev: device.name, onlink: false, weight: 1 }],
    });
  }

  /** RFC 4862 §5.5.3, `addrconf_prefix_rcv_add_addr` */
  #address({ prefix, len, validLifetime, preferredLifetime, onLink }: PrefixInformation): void {
    const { device } = this.#inet6;
    const { now } = this.#rt;
    const { addresses } = device.ns.ipv6;
    const addr = eui64(prefix, device.mac);
    const until = (lifetime: number) => (lifetime === FOREVER ? null : now + lifetime * this.#second);
    const old = this.#inet6.find(addr);
    if (old === undefined) {
      if (validLifetime === 0) return;
      const added = addresses.insert(device, {
        addr,
        len,
        scope: 'global',
        prefixRoute: onLink ? 'add' : 'none',
      });
      added.preferredUntil = until(preferredLifetime);
      added.validUntil = until(validLifetime);
      addresses.changed(device, added);
      this.#expire(addr, added.validUntil);
      return;
    }
    // An address that was put in by hand is none of the routers' business.
    if (old.validUntil === null) return;
    const left = old.validUntil - now;
    const offered = validLifetime * this.#second;
    const shortest = Math.min(left, TWO_HOURS * this.#second);
    old.validUntil =
      validLifetime === FOREVER ? now + FOREVER * this.#second : now + Math.max(offered, shortest);
    old.preferredUntil = until(preferredLifetime);
    addresses.changed(device, old);
    this.#expire(addr, old.validUntil);
  }

  #expire(addr: Ip6, validUntil: number | null): void {
    const { device } = this.#inet6;
    const address = this.#inet6.find(addr);
    if (address === undefined || validUntil === null) return;
    const { timers } = this.#rt;
    if (address.lifeTimer !== null) timers.cancel(address.lifeTimer);
    address.lifeTimer = timers.set(validUntil, () => {
      address.lifeTimer = null;
      device.ns.ipv6.addresses.drop(device, address);
    });
  }
}
