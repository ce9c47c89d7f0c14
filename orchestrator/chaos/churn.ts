import type { Random } from '../../nodes/runtime.ts';
import { listPods, type Pod, runningPods, selectPods } from '../pods.ts';
import type { RunningLab } from '../running-lab.ts';
import { matches, type Selector } from '../selector.ts';
import { Holders, type Tenure } from './holders.ts';
import { pause } from './pause.ts';
import { Probe, type ProbeResult, probeRun } from './probes.ts';

export interface ChurnOptions {
  readonly pods: Selector;
  /** Pods replaced per second. */
  readonly rate: number;
  /** Length of the churn, ms. */
  readonly duration: number;
  /** Number of probes that run meanwhile. */
  readonly probes: number;
  /** Time between packets of one probe, ms. */
  readonly interval: number;
  readonly random: Random;
  /** Aborting ends the churn early, with what there is to report. */
  readonly signal?: AbortSignal;
  readonly onReplaced?: (count: number) => void;
}

export interface ChurnResult {
  readonly replaced: number;
  /** Addresses that more than one pod has held. */
  readonly reused: number;
  readonly probes: readonly ProbeResult[];
  /** Probes whose source node died, and their counts with it. */
  readonly probesLost: number;
  readonly conflicts: readonly { readonly ip: string; readonly first: Tenure; readonly second: Tenure }[];
}

export class ChurnError extends Error {
  override readonly name = 'ChurnError';
}

/** Namespace of the pods that churn adds to probe from where every pod of the lab is itself churned. */
const PROBER_NAMESPACE = 'reroute-probe';

/** Time given to a pod to come up before the churn moves on without it, ms. */
const POD_TIMEOUT = 10_000;
const POD_POLL = 25;

/** A place that one pod after the other fills. */
interface Slot {
  /** The first of them. */
  readonly pod: Pod;
  /** Name of the one that is there now, or is to be. */
  name: string;
  readonly probes: Probe[];
  busy: boolean;
}

/**
 * Replaces pods at a steady rate while probes run between pods, then holds each answer against who held the
 * address. A replacement is what a Deployment does: the pod is deleted and one of another name with the same labels is
 * made on the same node, so that addresses are given back and given out again.
 */
export async function churn(lab: RunningLab, options: ChurnOptions): Promise<ChurnResult> {
  const { random } = options;
  const running = await runningPods(lab);
  const slots = selectPods(running, options.pods).map(
    (pod): Slot => ({ pod, name: pod.spec.name, probes: [], busy: false }),
  );
  if (slots.length === 0)
    throw new ChurnError('no running pod matches; reroute get pods --show-labels lists them');
  const bystanders = running.filter((pod) => !matches(options.pods, pod.spec.labels));
  const temporary = bystanders.length > 0 ? [] : await createProbers(lab);
  const sources = bystanders.length > 0 ? bystanders : temporary;

  const probes: Probe[] = [];
  const run = probeRun(lab);
  for (let i = 0; i < Math.min(options.probes, slots.length * sources.length); i++) {
    const slot = slots[i % slots.length]!;
    const others = sources.filter((source) => source.spec.node !== slot.pod.spec.node);
    const pool = others.length > 0 ? others : sources;
    const from = pool[random.int(0, pool.length - 1)]!;
    const probe = await Probe.start(lab, {
      id: `${run}-${i}`,
      from,
      to: slot.pod,
      interval: options.interval,
    });
    slot.probes.push(probe);
    probes.push(probe);
  }

  const replaced = await replaceSteadily(lab, slots, options);
  const reports = await Promise.all(probes.map(async (probe) => ({ probe, report: await probe.stop() })));
  const holders = await Holders.of(lab);
  const results = reports.flatMap(({ probe, report }) =>
    report === null ? [] : [probe.judge(report, holders)],
  );
  await Promise.all(temporary.map((pod) => lab.act({ type: 'pod.delete', ...identity(pod) })));
  return {
    replaced,
    reused: holders.reused,
    probes: results,
    probesLost: reports.length - results.length,
    conflicts: holders.conflicts(),
  };
}

async function replaceSteadily(
  lab: RunningLab,
  slots: readonly Slot[],
  options: ChurnOptions,
): Promise<number> {
  const { random, rate, duration, signal } = options;
  const end = lab.now() + duration;
  const pending: Promise<void>[] = [];
  let replaced = 0;
  for (let due = lab.now(); due < end; due += 1000 / rate) {
    if (due > lab.now()) await pause(lab, due - lab.now(), signal);
    if (signal?.aborted) break;
    const free = slots.filter((slot) => !slot.busy);
    const slot = free[random.int(0, Math.max(0, free.length - 1))];
    if (slot === undefined) continue;
    slot.busy = true;
    const done = replace(lab, slot, random).then((outcome) => {
      slot.busy = false;
      if (outcome === 'not running') return;
      replaced++;
      options.onReplaced?.(replaced);
    });
    // Whoever waits for all of them hears of it, and that is not now.
    done.catch(() => {});
    pending.push(done);
  }
  if (lab.now() < end) await pause(lab, end - lab.now(), signal);
  await Promise.all(pending);
  return replaced;
}

/** What has become of the successor: it may not come up, as on a node that has died. */
async function replace(lab: RunningLab, slot: Slot, random: Random): Promise<'running' | 'not running'> {
  const { name } = slot;
  const { namespace, node, labels } = slot.pod.spec;
  const successor = `${name.replace(/-[bcdfghjklmnpqrstvwxz2456789]{5}$/, '')}-${suffix(random)}`;
  await lab.act({ type: 'pod.delete', namespace, name, node });
  slot.name = successor;
  await lab.act({ type: 'pod.create', namespace, name: successor, node, labels });
  const pod = await awaitRunning(lab, node, namespace, successor);
  if (pod === null) return 'not running';
  for (const probe of slot.probes) await probe.retarget(pod.spec.uid, pod.status?.podIP ?? '');
  return 'running';
}

/** Five characters as Kubernetes appends them: no vowels, nothing that reads as another (rand.SafeEncodeString). */
function suffix(random: Random): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  return Array.from({ length: 5 }, () => alphabet[random.int(0, alphabet.length - 1)]).join('');
}

async function awaitRunning(
  lab: RunningLab,
  node: string,
  namespace: string,
  name: string,
): Promise<Pod | null> {
  const started = lab.now();
  while (lab.now() - started < POD_TIMEOUT) {
    const pods = await listPods(lab);
    const pod = pods.find(
      ({ spec }) => spec.node === node && spec.namespace === namespace && spec.name === name,
    );
    if (pod === undefined) return null;
    if (pod.status?.phase === 'Running') return pod;
    await lab.sleep(POD_POLL);
  }
  return null;
}

async function createProbers(lab: RunningLab): Promise<Pod[]> {
  const hosts = new Set((await listPods(lab)).map((pod) => pod.spec.node));
  const nodes = (await lab.nodes()).filter((node) => node.state === 'running' && hosts.has(node.name));
  const labels = { 'app.kubernetes.io/part-of': 'reroute' };
  const pods: Pod[] = [];
  for (const node of nodes) {
    const name = `prober-${node.name}`;
    await lab.act({ type: 'pod.create', namespace: PROBER_NAMESPACE, name, node: node.name, labels });
    const pod = await awaitRunning(lab, node.name, PROBER_NAMESPACE, name);
    if (pod !== null) pods.push(pod);
  }
  if (pods.length === 0) throw new ChurnError('no node is running that could probe');
  return pods;
}

function identity(pod: Pod): { readonly namespace: string; readonly name: string; readonly node: string } {
  const { namespace, name, node } = pod.spec;
  return { namespace, name, node };
}

export function describeMisdelivery(result: ChurnResult): string[] {
  return [
    ...result.conflicts.map(
      ({ ip, first, second }) =>
        `${ip}: held by ${first.pod} on ${first.node} and by ${second.pod} on ${second.node}`,
    ),
    ...result.probes
      .filter((probe) => probe.misdelivered > 0)
      .map(
        (probe) =>
          `${probe.from} -> ${probe.to}: ${probe.misdelivered} answers from pods that did not hold the address`,
      ),
  ];
}
