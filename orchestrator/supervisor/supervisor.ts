import { decode, encode } from '../../bus/codec.ts';
import { NoResponderError, serveCommands } from '../../bus/commands.ts';
import type { BusServer } from '../../bus/server.ts';
import { bootSubject, goneSubject, readySubject } from '../../bus/subjects.ts';
import { type CommandReply, type Impairment, isFinal, type NodeCommand } from '../../nodes/commands.ts';
import type { NodeConfig } from '../../nodes/config.ts';
import { type EventId, NO_CAUSE } from '../../nodes/events/record.ts';
import { deriveSeed, seededRandom } from '../../nodes/random.ts';
import type { Random, StoreResult } from '../../nodes/runtime.ts';
import { configKey, type ReadyMessage } from '../../nodes/shell/boot.ts';
import type { StoreOp } from '../../nodes/store.ts';
import type { NetemParameters } from '../../protocols/netem/parameters.ts';
import { ActionError, type ActionHost, impairedOf, perform } from '../actions.ts';
import { ORCHESTRATOR, type OrchestratorEvent } from '../events.ts';
import { DaemonHost, type RunningDaemon } from '../external/daemon-host.ts';
import type { LabHome } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { isDaemon } from '../lab/external.ts';
import { farEnd } from '../lab/links.ts';
import { originateDumps } from '../mrt/originate.ts';
import {
  type CommandOptions,
  NodeDownError,
  type NodeInfo,
  type NodeState,
  ownAddresses,
} from '../running-lab.ts';
import { FrameRecording } from './frame-recording.ts';
import { LabBus } from './lab-bus.ts';
import { NodeProcess } from './node-process.ts';
import type { GoneMessage, SupervisorCommand, SupervisorReply } from './protocol.ts';
import { StatusFile } from './status-file.ts';
import { Turns } from './turns.ts';

export interface SupervisorOptions {
  readonly home: LabHome;
  readonly lab: CompiledLab;
  /** Lab file, for `reroute ls`. */
  readonly file: string;
  /** The node's bundle. */
  readonly nodeProgram: string;
  readonly bus:
    | { readonly type: 'own'; readonly program: string }
    | { readonly type: 'given'; readonly url: string; readonly token: string };
  readonly logLevel: string;
}

class StartError extends Error {
  override readonly name = 'StartError';
}

/** Processes that may be starting at one time: more would only make each other slow. */
const WAVE = 6;
const READY_TIMEOUT = 60_000;
/** A process that failed by itself is started again this often, with these waits between, ms. */
const RESTARTS = 5;
const RESTART_WAIT = 500;
const COMMAND_TIMEOUT = 10_000;

interface Supervised {
  config: NodeConfig;
  process: NodeProcess | RunningDaemon | null;
  /** What a power cut has left of its process. */
  remains: NodeProcess | null;
  state: NodeState;
  boot: number;
  restarts: number;
  /** Ended by us: no surprise when it goes. */
  expected: boolean;
  ready: (() => void) | null;
}

/** Runs one lab: its bus, its node processes, and everything that is done to them. */
export class Supervisor implements ActionHost {
  readonly random: Random;
  readonly pulled = new Set<string>();
  readonly impaired = new Map<string, Impairment>();
  readonly #options: SupervisorOptions;
  readonly #nodes = new Map<string, Supervised>();
  readonly #daemons: DaemonHost;
  readonly #turns = new Turns(WAVE);
  readonly #status: StatusFile;
  #opened: LabBus | null = null;
  #recording: FrameRecording | null = null;
  #down: Promise<void> | null = null;
  /** Resolves when the lab is down, whoever asked for it. */
  readonly ended: Promise<void>;
  #end!: () => void;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#daemons = new DaemonHost(options.home);
    const busOwner = options.bus.type === 'own' ? 'lab' : 'user';
    this.#status = new StatusFile(options.home, { busOwner, file: options.file });
    this.random = seededRandom(deriveSeed(options.lab.seed, ORCHESTRATOR));
    for (const config of options.lab.nodes) {
      const fresh = { process: null, remains: null, boot: 0, restarts: 0, expected: false, ready: null };
      this.#nodes.set(config.name, { config, state: 'down', ...fresh });
    }
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Starts the bus, then every node; resolves when all have booted and the pods are asked for. */
  async up(): Promise<void> {
    const { home, lab } = this.#options;
    home.reset(lab);
    this.#status.write('starting');
    try {
      for (const config of (await this.#daemons.place(lab)).nodes)
        this.#nodes.get(config.name)!.config = config;
      await this.#openBus();
      if (lab.record !== undefined)
        this.#recording = await FrameRecording.start(home, lab, lab.record, this.#bus.address, (text) =>
          this.#status.warn(text),
        );
      this.#status.write('running');
      const nodes = [...this.#nodes.keys()];
      const cause = this.record({ type: 'lab.started', lab: lab.name, seed: lab.seed, nodes });
      await Promise.all(nodes.map((node) => this.#launch(node, cause, 'together')));
      this.#bus.nc.publish(bootSubject(lab.name));
      await this.#bus.nc.flush();
      this.#recording?.followDevices();
      await this.#originate(lab.nodes, cause);
      await Promise.all(lab.pods.map((pod) => perform(this, { type: 'pod.create', ...pod })));
    } catch (error) {
      await this.down();
      this.#status.write('failed', error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  #originate(nodes: readonly NodeConfig[], cause: EventId): Promise<void> {
    return originateDumps(this, nodes, cause, (text) => this.#status.warn(text));
  }

  /** Ends the nodes, then the bus. The log and the store stay in the lab's folder. */
  down(): Promise<void> {
    this.#down ??= this.#takeDown();
    return this.#down;
  }

  async #takeDown(): Promise<void> {
    await this.#recording?.endDevices();
    for (const node of this.#nodes.values()) node.expected = true;
    await Promise.all(
      [...this.#nodes.values()].map(async (node) => {
        await node.remains?.bury();
        if (node.process === null) return;
        const kill = setTimeout(() => void node.process?.kill(), 5_000);
        await node.process.end();
        clearTimeout(kill);
      }),
    );
    await this.#recording?.end();
    if (this.#opened?.nc.isClosed() === false) {
      this.record({ type: 'lab.stopped' });
      await this.#opened.leave();
    }
    await this.#daemons.close();
    await this.#opened?.server?.stop();
    try {
      this.#status.write('down');
    } catch (error) {
      // Somebody has deleted the lab's folder under it, which is no reason to stay.
      process.stderr.write(`warning: ${error instanceof Error ? error.message : String(error)}\n`);
    }
    this.#end();
  }

  /** The lab's own NATS server, for faults on it; null where the user named one. */
  get server(): BusServer | null {
    return this.#opened?.server ?? null;
  }

  /** The bus, which is there from `up` on. */
  get #bus(): LabBus {
    if (this.#opened === null) throw new Error('the bus is not open yet');
    return this.#opened;
  }

  async #openBus(): Promise<void> {
    const { bus: source, home, lab } = this.#options;
    const bus = await LabBus.open(
      source.type === 'own' ? { ...source, folder: home.natsFolder } : source,
      lab.name,
    );
    this.#opened = bus;
    this.#status.bus = bus.address;
    bus.nc.subscribe(readySubject(lab.name), {
      callback: (error, message) => {
        if (error === null) this.#ready(decode(message.data) as ReadyMessage);
      },
    });
    serveCommands(bus.nc, lab.name, ORCHESTRATOR, (command, reply) => {
      void this.#serve(command as SupervisorCommand).then(reply);
    });
    await Promise.all(
      // A real daemon reads its configuration from a file.
      [...this.#nodes.values()]
        .filter(({ config }) => !isDaemon(config.role))
        .map(({ config }) =>
          bus.store.write({ op: 'put', key: configKey(config.name), value: config }, NO_CAUSE),
        ),
    );
  }

  async #serve(command: SupervisorCommand): Promise<SupervisorReply> {
    try {
      switch (command.type) {
        case 'nodes':
          return { type: 'value', value: this.nodes() };
        case 'act':
          return { type: 'value', value: await perform(this, command.action) };
        case 'sync':
          await this.#bus.sync();
          return { type: 'value', value: null };
        case 'down':
          // The answer goes out before the bus does.
          setImmediate(() => void this.down());
          return { type: 'value', value: null };
        default:
          return { type: 'error', name: 'Error', message: 'the supervisor knows no such command' };
      }
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      return { type: 'error', name, message };
    }
  }

  nodes(): NodeInfo[] {
    return [...this.#nodes.values()].map(({ config, state, boot, process: child }) => ({
      name: config.name,
      number: config.number,
      role: config.role,
      state,
      boot,
      pid: state === 'down' ? 0 : (child?.pid ?? 0),
      addresses: ownAddresses(config),
    }));
  }

  // ---- what actions need

  get nodeNames(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  stateOf(node: string): NodeState | undefined {
    return this.#nodes.get(node)?.state;
  }

  farEnd(node: string, device: string) {
    return farEnd(this.#options.lab, node, device);
  }

  hasDevice(node: string, device: string): boolean {
    return this.devicesOf(node).includes(device);
  }

  netemOf(node: string, device: string): NetemParameters | null {
    const interfaces = this.#nodes.get(node)?.config.interfaces;
    return interfaces?.find(({ name }) => name === device)?.netem ?? null;
  }

  devicesOf(node: string): readonly string[] {
    return this.#nodes.get(node)?.config.interfaces.map((iface) => iface.name) ?? [];
  }

  record(event: OrchestratorEvent, cause: EventId = NO_CAUSE): EventId {
    return this.#bus.record(event, cause);
  }

  async command(node: string, command: NodeCommand, options: CommandOptions = {}): Promise<CommandReply> {
    if (command.type === 'carrier') this.#checkCable(node, command.device);
    const envelope = { id: crypto.randomUUID(), command, cause: options.cause ?? NO_CAUSE };
    try {
      const reply = await this.#bus.client.request(node, envelope, {
        isFinal: (part) => isFinal(part as CommandReply),
        timeout: COMMAND_TIMEOUT,
      });
      return reply as CommandReply;
    } catch (error) {
      throw error instanceof NoResponderError ? new NodeDownError(node) : error;
    }
  }

  /** A real daemon notices what the other end of its cable does; on a segment there is no other end. */
  #checkCable(node: string, device: string): void {
    const role = this.#nodes.get(node)?.config.role;
    if (role === undefined || !isDaemon(role) || this.farEnd(node, device) !== null) return;
    throw new ActionError(
      `${node} is a real daemon on a segment: pull its neighbours' cables, or link it to them`,
    );
  }

  store(op: StoreOp, cause: EventId): Promise<StoreResult> {
    return this.#bus.store.write(op, cause);
  }

  async halt(name: string, how: 'reset' | 'silent'): Promise<void> {
    const node = this.#nodes.get(name);
    const child = node?.process;
    if (node === undefined || child === null || child === undefined) return;
    node.expected = true;
    if (how === 'silent' && child instanceof NodeProcess) {
      node.remains = child;
      await child.cut();
    } else await child.kill();
  }

  async startNode(name: string, cause: EventId): Promise<void> {
    await this.#launch(name, cause, 'at-once');
    await this.#originate(
      this.#options.lab.nodes.filter((node) => node.name === name),
      cause,
    );
  }

  /** Starts a node's process and resolves when it is ready to boot. */
  async #launch(name: string, cause: EventId, start: 'at-once' | 'together'): Promise<void> {
    const node = this.#nodes.get(name);
    if (node === undefined || node.state !== 'down') return;
    node.state = 'starting';
    await this.#turns.take(async () => {
      // Whose turn comes when the lab goes down, another node having failed, would outlive it.
      if (this.#down === null) await this.#spawn(node, cause, start);
    });
  }

  async #spawn(node: Supervised, cause: EventId, start: 'at-once' | 'together'): Promise<void> {
    const { home, lab, nodeProgram, logLevel } = this.#options;
    const { name } = node.config;
    node.boot++;
    node.expected = false;
    if (isDaemon(node.config.role)) {
      await this.#startDaemon(node);
      return;
    }
    await node.remains?.bury();
    node.remains = null;
    const isPeerOfDaemon = node.config.bgp?.neighbors.some(({ external }) => external !== undefined) === true;
    const launch = {
      lab: lab.name,
      node: name,
      bus: this.#bus.address,
      boot: node.boot,
      carrierDown: this.devicesOf(name).filter((device) => this.pulled.has(`${name}:${device}`)),
      impaired: impairedOf(this, name),
      start,
      cause,
      logFile: home.logFile(name),
      logLevel,
    };
    const child = new NodeProcess(nodeProgram, launch, isPeerOfDaemon ? 'real' : 'emulated');
    node.process = child;
    const ready = new Promise<'ready'>((resolve) => {
      node.ready = () => resolve('ready');
    });
    void child.exited.then((exit) => this.#exited(node, child, exit));
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'timeout'>((resolve) => {
      timer = setTimeout(() => resolve('timeout'), READY_TIMEOUT);
    });
    const outcome = await Promise.race([ready, timeout, child.exited]);
    clearTimeout(timer);
    if (outcome === 'ready') {
      node.state = 'running';
      return;
    }
    await child.kill();
    const how =
      outcome === 'timeout'
        ? `it was not ready within ${READY_TIMEOUT / 1_000} s`
        : `it exited with ${outcome.signal ?? outcome.code}`;
    throw new StartError(`node ${name} did not start, ${how}: ${child.lastWords()}`);
  }

  async #startDaemon(node: Supervised): Promise<void> {
    try {
      const daemon = await this.#daemons.launch(node.config, node.boot, this.#bus.nc);
      node.process = daemon;
      node.state = 'running';
      void daemon.exited.then((exit) => this.#exited(node, daemon, exit));
    } catch (error) {
      node.state = 'down';
      throw error;
    }
  }

  #ready(message: ReadyMessage): void {
    const node = this.#nodes.get(message.node);
    if (node === undefined || node.boot !== message.boot) return;
    node.ready?.();
    node.ready = null;
  }

  #exited(
    node: Supervised,
    child: NodeProcess | RunningDaemon,
    exit: { code: number | null; signal: string | null },
  ): void {
    if (node.process !== child) return;
    const surprise = !node.expected;
    const wasRunning = node.state === 'running';
    node.process = null;
    node.state = 'down';
    const { name } = node.config;
    if (this.#down !== null) return;
    this.#bus.nc.publish(goneSubject(this.#options.lab.name), encode({ node: name } satisfies GoneMessage));
    if (!surprise) return;
    const cause = this.record({ type: 'node.exited', node: name, ...exit });
    // Killed from outside is a power cut, and stays down until it is started. A process that failed by itself comes back.
    if (exit.signal !== null || exit.code === 0 || !wasRunning || node.restarts >= RESTARTS) return;
    node.restarts++;
    setTimeout(() => {
      if (this.#down === null && node.state === 'down') void this.startNode(name, cause).catch(() => {});
    }, RESTART_WAIT * node.restarts);
  }
}
