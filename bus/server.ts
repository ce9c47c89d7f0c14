import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { BusAddress } from './connection.ts';

export interface ServerOptions {
  /** Executable. */
  readonly program: string;
  /** Folder for the configuration, the log and the JetStream store. */
  readonly folder: string;
}

/**
 * The server's heap is small and what passes through it is garbage at once: by Go's own measure it would spend most of its time
 * collecting it. With these its processor time falls to a quarter, for some 100 MB more.
 */
const COLLECTOR = { GOGC: '800', GOMEMLIMIT: '1GiB' };
const START_TIMEOUT = 30_000;
const LOOK = 5;
/** By this number a server takes a port of its own choice. One that was seen to be free may be another's by the time it begins. */
const ANY_PORT = -1;

/**
 * Waits on its standard input beside the server for the signal that is to end it: when whoever started it dies, even by
 * kill -9, the pipe closes and the server goes too. It ends when the server has, and holds no port any more.
 */
const GUARD = `
exec 3<&0
"$@" </dev/null &
server=$!
{ read -r signal <&3; kill -"\${signal:-TERM}" $server 2>/dev/null; } &
wait $server
`;

/** A NATS server of a lab's own: loopback only, a free port, a random token, JetStream in the lab's folder. */
export class BusServer implements BusAddress {
  readonly token = randomBytes(18).toString('base64url');
  readonly #options: ServerOptions;
  #port = ANY_PORT;
  #child: ChildProcess | null = null;

  private constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Starts a server and resolves when it takes connections. @throws Error with the server's own words. */
  static async start(options: ServerOptions): Promise<BusServer> {
    const server = new BusServer(options);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts it again, on the same port and store. */
  async start(): Promise<void> {
    const { folder, program } = this.#options;
    mkdirSync(folder, { recursive: true });
    // One that was killed has left its own there.
    rmSync(this.#portsFolder, { recursive: true, force: true });
    mkdirSync(this.#portsFolder);
    const config = join(folder, 'nats.conf');
    writeFileSync(config, this.#config(), { mode: 0o600 });
    const log = openSync(join(folder, 'nats.log'), 'a');
    // A process group of its own: Ctrl-C in the terminal must not take the bus from under an orderly end.
    const child = spawn('sh', ['-c', GUARD, 'sh', program, '-c', config], {
      stdio: ['pipe', log, log],
      detached: true,
      env: { ...COLLECTOR, ...process.env },
    });
    this.#child = child;
    child.once('exit', () => child.stdin?.destroy());
    const deadline = performance.now() + START_TIMEOUT;
    while (!(await this.#takesConnections())) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
        const last = readFileSync(join(folder, 'nats.log'), 'utf8').trim().split('\n').slice(-3).join('\n');
        throw new Error(`nats-server did not start:\n${last}`);
      }
      await pause(LOOK);
    }
  }

  /** Ends the server in order. */
  stop(): Promise<void> {
    return this.#end(() => this.#child?.stdin?.end());
  }

  /** Ends the server with SIGKILL, as a crash would. */
  kill(): Promise<void> {
    return this.#end(() => this.#child?.stdin?.write('KILL\n'));
  }

  async #end(how: () => void): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    how();
    await gone;
    this.#child = null;
  }

  get #portsFolder(): string {
    return join(this.#options.folder, 'ports');
  }

  async #takesConnections(): Promise<boolean> {
    if (this.#port === ANY_PORT) this.#port = chosenPort(this.#portsFolder) ?? ANY_PORT;
    return this.#port !== ANY_PORT && (await accepts(this.#port));
  }

  #config(): string {
    return [
      `listen: "127.0.0.1:${this.#port}"`,
      `ports_file_dir: ${JSON.stringify(this.#portsFolder)}`,
      `authorization { token: "${this.token}" }`,
      `jetstream { store_dir: ${JSON.stringify(join(this.#options.folder, 'jetstream'))} }`,
      'max_payload: 8MB',
      'max_pending: 512MB',
      'write_deadline: "60s"',
      'max_connections: 65536',
      '',
    ].join('\n');
  }
}

/** What a server has written of its port, in JSON: `{"nats": ["nats://127.0.0.1:40123"]}`; null while there is none, or but a part. */
function chosenPort(folder: string): number | null {
  const [name] = readdirSync(folder);
  const text = name === undefined ? '' : readFileSync(join(folder, name), 'utf8');
  const port = /"nats":\["nats:\/\/[^"]*:(\d+)"/.exec(text)?.[1];
  return port === undefined ? null : Number(port);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(port, '127.0.0.1');
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
