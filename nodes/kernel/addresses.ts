import {
  broadcastOf,
  formatIp4,
  formatPrefix,
  isLoopback,
  type Prefix,
  parseAddress,
  prefixContains,
  prefixMask,
} from '../../protocols/ip4.ts';
import type { AddressFacts, RouteScope } from '../events/kernel.ts';
import type { Device, InterfaceAddress } from './device.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { isDead } from './route-table.ts';

export interface AddressOptions {
  readonly scope?: RouteScope;
  /** 'none': `noprefixroute`. */
  readonly prefixRoute?: 'add' | 'none';
}

/** 127.0.0.1 */
const LOOPBACK = 0x7f000001;

/** The addresses of a namespace's devices and the connected routes that follow from them (net/ipv4/devinet.c). */
export class AddressTable {
  readonly #ns: Netns;
  /** How often each address is assigned, and how many addresses have each directed broadcast address. */
  readonly #local = new Map<number, number>();
  readonly #broadcasts = new Map<number, number>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** @throws NetlinkError */
  add(device: Device, text: string, options: AddressOptions = {}): void {
    const parsed = parseAddress(text);
    if (parsed === null) throw new NetlinkError(`Error: any valid prefix is expected rather than "${text}".`);
    const { scope = 'global', prefixRoute = 'add' } = options;
    const subnet = device.addresses.filter((other) => sameSubnet(other, parsed));
    if (subnet.some((other) => other.addr === parsed.addr))
      throw new NetlinkError('RTNETLINK answers: File exists');
    if (subnet.some((other) => other.scope !== scope))
      throw new NetlinkError('Error: ipv4: Invalid scope value.');
    device.checkAddress(parsed.addr);
    const role = subnet.length === 0 ? 'primary' : 'secondary';
    const address: InterfaceAddress = { ...parsed, scope, role, prefixRoute };
    device.addresses.push(address);
    this.#ns.sysctls.addressAdded(device);
    this.#count(device, address, 1);
    this.#emitAdded(device, address);
    if (device.up) this.#addConnected(device, address);
  }

  /** Removes an address; the first of a subnet takes the others with it (`__inet_del_ifa`). @throws NetlinkError */
  remove(device: Device, text: string): void {
    const parsed = parseAddress(text);
    const { addresses } = device;
    const gone = addresses.find((other) => other.addr === parsed?.addr && other.len === parsed.len);
    if (gone === undefined) throw new NetlinkError('RTNETLINK answers: Cannot assign requested address');
    const others =
      gone.role === 'primary' ? addresses.filter((other) => other !== gone && sameSubnet(other, gone)) : [];
    const promoteSecondaries =
      (this.#ns.sysctls.all.promote_secondaries | device.conf.promote_secondaries) !== 0;
    if (!promoteSecondaries) for (const other of others) this.#drop(device, other);
    this.#drop(device, gone);
    if (promoteSecondaries && others[0] !== undefined) this.#promote(device, others[0]);
  }

  /** Takes all addresses of a device that leaves the namespace. */
  clear(device: Device): void {
    while (device.addresses.length > 0) this.#drop(device, device.addresses.at(-1)!);
    this.#ns.tables.removeWhere((route) => route.nexthops.some((hop) => hop.device === device));
  }

  /** The connected routes of a device that has come up. */
  deviceUp(device: Device): void {
    for (const address of device.addresses) this.#addConnected(device, address);
  }

  /** The routes of a device that has gone down, unless they have another way; those of others appear that they stood in the way of. */
  deviceDown(device: Device): void {
    this.#ns.tables.removeWhere((route) => isDead(route, device));
    for (const address of device.addresses) this.#restoreConnected(address);
  }

  /** By device, those of each in the order in which they were added. */
  list(): AddressFacts[] {
    return this.#ns
      .devices()
      .flatMap((device) => device.addresses.map((address) => addressFacts(device, address)));
  }

  isLocal(addr: number): boolean {
    return this.#local.has(addr) || isLoopback(addr);
  }

  /** Whether a device has an address of ours; lo has all of 127.0.0.0/8. */
  isOf(device: Device, addr: number): boolean {
    if (isLoopback(addr)) return device.kind === 'loopback';
    return device.addresses.some((own) => own.addr === addr);
  }

  /** Whether an address is the directed broadcast of a subnet of ours. */
  isBroadcast(addr: number): boolean {
    return this.#broadcasts.has(addr);
  }

  /** Whether both addresses are in one subnet of a device (`inet_addr_onlink`). */
  onLink(device: Device, a: number, b: number): boolean {
    return device.addresses.some(
      (address) => prefixContains(network(address), a) && prefixContains(network(address), b),
    );
  }

  /** The device, up, whose subnet an address is the broadcast of; null if none is. */
  broadcastDevice(addr: number, oif: Device | null): Device | null {
    for (const device of this.#ns.devices()) {
      const up = device.usable || (device.up && !device.ignoresLinkdown);
      if (!up || device.kind === 'loopback' || (oif !== null && device !== oif)) continue;
      for (const address of device.addresses)
        if (address.len < 31 && broadcastOf(network(address)) === addr) return device;
    }
    return null;
  }

  /**
   * The address to send from by a device to a next hop (`inet_select_addr`): of its subnet, its first, any other.
   * Secondary addresses are for those who ask for them. 0: there is none.
   */
  sourceFor(device: Device, nexthop: number): number {
    let first = 0;
    for (const address of device.addresses) {
      if (address.scope === 'host' || address.role === 'secondary') continue;
      if (prefixContains(network(address), nexthop)) return address.addr;
      if (first === 0) first = address.addr;
    }
    if (first !== 0) return first;
    for (const other of this.#ns.devices()) {
      if (!other.up) continue;
      const address = other.addresses.find(({ scope, role }) => scope === 'global' && role === 'primary');
      if (address !== undefined) return address.addr;
    }
    return 0;
  }

  /** The preferred source of an own address' row in the local table: the primary one of its subnet (`fib_add_ifaddr`). */
  localSource(dst: number): number {
    if (isLoopback(dst)) return LOOPBACK;
    for (const { addresses } of this.#ns.devices())
      for (const own of addresses)
        if (own.addr === dst && own.role === 'secondary')
          return addresses.find((other) => other.role === 'primary' && sameSubnet(other, own))?.addr ?? dst;
    return dst;
  }

  #drop(device: Device, address: InterfaceAddress): void {
    device.addresses.splice(device.addresses.indexOf(address), 1);
    this.#count(device, address, -1);
    const { name, kernel } = this.#ns;
    const text = formatPrefix(address);
    kernel.rt.emit({ type: 'addr.removed', ns: name, dev: device.name, address: text });
    this.#ns.nat.addressRemoved(device, address.addr);
    const subnet = formatPrefix(network(address));
    // `fib_sync_down_addr`: what was to be sent from an address that is no longer ours cannot be sent.
    const lost = !this.#local.has(address.addr);
    this.#ns.tables.removeWhere(
      ({ src, facts, nexthops }) =>
        src === address.addr &&
        (lost || (facts.protocol === 'kernel' && facts.dst === subnet && nexthops[0]?.device === device)),
    );
    if (address.role === 'primary') this.#restoreConnected(address);
  }

  #promote(device: Device, heir: InterfaceAddress): void {
    const promoted: InterfaceAddress = { ...heir, role: 'primary' };
    device.addresses.splice(device.addresses.indexOf(heir), 1, promoted);
    this.#emitAdded(device, promoted);
    if (device.up) this.#addConnected(device, promoted);
  }

  #emitAdded(device: Device, address: InterfaceAddress): void {
    const { kernel, name } = this.#ns;
    kernel.rt.emit({ type: 'addr.added', ns: name, ...addressFacts(device, address) });
  }

  /** `fib_add_ifaddr` appends: a route to the same subnet that is there already stays in effect. */
  #addConnected(device: Device, address: InterfaceAddress): void {
    if (device.kind === 'loopback' || address.len === 32) return;
    if (address.role === 'secondary' || address.prefixRoute === 'none') return;
    const dst = formatPrefix(network(address));
    if (this.#ns.routes.get(dst) !== undefined) return;
    this.#ns.routes.set({
      dst,
      type: 'unicast',
      protocol: 'kernel',
      scope: 'link',
      metric: 0,
      src: formatIp4(address.addr),
      nexthops: [{ via: '', dev: device.name, onlink: false, weight: 1 }],
    });
  }

  /** After a subnet's connected route may have gone: that of another device in the same subnet takes effect. */
  #restoreConnected(gone: Prefix): void {
    for (const device of this.#ns.devices()) {
      if (!device.up) continue;
      for (const address of device.addresses)
        if (sameSubnet(address, gone)) this.#addConnected(device, address);
    }
  }

  #count(device: Device, address: Prefix, change: 1 | -1): void {
    count(this.#local, address.addr, change);
    if (address.len < 31 && device.kind !== 'loopback')
      count(this.#broadcasts, broadcastOf(network(address)), change);
  }
}

function addressFacts(device: Device, address: InterfaceAddress): AddressFacts {
  const facts = { dev: device.name, address: formatPrefix(address), scope: address.scope };
  return address.role === 'secondary' ? { ...facts, secondary: true } : facts;
}

function count(counts: Map<number, number>, key: number, change: 1 | -1): void {
  const left = (counts.get(key) ?? 0) + change;
  if (left === 0) counts.delete(key);
  else counts.set(key, left);
}

function network(address: Prefix): Prefix {
  return { addr: (address.addr & prefixMask(address.len)) >>> 0, len: address.len };
}

function sameSubnet(a: Prefix, b: Prefix): boolean {
  return a.len === b.len && ((a.addr ^ b.addr) & prefixMask(a.len)) === 0;
}
