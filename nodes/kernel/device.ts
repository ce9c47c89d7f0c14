import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../protocols/ethernet.ts';
import { frameBuffer } from '../../protocols/frame-buffer.ts';
import { formatMac } from '../../protocols/mac.ts';
import type { Cut, LinkFacts, LinkKind } from '../events/kernel.ts';
import type { Inet6Device } from './ipv6/inet6-device.ts';
import type { NeighborTable } from './neighbor.ts';
import type { NetemQdisc } from './netem.ts';
import type { Skb } from './netfilter/skb.ts';
import type { Netns } from './netns.ts';
import type { Ipv4Conf, NeighConf } from './sysctl-ipv4.ts';

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
  readonly name: string;
  mac: number;
  mtu: number;
  up = false;
  carrier = true;
  master: BridgeMaster | null = null;
  /** `net.ipv4.conf.<dev>` and `net.ipv4.neigh.<dev>`, copied from their defaults as the device appears. */
  readonly conf: Ipv4Conf;
  readonly neighConf: NeighConf;
  readonly ns: Netns;
  readonly addresses: InterfaceAddress[] = [];
  neighbors!: NeighborTable;
  inet6!: Inet6Device;
  /** What it sends waits here; null sends at once (`noqueue`). */
  qdisc: NetemQdisc | null = null;
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
    if (this.#taps !== null && this.usable) this.tapped('out', frame);
    this.xmit(frame, skb);
  }

  /** The driver (`ndo_start_xmit`). */
  protected abstract xmit(frame: Uint8Array, skb: Skb | null): void;

  /** Whether packets need an Ethernet header with a resolved address. */
  get hasLinkLayer(): boolean {
    return true;
  }

  get usable(): boolean {
    return this.up && this.carrier;
  }

  detail(): string {
    return '';
  }

  peer(): Device | null {
    return null;
  }

  /** A frame has come in by this device. */
  receive(frame: Uint8Array, skb: Skb | null = null): void {
    if (!this.up) {
      this.ns.kernel.drop('device-down');
      return;
    }
    if (this.#taps !== null) this.tapped('in', frame);
    if (this.master !== null) this.master.receiveFrom(this, frame);
    else this.ns.receiveFrame(this, frame, skb);
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

  facts(): LinkFacts {
    const peer = this.peer();
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
    };
  }
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

  protected override xmit(): void {}
}

/** A physical port: the node's end of a wire. */
export class PortDevice extends Device {
  override readonly kind = 'ether';
  readonly port: number;
  /** Ways that the wire carries nothing, while both ends see a carrier. */
  cut: Cut = 'none';

  constructor(ns: Netns, options: DeviceOptions, port: number) {
    super(ns, options);
    this.port = port;
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
