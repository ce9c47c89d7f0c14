const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  µs: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

export class DurationError extends Error {
  override readonly name = 'DurationError';
}

/**
 * A length of time as Go writes it (`250us`, `5ms`, `1.5s`, `1m30s`, `24h`, `0`), in ms.
 * @throws DurationError for anything else, also for a number without a unit.
 */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?(us|µs|ms|s|m|h))+$/.test(text)) {
    throw new DurationError(`'${text}' is no duration; write a number and a unit: 200ms, 5s, 1m30s, 24h`);
  }
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(\D+)/g)) ms += Number(amount) * UNITS[unit!]!;
  return ms;
}

/** The shortest text that `parseDuration` reads as this many ms, to the microsecond: `1m30s`, `200ms`. */
export function formatDuration(ms: number): string {
  const us = Math.round(ms * 1000);
  if (us === 0) return '0s';
  if (us < 1000) return `${us}us`;
  if (us < 1_000_000) return `${us / 1000}ms`;
  const hours = Math.floor(us / 3_600_000_000);
  const minutes = Math.floor(us / 60_000_000) % 60;
  const seconds = (us % 60_000_000) / 1_000_000;
  return `${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes}m` : ''}${seconds > 0 ? `${seconds}s` : ''}`;
}
