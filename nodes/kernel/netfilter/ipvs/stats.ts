/** Rates are looked at every so many ms (`est_timer`). */
const TICK = 2_000;
/** Rates are whole numbers of 1/1024 a second; of bytes, which are many, 1/32. */
const FINE = 1_024;
const COARSE = 32;
const UNITS = [FINE, FINE, FINE, COARSE, COARSE];

/** What `ipvsadm --rate` shows. */
export interface IpvsRates {
  readonly cps: number;
  readonly inpps: number;
  readonly outpps: number;
  readonly inbps: number;
  readonly outbps: number;
}

/**
 * Counters of a service or a destination (`struct ip_vs_kstats`), and their rates as a moving average (ip_vs_est.c). Ticks that
 * have gone by are made up for when the next packet comes or somebody looks.
 */
export class IpvsStats {
  conns = 0;
  inpkts = 0;
  outpkts = 0;
  inbytes = 0;
  outbytes = 0;
  #next: number;
  readonly #last = [0, 0, 0, 0, 0];
  readonly #average = [0, 0, 0, 0, 0];

  constructor(now: number) {
    this.#next = now + TICK;
  }

  connected(now: number): void {
    if (now >= this.#next) this.#advance(now);
    this.conns++;
  }

  /** `bytes`: of the packet, its IP header included. */
  received(now: number, bytes: number): void {
    if (now >= this.#next) this.#advance(now);
    this.inpkts++;
    this.inbytes += bytes;
  }

  sent(now: number, bytes: number): void {
    if (now >= this.#next) this.#advance(now);
    this.outpkts++;
    this.outbytes += bytes;
  }

  /** `ip_vs_read_estimator` */
  rates(now: number): IpvsRates {
    if (now >= this.#next) this.#advance(now);
    const [cps = 0, inpps = 0, outpps = 0, inbps = 0, outbps = 0] = this.#average.map((value, i) =>
      Math.floor((value + UNITS[i]! / 2 - 1) / UNITS[i]!),
    );
    return { cps, inpps, outpps, inbps, outbps };
  }

  /** `ip_vs_zero_stats` */
  zero(): void {
    this.conns = this.inpkts = this.outpkts = this.inbytes = this.outbytes = 0;
    this.#last.fill(0);
    this.#average.fill(0);
  }

  #advance(now: number): void {
    const counts = [this.conns, this.inpkts, this.outpkts, this.inbytes, this.outbytes];
    const ticks = Math.floor((now - this.#next) / TICK) + 1;
    for (let i = 0; i < counts.length; i++) {
      const rate = (counts[i]! - this.#last[i]!) * (UNITS[i]! / (TICK / 1_000));
      let average = this.#average[i]!;
      average += Math.floor((rate - average) / 4);
      for (let idle = 1; idle < ticks && average > 0; idle++) average += Math.floor(-average / 4);
      this.#average[i] = average;
      this.#last[i] = counts[i]!;
    }
    this.#next += ticks * TICK;
  }
}
