import { copyFrame } from '../../protocols/frame-buffer.ts';
import { formatMac, isGroupMac, readMac } from '../../protocols/mac.ts';
import {
  ETHERTYPE_8021AD,
  ETHERTYPE_8021Q,
  tagged,
  untagged,
  vlanId,
  vlanPriority,
  vlanProtocol,
} from '../../protocols/vlan.ts';
import type { BridgeFacts, BridgePortFacts, BridgeVlanFacts, FdbFacts, LinkFacts } from '../events/kernel.ts';
import { BridgeFdb } from './bridge-fdb.ts';
import { BridgePort, VlanMembership } from './bridge-port.ts';
import { type BridgeMaster, Device, type DeviceOptions } from './device.ts';
import type { Skb } from './netfilter/skb.ts';
import { isIpv6 } from './netfilter/xtables/packet.ts';
import type { Netns } from './netns.ts';

/** As a bridge is made. `ageingTime` comes from the lab's timers. */
export const BRIDGE_DEFAULTS = {
  vlanFiltering: false,
  vlanProtocol: '802.1Q',
  defaultPvid: 1,
  forwardDelay: 1500,
  helloTime: 200,
  maxAge: 2000,
  priority: 32_768,
  groupFwdMask: 0,
  mcastSnooping: true,
} as const satisfies Omit<Required<BridgeFacts>, 'ageingTime'>;

/** 01:80:c2:00:00:00 to 0f are for the bridges themselves (IEEE 802.1D §7.12.6). */
const LINK_LOCAL = 0x0180c2000000;
/** Groups of customers' bridges are nothing to one of a provider (`BR_GROUPFWD_8021AD`). */
const PROVIDER_FWD_MASK = 0xb801;
const BROADCAST = 0xffffffffffff;

/** A learning bridge (IEEE 802.1D §7.8, net/bridge): the FDB learns source addresses, forgets them after the ageing time. */
export class BridgeDevice extends Device implements BridgeMaster {
  override readonly kind = 'bridge';
  readonly ports: Device[] = [];
  /** Whether its address and MTU were chosen for it: until then it has its ports' lowest (`br_stp_recalculate_bridge_id`). */
  macSet = true;
  mtuSet = true;
  readonly #ports = new Map<Device, BridgePort>();
  readonly #fdb: BridgeFdb;
  /** VLANs of the host itself. */
  readonly #own = new VlanMembership();
  readonly #firstAgeing: number;
  #settings: Required<BridgeFacts>;
  /** The addresses of the bridge and its ports; null until they are asked for again. */
  #macs: ReadonlySet<number> | null = null;

  constructor(ns: Netns, options: DeviceOptions, ageing: number) {
    super(ns, options);
    this.#fdb = new BridgeFdb(this);
    this.#firstAgeing = ageing / 10;
    this.#settings = { ...BRIDGE_DEFAULTS, ageingTime: ageing / 10 };
    this.#own.add({ vid: 1, pvid: true, untagged: true });
    this.carrier = false;
  }

  /** How long what was learned is kept, ms. */
  get ageing(): number {
    return this.#settings.ageingTime * 10;
  }

  get settings(): Required<BridgeFacts> {
    return this.#settings;
  }

  portOf(device: Device): BridgePort | undefined {
    return this.#ports.get(device);
  }

  portFacts(device: Device): Pick<LinkFacts, 'bridgePort'> {
    const bridgePort = this.#ports.get(device)?.facts();
    return bridgePort === undefined ? {} : { bridgePort };
  }

  addPort(device: Device): void {
    const port = new BridgePort(device);
    const { defaultPvid } = this.#settings;
    if (defaultPvid !== 0) port.vlans.add({ vid: defaultPvid, pvid: true, untagged: true });
    this.ports.push(device);
    this.#ports.set(device, port);
    this.macsChanged();
    device.master = this;
    device.setPromiscuous('wanted');
  }

  removePort(device: Device): void {
    const port = this.#ports.get(device);
    this.ports.splice(this.ports.indexOf(device), 1);
    this.macsChanged();
    this.flush(device);
    if (port?.vlans.isDefault(this.#settings.defaultPvid) === false) this.#emitVlansReset(device.name);
    this.#ports.delete(device);
    device.master = null;
    device.setPromiscuous('unwanted');
  }

  /** The address of the bridge or of a port has changed. */
  macsChanged(): void {
    this.#macs = null;
  }

  /** Changes settings of a port; the caller tells of it. */
  configurePort(device: Device, settings: BridgePortFacts): void {
    const port = this.#ports.get(device);
    if (port !== undefined) port.settings = { ...port.settings, ...settings };
  }

  /** Changes settings of the bridge; the caller tells of it. */
  configure(settings: BridgeFacts): void {
    const old = this.#settings;
    this.#settings = { ...old, ...settings };
    const { defaultPvid } = this.#settings;
    if (defaultPvid !== old.defaultPvid)
      for (const device of [this, ...this.ports])
        this.#changeDefaultPvid(device, old.defaultPvid, defaultPvid);
  }

  /** Tells of the VLANs of a port whose own ones are, or are no longer, those of all. */
  #changeDefaultPvid(device: Device, old: number, pvid: number): void {
    const vlans = this.#membership(device);
    if (vlans === undefined) return;
    const wasDefault = vlans.isDefault(old);
    const was = vlans.has(old);
    vlans.changeDefault(old, pvid);
    if (was && !vlans.has(old)) this.#fdb.forget(device, old);
    if (!wasDefault || !vlans.isDefault(pvid)) this.#emitVlans(device);
  }

  /** VLANs of a port, or of the bridge itself. */
  vlansOf(device: Device): BridgeVlanFacts[] {
    return this.#membership(device)?.list() ?? [];
  }

  addVlan(device: Device, vlan: BridgeVlanFacts): void {
    this.#membership(device)?.add(vlan);
    this.#emitVlans(device);
  }

  removeVlan(device: Device, vid: number): void {
    if (this.#membership(device)?.delete(vid) !== true) return;
    this.#fdb.forget(device, vid);
    this.#emitVlans(device);
  }

  /** VLANs of the ports, and of the bridge itself, where they are not those of all. */
  vlanRows(): { dev: string; vlans: BridgeVlanFacts[] }[] {
    return [this, ...this.ports].flatMap((device) => {
      const membership = this.#membership(device);
      return membership === undefined || membership.isDefault(this.#settings.defaultPvid)
        ? []
        : [{ dev: device.name, vlans: membership.list() }];
    });
  }

  #membership(device: Device): VlanMembership | undefined {
    return device === this ? this.#own : this.#ports.get(device)?.vlans;
  }

  #emitVlans(device: Device): void {
    const membership = this.#membership(device);
    if (membership === undefined) return;
    if (membership.isDefault(this.#settings.defaultPvid)) this.#emitVlansReset(device.name);
    else {
      const { ns } = this;
      ns.kernel.rt.emit({ type: 'bridge-vlan.set', ns: ns.name, dev: device.name, vlans: membership.list() });
    }
  }

  #emitVlansReset(dev: string): void {
    this.ns.kernel.rt.emit({ type: 'bridge-vlan.reset', ns: this.ns.name, dev });
  }

  /** From the stack of the bridge's own namespace; or from a port, having waited there for where DNAT sends it. */
  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    if (!this.up) this.ns.kernel.drop('device-down');
    else if (skb?.bridgedDnat === true) this.#forward(skb.physIn, frame, skb.vlan, skb);
    else {
      const tci = this.#settings.vlanFiltering ? this.#ingress(this.#own, frame) : 0;
      if (tci < 0) this.ns.kernel.drop('bridge-vlan');
      else this.#forward(null, this.#bare(frame), tci, null);
    }
  }

  receiveFrom(device: Device, frame: Uint8Array): void {
    const { kernel } = this.ns;
    const port = this.#ports.get(device);
    if (!this.up || port === undefined) {
      kernel.drop('device-down');
      return;
    }
    const source = readMac(frame, 6);
    if (isGroupMac(source) || source === 0) {
      kernel.drop('bad-source-mac');
      return;
    }
    const tci = this.#settings.vlanFiltering ? this.#ingress(port.vlans, frame) : 0;
    if (this.#isForBridges(readMac(frame, 0))) {
      if (tci >= 0 && port.settings.learning) this.#fdb.learn(source, tci & 0xfff, device);
      kernel.drop('link-local');
      return;
    }
    this.tapped('in', frame);
    const { bridgeNetfilter } = this.ns;
    const valid = bridgeNetfilter.validated(frame);
    if (valid === null) {
      kernel.drop('bridge-malformed');
      return;
    }
    if (!bridgeNetfilter.calls(valid)) {
      if (this.#admits(port, source, tci)) this.#forward(device, this.#bare(valid), tci, null);
      return;
    }
    const skb = bridgeNetfilter.preRouting(this, device, valid, Math.max(tci, 0));
    if (skb !== null && this.#admits(port, source, tci) && skb !== 'sent')
      this.#forward(device, skb.frame, tci, skb);
  }

  /** Whether a frame may come in by a port; its source is learned then (`br_handle_frame_finish`). */
  #admits({ device, settings }: BridgePort, source: number, tci: number): boolean {
    if (tci < 0) {
      this.ns.kernel.drop('bridge-vlan');
      return false;
    }
    const vlan = tci & 0xfff;
    if (settings.locked && this.#fdb.find(source, vlan)?.port !== device) {
      this.ns.kernel.drop('bridge-locked');
      return false;
    }
    if (settings.learning) this.#fdb.learn(source, vlan, device);
    return true;
  }

  /** `br_handle_frame`: without spanning tree its frames are multicasts like others; what else there is, is not forwarded. */
  #isForBridges(dst: number): boolean {
    const last = dst - LINK_LOCAL;
    const { groupFwdMask, vlanFiltering, vlanProtocol } = this.#settings;
    const mask =
      vlanFiltering && vlanProtocol === '802.1ad' ? groupFwdMask | PROVIDER_FWD_MASK : groupFwdMask;
    return last > 0 && last < 16 && (last === 1 || ((mask >>> last) & 1) === 0);
  }

  /** Tag control information (priority and VLAN) of a frame that comes in; -1 if it may not (`br_allowed_ingress`). */
  #ingress(vlans: VlanMembership, frame: Uint8Array): number {
    const own = vlanProtocol(frame) === this.#protocol;
    const vid = own ? vlanId(frame) : 0;
    const priority = own ? vlanPriority(frame) << 13 : 0;
    if (vid === 0) return vlans.pvid === 0 ? -1 : priority | vlans.pvid;
    return vlans.has(vid) ? priority | vid : -1;
  }

  get #protocol() {
    return this.#settings.vlanProtocol === '802.1Q' ? ETHERTYPE_8021Q : ETHERTYPE_8021AD;
  }

  /** The frame without the tag that says its VLAN. */
  #bare(frame: Uint8Array): Uint8Array {
    return this.#settings.vlanFiltering && vlanProtocol(frame) === this.#protocol ? untagged(frame) : frame;
  }

  #forward(from: Device | null, frame: Uint8Array, tci: number, skb: Skb | null): void {
    const dst = readMac(frame, 0);
    const group = isGroupMac(dst);
    const own = !group && this.isOwn(dst, tci & 0xfff);
    if (from !== null && own && dst === this.mac) {
      this.#passUp(frame, tci, skb);
      return;
    }
    const source = from === null ? undefined : this.#ports.get(from);
    const known = group ? undefined : this.#fdb.find(dst, tci & 0xfff);
    const local = from !== null && known?.kind === 'permanent';
    if (known !== undefined && !local) {
      const port = this.#ports.get(known.port);
      if (port !== undefined && this.#delivers(source, port, tci))
        this.#send(known.port, frame, tci, skb, from === null);
      return;
    }
    if (local || own) {
      // It is the host's only where it came by that very port.
      if (from?.mac === dst) this.#passUp(frame, tci, skb);
      else this.ns.kernel.drop('other-host');
      return;
    }
    for (const device of this.ports) {
      const port = this.#ports.get(device)!;
      if (!this.#delivers(source, port, tci) || !floods(port, dst, group, from === null)) continue;
      const copy = copyFrame(frame);
      this.#send(device, copy, tci, skb === null ? null : skb.copy(copy), from === null);
    }
    if (from !== null && group) this.#passUp(frame, tci, skb);
  }

  /** The addresses of the bridge and its ports are the host's own, in the VLANs that they are in (`fdb_add_local`). */
  isOwn(mac: number, vlan: number): boolean {
    // Nearly every frame is for somebody else, and a bridge may have a thousand ports.
    if (!this.owns(mac)) return false;
    const anywhere = !this.#settings.vlanFiltering;
    if (mac === this.mac && (anywhere || this.#own.has(vlan))) return true;
    for (const device of this.ports)
      if (device.mac === mac && (anywhere || this.#ports.get(device)!.vlans.has(vlan))) return true;
    return false;
  }

  override owns(mac: number): boolean {
    this.#macs ??= new Set([this, ...this.ports].map((device) => device.mac));
    return this.#macs.has(mac);
  }

  /** `should_deliver` */
  #delivers(from: BridgePort | undefined, to: BridgePort, tci: number): boolean {
    if (!to.device.usable) return false;
    if (from === to && !to.settings.hairpin) return false;
    if (from?.settings.isolated === true && to.settings.isolated) return false;
    return !this.#settings.vlanFiltering || to.vlans.has(tci & 0xfff);
  }

  #send(device: Device, frame: Uint8Array, tci: number, skb: Skb | null, own: boolean): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) tracer.step(this.ns, { at: 'bridge', dev: this.name, to: device.name }, frame);
    if (own) this.egress(device, frame, tci);
    else if (skb === null) this.ns.bridgeNetfilter.send(this, device, frame, tci, null);
    else this.ns.bridgeNetfilter.forward(this, device, skb);
  }

  /** A frame leaves by a port, with the tag that it has there (`br_handle_vlan`). */
  egress(device: Device, frame: Uint8Array, tci: number, skb: Skb | null = null): void {
    if (!device.fits(frame)) {
      this.ns.kernel.drop('too-long');
      return;
    }
    const plain = !this.#settings.vlanFiltering || this.#ports.get(device)?.vlans.leavesUntagged(tci & 0xfff);
    if (plain) device.transmit(frame, skb);
    else device.transmit(tagged(frame, this.#protocol, tci & 0xfff, tci >>> 13));
  }

  /** `br_pass_frame_up` */
  #passUp(frame: Uint8Array, tci: number, skb: Skb | null): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) tracer.step(this.ns, { at: 'bridge', dev: this.name, to: this.name }, frame);
    const vid = tci & 0xfff;
    if (!this.#settings.vlanFiltering || this.#own.leavesUntagged(vid)) {
      if (skb === null) this.handUp(frame, null);
      else if (isIpv6(skb)) this.ns.ipv6.layer.inputBridged(this, skb);
      else this.ns.ip.inputBridged(this, skb);
    } else if (this.#own.has(vid)) this.handUp(tagged(frame, this.#protocol, vid, tci >>> 13), null);
    else if (!isGroupMac(readMac(frame, 0))) this.ns.kernel.drop('bridge-vlan');
  }

  addFdb(mac: number, port: Device, kind: 'static' | 'permanent', vlan = 0): void {
    this.#fdb.set(mac, port, kind, vlan);
  }

  deleteFdb(mac: number, vlan = 0): boolean {
    return this.#fdb.delete(mac, vlan);
  }

  /** Forgets what was learned on a port that is leaving or has lost its carrier. */
  flush(port: Device): void {
    this.#fdb.flush(port);
  }

  fdb(): FdbFacts[] {
    return this.#fdb.list();
  }

  /** Rows of the host itself: the addresses of the ports and of the bridge, in each of their VLANs (`br_fdb_add_local`). */
  localFdb(): FdbFacts[] {
    const rows = new Map<string, FdbFacts>();
    for (const { name, mac, vlans } of [this, ...this.ports].map((device) => ({
      name: device.name,
      mac: formatMac(device.mac),
      vlans: this.vlansOf(device),
    }))) {
      const row: FdbFacts = { dev: this.name, mac, port: name, dst: '', kind: 'permanent' };
      for (const each of [row, ...vlans.map(({ vid }) => ({ ...row, vlan: vid }))]) {
        const key = `${mac} ${each.vlan ?? 0}`;
        if (!rows.has(key)) rows.set(key, each);
      }
    }
    return [...rows.values()];
  }

  /** The bridge has carrier while a port has. */
  refreshCarrier(): boolean {
    const carrier = this.ports.some((port) => port.usable);
    if (carrier === this.carrier) return false;
    this.carrier = carrier;
    return true;
  }

  /** The address that follows from the ports, while none was chosen. */
  get portsMac(): number {
    return this.ports.reduce((lowest, { mac }) => (lowest === 0 ? mac : Math.min(lowest, mac)), 0);
  }

  /** The MTU that follows from the ports (`br_mtu_min`). */
  get portsMtu(): number {
    return this.ports.length === 0 ? 1500 : Math.min(...this.ports.map(({ mtu }) => mtu));
  }

  override facts(): LinkFacts {
    const firsts: Required<BridgeFacts> = { ...BRIDGE_DEFAULTS, ageingTime: this.#firstAgeing };
    const changed = Object.entries(this.#settings).filter(
      ([name, value]) => value !== firsts[name as keyof BridgeFacts],
    );
    const facts = super.facts();
    return changed.length === 0 ? facts : { ...facts, bridge: Object.fromEntries(changed) as BridgeFacts };
  }

  override removed(): void {
    this.#fdb.clear();
    if (!this.#own.isDefault(this.#settings.defaultPvid)) this.#emitVlansReset(this.name);
  }
}

/** Whether a port takes a frame that goes to all (`br_flood`). */
function floods({ settings }: BridgePort, dst: number, group: boolean, own: boolean): boolean {
  if (!group) return settings.flood;
  if (own) return true;
  return dst === BROADCAST ? settings.bcastFlood : settings.mcastFlood;
}
