import { CommandHandler } from './command-handler.ts';
import type { NodeConfig } from './config.ts';
import type { LabEvent, LogRecord } from './events/index.ts';
import { EVENT_SCHEMA, type EventId, eventId, NO_CAUSE } from './events/record.ts';
import { ForwardingChanges } from './forwarding-changes.ts';
import type { NodeInput, NodeOutputs, NodeReport } from './machine-io.ts';
import { deriveSeed, seededRandom } from './random.ts';
import type { Random, Runtime, StoreResult } from './runtime.ts';
import type { NodeView } from './state/node-fold.ts';
import type { StoreOp } from './store.ts';
import { type Boot, NodeSystem } from './system.ts';
import { TimerQueue } from './timers.ts';

/**
 * One emulated node as a machine: inputs come in by `step`, effects go out by the outputs given at construction. It
 * reads no clock, no randomness but its own seeded generator, no socket; the same inputs at the same times give the
 * same outputs.
 */
export class NodeMachine implements Runtime {
  readonly random: Random;
  readonly timers: TimerQueue;
  cause: EventId;
  readonly #config: NodeConfig;
  readonly #boot: Boot;
  readonly #out: NodeOutputs;
  readonly #requests = new Map<number, ((result: StoreResult) => void) | undefined>();
  readonly #system: NodeSystem;
  readonly #commands: CommandHandler;
  readonly #forwardingChanges = new ForwardingChanges();
  #now = 0;
  #seq: number;
  #request = 0;
  #storeRevision = 0;
  #ended = false;

  constructor(config: NodeConfig, boot: Boot, outputs: NodeOutputs) {
    this.#config = config;
    this.#boot = boot;
    this.#out = outputs;
    this.#seq = boot.nextSeq;
    this.cause = boot.cause;
    this.random = seededRandom(deriveSeed(config.seed, `${config.name}/${boot.number}`));
    this.timers = new TimerQueue(() => this.cause);
    this.#system = new NodeSystem(this, config, boot, outputs, (ns) => this.#commands.namespaceRemoved(ns));
    const self = this;
    this.#commands = new CommandHandler(this, config, outputs, {
      system: this.#system,
      get lastSeq() {
        return self.#seq - 1;
      },
      report: () => this.report(),
      end: (how, answer) => this.#end(how, answer),
    });
  }

  get now(): number {
    return this.#now;
  }

  /** Patterns of the store keys that the shell is to watch for this node; known after the boot step. */
  get watches(): readonly string[] {
    const { cluster, dockerd } = this.#system;
    return [...(cluster?.watches ?? []), ...(dockerd?.watches ?? [])];
  }

  /** Time at which the machine wants a `time` input, `Infinity` if it wants none. */
  nextDeadline(): number {
    return this.#ended ? Number.POSITIVE_INFINITY : this.timers.next();
  }

  /** The one way in. `now` must not be less than at the last call. */
  step(input: NodeInput, now: number): void {
    if (this.#ended) return;
    this.#now = now;
    if (input.type === 'boot') {
      this.emit({ type: 'node.booted', boot: this.#boot.number, config: this.#config.name });
      this.#system.start();
    }
    this.#runTimers();
    this.#take(input);
    this.#runTimers();
    this.#system.dropReport.check();
  }

  #take(input: NodeInput): void {
    switch (input.type) {
      case 'batch':
        this.#system.bgpd?.holdDecisions();
        for (const one of input.inputs) if (!this.#ended) this.#take(one);
        this.cause = NO_CAUSE;
        this.#system.bgpd?.releaseDecisions();
        break;
      case 'frame':
        this.cause = input.cause;
        this.#system.kernel.receive(input.port, input.frame);
        break;
      case 'overrun':
        this.#system.kernel.drop('rx-queue-full', input.frames);
        break;
      case 'command':
        this.cause = input.cause;
        this.#commands.take(input.id, input.command);
        break;
      case 'store':
        this.cause = input.change.cause;
        if (input.change.key.startsWith('flannel.subnets.')) this.#sawRevision(input.change.revision);
        if (input.change.key.startsWith('docker.')) this.#system.dockerd?.storeChanged(input.change);
        else this.#system.cluster?.storeChanged(input.change);
        break;
      case 'stored': {
        const done = this.#requests.get(input.request);
        this.#requests.delete(input.request);
        done?.(input.result);
        break;
      }
      case 'external':
        this.cause = NO_CAUSE;
        this.#system.bgpd?.external(input.socket, input.event);
        break;
      case 'bfd':
        this.cause = NO_CAUSE;
        this.#system.bfdd.receiveReal(input.peer, input.payload);
        break;
      default:
    }
  }

  emit(event: LabEvent): EventId {
    const id = eventId(this.#config.number, this.#seq++);
    const record: LogRecord = { v: EVENT_SCHEMA, id, cause: Math.abs(this.cause), at: this.#now, event };
    this.#out.record(record);
    // A packet that is followed stays so.
    this.cause = this.cause < 0 ? -id : id;
    this.#forwardingChanges.seen(event, id, this.#now);
    return id;
  }

  store(op: StoreOp, done?: (result: StoreResult) => void): void {
    const request = ++this.#request;
    const cause = this.cause;
    this.#requests.set(request, (result) => {
      this.cause = cause;
      if (result.ok && op.key.startsWith('flannel.subnets.')) this.#sawRevision(result.revision);
      done?.(result);
    });
    this.#out.store(request, op, Math.abs(cause));
  }

  #sawRevision(revision: number): void {
    this.#storeRevision = Math.max(this.#storeRevision, revision);
  }

  #runTimers(): void {
    this.timers.run(this.#now, (fire, cause) => {
      if (this.#ended) return;
      this.cause = cause;
      fire();
    });
  }

  #end(how: 'halt' | 'exit', answer: () => void): void {
    // What TCP and ARP still hold for this very moment goes out first: whoever gets the answer may kill the process.
    this.#runTimers();
    answer();
    this.#ended = true;
    this.#out.end(how);
  }

  report(): NodeReport {
    const changes = this.#forwardingChanges;
    return {
      node: this.#config.name,
      boot: this.#boot.number,
      at: this.#now,
      storeRevision: this.#storeRevision,
      fibChanges: changes.count,
      lastFibChange: changes.lastAt,
      lastFibEvent: changes.last,
      ...this.#system.report(),
    };
  }

  /** The live state, in the shape that the fold of the log has. */
  snapshot(): NodeView {
    return this.#system.snapshot();
  }
}
