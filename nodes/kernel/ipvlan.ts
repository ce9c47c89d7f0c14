import { ARP_LEN, decodeArp } from '../../protocols/arp.ts';
import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from '../../protocols/ethernet.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { ANY_IP6, readIp6 } from '../../protocols/ip6.ts';
import { ipDst, ipSrc, validateIpv4 } from '../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, ip6NextHeader, PROTO_ICMPV6 } from '../../protocols/ipv6.ts';
import { isGroupMac, readMac } from '../../protocols/mac.ts';
import { ND_NEIGHBOR_SOLICIT } from '../../protocols/ndp.ts';
import type { LinkFacts } from '../events/kernel.ts';
import { Device, type DeviceOptions, type RxHandler } from './device.ts';
import { Skb } from './netfilter/skb.ts';
import { NetlinkError } from './netlink.ts';
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
  #noArp = false;
  #carrierChanged = false;

  constructor(ns: Netns, options: DeviceOptions, parent: Device, port: IpvlanPort) {
    super(ns, options);
    this.#parent = parent;
    this.#port = port;
    this.carrier = parent.usable;
    this.#carrierChanged = !this.carrier;
  }

  override lower(): Device {
    return this.#parent;
  }

  override detail(): string {
    return `ipvlan  mode ${this.#port.mode} ${this.#port.flag}`;
  }

  override get noArp(): boolean {
    return this.#noArp;
  }

  /** `ipvlan_open`: in l3 nobody is asked for an address. */
  override opened(): void {
    this.modeSet();
  }

  modeSet(): void {
    this.#noArp = this.#port.mode !== 'l2';
  }

  /** Its operational state is unknown until its carrier changes (`linkwatch_init_dev`). */
  carrierSet(): void {
    this.#carrierChanged = true;
  }

  protected override ownFacts(): Pick<LinkFacts, 'noArp' | 'operstate'> {
    return {
      ...(this.#noArp ? { noArp: true } : {}),
      ...(this.#carrierChanged ? { operstate: 'reported' } : {}),
    };
  }

  /** Change those of all on the same device (`ipvlan_changelink`). */
  configure(mode: IpvlanMode, flag: IpvlanFlag): void {
    this.#port.configure(mode, flag);
  }

  get mode(): IpvlanMode {
    return this.#port.mode;
  }

  has(address: IpAddress): boolean {
    return typeof address === 'number'
      ? this.addresses.some(({ addr }) => addr === address)
      : this.inet6.find(address) !== undefined;
  }

  /** No two have the same address (`ipvlan_addr4_validator_event`). @throws NetlinkError */
  override checkAddress(address: IpAddress): void {
    if (this.#port.has(address))
      throw new NetlinkError('Error: Address already assigned to an ipvlan device.');
  }

  /** `ipvlan_queue_xmit` */
  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    const { kernel } = this.ns;
    if (!this.usable) {
      kernel.drop('no-carrier');
      return;
    }
    const { mode, flag } = this.#port;
    if (mode !== 'l2') {
      this.#routed(frame, skb);
      return;
    }
    const dst = readMac(frame, 0);
    if (flag !== 'vepa' && dst === readMac(frame, 6)) {
      const sibling = this.#port.find(frame);
      if (sibling === undefined) kernel.enqueue(this.#parent, frame);
      else this.#toSibling(sibling, frame);
      return;
    }
    if (isGroupMac(dst)) this.#port.broadcast(frame, this);
    this.#parent.transmit(frame);
  }

  /** `ipvlan_xmit_mode_l3`: to a sibling, or by those routes of the namespace of the device below that lead by it. */
  #routed(frame: Uint8Array, known: Skb | null): void {
    const { kernel } = this.ns;
    const sibling = this.#port.flag === 'vepa' ? undefined : this.#port.find(frame);
    if (sibling !== undefined) {
      this.#toSibling(sibling, frame);
      return;
    }
    if (isGroupMac(readMac(frame, 0))) {
      kernel.drop('ipvlan-multicast');
      return;
    }
    const { ns } = this.#parent;
    const skb = new Skb(frame, null);
    if (ns === this.ns && known !== null) skb.mark = known.mark;
    const type = etherType(frame);
    if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) kernel.drop('ipvlan-not-ip');
    else if ((type === ETHERTYPE_IPV4 ? ns.ip : ns.ipv6.layer).localOutVia(this.#parent, skb) !== null)
      kernel.drop('no-route');
  }

  #toSibling(sibling: IpvlanDevice, frame: Uint8Array): void {
    if (this.#port.flag === 'private') this.ns.kernel.drop('ipvlan-private');
    else this.ns.kernel.enqueue(sibling, frame);
  }
}

/** Where a neighbour solicitation has the address that it asks for (RFC 4861 §4.3). */
const SOLICITATION_TARGET = 8;

/** The ipvlan devices of one device (`ipvl_port`): all of one mode. */
export class IpvlanPort implements RxHandler {
  readonly kind = 'ipvlan';
  readonly devices: IpvlanDevice[] = [];
  mode: IpvlanMode;
  flag: IpvlanFlag;
  readonly promiscuous = false;
  readonly #parent: Device;

  constructor(parent: Device, mode: IpvlanMode, flag: IpvlanFlag) {
    this.#parent = parent;
    this.mode = mode;
    this.flag = flag;
  }

  /** `ipvlan_set_port_mode` */
  configure(mode: IpvlanMode, flag: IpvlanFlag): void {
    this.flag = flag;
    if (mode === this.mode) return;
    this.mode = mode;
    for (const device of this.devices) device.modeSet();
  }

  /** Whether one of them has an address, be it down (`ipvlan_addr_busy`). */
  has(address: IpAddress): boolean {
    return this.devices.some((device) => device.has(address));
  }

  /** `ipvlan_handle_frame` */
  receive(frame: Uint8Array): 'passed' | 'taken' {
    if (this.mode === 'l3s') return 'passed';
    if (this.mode === 'l2' && isGroupMac(readMac(frame, 0))) {
      // What one of them has sent is not heard again.
      if (this.#isExternal(frame)) this.broadcast(frame, null);
      return 'passed';
    }
    const device = this.find(frame);
    if (device === undefined) return 'passed';
    device.receive(frame);
    return 'taken';
  }

  /** In l3s the device below routes a packet, and filters it, before it is another's (`ipvlan_l3_rcv`, `ipvlan_nf_input`). */
  behind(frame: Uint8Array): IpvlanDevice | undefined {
    return this.mode === 'l3s' ? this.find(frame) : undefined;
  }

  /** The device that a frame's destination address, or the one that ARP asks for, is assigned to (`ipvlan_addr_lookup`). */
  find(frame: Uint8Array): IpvlanDevice | undefined {
    const addr = addressOf(frame, 'destination');
    return addr === null ? undefined : this.#holder(addr);
  }

  broadcast(frame: Uint8Array, from: IpvlanDevice | null): void {
    const group = readMac(frame, 0);
    for (const device of this.devices)
      if (device !== from && device.up && device.hearsGroup(group))
        device.ns.kernel.enqueue(device, frame.slice());
  }

  /** `ipvlan_external_frame`: not of the MAC address of all and an address of one. */
  #isExternal(frame: Uint8Array): boolean {
    if (readMac(frame, 6) !== this.#parent.mac) return true;
    const source = addressOf(frame, 'source');
    return source === null || this.#holder(source) === undefined;
  }

  #holder(addr: IpAddress): IpvlanDevice | undefined {
    return this.devices.find((device) => device.up && device.has(addr));
  }
}

/** The address of IP that a frame is for or from; of one that asks for a neighbour, the neighbour's (`ipvlan_get_L3_hdr`). */
function addressOf(frame: Uint8Array, end: 'source' | 'destination'): IpAddress | null {
  const length = frame.length - ETH_HLEN;
  switch (etherType(frame)) {
    case ETHERTYPE_IPV4: {
      const validity = validateIpv4(frame, ETH_HLEN, length);
      if (validity !== 'ok' && validity !== 'bad-checksum') return null;
      return end === 'source' ? ipSrc(frame, ETH_HLEN) : ipDst(frame, ETH_HLEN);
    }
    case ETHERTYPE_ARP: {
      const arp = decodeArp(frame, ETH_HLEN, Math.min(length, ARP_LEN));
      return arp === null ? null : end === 'source' ? arp.spa : arp.tpa;
    }
    case ETHERTYPE_IPV6: {
      if (length < IPV6_HLEN || frame[ETH_HLEN]! >>> 4 !== 6) return null;
      const src = readIp6(frame, ETH_HLEN + IP6_SRC);
      const target = ETH_HLEN + IPV6_HLEN + SOLICITATION_TARGET;
      if (src !== ANY_IP6 || ip6NextHeader(frame, ETH_HLEN) !== PROTO_ICMPV6)
        return end === 'source' ? src : readIp6(frame, ETH_HLEN + IP6_DST);
      return frame.length >= target + 16 && frame[ETH_HLEN + IPV6_HLEN] === ND_NEIGHBOR_SOLICIT
        ? readIp6(frame, target)
        : null;
    }
    default:
      return null;
  }
}
