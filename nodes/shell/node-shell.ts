import { closeSync, openSync } from 'node:fs';
import type { NatsConnection } from 'nats';
import { type Logger, pino } from 'pino';
import type { Subscription } from 'rxjs';
import { BlockPool } from '../../bus/blocks.ts';
import { encode } from '../../bus/codec.ts';
import { serveCommands } from '../../bus/commands.ts';
import { connectBus } from '../../bus/connection.ts';
import { LogPublisher, LogReader } from '../../bus/log.ts';
import { Store } from '../../bus/store.ts';
import { bootSubject, readySubject } from '../../bus/subjects.ts';
import { WirePort } from '../../bus/wire.ts';
import { parseMac } from '../../protocols/mac.ts';
import { type CommandEnvelope, type CommandReply, isFinal } from '../commands.ts';
import type { NodeConfig } from '../config.ts';
import type { LogRecord } from '../events/index.ts';
import { eventSeq } from '../events/record.ts';
import { NodeMachine } from '../machine.ts';
import type { NodeInput, NodeOutputs } from '../machine-io.ts';
import { NodeFold } from '../state/node-fold.ts';
import type { StoreValue } from '../store.ts';
import { configKey, POWER_CUT, POWER_PIPE, type ProcessBoot, type ReadyMessage } from './boot.ts';
import { ExternalBridge } from './external/bridge.ts';
import { Intake } from './intake.ts';

/**
 * Records that may be waiting for the log before the node takes no more input, and so also how many sequence numbers a
 * crash can have used without their events being stored.
 */
const MAX_LAG = 65_536;

/** The real shell: drives one machine with the bus and the system's clock. */
export class NodeShell {
  readonly #boot: ProcessBoot;
  readonly #log: Logger;
  readonly #waiting = new Map<string, (reply: CommandReply) => void>();
  readonly #watches: Subscription[] = [];
  #nc!: NatsConnection;
  #publisher!: LogPublisher<LogRecord>;
  #store!: Store;
  #machine!: NodeMachine;
  #intake!: Intake;
  #pool!: BlockPool;
  #ports: WirePort[] = [];
  #bridge!: ExternalBridge;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #booted = false;
  #ended = false;
  #dumb = false;

  constructor(boot: ProcessBoot) {
    this.#boot = boot;
    // Open from the beginning: whoever exits before a file is open fails to write what is left, and then does not exit.
    const destination = pino.destination({ dest: openSync(boot.logFile, 'a'), sync: false });
    this.#log = pino({ level: boot.logLevel, base: { lab: boot.lab, node: boot.node } }, destination);
  }

  /** Boots the node and returns; the process lives on with its connection. */
  async run(): Promise<void> {
    this.#guard();
    const { lab, node, bus, boot } = this.#boot;
    this.#nc = await connectBus({ ...bus, name: node, echo: 'off' });
    this.#pool = new BlockPool(this.#nc);
    this.#store = await Store.bind(this.#nc, lab);
    const row = await this.#store.get(configKey(node));
    if (row === null) throw new Error(`the store holds no configuration for node ${node}`);
    const config = row.value as NodeConfig;
    const past = boot === 1 ? { nextSeq: 1, disk: null } : await this.#readPast();
    this.#publisher = new LogPublisher(this.#nc, lab, node, (error) => {
      this.#log.warn({ err: error }, 'the log did not take a batch; sending it again');
    });
    const { carrierDown, impaired, cause } = this.#boot;
    const context = { number: boot, ...past, carrierDown, impaired, cause };
    this.#machine = new NodeMachine(config, context, this.#outputs(config));
    this.#intake = new Intake(
      (input) => this.#step(input),
      () => this.#booted && this.#publisher.lag < MAX_LAG / 2 && this.#pool.queue === 'room',
    );
    this.#bridge = new ExternalBridge(config.bgp?.neighbors ?? [], (input) => this.#intake.take(input));
    await this.#bridge.listen();
    this.#ports = config.interfaces.map((iface) => this.#openPort(config, iface));
    serveCommands(this.#nc, lab, node, (message, reply) => this.#command(message as CommandEnvelope, reply));
    const signal = this.#bootSignal();
    await this.#nc.flush();
    this.#nc.publish(readySubject(lab), encode({ node, boot } satisfies ReadyMessage));
    await signal;
    this.#booted = true;
    this.#step({ type: 'boot' });
    this.#watchStore();
    this.#intake.resume();
    this.#log.info({ boot, events: past.nextSeq - 1 }, 'booted');
  }

  /** Resolves when this node is to boot. What arrives before waits, as frames in a network card would. */
  #bootSignal(): Promise<void> {
    if (this.#boot.start === 'at-once') return Promise.resolve();
    return new Promise((resolve) => {
      this.#nc.subscribe(bootSubject(this.#boot.lab), { max: 1, callback: () => resolve() });
    });
  }

  /** Ends the process with whoever started it, and says why it ends when it must. */
  #guard(): void {
    process.stdin.resume();
    process.stdin.once('end', () => {
      if (this.#dumb) process.exit(0);
      this.#exit(0, 'the supervisor has gone');
    });
    process.stdin.on('data', (text) => {
      if (String(text) === POWER_CUT) this.#cutPower();
    });
    process.stdin.once('error', () => this.#exit(0, 'the supervisor has gone'));
    // Ctrl-C reaches the whole process group; the supervisor ends its nodes in order.
    process.on('SIGINT', () => {});
    process.on('SIGTERM', () => this.#exit(0, 'terminated'));
    const fail = (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      this.#log.fatal({ err: error }, 'the node has failed');
      this.#exit(70, 'failed');
    };
    process.on('uncaughtException', fail);
    process.on('unhandledRejection', fail);
  }

  /** What an earlier boot left: the disk as the log tells it, and the first sequence number that is surely unused. */
  async #readPast() {
    const { lab, node } = this.#boot;
    const fold = new NodeFold();
    let last = 0;
    for await (const record of new LogReader<LogRecord>(this.#nc, lab).read(node)) {
      fold.apply(record.event);
      last = eventSeq(record.id);
    }
    return { nextSeq: last + MAX_LAG + 1, disk: fold.disk() };
  }

  #openPort(config: NodeConfig, iface: NodeConfig['interfaces'][number]): WirePort {
    const { port, segment } = iface;
    const mac = parseMac(iface.mac) ?? 0;
    const options = { lab: this.#boot.lab, segment, mac, node: config.number, port };
    return new WirePort(this.#nc, this.#pool, options, (frame, cause) =>
      this.#intake.take({ type: 'frame', port, frame, cause }),
    );
  }

  #watchStore(): void {
    for (const pattern of this.#machine.watches) {
      const watch = this.#store.watch(pattern).subscribe({
        next: ({ key, value, revision, cause }) => {
          const change = { key, value: value as StoreValue | null, revision, cause };
          this.#intake.take({ type: 'store', change });
        },
        error: (error: unknown) => this.#log.error({ err: error, pattern }, 'a watch of the store has ended'),
      });
      this.#watches.push(watch);
    }
  }

  #command(message: CommandEnvelope, reply: (part: CommandReply) => void): void {
    const { id, command, cause } = message;
    if (id === undefined || command === undefined) {
      reply({ type: 'error', message: 'not a command: it has no id' });
      return;
    }
    this.#waiting.set(id, (part) => {
      if (isFinal(part)) this.#waiting.delete(id);
      // Whoever holds a snapshot against the log must find the log complete.
      if (command.type === 'snapshot' || command.type === 'sync')
        void this.#publisher.flush().then(() => reply(part));
      else reply(part);
    });
    this.#intake.take({ type: 'command', id, command, cause });
  }

  #step(input: NodeInput): void {
    if (this.#ended) return;
    this.#machine.step(input, clock());
    this.#flushPorts();
    this.#armTimer();
  }

  #flushPorts(): void {
    for (const port of this.#ports) port.flush();
  }

  #armTimer(): void {
    const deadline = this.#machine.nextDeadline();
    if (deadline === this.#timerAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAt = deadline;
    this.#timer = null;
    if (deadline === Number.POSITIVE_INFINITY) return;
    // Node rounds down to whole ms; to wake a little late is right, to wake early would be for nothing.
    const wait = Math.min(Math.max(Math.ceil(deadline - clock()), 0), 2 ** 31 - 1);
    this.#timer = setTimeout(() => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#timer = null;
      this.#intake.take({ type: 'time' });
    }, wait);
  }

  #outputs(config: NodeConfig): NodeOutputs {
    return {
      transmit: (port, frame, cause) => this.#ports[port]?.send(frame, cause, clock()),
      txQueue: () => this.#pool.queue,
      filter: (port, filter) => this.#ports[port]?.filter(filter),
      record: (record) => this.#publisher.append(record),
      store: (request, op, cause) => {
        void this.#store.write(op, cause).then((result) => {
          if (!result.ok && !result.conflict)
            this.#log.warn({ key: op.key, ...result }, 'the store did not take a write');
          this.#intake.take({ type: 'stored', request, result });
        });
      },
      reply: (id, reply) => {
        // What a node has sent is on its way before it says so.
        this.#flushPorts();
        this.#waiting.get(id)?.(reply);
      },
      external: (request) => this.#bridge.handle(request),
      end: (how) => {
        this.#log.info({ how, node: config.name }, 'ending');
        this.#exit(0, how);
      },
    };
  }

  /** To its peers it is gone without a word; but the process stays, for the host would tell real ones by closing its sockets. */
  #cutPower(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#dumb = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#bridge?.fallSilent();
    this.#publisher?.abandon();
    void this.#nc?.close().finally(() => closeSync(POWER_PIPE));
  }

  #exit(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#log.info({ reason }, 'exit');
    if (this.#nc === undefined) process.exit(code);
    // A power cut loses what is not stored; everything else gets a moment to store it.
    const last =
      reason === 'halt' || this.#publisher === undefined ? this.#nc.flush() : this.#publisher.flush();
    const done = () => process.exit(code);
    setTimeout(done, 2_000).unref();
    void last.then(() => this.#nc.flush()).then(done, done);
  }
}

const ORIGIN = performance.timeOrigin;

/** ms since the Unix epoch with the fraction that Date.now() lacks. */
function clock(): number {
  return ORIGIN + performance.now();
}
