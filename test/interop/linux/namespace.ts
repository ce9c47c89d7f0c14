import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatMac } from '../../../protocols/mac.ts';
import { NEIGHBOR_MAC, type Out, ROUTER_MAC } from '../../support/router.ts';
import type { Guest, LineListener, LineProcess } from './guest.ts';

const SCRIPT = fileURLToPath(new URL('namespace.py', import.meta.url));

export interface NamespaceOptions {
  /** Whether there is IPv6 in it. Default off. */
  readonly ipv6?: 'on' | 'off';
  /** The kernel that it is of, where not the machine's own. */
  readonly guest?: Guest;
}

export interface LinuxPort {
  readonly name: string;
  readonly mac?: number;
}

/** A network namespace of the Linux kernel whose ports are in the test's hands. */
export class LinuxNamespace {
  readonly #process: LineProcess;
  readonly #waiting: { readonly done: (line: string) => void; readonly failed: (why: Error) => void }[] = [];

  private constructor(ports: readonly LinuxPort[], setUp: readonly string[], options: NamespaceOptions) {
    const { guest, ...shape } = options;
    const listener: LineListener = {
      line: (line) => this.#waiting.shift()?.done(line),
      closed: (said) => {
        for (const { failed } of this.#waiting.splice(0))
          failed(new Error(`the namespace is gone:\n${said}`));
      },
    };
    this.#process = guest === undefined ? openHere(listener) : guest.open(listener);
    const list = ports.map(({ name, mac = ROUTER_MAC }) => [name, formatMac(mac), formatMac(NEIGHBOR_MAC)]);
    this.#process.write(JSON.stringify({ ports: list, setUp, ...shape }));
  }

  /** Ports that are up, then what the shell commands make. */
  static async start(
    ports: readonly LinuxPort[],
    setUp: readonly string[],
    options: NamespaceOptions = {},
  ): Promise<LinuxNamespace> {
    const namespace = new LinuxNamespace(ports, setUp, options);
    await namespace.#next();
    return namespace;
  }

  #next(): Promise<string> {
    return new Promise((done, failed) => this.#waiting.push({ done, failed }));
  }

  async #ask(request: unknown): Promise<unknown> {
    this.#process.write(JSON.stringify(request));
    return JSON.parse(await this.#next());
  }

  /** What comes out of the ports for a frame that is sent into one. */
  async send(port: number, frame: Uint8Array): Promise<Out[]> {
    return outOf(await this.#ask({ port, frame: Buffer.from(frame).toString('hex') }));
  }

  /** Sends frames, and takes what comes out, be it of itself: as soon as there is any, or nothing after so many ms. */
  async exchange(frames: readonly Out[], within: number): Promise<Out[]> {
    const sent = frames.map(({ port, frame }) => [port, Buffer.from(frame).toString('hex')]);
    return outOf(await this.#ask({ exchange: sent, within: within / 1_000 }));
  }

  /** A shell command's stdout, whatever its exit code. */
  async run(command: string): Promise<string> {
    return (await this.outcome(command)).stdout;
  }

  async outcome(
    command: string,
  ): Promise<{ readonly stdout: string; readonly code: number; readonly stderr: string }> {
    const [stdout, code, stderr] = (await this.#ask({ run: command })) as [string, number, string];
    return { stdout, code, stderr };
  }

  stop(): void {
    this.#process.end();
  }
}

function openHere(listener: LineListener): LineProcess {
  const process = spawn('unshare', ['-n', 'python3', SCRIPT]);
  let said = '';
  process.stderr.on('data', (data: Buffer) => {
    said += data.toString();
  });
  process.on('close', () => listener.closed(said));
  createInterface(process.stdout).on('line', (line) => listener.line(line));
  return { write: (line) => process.stdin.write(`${line}\n`), end: () => process.stdin.end() };
}

function outOf(answer: unknown): Out[] {
  return (answer as [number, string][]).map(([port, hex]) => ({
    port,
    frame: Uint8Array.from(Buffer.from(hex, 'hex')),
  }));
}

const HOSTS = [2, 3, 4, 5, 6, 7, 8];

/**
 * With two ports, 10.0.1.1/24 and 10.0.2.1/24, that knows the neighbours .2 to .8 of each; or a bridge of the two with
 * 10.0.1.1/24, whose neighbours have the MACs 02:00:00:00:02:02 to 08. What `EmulatedRouter` is for ours.
 */
export function startLinuxRouter(
  setUp: readonly string[],
  kind: 'router' | 'bridge' = 'router',
): Promise<LinuxNamespace> {
  const made =
    kind === 'router'
      ? ['v0', 'w0'].flatMap((dev, i) => [
          `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`,
          ...HOSTS.map(
            (host) => `ip neigh add 10.0.${i + 1}.${host} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
          ),
        ])
      : [
          'ip link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0',
          'ip link set v0 master br0; ip link set w0 master br0; ip addr add 10.0.1.1/24 dev br0; ip link set br0 up',
          ...HOSTS.map(
            (host) => `ip neigh add 10.0.1.${host} lladdr 02:00:00:00:02:0${host} dev br0 nud permanent`,
          ),
        ];
  return LinuxNamespace.start([{ name: 'v0' }, { name: 'w0' }], [...made, ...setUp]);
}
