import { formatMac } from '../../protocols/mac.ts';
import type { FdbFacts } from '../events/kernel.ts';
import type { TimerHandle } from '../runtime.ts';
import type { BridgeDevice } from './bridge.ts';
import type { Device } from './device.ts';

export interface BridgeFdbEntry {
  readonly mac: number;
  /** 0 where VLANs are not filtered. */
  readonly vlan: number;
  port: Device;
  readonly kind: FdbFacts['kind'];
  /** Time of the last frame from this address. */
  seen: number;
}

/** The forwarding database of a bridge: behind which port an address is (net/bridge/br_fdb.c). */
export class BridgeFdb {
  readonly #bridge: BridgeDevice;
  /** By VLAN, and by address. */
  readonly #rows = new Map<number, Map<number, BridgeFdbEntry>>();
  #timer: TimerHandle | null = null;

  constructor(bridge: BridgeDevice) {
    this.#bridge = bridge;
  }

  find(mac: number, vlan: number): BridgeFdbEntry | undefined {
    return this.#rows.get(vlan)?.get(mac);
  }

  /** Takes note of where a frame came from (`br_fdb_update`). */
  learn(mac: number, vlan: number, port: Device): void {
    const { rt } = this.#bridge.ns.kernel;
    const entry = this.find(mac, vlan);
    if (entry === undefined) {
      if (this.#bridge.isOwn(mac, vlan)) return;
      this.#add({ mac, vlan, port, kind: 'learned', seen: rt.now });
      this.#arm(rt.now + this.#bridge.ageing);
    } else if (entry.kind !== 'permanent') {
      // A static row moves as well, unless it is sticky.
      entry.seen = rt.now;
      if (entry.port !== port) {
        entry.port = port;
        this.#emitSet(entry);
      }
    }
  }

  set(mac: number, port: Device, kind: 'static' | 'permanent', vlan: number): void {
    this.#add({ mac, vlan, port, kind, seen: this.#bridge.ns.kernel.rt.now });
  }

  delete(mac: number, vlan: number): boolean {
    if (this.#rows.get(vlan)?.delete(mac) !== true) return false;
    const { name, ns } = this.#bridge;
    ns.kernel.rt.emit({
      type: 'fdb.removed',
      ns: ns.name,
      dev: name,
      mac: formatMac(mac),
      dst: '',
      ...(vlan === 0 ? {} : { vlan }),
    });
    return true;
  }

  /** All rows of a port go. */
  flush(port: Device): void {
    for (const entry of this.#entries()) if (entry.port === port) this.delete(entry.mac, entry.vlan);
  }

  /** What a port learned in a VLAN goes as it leaves that; what was set stays. */
  forget(port: Device, vlan: number): void {
    for (const entry of this.#entries())
      if (entry.vlan === vlan && entry.port === port && entry.kind === 'learned')
        this.delete(entry.mac, vlan);
  }

  /** All rows go, with the bridge. */
  clear(): void {
    if (this.#timer !== null) this.#bridge.ns.kernel.rt.timers.cancel(this.#timer);
    for (const { mac, vlan } of this.#entries()) this.delete(mac, vlan);
  }

  list(): FdbFacts[] {
    return this.#entries().map((entry) => this.#facts(entry));
  }

  #entries(): BridgeFdbEntry[] {
    return [...this.#rows.values()].flatMap((rows) => [...rows.values()]);
  }

  #arm(at: number): void {
    this.#timer ??= this.#bridge.ns.kernel.rt.timers.set(at, () => {
      this.#timer = null;
      this.#age();
    });
  }

  /** What was not heard from for the ageing time goes (`br_fdb_cleanup`). */
  #age(): void {
    const { rt } = this.#bridge.ns.kernel;
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries()) {
      if (entry.kind !== 'learned') continue;
      const end = entry.seen + this.#bridge.ageing;
      if (end <= rt.now) this.delete(entry.mac, entry.vlan);
      else next = Math.min(next, end);
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
  }

  #add(entry: BridgeFdbEntry): void {
    const rows = this.#rows.get(entry.vlan) ?? new Map<number, BridgeFdbEntry>();
    this.#rows.set(entry.vlan, rows.set(entry.mac, entry));
    this.#emitSet(entry);
  }

  #emitSet(entry: BridgeFdbEntry): void {
    const { ns } = this.#bridge;
    ns.kernel.rt.emit({ type: 'fdb.set', ns: ns.name, fdb: this.#facts(entry) });
  }

  #facts({ mac, vlan, port, kind }: BridgeFdbEntry): FdbFacts {
    const facts = { dev: this.#bridge.name, mac: formatMac(mac), port: port.name, dst: '', kind };
    return vlan === 0 ? facts : { ...facts, vlan };
  }
}
