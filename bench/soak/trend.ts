/** One look at a process: `at` in ms from its start, the rest in bytes, `heap` after a garbage collection. */
export interface Sample {
  readonly at: number;
  readonly rss: number;
  readonly heap: number;
}

export interface Trend {
  /** Bytes, the medians of the first and the last quarter of what is looked at. */
  readonly first: number;
  readonly last: number;
  /** Bytes an hour, the median of the slopes between all pairs of samples (Theil–Sen): a few that stand out do not matter. */
  readonly slope: number;
  readonly verdict: 'steady' | 'grows';
}

/** Share of the run in which tables fill and code is compiled. */
const WARM_UP = 1 / 4;
/** What a run may grow by before it is said to grow: as a share of what it holds, and in bytes. */
const TOLERATED_SHARE = 0.05;
const TOLERATED = 4 * 1024 * 1024;
const HOUR = 3_600_000;

/** What a run shows after its warm-up. @throws RangeError for fewer than eight samples. */
export function trendOf(samples: readonly { readonly at: number; readonly value: number }[]): Trend {
  const start = samples[0]?.at ?? 0;
  const end = samples.at(-1)?.at ?? 0;
  const warm = samples.filter(({ at }) => at >= start + (end - start) * WARM_UP);
  if (warm.length < 8) throw new RangeError(`${warm.length} samples tell of no trend`);
  const slopes: number[] = [];
  for (const [i, a] of warm.entries())
    for (const b of warm.slice(i + 1)) if (b.at > a.at) slopes.push((b.value - a.value) / (b.at - a.at));
  const slope = median(slopes);
  const quarter = Math.ceil(warm.length / 4);
  const first = median(warm.slice(0, quarter).map(({ value }) => value));
  const last = median(warm.slice(-quarter).map(({ value }) => value));
  const grown = slope * (end - (warm[0]?.at ?? 0));
  const verdict = grown > TOLERATED && grown > first * TOLERATED_SHARE ? 'grows' : 'steady';
  return { first, last, slope: slope * HOUR, verdict };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
