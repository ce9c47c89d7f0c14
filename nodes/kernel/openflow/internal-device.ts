import { type BridgeMaster, Device, type DeviceOptions } from '../device.ts';
import type { Netns } from '../netns.ts';

/** A bridge's own device, its port LOCAL (net/openvswitch/vport-internal_dev.c): what the stack sends by it comes into the bridge. */
export class InternalDevice extends Device {
  override readonly kind = 'openvswitch';
  readonly #bridge: BridgeMaster;

  constructor(ns: Netns, options: DeviceOptions, bridge: BridgeMaster) {
    super(ns, options);
    this.#bridge = bridge;
  }

  /** It has come up or gone down. */
  changed(): void {
    this.#bridge.portChanged?.(this);
  }

  protected override xmit(frame: Uint8Array): void {
    if (this.usable) this.#bridge.receiveFrom(this, frame);
    else this.ns.kernel.drop('no-carrier');
  }
}
