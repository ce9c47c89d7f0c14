import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { POWER_CUT, POWER_PIPE, type ProcessBoot } from '../../nodes/shell/boot.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The process of one node. It ends when the pipe to its standard input does: with whoever started it. */
export class NodeProcess {
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #sockets: 'emulated' | 'real';
  readonly #errorFile: string;
  /** Where in it this process begins: it is that of the node's earlier processes too. */
  readonly #errorStart: number;
  #leave: (exit: Exit) => void = () => {};

  /** `sockets`: whether real daemons have connections to it, which the host would close with the process. */
  constructor(program: string, boot: ProcessBoot, sockets: 'emulated' | 'real') {
    this.#sockets = sockets;
    this.#errorFile = `${boot.logFile}.stderr`;
    const errors = openSync(this.#errorFile, 'a');
    this.#errorStart = fstatSync(errors).size;
    this.#child = spawn(process.execPath, [program], {
      stdio: ['pipe', 'ignore', errors, ...(sockets === 'real' ? (['pipe'] as const) : [])],
      env: { ...process.env, REROUTE_NODE_BOOT: JSON.stringify(boot) },
    });
    closeSync(errors);
    // A pipe to a process that has just died is no error of ours.
    this.#child.stdin?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      this.#leave = resolve;
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', () => resolve({ code: -1, signal: null }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first error that it has told of, or the last line that it has written to stderr, and where all of them are. */
  lastWords(): string {
    const lines = readFileSync(this.#errorFile).subarray(this.#errorStart).toString().trim().split('\n');
    const word = lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
    return `${word === '' ? '' : `${word}; `}its log: ${this.#errorFile}`;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /**
   * A power cut: it says nothing more, and nobody says so. Where real daemons have connections to it the process stays and
   * holds them, dumb, until `bury`; to everyone else it has exited.
   */
  async cut(): Promise<void> {
    if (this.#sockets === 'emulated') return this.kill();
    const dumb = new Promise<void>((resolve) => {
      // The node closes its end of the pipe.
      const pipe = this.#child.stdio[POWER_PIPE];
      pipe?.once('close', () => resolve());
      if (pipe instanceof Readable) pipe.resume();
    });
    this.#child.stdin?.write(POWER_CUT);
    await Promise.race([dumb, this.exited]);
    this.#leave({ code: null, signal: 'SIGKILL' });
  }

  /** Ends what `cut` has left. */
  async bury(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** Ends it in order, by closing its standard input. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.exited;
  }
}
