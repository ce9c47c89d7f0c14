import { ARP_LEN, ARP_REPLY, ARP_REQUEST, decodeArp, encodeArp } from '../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, etherType, writeEthernet } from '../../protocols/ethernet.ts';
import { copyFrame, frameBuffer, withHeadroom } from '../../protocols/frame-buffer.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { IPV4_HLEN } from '../../protocols/ipv4.ts';
import { formatMac, isGroupMac, readMac } from '../../protocols/mac.ts';
import { UDP_HLEN } from '../../protocols/udp.ts';
import { flowSourcePort, VXLAN_HLEN, writeVxlan } from '../../protocols/vxlan.ts';
import type { FdbFacts } from '../events/kernel.ts';
import { Device, type DeviceOptions } from './device.ts';
import type { Skb } from './netfilter/skb.ts';
import type { Netns } from './netns.ts';
import type { VxlanEndpoint } from './vxlan-port.ts';

export interface VxlanOptions {
  readonly vni: number;
  /** Address of the local VTEP. */
  readonly local: number;
  readonly dstPort: number;
  readonly learning: 'on' | 'off';
  /** Answers ARP requests by its neighbour entries, and lets none out (`proxy`). Default off. */
  readonly proxy?: 'on' | 'off';
}

interface Row {
  readonly dst: number;
  readonly kind: FdbFacts['kind'];
}

/** Destination of the rows that take broadcast, unknown unicast and multicast. */
const DEFAULT_MAC = 0;
const VXLAN_TTL = 64;

/** A VXLAN device (RFC 7348): frames to a MAC of the FDB travel in UDP to the VTEP of that row. */
export class VxlanDevice extends Device implements VxlanEndpoint {
  override readonly kind = 'vxlan';
  readonly #options: VxlanOptions;
  /** Several remotes are allowed for the default row only. */
  readonly #fdb = new Map<number, Row[]>();
  #sending = false;
  /** The namespace that it was made in, whose sockets carry it wherever it goes. */
  readonly #underlay: Netns;

  constructor(ns: Netns, options: DeviceOptions, vxlan: VxlanOptions) {
    super(ns, options);
    this.#options = vxlan;
    this.#underlay = ns;
  }

  get vni(): number {
    return this.#options.vni;
  }

  get dstPort(): number {
    return this.#options.dstPort;
  }

  override opened(): void {
    this.#underlay.vxlanPorts.open(this);
  }

  override stopped(): void {
    this.#underlay.vxlanPorts.close(this);
  }

  override detail(): string {
    const { vni, local, dstPort, learning } = this.#options;
    const flags = `${learning === 'off' ? ' nolearning' : ''}${this.#options.proxy === 'on' ? ' proxy' : ''}`;
    const own = local === 0 ? '' : ` local ${formatIp4(local)}`;
    return `vxlan id ${vni}${own} dstport ${dstPort}${flags}`;
  }

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
    const dst = readMac(frame, 0);
    const rows = (isGroupMac(dst) ? undefined : this.#fdb.get(dst)) ?? this.#fdb.get(DEFAULT_MAC);
    if (rows === undefined) {
      this.ns.kernel.drop('vxlan-no-fdb-row');
      return;
    }
    this.#sending = true;
    const last = rows.length - 1;
    for (let i = 0; i <= last; i++)
      this.#encapsulate(i === last ? frame : copyFrame(frame), rows[i]!.dst, skb?.mark ?? 0);
    this.#sending = false;
  }

  /** `arp_reduce` */
  #reduceArp(frame: Uint8Array): void {
    const request = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
    const mac = request?.op === ARP_REQUEST ? this.neighbors.macOf(request.tpa) : null;
    if (request === null || mac === null) {
      this.ns.kernel.drop('vxlan-arp-unknown');
      return;
    }
    const reply = frameBuffer(ETH_HLEN + ARP_LEN);
    writeEthernet(reply, request.sha, mac, ETHERTYPE_ARP);
    const { sha, spa, tpa } = request;
    encodeArp(reply, ETH_HLEN, { op: ARP_REPLY, sha: mac, spa: tpa, tha: sha, tpa: spa });
    this.ns.kernel.enqueue(this, reply);
  }

  /** What is outside has the mark of what is inside, as within one namespace (`skb_scrub_packet`). */
  #encapsulate(frame: Uint8Array, remote: number, mark: number): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) {
      const how = `VXLAN vni ${this.#options.vni} to ${formatIp4(remote)}`;
      tracer.step(this.ns, { at: 'encapsulate', dev: this.name, how }, frame);
    }
    const header = 14 + IPV4_HLEN + UDP_HLEN + VXLAN_HLEN;
    const srcPort = flowSourcePort(frame, 0, frame.length);
    const packet = withHeadroom(frame, header);
    writeVxlan(packet, header - VXLAN_HLEN, this.#options.vni);
    const { local, dstPort } = this.#options;
    this.#underlay.sendUdpPacket(packet, {
      src: local,
      dst: remote,
      srcPort,
      dstPort,
      ttl: VXLAN_TTL,
      mark,
      checksum: 'zero',
    });
  }

  decapsulated(inner: Uint8Array, remote: number): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) {
      const how = `VXLAN vni ${this.#options.vni} from ${formatIp4(remote)}`;
      tracer.step(this.ns, { at: 'decapsulate', dev: this.name, how }, inner);
    }
    const source = readMac(inner, 6);
    if (this.#options.learning === 'on' && !isGroupMac(source) && source !== DEFAULT_MAC)
      this.#learn(source, remote);
    this.receive(inner);
  }

  #learn(mac: number, dst: number): void {
    const rows = this.#fdb.get(mac);
    if (rows?.some((row) => row.kind !== 'learned' || row.dst === dst)) return;
    for (const row of rows ?? []) this.#emitRemoved(mac, row.dst);
    this.#set(mac, [{ dst, kind: 'learned' }]);
  }

  /** Adds a row (`bridge fdb append`); a unicast MAC has one, so a second replaces the first. */
  addFdb(mac: number, dst: number, kind: 'static' | 'permanent'): void {
    const rows = this.#fdb.get(mac) ?? [];
    if (rows.some((row) => row.dst === dst && row.kind === kind)) return;
    if (mac === DEFAULT_MAC) this.#set(mac, [...rows.filter((row) => row.dst !== dst), { dst, kind }]);
    else {
      for (const row of rows) if (row.dst !== dst) this.#emitRemoved(mac, row.dst);
      this.#set(mac, [{ dst, kind }]);
    }
  }

  /** Removes the row to one VTEP, or all of a MAC's without one. */
  deleteFdb(mac: number, dst?: number): boolean {
    const rows = this.#fdb.get(mac) ?? [];
    const gone = rows.filter((row) => dst === undefined || row.dst === dst);
    if (gone.length === 0) return false;
    const left = rows.filter((row) => !gone.includes(row));
    if (left.length === 0) this.#fdb.delete(mac);
    else this.#fdb.set(mac, left);
    for (const row of gone) this.#emitRemoved(mac, row.dst);
    return true;
  }

  override moved(ns: Netns, name: string): void {
    for (const [mac, rows] of this.#fdb) for (const { dst } of rows) this.#emitRemoved(mac, dst);
    super.moved(ns, name);
    for (const fdb of this.fdb()) ns.kernel.rt.emit({ type: 'fdb.set', ns: ns.name, fdb });
  }

  fdb(): FdbFacts[] {
    return [...this.#fdb].flatMap(([mac, rows]) => rows.map((row) => this.#facts(mac, row)));
  }

  override removed(): void {
    for (const mac of [...this.#fdb.keys()]) this.deleteFdb(mac);
  }

  #set(mac: number, rows: Row[]): void {
    this.#fdb.set(mac, rows);
    const last = rows.at(-1);
    if (last !== undefined)
      this.ns.kernel.rt.emit({ type: 'fdb.set', ns: this.ns.name, fdb: this.#facts(mac, last) });
  }

  #emitRemoved(mac: number, dst: number): void {
    const { name, ns } = this;
    ns.kernel.rt.emit({
      type: 'fdb.removed',
      ns: ns.name,
      dev: name,
      mac: formatMac(mac),
      dst: formatIp4(dst),
    });
  }

  #facts(mac: number, row: Row): FdbFacts {
    return { dev: this.name, mac: formatMac(mac), port: '', dst: formatIp4(row.dst), kind: row.kind };
  }
}
