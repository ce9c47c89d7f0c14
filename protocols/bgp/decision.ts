import type { CompareMed } from './config.ts';
import { DEFAULT_LOCAL_PREF } from './constants.ts';
import type { Path } from './path.ts';

export interface DecisionOptions {
  readonly asn: number;
  readonly maximumPaths: number;
  readonly compareMed: CompareMed;
}

export interface Selection {
  readonly best: Path | null;
  /** Next hops to forward by, the best path's first; empty for a route of our own or none at all. */
  readonly nextHops: readonly number[];
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
  let paths = candidates.filter(isReachable);
  if (paths.length > 1) paths = leastBy(paths, (path) => -localPref(path));
  if (paths.length > 1) paths = leastBy(paths, (path) => (path.peer === null ? 0 : 1));
  if (paths.length > 1) paths = leastBy(paths, (path) => path.attributes.pathLength);
  if (paths.length > 1) paths = leastBy(paths, (path) => path.attributes.origin);
  if (paths.length > 1) paths = leastMed(paths, options);
  if (paths.length > 1) paths = leastBy(paths, (path) => (path.peer?.kind === 'internal' ? 1 : 0));
  if (paths.length > 1) paths = leastBy(paths, (path) => path.nextHop?.metric ?? 0);
  if (paths.length <= 1 || options.maximumPaths <= 1) {
    const best = tieBreak(paths);
    return best === undefined ? NONE : { best, nextHops: best.nextHop?.alone ?? [] };
  }
  // What is left is equal in all that concerns forwarding; AS_PATHs may differ as long as they are equally long.
  return { best: tieBreak(paths)!, nextHops: multipath(paths, options.maximumPaths) };
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
function compareTieBreaks(a: Path, b: Path): number {
  return (
    identifier(a) - identifier(b) ||
    a.attributes.clusterList.length - b.attributes.clusterList.length ||
    (a.peer?.address ?? 0) - (b.peer?.address ?? 0) ||
    a.pathId - b.pathId
  );
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
function multipath(paths: Path[], limit: number): readonly number[] {
  const nextHops: number[] = [];
  for (const path of paths.sort(compareTieBreaks)) {
    if (nextHops.length === limit) break;
    const addr = path.nextHop?.addr;
    if (addr !== undefined && !nextHops.includes(addr)) nextHops.push(addr);
  }
  return nextHops;
}
