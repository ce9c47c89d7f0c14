import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { DaemonKind } from '../../nodes/config.ts';
import type { Exit } from '../supervisor/node-process.ts';
import {
  type DaemonConfig,
  DaemonError,
  type DaemonProgram,
  findExecutable,
  requireExecutable,
} from './program.ts';

/** FRR takes 2 ms for every line of a long configuration. */
const START_TIMEOUT = 60_000;
const LOOK = 20;
/** How long a daemon may take to say goodbye to its peers, ms. */
const END_TIMEOUT = 3_000;

/**
 * Runs the daemon, tells its process id on descriptor 3, and waits on its standard input: when whoever started it dies, even
 * by kill -9, the pipe closes and the daemon goes too. A stopped process has to go on to notice.
 */
const GUARD = `
exec 4<&0
"$@" </dev/null 3>&- 4<&- &
daemon=$!
echo $daemon >&3
exec 3>&-
{ cat <&4 >/dev/null; kill -TERM $daemon; kill -CONT $daemon; } 2>/dev/null &
wait $daemon
`;

export interface DaemonOptions {
  readonly program: DaemonProgram;
  readonly kind: DaemonKind;
  readonly config: DaemonConfig;
  /** For its configuration, sockets and core; made if it is not there. */
  readonly folder: string;
  readonly logFile: string;
  readonly start: 'first' | 'restarted';
}

/** A real BGP daemon that reroute has started. */
export class DaemonProcess {
  readonly exited: Promise<Exit>;
  readonly #options: DaemonOptions;
  readonly #child: ChildProcess;
  readonly #pid: Promise<number>;
  /** Where in the log its own words begin, bytes. */
  readonly #logStart: number;
  #knownPid = 0;
  #gone = false;
  #frozen = false;
  #leave!: (exit: Exit) => void;

  /** @throws DaemonError if it is not installed. */
  constructor(options: DaemonOptions) {
    const { program, kind, config, folder, logFile, start } = options;
    this.#options = options;
    const [executable = ''] = [program.executable, ...program.tools].map((name) =>
      requireExecutable(name, kind, program.debianPackage),
    );
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(program.files(config))) writeFileSync(join(folder, name), text);
    const log = openSync(logFile, 'a');
    this.#logStart = fstatSync(log).size;
    const argv = [executable, ...program.args(config, start)];
    // A process group of its own: Ctrl-C in the terminal is for the supervisor alone.
    const child = spawn('sh', ['-c', GUARD, 'sh', ...argv], {
      cwd: folder,
      stdio: ['pipe', log, log, 'pipe'],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    child.stdin?.on('error', () => {});
    this.#pid = new Promise((resolve) => {
      child.stdio[3]?.once('data', (text: Buffer) => {
        this.#knownPid = Number(String(text).trim());
        resolve(this.#knownPid);
      });
      child.once('exit', () => resolve(0));
    });
    this.exited = new Promise((resolve) => {
      this.#leave = resolve;
    });
    child.once('exit', (code, signal) => {
      this.#gone = true;
      child.stdin?.destroy();
      this.#leave(exitOf(code, signal));
    });
    child.once('error', () => this.#leave({ code: -1, signal: null }));
  }

  /** Of the daemon itself; 0 until it is known. */
  get pid(): number {
    return this.#knownPid;
  }

  /** Resolves when it answers its own command line. @throws DaemonError with the last lines of its log. */
  async ready(): Promise<void> {
    const { program, config } = this.#options;
    await this.#pid;
    const deadline = performance.now() + START_TIMEOUT;
    while ((await this.run(program.probe(config))).code !== 0) {
      if (this.#gone || performance.now() > deadline)
        throw new DaemonError(`${config.name}: ${this.#lastWords()}`);
      await pause(LOOK);
    }
    for (const line of program.afterStart(config)) {
      const { code, output } = await this.run(line);
      if (code !== 0) throw new DaemonError(`${config.name}: ${line.join(' ')}: ${output.trim()}`);
    }
    const complaint = program.complaint?.(this.#said());
    if (typeof complaint === 'string')
      throw new DaemonError(`${config.name}: ${program.title}: ${complaint}`);
  }

  /** Runs a command line in its folder to its end. */
  async run(line: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
    let output = '';
    const child = this.start(line, (text) => {
      output += text;
    });
    return { code: await ended(child), output };
  }

  /** Starts a command line in its folder. */
  start(line: readonly string[], onText: (text: string, from: 'stdout' | 'stderr') => void): ChildProcess {
    const [name = '', ...args] = line;
    const child = spawn(findExecutable(name) ?? name, args, {
      cwd: this.#options.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, VTYSH_PAGER: 'cat', VTYSH_HISTFILE: '/dev/null' },
    });
    for (const from of ['stdout', 'stderr'] as const) {
      child[from]?.setEncoding('utf8');
      child[from]?.on('data', (text: string) => onText(text, from));
    }
    return child;
  }

  /** SIGKILL: the host's kernel closes its connections, as after a crash. */
  async kill(): Promise<void> {
    await this.#signal('SIGKILL');
    await this.exited;
  }

  /**
   * As a power cut is to its peers: it says nothing more, and nobody says so. The process stays, stopped, until `bury`; to
   * everyone else it has exited.
   */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await this.#signal('SIGSTOP');
    this.#leave({ code: null, signal: 'SIGKILL' });
  }

  /** Ends what `freeze` has left. */
  async bury(): Promise<void> {
    if (!this.#frozen || this.#gone) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    await this.#signal('SIGKILL');
    await gone;
  }

  /** Ends it in order: it says goodbye to its peers. */
  async end(): Promise<void> {
    if (this.#frozen) return this.bury();
    if (this.#gone) return;
    const force = setTimeout(() => void this.#signal('SIGKILL'), END_TIMEOUT);
    this.#child.stdin?.end();
    await this.exited;
    clearTimeout(force);
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    const pid = await this.#pid;
    if (pid === 0 || this.#gone) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It has just gone by itself.
    }
  }

  #said(): string {
    return readFileSync(this.#options.logFile).subarray(this.#logStart).toString();
  }

  #lastWords(): string {
    const { program } = this.#options;
    const lines = this.#said().trim().split('\n').slice(-3).join('; ');
    return `${program.title} did not start: ${lines === '' ? 'it said nothing' : lines}`;
  }
}

/** sh gives a signal as 128 and its number. */
function exitOf(code: number | null, signal: NodeJS.Signals | null): Exit {
  if (code === 137) return { code: null, signal: 'SIGKILL' };
  return code === 143 ? { code: null, signal: 'SIGTERM' } : { code, signal };
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 128));
  });
}
