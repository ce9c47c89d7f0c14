/** Round-trip times and counts of a ping, in iputils' arithmetic: whole µs, integer division. */
export class PingStatistics {
  transmitted = 0;
  received = 0;
  duplicates = 0;
  errors = 0;
  /** Most packets that were on their way when an answer came. */
  pipe = 0;
  #replies = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  #sum = 0;
  #sumOfSquares = 0;

  /** Longest round trip, µs. */
  get max(): number {
    return this.#max;
  }

  /** Counts the time of a reply, first or duplicate, µs. */
  addTime(us: number): void {
    this.#replies++;
    this.#min = Math.min(this.#min, us);
    this.#max = Math.max(this.#max, us);
    this.#sum += us;
    this.#sumOfSquares += us * us;
  }

  /** An answer, good or bad, to packet number `seq`. */
  acknowledge(seq: number): void {
    const behind = (this.transmitted - seq) & 0xffff;
    if (behind <= 0x7fff) this.pipe = Math.max(this.pipe, behind + 1);
  }

  /** The block that ping ends with. `elapsed`: from the first packet sent to the last, ms. */
  format(target: string, elapsed: number): string {
    const { transmitted, received, duplicates, errors, pipe } = this;
    const parts = [`${transmitted} packets transmitted`, `${received} received`];
    if (duplicates > 0) parts.push(`+${duplicates} duplicates`);
    if (errors > 0) parts.push(`+${errors} errors`);
    if (transmitted > 0) {
      parts.push(`${sixDigits(((transmitted - received) * 100) / transmitted)}% packet loss`);
      parts.push(`time ${Math.floor(elapsed + 0.5)}ms`);
    }
    const tail: string[] = [];
    if (this.#replies > 0) tail.push(`rtt min/avg/max/mdev = ${this.#times()} ms`);
    if (pipe > 1) tail.push(`pipe ${pipe}`);
    return `\n--- ${target} ping statistics ---\n${parts.join(', ')}\n${tail.join(', ')}\n`;
  }

  #times(): string {
    const count = this.#replies;
    const average = Math.trunc(this.#sum / count);
    const variance = Math.trunc((this.#sumOfSquares - Math.trunc((this.#sum * this.#sum) / count)) / count);
    const deviation = Math.floor(Math.sqrt(Math.max(0, variance)));
    return [this.#min, average, this.#max, deviation].map((us) => milliseconds(us, 3)).join('/');
  }
}

/** printf's %g of a float. */
function sixDigits(value: number): string {
  return String(Number(Math.fround(value).toPrecision(6)));
}

function milliseconds(us: number, digits: number): string {
  const unit = 10 ** (3 - digits);
  const rounded = Math.trunc((us + unit / 2) / unit);
  const scale = 10 ** digits;
  if (digits === 0) return String(rounded);
  return `${Math.trunc(rounded / scale)}.${String(rounded % scale).padStart(digits, '0')}`;
}

/** A round trip as `time=` shows it, to three significant digits: 0.065, 1.23, 12.3, 123. */
export function formatTime(us: number): string {
  if (us >= 100_000 - 50) return milliseconds(us, 0);
  if (us >= 10_000 - 5) return milliseconds(us, 1);
  if (us >= 1000) return milliseconds(us, 2);
  return milliseconds(us, 3);
}
