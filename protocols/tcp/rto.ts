export interface RtoLimits {
  /** Before the first measurement, ms (RFC 6298 §2.1: 1 s). */
  readonly rtoInitial: number;
  readonly rtoMin: number;
  readonly rtoMax: number;
}

const NONE = Number.POSITIVE_INFINITY;

/**
 * Retransmission timeout, RFC 6298: smoothed round-trip time, its variance, back-off. One segment at a time is timed,
 * and none that was sent twice (Karn). Times in ms.
 */
export class RtoEstimator {
  readonly #limits: RtoLimits;
  #srtt = -1;
  #rttvar = 0;
  #rto: number;
  /** Stream offset of the segment that is being timed. */
  #timed = NONE;
  #sentAt = 0;

  constructor(limits: RtoLimits) {
    this.#limits = limits;
    this.#rto = limits.rtoInitial;
  }

  get rto(): number {
    return this.#rto;
  }

  /** The timeout after some probes of a closed window. */
  backedOff(times: number): number {
    return Math.min(this.#rto * 2 ** times, this.#limits.rtoMax);
  }

  /** A segment goes out for the first time: times it, unless another is being timed. */
  sent(offset: number, now: number): void {
    if (this.#timed !== NONE) return;
    this.#timed = offset;
    this.#sentAt = now;
  }

  /** Something was sent again: what was being timed can no longer be. */
  discard(): void {
    this.#timed = NONE;
  }

  /** Everything before an offset has been acknowledged. */
  acknowledged(offset: number, now: number): void {
    if (offset <= this.#timed) return;
    this.measure(now - this.#sentAt);
    this.#timed = NONE;
  }

  /**
   * The SYN was acknowledged. If it had been repeated and so gave no measurement, and its timer expired, data starts
   * from three times the initial timeout (RFC 6298 §5.7: 1 s becomes 3 s).
   */
  synAcknowledged(now: number): void {
    if (this.#timed !== NONE) this.acknowledged(NONE, now);
    else if (this.#rto > this.#limits.rtoInitial) this.#rto = this.#clamp(3 * this.#limits.rtoInitial);
  }

  /** Doubles the timeout after it expired (RFC 6298 §5.5). */
  backOff(): void {
    this.#rto = this.backedOff(1);
    this.discard();
  }

  /** A round-trip time of a segment that was sent once only. */
  measure(rtt: number): void {
    if (this.#srtt < 0) {
      this.#srtt = rtt;
      this.#rttvar = rtt / 2;
    } else {
      this.#rttvar = 0.75 * this.#rttvar + 0.25 * Math.abs(this.#srtt - rtt);
      this.#srtt = 0.875 * this.#srtt + 0.125 * rtt;
    }
    this.#rto = this.#clamp(this.#srtt + 4 * this.#rttvar);
  }

  #clamp(rto: number): number {
    return Math.min(Math.max(rto, this.#limits.rtoMin), this.#limits.rtoMax);
  }
}
