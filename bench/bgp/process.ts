import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Of the kernel's clock in a second, USER_HZ. */
const TICKS = 100;

export interface Usage {
  /** Peak of the resident set, bytes (VmHWM). */
  readonly peakRss: number;
  /** User and system time of all threads, s. */
  readonly cpu: number;
}

export interface ChildOptions {
  /** Working folder, and that of its output. */
  readonly folder: string;
  readonly channel: 'ipc' | 'none';
  readonly env?: NodeJS.ProcessEnv;
}

/** A child process that must not outlive the bench, with its output in a file. */
export class Child {
  readonly process: ChildProcess;
  readonly #log: string;
  readonly #gone: Promise<void>;
  readonly #abandon: () => void;

  constructor(program: string, args: readonly string[], { folder, channel, env = {} }: ChildOptions) {
    this.#log = `${folder}/output.log`;
    const log = openSync(this.#log, 'a');
    this.process = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: channel === 'ipc' ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
    });
    closeSync(log);
    this.#gone = new Promise((resolve) => {
      this.process.once('exit', () => resolve());
      this.process.once('error', () => resolve());
    });
    this.#abandon = () => this.process.kill('SIGKILL');
    process.once('exit', this.#abandon);
  }

  get running(): boolean {
    return (
      this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null
    );
  }

  /** The next message over the channel. @throws Error with its last words if it ends instead. */
  next<M>(): Promise<M> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`a process has ended: ${this.lastWords}`));
      this.process.once('exit', ended);
      this.process.once('message', (message) => {
        this.process.removeListener('exit', ended);
        resolve(message as M);
      });
    });
  }

  /** Last lines that it wrote, for an error message. */
  get lastWords(): string {
    return readFileSync(this.#log, 'utf8').trim().split('\n').slice(-8).join('\n');
  }

  get usage(): Usage {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    const kib = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]);
    const fields = statFields(this.process.pid ?? 0);
    return { peakRss: kib * 1024, cpu: (Number(fields?.[11]) + Number(fields?.[12])) / TICKS };
  }

  /** Asks it to end, and makes it when it does not within 10 s. */
  async stop(): Promise<void> {
    process.removeListener('exit', this.#abandon);
    if (!this.running) return;
    if (this.process.connected) this.process.disconnect();
    else this.process.kill('SIGTERM');
    const outcome = await Promise.race([this.#gone, pause(10_000, 'late', { ref: false })]);
    if (outcome === 'late') {
      this.process.kill('SIGKILL');
      await this.#gone;
    }
  }
}

/** Processor time since a moment, s. */
export interface Consumption {
  /** Of this process and all its descendants. */
  readonly own: number;
  /** Of everybody on the machine, what a hypervisor has kept counted too. */
  readonly all: number;
}

/** Shows whether others have disturbed a measurement, proc(5). Time that is spent in interrupts counts as nobody's. */
export function consumption(): Consumption {
  const [, user, nice, system, , , , , steal] = readFileSync('/proc/stat', 'utf8').split(/\s+/).map(Number);
  const parents = new Map<number, { readonly parent: number; readonly ticks: number }>();
  for (const name of readdirSync('/proc')) {
    const fields = /^\d+$/.test(name) ? statFields(Number(name)) : null;
    if (fields === null) continue;
    parents.set(Number(name), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
  }
  let own = 0;
  for (const [pid, { ticks }] of parents) {
    let ancestor: number | undefined = pid;
    while (ancestor !== undefined && ancestor !== process.pid) ancestor = parents.get(ancestor)?.parent;
    if (ancestor !== undefined) own += ticks;
  }
  const all = (user ?? 0) + (nice ?? 0) + (system ?? 0) + (steal ?? 0);
  return { own: own / TICKS, all: all / TICKS };
}

/** The fields of /proc/PID/stat behind the command, the state first; null if the process is gone. */
function statFields(pid: number): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/** A TCP port that nobody listens on at this address now. */
export function freePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, address, () => {
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
      server.close(() => resolve(port));
    });
  });
}
