import type { ProbeReport } from '../../nodes/daemons/prober.ts';
import { type Pod, podName } from '../pods.ts';
import { NodeDownError, type RunningLab } from '../running-lab.ts';
import type { Holders } from './holders.ts';

/** A probe's path: packets at a steady rate from a pod to whatever pod fills a slot at the moment. */
export interface ProbePlan {
  readonly id: string;
  readonly from: Pod;
  /** The pod aimed at first; `retarget` follows its successors. */
  readonly to: Pod;
  /** Time between packets, ms. */
  readonly interval: number;
}

export interface ProbeResult {
  readonly from: string;
  readonly to: string;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  /** Longest time without an answer, ms. */
  readonly longestGap: number;
  /** Round-trip time of the median answer, ms. */
  readonly medianRtt: number;
  /** Answered by a pod that took over the address in the meantime: the sender's knowledge was old. */
  readonly answeredBySuccessor: number;
  /** Answered by a pod that did not hold the address: what must never happen. */
  readonly misdelivered: number;
}

/** Prefix for the names of probes that start now: those of a run that died before may still be running. */
export function probeRun(lab: RunningLab): string {
  return `probe-${Math.round(lab.now() * 1000).toString(36)}`;
}

export class ProbeError extends Error {
  override readonly name = 'ProbeError';
}

/** One running probe. */
export class Probe {
  readonly #lab: RunningLab;
  readonly #plan: ProbePlan;
  /** Target addresses in force, in order of time. */
  readonly #targets: { readonly at: number; readonly ip: string; readonly uid: string }[] = [];

  private constructor(lab: RunningLab, plan: ProbePlan) {
    this.#lab = lab;
    this.#plan = plan;
  }

  static async start(lab: RunningLab, plan: ProbePlan): Promise<Probe> {
    const probe = new Probe(lab, plan);
    const ip = plan.to.status?.podIP ?? '';
    if (ip === '') throw new ProbeError(`pod ${podName(plan.to)} has no address to probe`);
    // In force from the first packet on, whatever the node's clock says of it.
    probe.#targets.push({ at: Number.NEGATIVE_INFINITY, ip, uid: plan.to.spec.uid });
    const reply = await lab.command(plan.from.spec.node, {
      type: 'probe.start',
      probe: plan.id,
      pod: podName(plan.from),
      target: ip,
      interval: plan.interval,
    });
    if (reply.type === 'error') throw new ProbeError(`probe from ${podName(plan.from)}: ${reply.message}`);
    return probe;
  }

  /** Aims at the pod that has taken the slot. */
  async retarget(uid: string, ip: string): Promise<void> {
    this.#targets.push({ at: this.#lab.now(), ip, uid });
    try {
      await this.#lab.command(this.#plan.from.spec.node, {
        type: 'probe.target',
        probe: this.#plan.id,
        target: ip,
      });
    } catch (error) {
      if (!(error instanceof NodeDownError)) throw error;
    }
  }

  /** Ends the probe; null if its node died with what it had counted. */
  async stop(): Promise<ProbeReport | null> {
    try {
      const reply = await this.#lab.command(this.#plan.from.spec.node, {
        type: 'probe.stop',
        probe: this.#plan.id,
      });
      return reply.type === 'value' ? (reply.value as ProbeReport) : null;
    } catch (error) {
      if (error instanceof NodeDownError) return null;
      throw error;
    }
  }

  /** Holds what was answered against who held which address when. */
  judge(report: ProbeReport, holders: Holders): ProbeResult {
    let misdelivered = 0;
    let answeredBySuccessor = 0;
    let longestGap = 0;
    let lastAnswer = report.startedAt;
    const rtts: number[] = [];
    for (const result of report.results) {
      if (result.rtt === null) continue;
      const answeredAt = result.sentAt + result.rtt;
      rtts.push(result.rtt);
      longestGap = Math.max(longestGap, answeredAt - lastAnswer);
      lastAnswer = answeredAt;
      if (!holders.held(result.target, result.uid, result.sentAt, answeredAt)) misdelivered++;
      else if (this.#aimedAt(result.target, result.sentAt) !== result.uid) answeredBySuccessor++;
    }
    longestGap = Math.max(longestGap, report.stoppedAt - lastAnswer);
    rtts.sort((a, b) => a - b);
    return {
      from: podName(this.#plan.from),
      to: podName(this.#plan.to),
      sent: report.sent,
      received: report.received,
      lost: report.sent - report.received,
      longestGap,
      medianRtt: rtts[rtts.length >> 1] ?? Number.NaN,
      answeredBySuccessor,
      misdelivered,
    };
  }

  /** uid of the pod that a packet sent to an address at a time was meant for. */
  #aimedAt(ip: string, sentAt: number): string | undefined {
    return this.#targets.findLast((target) => target.ip === ip && target.at <= sentAt)?.uid;
  }
}

/** Pings one pod from another; null if it answers, else what ping said. */
export async function reachable(lab: RunningLab, from: Pod, to: Pod): Promise<string | null> {
  const ip = to.status?.podIP ?? '';
  if (ip === '') return `${podName(to)} has no address`;
  try {
    let output = '';
    const argv = ['ping', '-n', '-c', '1', '-W', '1', ip];
    const reply = await lab.command(
      from.spec.node,
      { type: 'exec', pod: podName(from), argv },
      {
        onReply: (part) => {
          if (part.type === 'stdout' || part.type === 'stderr') output += part.text;
        },
      },
    );
    if (reply.type === 'error') return reply.message;
    if (reply.type === 'exit' && reply.code === 0) return null;
    return output.trim().split('\n').at(-1) ?? 'ping failed';
  } catch (error) {
    if (error instanceof NodeDownError) return error.message;
    throw error;
  }
}
