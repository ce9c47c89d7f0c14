import { type KV, type KvEntry, type NatsConnection, NatsError, StorageType } from 'nats';
import { lastValueFrom, map, type Observable, takeWhile } from 'rxjs';
import { decode, encode } from './codec.ts';
import { ANSWER_TIMEOUT, insistently, isTransient, TRIES } from './connection.ts';
import { storeBucket } from './subjects.ts';
import { type TailMessage, tail } from './tail.ts';

/** A row as it is: `value` null marks a deleted key. */
export interface StoreRow {
  readonly key: string;
  readonly value: unknown;
  readonly revision: number;
  readonly cause: number;
}

export type WriteResult =
  | { readonly ok: true; readonly revision: number }
  | { readonly ok: false; readonly conflict: true }
  | { readonly ok: false; readonly conflict: false; readonly error: string };

export type Write =
  | { readonly op: 'put' | 'create'; readonly key: string; readonly value: unknown }
  | { readonly op: 'update'; readonly key: string; readonly value: unknown; readonly revision: number }
  | { readonly op: 'delete'; readonly key: string; readonly revision?: number };

const WRONG_LAST_SEQUENCE = 10_071;

/** What stands in a row. The nonce tells a writer whose answer was lost whether its write arrived. */
interface Stored {
  readonly cause: number;
  readonly nonce: string;
  readonly value: unknown;
}

/** A lab's desired state and leases, on a JetStream KV bucket. Every value travels with the event that wrote it. */
export class Store {
  readonly #nc: NatsConnection;
  readonly #kv: KV;

  readonly #stream: string;
  readonly #prefix: string;

  private constructor(nc: NatsConnection, lab: string, kv: KV) {
    this.#nc = nc;
    this.#kv = kv;
    this.#stream = `KV_${storeBucket(lab)}`;
    this.#prefix = `$KV.${storeBucket(lab)}.`;
  }

  /** Opens the lab's bucket, creating it if it is not there. */
  static async open(nc: NatsConnection, lab: string): Promise<Store> {
    const { views } = nc.jetstream({ timeout: ANSWER_TIMEOUT });
    const options = { history: 1, storage: StorageType.File };
    return new Store(nc, lab, await insistently(() => views.kv(storeBucket(lab), options)));
  }

  /** Opens the bucket of a lab that is known to have one, without a round trip. */
  static async bind(nc: NatsConnection, lab: string): Promise<Store> {
    const js = nc.jetstream({ timeout: ANSWER_TIMEOUT });
    return new Store(nc, lab, await js.views.kv(storeBucket(lab), { bindOnly: true }));
  }

  async write(write: Write, cause: number): Promise<WriteResult> {
    const nonce = crypto.randomUUID();
    for (let tries = 1; ; tries++) {
      try {
        return { ok: true, revision: await this.#apply(write, cause, nonce) };
      } catch (error) {
        if (error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE) {
          const landed = tries > 1 ? await this.#landed(write.key, nonce) : null;
          return landed === null ? { ok: false, conflict: true } : { ok: true, revision: landed };
        }
        if (tries === TRIES || !isTransient(error)) {
          return {
            ok: false,
            conflict: false,
            error: error instanceof Error ? error.message : String(error),
          };
        }
      }
    }
  }

  /** Revision of the row if it is the one that this write made. */
  async #landed(key: string, nonce: string): Promise<number | null> {
    const entry = await insistently(() => this.#kv.get(key));
    return entry !== null && entry.operation === 'PUT' && stored(entry).nonce === nonce
      ? entry.revision
      : null;
  }

  async get(key: string): Promise<StoreRow | null> {
    const entry = await insistently(() => this.#kv.get(key));
    if (entry === null || entry.operation !== 'PUT') return null;
    return rowOf(entry);
  }

  /** The rows whose keys match a pattern (`*` one token, `>` the rest), as of now. */
  async list(pattern: string): Promise<StoreRow[]> {
    const subject = this.#subject(pattern);
    // What a consumer says is still pending is wrong for good once a row is replaced under it (nats-server 2.9): the
    // subjects that there are tell what has to come. A row replaced meanwhile comes again, a deleted one as its marker.
    const awaited = new Set(await this.#subjects(subject));
    if (awaited.size === 0) return [];
    const last = new Map<string, StoreRow>();
    const messages = tail(this.#nc, this.#stream, subject, 'last-of-each').pipe(
      takeWhile((message) => {
        last.set(message.subject, this.#rowOf(message));
        awaited.delete(message.subject);
        return awaited.size > 0;
      }),
    );
    await lastValueFrom(messages, { defaultValue: undefined });
    return [...last.values()].filter((row) => row.value !== null);
  }

  async #subjects(filter: string): Promise<string[]> {
    return insistently(async () => {
      const manager = await this.#nc.jetstreamManager({ timeout: ANSWER_TIMEOUT });
      const { state } = await manager.streams.info(this.#stream, { subjects_filter: filter });
      return Object.keys(state.subjects ?? {});
    });
  }

  /** The rows that are there, then every change, for as long as it is subscribed to; survives reconnects. */
  watch(pattern: string): Observable<StoreRow> {
    return tail(this.#nc, this.#stream, this.#subject(pattern), 'last-of-each').pipe(
      map((message) => this.#rowOf(message)),
    );
  }

  #rowOf(message: TailMessage): StoreRow {
    const key = message.subject.slice(this.#prefix.length);
    // Only a marker is empty, and headers are dear to parse.
    if (message.data.length === 0 && message.header('KV-Operation') !== '')
      return { key, value: null, revision: message.seq, cause: 0 };
    const { value, cause } = decode(message.data) as Stored;
    return { key, value, revision: message.seq, cause };
  }

  #subject(pattern: string): string {
    return `${this.#prefix}${pattern}`;
  }

  async #apply(write: Write, cause: number, nonce: string): Promise<number> {
    if (write.op === 'delete') {
      await this.#kv.delete(write.key, write.revision === undefined ? {} : { previousSeq: write.revision });
      return 0;
    }
    const bytes = encode({ cause, nonce, value: write.value } satisfies Stored);
    switch (write.op) {
      case 'put':
        return this.#kv.put(write.key, bytes);
      case 'create':
        return this.#kv.create(write.key, bytes);
      case 'update':
        return this.#kv.update(write.key, bytes, write.revision);
    }
  }
}

function stored(entry: KvEntry): Stored {
  return decode(entry.value) as Stored;
}

function rowOf(entry: KvEntry): StoreRow {
  const { key, revision } = entry;
  if (entry.operation !== 'PUT') return { key, value: null, revision, cause: 0 };
  const { value, cause } = stored(entry);
  return { key, value, revision, cause };
}
