import type { BridgePortFacts, BridgeVlanFacts } from '../events/kernel.ts';
import type { Device } from './device.ts';

/** The flags of a bridge port as they are at first (`BR_LEARNING | BR_FLOOD | BR_MCAST_FLOOD | BR_BCAST_FLOOD`). */
export const PORT_DEFAULTS = {
  hairpin: false,
  guard: false,
  rootBlock: false,
  fastLeave: false,
  learning: true,
  flood: true,
  mcastFlood: true,
  bcastFlood: true,
  mcastToUnicast: false,
  neighSuppress: false,
  isolated: false,
  locked: false,
  priority: 32,
  cost: 2,
} as const satisfies Required<BridgePortFacts>;

/** The VLANs that a port, or the bridge itself, is in (`net_bridge_vlan_group`). */
export class VlanMembership {
  /** VLAN of what comes without a tag, 0 if none takes it. */
  pvid = 0;
  readonly #untagged = new Map<number, boolean>();

  has(vid: number): boolean {
    return this.#untagged.has(vid);
  }

  /** Whether what leaves in a VLAN goes without a tag. */
  leavesUntagged(vid: number): boolean {
    return this.#untagged.get(vid) === true;
  }

  add({ vid, pvid, untagged }: BridgeVlanFacts): void {
    this.#untagged.set(vid, untagged === true);
    if (pvid === true) this.pvid = vid;
    else if (this.pvid === vid) this.pvid = 0;
  }

  delete(vid: number): boolean {
    if (this.pvid === vid) this.pvid = 0;
    return this.#untagged.delete(vid);
  }

  /** `vlan_default_pvid`: whether a VLAN is its PVID still, and leaves untagged. */
  #hasAsDefault(vid: number): boolean {
    return vid === this.pvid && this.leavesUntagged(vid);
  }

  /** The default of the bridge changes, which nobody's own setting yields to (`__br_vlan_set_default_pvid`). 0 is none. */
  changeDefault(old: number, pvid: number): void {
    const had = old !== 0 && this.#hasAsDefault(old);
    if (pvid === 0) {
      if (had) this.delete(old);
      return;
    }
    if ((old !== 0 && !had) || this.has(pvid)) return;
    this.add({ vid: pvid, pvid: true, untagged: true });
    if (had) this.delete(old);
  }

  clear(): void {
    this.pvid = 0;
    this.#untagged.clear();
  }

  /** By VLAN. */
  list(): BridgeVlanFacts[] {
    return [...this.#untagged]
      .sort(([a], [b]) => a - b)
      .map(([vid, untagged]) => ({
        vid,
        ...(vid === this.pvid ? { pvid: true as const } : {}),
        ...(untagged ? { untagged: true as const } : {}),
      }));
  }

  /** Whether it is in the VLAN of those that nobody has configured alone. */
  isDefault(defaultPvid: number): boolean {
    const usual = defaultPvid === 0 ? [] : [{ vid: defaultPvid, pvid: true, untagged: true }];
    return JSON.stringify(this.list()) === JSON.stringify(usual);
  }
}

/** A device as a port of a bridge. */
export class BridgePort {
  readonly device: Device;
  settings: Required<BridgePortFacts> = PORT_DEFAULTS;
  readonly vlans = new VlanMembership();

  constructor(device: Device) {
    this.device = device;
  }

  /** What differs from the defaults; undefined if nothing does. */
  facts(): BridgePortFacts | undefined {
    const changed = Object.entries(this.settings).filter(
      ([name, value]) => value !== PORT_DEFAULTS[name as keyof BridgePortFacts],
    );
    return changed.length === 0 ? undefined : (Object.fromEntries(changed) as BridgePortFacts);
  }
}
