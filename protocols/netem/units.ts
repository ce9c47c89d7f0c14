/** A share of one as tc writes it: `1%`, `0.5%`, `25`. Null for anything else. */
export function parsePercent(text: string): number | null {
  if (!/^\d+(\.\d+)?%?$/.test(text)) return null;
  const value = Number((Number(text.replace('%', '')) / 100).toPrecision(12));
  return value <= 1 ? value : null;
}

/** As tc prints it: the kernel has it as a share of 2³²-1. */
export function formatPercent(share: number): string {
  const whole = 0xffff_ffff;
  return `${Number(((Math.round(share * whole) / whole) * 100).toPrecision(6))}%`;
}

const TIME_UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  secs: 1000,
  ms: 1,
  msec: 1,
  msecs: 1,
  us: 0.001,
  usec: 0.001,
  usecs: 0.001,
};

/** A time of tc(8), ms; without a unit it is microseconds. */
export function parseTcTime(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(text);
  const unit = match?.[2] === '' ? TIME_UNITS.us : TIME_UNITS[match?.[2] ?? ''];
  return match === null || unit === undefined ? null : Number(match[1]) * unit;
}

/** As tc prints it (`sprint_time`). */
export function formatTcTime(ms: number): string {
  const us = ms * 1000;
  if (us >= 1_000_000) return `${Number((us / 1_000_000).toPrecision(3))}s`;
  if (us >= 1000) return `${Number((us / 1000).toPrecision(3))}ms`;
  return `${Math.round(us)}us`;
}

/** bit/s by unit. tc's `bps` is bytes a second. */
const RATE_UNITS: Readonly<Record<string, number>> = {
  bit: 1,
  kibit: 1024,
  kbit: 1e3,
  mibit: 1024 ** 2,
  mbit: 1e6,
  gibit: 1024 ** 3,
  gbit: 1e9,
  tibit: 1024 ** 4,
  tbit: 1e12,
  bps: 8,
  kibps: 8 * 1024,
  kbps: 8e3,
  mibps: 8 * 1024 ** 2,
  mbps: 8e6,
  gibps: 8 * 1024 ** 3,
  gbps: 8e9,
  tibps: 8 * 1024 ** 4,
  tbps: 8e12,
};

/** A rate of tc(8), bit/s; without a unit it is bit/s. */
export function parseRate(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([a-z]*)$/i.exec(text);
  const unit = match?.[2] === '' ? 1 : RATE_UNITS[match?.[2]?.toLowerCase() ?? ''];
  return match === null || unit === undefined ? null : Math.round(Number(match[1]) * unit);
}

/** As tc prints it (`tc_print_rate`): the largest unit that leaves no fraction, or less than a thousand. */
export function formatRate(bits: number): string {
  const units = ['', 'K', 'M', 'G', 'T'];
  let rate = bits;
  let unit = 0;
  while (unit < units.length - 1) {
    if (rate < 1000 || (rate % 1000 !== 0 && rate < 1_000_000)) break;
    rate = Math.floor(rate / 1000);
    unit++;
  }
  return `${rate}${units[unit]}bit`;
}
