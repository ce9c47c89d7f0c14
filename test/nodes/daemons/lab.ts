import type { CniConfig, NodeConfig, Timings } from '../../../nodes/config.ts';
import { ClusterDaemons } from '../../../nodes/daemons/cluster.ts';
import { Prober } from '../../../nodes/daemons/prober.ts';
import { gatewayRoute } from '../../../nodes/daemons/route-facts.ts';
import type { LabEvent, LogRecord } from '../../../nodes/events/index.ts';
import { EVENT_SCHEMA, type EventId, eventId } from '../../../nodes/events/record.ts';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { deriveSeed, seededRandom } from '../../../nodes/random.ts';
import type { Random, Runtime, StoreResult } from '../../../nodes/runtime.ts';
import { ClusterFold } from '../../../nodes/state/cluster-fold.ts';
import { type PodSpec, type PodStatus, type StoreOp, storeKeys } from '../../../nodes/store.ts';
import { TimerQueue } from '../../../nodes/timers.ts';
import { SimStore } from '../../../orchestrator/simulate/store.ts';
import { BinaryHeap } from '../../../protocols/heap.ts';
import { isGroupMac, readMac } from '../../../protocols/mac.ts';
import { timings as realTimings } from '../../support/runtime.ts';

const WIRE = 0.1;
/** One way to the store, ms. */
const STORE = 0.3;

export const calico: Extract<CniConfig, { type: 'calico' }> = {
  type: 'calico',
  pool: '10.244.0.0/16',
  blockSize: 26,
  mtu: 1500,
};

type Flannel = Extract<CniConfig, { type: 'flannel' }>;

export function flannel(backend: Flannel['backend']): Flannel {
  return { type: 'flannel', network: '10.244.0.0/16', subnetLen: 24, backend, iface: 'eth0' };
}

export interface LabOptions {
  readonly seed?: number;
  readonly timings?: Partial<Timings['flannel']>;
}

/** Nodes with a kernel and cluster daemons on one LAN, with one store, under one virtual clock. */
export class Lab {
  now = 0;
  readonly cni: CniConfig;
  readonly store = new SimStore();
  readonly nodes: LabNode[] = [];
  readonly timings: Timings;
  readonly random: Random;
  readonly seed: number;
  /** What the store does with a request: as it should, or nothing and an error, or as it should and an error. */
  storeFault: () => 'none' | 'refused' | 'answer-lost' = () => 'none';
  /** Originated prefixes, and the node that did. */
  readonly prefixes = new Map<string, LabNode>();
  readonly #agenda = new BinaryHeap<{ at: number; seq: number; run: () => void }>(
    (a, b) => a.at - b.at || a.seq - b.seq,
  );
  #seq = 0;
  #uids = 0;

  constructor(cni: CniConfig, options: LabOptions = {}) {
    this.cni = cni;
    this.seed = options.seed ?? 1;
    this.random = seededRandom(this.seed);
    this.timings = { ...realTimings, flannel: { ...realTimings.flannel, ...options.timings } };
  }

  addNode(name: string): LabNode {
    const node = new LabNode(this, name, this.nodes.length + 1);
    this.nodes.push(node);
    node.boot();
    return node;
  }

  after(ms: number, run: () => void): void {
    this.#agenda.push({ at: this.now + ms, seq: this.#seq++, run });
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = Math.min(
        this.#agenda.peek()?.at ?? Infinity,
        ...this.nodes.map((node) => node.nextTimer()),
      );
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if ((this.#agenda.peek()?.at ?? Infinity) <= this.now) this.#agenda.pop()?.run();
      else for (const node of this.nodes) node.runTimers();
    }
    this.now = end;
  }

  /** Advances until no node has work left. */
  settle(limit = 60_000): void {
    const end = this.now + limit;
    do {
      if (this.now > end) {
        const left = this.nodes.map((node) => `${node.name}: ${JSON.stringify(node.daemons?.report())}`);
        throw new Error(`not settled: ${left.join(', ')}`);
      }
      this.advance(2);
    } while (this.nodes.some((node) => (node.daemons?.report().work ?? 0) > 0));
  }

  pod(node: LabNode, name: string, namespace = 'default'): PodSpec {
    const spec = { namespace, name, uid: `uid-${++this.#uids}`, node: node.name, labels: { app: name } };
    this.store.apply({ op: 'put', key: storeKeys.pod(node.name, namespace, name), value: spec }, 7);
    return spec;
  }

  removePod(node: LabNode, name: string, namespace = 'default'): void {
    this.store.apply({ op: 'delete', key: storeKeys.pod(node.name, namespace, name) }, 8);
  }

  status(node: LabNode, name: string, namespace = 'default'): PodStatus | undefined {
    const [entry] = this.store.list(storeKeys.podStatus(node.name, namespace, name));
    return entry?.value as PodStatus | undefined;
  }

  ip(node: LabNode, name: string): string {
    return this.status(node, name)?.podIP ?? '';
  }

  transmit(from: LabNode, frame: Uint8Array, cause: EventId): void {
    const dst = readMac(frame, 0);
    for (const node of this.nodes) {
      if (node === from || !(isGroupMac(dst) || node.mac === dst)) continue;
      const copy = frame.slice();
      this.after(WIRE, () => node.receive(copy, cause));
    }
  }

  request(op: StoreOp, cause: EventId, done: (result: StoreResult) => void): void {
    this.after(STORE, () => {
      const fault = this.storeFault();
      const result: StoreResult = fault === 'refused' ? unavailable : this.store.apply(op, cause);
      this.after(STORE, () => done(fault === 'none' ? result : unavailable));
    });
  }
}

const unavailable: StoreResult = { ok: false, conflict: false, error: 'store unavailable' };

class NodeRuntime implements Runtime {
  cause: EventId = 0;
  readonly random: Random;
  readonly timers = new TimerQueue(() => this.cause);
  readonly #node: LabNode;
  readonly #lab: Lab;
  readonly #boot: number;

  constructor(lab: Lab, node: LabNode) {
    this.#lab = lab;
    this.#node = node;
    this.#boot = node.boots;
    this.random = seededRandom(deriveSeed(lab.seed, `${node.name}/${node.boots}`));
  }

  get now(): number {
    return this.#lab.now;
  }

  get alive(): boolean {
    return this.#node.up && this.#node.boots === this.#boot;
  }

  emit(event: LabEvent): EventId {
    const { records } = this.#node;
    const id = eventId(this.#node.number, records.length + 1);
    records.push({ v: EVENT_SCHEMA, id, cause: this.cause, at: this.now, event });
    this.#node.fold.apply(event as Parameters<ClusterFold['apply']>[0]);
    this.cause = id;
    return id;
  }

  store(op: StoreOp, done?: (result: StoreResult) => void): void {
    this.#lab.request(structuredClone(op), this.cause, (result) => {
      if (this.alive) done?.(result);
    });
  }
}

export class LabNode {
  readonly name: string;
  readonly number: number;
  readonly mac: number;
  readonly address: string;
  readonly records: LogRecord[] = [];
  readonly fold = new ClusterFold();
  readonly originated = new Set<string>();
  up = false;
  boots = 0;
  kernel!: Kernel;
  prober!: Prober;
  daemons: ClusterDaemons | null = null;
  readonly #lab: Lab;
  #rt!: NodeRuntime;
  #unwatch: (() => void)[] = [];

  constructor(lab: Lab, name: string, number: number) {
    this.#lab = lab;
    this.name = name;
    this.number = number;
    this.mac = 0x525400000000 + number;
    this.address = `192.168.0.${10 + number}`;
  }

  boot(): void {
    const lab = this.#lab;
    const disk = this.boots === 0 ? null : this.fold.disk();
    this.boots++;
    this.up = true;
    const rt = new NodeRuntime(lab, this);
    this.#rt = rt;
    rt.emit({ type: 'node.booted', boot: this.boots, config: '' });
    this.kernel = new Kernel(rt, {
      timings: lab.timings,
      transmit: (_port, frame, cause) => lab.transmit(this, frame, cause),
    });
    const { root } = this.kernel;
    root.addPort({ name: 'eth0', mac: this.mac, mtu: 1500, port: 0 });
    root.setUp('eth0');
    root.addAddress('eth0', `${this.address}/24`);
    // As Calico demands of its hosts.
    root.routes.set(gatewayRoute('0.0.0.0/0', '192.168.0.1', 'eth0'));
    this.prober = new Prober(rt);
    this.daemons = new ClusterDaemons(rt, {
      kernel: this.kernel,
      config: this.#config(),
      disk,
      originator: {
        originate: (prefix) => this.#originate(prefix),
        withdraw: (prefix) => this.#withdraw(prefix),
      },
      onNamespaceRemoved: (ns) => this.prober.namespaceRemoved(ns),
    });
    for (const [prefix, owner] of lab.prefixes) if (owner !== this) this.#learn(prefix, owner);
    this.daemons.start();
    this.#unwatch = this.daemons.watches.map((pattern) =>
      lab.store.watch(pattern, (change) => {
        const value = structuredClone(change);
        lab.after(STORE, () => {
          if (!rt.alive) return;
          rt.cause = value.cause;
          this.daemons?.storeChanged(value);
          this.kernel.drain();
        });
      }),
    );
  }

  /** As a power cut. */
  kill(): void {
    this.up = false;
    this.daemons = null;
    for (const stop of this.#unwatch) stop();
    for (const prefix of [...this.originated]) this.#withdraw(prefix);
  }

  receive(frame: Uint8Array, cause: EventId): void {
    if (!this.up) return;
    this.#rt.cause = cause;
    this.kernel.receive(0, frame);
  }

  nextTimer(): number {
    return this.up ? this.#rt.timers.next() : Infinity;
  }

  runTimers(): void {
    if (!this.up) return;
    this.#rt.timers.run(this.#lab.now, (fire, cause) => {
      this.#rt.cause = cause;
      fire();
    });
  }

  ns(pod: string): Netns {
    const ns = this.daemons?.namespaceOf(`default/${pod}`);
    if (ns === undefined) throw new Error(`no namespace of ${pod} on ${this.name}`);
    return ns;
  }

  get events(): LabEvent[] {
    return this.records.map((record) => record.event);
  }

  #config(): NodeConfig & { readonly cni: CniConfig } {
    const lab = this.#lab;
    return {
      schema: 1,
      lab: 'test',
      name: this.name,
      number: this.number,
      role: 'node',
      labels: {},
      seed: lab.seed,
      interfaces: [
        {
          name: 'eth0',
          port: 0,
          segment: 'lan',
          mac: '',
          mtu: 1500,
          addresses: [`${this.address}/24`],
        },
      ],
      loopbacks: [],
      routes: [],
      ipForward: false,
      cni: lab.cni,
      timers: lab.timings,
    };
  }

  /** Stands in for BGP: what one node originates, all others have a route to at once. */
  #originate(prefix: string): void {
    this.originated.add(prefix);
    this.#lab.prefixes.set(prefix, this);
    for (const node of this.#lab.nodes) if (node !== this && node.up) node.#learn(prefix, this);
  }

  #withdraw(prefix: string): void {
    this.originated.delete(prefix);
    if (this.#lab.prefixes.get(prefix) === this) this.#lab.prefixes.delete(prefix);
    for (const node of this.#lab.nodes) if (node !== this && node.up) node.kernel.root.routes.delete(prefix);
  }

  #learn(prefix: string, owner: LabNode): void {
    this.kernel.root.routes.set(gatewayRoute(prefix, owner.address, 'eth0'));
  }
}
