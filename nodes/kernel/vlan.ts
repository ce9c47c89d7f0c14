import {
  ETHERTYPE_8021AD,
  ETHERTYPE_8021Q,
  tagged,
  untagged,
  type VlanProtocol,
  vlanId,
  vlanProtocol,
} from '../../protocols/vlan.ts';
import { Device, type DeviceOptions } from './device.ts';
import type { Netns } from './netns.ts';

export interface VlanOptions {
  readonly protocol: VlanProtocol;
  readonly id: number;
}

/** A VLAN of another device (8021q): sends with a tag, receives what comes with it. */
export class VlanDevice extends Device {
  override readonly kind = 'vlan';
  readonly protocol: VlanProtocol;
  readonly id: number;
  /** Whether it has the address of the device below for want of another (`NET_ADDR_STOLEN`). */
  inherits = false;
  readonly #parent: Device;

  constructor(ns: Netns, options: DeviceOptions, parent: Device, vlan: VlanOptions) {
    super(ns, options);
    this.#parent = parent;
    this.protocol = vlan.protocol;
    this.id = vlan.id;
    this.carrier = parent.usable;
  }

  override lower(): Device {
    return this.#parent;
  }

  /** What was for the device below is for it too. */
  override owns(mac: number): boolean {
    return mac === this.mac || this.#parent.owns(mac);
  }

  override detail(): string {
    const protocol = this.protocol === ETHERTYPE_8021AD ? '802.1ad' : '802.1Q';
    return `vlan protocol ${protocol} id ${this.id} <REORDER_HDR>`;
  }

  override setFilter(mac: number, wanted: 'wanted' | 'unwanted'): void {
    this.#parent.setFilter(mac, wanted);
  }

  override setPromiscuous(wanted: 'wanted' | 'unwanted'): void {
    this.#parent.setPromiscuous(wanted);
  }

  protected override xmit(frame: Uint8Array): void {
    if (this.usable) this.#parent.transmit(tagged(frame, this.protocol, this.id));
    else this.ns.kernel.drop('no-carrier');
  }
}

/** The VLAN devices of one device. */
export class VlanGroup {
  readonly #devices = new Map<number, VlanDevice>();

  get size(): number {
    return this.#devices.size;
  }

  has({ protocol, id }: VlanOptions): boolean {
    return this.#devices.has(keyOf(protocol, id));
  }

  add(device: VlanDevice): void {
    this.#devices.set(keyOf(device.protocol, device.id), device);
  }

  remove(device: VlanDevice): void {
    this.#devices.delete(keyOf(device.protocol, device.id));
  }

  /** Hands a frame to the device of its tag; false if it has none, or there is no such device (`vlan_do_receive`). */
  receive(frame: Uint8Array): boolean {
    const protocol = vlanProtocol(frame);
    const device = protocol === null ? undefined : this.#devices.get(keyOf(protocol, vlanId(frame)));
    if (device === undefined) return false;
    device.receive(untagged(frame));
    return true;
  }
}

function keyOf(protocol: VlanProtocol, id: number): number {
  return protocol === ETHERTYPE_8021Q ? id : id + 0x1000;
}
