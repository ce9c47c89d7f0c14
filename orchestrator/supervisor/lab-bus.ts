import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { CommandClient } from '../../bus/commands.ts';
import { connectBus } from '../../bus/connection.ts';
import { ensureLog, LogPublisher } from '../../bus/log.ts';
import { BusServer } from '../../bus/server.ts';
import { Store } from '../../bus/store.ts';
import { EVENT_SCHEMA, type EventId, eventId } from '../../nodes/events/record.ts';
import { type AnyRecord, ORCHESTRATOR, type OrchestratorEvent } from '../events.ts';

/** A bus that takes nothing does not keep a lab from going down, ms. */
const LEAVE_WITHIN = 5_000;

/** The NATS server of a lab: one of its own, or one that the user named. */
export type BusSource =
  | { readonly type: 'own'; readonly program: string; readonly folder: string }
  | { readonly type: 'given'; readonly url: string; readonly token: string };

interface Opened {
  readonly nc: NatsConnection;
  readonly store: Store;
  readonly client: CommandClient;
  readonly log: LogPublisher<AnyRecord>;
}

/** The supervisor's end of a lab's bus: the server where it is the lab's own, the store, commands, its own log. */
export class LabBus {
  /** Null where the user named one. */
  readonly server: BusServer | null;
  readonly address: { readonly url: string; readonly token: string };
  readonly nc: NatsConnection;
  readonly store: Store;
  readonly client: CommandClient;
  readonly #log: LogPublisher<AnyRecord>;
  #seq = 0;

  private constructor(server: BusServer | null, address: LabBus['address'], opened: Opened) {
    this.server = server;
    this.address = address;
    this.nc = opened.nc;
    this.store = opened.store;
    this.client = opened.client;
    this.#log = opened.log;
  }

  /** Starts the server if it is to be the lab's own, and connects. */
  static async open(source: BusSource, lab: string): Promise<LabBus> {
    const server = source.type === 'own' ? await BusServer.start(source) : null;
    const { url, token } = server ?? (source as Extract<BusSource, { type: 'given' }>);
    let nc: NatsConnection | null = null;
    try {
      nc = await connectBus({ url, token, name: ORCHESTRATOR, echo: 'on' });
      await ensureLog(nc, lab);
      const store = await Store.open(nc, lab);
      const log = new LogPublisher<AnyRecord>(nc, lab, ORCHESTRATOR);
      return new LabBus(server, { url, token }, { nc, store, log, client: new CommandClient(nc, lab) });
    } catch (error) {
      await nc?.close();
      await server?.stop();
      throw error;
    }
  }

  /** Appends to the orchestrator's log. */
  record(event: OrchestratorEvent, cause: EventId): EventId {
    const id = eventId(0, ++this.#seq);
    const at = performance.timeOrigin + performance.now();
    this.#log.append({ v: EVENT_SCHEMA, id, cause, at, event });
    return id;
  }

  /** Waits until what was recorded is stored. */
  sync(): Promise<void> {
    return this.#log.flush();
  }

  /** Disconnects when the end of the log is stored, unless there is nobody any more to store it. */
  async leave(): Promise<void> {
    const stored = new AbortController();
    const { signal } = stored;
    await Promise.race([
      this.#log.flush().then(() => this.nc.drain()),
      pause(LEAVE_WITHIN, null, { signal }),
    ]);
    stored.abort();
    if (this.nc.isClosed()) return;
    process.stderr.write(`warning: the bus has not stored the last ${this.#log.lag} events of the lab\n`);
    this.#log.abandon();
    await this.nc.close();
  }
}
