import type { SandboxFacts } from '../events/cluster.ts';
import type { EventId } from '../events/record.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Netns } from '../kernel/netns.ts';
import type { Runtime, TimerHandle } from '../runtime.ts';
import { inPodOrder } from '../state/cluster-view.ts';
import { type PodSpec, type PodStatus, storeKeys } from '../store.ts';
import { CNI_NOT_AVAILABLE, type CniError, type CniPlugin, type CniResult } from './cni.ts';
import { writePodFiles } from './pod-files.ts';
import { PodStatusWriter } from './pod-status.ts';
import { netnsName, randomHex } from './random-names.ts';
import type { StoreClient } from './store-client.ts';
import { startPodWorkload } from './workload/pod.ts';
import type { RunningWorkload } from './workload/start.ts';

const IFNAME = 'eth0';
/** Delay before a sandbox that failed is tried again, ms: doubled with each failure in a row, up to a limit. */
const BACKOFF = 1000;
const BACKOFF_MAX = 30_000;
/** Time that a status may stand without a pod before it is taken for a leftover of an earlier boot, ms. */
const STATUS_GRACE = 1000;

interface Running {
  facts: SandboxFacts;
  readonly ns: Netns;
  workload: RunningWorkload | null;
}

interface Entry {
  readonly namespace: string;
  readonly name: string;
  desired: PodSpec | null;
  /** Cause of the last change of `desired`. */
  cause: EventId;
  sandbox: Running | null;
  /** What the plug-in is doing for this pod. */
  busy: 'no' | 'adding' | 'deleting';
  /** Sandboxes of the desired pod that have failed in a row. */
  failures: number;
  retry: TimerHandle | null;
}

export interface KubeletOptions {
  readonly node: string;
  readonly kernel: Kernel;
  readonly cni: CniPlugin;
  /** Sandboxes that a reboot finds checkpointed. */
  readonly disk: readonly SandboxFacts[];
  /** Called before a pod's namespace goes. */
  readonly onNamespaceRemoved: (ns: Netns) => void;
}

/**
 * Brings the pods of the node to what the store asks for: a sandbox and its network for every pod wanted, none for
 * the others. One pod's steps never overlap; a pod made anew under its old name waits for the old sandbox's DEL.
 */
export class Kubelet {
  readonly #rt: Runtime;
  readonly #options: KubeletOptions;
  readonly #statuses: PodStatusWriter;
  readonly #entries = new Map<string, Entry>();
  /** Statuses in the store without a pod here, by `namespace/name`, with the timer that will remove them. */
  readonly #strays = new Map<string, TimerHandle>();
  /** Sandboxes checkpointed before this boot whose removal has not begun. */
  #checkpointed: readonly SandboxFacts[];

  constructor(rt: Runtime, store: StoreClient, options: KubeletOptions) {
    this.#rt = rt;
    this.#options = options;
    this.#statuses = new PodStatusWriter(rt, store);
    this.#checkpointed = options.disk;
  }

  /** Deletes the sandboxes that did not outlive the reboot, their addresses with them. */
  start(): void {
    const { cause } = this.#rt;
    const lost = this.#checkpointed;
    this.#checkpointed = [];
    for (const facts of lost) {
      this.#rt.cause = cause;
      this.#delete(this.#entry(facts.namespace, facts.pod), facts, null);
    }
    this.#rt.cause = cause;
    this.#options.cni.gc(new Set());
    this.#rt.cause = cause;
  }

  /** A row of `pods.<node>.>` changed; null when it was deleted. */
  podChanged(namespace: string, name: string, spec: PodSpec | null): void {
    if (spec === null && !this.#entries.has(`${namespace}/${name}`)) return;
    const entry = this.#entry(namespace, name);
    const changed = entry.desired?.uid !== spec?.uid;
    entry.desired = spec;
    entry.cause = this.#rt.cause;
    if (!changed) return;
    entry.failures = 0;
    this.#cancelRetry(entry);
    this.#sync(entry);
  }

  /** A row of `podstatus.<node>.>` changed. */
  statusChanged(namespace: string, name: string, status: 'present' | 'absent'): void {
    const id = `${namespace}/${name}`;
    const key = storeKeys.podStatus(this.#options.node, namespace, name);
    this.#clearStray(id);
    if (status === 'absent' || this.#entries.has(id) || this.#statuses.isWriting(key)) return;
    const timer = this.#rt.timers.set(this.#rt.now + STATUS_GRACE, () => {
      this.#strays.delete(id);
      this.#statuses.set(key, null);
    });
    this.#strays.set(id, timer);
  }

  /** The plug-in's STATUS may have changed. */
  networkChanged(): void {
    const { cause } = this.#rt;
    for (const entry of [...this.#entries.values()]) {
      this.#rt.cause = cause;
      this.#sync(entry);
    }
    this.#rt.cause = cause;
  }

  /** The namespace of a running pod; undefined if it has none. */
  namespaceOf(namespace: string, name: string): Netns | undefined {
    return this.#entries.get(`${namespace}/${name}`)?.sandbox?.ns;
  }

  snapshot(): SandboxFacts[] {
    const live = [...this.#entries.values()].flatMap(({ sandbox }) =>
      sandbox === null ? [] : [sandbox.facts],
    );
    return inPodOrder([...this.#checkpointed, ...live]);
  }

  /** Pods that will change without further input, and those that run. */
  report(): { readonly work: number; readonly running: number } {
    let work = this.#strays.size;
    let running = 0;
    for (const entry of this.#entries.values()) {
      if (entry.sandbox?.workload != null) running++;
      const waiting = entry.desired !== null && entry.sandbox === null && !this.#hasFailed(entry);
      if (entry.busy !== 'no' || waiting) work++;
    }
    return { work, running };
  }

  #entry(namespace: string, name: string): Entry {
    const id = `${namespace}/${name}`;
    const existing = this.#entries.get(id);
    if (existing !== undefined) return existing;
    const entry: Entry = {
      namespace,
      name,
      desired: null,
      cause: this.#rt.cause,
      sandbox: null,
      busy: 'no',
      failures: 0,
      retry: null,
    };
    this.#entries.set(id, entry);
    this.#clearStray(id);
    return entry;
  }

  /** Takes the next step towards what is desired, if there is one and none is under way. */
  #sync(entry: Entry): void {
    if (entry.busy !== 'no') return;
    const { sandbox, desired } = entry;
    if (sandbox !== null) {
      if (desired?.uid !== sandbox.facts.uid) this.#delete(entry, sandbox.facts, sandbox);
      return;
    }
    if (desired === null) {
      this.#entries.delete(`${entry.namespace}/${entry.name}`);
      this.#statuses.set(this.#statusKey(entry), null);
      return;
    }
    if (entry.retry !== null) return;
    this.#rt.cause = entry.cause;
    const unready = this.#options.cni.status();
    if (unready === null) this.#create(entry, desired);
    else
      this.#writeStatus(entry, desired, this.#hasFailed(entry) ? 'Failed' : 'Pending', '', notReady(unready));
  }

  #create(entry: Entry, pod: PodSpec): void {
    const { kernel, cni } = this.#options;
    const rt = this.#rt;
    const { namespace, name, uid, labels } = pod;
    const containerId = randomHex(rt.random, 64);
    const netns = netnsName(rt.random);
    const facts = { namespace, pod: name, uid, containerId, netns, ip: '', hostDevice: '', labels };
    rt.emit({ type: 'pod.sandbox', sandbox: facts });
    const ns = kernel.addNetns(netns);
    ns.setUp('lo');
    const sandbox: Running = { facts, ns, workload: null };
    entry.sandbox = sandbox;
    entry.busy = 'adding';
    if (entry.failures === 0) this.#writeStatus(entry, pod, 'Pending', '', 'ContainerCreating');
    cni.add({ containerId, ifname: IFNAME, namespace, pod: name, netns: ns }, (outcome) => {
      entry.busy = 'no';
      if (outcome.type === 'error') this.#failed(entry, pod, sandbox, outcome.error);
      else this.#started(entry, pod, sandbox, outcome.result);
    });
  }

  #started(entry: Entry, pod: PodSpec, sandbox: Running, result: CniResult): void {
    const ip = result.ips[0]?.address.split('/')[0] ?? '';
    // The chain of a bridge plug-in lists the bridge, then the host's end of the pair.
    const hostDevice = result.interfaces.filter((iface) => iface.sandbox === '').at(-1)?.name ?? '';
    const ip6 = result.ips.find(({ address }) => address.includes(':'))?.address.split('/')[0];
    sandbox.facts = { ...sandbox.facts, ip, ...(ip6 === undefined ? {} : { ip6 }), hostDevice };
    this.#rt.emit({ type: 'pod.sandbox', sandbox: sandbox.facts });
    const ips = ip6 === undefined || ip6 === ip ? [ip] : [ip, ip6];
    writePodFiles(this.#options.kernel, sandbox.ns.name, pod.name, ips);
    sandbox.workload = startPodWorkload(sandbox.ns, pod);
    entry.failures = 0;
    this.#writeStatus(entry, pod, 'Running', ip, '', ip6);
    this.#sync(entry);
  }

  /** As the container runtime does: DEL after an ADD that failed, and the sandbox goes. */
  #failed(entry: Entry, pod: PodSpec, sandbox: Running, error: CniError): void {
    const { containerId } = sandbox.facts;
    const plugin = `plugin type="${this.#options.cni.name}" failed (add): ${error.msg}`;
    const message = `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "${containerId}": ${plugin}`;
    const delay = Math.min(BACKOFF * 2 ** entry.failures, BACKOFF_MAX);
    entry.failures++;
    this.#writeStatus(entry, pod, 'Failed', '', message);
    entry.retry = this.#rt.timers.set(this.#rt.now + delay, () => {
      entry.retry = null;
      this.#sync(entry);
    });
    this.#delete(entry, sandbox.facts, sandbox);
  }

  /** Ends a sandbox. It answers no more when this returns; its address is free when DEL is done. */
  #delete(entry: Entry, facts: SandboxFacts, sandbox: Running | null): void {
    const { kernel, cni, onNamespaceRemoved } = this.#options;
    const { namespace, pod, uid, ip, containerId } = facts;
    entry.sandbox = null;
    entry.busy = 'deleting';
    this.#rt.emit({ type: 'pod.removed', namespace, pod, uid, ip });
    if (sandbox !== null) {
      sandbox.workload?.close();
      onNamespaceRemoved(sandbox.ns);
    }
    cni.del({ containerId, ifname: IFNAME, namespace, pod, netns: sandbox?.ns ?? null }, () => {
      if (sandbox !== null) {
        kernel.removeNetns(sandbox.ns.name);
        kernel.files.removeAll(sandbox.ns.name);
      }
      entry.busy = 'no';
      this.#sync(entry);
    });
  }

  #hasFailed(entry: Entry): boolean {
    return entry.failures > 0 || this.#options.cni.status()?.code === CNI_NOT_AVAILABLE;
  }

  #cancelRetry(entry: Entry): void {
    if (entry.retry !== null) this.#rt.timers.cancel(entry.retry);
    entry.retry = null;
  }

  #clearStray(id: string): void {
    const timer = this.#strays.get(id);
    if (timer === undefined) return;
    this.#rt.timers.cancel(timer);
    this.#strays.delete(id);
  }

  #statusKey(entry: Entry): string {
    return storeKeys.podStatus(this.#options.node, entry.namespace, entry.name);
  }

  #writeStatus(
    entry: Entry,
    pod: PodSpec,
    phase: PodStatus['phase'],
    podIP: string,
    message: string,
    ip6?: string,
  ): void {
    const { namespace, name, uid, node, labels } = pod;
    this.#statuses.set(this.#statusKey(entry), {
      ...{ namespace, name, uid, node, labels, phase, podIP, message },
      ...(ip6 === undefined ? {} : { podIPs: [podIP, ip6] }),
    });
  }
}

function notReady(error: CniError): string {
  return `network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: ${error.msg}`;
}
