import { z } from 'zod';
import type { ImpairmentChange } from '../../nodes/commands.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { formatDuration } from '../lab/duration.ts';
import { reportIssues } from '../lab/issues.ts';
import { readUserFile } from '../lab/load.ts';
import { netemChange, netemShape } from '../lab/netem.ts';
import { Reporter } from '../lab/problem.ts';
import { duration, endpoint, map, name, network } from '../lab/schema-types.ts';
import { readYaml } from '../lab/yaml-source.ts';
import { type Port, portsOf, portsProblem } from '../ports.ts';
import { StepChecker } from './check.ts';

/** A pod (`namespace/name` or `name`) or a label selector (`app=web`). */
export type Endpoint = string;

interface StepBase {
  /** Time from the start of the run, ms. */
  readonly at?: number;
  /** `FILE:LINE`, to point at it. */
  readonly place: string;
}

/** One step of a chaos file. Times in ms. */
export type Step = StepBase &
  (
    | { readonly do: 'kill'; readonly node: string; readonly how: 'reset' | 'silent' }
    | { readonly do: 'start'; readonly node: string }
    | { readonly do: 'link'; readonly node: string; readonly device: string; readonly carrier: 'up' | 'down' }
    | {
        readonly do: 'impair';
        readonly on: string;
        readonly ports: readonly Port[];
        readonly change: ImpairmentChange;
      }
    | { readonly do: 'announce' | 'withdraw'; readonly node: string; readonly prefix: string }
    | { readonly do: 'wait'; readonly for: number }
    | { readonly do: 'probe'; readonly from: Endpoint; readonly to: Endpoint; readonly every: number }
    | {
        readonly do: 'churn';
        readonly pods: string;
        /** A second. */
        readonly rate: number;
        readonly for: number;
        readonly probes: number;
        readonly interval: number;
      }
    | { readonly do: 'converged'; readonly within: number }
    | {
        readonly do: 'reachable' | 'unreachable';
        readonly from: Endpoint;
        readonly to: Endpoint;
        readonly within: number;
      }
  );

export interface ChaosFile {
  readonly name: string;
  readonly steps: readonly Step[];
}

const DEFAULT_INTERVAL = 50;
const DEFAULT_WITHIN = 30_000;

/** `5/s`, `0.5/s`, `30/m`. */
export function parseRate(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\/(s|m)$/.exec(text);
  if (match === null || Number(match[1]) === 0) return null;
  return Number(match[1]) / (match[2] === 's' ? 1 : 60);
}

const rate = z.unknown().transform((input, ctx): number => {
  const value = parseRate(String(input));
  if (value !== null) return value;
  ctx.addIssue({
    code: 'custom',
    message: `'${String(input)}' is no rate`,
    params: { mend: 'write it like 5/s or 30/m' },
  });
  return z.NEVER;
});

const pair = map({ from: z.string(), to: z.string(), within: duration.optional() });

const step = map({
  at: duration.optional(),
  kill: z.union([name, map({ node: name, silent: z.boolean().optional() })]).optional(),
  start: name.optional(),
  link: map({ down: endpoint.optional(), up: endpoint.optional() }).optional(),
  netem: map({ on: z.string(), reset: z.literal(true).optional(), ...netemShape }).optional(),
  cut: map({ on: z.string(), direction: z.enum(['in', 'out', 'both']).optional() }).optional(),
  mend: z.string().optional(),
  announce: map({ node: name, prefix: network }).optional(),
  withdraw: map({ node: name, prefix: network }).optional(),
  wait: duration.optional(),
  probe: map({ from: z.string(), to: z.string(), every: duration.optional() }).optional(),
  churn: map({
    pods: z.string(),
    rate,
    for: duration,
    probes: z.int().min(1).optional(),
    every: duration.optional(),
  }).optional(),
  expect: map({
    converged: map({ within: duration }).optional(),
    reachable: pair.optional(),
    unreachable: pair.optional(),
  }).optional(),
});

const chaosSchema = map({ name: z.string().optional(), steps: z.array(step).min(1) });

export type RawStep = z.infer<typeof step>;

/** @throws LabError with every problem and its place. */
export async function loadChaos(path: string, lab: CompiledLab): Promise<ChaosFile> {
  return parseChaos(await readUserFile(path, 'examples/churn.yaml is one to start from'), path, lab);
}

/**
 * Reads a chaos file for a lab.
 * @throws LabError with every problem and its place, also what the lab does not have.
 */
export function parseChaos(text: string, file: string, lab: CompiledLab): ChaosFile {
  const { raw, source, problems } = readYaml(text, file);
  const reporter = new Reporter(source);
  reporter.problems.push(...problems);
  const parsed = chaosSchema.safeParse(raw);
  if (!parsed.success) reportIssues(parsed.error.issues, raw, reporter);
  reporter.check();
  const data = parsed.data;
  if (data === undefined) throw new Error('a chaos file that did not parse has a problem');
  const checker = new StepChecker(lab, reporter);
  let latest = 0;
  const steps = data.steps.flatMap((entry, i): Step[] => {
    const path = ['steps', i];
    checker.check(entry, path);
    if (entry.at !== undefined && entry.at < latest) {
      const message = `earlier than the step above it, which is at ${formatDuration(latest)}`;
      reporter.problem([...path, 'at'], message, 'steps run in the order of the file');
    }
    latest = Math.max(latest, entry.at ?? 0);
    const actions = actionsOf(entry, lab);
    const [action] = actions;
    if (action === undefined || actions.length > 1) {
      const mend =
        'write one of kill, start, link, netem, cut, mend, announce, withdraw, wait, probe, churn, expect';
      const message = action === undefined ? 'a step without anything to do' : 'a step does one thing';
      reporter.problem(path, message, mend);
      return [];
    }
    const place = `${file}:${source.placeOf(path, 'value').line}`;
    return [{ ...action, place, ...(entry.at === undefined ? {} : { at: entry.at }) }];
  });
  reporter.check();
  return { name: data.name ?? file, steps };
}

type Action = Step extends infer S ? (S extends Step ? Omit<S, 'at' | 'place'> : never) : never;

function actionsOf(raw: RawStep, lab: CompiledLab): Action[] {
  const actions: Action[] = [];
  const { kill, start, link, netem, cut, mend, wait, probe, churn, expect } = raw;
  if (typeof kill === 'string') actions.push({ do: 'kill', node: kill, how: 'reset' });
  else if (kill !== undefined)
    actions.push({ do: 'kill', node: kill.node, how: kill.silent ? 'silent' : 'reset' });
  if (start !== undefined) actions.push({ do: 'start', node: start });
  for (const carrier of ['down', 'up'] as const) {
    const end = link?.[carrier];
    if (end !== undefined) actions.push({ do: 'link', node: end.node, device: end.iface, carrier });
  }
  const impair = (on: string, change: ImpairmentChange) => {
    const ports = portsProblem(lab, on) === null ? portsOf(lab, on) : [];
    actions.push({ do: 'impair', on, ports, change });
  };
  if (netem !== undefined) {
    const { on, reset, ...spec } = netem;
    impair(on, reset === true ? { op: 'reset' } : netemChange(spec));
  }
  if (cut !== undefined) impair(cut.on, { op: 'cut', cut: cut.direction ?? 'both' });
  if (mend !== undefined) impair(mend, { op: 'cut', cut: 'none' });
  for (const op of ['announce', 'withdraw'] as const) {
    const told = raw[op];
    if (told !== undefined) actions.push({ do: op, ...told });
  }
  if (wait !== undefined) actions.push({ do: 'wait', for: wait });
  if (probe !== undefined) {
    actions.push({ do: 'probe', from: probe.from, to: probe.to, every: probe.every ?? DEFAULT_INTERVAL });
  }
  if (churn !== undefined) {
    const { pods, rate: perSecond, for: length, probes = 8, every = DEFAULT_INTERVAL } = churn;
    actions.push({ do: 'churn', pods, rate: perSecond, for: length, probes, interval: every });
  }
  if (expect?.converged !== undefined) actions.push({ do: 'converged', within: expect.converged.within });
  for (const want of ['reachable', 'unreachable'] as const) {
    const ends = expect?.[want];
    if (ends !== undefined) {
      actions.push({ do: want, from: ends.from, to: ends.to, within: ends.within ?? DEFAULT_WITHIN });
    }
  }
  return actions;
}
