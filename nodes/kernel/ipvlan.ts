import { ARP_LEN, decodeArp } from '../../protocols/arp.ts';
import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from '../../protocols/ethernet.ts';
import { type Ip6, readIp6 } from '../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipSrc } from '../../protocols/ipv4.ts';
import { IPV6_HLEN } from '../../protocols/ipv6.ts';
import { isGroupMac, readMac } from '../../protocols/mac.ts';
import { Device, type DeviceOptions, type RxHandler } from './device.ts';
import { Skb } from './netfilter/skb.ts';
import type { Netns } from './netns.ts';

/** l2: switched by the device below; l3: routed by its namespace, no broadcasts; l3s: the same, symmetric for netfilter. */
export type IpvlanMode = 'l2' | 'l3' | 'l3s';

/** Whether the devices of one port reach each other, reach nobody but by the wire, or leave that to a switch there. */
export type IpvlanFlag = 'bridge' | 'private' | 'vepa';

/** A second stack behind a device's own MAC address, told from the others by its IP addresses (drivers/net/ipvlan). */
export class IpvlanDevice extends Device {
  override readonly kind = 'ipvlan';
  readonly #parent: Device;
  readonly #port: IpvlanPort;

  constructor(ns: Netns, options: DeviceOptions, parent: Device, port: IpvlanPort) {
    super(ns, options);
    this.#parent = parent;
    this.#port = port;
    this.carrier = parent.usable;
  }

  override lower(): Device {
    return this.#parent;
  }

  override detail(): string {
    return `ipvlan  mode ${this.#port.mode} ${this.#port.flag}`;
  }

  /** `ipvlan_open`: in l3 nobody is asked for an address. */
  override get noArp(): boolean {
    return this.#port.mode !== 'l2';
  }

  /** `ipvlan_queue_xmit` */
  protected override xmit(frame: Uint8Array): void {
    const { kernel } = this.ns;
    if (!this.usable) {
      kernel.drop('no-carrier');
      return;
    }
    const { mode, flag } = this.#port;
    if (mode !== 'l2') {
      this.#routed(frame);
      return;
    }
    const dst = readMac(frame, 0);
    if (flag !== 'vepa' && dst === this.mac) {
      const sibling = this.#port.find(frame);
      if (sibling === undefined) kernel.enqueue(this.#parent, frame);
      else this.#toSibling(sibling, frame);
      return;
    }
    if (isGroupMac(dst)) this.#port.broadcast(frame, this);
    this.#parent.transmit(frame);
  }

  /** `ipvlan_xmit_mode_l3`: to a sibling, or by the routes of the namespace of the device below. */
  #routed(frame: Uint8Array): void {
    const { kernel } = this.ns;
    if (etherType(frame) !== ETHERTYPE_IPV4) {
      kernel.drop('ipvlan-not-ip');
      return;
    }
    const sibling = this.#port.flag === 'vepa' ? undefined : this.#port.find(frame);
    if (sibling !== undefined) {
      this.#toSibling(sibling, frame);
      return;
    }
    if (isGroupMac(readMac(frame, 0))) {
      kernel.drop('ipvlan-multicast');
      return;
    }
    const skb = new Skb(frame, null);
    if (this.#parent.ns.ip.localOut(skb) !== null) kernel.drop('no-route');
  }

  #toSibling(sibling: IpvlanDevice, frame: Uint8Array): void {
    if (this.#port.flag === 'private') this.ns.kernel.drop('ipvlan-private');
    else this.ns.kernel.enqueue(sibling, frame);
  }
}

/** The ipvlan devices of one device (`ipvl_port`): all of one mode. */
export class IpvlanPort implements RxHandler {
  readonly kind = 'ipvlan';
  readonly devices: IpvlanDevice[] = [];
  mode: IpvlanMode;
  readonly flag: IpvlanFlag;

  constructor(mode: IpvlanMode, flag: IpvlanFlag) {
    this.mode = mode;
    this.flag = flag;
  }

  /** `ipvlan_handle_frame` */
  receive(frame: Uint8Array): 'passed' | 'taken' {
    if (isGroupMac(readMac(frame, 0))) {
      // What one of them has sent is not heard again.
      if (this.mode === 'l2' && this.#isExternal(frame)) this.broadcast(frame, null);
      return 'passed';
    }
    const device = this.find(frame);
    if (device === undefined) return 'passed';
    device.receive(frame);
    return 'taken';
  }

  /** The device that a frame's destination address, or the one that ARP asks for, is assigned to (`ipvlan_addr_lookup`). */
  find(frame: Uint8Array): IpvlanDevice | undefined {
    switch (etherType(frame)) {
      case ETHERTYPE_IPV4:
        return frame.length < ETH_HLEN + IPV4_HLEN ? undefined : this.#holder(ipDst(frame, ETH_HLEN));
      case ETHERTYPE_ARP: {
        const arp = decodeArp(frame, ETH_HLEN, Math.min(frame.length - ETH_HLEN, ARP_LEN));
        return arp === null ? undefined : this.#holder(arp.tpa);
      }
      case ETHERTYPE_IPV6:
        if (frame.length < ETH_HLEN + IPV6_HLEN) return undefined;
        return this.#holder6(readIp6(frame, ETH_HLEN + IPV6_HLEN - 16));
      default:
        return undefined;
    }
  }

  broadcast(frame: Uint8Array, from: IpvlanDevice | null): void {
    for (const device of this.devices)
      if (device !== from && device.up) device.ns.kernel.enqueue(device, frame.slice());
  }

  /** `ipvlan_external_frame`: not from an address of ours. */
  #isExternal(frame: Uint8Array): boolean {
    const isIp = etherType(frame) === ETHERTYPE_IPV4 && frame.length >= ETH_HLEN + IPV4_HLEN;
    const arp =
      etherType(frame) === ETHERTYPE_ARP ? decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN) : null;
    const source = isIp ? ipSrc(frame, ETH_HLEN) : arp?.spa;
    return source === undefined || this.#holder(source) === undefined;
  }

  #holder6(addr: Ip6): IpvlanDevice | undefined {
    return this.devices.find((device) => device.up && device.inet6.holds(addr));
  }

  #holder(addr: number): IpvlanDevice | undefined {
    return this.devices.find((device) => device.up && device.addresses.some((own) => own.addr === addr));
  }
}
