import type { LabEvent } from '../../nodes/events/index.ts';
import type { RunningLab } from '../running-lab.ts';

/** A stretch of time in which a pod held an address, ms on the lab's clock; `to` is Infinity while it still does. */
export interface Tenure {
  readonly uid: string;
  readonly pod: string;
  readonly node: string;
  readonly from: number;
  to: number;
}

/**
 * Who held which pod address when, read from the nodes' own logs: the truth that probes are held against. A
 * sandbox holds its address from the event that records it until the one that removes it, or its node's death.
 */
export class Holders {
  readonly #byIp = new Map<string, Tenure[]>();
  readonly #open = new Map<string, Tenure>();

  static async of(lab: RunningLab): Promise<Holders> {
    const holders = new Holders();
    for (const node of await lab.nodes()) {
      for await (const record of lab.records(node.name)) {
        holders.add(node.name, record.event as LabEvent, record.at);
      }
    }
    return holders;
  }

  add(node: string, event: LabEvent, at: number): void {
    if (event.type === 'node.booted') {
      // A sandbox does not outlive its node's kernel. That the old one ended before the boot, and not at it, only
      // makes the check kinder to a node that was down, where nothing can answer anyway.
      for (const [key, tenure] of this.#open) if (tenure.node === node) this.#close(key, at);
    } else if (event.type === 'pod.sandbox' && event.sandbox.ip !== '') {
      const { uid, ip, namespace, pod } = event.sandbox;
      const key = `${node}/${uid}`;
      if (this.#open.has(key)) return;
      const tenure: Tenure = {
        uid,
        pod: `${namespace}/${pod}`,
        node,
        from: at,
        to: Number.POSITIVE_INFINITY,
      };
      this.#open.set(key, tenure);
      const tenures = this.#byIp.get(ip);
      if (tenures === undefined) this.#byIp.set(ip, [tenure]);
      else tenures.push(tenure);
    } else if (event.type === 'pod.removed') {
      this.#close(`${node}/${event.uid}`, at);
    }
  }

  #close(key: string, at: number): void {
    const tenure = this.#open.get(key);
    if (tenure !== undefined) tenure.to = at;
    this.#open.delete(key);
  }

  /** Whether the pod held the address at any moment between the two times, both included. */
  held(ip: string, uid: string, from: number, to: number): boolean {
    return (this.#byIp.get(ip) ?? []).some(
      (tenure) => tenure.uid === uid && tenure.from <= to && tenure.to >= from,
    );
  }

  /** Pairs of pods that held one address at one time. */
  conflicts(): { readonly ip: string; readonly first: Tenure; readonly second: Tenure }[] {
    const found: { ip: string; first: Tenure; second: Tenure }[] = [];
    for (const [ip, tenures] of this.#byIp) {
      const sorted = [...tenures].sort((a, b) => a.from - b.from);
      for (const [i, first] of sorted.entries()) {
        for (const second of sorted.slice(i + 1)) {
          if (second.from < first.to && second.uid !== first.uid) found.push({ ip, first, second });
        }
      }
    }
    return found;
  }

  /** Number of addresses that more than one pod has held in turn. */
  get reused(): number {
    let count = 0;
    for (const tenures of this.#byIp.values())
      if (new Set(tenures.map((tenure) => tenure.uid)).size > 1) count++;
    return count;
  }
}
