import {
  formatPrefix6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  LOOPBACK_IP6,
  maskIp6,
  parseAddress6,
} from '../../../protocols/ip6.ts';
import type { AddressFacts } from '../../events/kernel.ts';
import type { Device } from '../device.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import { isDead, type Route } from '../route-table.ts';
import type { Inet6Address } from './inet6-device.ts';
import { prefixRoute } from './route-table.ts';
import { sourceAddress } from './source-address.ts';

export interface Inet6AddressOptions {
  /** 'none': `nodad`. */
  readonly dad?: 'claim' | 'none';
  /** 'none': `noprefixroute`. */
  readonly prefixRoute?: 'add' | 'none';
  readonly origin?: Inet6Address['origin'];
  readonly preferredUntil?: number | null;
  readonly validUntil?: number | null;
}

type Inserted = Pick<Inet6Address, 'addr' | 'len' | 'scope'> & Inet6AddressOptions;

/** The IPv6 addresses of a namespace's devices and the routes that follow from them (net/ipv6/addrconf.c). */
export class AddressTable6 {
  readonly #ns: Netns;
  readonly #good = new Set<Inet6Address>();
  /** How often each address is assigned and may be used. */
  readonly #local = new Map<Ip6, number>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Whether there is any that may be used. */
  get usable(): boolean {
    return this.#local.size > 0;
  }

  /** `ip -6 addr add`. @throws NetlinkError */
  add(device: Device, text: string, options: Inet6AddressOptions = {}): void {
    const parsed = parseAddress6(text);
    if (parsed === null || isMulticastIp6(parsed.addr))
      throw new NetlinkError(`Error: inet6 prefix is expected rather than "${text}".`);
    if (!device.inet6.enabled) throw new NetlinkError('Error: ipv6: IPv6 is disabled on this device.');
    if (device.inet6.find(parsed.addr) !== undefined)
      throw new NetlinkError('Error: ipv6: address already assigned.');
    device.checkAddress(parsed.addr);
    this.insert(device, { ...parsed, scope: scopeOf(parsed.addr), ...options });
  }

  /** @throws NetlinkError */
  remove(device: Device, text: string): void {
    const parsed = parseAddress6(text);
    const gone = parsed === null ? undefined : device.inet6.find(parsed.addr);
    if (gone === undefined || gone.len !== parsed?.len)
      throw new NetlinkError('Error: ipv6: address not found.');
    this.drop(device, gone);
  }

  insert(device: Device, { addr, len, scope, ...options }: Inserted): Inet6Address {
    const { inet6 } = device;
    const { addresses } = inet6;
    const address: Inet6Address = {
      addr,
      len,
      scope,
      dad: options.dad !== 'none' && scope !== 'host' && inet6.claims ? 'tentative' : null,
      claim: options.dad === 'none' ? 'none' : 'usual',
      prefixRoute: options.prefixRoute ?? 'add',
      origin: options.origin ?? 'manual',
      preferredUntil: options.preferredUntil ?? null,
      validUntil: options.validUntil ?? null,
      probes: 0,
      dadTimer: null,
      lifeTimer: null,
    };
    // `ipv6_link_dev_addr`
    const at = addresses.findIndex((other) => RANK[scope] >= RANK[other.scope]);
    addresses.splice(at < 0 ? addresses.length : at, 0, address);
    if (address.dad === null) this.#count(address, 1);
    this.#emit(device, address);
    if (device.up) this.#addPrefixRoute(device, address);
    inet6.begin(address);
    if (address.dad === null) this.#ns.kernel.addressReady(device);
    return address;
  }

  drop(device: Device, address: Inet6Address): void {
    const { inet6 } = device;
    inet6.forget(address);
    inet6.addresses.splice(inet6.addresses.indexOf(address), 1);
    this.#count(address, -1);
    const { kernel, name, ipv6 } = this.#ns;
    const text = formatPrefix6(address);
    kernel.rt.emit({ type: 'addr.removed', ns: name, dev: device.name, address: text });
    ipv6.nat.addressRemoved(device, address.addr);
    const lost = !this.#local.has(address.addr);
    const prefix = prefixOf(address);
    const shared = inet6.addresses.some((other) => prefixOf(other) === prefix);
    ipv6.tables.removeWhere(
      ({ src, facts, nexthops }) =>
        (lost && src === address.addr) ||
        (address.origin === 'manual' &&
          !shared &&
          facts.protocol === 'kernel' &&
          facts.dst === prefix &&
          nexthops[0]?.device === device),
    );
  }

  /** Duplicate address detection has ended, or the lifetimes have moved. */
  changed(device: Device, address: Inet6Address): void {
    const usable = this.#good.has(address);
    this.#count(address, address.dad === null ? 1 : -1);
    this.#emit(device, address);
    if (!usable && address.dad === null) this.#ns.kernel.addressReady(device);
  }

  deviceUp(device: Device): void {
    for (const address of device.inet6.addresses) this.#addPrefixRoute(device, address);
  }

  /** `addrconf_ifdown`: the addresses go with the link unless `keep_addr_on_down` says otherwise, the routes always. */
  deviceDown(device: Device): void {
    const { inet6, ns } = device;
    const keep = Math.max(ns.ipv6.sysctls.all.keep_addr_on_down, inet6.conf.keep_addr_on_down) > 0;
    for (const address of [...inet6.addresses]) {
      inet6.forget(address);
      if (!inet6.enabled || !keep || address.scope !== 'global' || address.validUntil !== null)
        this.drop(device, address);
    }
    // Without IPv6 a device is as good as gone.
    const gone = !inet6.enabled;
    this.#ns.ipv6.tables.removeWhere((route) => (gone ? uses(route, device) : isDead(route, device)));
    this.#ns.ipv6.pathMtus.deviceDown(device);
    this.#ns.ipv6.redirects.deviceDown(device);
  }

  clear(device: Device): void {
    for (const address of [...device.inet6.addresses]) this.drop(device, address);
    this.#ns.ipv6.tables.removeWhere((route) => uses(route, device));
  }

  /** By device, those of each as the kernel lists them. */
  list(): AddressFacts[] {
    return this.#ns
      .devices()
      .flatMap((device) => device.inet6.addresses.map((address) => addressFacts(device, address)));
  }

  /** Whether an address is ours, and of the device that it came in by where it is of a link (`ipv6_chk_addr`). */
  isLocal(addr: Ip6, device: Device | null): boolean {
    if (addr === LOOPBACK_IP6) return true;
    if (!this.#local.has(addr)) return false;
    return device === null || device.kind === 'loopback' || !isLinkLocal(addr) || device.inet6.holds(addr);
  }

  /** See `sourceAddress`. */
  sourceFor(dst: Ip6, out: Device): Ip6 | null {
    return sourceAddress(dst, out, this.#ns.devices(), this.#ns.kernel.rt.now);
  }

  #addPrefixRoute(device: Device, address: Inet6Address): void {
    if (address.scope === 'host' || address.prefixRoute === 'none' || address.origin === 'router') return;
    this.#ns.ipv6.routes.set(prefixRoute(prefixOf(address), device));
  }

  #emit(device: Device, address: Inet6Address): void {
    const { kernel, name } = this.#ns;
    kernel.rt.emit({ type: 'addr.added', ns: name, ...addressFacts(device, address) });
  }

  /** An address may be used from now on, or no more. */
  #count(address: Inet6Address, change: 1 | -1): void {
    if (this.#good.has(address) === (change === 1)) return;
    if (change === 1) this.#good.add(address);
    else this.#good.delete(address);
    const { addr } = address;
    const left = (this.#local.get(addr) ?? 0) + change;
    if (left === 0) this.#local.delete(addr);
    else this.#local.set(addr, left);
  }
}

function uses({ nexthops }: Route<Ip6>, device: Device): boolean {
  return nexthops.some((hop) => hop.device === device);
}

const RANK = { host: 0, link: 1, global: 2 } as const;

function scopeOf(addr: Ip6): Inet6Address['scope'] {
  if (addr === LOOPBACK_IP6) return 'host';
  if (isMulticastIp6(addr)) return (addr.charCodeAt(1) & 0x0f) <= 2 ? 'link' : 'global';
  return isLinkLocal(addr) ? 'link' : 'global';
}

function prefixOf({ addr, len }: Inet6Address): string {
  return formatPrefix6({ addr: maskIp6(addr, len), len });
}

function addressFacts(device: Device, address: Inet6Address): AddressFacts {
  const { claim, dad, origin, preferredUntil, prefixRoute, validUntil, scope } = address;
  return {
    dev: device.name,
    address: formatPrefix6(address),
    scope,
    ...(dad === null ? {} : { dad }),
    ...(claim === 'none' ? { nodad: true as const } : {}),
    ...(prefixRoute === 'none' && origin === 'manual' ? { noprefixroute: true as const } : {}),
    ...(preferredUntil === null ? {} : { preferredUntil }),
    ...(validUntil === null ? {} : { validUntil }),
    ...(origin === 'router' ? { advertised: true as const } : {}),
  };
}
