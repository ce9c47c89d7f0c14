/** How long an association lasts (`struct xfrm_lifetime_cfg`). At a soft limit somebody is told, at a hard one it is gone. */
export interface XfrmLimits {
  /** Infinity: none. */
  readonly softBytes: number;
  readonly hardBytes: number;
  readonly softPackets: number;
  readonly hardPackets: number;
  /** Seconds from when it was added, 0: none. */
  readonly softAdd: number;
  readonly hardAdd: number;
  /** Seconds from its first packet. */
  readonly softUse: number;
  readonly hardUse: number;
}

export const UNLIMITED: XfrmLimits = {
  softBytes: Number.POSITIVE_INFINITY,
  hardBytes: Number.POSITIVE_INFINITY,
  softPackets: Number.POSITIVE_INFINITY,
  hardPackets: Number.POSITIVE_INFINITY,
  softAdd: 0,
  hardAdd: 0,
  softUse: 0,
  hardUse: 0,
};

/** The limits that there are, for the log; null: none. */
export function limitFacts(limits: XfrmLimits): Readonly<Record<string, number>> | null {
  const there = Object.entries(limits).filter(
    ([, value]) => value !== 0 && value !== Number.POSITIVE_INFINITY,
  );
  return there.length === 0 ? null : Object.fromEntries(there);
}

export type Expiry = 'soft' | 'hard';

/** What an association has had of its lifetime. Times are ms at the node. */
export class Lifetime {
  readonly limits: XfrmLimits;
  readonly added: number;
  used: number | null = null;
  /** Of what was sealed in packets. */
  bytes = 0;
  packets = 0;
  /** The soft limit has been told of. */
  dying = false;

  constructor(limits: XfrmLimits, now: number) {
    this.limits = limits;
    this.added = now;
  }

  /** A packet is about to go: which limit it has come to (`xfrm_state_check_expire`). */
  check(now: number): Expiry | null {
    const { softBytes, hardBytes, softPackets, hardPackets } = this.limits;
    this.used ??= now;
    if (this.bytes >= hardBytes || this.packets >= hardPackets) return 'hard';
    return !this.dying && (this.bytes >= softBytes || this.packets >= softPackets) ? 'soft' : null;
  }

  count(bytes: number): void {
    this.bytes += bytes;
    this.packets++;
  }

  /** When time is next up, ms, and for what; null: never (`xfrm_timer_handler`). */
  next(): { readonly at: number; readonly expiry: Expiry } | null {
    const { softAdd, hardAdd, softUse, hardUse } = this.limits;
    const after = (from: number | null, seconds: number) =>
      from === null || seconds === 0 ? Number.POSITIVE_INFINITY : from + seconds * 1_000;
    const hard = Math.min(after(this.added, hardAdd), after(this.used, hardUse));
    const soft = this.dying
      ? Number.POSITIVE_INFINITY
      : Math.min(after(this.added, softAdd), after(this.used, softUse));
    if (hard === Number.POSITIVE_INFINITY && soft === hard) return null;
    return hard <= soft ? { at: hard, expiry: 'hard' } : { at: soft, expiry: 'soft' };
  }
}
