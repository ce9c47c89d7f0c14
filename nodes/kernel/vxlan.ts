import { ARP_LEN, ARP_REPLY, ARP_REQUEST, decodeArp, encodeArp } from '../../protocols/arp.ts';
import { setU16, u16 } from '../../protocols/bytes.ts';
import { dsField, ecnDecapsulate, ecnEncapsulated } from '../../protocols/ecn.ts';
import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
  writeEthernet,
} from '../../protocols/ethernet.ts';
import { copyFrame, frameBuffer, withHeadroom } from '../../protocols/frame-buffer.ts';
import { familyOf, formatIp, type IpAddress, type IpFamily } from '../../protocols/ip.ts';
import { isLoopback, isMulticast } from '../../protocols/ip4.ts';
import { isMulticastIp6, LOOPBACK_IP6, readIp6Cached } from '../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipTtl, PROTO_UDP } from '../../protocols/ipv4.ts';
import { IP6_DST, IPV6_HLEN, IPV6_MIN_MTU, ip6HopLimit } from '../../protocols/ipv6.ts';
import { isGroupMac, readMac } from '../../protocols/mac.ts';
import { UDP_HLEN, writeUdp } from '../../protocols/udp.ts';
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, VLAN_HLEN } from '../../protocols/vlan.ts';
import { flowSourcePort, VXLAN_HLEN, writeVxlan } from '../../protocols/vxlan.ts';
import type { FdbFacts } from '../events/kernel.ts';
import { Device, type DeviceOptions } from './device.ts';
import type { PacketOptions } from './ip/output.ts';
import { localPortRange } from './local-ports.ts';
import type { Skb } from './netfilter/skb.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { type Underlay, underlay4, underlay6 } from './tunnels/underlay.ts';
import { DEFAULT_MAC, type FdbRequest, VxlanFdb, type VxlanRemote } from './vxlan-fdb.ts';
import { tooBigReply } from './vxlan-pmtu.ts';
import type { VxlanEndpoint } from './vxlan-port.ts';

export interface VxlanOptions {
  readonly vni: number;
  /** Address of the local VTEP, of the family that carries the device; the unspecified one: that which routing prefers. */
  readonly local: IpAddress;
  readonly dstPort: number;
  readonly learning: 'on' | 'off';
  /** The VTEP that takes what no row does, or a group of them, of `local`'s family; the unspecified address or absent: none. */
  readonly remote?: IpAddress;
  /** The device that frames to `remote` leave by, and on which a group is listened to. */
  readonly link?: Device | null;
  /** Answers ARP requests by its neighbour entries, and lets none out (`proxy`). Default off. */
  readonly proxy?: 'on' | 'off';
  /** Tell of addresses that no row, or no neighbour, is known for: netlink alone would. */
  readonly l2miss?: 'on' | 'off';
  readonly l3miss?: 'on' | 'off';
  /** Source ports: from the first, below the second. Default: `net.ipv4.ip_local_port_range`. */
  readonly srcPorts?: readonly [number, number];
  /** TTL of the outer packet; 0 or absent: `net.ipv4.ip_default_ttl`, or the hop limit of the route. */
  readonly ttl?: number | 'inherit';
  /** Type of service of the outer packet. Default 0. */
  readonly tos?: number | 'inherit';
  /** Whether the outer packet may be fragmented. Default unset: it may. */
  readonly df?: 'unset' | 'set' | 'inherit';
  /** Flow label of the outer packet, over IPv6 alone. Default 0. */
  readonly flowLabel?: number;
  /** Checksum of the outer UDP over IPv4 (`udpcsum`). Default compute. */
  readonly checksum?: 'compute' | 'zero';
  /** The same over IPv6 (`udp6zerocsumtx`). Default compute. */
  readonly checksum6?: 'compute' | 'zero';
  /** What becomes of a datagram over IPv6 that has none (`udp6zerocsumrx`, RFC 6935). Default dropped. */
  readonly zeroChecksum6?: 'taken' | 'dropped';
  /** Age at which learned rows are forgotten, s. Default 300. */
  readonly ageing?: number;
}

/** IP, UDP, VXLAN and inner Ethernet headers: what a packet may be smaller than the path's MTU, bytes (`vxlan_headroom`). */
export function vxlanHeadroom(carrier: IpFamily): number {
  return (carrier === 'inet' ? IPV4_HLEN : IPV6_HLEN) + UDP_HLEN + VXLAN_HLEN + ETH_HLEN;
}

/** Whether an address is of many. */
export function isGroup(address: IpAddress): boolean {
  return typeof address === 'number' ? isMulticast(address) : isMulticastIp6(address);
}

const AGEING = 300;
const MTU_LEAST = 68;
const MTU_MOST = 65_535;
/** Whoever sent a frame that never left the host (`vxlan_encap_bypass`). */
const LOCALHOST = { inet: 0x7f000001, inet6: LOOPBACK_IP6 };

const SUMS = { compute: { checksum: 'compute' }, zero: { checksum: 'zero' } } as const;

type Outer = { -readonly [K in keyof PacketOptions<IpAddress>]: PacketOptions<IpAddress>[K] };

/**
 * A VXLAN device (RFC 7348, drivers/net/vxlan): frames to a MAC of the FDB travel in UDP to the VTEP of that row, over IPv4 or IPv6 as
 * the device's own addresses are.
 */
export class VxlanDevice extends Device implements VxlanEndpoint {
  override readonly kind = 'vxlan';
  readonly #options: VxlanOptions;
  readonly #fdb: VxlanFdb;
  #sending = false;
  #portsText = '';
  #ports: readonly [number, number] = [0, 0];
  /** The namespace that it was made in, whose sockets carry it wherever it goes. */
  readonly #home: Netns;
  readonly family: IpFamily;
  readonly #underlay: Underlay<IpAddress>;
  readonly #headroom: number;

  constructor(ns: Netns, options: DeviceOptions, vxlan: VxlanOptions) {
    super(ns, options);
    this.#options = vxlan;
    this.#home = ns;
    this.family = familyOf(vxlan.local);
    this.#underlay = this.family === 'inet' ? underlay4(ns) : underlay6(ns);
    this.#headroom = vxlanHeadroom(this.family);
    const { unspecified } = this.#underlay;
    this.#fdb = new VxlanFdb(this, { ageing: (vxlan.ageing ?? AGEING) * 1000, unspecified });
  }

  /** Once it is there: the row of its own. */
  start(): void {
    const { link = null } = this.#options;
    const remote = this.#remote;
    if (remote !== null) this.#fdb.set(DEFAULT_MAC, { dst: remote, via: link }, 'permanent', 'create');
  }

  get options(): VxlanOptions {
    return this.#options;
  }

  get vni(): number {
    return this.#options.vni;
  }

  get zeroChecksum(): 'taken' | 'dropped' {
    return this.#options.zeroChecksum6 ?? 'dropped';
  }

  /** The VTEP, or group, that takes what no row does. */
  get #remote(): IpAddress | null {
    const { remote = null } = this.#options;
    return remote === this.#underlay.unspecified ? null : remote;
  }

  get dstPort(): number {
    return this.#options.dstPort;
  }

  /** No more than the device below takes. */
  override get maxMtu(): number {
    const { link } = this.#options;
    return link == null ? MTU_MOST : Math.max(link.mtu - this.#headroom, MTU_LEAST);
  }

  override opened(): void {
    this.#home.vxlanPorts.open(this);
    this.#listen('join');
  }

  override stopped(): void {
    this.#listen('leave');
    this.#home.vxlanPorts.close(this);
    this.#fdb.flush();
  }

  /** A group of VTEPs is listened to where it is sent to (`vxlan_multicast_join`). */
  #listen(change: 'join' | 'leave'): void {
    const { link = null, remote } = this.#options;
    if (link !== null && typeof remote === 'string' && isGroup(remote)) link.inet6[change](remote);
  }

  override detail(): string {
    const { vni, local, dstPort, learning, link, srcPorts, ttl = 0, tos = 0 } = this.#options;
    const { df = 'unset', checksum, ageing = AGEING, proxy, l2miss, l3miss } = this.#options;
    const { flowLabel = 0, checksum6, zeroChecksum6 } = this.#options;
    const remote = this.#remote;
    return [
      `vxlan id ${vni}`,
      ...(remote === null ? [] : [`${isGroup(remote) ? 'group' : 'remote'} ${formatIp(remote)}`]),
      ...(local === this.#underlay.unspecified ? [] : [`local ${formatIp(local)}`]),
      ...(link == null ? [] : [`dev ${link.name}`]),
      ...(srcPorts === undefined ? [] : [`srcport ${srcPorts[0]} ${srcPorts[1]}`]),
      `dstport ${dstPort}`,
      ...(learning === 'off' ? ['nolearning'] : []),
      ...(proxy === 'on' ? ['proxy'] : []),
      ...(l2miss === 'on' ? ['l2miss'] : []),
      ...(l3miss === 'on' ? ['l3miss'] : []),
      ...(tos === 0 ? [] : [`tos ${tos === 'inherit' ? tos : `0x${tos.toString(16)}`}`]),
      ...(ttl === 0 ? [] : [`ttl ${ttl}`]),
      ...(df === 'unset' ? [] : [`df ${df}`]),
      ...(flowLabel === 0 ? [] : [`flowlabel 0x${flowLabel.toString(16)}`]),
      ...(ageing === AGEING ? [] : [`ageing ${ageing}`]),
      ...(checksum === 'zero' ? ['noudpcsum'] : []),
      ...(checksum6 === 'zero' ? ['udp6zerocsumtx'] : []),
      ...(zeroChecksum6 === 'taken' ? ['udp6zerocsumrx'] : []),
    ].join(' ');
  }

  /** `vxlan_xmit` */
  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    if (!this.up) {
      this.ns.kernel.drop('device-down');
      return;
    }
    if (this.#sending) {
      // The route to the VTEP leads back into the tunnel.
      this.ns.kernel.drop('tunnel-loop');
      return;
    }
    if (this.#options.proxy === 'on' && etherType(frame) === ETHERTYPE_ARP) {
      this.#reduceArp(frame);
      return;
    }
    const remotes = this.#fdb.find(readMac(frame, 0)) ?? this.#fdb.find(DEFAULT_MAC);
    if (remotes === undefined) {
      this.ns.kernel.drop('vxlan-no-fdb-row');
      return;
    }
    this.#sending = true;
    const mark = skb?.mark ?? 0;
    for (let i = remotes.length - 1; i >= 0; i--)
      this.#encapsulate(i === 0 ? frame : copyFrame(frame), remotes[i]!, mark);
    this.#sending = false;
  }

  /** `arp_reduce` */
  #reduceArp(frame: Uint8Array): void {
    const request = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
    const asked = request?.op === ARP_REQUEST && !isLoopback(request.tpa) && !isMulticast(request.tpa);
    const mac = asked ? this.neighbors.macOf(request.tpa) : null;
    if (request === null || mac === null || this.#fdb.find(mac)?.[0]?.dst === this.#underlay.unspecified) {
      this.ns.kernel.drop('vxlan-arp-unknown');
      return;
    }
    const reply = frameBuffer(ETH_HLEN + ARP_LEN);
    writeEthernet(reply, request.sha, mac, ETHERTYPE_ARP);
    const { sha, spa, tpa } = request;
    encodeArp(reply, ETH_HLEN, { op: ARP_REPLY, sha: mac, spa: tpa, tha: sha, tpa: spa });
    this.ns.kernel.enqueue(this, reply);
  }

  /** `vxlan_xmit_one`. What is outside has the mark of what is inside, as within one namespace (`skb_scrub_packet`). */
  #encapsulate(frame: Uint8Array, { dst, via }: VxlanRemote, mark: number): void {
    const { kernel } = this.ns;
    const underlay = this.#underlay;
    const { unspecified } = underlay;
    if (dst === unspecified) {
      kernel.drop('vxlan-no-remote');
      return;
    }
    const { local, dstPort, vni, flowLabel = 0 } = this.#options;
    if (local !== unspecified && underlay.source === 'own' && !underlay.isLocal(local)) {
      kernel.drop('vxlan-no-local');
      return;
    }
    if (underlay.isLocal(dst)) {
      // It is sought among the sockets that are bound to the device, as none is (`vxlan_find_vni`).
      if (via !== null) kernel.drop('vxlan-unknown-vni');
      else this.#bypass(frame);
      return;
    }
    const at = innerOffset(frame);
    const type = u16(frame, at - 2);
    const inner = dsField(frame, at, type);
    const { tos = 0 } = this.#options;
    const wanted = tos === 'inherit' ? inner : tos;
    const udpAt = ETH_HLEN + underlay.headerLength;
    const header = udpAt + UDP_HLEN + VXLAN_HLEN;
    const srcPort = flowSourcePort(frame, 0, frame.length, this.#sourcePorts());
    const packet = withHeadroom(frame, header);
    setU16(packet, udpAt, srcPort);
    setU16(packet, udpAt + 2, dstPort);
    const device = via ?? undefined;
    const tosOutside = ecnEncapsulated(wanted, inner);
    const ttl = this.#ttl(frame, at, type);
    // One object for both questions, which the way is an answer to.
    const options: Outer = {
      src: local,
      dst,
      proto: PROTO_UDP,
      mark,
      device,
      ttl,
      tos: tosOutside,
      flowLabel,
    };
    const path = underlay.lookup(packet, options);
    if (path?.type !== 'unicast' && path?.type !== 'broadcast') {
      kernel.drop('vxlan-no-route');
      return;
    }
    if (path.device === this) {
      kernel.drop('tunnel-loop');
      return;
    }
    const mtu = underlay.mtu(dst, path) - this.#headroom;
    if (frame.length - at > mtu && this.#tooBig(frame, at, mtu)) return;
    if (kernel.rt.cause < 0) {
      const how = `VXLAN vni ${vni} to ${formatIp(dst)}`;
      kernel.tracer.step(this.ns, { at: 'encapsulate', dev: this.name, how }, frame);
    }
    writeVxlan(packet, header - VXLAN_HLEN, vni);
    options.df = this.#df(frame, at, type) && !underlay.locked(dst, path);
    const length = VXLAN_HLEN + frame.length;
    const error = underlay.send(path, packet, options, (src) =>
      writeUdp(packet, udpAt, src, dst, srcPort, dstPort, length, this.#summed),
    );
    if (error !== null) kernel.drop('tunnel-xmit');
  }

  get #summed(): { readonly checksum: 'compute' | 'zero' } {
    const { checksum = 'compute', checksum6 = 'compute' } = this.#options;
    return SUMS[this.family === 'inet' ? checksum : checksum6];
  }

  #sourcePorts(): readonly [number, number] {
    const { srcPorts = [0, 0] } = this.#options;
    if (srcPorts[0] < srcPorts[1]) return srcPorts;
    const text = this.#home.sysctls.ipv4.ip_local_port_range;
    if (text !== this.#portsText) {
      this.#portsText = text;
      this.#ports = localPortRange(text);
    }
    return this.#ports;
  }

  #ttl(frame: Uint8Array, at: number, type: number): number | undefined {
    const { ttl = 0 } = this.#options;
    if (ttl !== 'inherit') return ttl === 0 ? undefined : ttl;
    if (type === ETHERTYPE_IPV4) return ipTtl(frame, at) || undefined;
    return type === ETHERTYPE_IPV6 ? ip6HopLimit(frame, at) || undefined : undefined;
  }

  /** Over IPv6 nothing is divided (`ip6tunnel_xmit`). */
  #df(frame: Uint8Array, at: number, type: number): boolean {
    if (this.family === 'inet6') return true;
    const { df = 'unset' } = this.#options;
    if (df !== 'inherit' || at !== ETH_HLEN) return df === 'set';
    return type === ETHERTYPE_IPV6 || (type === ETHERTYPE_IPV4 && (frame[at + 6]! & 0x40) !== 0);
  }

  /** A packet does not fit the path whole. True: its sender, on a port of the same bridge, was told so instead. */
  #tooBig(frame: Uint8Array, at: number, mtu: number): boolean {
    if (this.master === null) {
      if (etherType(frame) === ETHERTYPE_IPV4) this.ns.pathMtus.learn(ipDst(frame, at), mtu);
      else if (etherType(frame) === ETHERTYPE_IPV6 && mtu >= IPV6_MIN_MTU)
        this.ns.ipv6.pathMtus.learn(readIp6Cached(frame, at + IP6_DST), mtu);
      return false;
    }
    const reply = tooBigReply(frame, mtu);
    if (reply === null) return false;
    this.ns.kernel.enqueue(this, reply);
    return true;
  }

  /** A VTEP of this very host is given the frame as it is (`vxlan_encap_bypass`). */
  #bypass(frame: Uint8Array): void {
    const { vni, dstPort } = this.#options;
    const endpoint = this.#home.vxlanPorts.find(this.family, dstPort, vni);
    if (endpoint === undefined) this.ns.kernel.drop('vxlan-unknown-vni');
    else endpoint.bypassed(frame.slice());
  }

  bypassed(frame: Uint8Array): void {
    const source = readMac(frame, 6);
    if (this.#options.learning === 'on' && !isGroupMac(source) && source !== 0)
      this.#fdb.learn(source, { dst: LOCALHOST[this.family], via: null });
    this.ns.kernel.enqueue(this, frame);
  }

  /** `vxlan_rcv` */
  decapsulated(inner: Uint8Array, from: VxlanRemote, tos: number): void {
    const { kernel } = this.ns;
    if (kernel.rt.cause < 0) {
      const how = `VXLAN vni ${this.#options.vni} from ${formatIp(from.dst)}`;
      kernel.tracer.step(this.ns, { at: 'decapsulate', dev: this.name, how }, inner);
    }
    const source = readMac(inner, 6);
    if (source === this.mac) {
      kernel.drop('vxlan-own-address');
      return;
    }
    if (this.#options.learning === 'on') {
      const valid = !isGroupMac(source) && source !== 0;
      if (!valid || this.#fdb.learn(source, from) === 'conflict') {
        kernel.drop(valid ? 'vxlan-static-elsewhere' : 'bad-source-mac');
        return;
      }
    }
    const type = etherType(inner);
    if (inner.length < ETH_HLEN + leastOf(type)) {
      kernel.drop('vxlan-malformed');
      return;
    }
    if (ecnDecapsulate(tos, inner, ETH_HLEN, type)) this.receive(inner);
    else kernel.drop('vxlan-ecn');
  }

  /** Adds a row; a unicast MAC has one destination, so a second replaces the first. */
  addFdb(mac: number, dst: IpAddress, kind: 'static' | 'permanent'): void {
    const several = mac === DEFAULT_MAC || isGroupMac(mac);
    this.setFdb(mac, { dst, via: null }, kind, several ? 'append' : 'replace');
  }

  /** `bridge fdb add`, `append` and `replace`. @throws NetlinkError */
  setFdb(mac: number, remote: VxlanRemote, kind: FdbFacts['kind'], how: FdbRequest): void {
    if (familyOf(remote.dst) !== this.family)
      throw new NetlinkError('RTNETLINK answers: Address family not supported by protocol');
    this.#fdb.set(mac, remote, kind, how);
  }

  /** Removes the row to one VTEP, or all of a MAC's without one. */
  deleteFdb(mac: number, dst?: IpAddress, via: Device | null = null): boolean {
    return this.#fdb.delete(mac, dst, via);
  }

  override moved(ns: Netns, name: string): void {
    this.#fdb.announce('gone');
    super.moved(ns, name);
    this.#fdb.announce('here');
  }

  fdb(): FdbFacts[] {
    return this.#fdb.list();
  }

  override removed(): void {
    this.#fdb.clear();
  }
}

/** Where a frame's network header begins: behind its tag, if it has one. */
function innerOffset(frame: Uint8Array): number {
  const type = etherType(frame);
  const isTagged = type === ETHERTYPE_8021Q || type === ETHERTYPE_8021AD;
  return isTagged && frame.length >= ETH_HLEN + VLAN_HLEN ? ETH_HLEN + VLAN_HLEN : ETH_HLEN;
}

/** What there has to be behind the Ethernet header (`pskb_inet_may_pull`), bytes. */
function leastOf(type: number): number {
  return type === ETHERTYPE_IPV4 ? IPV4_HLEN : type === ETHERTYPE_IPV6 ? IPV6_HLEN : 0;
}
