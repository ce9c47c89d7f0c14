import type { LabHome, LabStatus } from '../home.ts';

/** `status.json` of a lab, which tells others where its bus is and how it fares. */
export class StatusFile {
  readonly #home: LabHome;
  readonly #fixed: Pick<LabStatus, 'busOwner' | 'file'>;
  readonly #startedAt = Date.now();
  readonly #warnings: string[] = [];
  /** Where the bus is, once it is open. */
  bus: LabStatus['bus'] = { url: '', token: '' };

  constructor(home: LabHome, fixed: Pick<LabStatus, 'busOwner' | 'file'>) {
    this.#home = home;
    this.#fixed = fixed;
  }

  write(status: LabStatus['status'], error = ''): void {
    this.#home.writeStatus({
      name: this.#home.name,
      status,
      error,
      pid: process.pid,
      bus: this.bus,
      startedAt: this.#startedAt,
      ...this.#fixed,
      ...(this.#warnings.length === 0 ? {} : { warnings: this.#warnings }),
      shell: 'processes',
    });
  }

  /** Tells whoever watches now, and keeps it for who asks later: nobody reads what a lab in the background prints. */
  warn(text: string): void {
    process.stderr.write(`warning: ${text}\n`);
    this.#warnings.push(text);
    const status = this.#home.status();
    if (status !== null) this.write(status.status, status.error);
  }
}
