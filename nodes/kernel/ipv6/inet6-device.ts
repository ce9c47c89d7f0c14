import {
  ALL_NODES,
  ALL_ROUTERS,
  eui64,
  type Ip6,
  LINK_LOCAL_PREFIX,
  LOOPBACK_IP6,
  solicitedNode,
} from '../../../protocols/ip6.ts';
import { IPV6_MIN_MTU } from '../../../protocols/ipv6.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { Device } from '../device.ts';
import { NdpTable } from './neighbors.ts';
import { HostDiscovery } from './router-discovery.ts';
import type { Ipv6Conf } from './sysctl.ts';

export interface Inet6Address {
  readonly addr: Ip6;
  readonly len: number;
  readonly scope: 'global' | 'link' | 'host';
  /** 'tentative' until duplicate address detection has ended well, 'failed' if it has not; null: the address is good. */
  dad: 'tentative' | 'failed' | null;
  /** 'none': it was added with `nodad`. */
  readonly claim: 'usual' | 'none';
  /** Whether its prefix' route comes with it. */
  readonly prefixRoute: 'add' | 'none';
  /** 'router': of an advertised prefix, whose route is another matter. */
  readonly origin: 'manual' | 'router';
  /** When it ceases to be preferred and valid, ms; null for ever. */
  preferredUntil: number | null;
  validUntil: number | null;
  /** Probes of duplicate address detection that are still to be sent. */
  probes: number;
  dadTimer: TimerHandle | null;
  lifeTimer: TimerHandle | null;
}

/** What IPv6 has on one device (`struct inet6_dev`): addresses, neighbours, variables, and duplicate address detection. */
export class Inet6Device {
  readonly device: Device;
  readonly conf: Ipv6Conf;
  /** Of wider scope first, and the newest first among equals, as the kernel lists them. */
  readonly addresses: Inet6Address[] = [];
  readonly neighbors: NdpTable;
  readonly discovery: HostDiscovery;
  /** Largest packet that a router has allowed here, bytes. */
  advertisedMtu = Number.POSITIVE_INFINITY;
  /** Multicast addresses that somebody has joined, and how many have. */
  readonly #groups = new Map<Ip6, number>();
  #running = false;
  #configured = false;

  constructor(device: Device) {
    this.device = device;
    this.conf = { ...device.ns.ipv6.sysctls.defaults };
    this.neighbors = new NdpTable(device);
    this.discovery = new HostDiscovery(this);
  }

  /** Whether the device takes part in IPv6 at all. */
  get enabled(): boolean {
    return this.conf.disable_ipv6 === 0 && this.device.mtu >= IPV6_MIN_MTU;
  }

  /** Whether routes by it are passed over while it has no carrier (`ip6_ignore_linkdown`). */
  get ignoresLinkdown(): boolean {
    return this.conf.ignore_routes_with_linkdown !== 0;
  }

  get mtu(): number {
    return Math.min(this.device.mtu, this.advertisedMtu);
  }

  /** Brings IPv6 here into line with the device's state and variables (`addrconf_notify`). */
  refresh(): void {
    const running = this.device.up && this.enabled;
    if (running && !this.#running) {
      this.#running = true;
      this.device.ns.ipv6.addresses.deviceUp(this.device);
    } else if (!running && this.#running) this.#stop();
    if (this.#running && this.device.usable && !this.#configured) this.#configure();
  }

  /** The device leaves its namespace. */
  removed(): void {
    if (this.#running) this.#stop();
    // A permanent neighbour may have been set on a device that never came up.
    this.neighbors.clear();
    this.device.ns.ipv6.addresses.clear(this.device);
  }

  /** Whether the device has an address and may use it. */
  holds(addr: Ip6): boolean {
    return this.addresses.some((own) => own.addr === addr && own.dad === null);
  }

  find(addr: Ip6): Inet6Address | undefined {
    return this.addresses.find((own) => own.addr === addr);
  }

  /** The address to speak from in neighbour discovery (`ipv6_get_lladdr`). */
  linkLocal(): Ip6 | null {
    return this.addresses.find(({ scope, dad }) => scope === 'link' && dad === null)?.addr ?? null;
  }

  /** Whether the device listens to a multicast address (`ipv6_chk_mcast_addr`). */
  listensTo(group: Ip6): boolean {
    if (group === ALL_NODES) return true;
    if (group === ALL_ROUTERS) return this.forwarding;
    if (this.#groups.has(group)) return true;
    return this.addresses.some(({ addr }) => solicitedNode(addr) === group);
  }

  /** Listens to a multicast address too, as often as it is asked to; no router is told of it (MLD is not there). */
  join(group: Ip6): void {
    this.#groups.set(group, (this.#groups.get(group) ?? 0) + 1);
  }

  leave(group: Ip6): void {
    const left = (this.#groups.get(group) ?? 0) - 1;
    if (left > 0) this.#groups.set(group, left);
    else this.#groups.delete(group);
  }

  get forwarding(): boolean {
    return this.conf.forwarding !== 0;
  }

  /** Whether an address here has to be claimed before it is used. */
  get claims(): boolean {
    const { device, conf } = this;
    const { accept_dad } = device.ns.ipv6.sysctls.all;
    // A dummy device is IFF_NOARP: nobody is there to ask.
    if (!device.hasLinkLayer || device.kind === 'dummy') return false;
    return Math.max(accept_dad, conf.accept_dad) >= 1 && conf.dad_transmits > 0;
  }

  /** Addresses that are being claimed now: in a moment each is good or has failed. */
  get claiming(): number {
    return this.addresses.filter(({ dadTimer }) => dadTimer !== null).length;
  }

  /** An address is there: it is claimed, or may be used at once. */
  begin(address: Inet6Address): void {
    if (address.dad !== 'tentative' || !this.device.usable) return;
    const { rt } = this.device.ns.kernel;
    address.probes = this.conf.dad_transmits;
    // RFC 4862 §5.4.2: all devices of a segment may have come up at one time.
    const delay = this.conf.router_solicitation_delay * this.#second * rt.random.unit();
    this.#disarm(address);
    address.dadTimer = rt.timers.set(rt.now + delay, () => this.#probe(address));
  }

  /** Somebody else has or wants an address that is being claimed here (RFC 4862 §5.4.5). */
  conflict(address: Inet6Address): void {
    this.#disarm(address);
    address.dad = 'failed';
    this.device.ns.ipv6.addresses.changed(this.device, address);
    this.device.ns.kernel.drop('ndp-duplicate-address');
  }

  forget(address: Inet6Address): void {
    this.#disarm(address);
    if (address.lifeTimer !== null) this.device.ns.kernel.rt.timers.cancel(address.lifeTimer);
    address.lifeTimer = null;
  }

  /** The lab's second: RetransTimer is one (RFC 4861 §10). */
  get #second(): number {
    return this.device.ns.kernel.timings.neighbor.retrans;
  }

  #probe(address: Inet6Address): void {
    const { device } = this;
    const { rt } = device.ns.kernel;
    address.dadTimer = null;
    if (address.probes === 0) {
      address.dad = null;
      device.ns.ipv6.addresses.changed(device, address);
      if (address.scope === 'link') this.discovery.start();
      return;
    }
    address.probes--;
    device.ns.ipv6.ndp.probe(device, address.addr);
    address.dadTimer = rt.timers.set(rt.now + this.#second, () => this.#probe(address));
  }

  #disarm(address: Inet6Address): void {
    if (address.dadTimer !== null) this.device.ns.kernel.rt.timers.cancel(address.dadTimer);
    address.dadTimer = null;
  }

  /** The link is ready: it gets its link-local address, and those that wait are claimed (`addrconf_dev_config`). */
  #configure(): void {
    this.#configured = true;
    const { device } = this;
    const { addresses } = device.ns.ipv6;
    if (device.kind === 'loopback') {
      if (this.find(LOOPBACK_IP6) === undefined)
        addresses.insert(device, { addr: LOOPBACK_IP6, len: 128, scope: 'host' });
      return;
    }
    for (const address of this.addresses) this.begin(address);
    const addr = eui64(LINK_LOCAL_PREFIX, device.mac);
    if (!device.hasLinkLayer || device.mac === 0 || this.conf.addr_gen_mode !== 0) return;
    if (this.find(addr) === undefined) addresses.insert(device, { addr, len: 64, scope: 'link' });
    if (!this.claims) this.discovery.start();
  }

  #stop(): void {
    this.#running = false;
    this.#configured = false;
    const { device } = this;
    this.discovery.stop();
    this.neighbors.clear();
    this.advertisedMtu = Number.POSITIVE_INFINITY;
    device.ns.ipv6.addresses.deviceDown(device);
  }
}
