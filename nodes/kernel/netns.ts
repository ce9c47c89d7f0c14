import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from '../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_HOST } from '../../protocols/icmp.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { isMulticast } from '../../protocols/ip4.ts';
import { ipDst, ipSrc } from '../../protocols/ipv4.ts';
import { isGroupMac, readMac } from '../../protocols/mac.ts';
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, untagged, vlanId, vlanProtocol } from '../../protocols/vlan.ts';
import type { FdbFacts, NeighborFacts, RouteChange } from '../events/kernel.ts';
import { type AddressOptions, AddressTable } from './addresses.ts';
import { BridgeDevice } from './bridge.ts';
import type { Device, TunDevice } from './device.ts';
import { fibLookup } from './fib-lookup.ts';
import { type IcmpHandlers, IcmpLayer, type IcmpSocket } from './icmp.ts';
import { Impairments } from './impairments.ts';
import { inet4 } from './inet.ts';
import { flowHash, type Path, packetFlow } from './ip/path.ts';
import { REDIRECT_LIFETIME } from './ip/redirect-input.ts';
import { IpLayer, type SendError } from './ip.ts';
import { Ipv6 } from './ipv6/ipv6.ts';
import type { Kernel } from './kernel.ts';
import { type LinkOptions, LinkTable, type VethOptions } from './links.ts';
import { BridgeNetfilter } from './netfilter/bridge-netfilter.ts';
import { ConntrackTable } from './netfilter/conntrack.ts';
import { NetfilterHooks } from './netfilter/hooks.ts';
import { Ipsets } from './netfilter/ipset/ipsets.ts';
import { Ipvs } from './netfilter/ipvs/ipvs.ts';
import { Nat } from './netfilter/nat.ts';
import type { Skb } from './netfilter/skb.ts';
import { RecentLists } from './netfilter/xtables/recent-lists.ts';
import { Xtables } from './netfilter/xtables/xtables.ts';
import { NetlinkError } from './netlink.ts';
import { PathMtuCache } from './path-mtu.ts';
import { RedirectCache } from './redirect-cache.ts';
import { INET } from './route-family.ts';
import type { RouteTable } from './route-table.ts';
import { RouteTables } from './route-tables.ts';
import { ANY_FLOW, type FlowKey, INET_RULES, RuleTable } from './rules.ts';
import { Sysctls } from './sysctl.ts';
import {
  type TcpConnectOptions,
  type TcpEndpoint,
  TcpLayer,
  type TcpListener,
  type TcpSocket,
  type TcpSocketOptions,
} from './tcp.ts';
import { TunnelTable } from './tunnels/tunnel-table.ts';
import { type ReceivedDatagram, UdpLayer, type UdpPacketOptions, type UdpSocket } from './udp.ts';
import { VxlanDevice, type VxlanOptions } from './vxlan.ts';
import type { FdbRequest, VxlanRemote } from './vxlan-fdb.ts';
import { VxlanPorts } from './vxlan-port.ts';
import { Xfrm } from './xfrm/xfrm.ts';

/** A network namespace: devices, addresses, routes, neighbours and sockets of their own. */
export class Netns {
  readonly name: string;
  readonly kernel: Kernel;
  /** The main table. */
  readonly routes: RouteTable;
  readonly tables: RouteTables;
  readonly rules: RuleTable;
  readonly ip: IpLayer;
  readonly icmp: IcmpLayer;
  readonly udp: UdpLayer;
  readonly tcp: TcpLayer;
  readonly vxlanPorts: VxlanPorts;
  readonly links: LinkTable;
  readonly addresses: AddressTable;
  readonly sysctls: Sysctls;
  readonly pathMtus: PathMtuCache;
  readonly redirects: RedirectCache;
  readonly impairments: Impairments;
  readonly netfilter = new NetfilterHooks();
  readonly conntrack: ConntrackTable;
  readonly nat: Nat;
  readonly xtables: Xtables;
  readonly recent: RecentLists;
  readonly ipsets: Ipsets;
  readonly ipvs: Ipvs;
  readonly tunnels: TunnelTable;
  readonly xfrm: Xfrm;
  readonly bridgeNetfilter: BridgeNetfilter;
  readonly ipv6: Ipv6;
  readonly lo: Device;

  constructor(kernel: Kernel, name: string) {
    this.kernel = kernel;
    this.name = name;
    this.tables = new RouteTables(this, INET);
    this.routes = this.tables.main;
    this.rules = new RuleTable(this, INET_RULES);
    this.ip = new IpLayer(this);
    this.icmp = new IcmpLayer(this);
    const inet = inet4(this);
    this.udp = new UdpLayer(this, inet);
    this.tcp = new TcpLayer(this, inet);
    this.vxlanPorts = new VxlanPorts(this);
    this.links = new LinkTable(this);
    this.sysctls = new Sysctls(this);
    this.addresses = new AddressTable(this);
    this.redirects = new RedirectCache(this, { from: 'learned', ms: REDIRECT_LIFETIME });
    this.pathMtus = new PathMtuCache(this, {
      // `net.ipv4.route.min_pmtu`
      least: 552,
      unspecified: 0,
      lookup: (dst) => (isMulticast(dst) ? null : this.lookup(dst, 0)),
      route: (dst) => this.lookup(dst, 0)?.route ?? null,
    });
    this.conntrack = new ConntrackTable(this);
    this.nat = new Nat(this, 'inet');
    this.xtables = new Xtables(this, 'inet');
    this.recent = new RecentLists(this);
    this.ipsets = new Ipsets(this);
    this.ipvs = new Ipvs(this);
    this.tunnels = new TunnelTable(this);
    this.xfrm = new Xfrm(this);
    this.bridgeNetfilter = new BridgeNetfilter(this);
    this.impairments = new Impairments(this);
    this.ipv6 = new Ipv6(this);
    this.lo = this.links.addLoopback();
    this.setUp('lo');
    this.addAddress('lo', '127.0.0.1/8', { scope: 'host' });
  }

  /** `net.ipv4.ip_forward` */
  get ipForward(): boolean {
    return this.sysctls.all.forwarding !== 0;
  }

  set ipForward(on: boolean) {
    this.sysctls.set('ipv4.ip_forward', on ? 1 : 0);
  }

  // ---- devices

  device(name: string): Device | undefined {
    return this.links.get(name);
  }

  /** By interface index. */
  devices(): readonly Device[] {
    return this.links.list();
  }

  addPort(options: LinkOptions & { readonly port: number }): Device {
    return this.links.addPort(options);
  }

  /** A veth pair: this end here, the other in `peer.ns`. As with `ip link add`, the peer gets the lower index. */
  addVeth(options: VethOptions): Device {
    return this.links.addVeth(options);
  }

  addBridge(options: LinkOptions & { readonly ageing?: number }): BridgeDevice {
    return this.links.addBridge(options, options.ageing ?? this.kernel.timings.bridge.ageing);
  }

  addVxlan(options: LinkOptions & VxlanOptions): VxlanDevice {
    return this.links.addVxlan(options);
  }

  addTun(
    options: { readonly name: string; readonly mtu: number },
    onPacket: (packet: Uint8Array) => void,
  ): TunDevice {
    return this.links.addTun(options, onPacket);
  }

  addDummy(options: LinkOptions): Device {
    return this.links.addDummy(options);
  }

  /** Takes a device out, with its addresses, routes, neighbours and FDB rows; a veth's peer goes with it. */
  removeDevice(name: string): void {
    this.links.remove(name);
  }

  setUp(name: string): void {
    this.links.setUp(name);
  }

  setDown(name: string): void {
    this.links.setDown(name);
  }

  setMaster(name: string, bridge: string | null): void {
    this.links.setMaster(name, bridge);
  }

  setProxyArp(name: string, value: 'on' | 'off'): void {
    this.links.require(name);
    this.sysctls.set('ipv4.conf.*.proxy_arp', value === 'on' ? 1 : 0, name);
  }

  setMtu(name: string, mtu: number): void {
    this.links.setMtu(name, mtu);
  }

  setMac(name: string, mac: number): void {
    this.links.setMac(name, mac);
  }

  // ---- addresses

  addAddress(name: string, text: string, options: AddressOptions = {}): void {
    const device = this.links.require(name);
    if (text.includes(':')) this.ipv6.addresses.add(device, text);
    else this.addresses.add(device, text, options);
  }

  removeAddress(name: string, text: string): void {
    const device = this.links.require(name);
    if (text.includes(':')) this.ipv6.addresses.remove(device, text);
    else this.addresses.remove(device, text);
  }

  isLocal(addr: number): boolean {
    return this.addresses.isLocal(addr);
  }

  /** Whether an address is the directed broadcast of a subnet of ours. */
  isBroadcast(addr: number): boolean {
    return this.addresses.isBroadcast(addr);
  }

  /** The address to send from by a device to a next hop. */
  sourceFor(device: Device, nexthop: number): number {
    return this.addresses.sourceFor(device, nexthop);
  }

  /** The way to an address, for a flow hash that chooses among next hops. Null: no route. */
  lookup(dst: number, hash: number, flow: FlowKey = ANY_FLOW): Path | null {
    return fibLookup(this, dst, hash, flow);
  }

  /** The way of a packet that is complete; `iif` is null for one of the host's own. */
  lookupPacket(frame: Uint8Array, iif: Device | null, mark: number): Path | null {
    const dst = ipDst(frame, ETH_HLEN);
    const policy = this.sysctls.ipv4.fib_multipath_hash_policy;
    const hash = flowHash(frame, ETH_HLEN, ipSrc(frame, ETH_HLEN), dst, policy);
    return fibLookup(this, dst, hash, this.rules.custom ? packetFlow(frame, iif, mark) : ANY_FLOW);
  }

  // ---- neighbours and FDB

  setNeighbor(dev: string, ip: IpAddress, mac: number): void {
    const { neighbors, inet6 } = this.links.require(dev);
    if (typeof ip === 'number') neighbors.setPermanent(ip, mac);
    else inet6.neighbors.setPermanent(ip, mac);
  }

  deleteNeighbor(dev: string, ip: IpAddress): boolean {
    const { neighbors, inet6 } = this.links.require(dev);
    return typeof ip === 'number' ? neighbors.deleteByHand(ip) : inet6.neighbors.deleteByHand(ip);
  }

  neighbors(): NeighborFacts[] {
    return this.devices().flatMap((device) => device.neighbors.list());
  }

  neighbors6(): NeighborFacts[] {
    return this.devices().flatMap((device) => device.inet6.neighbors.list());
  }

  /** `bridge fdb append MAC dev DEV dst ADDR` on a VXLAN device. */
  addVxlanFdb(dev: string, mac: number, dst: IpAddress, kind: 'static' | 'permanent'): void {
    const device = this.links.require(dev);
    if (!(device instanceof VxlanDevice))
      throw new NetlinkError('RTNETLINK answers: Operation not supported');
    device.addFdb(mac, dst, kind);
  }

  /** `bridge fdb add`, `append` and `replace` on a VXLAN device. @throws NetlinkError */
  setVxlanFdb(dev: string, mac: number, remote: VxlanRemote, kind: FdbFacts['kind'], how: FdbRequest): void {
    const device = this.links.require(dev);
    if (!(device instanceof VxlanDevice))
      throw new NetlinkError('RTNETLINK answers: Operation not supported');
    device.setFdb(mac, remote, kind, how);
  }

  deleteVxlanFdb(dev: string, mac: number, dst?: IpAddress, via: Device | null = null): boolean {
    const device = this.links.require(dev);
    return device instanceof VxlanDevice && device.deleteFdb(mac, dst, via);
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
    optionsFor?: (remote: number) => TcpSocketOptions,
  ): TcpListener {
    return this.tcp.listen(local, onAccept, optionsFor);
  }

  connectTcp(options: TcpConnectOptions): TcpSocket {
    return this.tcp.connect(options);
  }

  openIcmp(handlers: IcmpHandlers): IcmpSocket {
    return this.icmp.open(handlers);
  }

  // ---- from the devices and tables

  /** A frame for the stack itself, from a device that is no bridge port. `skb`: what is known of one that lo brings back. */
  receiveFrame(device: Device, frame: Uint8Array, skb: Skb | null = null): void {
    const { kernel } = this;
    if (frame.length < ETH_HLEN) {
      kernel.drop('frame-truncated');
      return;
    }
    if (device.hasLinkLayer) {
      const dst = readMac(frame, 0);
      if (!device.owns(dst) && !isGroupMac(dst)) {
        kernel.drop('other-host');
        return;
      }
    }
    switch (etherType(frame)) {
      case ETHERTYPE_IPV4:
        this.ip.input(device, frame, skb);
        return;
      case ETHERTYPE_IPV6:
        this.ipv6.layer.input(device, frame, skb);
        return;
      case ETHERTYPE_ARP:
        if (device.hasLinkLayer && !device.noArp) device.neighbors.receiveArp(frame);
        return;
      case ETHERTYPE_8021Q:
      case ETHERTYPE_8021AD:
        this.#receiveTagged(device, frame);
        return;
      default:
        kernel.drop('unknown-ethertype');
    }
  }

  /** No VLAN device took it: a tag that says a priority alone is passed over, and others are of other hosts (`check_vlan_id`). */
  #receiveTagged(device: Device, frame: Uint8Array): void {
    if (vlanProtocol(frame) === null || vlanId(frame) !== 0) {
      this.kernel.drop('unknown-ethertype');
      return;
    }
    const inner = untagged(frame);
    if (device.vlans?.receive(inner) !== true) this.receiveFrame(device, inner);
  }

  /** A packet waited in vain for its neighbour: tell its sender, whoever that is (`arp_error_report`). */
  neighborUnreachable(frame: Uint8Array): void {
    this.kernel.drop('neighbor-failed');
    this.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_HOST, 0, frame);
  }

  /** A line of the kernel's log, for dmesg and in the node's log. `level` as syslog(2) numbers them. */
  log(level: number, line: string): void {
    const { rt } = this.kernel;
    const { cause } = rt;
    rt.emit({ type: 'packet.logged', ns: this.name, level, line });
    this.kernel.printk(level, line);
    // What comes next follows from what was before, not from its being told of.
    rt.cause = cause;
  }

  /** A packet told to a group of nfnetlink_log, in the node's log alone. */
  nflog(group: number, prefix: string, line: string): void {
    const { rt } = this.kernel;
    const { cause } = rt;
    rt.emit({ type: 'packet.nflog', ns: this.name, group, prefix, line });
    rt.cause = cause;
  }

  routesChanged(table: number, changes: readonly RouteChange[]): void {
    this.kernel.rt.emit({ type: 'route.changed', ns: this.name, table, changes });
    if (this.redirects.size > 0) this.redirects.routesChanged(this.tables);
    if (this.ipv6.redirects.size > 0) this.ipv6.redirects.routesChanged(this.ipv6.tables);
    this.kernel.fibChanged(this);
  }

  /** Everything goes, as when the last process leaves the namespace. */
  dismantle(): void {
    this.links.clear();
    this.ipvs.dismantle();
    this.conntrack.flush();
    // What has a time to live must not end after its namespace.
    this.xfrm.flush('policy');
    this.xfrm.flush('state');
    for (const { name } of this.ipsets.all()) this.ipsets.flush(name);
  }
}
