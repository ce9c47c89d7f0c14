import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from '../bus/codec.ts';
import type { BusAddress } from '../bus/connection.ts';
import type { CompiledLab } from './lab/compiled.ts';

/** What stands in a lab's folder about its run. */
export interface LabStatus {
  readonly name: string;
  readonly status: 'starting' | 'running' | 'down' | 'failed';
  /** Why it failed, '' otherwise. */
  readonly error: string;
  /** Process of the supervisor. */
  readonly pid: number;
  readonly bus: BusAddress;
  /** A server of the lab's own, or one that the user named. */
  readonly busOwner: 'lab' | 'user';
  /** ms since the Unix epoch. */
  readonly startedAt: number;
  /** Lab file it came from. */
  readonly file: string;
  /** What has gone wrong since without ending the lab; absent in what an older version wrote. */
  readonly warnings?: readonly string[];
  /** Simulated labs have no processes; their log is in the folder. */
  readonly shell: 'processes' | 'simulator';
}

export class LabHomeError extends Error {
  override readonly name = 'LabHomeError';
}

/** Folder of all labs: REROUTE_HOME, else the user's state folder (XDG base directories). */
function labsFolder(): string {
  const { REROUTE_HOME, XDG_STATE_HOME } = process.env;
  return join(REROUTE_HOME ?? join(XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'reroute'), 'labs');
}

/** One lab's folder: its status, its compiled form, its NATS store, its logs. */
export class LabHome {
  readonly name: string;
  readonly folder: string;

  constructor(name: string) {
    this.name = name;
    this.folder = join(labsFolder(), name);
  }

  static all(): LabHome[] {
    if (!existsSync(labsFolder())) return [];
    return readdirSync(labsFolder(), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => new LabHome(entry.name))
      .filter((home) => home.status() !== null);
  }

  /**
   * The lab that a command means: the one named, else the only one that there is in the state asked for.
   * @throws LabHomeError
   */
  static choose(name: string | undefined, want: 'running' | 'any'): LabHome {
    if (name !== undefined) {
      const home = new LabHome(name);
      if (home.status() === null) throw new LabHomeError(`there is no lab ${name}; reroute ls lists them`);
      if (want === 'running' && !home.isRunning()) {
        throw new LabHomeError(`lab ${name} is not running; start it with: reroute up LAB.yaml`);
      }
      return home;
    }
    const running = LabHome.all().filter((home) => home.isRunning());
    const candidates = running.length > 0 || want === 'running' ? running : LabHome.all();
    const [only] = candidates;
    if (only === undefined) throw new LabHomeError('no lab is running; start one with: reroute up LAB.yaml');
    if (candidates.length > 1) {
      const names = candidates.map((home) => home.name).join(', ');
      throw new LabHomeError(`there are several labs (${names}); name one with --lab`);
    }
    return only;
  }

  get natsFolder(): string {
    return join(this.folder, 'nats');
  }

  /** Frames that the lab file's `record` asked for. */
  get recordingFolder(): string {
    return join(this.folder, 'frames');
  }

  logFile(node: string): string {
    return join(this.folder, 'logs', `${node}.log`);
  }

  /** Log of a simulated run. */
  get simulatedLog(): string {
    return join(this.folder, 'simulated.log');
  }

  /** Empties the folder for a new run. @throws LabHomeError if the lab is running. */
  reset(lab: CompiledLab): void {
    if (this.isRunning()) {
      throw new LabHomeError(
        `lab ${this.name} is already running; end it with: reroute down --lab ${this.name}`,
      );
    }
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(join(this.folder, 'logs'), { recursive: true });
    writeFileSync(join(this.folder, 'lab.msgpack'), encode(lab));
  }

  compiled(): CompiledLab {
    return decode(readFileSync(join(this.folder, 'lab.msgpack'))) as CompiledLab;
  }

  status(): LabStatus | null {
    const path = join(this.folder, 'status.json');
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as LabStatus) : null;
  }

  /** Replaces the status as a whole: a reader sees the old one or the new. */
  writeStatus(status: LabStatus): void {
    const path = join(this.folder, 'status.json');
    writeFileSync(`${path}.new`, `${JSON.stringify(status, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  isRunning(): boolean {
    const status = this.status();
    if (status === null || status.status === 'down' || status.status === 'failed') return false;
    return status.shell === 'processes' && isAlive(status.pid);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
