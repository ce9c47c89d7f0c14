import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { OfBody } from '../../../protocols/openflow/message.ts';
import { eventually } from '../../support/eventually.ts';
import type { Out } from '../../support/router.ts';
import { OpenFlowClient } from './client.ts';

const exec = promisify(execFile);
const PATH = `${process.env.PATH}:/usr/sbin`;
const PCAP_HEADER = 24;
const RECORD_HEADER = 16;

/** What a program printed, standard error behind the rest, and how it ended. */
export interface Result {
  readonly text: string;
  readonly code: number;
}

/** Open vSwitch itself with one bridge, br0, in its userspace datapath with dummy ports: no privilege, no device, no service. */
export class OpenVswitch {
  readonly folder: string;
  readonly #ports: readonly string[];
  readonly #processes: ChildProcess[] = [];
  readonly #read = new Map<string, number>();
  #client!: OpenFlowClient;

  private constructor(ports: readonly string[]) {
    this.folder = mkdtempSync(join(tmpdir(), 'reroute-ovs-'));
    this.#ports = ports;
  }

  static async start(ports: readonly string[]): Promise<OpenVswitch> {
    const ovs = new OpenVswitch(ports);
    try {
      await ovs.#start();
    } catch (error) {
      await ovs.stop();
      throw error;
    }
    return ovs;
  }

  async #start(): Promise<void> {
    const { folder } = this;
    const db = join(folder, 'conf.db');
    await this.#run('ovsdb-tool', ['create', db, '/usr/share/openvswitch/vswitch.ovsschema']);
    this.#spawn('ovsdb-server', [db, `--remote=punix:${folder}/db.sock`, `--unixctl=${folder}/db.ctl`]);
    await this.#there('db.sock');
    await this.vsctl(['--no-wait', 'init']);
    this.#spawn('ovs-vswitchd', [
      `unix:${folder}/db.sock`,
      `--unixctl=${folder}/vswitchd.ctl`,
      '--disable-system',
      '--enable-dummy=override',
    ]);
    const id = 'other-config:datapath-id=0000000000000001';
    await this.vsctl([
      ...['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=dummy', 'protocols=OpenFlow13'],
      ...['fail-mode=secure', id, '--', 'set', 'interface', 'br0', `options:tx_pcap=${folder}/br0.pcap`],
      ...this.#ports.flatMap((port, i) => [
        ...['--', 'add-port', 'br0', port, '--', 'set', 'interface', port, 'type=dummy'],
        ...[`ofport_request=${i + 1}`, `options:tx_pcap=${folder}/${port}.pcap`],
      ]),
    ]);
    await this.#there('br0.mgmt');
    this.#client = await OpenFlowClient.connect(join(folder, 'br0.mgmt'));
    // Who has set this is sent packets.
    await this.#client.send([{ type: 'set_config', flags: 0, missSendLen: 0xffff }]);
    this.#frames();
  }

  /** Frames by port number from 1, LOCAL's as 0, and packets to the controller, that come of messages; and the answers to these. */
  async send(bodies: readonly OfBody[]): Promise<{ answers: OfBody[]; frames: Out[]; unasked: OfBody[] }> {
    // Open vSwitch 3.1 has ended by itself on a table that RUNS found.
    if (this.#processes.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null))
      throw new Error(`Open vSwitch itself has ended: ${this.folder}/ovs-vswitchd.log`);
    const answers = await this.#client.send(bodies);
    // Packets go to controllers at the beginning of the next turn of the main loop, before what is asked then; commands are
    // answered at the end of one.
    await this.appctl('version');
    await this.#client.send([]);
    return { answers, frames: this.#frames(), unasked: this.#client.unasked.splice(0) };
  }

  /** A command of ovs-appctl(8), over its socket. */
  async appctl(method: string, params: readonly string[] = []): Promise<void> {
    const socket = connect(join(this.folder, 'vswitchd.ctl'));
    socket.write(JSON.stringify({ method, params, id: 0 }));
    let answer = '';
    for await (const chunk of socket) {
      answer += chunk;
      if (isJson(answer)) break;
    }
    if (!answer.includes('"error":null')) throw new Error(`${method}: ${answer}`);
  }

  async ofctl(args: readonly string[]): Promise<Result> {
    return ofctl(args, this.folder);
  }

  async vsctl(args: readonly string[]): Promise<void> {
    await this.#run('ovs-vsctl', [`--db=unix:${this.folder}/db.sock`, ...args]);
  }

  async stop(): Promise<void> {
    this.#client?.close();
    for (const child of this.#processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  #spawn(program: string, args: readonly string[]): void {
    const child = spawn(program, [...args, '--log-file', '-vconsole:off'], {
      env: { ...process.env, ...environment(this.folder) },
      stdio: 'ignore',
    });
    this.#processes.push(child);
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    await exec(program, args, { env: { ...process.env, ...environment(this.folder) } });
  }

  async #there(name: string): Promise<void> {
    await eventually(`Open vSwitch takes connections at ${name} in ${this.folder}`, () =>
      takesConnections(join(this.folder, name)),
    );
  }

  /** What the ports have sent since the last time. */
  #frames(): Out[] {
    return ['br0', ...this.#ports].flatMap((name, port) => {
      const file = join(this.folder, `${name}.pcap`);
      if (!existsSync(file)) return [];
      const bytes = readFileSync(file);
      const frames: Out[] = [];
      let at = this.#read.get(name) ?? PCAP_HEADER;
      while (at + RECORD_HEADER <= bytes.length) {
        const end = at + RECORD_HEADER + bytes.readUInt32LE(at + 8);
        if (end > bytes.length) break;
        frames.push({ port, frame: bytes.subarray(at + RECORD_HEADER, end) });
        at = end;
      }
      this.#read.set(name, at);
      return frames;
    });
  }
}

/** The real ovs-ofctl; `folder` is where it finds br0. */
export async function ofctl(args: readonly string[], folder: string): Promise<Result> {
  try {
    const { stdout, stderr } = await exec('ovs-ofctl', ['-O', 'OpenFlow13', ...args], {
      env: { ...process.env, ...environment(folder) },
    });
    return { text: stdout + stderr, code: 0 };
  } catch (error) {
    const failed = error as { stdout?: string; stderr?: string; code?: unknown };
    if (typeof failed.code !== 'number') throw error;
    return { text: `${failed.stdout ?? ''}${failed.stderr ?? ''}`, code: failed.code };
  }
}

/** A socket is there a moment before it can be connected to. */
async function takesConnections(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function environment(folder: string): Record<string, string> {
  return { PATH, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder };
}
