import type { Timings } from '../config.ts';
import type { EventId } from '../events/record.ts';
import type { Runtime } from '../runtime.ts';
import type { KernelView } from '../state/kernel-view.ts';
import type { Device, PortDevice, PortFilter } from './device.ts';
import { FileTable } from './files.ts';
import { LogBuffer } from './log-buffer.ts';
import { NeighborPool } from './neighbor-pool.ts';
import type { Skb } from './netfilter/skb.ts';
import { Netns } from './netns.ts';
import { PacketTracer } from './packet-trace.ts';
import { snapshotKernel } from './snapshot.ts';

export interface KernelOptions {
  readonly timings: Timings;
  /** Default 'off'. */
  readonly ipv6?: 'on' | 'off';
  /** A frame leaves by a physical port; the buffer is the receiver's. */
  transmit(port: number, frame: Uint8Array, cause: EventId): void;
  /** Whether physical ports take frames; absent: always. */
  txQueue?(): 'room' | 'full';
  /** A physical port wants other frames than those to the MAC address that it began with. */
  filter?(port: number, filter: PortFilter): void;
}

interface Backlogged {
  readonly device: Device;
  readonly frame: Uint8Array;
  readonly skb: Skb | null;
  readonly cause: EventId;
}

/**
 * The emulated kernel of a node: its namespaces and what passes between them. Frames between devices of the node go
 * through a backlog, as Linux' softirqs do, so that no path through it recurses.
 */
export class Kernel {
  readonly rt: Runtime;
  readonly timings: Timings;
  /** Whether new namespaces begin with IPv6 (`ipv6.disable_ipv6` of the kernel's command line says no). */
  readonly ipv6: 'on' | 'off';
  readonly neighborPool: NeighborPool;
  readonly tracer: PacketTracer;
  readonly neighborPool6: NeighborPool;
  readonly root: Netns;
  readonly files: FileTable;
  readonly log = new LogBuffer();
  /** Packets dropped, by reason. */
  readonly drops = new Map<string, number>();
  dropped = 0;
  forwarded = 0;
  /** Called after the root namespace's routes have changed. */
  onFibChange: (() => void) | null = null;
  /** Called after a physical port has lost or regained its carrier. */
  onLinkChange: ((device: Device) => void) | null = null;
  /** Called after an IPv6 address of the root namespace has become usable. */
  onAddressReady: ((device: Device) => void) | null = null;
  readonly #bootedAt: number;
  readonly #transmit: KernelOptions['transmit'];
  readonly #txQueue: KernelOptions['txQueue'];
  readonly #filter: KernelOptions['filter'];
  readonly #namespaces = new Map<string, Netns>();
  readonly #ports = new Map<number, PortDevice>();
  #backlog: Backlogged[] = [];
  #busy = false;
  #linesSince = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #ifindex = 1;

  constructor(rt: Runtime, options: KernelOptions) {
    this.rt = rt;
    this.timings = options.timings;
    this.#bootedAt = rt.now;
    this.#transmit = options.transmit;
    this.ipv6 = options.ipv6 ?? 'off';
    this.#txQueue = options.txQueue;
    this.#filter = options.filter;
    this.neighborPool = new NeighborPool(this);
    this.tracer = new PacketTracer(rt);
    this.neighborPool6 = new NeighborPool(this);
    this.files = new FileTable(rt);
    rt.emit({ type: 'netns.added', ns: '' });
    this.root = new Netns(this, '');
    this.#namespaces.set('', this.root);
  }

  netns(name: string): Netns | undefined {
    return this.#namespaces.get(name);
  }

  namespaces(): readonly Netns[] {
    return [...this.#namespaces.values()];
  }

  addNetns(name: string): Netns {
    if (this.#namespaces.has(name))
      throw new Error(`Cannot create namespace file "/var/run/netns/${name}": File exists`);
    this.rt.emit({ type: 'netns.added', ns: name });
    const ns = new Netns(this, name);
    this.#namespaces.set(name, ns);
    return ns;
  }

  removeNetns(name: string): void {
    const ns = this.#namespaces.get(name);
    if (ns === undefined || ns === this.root) return;
    ns.dismantle();
    this.#namespaces.delete(name);
    this.rt.emit({ type: 'netns.removed', ns: name });
  }

  /** A frame from the wire. Whatever it holds, it is handled or counted, and never throws. */
  receive(port: number, frame: Uint8Array): void {
    const device = this.#ports.get(port);
    if (device === undefined) this.drop('no-such-port');
    else if (frame.length < 14) this.drop('frame-truncated');
    else {
      const nested = this.#busy;
      this.#busy = true;
      device.receive(frame);
      this.#busy = nested;
      this.drain();
    }
  }

  /** The cable of a port is pulled or plugged in. */
  setCarrier(port: number, carrier: 'up' | 'down'): void {
    const device = this.#ports.get(port);
    if (device !== undefined) device.ns.links.setCarrier(device, carrier === 'up');
  }

  registerPort(port: number, device: PortDevice): void {
    this.#ports.set(port, device);
  }

  unregisterPort(port: number): void {
    this.#ports.delete(port);
  }

  transmitOnPort(port: number, frame: Uint8Array): void {
    if (this.#txQueue?.() === 'full') this.drop('tx-queue-full');
    else this.#transmit(port, frame, this.rt.cause);
  }

  filterPort(port: number, filter: PortFilter): void {
    this.#filter?.(port, filter);
  }

  /** Hands a frame to a device of this node, after what is being done now. */
  enqueue(device: Device, frame: Uint8Array, skb: Skb | null = null): void {
    this.#backlog.push({ device, frame, skb, cause: this.rt.cause });
    // From a daemon or a timer there is nobody to drain afterwards: a timer of this very moment does.
    if (!this.#busy && this.#backlog.length === 1) this.rt.timers.set(this.rt.now, () => this.drain());
  }

  /** Works off the backlog. */
  drain(): void {
    if (this.#busy) return;
    this.#busy = true;
    const { rt } = this;
    const cause = rt.cause;
    try {
      while (this.#backlog.length > 0) {
        const batch = this.#backlog;
        this.#backlog = [];
        for (const { device, frame, skb, cause: own } of batch) {
          rt.cause = own;
          device.receive(frame, skb);
        }
      }
    } finally {
      this.#busy = false;
      rt.cause = cause;
    }
  }

  drop(reason: string, count = 1): void {
    this.dropped += count;
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + count);
    if (this.rt.cause < 0) this.tracer.dropped(reason);
  }

  /** Whether one more line about the network may be written: ten in five seconds (`net_ratelimit`). */
  ratelimit(): boolean {
    const { now } = this.rt;
    if (now - this.#linesSince >= 5000) {
      this.#linesSince = now;
      this.#lines = 0;
    }
    return ++this.#lines <= 10;
  }

  /** A line for dmesg. */
  printk(level: number, text: string): void {
    this.log.add({ at: this.rt.now - this.#bootedAt, level, text });
  }

  nextIfindex(): number {
    return ++this.#ifindex;
  }

  fibChanged(ns: Netns): void {
    if (ns === this.root) this.onFibChange?.();
  }

  addressReady(device: Device): void {
    if (device.ns === this.root) this.onAddressReady?.(device);
  }

  linkChanged(device: Device): void {
    this.onLinkChange?.(device);
    this.fibChanged(device.ns);
  }

  /** Resets every TCP connection of the root namespace, as when the processes there die. */
  abortAll(): void {
    this.root.tcp.abortAll();
    this.root.ipv6.tcp.abortAll();
  }

  /** Addresses of IPv6 that duplicate address detection is at work on. */
  get claiming(): number {
    let count = 0;
    for (const ns of this.#namespaces.values())
      for (const device of ns.devices()) count += device.inet6.claiming;
    return count;
  }

  snapshot(): KernelView {
    return snapshotKernel(this);
  }
}
