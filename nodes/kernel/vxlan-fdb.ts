import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { formatMac, isGroupMac } from '../../protocols/mac.ts';
import type { FdbFacts } from '../events/kernel.ts';
import type { TimerHandle } from '../runtime.ts';
import type { Device } from './device.ts';
import { NetlinkError } from './netlink.ts';

/** One place that frames to a MAC address go to (`vxlan_rdst`). */
export interface VxlanRemote {
  /** Of the family that carries the device. */
  readonly dst: IpAddress;
  /** The only device that they leave by; null if routing decides. */
  readonly via: Device | null;
}

interface Entry {
  readonly mac: number;
  kind: FdbFacts['kind'];
  remotes: readonly VxlanRemote[];
  /** Last time that it was looked for, ms. */
  used: number;
}

/** Destination of the rows that take what no other row does. */
export const DEFAULT_MAC = 0;

/** What is asked of the table: a row of its own, one destination more, or another one. */
export type FdbRequest = 'create' | 'append' | 'replace';

/**
 * The forwarding table of a VXLAN device (`vxlan_fdb`): by MAC address, the VTEPs. Several are allowed for group addresses and for
 * the row that takes the rest.
 */
export class VxlanFdb {
  readonly #device: Device;
  /** Age of what was learned, ms. */
  readonly #ageing: number;
  /** The address that is no VTEP's. */
  readonly #unspecified: IpAddress;
  readonly #entries = new Map<number, Entry>();
  #timer: TimerHandle | null = null;

  constructor(
    device: Device,
    { ageing, unspecified }: { readonly ageing: number; readonly unspecified: IpAddress },
  ) {
    this.#device = device;
    this.#ageing = ageing;
    this.#unspecified = unspecified;
  }

  /** `vxlan_find_mac`, which keeps a row from growing old. */
  find(mac: number): readonly VxlanRemote[] | undefined {
    const entry = this.#entries.get(mac);
    if (entry === undefined) return undefined;
    entry.used = this.#rt.now;
    return entry.remotes;
  }

  /** Learns where a source address is; 'conflict': a row that nobody but an administrator moves says otherwise (`vxlan_snoop`). */
  learn(mac: number, { dst, via }: VxlanRemote): 'known' | 'conflict' {
    const entry = this.#entries.get(mac);
    if (entry === undefined) {
      this.#create(mac, 'learned', { dst, via });
      return 'known';
    }
    entry.used = this.#rt.now;
    const first = entry.remotes[0];
    if (first?.dst === dst && first.via === via) return 'known';
    if (entry.kind !== 'learned') return 'conflict';
    if (first?.dst !== dst) this.#move(entry, { dst, via: first?.via ?? null });
    return 'known';
  }

  /** `vxlan_fdb_update`. @throws NetlinkError */
  set(mac: number, remote: VxlanRemote, kind: FdbFacts['kind'], how: FdbRequest): void {
    const several = mac === DEFAULT_MAC || isGroupMac(mac);
    const refused = how === 'replace' && several;
    const entry = this.#entries.get(mac);
    if (entry === undefined) {
      if (refused) throw new NetlinkError('RTNETLINK answers: Operation not supported');
      this.#create(mac, kind, remote);
      return;
    }
    if (how === 'create') throw new NetlinkError('RTNETLINK answers: File exists');
    if (entry.kind !== kind) {
      entry.kind = kind;
      for (const other of entry.remotes) this.#emitSet(entry, other);
      this.#arm();
    }
    if (refused) throw new NetlinkError('RTNETLINK answers: Operation not supported');
    if (entry.remotes.some(({ dst, via }) => dst === remote.dst && via === remote.via)) return;
    if (how === 'replace') this.#move(entry, remote);
    else if (several) {
      entry.remotes = [...entry.remotes, remote];
      this.#emitSet(entry, remote);
    }
  }

  /** Removes one destination, or a whole row without one; false if there is no such row (`__vxlan_fdb_delete`). */
  delete(mac: number, dst = this.#unspecified, via: Device | null = null): boolean {
    const entry = this.#entries.get(mac);
    if (entry === undefined) return false;
    const found =
      dst === this.#unspecified
        ? undefined
        : entry.remotes.find((remote) => remote.dst === dst && remote.via === via);
    // Linux finds no fault with one that is not there.
    if (dst !== this.#unspecified && found === undefined) return true;
    const gone = found === undefined ? entry.remotes : [found];
    entry.remotes = entry.remotes.filter((remote) => !gone.includes(remote));
    if (entry.remotes.length === 0) this.#entries.delete(mac);
    for (const remote of gone) this.#emitRemoved(mac, remote);
    return true;
  }

  /** Forgets what was learned, as the device goes down; the row that takes the rest stays in any case (`vxlan_flush`). */
  flush(): void {
    for (const { mac, kind } of [...this.#entries.values()])
      if (kind === 'learned' && mac !== DEFAULT_MAC) this.delete(mac);
  }

  clear(): void {
    for (const mac of [...this.#entries.keys()]) this.delete(mac);
  }

  /** Tells that all rows are gone from where the device is, or that they are there. */
  announce(what: 'gone' | 'here'): void {
    for (const entry of this.#entries.values())
      for (const remote of entry.remotes) {
        if (what === 'gone') this.#emitRemoved(entry.mac, remote);
        else this.#emitSet(entry, remote);
      }
  }

  list(): FdbFacts[] {
    return [...this.#entries.values()].flatMap((entry) =>
      entry.remotes.map((remote) => this.#facts(entry, remote)),
    );
  }

  get #rt() {
    return this.#device.ns.kernel.rt;
  }

  #create(mac: number, kind: FdbFacts['kind'], remote: VxlanRemote): void {
    const entry: Entry = { mac, kind, remotes: [remote], used: this.#rt.now };
    this.#entries.set(mac, entry);
    this.#emitSet(entry, remote);
    this.#arm();
  }

  #move(entry: Entry, remote: VxlanRemote): void {
    const [first, ...others] = entry.remotes;
    if (first !== undefined) this.#emitRemoved(entry.mac, first);
    entry.remotes = [remote, ...others];
    this.#emitSet(entry, remote);
  }

  #arm(): void {
    if (this.#timer !== null) return;
    let next = Number.POSITIVE_INFINITY;
    for (const { kind, used } of this.#entries.values())
      if (kind === 'learned') next = Math.min(next, used + this.#ageing);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#rt.timers.set(next, () => {
      this.#timer = null;
      this.#age();
    });
  }

  /** `vxlan_cleanup` */
  #age(): void {
    const { now } = this.#rt;
    for (const { mac, kind, used } of [...this.#entries.values()])
      if (kind === 'learned' && used + this.#ageing <= now) this.delete(mac);
    this.#arm();
  }

  #emitSet(entry: Entry, remote: VxlanRemote): void {
    this.#rt.emit({ type: 'fdb.set', ns: this.#device.ns.name, fdb: this.#facts(entry, remote) });
  }

  #emitRemoved(mac: number, { dst }: VxlanRemote): void {
    const { name, ns } = this.#device;
    const removed = { type: 'fdb.removed', ns: ns.name, dev: name, mac: formatMac(mac) } as const;
    this.#rt.emit({ ...removed, dst: formatIp(dst) });
  }

  #facts({ mac, kind }: Entry, { dst, via }: VxlanRemote): FdbFacts {
    const facts = { dev: this.#device.name, mac: formatMac(mac), port: '', dst: formatIp(dst), kind };
    return via === null ? facts : { ...facts, via: via.name };
  }
}
