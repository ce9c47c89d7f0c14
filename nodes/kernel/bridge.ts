import { copyFrame } from '../../protocols/frame-buffer.ts';
import { formatMac, isGroupMac, readMac } from '../../protocols/mac.ts';
import type { FdbFacts } from '../events/kernel.ts';
import type { TimerHandle } from '../runtime.ts';
import { type BridgeMaster, Device, type DeviceOptions } from './device.ts';
import type { Skb } from './netfilter/skb.ts';
import type { Netns } from './netns.ts';

interface FdbEntry {
  readonly mac: number;
  port: Device;
  readonly kind: FdbFacts['kind'];
  /** Time of the last frame from this address. */
  seen: number;
}

/** A learning bridge (IEEE 802.1D §7.8): the FDB learns source addresses, forgets them after the ageing time. */
export class BridgeDevice extends Device implements BridgeMaster {
  override readonly kind = 'bridge';
  readonly ports: Device[] = [];
  readonly #fdb = new Map<number, FdbEntry>();
  readonly #ageing: number;
  #timer: TimerHandle | null = null;

  constructor(ns: Netns, options: DeviceOptions, ageing: number) {
    super(ns, options);
    this.#ageing = ageing;
    this.carrier = false;
  }

  /** From the stack of the bridge's own namespace; or from a port, having waited there for where DNAT sends it. */
  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    if (!this.up) this.ns.kernel.drop('device-down');
    else if (skb?.bridgedDnat === true) this.#forward(skb.physIn, frame, skb);
    else this.#forward(null, frame, null);
  }

  receiveFrom(port: Device, frame: Uint8Array): void {
    if (!this.up) {
      this.ns.kernel.drop('device-down');
      return;
    }
    const source = readMac(frame, 6);
    if (isGroupMac(source) || source === 0) {
      this.ns.kernel.drop('bad-source-mac');
      return;
    }
    this.#learn(source, port);
    this.tapped('in', frame);
    const { bridgeNetfilter } = this.ns;
    if (bridgeNetfilter.calls(frame)) {
      const skb = bridgeNetfilter.preRouting(this, port, frame);
      if (skb !== null) this.#forward(port, skb.frame, skb);
    } else this.#forward(port, frame, null);
  }

  #forward(from: Device | null, frame: Uint8Array, skb: Skb | null): void {
    const dst = readMac(frame, 0);
    if (from !== null && dst === this.mac) {
      this.#passUp(frame, skb);
      return;
    }
    const known = isGroupMac(dst) ? undefined : this.#fdb.get(dst);
    if (known !== undefined) {
      if (known.port !== from && known.port.usable) this.#send(known.port, frame, skb);
      return;
    }
    for (const port of this.ports) {
      if (port === from || !port.usable) continue;
      const copy = copyFrame(frame);
      this.#send(port, copy, skb === null ? null : skb.copy(copy));
    }
    if (from !== null && isGroupMac(dst)) this.#passUp(frame, skb);
  }

  #send(port: Device, frame: Uint8Array, skb: Skb | null): void {
    if (skb === null) port.transmit(frame);
    else this.ns.bridgeNetfilter.forward(this, port, skb);
  }

  /** `br_pass_frame_up` */
  #passUp(frame: Uint8Array, skb: Skb | null): void {
    if (skb === null) this.ns.receiveFrame(this, frame);
    else this.ns.ip.inputBridged(this, skb);
  }

  #learn(mac: number, port: Device): void {
    const { now } = this.ns.kernel.rt;
    const entry = this.#fdb.get(mac);
    if (entry === undefined) {
      this.#set({ mac, port, kind: 'learned', seen: now });
      this.#arm();
    } else if (entry.kind === 'learned') {
      entry.seen = now;
      if (entry.port !== port) {
        entry.port = port;
        this.#emitSet(entry);
      }
    }
  }

  #arm(): void {
    if (this.#timer !== null) return;
    const { rt } = this.ns.kernel;
    this.#timer = rt.timers.set(rt.now + this.#ageing, () => {
      this.#timer = null;
      this.#age();
    });
  }

  #age(): void {
    const { rt } = this.ns.kernel;
    let next = Number.POSITIVE_INFINITY;
    for (const entry of [...this.#fdb.values()]) {
      if (entry.kind !== 'learned') continue;
      const end = entry.seen + this.#ageing;
      if (end <= rt.now) this.deleteFdb(entry.mac);
      else next = Math.min(next, end);
    }
    if (next < Number.POSITIVE_INFINITY) {
      this.#timer = rt.timers.set(next, () => {
        this.#timer = null;
        this.#age();
      });
    }
  }

  addFdb(mac: number, port: Device, kind: 'static' | 'permanent'): void {
    this.#set({ mac, port, kind, seen: this.ns.kernel.rt.now });
  }

  deleteFdb(mac: number): boolean {
    if (!this.#fdb.delete(mac)) return false;
    const { name, ns } = this;
    ns.kernel.rt.emit({ type: 'fdb.removed', ns: ns.name, dev: name, mac: formatMac(mac), dst: '' });
    return true;
  }

  /** Forgets what was learned on a port that is leaving or has lost its carrier. */
  flush(port: Device): void {
    for (const entry of [...this.#fdb.values()]) if (entry.port === port) this.deleteFdb(entry.mac);
  }

  fdb(): FdbFacts[] {
    return [...this.#fdb.values()].map((entry) => this.#facts(entry));
  }

  /** The bridge has carrier while a port has; Linux takes the lowest port MAC until one is set by hand. */
  refreshCarrier(): boolean {
    const carrier = this.ports.some((port) => port.usable);
    if (carrier === this.carrier) return false;
    this.carrier = carrier;
    return true;
  }

  override removed(): void {
    if (this.#timer !== null) this.ns.kernel.rt.timers.cancel(this.#timer);
    for (const mac of [...this.#fdb.keys()]) this.deleteFdb(mac);
  }

  #set(entry: FdbEntry): void {
    this.#fdb.set(entry.mac, entry);
    this.#emitSet(entry);
  }

  #emitSet(entry: FdbEntry): void {
    this.ns.kernel.rt.emit({ type: 'fdb.set', ns: this.ns.name, fdb: this.#facts(entry) });
  }

  #facts(entry: FdbEntry): FdbFacts {
    return { dev: this.name, mac: formatMac(entry.mac), port: entry.port.name, dst: '', kind: entry.kind };
  }
}
