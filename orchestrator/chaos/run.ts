import { impairmentWords } from '../../nodes/impair.ts';
import type { Random } from '../../nodes/runtime.ts';
import { ActionError } from '../actions.ts';
import type { LabAction } from '../events.ts';
import { type Baseline, baseline, type Convergence, waitConverged } from '../observe/quiescence.ts';
import { findPod, listPods, type Pod, runningPods, selectPods } from '../pods.ts';
import { NodeDownError, type RunningLab, UnknownNodeError } from '../running-lab.ts';
import { parseSelector } from '../selector.ts';
import { isSelector } from './check.ts';
import { ChurnError, type ChurnResult, churn, describeMisdelivery } from './churn.ts';
import { Holders } from './holders.ts';
import { pause } from './pause.ts';
import { Probe, ProbeError, type ProbeResult, probeRun, reachable } from './probes.ts';
import type { ChaosFile, Endpoint, Step } from './schema.ts';

/** How one step ended. */
export type StepOutcome =
  | { readonly type: 'done'; readonly detail: string }
  | { readonly type: 'met'; readonly detail: string }
  | { readonly type: 'failed'; readonly detail: string };

export interface ChaosListener {
  onStep(index: number, text: string): void;
  onOutcome(index: number, outcome: StepOutcome): void;
}

export interface ChaosResult {
  /** Expectations that were not met, in words. Empty: the run passed. */
  readonly failures: readonly string[];
  readonly expectations: number;
  readonly probes: readonly ProbeResult[];
  /** Probes whose source node died, and their counts with it. */
  readonly probesLost: number;
  readonly churns: readonly ChurnResult[];
}

/** How often an expectation looks again before its time is up, ms. */
const RETRY = 100;
/** Pings under way at one time. */
const PAIRS_AT_ONCE = 64;

/** Runs a chaos file against a lab. Steps run in order; a step with `at` waits for its time first. */
export class ChaosRun {
  readonly #lab: RunningLab;
  readonly #file: ChaosFile;
  readonly #random: Random;
  readonly #failures: string[] = [];
  readonly #probes: Probe[] = [];
  readonly #churns: ChurnResult[] = [];
  #expectations = 0;
  #signal: AbortSignal | undefined;
  /** State before the last fault: what `converged within` measures from. */
  #since: Baseline | null = null;

  constructor(lab: RunningLab, file: ChaosFile, random: Random) {
    this.#lab = lab;
    this.#file = file;
    this.#random = random;
  }

  /** Aborting `signal` leaves out the steps that are left, which fails the run, and still reports. */
  async run(listener: ChaosListener, signal?: AbortSignal): Promise<ChaosResult> {
    this.#signal = signal;
    const started = this.#lab.now();
    for (const [i, step] of this.#file.steps.entries()) {
      if (step.at !== undefined && started + step.at > this.#lab.now()) {
        await pause(this.#lab, started + step.at - this.#lab.now(), signal);
      }
      if (signal?.aborted) {
        this.#failures.push(`${step.place}: interrupted before ${describeStep(step)}`);
        break;
      }
      listener.onStep(i, describeStep(step));
      const outcome = await this.#try(step);
      if (outcome.type === 'failed')
        this.#failures.push(`${step.place}: ${describeStep(step)}: ${outcome.detail}`);
      listener.onOutcome(i, outcome);
    }
    const reports = await Promise.all(
      this.#probes.map(async (probe) => ({ probe, report: await probe.stop() })),
    );
    const holders = await Holders.of(this.#lab);
    const probes = reports.flatMap(({ probe, report }) =>
      report === null ? [] : [probe.judge(report, holders)],
    );
    for (const probe of probes) {
      if (probe.misdelivered > 0) {
        this.#failures.push(
          `probe ${probe.from} -> ${probe.to}: ${probe.misdelivered} answers from pods that did not hold the address`,
        );
      }
    }
    return {
      failures: this.#failures,
      expectations: this.#expectations,
      probes,
      probesLost: reports.length - probes.length,
      churns: this.#churns,
    };
  }

  /** What the lab refuses, as to kill a node that is down, is a failure of the step and no end of the run. */
  async #try(step: Step): Promise<StepOutcome> {
    try {
      return await this.#step(step);
    } catch (error) {
      for (const refusal of [ActionError, UnknownNodeError, NodeDownError, ChurnError, ProbeError])
        if (error instanceof refusal) return { type: 'failed', detail: error.message };
      throw error;
    }
  }

  async #step(step: Step): Promise<StepOutcome> {
    switch (step.do) {
      case 'kill':
        return this.#act({ type: 'kill', node: step.node, how: step.how });
      case 'start':
        return this.#act({ type: 'start', node: step.node });
      case 'link':
        return this.#act({ type: 'link', node: step.node, device: step.device, carrier: step.carrier });
      case 'impair':
        for (const { node, device } of step.ports)
          await this.#act({ type: 'impair', node, device, change: step.change });
        return { type: 'done', detail: '' };
      case 'announce':
      case 'withdraw':
        return this.#act({ type: 'bgp', node: step.node, request: { op: step.do, prefix: step.prefix } });
      case 'wait':
        await pause(this.#lab, step.for, this.#signal);
        return { type: 'done', detail: '' };
      case 'probe':
        return this.#startProbes(step.from, step.to, step.every);
      case 'churn': {
        const { pods, rate, for: duration, probes, interval } = step;
        const selector = parseSelector(pods);
        const signal = this.#signal === undefined ? {} : { signal: this.#signal };
        const options = { pods: selector, rate, duration, probes, interval, random: this.#random, ...signal };
        const result = await churn(this.#lab, options);
        this.#churns.push(result);
        this.#since = await baseline(this.#lab);
        const wrong = describeMisdelivery(result);
        if (wrong.length > 0) return { type: 'failed', detail: wrong.join('; ') };
        return {
          type: 'done',
          detail: `${result.replaced} pods replaced, ${result.reused} addresses reused`,
        };
      }
      case 'converged': {
        this.#expectations++;
        const since = this.#since ?? (await baseline(this.#lab));
        const result = await waitConverged(this.#lab, { within: step.within, since });
        return convergedOutcome(result, step.within);
      }
      case 'reachable':
      case 'unreachable': {
        this.#expectations++;
        return this.#reach(step.do, step.from, step.to, step.within);
      }
    }
  }

  async #act(action: LabAction): Promise<StepOutcome> {
    this.#since = await baseline(this.#lab);
    await this.#lab.act(action);
    return { type: 'done', detail: '' };
  }

  async #startProbes(from: Endpoint, to: Endpoint, interval: number): Promise<StepOutcome> {
    const pods = await runningPods(this.#lab);
    const sources = resolve(pods, from);
    const targets = resolve(pods, to);
    const run = probeRun(this.#lab);
    let count = 0;
    for (const [i, source] of sources.entries()) {
      const others = targets.filter((target) => target !== source);
      const target = others[i % Math.max(1, others.length)];
      if (target === undefined) continue;
      const id = `${run}-${this.#probes.length}`;
      this.#probes.push(await Probe.start(this.#lab, { id, from: source, to: target, interval }));
      count++;
    }
    if (count === 0) return { type: 'failed', detail: 'no pair of running pods to probe between' };
    return { type: 'done', detail: `${count} probes` };
  }

  async #reach(
    want: 'reachable' | 'unreachable',
    from: Endpoint,
    to: Endpoint,
    within: number,
  ): Promise<StepOutcome> {
    const started = this.#lab.now();
    for (;;) {
      const pods = await listPods(this.#lab);
      const [sources, targets] = [resolve(pods, from), resolve(pods, to)];
      const pairs = sources.flatMap((source) =>
        targets.filter((target) => target !== source).map((target) => ({ source, target })),
      );
      const wrong = await this.#pairsOtherThan(want, pairs);
      if (pairs.length === 0)
        wrong.push(`no ${sources.length === 0 ? `pod matches ${from}` : `other pod matches ${to}`}`);
      if (wrong.length === 0) return { type: 'met', detail: `${pairs.length} pairs` };
      if (this.#lab.now() - started >= within)
        return { type: 'failed', detail: wrong.slice(0, 5).join('; ') };
      await this.#lab.sleep(RETRY);
    }
  }

  /** Tries every pair, many at a time, and tells which are not as wanted. */
  async #pairsOtherThan(want: 'reachable' | 'unreachable', pairs: readonly Pair[]): Promise<string[]> {
    const wrong: string[] = [];
    for (let i = 0; i < pairs.length; i += PAIRS_AT_ONCE) {
      const tried = pairs.slice(i, i + PAIRS_AT_ONCE).map(async ({ source, target }) => {
        const problem = await reachable(this.#lab, source, target);
        if ((problem === null) === (want === 'reachable')) return;
        wrong.push(`${source.spec.name} -> ${target.spec.name}: ${problem ?? 'answers'}`);
      });
      await Promise.all(tried);
    }
    return wrong;
  }
}

interface Pair {
  readonly source: Pod;
  readonly target: Pod;
}

function resolve(pods: readonly Pod[], endpoint: Endpoint): Pod[] {
  if (isSelector(endpoint)) return selectPods(pods, parseSelector(endpoint));
  const pod = findPod(pods, endpoint);
  return pod === undefined ? [] : [pod];
}

function convergedOutcome(result: Convergence, within: number): StepOutcome {
  if (!result.converged) {
    return {
      type: 'failed',
      detail: `not converged after ${Math.round(result.waited)} ms: ${result.reasons.slice(0, 3).join('; ')}`,
    };
  }
  if (result.after > within) {
    return {
      type: 'failed',
      detail: `converged after ${result.after.toFixed(1)} ms, not within ${within} ms`,
    };
  }
  const { after, updatesSent, fibChanges } = result;
  return { type: 'met', detail: `${after.toFixed(1)} ms, ${updatesSent} updates, ${fibChanges} FIB changes` };
}

export function describeStep(step: Step): string {
  switch (step.do) {
    case 'kill':
      return `kill ${step.node}${step.how === 'silent' ? ' --silent' : ''}`;
    case 'start':
      return `start ${step.node}`;
    case 'impair':
      return `${impairmentWords(step.change)} ${step.on}`;
    case 'link':
      return `link ${step.carrier} ${step.node}:${step.device}`;
    case 'announce':
    case 'withdraw':
      return `${step.do} ${step.prefix} at ${step.node}`;
    case 'wait':
      return `wait ${step.for} ms`;
    case 'probe':
      return `probe ${step.from} -> ${step.to} every ${step.every} ms`;
    case 'churn':
      return `churn ${step.pods}, ${step.rate}/s for ${step.for / 1000} s`;
    case 'converged':
      return `expect converged within ${step.within} ms`;
    case 'reachable':
    case 'unreachable':
      return `expect ${step.do} ${step.from} -> ${step.to}`;
  }
}
