/** Handshake messages that may wait (`MAX_QUEUED_INCOMING_HANDSHAKES`). */
const QUEUE = 4096;
/** With so many waiting an end is under load. */
const UNDER_LOAD = QUEUE / 8;
/** It counts as such for so long after, ms. */
const LINGERS = 1_000;
/** What a handshake takes, ms: two multiplications on Curve25519 and the like on one CPU. */
const COST = 0.1;

/**
 * Whether an interface has more handshakes to do than it can (`wg_receive_handshake_packet`). An emulated CPU takes no time, so the
 * queue in front of it is counted: it grows with each message and shrinks with time.
 */
export class Load {
  #queue = 0;
  #at = 0;
  #last = Number.NEGATIVE_INFINITY;

  /** A handshake message has come. */
  add(now: number): 'idle' | 'loaded' | 'full' {
    this.#queue = Math.max(0, this.#queue - (now - this.#at) / COST);
    this.#at = now;
    if (this.#queue >= QUEUE) return 'full';
    this.#queue++;
    if (this.#queue >= UNDER_LOAD) this.#last = now;
    return now - this.#last < LINGERS ? 'loaded' : 'idle';
  }
}

/** Handshakes of one address that are heeded under load, a second, and at once (`PACKETS_PER_SECOND`, `PACKETS_BURSTABLE`). */
const PER_SECOND = 20;
const BURST = 5;
/** More addresses than these are not told apart: what is idle is forgotten first. */
const MAX_ENTRIES = 8192;

/** A bucket of tokens for each address (drivers/net/wireguard/ratelimiter.c). */
export class RateLimiter {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  allows(source: string, now: number): boolean {
    const bucket = this.#buckets.get(source) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) * PER_SECOND) / 1_000);
    const allowed = tokens >= 1;
    this.#buckets.delete(source);
    this.#buckets.set(source, { tokens: allowed ? tokens - 1 : tokens, at: now });
    for (const [oldest] of this.#buckets) {
      if (this.#buckets.size <= MAX_ENTRIES) break;
      this.#buckets.delete(oldest);
    }
    return allowed;
  }
}
