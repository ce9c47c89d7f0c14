import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, etherType } from '../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_HOST } from '../../protocols/icmp.ts';
import {
  broadcastOf,
  formatIp4,
  formatPrefix,
  LIMITED_BROADCAST,
  type Prefix,
  parseAddress,
  prefixContains,
  prefixMask,
} from '../../protocols/ip4.ts';
import { isGroupMac, readMac } from '../../protocols/mac.ts';
import type { FdbFacts, NeighborFacts, RouteChange, RouteFacts, RouteScope } from '../events/kernel.ts';
import { BridgeDevice } from './bridge.ts';
import {
  type Device,
  DummyDevice,
  type InterfaceAddress,
  LoopbackDevice,
  PortDevice,
  TunDevice,
  VethDevice,
} from './device.ts';
import { type IcmpHandlers, IcmpLayer, type IcmpSocket } from './icmp.ts';
import { IpLayer, type Path, type SendError } from './ip.ts';
import type { Kernel } from './kernel.ts';
import { NeighborTable } from './neighbor.ts';
import { MAIN_TABLE, RouteTable } from './route-table.ts';
import {
  type TcpConnectOptions,
  type TcpEndpoint,
  TcpLayer,
  type TcpListener,
  type TcpSocket,
} from './tcp.ts';
import { type ReceivedDatagram, UdpLayer, type UdpPacketOptions, type UdpSocket } from './udp.ts';
import { VxlanDevice, type VxlanOptions } from './vxlan.ts';

/** What iproute2 would answer to a request that cannot be done. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
}

export interface LinkOptions {
  readonly name: string;
  readonly mac: number;
  readonly mtu: number;
}

/** A network namespace: devices, addresses, routes, neighbours and sockets of their own. */
export class Netns {
  readonly name: string;
  readonly kernel: Kernel;
  readonly routes: RouteTable;
  readonly ip: IpLayer;
  readonly icmp: IcmpLayer;
  readonly udp: UdpLayer;
  readonly tcp: TcpLayer;
  readonly lo: Device;
  /** `net.ipv4.ip_forward` */
  ipForward = false;
  readonly #devices = new Map<string, Device>();
  /** Number of devices that hold each local address. */
  readonly #local = new Map<number, Device>();
  readonly #broadcasts = new Map<number, number>();

  constructor(kernel: Kernel, name: string) {
    this.kernel = kernel;
    this.name = name;
    this.routes = new RouteTable(this, MAIN_TABLE);
    this.ip = new IpLayer(this);
    this.icmp = new IcmpLayer(this);
    this.udp = new UdpLayer(this);
    this.tcp = new TcpLayer(this);
    this.lo = this.#add(new LoopbackDevice(this, { ifindex: 1, name: 'lo', mac: 0, mtu: 65_536 }));
    this.setUp('lo');
    this.addAddress('lo', '127.0.0.1/8', { scope: 'host' });
  }

  // ---- devices

  device(name: string): Device | undefined {
    return this.#devices.get(name);
  }

  /** By interface index. */
  devices(): Device[] {
    return [...this.#devices.values()].sort((a, b) => a.ifindex - b.ifindex);
  }

  addPort(options: LinkOptions & { readonly port: number }): Device {
    const device = this.#add(new PortDevice(this, this.#options(options), options.port));
    this.kernel.registerPort(options.port, device);
    return device;
  }

  /** A veth pair: this end here, the other in `peer.ns`. As with `ip link add`, the peer gets the lower index. */
  addVeth(
    options: LinkOptions & {
      readonly peer: { readonly ns: Netns; readonly name: string; readonly mac: number };
    },
  ): Device {
    const { peer, mtu } = options;
    if (peer.ns.#devices.has(peer.name) || (peer.ns === this && peer.name === options.name))
      throw new NetlinkError('RTNETLINK answers: File exists');
    const far = new VethDevice(peer.ns, {
      ifindex: this.kernel.nextIfindex(),
      name: peer.name,
      mac: peer.mac,
      mtu,
    });
    const near = new VethDevice(this, this.#options(options));
    near.join(far);
    far.carrier = false;
    near.carrier = false;
    peer.ns.#add(far);
    return this.#add(near);
  }

  addBridge(options: LinkOptions & { readonly ageing?: number }): BridgeDevice {
    const ageing = options.ageing ?? this.kernel.timings.bridge.ageing;
    return this.#add(new BridgeDevice(this, this.#options(options), ageing));
  }

  addVxlan(options: LinkOptions & VxlanOptions): VxlanDevice {
    return this.#add(new VxlanDevice(this, this.#options(options), options));
  }

  addTun(
    options: { readonly name: string; readonly mtu: number },
    onPacket: (packet: Uint8Array) => void,
  ): TunDevice {
    return this.#add(new TunDevice(this, this.#options({ ...options, mac: 0 }), onPacket));
  }

  addDummy(options: LinkOptions): Device {
    return this.#add(new DummyDevice(this, this.#options(options)));
  }

  /** Takes a device out, with its addresses, routes, neighbours and FDB rows; a veth's peer goes with it. */
  removeDevice(name: string): void {
    const device = this.#require(name);
    this.#discard(device);
    const peer = device.peer();
    if (peer !== null && peer.ns.#devices.get(peer.name) === peer) peer.ns.#discard(peer);
  }

  setUp(name: string): void {
    const device = this.#require(name);
    if (device.up) return;
    device.up = true;
    this.#changed(device);
    this.#refreshVeth(device);
    for (const address of device.addresses) this.#addConnected(device, address);
    this.#refreshMaster(device);
  }

  setDown(name: string): void {
    const device = this.#require(name);
    if (!device.up) return;
    device.up = false;
    this.#changed(device);
    device.neighbors.clear();
    this.#refreshVeth(device);
    this.routes.removeWhere((route) => route.nexthops.some((hop) => hop.device === device));
    this.#refreshMaster(device);
  }

  setCarrier(device: Device, carrier: boolean): void {
    if (device.carrier === carrier) return;
    device.carrier = carrier;
    this.#changed(device);
    this.#refreshMaster(device);
    this.kernel.linkChanged(device);
  }

  setMaster(name: string, bridge: string | null): void {
    const device = this.#require(name);
    const master = bridge === null ? null : this.#require(bridge);
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

  setProxyArp(name: string, value: 'on' | 'off'): void {
    this.#require(name).proxyArp = value === 'on';
  }

  setMtu(name: string, mtu: number): void {
    const device = this.#require(name);
    device.mtu = mtu;
    this.#changed(device);
  }

  setMac(name: string, mac: number): void {
    const device = this.#require(name);
    device.mac = mac;
    this.#changed(device);
  }

  // ---- addresses

  addAddress(
    name: string,
    text: string,
    options: { readonly scope?: RouteScope; readonly prefixRoute?: 'add' | 'none' } = {},
  ): void {
    const device = this.#require(name);
    const parsed = parseAddress(text);
    if (parsed === null) throw new NetlinkError(`Error: any valid prefix is expected rather than "${text}".`);
    if (device.addresses.some((address) => address.addr === parsed.addr && address.len === parsed.len)) {
      throw new NetlinkError('RTNETLINK answers: File exists');
    }
    const address: InterfaceAddress = { ...parsed, scope: options.scope ?? 'global' };
    device.addresses.push(address);
    if (!this.#local.has(parsed.addr)) this.#local.set(parsed.addr, device);
    if (parsed.len < 31 && device.kind !== 'loopback') this.#countBroadcast(parsed, 1);
    const { kernel } = this;
    kernel.rt.emit({
      type: 'addr.added',
      ns: this.name,
      dev: name,
      address: formatAddress(parsed),
      scope: address.scope,
    });
    if (device.up && options.prefixRoute !== 'none') this.#addConnected(device, address);
  }

  removeAddress(name: string, text: string): void {
    const device = this.#require(name);
    const parsed = parseAddress(text);
    const at = device.addresses.findIndex(
      (address) => address.addr === parsed?.addr && address.len === parsed.len,
    );
    const [gone] = at < 0 ? [] : device.addresses.splice(at, 1);
    if (gone === undefined) throw new NetlinkError('RTNETLINK answers: Cannot assign requested address');
    this.#forgetAddress(device, gone);
    const local = formatIp4(gone.addr);
    this.routes.removeWhere(
      (route) => route.facts.src === local && route.nexthops.some((hop) => hop.device === device),
    );
  }

  isLocal(addr: number): boolean {
    return this.#local.has(addr) || addr >>> 24 === 127;
  }

  /** Whether an address is the directed broadcast of a subnet of ours. */
  isBroadcast(addr: number): boolean {
    return this.#broadcasts.has(addr);
  }

  /** The address to send from by a device to a next hop (`inet_select_addr`): of its subnet, its first, any other. */
  sourceFor(device: Device, nexthop: number): number {
    const usable = device.addresses.filter((address) => address.scope !== 'host');
    const near = usable.find((address) => prefixContains(network(address), nexthop));
    const own = near ?? usable[0];
    if (own !== undefined) return own.addr;
    for (const other of this.devices()) {
      const address = other.addresses.find((candidate) => candidate.scope === 'global');
      if (address !== undefined && other.up) return address.addr;
    }
    return 0;
  }

  /** The way of a packet: local table first, then main. Null: no route. */
  lookup(dst: number, hash: number): Path | null {
    if (this.isLocal(dst)) return { type: 'local', device: this.lo, nexthop: dst, src: 0 };
    if (dst === LIMITED_BROADCAST) {
      const device = this.devices().find((candidate) => candidate.kind !== 'loopback' && candidate.usable);
      return device === undefined ? null : { type: 'broadcast', device, nexthop: dst, src: 0 };
    }
    const route = this.routes.lookup(dst);
    if (route === null) return null;
    if (route.type === 'blackhole' || route.type === 'unreachable') {
      return { type: route.type, device: this.lo, nexthop: 0, src: 0 };
    }
    const hop = IpLayer.choose(route, hash);
    if (hop === null) return null;
    const type = this.isBroadcast(dst) ? 'broadcast' : 'unicast';
    return { type, device: hop.device, nexthop: hop.via === 0 ? dst : hop.via, src: route.src };
  }

  // ---- neighbours and FDB

  setNeighbor(dev: string, ip: number, mac: number): void {
    this.#require(dev).neighbors.setPermanent(ip, mac);
  }

  deleteNeighbor(dev: string, ip: number): boolean {
    return this.#require(dev).neighbors.delete(ip);
  }

  neighbors(): NeighborFacts[] {
    return this.devices().flatMap((device) => device.neighbors.list());
  }

  /** `bridge fdb append MAC dev DEV dst ADDR` on a VXLAN device. */
  addVxlanFdb(dev: string, mac: number, dst: number, kind: 'static' | 'permanent'): void {
    const device = this.#require(dev);
    if (!(device instanceof VxlanDevice))
      throw new NetlinkError('RTNETLINK answers: Operation not supported');
    device.addFdb(mac, dst, kind);
  }

  deleteVxlanFdb(dev: string, mac: number, dst?: number): boolean {
    const device = this.#require(dev);
    return device instanceof VxlanDevice && device.deleteFdb(mac, dst);
  }

  fdb(): FdbFacts[] {
    return this.devices().flatMap((device) =>
      device instanceof BridgeDevice || device instanceof VxlanDevice ? device.fdb() : [],
    );
  }

  // ---- sockets

  bindUdp(local: TcpEndpoint, onDatagram: (datagram: ReceivedDatagram) => void): UdpSocket {
    return this.udp.bind(local, onDatagram);
  }

  sendUdpPacket(packet: Uint8Array, options: UdpPacketOptions): SendError | null {
    return this.udp.sendPacket(packet, options);
  }

  listenTcp(
    local: TcpEndpoint,
    onAccept: (socket: TcpSocket) => void,
    options: { readonly ttl?: number } = {},
  ): TcpListener {
    return this.tcp.listen(local, onAccept, options);
  }

  connectTcp(options: TcpConnectOptions): TcpSocket {
    return this.tcp.connect(options);
  }

  openIcmp(handlers: IcmpHandlers): IcmpSocket {
    return this.icmp.open(handlers);
  }

  // ---- from the devices and tables

  /** A frame for the stack itself, from a device that is no bridge port. */
  receiveFrame(device: Device, frame: Uint8Array): void {
    const { kernel } = this;
    if (frame.length < ETH_HLEN) {
      kernel.drop('frame-truncated');
      return;
    }
    if (device.hasLinkLayer) {
      const dst = readMac(frame, 0);
      if (dst !== device.mac && !isGroupMac(dst)) {
        kernel.drop('other-host');
        return;
      }
    }
    switch (etherType(frame)) {
      case ETHERTYPE_IPV4:
        this.ip.input(device, frame);
        return;
      case ETHERTYPE_ARP:
        if (device.hasLinkLayer) device.neighbors.receiveArp(frame);
        return;
      default:
        kernel.drop('unknown-ethertype');
    }
  }

  /** A packet waited in vain for its neighbour: tell its sender, whoever that is (`arp_error_report`). */
  neighborUnreachable(frame: Uint8Array): void {
    this.kernel.drop('neighbor-failed');
    this.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_HOST, 0, frame);
  }

  routesChanged(table: number, changes: readonly RouteChange[]): void {
    this.kernel.rt.emit({ type: 'route.changed', ns: this.name, table, changes });
    this.kernel.fibChanged(this);
  }

  /** Everything goes, as when the last process leaves the namespace. */
  dismantle(): void {
    for (const device of this.devices()) if (this.#devices.has(device.name)) this.removeDevice(device.name);
  }

  #options(options: LinkOptions) {
    if (this.#devices.has(options.name)) throw new NetlinkError('RTNETLINK answers: File exists');
    return { ifindex: this.kernel.nextIfindex(), name: options.name, mac: options.mac, mtu: options.mtu };
  }

  #require(name: string): Device {
    const device = this.#devices.get(name);
    if (device === undefined) throw new NetlinkError(`Cannot find device "${name}"`);
    return device;
  }

  #add<D extends Device>(device: D): D {
    device.neighbors = new NeighborTable(device);
    this.#devices.set(device.name, device);
    this.#changed(device);
    return device;
  }

  #discard(device: Device): void {
    if (device.up) this.setDown(device.name);
    if (device.master !== null) this.setMaster(device.name, null);
    if (device instanceof BridgeDevice) for (const port of [...device.ports]) this.setMaster(port.name, null);
    device.neighbors.clear();
    for (const address of device.addresses.splice(0)) this.#forgetAddress(device, address);
    device.removed();
    this.#devices.delete(device.name);
    this.kernel.rt.emit({ type: 'link.removed', ns: this.name, name: device.name });
  }

  #changed(device: Device): void {
    this.kernel.rt.emit({ type: 'link.set', ns: this.name, link: device.facts() });
  }

  /** A veth end has carrier while its peer is up. */
  #refreshVeth(device: Device): void {
    const peer = device.peer();
    if (peer === null || peer.ns.#devices.get(peer.name) !== peer) return;
    if (peer.carrier !== device.up) {
      peer.carrier = device.up;
      peer.ns.#changed(peer);
      peer.ns.#refreshMaster(peer);
    }
  }

  #refreshMaster(device: Device): void {
    const { master } = device;
    if (!(master instanceof BridgeDevice)) return;
    if (!device.usable) master.flush(device);
    if (master.refreshCarrier()) this.#changed(master);
  }

  #addConnected(device: Device, address: InterfaceAddress): void {
    if (device.kind === 'loopback' || address.len === 32) return;
    const route: RouteFacts = {
      dst: formatPrefix(network(address)),
      type: 'unicast',
      protocol: 'kernel',
      scope: 'link',
      metric: 0,
      src: formatIp4(address.addr),
      nexthops: [{ via: '', dev: device.name, onlink: false, weight: 1 }],
    };
    this.routes.set(route);
  }

  #forgetAddress(device: Device, address: InterfaceAddress): void {
    const holder = [...this.#devices.values()].find((other) =>
      other.addresses.some((candidate) => candidate.addr === address.addr),
    );
    if (holder === undefined) this.#local.delete(address.addr);
    else this.#local.set(address.addr, holder);
    if (address.len < 31 && device.kind !== 'loopback') this.#countBroadcast(address, -1);
    const text = formatAddress(address);
    this.kernel.rt.emit({ type: 'addr.removed', ns: this.name, dev: device.name, address: text });
  }

  #countBroadcast(address: Prefix, change: 1 | -1): void {
    const broadcast = broadcastOf(network(address));
    const count = (this.#broadcasts.get(broadcast) ?? 0) + change;
    if (count === 0) this.#broadcasts.delete(broadcast);
    else this.#broadcasts.set(broadcast, count);
  }
}

function network(address: Prefix): Prefix {
  return { addr: (address.addr & prefixMask(address.len)) >>> 0, len: address.len };
}

function formatAddress(address: Prefix): string {
  return `${formatIp4(address.addr)}/${address.len}`;
}
