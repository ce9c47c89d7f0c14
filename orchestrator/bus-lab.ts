import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { decode } from '../bus/codec.ts';
import { CommandClient, NoResponderError } from '../bus/commands.ts';
import { type BusAddress, connectBus } from '../bus/connection.ts';
import { LogReader } from '../bus/log.ts';
import { Store } from '../bus/store.ts';
import { goneSubject } from '../bus/subjects.ts';
import { type CommandReply, isFinal, type NodeCommand } from '../nodes/commands.ts';
import { type EventId, NO_CAUSE } from '../nodes/events/record.ts';
import type { StoreValue } from '../nodes/store.ts';
import { ActionError } from './actions.ts';
import { type AnyRecord, type LabAction, ORCHESTRATOR } from './events.ts';
import {
  type CommandOptions,
  NodeDownError,
  type NodeInfo,
  type RunningLab,
  type StoreEntry,
  UnknownNodeError,
} from './running-lab.ts';
import type { GoneMessage, SupervisorCommand, SupervisorReply } from './supervisor/protocol.ts';

const QUICK_TIMEOUT = 20_000;
/** How much later than this connection another may be back after a restart of the bus, and time between two looks, ms. */
const RECONNECTED_WITHIN = 2_000;
const LOOK = 50;

/** The lab has no supervisor any more. */
export class LabGoneError extends Error {
  override readonly name = 'LabGoneError';
}

/** A lab of processes, seen over its bus by whoever has its address. */
export class BusLab implements RunningLab {
  readonly name: string;
  readonly reader: LogReader<AnyRecord>;
  readonly #nc: NatsConnection;
  readonly #client: CommandClient;
  readonly #store: Store;
  /** Commands under way, to be given up when their node goes. */
  readonly #pending = new Map<string, Set<(error: Error) => void>>();

  private constructor(name: string, nc: NatsConnection, store: Store) {
    this.name = name;
    this.#nc = nc;
    this.#client = new CommandClient(nc, name);
    this.#store = store;
    this.reader = new LogReader(nc, name);
    nc.subscribe(goneSubject(name), {
      callback: (error, message) => {
        if (error !== null) return;
        const { node } = decode(message.data) as GoneMessage;
        for (const reject of this.#pending.get(node) ?? []) reject(new NodeDownError(node));
      },
    });
  }

  static async attach(name: string, address: BusAddress): Promise<BusLab> {
    const nc = await connectBus({ ...address, name: 'cli', echo: 'on' });
    return new BusLab(name, nc, await Store.bind(nc, name));
  }

  async detach(): Promise<void> {
    this.#client.close();
    await this.#nc.close();
  }

  now(): number {
    return performance.timeOrigin + performance.now();
  }

  async sleep(ms: number): Promise<void> {
    await pause(Math.max(ms, 0));
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    return (await this.#supervisor({ type: 'nodes' })) as NodeInfo[];
  }

  async command(node: string, command: NodeCommand, options: CommandOptions = {}): Promise<CommandReply> {
    const id = crypto.randomUUID();
    const envelope = { id, command, cause: options.cause ?? NO_CAUSE };
    const interrupt = () => {
      const stop: NodeCommand = { type: 'interrupt', target: id };
      const request = { id: `${id}-stop`, command: stop, cause: NO_CAUSE };
      void this.#client.request(node, request, { isFinal: () => true }).catch(() => {});
    };
    options.signal?.addEventListener('abort', interrupt);
    const waiting = this.#pending.get(node) ?? new Set();
    this.#pending.set(node, waiting);
    let giveUp: (error: Error) => void = () => {};
    const gone = new Promise<never>((_resolve, reject) => {
      giveUp = reject;
      waiting.add(reject);
    });
    try {
      const answer = this.#client.request(node, envelope, {
        isFinal: (part) => isFinal(part as CommandReply),
        onPart: (part) => options.onReply?.(part as CommandReply),
        ...(command.type === 'exec' ? {} : { timeout: QUICK_TIMEOUT }),
      });
      return (await Promise.race([answer, gone])) as CommandReply;
    } catch (error) {
      if (!(error instanceof NoResponderError)) throw error;
      const known = (await this.nodes()).map((info) => info.name);
      throw known.includes(node) ? new NodeDownError(node) : new UnknownNodeError(node, known);
    } finally {
      waiting.delete(giveUp);
      options.signal?.removeEventListener('abort', interrupt);
    }
  }

  async act(action: LabAction): Promise<EventId> {
    return (await this.#supervisor({ type: 'act', action })) as EventId;
  }

  /** Asks the supervisor to take the lab down; it answers before it begins. */
  async down(): Promise<void> {
    await this.#supervisor({ type: 'down' });
  }

  async list(pattern: string): Promise<readonly StoreEntry[]> {
    const rows = await this.#store.list(pattern);
    return rows.map(({ key, value, revision }) => ({ key, value: value as StoreValue, revision }));
  }

  async *records(node: string): AsyncIterable<AnyRecord> {
    if (node === ORCHESTRATOR) await this.#supervisor({ type: 'sync' });
    else {
      try {
        await this.command(node, { type: 'sync' });
      } catch (error) {
        if (!(error instanceof NodeDownError)) throw error;
      }
    }
    yield* this.reader.read(node);
  }

  async #supervisor(command: SupervisorCommand): Promise<unknown> {
    const reply = await this.#ask(command, performance.now() + RECONNECTED_WITHIN);
    if (reply.type === 'value') return reply.value;
    throw new ActionError(reply.message);
  }

  /** After a restart of the bus this connection may be back before the supervisor's is. */
  async #ask(command: SupervisorCommand, deadline: number): Promise<SupervisorReply> {
    for (;;) {
      try {
        const options = { isFinal: () => true, timeout: 120_000 };
        return (await this.#client.request(ORCHESTRATOR, command, options)) as SupervisorReply;
      } catch (error) {
        if (!(error instanceof NoResponderError)) throw error;
      }
      if (performance.now() > deadline)
        throw new LabGoneError(
          `the supervisor of lab ${this.name} has gone; clean up with: reroute down --lab ${this.name}`,
        );
      await this.sleep(LOOK);
    }
  }
}
