import type { LabEvent } from '../../nodes/events/index.ts';
import type { RunningLab } from '../running-lab.ts';

/** One change of a best path, as the log has it. */
export interface BestChange {
  readonly at: number;
  readonly node: string;
  /** '' for no path. */
  readonly path: string;
}

/** Best paths that go round for ever. */
export interface Oscillation {
  readonly prefix: string;
  /** Length of one turn, ms. */
  readonly period: number;
  /** The changes of one turn, in order. */
  readonly cycle: readonly BestChange[];
}

/** Turns that have to be alike before it is called a cycle, and the most changes looked at. */
const TURNS = 3;
const WINDOW = 600;
/** Longest turn looked for, changes. */
const LONGEST = WINDOW / TURNS;

/**
 * Looks for prefixes whose best paths have been going round: the last changes are the same `TURNS` times over, in the
 * same order. Nodes change at times of their own, so that changes of one moment are taken in order of the node.
 */
export function findOscillations(changes: ReadonlyMap<string, readonly BestChange[]>): Oscillation[] {
  const found: Oscillation[] = [];
  for (const [prefix, all] of changes) {
    const sorted = [...all].sort((a, b) => a.at - b.at || (a.node < b.node ? -1 : 1));
    const recent = sorted.slice(-WINDOW);
    for (let length = 2; length <= LONGEST && length * TURNS <= recent.length; length++) {
      if (!isCycle(recent, length)) continue;
      const cycle = recent.slice(-length);
      const period = recent.at(-1)!.at - recent.at(-1 - length)!.at;
      found.push({ prefix, period, cycle: fromQuietest(cycle) });
      break;
    }
  }
  return found;
}

function isCycle(changes: readonly BestChange[], length: number): boolean {
  const end = changes.length;
  for (let i = 1; i <= length * (TURNS - 1); i++) {
    const [late, early] = [changes[end - i]!, changes[end - i - length]!];
    if (late.node !== early.node || late.path !== early.path) return false;
  }
  // A node that tells the same twice in a row goes nowhere.
  return new Set(changes.slice(-length).map(({ node, path }) => `${node} ${path}`)).size > 1;
}

/** Begins a turn where it reads best: at the first node by name. */
function fromQuietest(cycle: readonly BestChange[]): BestChange[] {
  let start = 0;
  for (const [i, { node, path }] of cycle.entries()) {
    const best = cycle[start]!;
    if (node < best.node || (node === best.node && path < best.path)) start = i;
  }
  return [...cycle.slice(start), ...cycle.slice(0, start)];
}

/** Every change of a best path in the logs of a lab, by prefix. */
export async function bestChanges(lab: RunningLab): Promise<Map<string, BestChange[]>> {
  const changes = new Map<string, BestChange[]>();
  for (const { name: node } of await lab.nodes()) {
    for await (const { at, event } of lab.records(node)) {
      const known = event as LabEvent;
      if (known.type !== 'bgp.best') continue;
      for (const change of known.changes) {
        const path = change.op === 'del' ? '' : `${change.peer} [${change.asPath}]`;
        const list = changes.get(change.prefix);
        if (list === undefined) changes.set(change.prefix, [{ at, node, path }]);
        else list.push({ at, node, path });
      }
    }
  }
  return changes;
}

/** The cycle for a person to read: who changes to which path, in turn. */
export function describeOscillation({ prefix, period, cycle }: Oscillation): string[] {
  const nodes = [...new Set(cycle.map(({ node }) => node))].sort();
  const head = `${prefix} oscillates: ${cycle.length} changes at ${nodes.join(', ')} go round every ${(period / 1000).toFixed(2)} s`;
  return [head, ...cycle.map(({ node, path }) => `${node}: ${path === '' ? 'no path' : `by ${path}`}`)];
}
