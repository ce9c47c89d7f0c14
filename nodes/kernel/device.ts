import {
  ETH_HLEN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
  writeEthernet,
} from '../../protocols/ethernet.ts';
import { frameBuffer } from '../../protocols/frame-buffer.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { formatMac } from '../../protocols/mac.ts';
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, VLAN_HLEN, vlanProtocol } from '../../protocols/vlan.ts';
import type { Cut, LinkFacts, LinkKind } from '../events/kernel.ts';
import type { Inet6Device } from './ipv6/inet6-device.ts';
import type { NeighborTable } from './neighbor.ts';
import type { NetemQdisc } from './netem.ts';
import type { Skb } from './netfilter/skb.ts';
import type { Netns } from './netns.ts';
import type { Ipv4Conf, NeighConf } from './sysctl-ipv4.ts';
import type { VlanGroup } from './vlan.ts';

export interface InterfaceAddress {
  readonly addr: number;
  readonly len: number;
  readonly scope: 'global' | 'link' | 'host';
  /** 'secondary': another address of the same subnet was there before it. */
  readonly role: 'primary' | 'secondary';
  /** Whether its subnet's route comes with it. */
  readonly prefixRoute: 'add' | 'none';
}

export interface DeviceOptions {
  readonly ifindex: number;
  readonly name: string;
  /** 0 where the device has no MAC address. */
  readonly mac: number;
  readonly mtu: number;
}

/** What a bridge needs to be to its ports. */
export interface BridgeMaster {
  readonly name: string;
  receiveFrom(port: Device, frame: Uint8Array): void;
  /** What the device's facts say of it as a port. */
  portFacts(port: Device): Pick<LinkFacts, 'bridgePort'>;
  /** A port has come up or gone down, by its carrier or by its administrator. */
  portChanged?(port: Device): void;
  /** A port has left the namespace, and the master with it. */
  portGone?(port: Device): void;
}

/** Takes frames of a device before its own stack does (`rx_handler_func_t`): those of its macvlan or ipvlan devices. */
export interface RxHandler {
  readonly kind: 'macvlan' | 'ipvlan';
  /** Whether the device hears all that comes to it for its sake. */
  readonly promiscuous: boolean;
  receive(frame: Uint8Array): 'passed' | 'taken';
  /** Whom a packet of IP is for that the device's own namespace takes first; undefined: for itself. */
  behind?(frame: Uint8Array): Device | undefined;
}

/** Which frames a physical port wants of its wire (`ndo_set_rx_mode`). Group addresses always come. */
export interface PortFilter {
  readonly promiscuous: boolean;
  readonly macs: readonly number[];
}

/** Is shown every frame that a device receives or sends. The frame is not its own: it copies what it keeps. */
export interface DeviceTap {
  seen(direction: 'in' | 'out', frame: Uint8Array): void;
}

/**
 * A network device in a namespace. `transmit` takes a frame from the stack (or from a bridge) and `xmit`, the driver,
 * sends it on its way. What a device receives it hands to its namespace, or to the bridge it is a port of.
 */
export abstract class Device {
  abstract readonly kind: LinkKind;
  readonly ifindex: number;
  /** Changed by LinkTable alone. */
  name: string;
  mac: number;
  mtu: number;
  up = false;
  carrier = true;
  master: BridgeMaster | null = null;
  /** `net.ipv4.conf.<dev>` and `net.ipv4.neigh.<dev>`, copied from their defaults as the device appears. */
  conf: Ipv4Conf;
  neighConf: NeighConf;
  /** Changed by `moved` alone. */
  ns: Netns;
  readonly addresses: InterfaceAddress[] = [];
  neighbors!: NeighborTable;
  inet6!: Inet6Device;
  /** What it sends waits here; null sends at once (`noqueue`). */
  qdisc: NetemQdisc | null = null;
  /** Devices that stand on this one, in the order they came. */
  readonly uppers: Device[] = [];
  vlans: VlanGroup | null = null;
  rxHandler: RxHandler | null = null;
  /** Null while nobody captures here. */
  #taps: readonly DeviceTap[] | null = null;

  constructor(ns: Netns, options: DeviceOptions) {
    this.ns = ns;
    this.conf = { ...ns.sysctls.defaults };
    this.neighConf = { ...ns.sysctls.neighDefaults };
    this.ifindex = options.ifindex;
    this.name = options.name;
    this.mac = options.mac;
    this.mtu = options.mtu;
  }

  /**
   * Sends a frame, Ethernet header first. For a device without link layer the header is there but empty. `skb` is what
   * netfilter knows of it, null where it is not on its way through an IP layer.
   */
  transmit(frame: Uint8Array, skb: Skb | null = null): void {
    if (this.qdisc === null || !this.usable) this.dequeued(frame, skb);
    else if (!this.qdisc.enqueue(frame, skb)) this.ns.kernel.drop('netem');
  }

  /** A frame's time has come: whoever captures sees it now, as on Linux. */
  dequeued(frame: Uint8Array, skb: Skb | null): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) tracer.step(this.ns, { at: 'device.out', dev: this.name, kind: this.kind }, frame);
    if (this.#taps !== null && this.usable) this.tapped('out', frame);
    this.xmit(frame, skb);
  }

  /** The driver (`ndo_start_xmit`). */
  protected abstract xmit(frame: Uint8Array, skb: Skb | null): void;

  /** Whether packets need an Ethernet header with a resolved address. */
  get hasLinkLayer(): boolean {
    return true;
  }

  /** Whether a packet needs its next hop beside its bytes: it stands in the place of the destination MAC address. */
  get takesNexthop(): boolean {
    return false;
  }

  /** Whether a frame is no longer than the device takes, its tag beside it (`is_skb_forwardable`). */
  fits(frame: Uint8Array): boolean {
    const most = this.mtu + ETH_HLEN + VLAN_HLEN;
    return frame.length <= most || (frame.length <= most + VLAN_HLEN && vlanProtocol(frame) !== null);
  }

  /** Whether frames to an address are for this device. */
  owns(mac: number): boolean {
    return mac === this.mac;
  }

  /** Whether a group's frames are for it: of IPv4's it is in that of all hosts, and as a port of a bridge it hears all. */
  hearsGroup(mac: number): boolean {
    return mac < IPV4_GROUPS || mac > IPV4_GROUPS + 0x7f_ffff || mac === ALL_HOSTS || this.master !== null;
  }

  /** The largest MTU that it can be given, bytes. */
  get maxMtu(): number {
    return 65_535;
  }

  /** The smallest, bytes. */
  get minMtu(): number {
    return 0;
  }

  get usable(): boolean {
    return this.up && this.carrier;
  }

  /** Whether routes of IPv4 by it are passed over while it has no carrier (`IN_DEV_IGNORE_ROUTES_WITH_LINKDOWN`). */
  get ignoresLinkdown(): boolean {
    return (this.conf.ignore_routes_with_linkdown | this.ns.sysctls.all.ignore_routes_with_linkdown) !== 0;
  }

  detail(): string {
    return '';
  }

  peer(): Device | null {
    return null;
  }

  /** The device that it stands on. */
  lower(): Device | null {
    return null;
  }

  /** Refuses a MAC address that it cannot have. @throws NetlinkError */
  checkMac(_mac: number): void {}

  /** Refuses an address of IPv4 or IPv6 that it cannot have. @throws NetlinkError */
  checkAddress(_address: IpAddress): void {}

  /** IFF_NOARP: a frame goes to the device's own address, whomever it is for. */
  get noArp(): boolean {
    return false;
  }

  /** Wants frames for one more MAC address, or no longer (`dev_uc_add`). */
  setFilter(_mac: number, _wanted: 'wanted' | 'unwanted'): void {}

  /** Wants all frames, or no longer (`dev_set_promiscuity`). */
  setPromiscuous(_wanted: 'wanted' | 'unwanted'): void {}

  /** The device is in another namespace now, under another name perhaps. */
  moved(ns: Netns, name: string): void {
    this.ns = ns;
    this.name = name;
    this.conf = { ...ns.sysctls.defaults };
    this.neighConf = { ...ns.sysctls.neighDefaults };
  }

  /** A frame has come in by this device. */
  receive(frame: Uint8Array, skb: Skb | null = null): void {
    if (!this.up) {
      this.ns.kernel.drop('device-down');
      return;
    }
    if (frame.length < TAGGED_LEAST && isTagged(frame)) {
      this.ns.kernel.drop('vlan-truncated');
      return;
    }
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) tracer.step(this.ns, { at: 'device.in', dev: this.name, kind: this.kind }, frame);
    if (this.#taps !== null) this.tapped('in', frame);
    if (this.master === null) this.handUp(frame, skb);
    else if (this.vlans?.receive(frame) !== true) this.master.receiveFrom(this, frame);
  }

  /** Hands a frame to what stands on the device, or to the stack (`__netif_receive_skb_core`). */
  protected handUp(frame: Uint8Array, skb: Skb | null): void {
    if (this.vlans?.receive(frame) === true) return;
    if (this.rxHandler === null || this.rxHandler.receive(frame) === 'passed')
      this.ns.receiveFrame(this, frame, skb);
  }

  addTap(tap: DeviceTap): void {
    this.#taps = [...(this.#taps ?? []), tap];
  }

  removeTap(tap: DeviceTap): void {
    const left = this.#taps?.filter((other) => other !== tap) ?? [];
    this.#taps = left.length === 0 ? null : left;
  }

  /** Shows a frame to whoever captures here. */
  protected tapped(direction: 'in' | 'out', frame: Uint8Array): void {
    if (this.#taps !== null) for (const tap of this.#taps) tap.seen(direction, frame);
  }

  /** Called before the device comes up (`ndo_open`). @throws NetlinkError if it cannot. */
  opened(): void {}

  /** Called when the device has gone down (`ndo_stop`). */
  stopped(): void {}

  /** Called when the device is taken out of its namespace. */
  removed(): void {}

  /** What its facts say that is not so of all devices of its kind. */
  protected ownFacts(): Pick<LinkFacts, 'noArp' | 'operstate'> {
    return {};
  }

  facts(): LinkFacts {
    const peer = this.peer() ?? this.lower();
    return {
      ifindex: this.ifindex,
      name: this.name,
      kind: this.kind,
      mac: this.mac === 0 ? '' : formatMac(this.mac),
      mtu: this.mtu,
      up: this.up,
      carrier: this.carrier,
      master: this.master?.name ?? '',
      peerIfindex: peer?.ifindex ?? 0,
      peerNs: peer?.ns.name ?? '',
      detail: this.detail(),
      ...(this.rxHandler?.promiscuous === true ? { promiscuous: true as const } : {}),
      ...this.ownFacts(),
      ...this.master?.portFacts(this),
    };
  }
}

/** MAC addresses of IPv4's groups (RFC 1112 §6.4), 224.0.0.1's among them. */
const IPV4_GROUPS = 0x0100_5e00_0000;
const ALL_HOSTS = 0x0100_5e00_0001;

/** A frame with a tag has something behind it (`skb_vlan_untag`). */
const TAGGED_LEAST = ETH_HLEN + VLAN_HLEN + 2;

function isTagged(frame: Uint8Array): boolean {
  const type = frame.length < ETH_HLEN ? 0 : etherType(frame);
  return type === ETHERTYPE_8021Q || type === ETHERTYPE_8021AD;
}

/** lo: what goes in comes out, with its mark and its flow. */
export class LoopbackDevice extends Device {
  override readonly kind = 'loopback';

  constructor(ns: Netns, options: DeviceOptions) {
    super(ns, options);
    this.conf.disable_policy = 1;
    this.conf.disable_xfrm = 1;
  }

  override get hasLinkLayer(): boolean {
    return false;
  }

  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    this.ns.kernel.enqueue(this, frame, skb);
  }
}

/** A device that swallows what it is given, to hold addresses. */
export class DummyDevice extends Device {
  override readonly kind = 'dummy';

  override get noArp(): boolean {
    return true;
  }

  protected override xmit(): void {}
}

/** A physical port: the node's end of a wire. */
export class PortDevice extends Device {
  override readonly kind = 'ether';
  readonly port: number;
  /** Ways that the wire carries nothing, while both ends see a carrier. */
  cut: Cut = 'none';

  readonly #filter = new Map<number, number>();
  #promiscuity = 0;

  constructor(ns: Netns, options: DeviceOptions, port: number) {
    super(ns, options);
    this.port = port;
  }

  override setFilter(mac: number, wanted: 'wanted' | 'unwanted'): void {
    const count = (this.#filter.get(mac) ?? 0) + (wanted === 'wanted' ? 1 : -1);
    if (count > 0) this.#filter.set(mac, count);
    else this.#filter.delete(mac);
    this.filterChanged();
  }

  override setPromiscuous(wanted: 'wanted' | 'unwanted'): void {
    this.#promiscuity += wanted === 'wanted' ? 1 : -1;
    this.filterChanged();
  }

  /** Tells the wire what the port wants of it. */
  filterChanged(): void {
    const filter = { promiscuous: this.#promiscuity > 0, macs: [this.mac, ...this.#filter.keys()] };
    this.ns.kernel.filterPort(this.port, filter);
  }

  override removed(): void {
    this.ns.kernel.unregisterPort(this.port);
  }

  protected override xmit(frame: Uint8Array): void {
    if (!this.usable) this.ns.kernel.drop('no-carrier');
    else if (this.cut === 'out' || this.cut === 'both') this.ns.kernel.drop('cut');
    else this.ns.kernel.transmitOnPort(this.port, frame);
  }

  override receive(frame: Uint8Array): void {
    if (!this.carrier) this.ns.kernel.drop('no-carrier');
    else if (this.cut === 'in' || this.cut === 'both') this.ns.kernel.drop('cut');
    else super.receive(frame);
  }
}

/** One end of a veth pair. */
export class VethDevice extends Device {
  override readonly kind = 'veth';
  #peer: VethDevice | null = null;

  /** Joins two ends. */
  join(peer: VethDevice): void {
    this.#peer = peer;
    peer.#peer = this;
  }

  override peer(): VethDevice | null {
    return this.#peer;
  }

  protected override xmit(frame: Uint8Array): void {
    const peer = this.#peer;
    if (peer === null || !this.usable || !peer.up) this.ns.kernel.drop('no-carrier');
    else if (!peer.fits(frame)) this.ns.kernel.drop('too-long');
    else this.ns.kernel.enqueue(peer, frame);
  }
}

/** A TUN device: packets routed to it go to a user-space daemon, which puts others back. */
export class TunDevice extends Device {
  override readonly kind = 'tun';
  readonly #onPacket: (packet: Uint8Array) => void;

  constructor(ns: Netns, options: DeviceOptions, onPacket: (packet: Uint8Array) => void) {
    super(ns, options);
    this.#onPacket = onPacket;
  }

  override get hasLinkLayer(): boolean {
    return false;
  }

  protected override xmit(frame: Uint8Array): void {
    this.#onPacket(frame.subarray(14));
  }

  /** Puts an IP packet into the stack, as a write to /dev/net/tun. */
  inject(packet: Uint8Array): void {
    const frame = frameBuffer(14 + packet.length);
    const version = packet[0] === undefined ? 0 : packet[0] >> 4;
    writeEthernet(frame, 0, 0, version === 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    frame.set(packet, 14);
    this.ns.kernel.enqueue(this, frame);
  }
}
