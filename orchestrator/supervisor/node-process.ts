import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { ProcessBoot } from '../../nodes/shell/boot.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The process of one node. It ends when the pipe to its standard input does: with whoever started it. */
export class NodeProcess {
  readonly #child: ChildProcess;
  readonly exited: Promise<Exit>;

  constructor(program: string, boot: ProcessBoot) {
    const errors = openSync(`${boot.logFile}.stderr`, 'a');
    this.#child = spawn(process.execPath, [program], {
      stdio: ['pipe', 'ignore', errors],
      env: { ...process.env, REROUTE_NODE_BOOT: JSON.stringify(boot) },
    });
    closeSync(errors);
    // A pipe to a process that has just died is no error of ours.
    this.#child.stdin?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', () => resolve({ code: -1, signal: null }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** Ends it in order, by closing its standard input. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.exited;
  }
}
