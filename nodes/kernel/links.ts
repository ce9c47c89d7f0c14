import { formatIp4 } from '../../protocols/ip4.ts';
import { IPV6_MIN_MTU } from '../../protocols/ipv6.ts';
import { isGroupMac } from '../../protocols/mac.ts';
import type { BridgeFacts, BridgePortFacts } from '../events/kernel.ts';
import { BridgeDevice } from './bridge.ts';
import {
  type BridgeMaster,
  type Device,
  type DeviceOptions,
  DummyDevice,
  LoopbackDevice,
  PortDevice,
  TunDevice,
  VethDevice,
} from './device.ts';
import { Inet6Device } from './ipv6/inet6-device.ts';
import { IpvlanDevice, type IpvlanFlag, type IpvlanMode } from './ipvlan.ts';
import {
  carrierChanged,
  changeMac,
  emitLink,
  emitLower,
  emitNaming,
  followPorts,
  notifyArp,
  refreshBridge,
  refreshMaster,
  refreshPeer,
  refreshUppers,
} from './link-notifier.ts';
import { MacvlanDevice, type MacvlanMode } from './macvlan.ts';
import { NeighborTable } from './neighbor.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { InternalDevice } from './openflow/internal-device.ts';
import { IpTunnelDevice, type TunnelOptions } from './tunnels/ip-tunnel.ts';
import { Ip6TunnelDevice, isOver6, type Tunnel6Options } from './tunnels/ip6-tunnel.ts';
import { SitDevice } from './tunnels/sit.ts';
import { isFallback, isSameTunnel, TunnelDevice } from './tunnels/tunnel-device.ts';
import { tunnelMtu } from './tunnels/tunnel-mtu.ts';
import { WireguardDevice } from './tunnels/wireguard.ts';
import { attachUpper, checkUpper, detachUpper, makeUpper, type UpperOptions } from './uppers.ts';
import { VlanDevice } from './vlan.ts';
import { VxlanDevice, type VxlanOptions } from './vxlan.ts';
import { validateVxlan } from './vxlan-config.ts';

export interface LinkOptions {
  readonly name: string;
  readonly mac: number;
  readonly mtu: number;
}

export interface VethOptions extends LinkOptions {
  readonly peer: { readonly ns: Netns; readonly name: string; readonly mac: number };
}

/** A device that stands on another one, `parent`, which may be in another namespace; whose MTU it has, and whose MAC address. */
export interface UpperLinkOptions {
  readonly name: string;
  readonly parent: Device;
  readonly upper: UpperOptions;
  /** Absent: the parent's; a macvlan device has to have its own. */
  readonly mac?: number;
  readonly mtu?: number;
}

/** The devices of a namespace: made, changed and taken out as by rtnetlink (`ip link`). */
export class LinkTable {
  readonly #ns: Netns;
  readonly #devices = new Map<string, Device>();
  /** What `list` gives, until a device comes or goes: it is asked for by packets too. */
  #listed: readonly Device[] | null = null;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  get(name: string): Device | undefined {
    return this.#devices.get(name);
  }

  /** @throws NetlinkError */
  require(name: string): Device {
    const device = this.#devices.get(name);
    if (device === undefined) throw new NetlinkError(`Cannot find device "${name}"`);
    return device;
  }

  /** By interface index. */
  list(): readonly Device[] {
    this.#listed ??= [...this.#devices.values()].sort((a, b) => a.ifindex - b.ifindex);
    return this.#listed;
  }

  addLoopback(): Device {
    return this.#add(new LoopbackDevice(this.#ns, { ifindex: 1, name: 'lo', mac: 0, mtu: 65_536 }));
  }

  addPort(options: LinkOptions & { readonly port: number }): Device {
    const device = this.#add(new PortDevice(this.#ns, this.#options(options), options.port));
    this.#ns.kernel.registerPort(options.port, device);
    return device;
  }

  addVeth(options: VethOptions): Device {
    const { peer, mtu, name } = options;
    const others = peer.ns.links;
    if (others.get(peer.name) !== undefined || (others === this && peer.name === name))
      throw new NetlinkError('RTNETLINK answers: File exists');
    const far = new VethDevice(peer.ns, others.#options({ name: peer.name, mac: peer.mac, mtu }));
    const near = new VethDevice(this.#ns, this.#options(options));
    near.join(far);
    far.carrier = false;
    near.carrier = false;
    others.#add(far);
    return this.#add(near);
  }

  addBridge(options: LinkOptions, ageing: number): BridgeDevice {
    return this.#add(new BridgeDevice(this.#ns, this.#options(options), ageing));
  }

  /** @throws NetlinkError */
  addVxlan(options: LinkOptions & VxlanOptions): VxlanDevice {
    const others = [...this.#devices.values()].filter((other) => other instanceof VxlanDevice);
    validateVxlan(
      options,
      others.map((other) => other.options),
    );
    const device = this.#add(new VxlanDevice(this.#ns, this.#options(options), options));
    device.mtu = Math.min(device.mtu, device.maxMtu);
    device.start();
    return device;
  }

  addTun(options: Omit<LinkOptions, 'mac'>, onPacket: (packet: Uint8Array) => void): TunDevice {
    return this.#add(new TunDevice(this.#ns, this.#options({ ...options, mac: 0 }), onPacket));
  }

  /** A tunnel of IP in IP or GRE. Its MTU is its own unless one is given. @throws NetlinkError */
  addTunnel(
    { mtu, ...options }: Omit<LinkOptions, 'mtu'> & { readonly mtu?: number },
    tunnel: TunnelOptions | Tunnel6Options,
  ): TunnelDevice {
    const taken = [...this.#devices.values()].some(
      (other) => other instanceof TunnelDevice && isSameTunnel(other.options, tunnel),
    );
    if (taken || isFallback(tunnel)) throw new NetlinkError('RTNETLINK answers: File exists');
    if (mtu !== undefined && tunnel.kind === 'sit' && mtu < IPV6_MIN_MTU)
      throw new NetlinkError('Error: mtu less than device minimum.');
    const link = this.#options({ ...options, mtu: mtu ?? tunnelMtu(this.#ns, tunnel) });
    if (isOver6(tunnel)) return this.#add(new Ip6TunnelDevice(this.#ns, link, tunnel));
    const Kind = tunnel.kind === 'sit' ? SitDevice : IpTunnelDevice;
    return this.#add(new Kind(this.#ns, link, tunnel));
  }

  addWireguard(options: Omit<LinkOptions, 'mac'>): WireguardDevice {
    return this.#add(new WireguardDevice(this.#ns, this.#options({ ...options, mac: 0 })));
  }

  /** The device of a bridge of Open vSwitch. */
  addInternal(options: LinkOptions, bridge: BridgeMaster): Device {
    return this.#add(new InternalDevice(this.#ns, this.#options(options), bridge));
  }

  addDummy(options: LinkOptions): Device {
    return this.#add(new DummyDevice(this.#ns, this.#options(options)));
  }

  /** A vlan, macvlan or ipvlan device. @throws NetlinkError */
  addUpper({ name, parent, upper, ...given }: UpperLinkOptions): Device {
    checkUpper(parent, upper);
    const { mtu = parent.mtu } = given;
    if (mtu > parent.mtu && upper.kind !== 'ipvlan')
      throw new NetlinkError('RTNETLINK answers: Invalid argument');
    const inherits = upper.kind === 'ipvlan' || (upper.kind === 'macvlan' && upper.mode === 'passthru');
    const mac = inherits ? parent.mac : (given.mac ?? parent.mac);
    const options = this.#options({ name, mac, mtu });
    const modes = parent.uppers.map((other) => other.detail());
    const device = this.#add(makeUpper(this.#ns, options, parent, upper));
    // The mode of an ipvlan device is that of its siblings too.
    for (const [i, other] of parent.uppers.entries()) if (other.detail() !== modes[i]) emitLink(other);
    if (device instanceof VlanDevice) device.inherits = given.mac === undefined;
    attachUpper(device);
    return device;
  }

  /**
   * Moves a device to another namespace (`ip link set DEV netns NS`). It goes down and loses what it was given here: addresses,
   * routes, neighbours, its bridge, its variables. @throws NetlinkError
   */
  move(name: string, target: Netns, as = name): void {
    const device = this.require(name);
    if (target === this.#ns) {
      if (as !== name) this.rename(name, as);
      return;
    }
    if (device instanceof BridgeDevice || device.kind === 'loopback')
      throw new NetlinkError('Error: The interface netns is immutable.');
    const others = target.links;
    if (others.#devices.has(as)) throw new NetlinkError('RTNETLINK answers: File exists');
    this.#leave(device);
    device.moved(target, as);
    others.#adopt(device);
    emitNaming(device);
  }

  /** `ip link set DEV name NAME`; addresses and routes go with it. @throws NetlinkError */
  rename(name: string, as: string): void {
    const device = this.require(name);
    if (as === name) return;
    if (this.#devices.has(as)) throw new NetlinkError('RTNETLINK answers: File exists');
    if (device.up) throw new NetlinkError('RTNETLINK answers: Device or resource busy');
    const { master } = device;
    const addresses = [...device.addresses];
    const { conf, neighConf } = device;
    const isSwitched = master !== null && !(master instanceof BridgeDevice);
    if (isSwitched) device.master = null;
    this.#leave(device);
    device.moved(this.#ns, as);
    device.conf = conf;
    device.neighConf = neighConf;
    this.#adopt(device);
    for (const { addr, len, scope, prefixRoute } of addresses)
      this.#ns.addresses.add(device, `${formatIp4(addr)}/${len}`, { scope, prefixRoute });
    if (isSwitched) {
      device.master = master;
      emitLink(device);
    } else if (master !== null) this.setMaster(as, master.name);
    emitNaming(device);
  }

  /** Takes a device out, with its addresses, routes, neighbours and FDB rows; a veth's peer goes with it. */
  remove(name: string): void {
    const device = this.require(name);
    for (const upper of [...device.uppers]) upper.ns.links.remove(upper.name);
    this.#discard(device);
    const peer = device.peer();
    if (peer !== null && peer.ns.links.get(peer.name) === peer) peer.ns.links.#discard(peer);
  }

  /** All devices go, as the namespace does; a physical port goes back to the first one (`default_device_exit_net`). */
  clear(): void {
    const { root } = this.#ns.kernel;
    for (const device of this.list()) {
      if (!this.#devices.has(device.name)) continue;
      if (device instanceof PortDevice && this.#ns !== root) {
        const as = root.device(device.name) === undefined ? device.name : `dev${device.ifindex}`;
        this.move(device.name, root, as);
      } else this.remove(device.name);
    }
  }

  /** @throws NetlinkError */
  setUp(name: string): void {
    const device = this.require(name);
    if (device.up) return;
    if (device.kind === 'vlan' && device.lower()?.up === false)
      throw new NetlinkError('RTNETLINK answers: Network is down');
    if (device instanceof VlanDevice && device.inherits) changeMac(device, device.lower()?.mac ?? device.mac);
    device.opened();
    device.up = true;
    emitLink(device);
    emitLower(device);
    refreshPeer(device);
    this.#ns.addresses.deviceUp(device);
    notifyArp(device);
    refreshMaster(device);
    refreshUppers(device);
  }

  setDown(name: string): void {
    const device = this.require(name);
    if (!device.up) return;
    device.up = false;
    device.stopped();
    device.qdisc?.reset();
    emitLink(device);
    emitLower(device);
    device.neighbors.clear();
    refreshPeer(device);
    this.#ns.addresses.deviceDown(device);
    this.#ns.pathMtus.deviceDown(device);
    this.#ns.redirects.deviceDown(device);
    this.#ns.nat.deviceDown(device);
    this.#ns.ipv6.nat.deviceDown(device);
    refreshMaster(device);
    refreshUppers(device);
  }

  setCarrier(device: Device, carrier: boolean): void {
    if (device.carrier === carrier) return;
    device.carrier = carrier;
    if (device instanceof IpvlanDevice) device.carrierSet();
    carrierChanged(device);
    refreshMaster(device);
    refreshUppers(device);
    this.#ns.kernel.linkChanged(device);
  }

  /** @throws NetlinkError */
  setMaster(name: string, bridge: string | null): void {
    const device = this.require(name);
    const master = bridge === null ? null : this.require(bridge);
    if (master !== null && !(master instanceof BridgeDevice))
      throw new NetlinkError('RTNETLINK answers: Operation not supported');
    if (master !== null && device instanceof BridgeDevice)
      throw new NetlinkError('RTNETLINK answers: Too many levels of symbolic links');
    if (master !== null && (!device.hasLinkLayer || device.kind === 'ipvlan'))
      throw new NetlinkError('RTNETLINK answers: Invalid argument');
    if (master !== null && device.rxHandler !== null)
      throw new NetlinkError('RTNETLINK answers: Device or resource busy');
    const old = device.master;
    // A port of Open vSwitch is its alone to give away (`do_set_master`: ovs-system has no `ndo_del_slave`).
    if (old !== null && !(old instanceof BridgeDevice))
      throw new NetlinkError('RTNETLINK answers: Operation not supported');
    if (old instanceof BridgeDevice) {
      old.removePort(device);
      refreshBridge(old);
      followPorts(old);
    }
    if (master !== null) {
      master.addPort(device);
      emitLink(device);
      refreshMaster(device);
      followPorts(master);
    } else emitLink(device);
  }

  /** Makes a device a port of what is no device itself: a bridge of Open vSwitch. */
  enslave(device: Device, master: BridgeMaster): void {
    if (device.master !== null) throw new NetlinkError('RTNETLINK answers: Device or resource busy');
    device.master = master;
    device.setPromiscuous('wanted');
    emitLink(device);
  }

  /** What stands on a device is never larger; ipvlan devices become as large as it. @throws NetlinkError */
  setMtu(name: string, mtu: number): void {
    const device = this.require(name);
    const lower = device.lower();
    if (lower !== null && mtu > lower.mtu && device.kind !== 'ipvlan') {
      const vlan = device.kind === 'vlan';
      throw new NetlinkError(
        `RTNETLINK answers: ${vlan ? 'Numerical result out of range' : 'Invalid argument'}`,
      );
    }
    if (device.kind === 'sit' && mtu < device.minMtu)
      throw new NetlinkError('Error: mtu less than device minimum.');
    if ((device.kind === 'vxlan' && mtu > device.maxMtu) || mtu < device.minMtu)
      throw new NetlinkError('RTNETLINK answers: Invalid argument');
    device.mtu = mtu;
    emitLink(device);
    for (const upper of device.uppers)
      if (upper.mtu > mtu || upper.kind === 'ipvlan') upper.ns.links.setMtu(upper.name, mtu);
    const { master } = device;
    if (device instanceof BridgeDevice) device.mtuSet = true;
    if (master instanceof BridgeDevice) followPorts(master);
  }

  /** @throws NetlinkError */
  setMac(name: string, mac: number): void {
    const device = this.require(name);
    if (device.kind === 'ipvlan') throw new NetlinkError('RTNETLINK answers: Operation not supported');
    if (isGroupMac(mac) || mac === 0)
      throw new NetlinkError('RTNETLINK answers: Cannot assign requested address');
    device.checkMac(mac);
    const lower = device.lower();
    if (device instanceof MacvlanDevice && device.mode === 'passthru' && lower !== null) {
      lower.ns.links.setMac(lower.name, mac);
      return;
    }
    if (device instanceof VlanDevice) device.inherits = false;
    changeMac(device, mac);
    if (device instanceof BridgeDevice) device.macSet = true;
    const { master } = device;
    if (master instanceof BridgeDevice) followPorts(master);
  }

  /** `ip link set DEV type macvlan mode MODE` @throws NetlinkError */
  setMacvlanMode(device: MacvlanDevice, mode: MacvlanMode): void {
    device.setMode(mode);
    emitLink(device);
  }

  /** Mode and flag of an ipvlan device, and of all others on the same. */
  configureIpvlan(device: IpvlanDevice, mode: IpvlanMode, flag: IpvlanFlag): void {
    device.configure(mode, flag);
    for (const other of device.lower()?.uppers ?? []) if (other instanceof IpvlanDevice) emitLink(other);
  }

  /** Settings of a bridge (`ip link set DEV type bridge …`). @throws NetlinkError */
  configureBridge(bridge: BridgeDevice, settings: BridgeFacts): void {
    bridge.configure(settings);
    emitLink(bridge);
  }

  /** Settings of a bridge port (`bridge link set`). @throws NetlinkError where it is none. */
  configureBridgePort(device: Device, settings: BridgePortFacts): void {
    const { master } = device;
    if (!(master instanceof BridgeDevice))
      throw new NetlinkError('RTNETLINK answers: Operation not supported');
    master.configurePort(device, settings);
    emitLink(device);
  }

  /** @throws NetlinkError */
  #options({ name, mac, mtu }: LinkOptions): DeviceOptions {
    if (this.#devices.has(name)) throw new NetlinkError('RTNETLINK answers: File exists');
    return { ifindex: this.#ns.kernel.nextIfindex(), name, mac, mtu };
  }

  #add<D extends Device>(device: D): D {
    this.#adopt(device);
    return device;
  }

  #adopt(device: Device): void {
    device.neighbors = new NeighborTable(device);
    device.inet6 = new Inet6Device(device);
    this.#devices.set(device.name, device);
    this.#listed = null;
    emitLink(device);
  }

  #discard(device: Device): void {
    detachUpper(device);
    this.#leave(device, () => device.removed());
  }

  /** Takes from a device what it has in this namespace, and it from the namespace. */
  #leave(device: Device, last: () => void = () => {}): void {
    if (device.up) this.setDown(device.name);
    const { master } = device;
    if (master instanceof BridgeDevice) this.setMaster(device.name, null);
    else if (master !== null) {
      device.master = null;
      device.setPromiscuous('unwanted');
      master.portGone?.(device);
    }
    if (device instanceof BridgeDevice) for (const port of [...device.ports]) this.setMaster(port.name, null);
    device.neighbors.clear();
    this.#ns.addresses.clear(device);
    device.inet6.removed();
    this.#ns.sysctls.deviceRemoved(device.name);
    device.qdisc?.reset();
    device.qdisc = null;
    last();
    this.#devices.delete(device.name);
    this.#listed = null;
    this.#ns.kernel.rt.emit({ type: 'link.removed', ns: this.#ns.name, name: device.name });
  }
}
