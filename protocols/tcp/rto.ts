export interface RtoLimits {
  /** Before the first measurement, ms (RFC 6298 §2.1: 1 s). */
  readonly rtoInitial: number;
  readonly rtoMin: number;
  readonly rtoMax: number;
}

/** Retransmission timeout, RFC 6298: smoothed round-trip time, its variance, back-off. Times in ms. */
export class RtoEstimator {
  readonly #limits: RtoLimits;
  #srtt = -1;
  #rttvar = 0;
  #rto: number;

  constructor(limits: RtoLimits) {
    this.#limits = limits;
    this.#rto = limits.rtoInitial;
  }

  get rto(): number {
    return this.#rto;
  }

  /** A round-trip time of a segment that was sent once only (Karn). */
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

  /**
   * The SYN was acknowledged, but had been repeated and so gave no measurement: if its timer expired, data starts from
   * three times the initial timeout (RFC 6298 §5.7: 1 s becomes 3 s).
   */
  unmeasured(): void {
    if (this.#rto > this.#limits.rtoInitial) this.#rto = this.#clamp(3 * this.#limits.rtoInitial);
  }

  /** Doubles the timeout after it expired (RFC 6298 §5.5). */
  backOff(): void {
    this.#rto = Math.min(this.#rto * 2, this.#limits.rtoMax);
  }

  #clamp(rto: number): number {
    return Math.min(Math.max(rto, this.#limits.rtoMin), this.#limits.rtoMax);
  }
}
