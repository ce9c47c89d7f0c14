/** A line of the kernel's log. */
export interface LogLine {
  /** When, ms since the kernel came up. */
  readonly at: number;
  /** As syslog(2) numbers them: 0 emerg to 7 debug. */
  readonly level: number;
  readonly text: string;
}

/** Lines that are kept; the oldest go first, as from a ring of printk. */
const LINES_MAX = 2_048;

/**
 * What dmesg(1) reads: the lines that netfilter's LOG and TRACE and `log_martians` have written since the boot, of all namespaces
 * (`net.netfilter.nf_log_all_netns`). It is a look at events that the node's log has, and no state of its own.
 */
export class LogBuffer {
  #lines: LogLine[] = [];

  add(line: LogLine): void {
    this.#lines.push(line);
    if (this.#lines.length >= 2 * LINES_MAX) this.#lines = this.#lines.slice(-LINES_MAX);
  }

  lines(): readonly LogLine[] {
    return this.#lines.slice(-LINES_MAX);
  }

  clear(): void {
    this.#lines = [];
  }
}
