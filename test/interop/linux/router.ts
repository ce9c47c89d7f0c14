import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Out } from '../../support/router.ts';

const SCRIPT = fileURLToPath(new URL('router.py', import.meta.url));
const NEEDED = ['python3', 'ip', 'iptables', 'conntrack', 'sysctl'];

/** What is missing to have a router of the Linux kernel; null if nothing is. */
export function whyNoLinuxRouter(): string | null {
  const probe = NEEDED.map((tool) => `command -v ${tool}`).join(' && ');
  const { status } = spawnSync('unshare', [
    '-n',
    'sh',
    '-c',
    `${probe} && ip link add veth0 type veth peer name veth1 && iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP`,
  ]);
  return status === 0 ? null : `needs root, network namespaces and ${NEEDED.join(', ')}`;
}

/**
 * A router with two ports, 10.0.1.1/24 and 10.0.2.1/24, that knows the neighbours .2 to .8 of each; or a bridge of the two with
 * 10.0.1.1/24, whose neighbours have the MACs 02:00:00:00:02:02 to 08.
 */
export class LinuxRouter {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];

  private constructor(kind: 'router' | 'bridge', setUp: readonly string[]) {
    this.#process = spawn('unshare', ['-n', 'python3', SCRIPT]);
    this.#process.stderr.pipe(process.stderr);
    this.#lines = createInterface(this.#process.stdout);
    this.#lines.on('line', (line) => this.#waiting.shift()?.(line));
    this.#process.stdin.write(`${JSON.stringify([kind, setUp])}\n`);
  }

  /** In a network namespace of its own, set up by shell commands. */
  static async start(setUp: readonly string[], kind: 'router' | 'bridge' = 'router'): Promise<LinuxRouter> {
    const router = new LinuxRouter(kind, setUp);
    await router.#next();
    return router;
  }

  #next(): Promise<string> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #ask(request: unknown): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    return JSON.parse(await this.#next());
  }

  async send(port: number, frame: Uint8Array): Promise<Out[]> {
    const out = await this.#ask({ port, frame: Buffer.from(frame).toString('hex') });
    return (out as [number, string][]).map(([at, hex]) => ({
      port: at,
      frame: Uint8Array.from(Buffer.from(hex, 'hex')),
    }));
  }

  /** A shell command's stdout. */
  async run(command: string): Promise<string> {
    return String(await this.#ask({ run: command }));
  }

  stop(): void {
    this.#process.stdin.end();
  }
}
