import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const INIT = fileURLToPath(new URL('guest-init.sh', import.meta.url));

/** A namespace's program with lines in and out: a process of this machine, or one in a guest. */
export interface LineProcess {
  write(line: string): void;
  /** It may end. */
  end(): void;
}

export interface LineListener {
  line(line: string): void;
  /** With what it said on stderr. */
  closed(said: string): void;
}

/** Debian's `user-mode-linux`: a whole Linux kernel as a process, for what the machine's own was built without. */
export class Guest {
  readonly #process: ChildProcess;
  readonly #input: Writable;
  readonly #directory: string;
  readonly #listeners = new Map<number, LineListener>();
  /** `uname -r`, once it has booted. */
  readonly ready: Promise<string>;
  #number = 0;
  #said = '';

  /** Its root is the machine's, read-only; it has no network but what is made in it. */
  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'reroute-uml-'));
    const arguments_ = [
      ...['mem=256M', 'rootfstype=hostfs', 'ro', 'quiet', 'con=null', 'ssl=null', 'ssl0=fd:0,fd:1'],
      ...[`init=${INIT}`, `uml_dir=${this.#directory}`],
    ];
    this.#process = spawn('linux.uml', arguments_, { stdio: ['pipe', 'pipe', 'pipe'] });
    const [input, output, errors] = this.#process.stdio as [Writable, Readable, Readable, null, null];
    this.#input = input;
    // Written to while it goes away: its end is told by `close`.
    input.on('error', () => {});
    errors.on('data', (data: Buffer) => this.#complain(data.toString()));
    this.ready = new Promise((done, failed) => {
      this.#listeners.set(0, { line: (release) => done(release), closed: (said) => failed(new Error(said)) });
    });
    createInterface(output).on('line', (line) => this.#take(line));
    this.#process.on('error', (error) => this.#gone(error.message));
    this.#process.on('close', () => this.#gone(''));
  }

  #complain(text: string): void {
    this.#said = (this.#said + text).slice(-4_000);
  }

  #take(line: string): void {
    if (!line.startsWith('[')) {
      this.#complain(`${line}\n`);
      return;
    }
    const [number, told, said] = JSON.parse(line) as [number, string | null, string];
    const listener = this.#listeners.get(number);
    if (told !== null) listener?.line(told);
    else {
      this.#listeners.delete(number);
      listener?.closed(said);
    }
  }

  #gone(why: string): void {
    this.#complain(why);
    for (const listener of this.#listeners.values()) listener.closed(`the guest is gone:\n${this.#said}`);
    this.#listeners.clear();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A namespace.py in it. */
  open(listener: LineListener): LineProcess {
    this.#number += 1;
    const number = this.#number;
    this.#listeners.set(number, listener);
    const tell = (line: string | null) => this.#input.write(`${JSON.stringify([number, line])}\n`);
    return { write: tell, end: () => tell(null) };
  }

  /** It powers off. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = new Promise((done) => this.#process.once('close', done));
    this.#input.end();
    await closed;
  }
}
