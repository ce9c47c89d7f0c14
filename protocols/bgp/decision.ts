import { compareIp } from '../ip.ts';
import { type AsPath, formatAsPath } from './as-path.ts';
import { WellKnown } from './community.ts';
import type { CompareMed } from './config.ts';
import { DEFAULT_LOCAL_PREF } from './constants.ts';
import type { NextHopAddress } from './nexthops.ts';
import type { Path } from './path.ts';

export interface DecisionOptions {
  readonly asn: number;
  readonly maximumPaths: number;
  readonly compareMed: CompareMed;
  readonly multipathAsPath: 'relaxed' | 'same';
}

/** The steps of the decision process in their order, by what they look at. */
export const DECISION_STEPS = [
  'long-lived-stale',
  'local-pref',
  'local-origin',
  'as-path-length',
  'origin',
  'med',
  'external',
  'igp-metric',
  'router-id',
  'cluster-list-length',
  'peer-address',
  'path-id',
] as const;
export type DecisionStep = (typeof DECISION_STEPS)[number];

export interface Selection {
  readonly best: Path | null;
  /** Next hops to forward by, the best path's first; empty for a route of our own or none at all. */
  readonly nextHops: readonly NextHopAddress[];
}

const NONE: Selection = { best: null, nextHops: [] };

/**
 * The decision process of RFC 4271 §9.1.2.2 with RFC 4456 §9. Each step takes out of consideration the paths that are
 * worse than the best of those left, MED within each neighbour AS, so the outcome does not depend on the order in
 * which paths came. Candidates have been cleared of loops when they were learned.
 */
export function decide(candidates: readonly Path[], options: DecisionOptions): Selection {
  if (candidates.length === 1) {
    const only = candidates[0]!;
    return isReachable(only) ? { best: only, nextHops: only.nextHop?.alone ?? [] } : NONE;
  }
  let paths = leastByAll(candidates);
  for (const { keep } of LAST_STEPS) {
    if (paths.length <= 1) break;
    paths = keep(paths, options);
  }
  const best = tieBreak(paths);
  if (best === undefined) return NONE;
  if (paths.length === 1 || options.maximumPaths <= 1) return { best, nextHops: best.nextHop?.alone ?? [] };
  // What is left is equal in all that concerns forwarding.
  const equal =
    options.multipathAsPath === 'relaxed'
      ? paths
      : paths.filter((path) => sameAsPath(path.attributes.asPath, best.attributes.asPath));
  return { best, nextHops: multipath(equal, options.maximumPaths) };
}

/** Paths in order of preference, at most so many, reachable ones alone. */
export function rankPaths(candidates: readonly Path[], options: DecisionOptions, limit: number): Path[] {
  const left = candidates.filter(isReachable);
  const ranked: Path[] = [];
  while (left.length > 0 && ranked.length < limit) {
    const { best } = decide(left, options);
    if (best === null) break;
    ranked.push(best);
    left.splice(left.indexOf(best), 1);
  }
  return ranked;
}

/** Why each candidate is not the best: the step that took it out of consideration; null for the best, 'unreachable'. */
export function explain(
  candidates: readonly Path[],
  options: DecisionOptions,
): Map<Path, DecisionStep | 'unreachable' | null> {
  const verdicts = new Map<Path, DecisionStep | 'unreachable' | null>();
  let paths = candidates.filter(isReachable);
  for (const path of candidates) if (!paths.includes(path)) verdicts.set(path, 'unreachable');
  for (const { step, keep } of STEPS) {
    const kept = keep(paths, options);
    for (const path of paths) if (!kept.includes(path)) verdicts.set(path, step);
    paths = kept;
  }
  const best = tieBreak(paths);
  for (const path of paths) {
    verdicts.set(path, path === best || best === undefined ? null : tieBreakStep(path, best));
  }
  return verdicts;
}

interface Step {
  readonly step: DecisionStep;
  readonly keep: (paths: readonly Path[], options: DecisionOptions) => Path[];
}

/** The steps before MED is looked at, each by what it wants least of. RFC 9494 §4.3 comes before everything else. */
const RANKS: readonly (readonly [DecisionStep, (path: Path) => number])[] = [
  ['long-lived-stale', (path) => (isLongLivedStale(path) ? 1 : 0)],
  ['local-pref', (path) => -localPref(path)],
  ['local-origin', (path) => (path.peer === null ? 0 : 1)],
  ['as-path-length', (path) => path.attributes.pathLength],
  ['origin', (path) => path.attributes.origin],
];

const LAST_STEPS: readonly Step[] = [
  { step: 'med', keep: leastMed },
  { step: 'external', keep: (paths) => leastBy(paths, (path) => (path.peer?.kind === 'internal' ? 1 : 0)) },
  { step: 'igp-metric', keep: (paths) => leastBy(paths, (path) => path.nextHop?.metric ?? 0) },
];

const STEPS: readonly Step[] = [
  ...RANKS.map(([step, rank]): Step => ({ step, keep: (paths) => leastBy(paths, rank) })),
  ...LAST_STEPS,
];

/** The reachable paths that are left after the steps of `RANKS`, in one go: one after the other they order by the first that differs. */
function leastByAll(candidates: readonly Path[]): Path[] {
  let kept: Path[] = [];
  let least: Path | null = null;
  for (const path of candidates) {
    if (!isReachable(path)) continue;
    const order: number = least === null ? -1 : compareRanks(path, least);
    if (order < 0) {
      least = path;
      kept = [path];
    } else if (order === 0) kept.push(path);
  }
  return kept;
}

function compareRanks(a: Path, b: Path): number {
  for (const [, rank] of RANKS) {
    const difference = rank(a) - rank(b);
    if (difference !== 0) return difference;
  }
  return 0;
}

function isLongLivedStale(path: Path): boolean {
  return path.stale === 'long-lived' || path.attributes.communities.includes(WellKnown.llgrStale);
}

function sameAsPath(a: AsPath, b: AsPath): boolean {
  return formatAsPath(a) === formatAsPath(b);
}

function isReachable(path: Path): boolean {
  return path.peer === null || path.nextHop?.metric != null;
}

export function localPref(path: Path): number {
  return path.attributes.localPref ?? DEFAULT_LOCAL_PREF;
}

function leastBy(paths: readonly Path[], rank: (path: Path) => number): Path[] {
  let least = Number.POSITIVE_INFINITY;
  let kept: Path[] = [];
  for (const path of paths) {
    const value = rank(path);
    if (value < least) {
      least = value;
      kept = [path];
    } else if (value === least) {
      kept.push(path);
    }
  }
  return kept;
}

/** RFC 4271 §9.1.2.2 c: a path goes if another from the same neighbour AS has a lower MED; a missing one is 0. */
function leastMed(paths: readonly Path[], options: DecisionOptions): Path[] {
  const least = new Map<number, number>();
  const group = (path: Path) => (options.compareMed === 'always' ? 0 : neighborAs(path, options.asn));
  for (const path of paths) {
    const med = path.attributes.med ?? 0;
    const known = least.get(group(path));
    if (known === undefined || med < known) least.set(group(path), med);
  }
  return paths.filter((path) => (path.attributes.med ?? 0) === least.get(group(path)));
}

/** The AS the route was received from, by whichever speaker of ours received it; our own for one made in it. */
function neighborAs(path: Path, asn: number): number {
  return path.attributes.neighborAs ?? (path.peer?.kind === 'external' ? path.peer.asn : asn);
}

/** RFC 4271 §9.1.2.2 f, g; RFC 4456 §9; RFC 7911 for paths of one peer. */
const TIE_BREAKS: readonly (readonly [DecisionStep, (a: Path, b: Path) => number])[] = [
  ['router-id', (a, b) => identifier(a) - identifier(b)],
  ['cluster-list-length', (a, b) => a.attributes.clusterList.length - b.attributes.clusterList.length],
  ['peer-address', (a, b) => compareIp(a.peer?.address ?? 0, b.peer?.address ?? 0)],
  ['path-id', (a, b) => a.pathId - b.pathId],
];

function compareTieBreaks(a: Path, b: Path): number {
  for (const [, compare] of TIE_BREAKS) {
    const difference = compare(a, b);
    if (difference !== 0) return difference;
  }
  return 0;
}

function tieBreakStep(path: Path, best: Path): DecisionStep {
  const found = TIE_BREAKS.find(([, compare]) => compare(path, best) !== 0);
  return found?.[0] ?? 'path-id';
}

function identifier(path: Path): number {
  return path.attributes.originatorId ?? path.peer?.identifier ?? 0;
}

function tieBreak(paths: readonly Path[]): Path | undefined {
  let best = paths[0];
  for (const path of paths) if (best !== undefined && compareTieBreaks(path, best) < 0) best = path;
  return best;
}

/** The distinct next hops of equal paths, best path's first: two reflectors that pass on one route count once. */
function multipath(paths: Path[], limit: number): readonly NextHopAddress[] {
  const nextHops: NextHopAddress[] = [];
  for (const path of paths.sort(compareTieBreaks)) {
    if (nextHops.length === limit) break;
    const addr = path.nextHop?.addr;
    if (addr !== undefined && !nextHops.includes(addr)) nextHops.push(addr);
  }
  return nextHops;
}
