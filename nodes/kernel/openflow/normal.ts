import { formatMac, isGroupMac, readMac } from '../../../protocols/mac.ts';
import { vlanId, vlanProtocol } from '../../../protocols/vlan.ts';
import type { OpenFlowFdb } from '../../events/openflow.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';

interface Learned {
  readonly mac: number;
  readonly vlan: number;
  port: number;
  seen: number;
}

/** What the NORMAL action does: a learning switch, a MAC table for each VLAN, no flows. */
export class NormalForwarding {
  readonly #rt: Runtime;
  readonly #bridge: string;
  readonly #ageing: number;
  /** By address and VLAN. */
  readonly #table = new Map<string, Learned>();
  #timer: TimerHandle | null = null;

  /** `ageing`: how long an address is known without a packet from it, ms. */
  constructor(rt: Runtime, bridge: string, ageing: number) {
    this.#rt = rt;
    this.#bridge = bridge;
    this.#ageing = ageing;
  }

  /** Learns where a frame comes from; the port that it goes to, null for all the others. */
  port(frame: Uint8Array, inPort: number): number | null {
    const vlan = vlanProtocol(frame) === null ? 0 : vlanId(frame);
    const source = readMac(frame, 6);
    if (!isGroupMac(source)) this.#learn(source, vlan, inPort);
    return this.#table.get(keyOf(readMac(frame, 0), vlan))?.port ?? null;
  }

  rows(): OpenFlowFdb[] {
    return [...this.#table.values()].map(({ mac, vlan, port }) => ({ mac: formatMac(mac), vlan, port }));
  }

  /** Age of an address, ms, by its row. */
  ages(): (OpenFlowFdb & { readonly age: number })[] {
    return [...this.#table.values()].map(({ mac, vlan, port, seen }) => ({
      mac: formatMac(mac),
      vlan,
      port,
      age: this.#rt.now - seen,
    }));
  }

  /** Forgets all, or what was seen at one port. */
  flush(port?: number): void {
    for (const entry of [...this.#table.values()])
      if (port === undefined || entry.port === port) this.#forget(entry);
  }

  #learn(mac: number, vlan: number, port: number): void {
    const { now } = this.#rt;
    const key = keyOf(mac, vlan);
    const entry = this.#table.get(key);
    if (entry !== undefined) entry.seen = now;
    if (entry?.port === port) return;
    if (entry === undefined) this.#table.set(key, { mac, vlan, port, seen: now });
    else entry.port = port;
    this.#rt.emit({ type: 'openflow.fdb', bridge: this.#bridge, mac: formatMac(mac), vlan, port });
    this.#timer ??= this.#rt.timers.set(now + this.#ageing, () => this.#age());
  }

  #age(): void {
    this.#timer = null;
    let next = Number.POSITIVE_INFINITY;
    for (const entry of [...this.#table.values()]) {
      const end = entry.seen + this.#ageing;
      if (end <= this.#rt.now) this.#forget(entry);
      else next = Math.min(next, end);
    }
    if (next < Number.POSITIVE_INFINITY) this.#timer = this.#rt.timers.set(next, () => this.#age());
  }

  #forget({ mac, vlan }: Learned): void {
    this.#table.delete(keyOf(mac, vlan));
    this.#rt.emit({ type: 'openflow.fdb.removed', bridge: this.#bridge, mac: formatMac(mac), vlan });
  }
}

function keyOf(mac: number, vlan: number): string {
  return `${mac} ${vlan}`;
}
