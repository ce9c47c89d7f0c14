import { BridgeDevice } from './bridge.ts';
import {
  type Device,
  type DeviceOptions,
  DummyDevice,
  LoopbackDevice,
  PortDevice,
  TunDevice,
  VethDevice,
} from './device.ts';
import { Inet6Device } from './ipv6/inet6-device.ts';
import { NeighborTable } from './neighbor.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { VxlanDevice, type VxlanOptions } from './vxlan.ts';

export interface LinkOptions {
  readonly name: string;
  readonly mac: number;
  readonly mtu: number;
}

export interface VethOptions extends LinkOptions {
  readonly peer: { readonly ns: Netns; readonly name: string; readonly mac: number };
}

/** The devices of a namespace: made, changed and taken out as by rtnetlink (`ip link`). */
export class LinkTable {
  readonly #ns: Netns;
  readonly #devices = new Map<string, Device>();

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
  list(): Device[] {
    return [...this.#devices.values()].sort((a, b) => a.ifindex - b.ifindex);
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
    const exists = [...this.#devices.values()].some(
      (other) =>
        other instanceof VxlanDevice && other.vni === options.vni && other.dstPort === options.dstPort,
    );
    if (exists) throw new NetlinkError('Error: A VXLAN device with the specified VNI already exists.');
    return this.#add(new VxlanDevice(this.#ns, this.#options(options), options));
  }

  addTun(options: Omit<LinkOptions, 'mac'>, onPacket: (packet: Uint8Array) => void): TunDevice {
    return this.#add(new TunDevice(this.#ns, this.#options({ ...options, mac: 0 }), onPacket));
  }

  addDummy(options: LinkOptions): Device {
    return this.#add(new DummyDevice(this.#ns, this.#options(options)));
  }

  /** Takes a device out, with its addresses, routes, neighbours and FDB rows; a veth's peer goes with it. */
  remove(name: string): void {
    const device = this.require(name);
    this.#discard(device);
    const peer = device.peer();
    if (peer !== null && peer.ns.links.get(peer.name) === peer) peer.ns.links.#discard(peer);
  }

  clear(): void {
    for (const device of this.list()) if (this.#devices.has(device.name)) this.remove(device.name);
  }

  /** @throws NetlinkError */
  setUp(name: string): void {
    const device = this.require(name);
    if (device.up) return;
    device.opened();
    device.up = true;
    this.#changed(device);
    this.#refreshVeth(device);
    this.#ns.addresses.deviceUp(device);
    this.#refreshMaster(device);
  }

  setDown(name: string): void {
    const device = this.require(name);
    if (!device.up) return;
    device.up = false;
    device.stopped();
    device.qdisc?.reset();
    this.#changed(device);
    device.neighbors.clear();
    this.#refreshVeth(device);
    this.#ns.addresses.deviceDown(device);
    this.#ns.pathMtus.deviceDown(device);
    this.#ns.nat.deviceDown(device);
    this.#refreshMaster(device);
  }

  setCarrier(device: Device, carrier: boolean): void {
    if (device.carrier === carrier) return;
    device.carrier = carrier;
    this.#changed(device);
    this.#refreshMaster(device);
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
    if (master !== null && !device.hasLinkLayer)
      throw new NetlinkError('RTNETLINK answers: Invalid argument');
    const old = device.master;
    if (old instanceof BridgeDevice) {
      old.ports.splice(old.ports.indexOf(device), 1);
      old.flush(device);
      device.master = null;
      if (old.refreshCarrier()) this.#changed(old);
    }
    if (master !== null) {
      master.ports.push(device);
      device.master = master;
      this.#changed(device);
      this.#refreshMaster(device);
    } else this.#changed(device);
  }

  setMtu(name: string, mtu: number): void {
    const device = this.require(name);
    device.mtu = mtu;
    this.#changed(device);
  }

  setMac(name: string, mac: number): void {
    const device = this.require(name);
    device.mac = mac;
    this.#changed(device);
  }

  /** @throws NetlinkError */
  #options({ name, mac, mtu }: LinkOptions): DeviceOptions {
    if (this.#devices.has(name)) throw new NetlinkError('RTNETLINK answers: File exists');
    return { ifindex: this.#ns.kernel.nextIfindex(), name, mac, mtu };
  }

  #add<D extends Device>(device: D): D {
    device.neighbors = new NeighborTable(device);
    device.inet6 = new Inet6Device(device);
    this.#devices.set(device.name, device);
    this.#changed(device);
    return device;
  }

  #discard(device: Device): void {
    if (device.up) this.setDown(device.name);
    if (device.master !== null) this.setMaster(device.name, null);
    if (device instanceof BridgeDevice) for (const port of [...device.ports]) this.setMaster(port.name, null);
    device.neighbors.clear();
    this.#ns.addresses.clear(device);
    device.inet6.removed();
    this.#ns.sysctls.deviceRemoved(device.name);
    device.qdisc?.reset();
    device.removed();
    this.#devices.delete(device.name);
    this.#ns.kernel.rt.emit({ type: 'link.removed', ns: this.#ns.name, name: device.name });
  }

  #changed(device: Device): void {
    this.#ns.kernel.rt.emit({ type: 'link.set', ns: this.#ns.name, link: device.facts() });
    device.inet6.refresh();
  }

  /** A veth end has carrier while its peer is up. */
  #refreshVeth(device: Device): void {
    const peer = device.peer();
    if (peer === null || peer.carrier === device.up) return;
    const { links } = peer.ns;
    if (links.get(peer.name) !== peer) return;
    peer.carrier = device.up;
    links.#changed(peer);
    links.#refreshMaster(peer);
  }

  #refreshMaster(device: Device): void {
    const { master } = device;
    if (!(master instanceof BridgeDevice)) return;
    if (!device.usable) master.flush(device);
    if (master.refreshCarrier()) this.#changed(master);
  }
}
