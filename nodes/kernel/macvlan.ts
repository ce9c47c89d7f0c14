import { isGroupMac, readMac } from '../../protocols/mac.ts';
import { Device, type DeviceOptions, type RxHandler } from './device.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';

/** Whom a macvlan device reaches by itself: nobody; nobody, but a switch that sends back may; the others; it is alone. */
export type MacvlanMode = 'private' | 'vepa' | 'bridge' | 'passthru';

/** A second MAC address on a device, with a stack of its own (drivers/net/macvlan.c). The device itself is not reached. */
export class MacvlanDevice extends Device {
  override readonly kind = 'macvlan';
  mode: MacvlanMode;
  readonly #parent: Device;
  readonly #port: MacvlanPort;

  constructor(ns: Netns, options: DeviceOptions, parent: Device, port: MacvlanPort, mode: MacvlanMode) {
    super(ns, options);
    this.#parent = parent;
    this.#port = port;
    this.mode = mode;
    this.carrier = parent.usable;
  }

  override lower(): Device {
    return this.#parent;
  }

  override detail(): string {
    return `macvlan mode ${this.mode} bcqueuelen 1000 usedbcqueuelen 1000`;
  }

  /** In mode passthru all that comes in is the device's own. */
  override owns(mac: number): boolean {
    return mac === this.mac || this.mode === 'passthru';
  }

  /** `macvlan_open` */
  override opened(): void {
    if (this.mode === 'passthru') this.#parent.setPromiscuous('wanted');
    else this.#port.checkFree(this.mac, this.#parent);
  }

  override stopped(): void {
    if (this.mode === 'passthru') this.#parent.setPromiscuous('unwanted');
  }

  /** Refuses an address that another has (`macvlan_set_mac_address`). @throws NetlinkError */
  override checkMac(mac: number): void {
    if (mac !== this.mac && this.mode !== 'passthru') this.#port.checkFree(mac, this.#parent);
  }

  /** `macvlan_changelink` @throws NetlinkError */
  setMode(mode: MacvlanMode): void {
    if ((mode === 'passthru') !== (this.mode === 'passthru'))
      throw new NetlinkError('RTNETLINK answers: Invalid argument');
    this.mode = mode;
  }

  override setFilter(mac: number, wanted: 'wanted' | 'unwanted'): void {
    this.#parent.setFilter(mac, wanted);
  }

  override setPromiscuous(wanted: 'wanted' | 'unwanted'): void {
    this.#parent.setPromiscuous(wanted);
  }

  /** `macvlan_queue_xmit` */
  protected override xmit(frame: Uint8Array): void {
    if (!this.usable) {
      this.ns.kernel.drop('no-carrier');
      return;
    }
    if (this.mode === 'bridge') {
      const dst = readMac(frame, 0);
      if (isGroupMac(dst)) this.#port.broadcast(frame, this, ['bridge']);
      else if (this.#port.find(dst)?.mode === 'bridge') {
        // By way of the device below, whose captures see it.
        this.ns.kernel.enqueue(this.#parent, frame);
        return;
      }
    }
    this.#parent.transmit(frame);
  }
}

const ALL_MODES: readonly MacvlanMode[] = ['private', 'vepa', 'passthru', 'bridge'];

/** The macvlan devices of one device (`macvlan_port`). */
export class MacvlanPort implements RxHandler {
  readonly kind = 'macvlan';
  readonly devices: MacvlanDevice[] = [];

  get alone(): boolean {
    return this.devices.some(({ mode }) => mode === 'passthru');
  }

  /** Whether one of them hears all that comes to the device below. */
  get promiscuous(): boolean {
    return this.devices.some(({ mode, up }) => mode === 'passthru' && up);
  }

  /** `macvlan_addr_busy` @throws NetlinkError */
  checkFree(mac: number, parent: Device): void {
    if (mac === parent.mac || this.find(mac) !== undefined)
      throw new NetlinkError('RTNETLINK answers: Address already in use');
  }

  find(mac: number): MacvlanDevice | undefined {
    return this.devices.find((device) => device.mac === mac && device.up);
  }

  /** `macvlan_handle_frame` */
  receive(frame: Uint8Array): 'passed' | 'taken' {
    const dst = readMac(frame, 0);
    if (isGroupMac(dst)) {
      const source = this.find(readMac(frame, 6));
      if (source === undefined) this.broadcast(frame, null, ALL_MODES);
      else if (source.mode === 'vepa') this.broadcast(frame, source, ['vepa', 'bridge']);
      else if (source.mode === 'bridge') this.broadcast(frame, source, ['vepa']);
      else {
        source.receive(frame);
        return 'taken';
      }
      return 'passed';
    }
    const device = this.alone ? this.devices[0] : this.find(dst);
    if (device === undefined) return 'passed';
    device.receive(frame);
    return 'taken';
  }

  broadcast(frame: Uint8Array, from: MacvlanDevice | null, modes: readonly MacvlanMode[]): void {
    const group = readMac(frame, 0);
    for (const device of this.devices)
      if (device !== from && device.up && modes.includes(device.mode) && device.hearsGroup(group))
        device.ns.kernel.enqueue(device, frame.slice());
  }
}
