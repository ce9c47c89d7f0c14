import { type KV, type KvEntry, type NatsConnection, NatsError, StorageType } from 'nats';
import { defer, filter, Observable, startWith, switchMap, tap } from 'rxjs';
import { decode, encode } from './codec.ts';
import { isTransient, reconnects } from './connection.ts';
import { storeBucket } from './subjects.ts';

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
const ANSWER_TIMEOUT = 1_000;
/** Tries at a write whose answer did not come: a bus that restarts is back long before. */
const TRIES = 30;

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

  private constructor(nc: NatsConnection, kv: KV) {
    this.#nc = nc;
    this.#kv = kv;
  }

  /** Opens the lab's bucket, creating it if it is not there. */
  static async open(nc: NatsConnection, lab: string): Promise<Store> {
    const kv = await nc
      .jetstream({ timeout: ANSWER_TIMEOUT })
      .views.kv(storeBucket(lab), { history: 1, storage: StorageType.File });
    return new Store(nc, kv);
  }

  /** Opens the bucket of a lab that is known to have one, without a round trip. */
  static async bind(nc: NatsConnection, lab: string): Promise<Store> {
    const js = nc.jetstream({ timeout: ANSWER_TIMEOUT });
    return new Store(nc, await js.views.kv(storeBucket(lab), { bindOnly: true }));
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
    const entry = await this.#kv.get(key);
    return entry !== null && entry.operation === 'PUT' && stored(entry).nonce === nonce
      ? entry.revision
      : null;
  }

  async get(key: string): Promise<StoreRow | null> {
    const entry = await this.#kv.get(key);
    if (entry === null || entry.operation !== 'PUT') return null;
    return rowOf(entry);
  }

  /** The rows whose keys match a pattern (`*` one token, `>` the rest), as of now. */
  async list(pattern: string): Promise<StoreRow[]> {
    const rows: StoreRow[] = [];
    let complete = () => {};
    const whole = new Promise<void>((resolve) => {
      complete = resolve;
    });
    // Deleted rows are left out here and not by the client, which would then not tell when the last one is a deleted one.
    const watch = await this.#kv.watch({ key: pattern, initializedFn: () => complete() });
    void whole.then(() => watch.stop());
    for await (const entry of watch) if (entry.operation === 'PUT') rows.push(rowOf(entry));
    return rows;
  }

  /**
   * The rows that are there, then every change, for as long as it is subscribed to. Begins anew after each reconnect,
   * passing over what was seen: the server has forgotten its end of the watch, and a heartbeat would take long to tell.
   */
  watch(pattern: string): Observable<StoreRow> {
    return defer(() => {
      let last = 0;
      return reconnects(this.#nc).pipe(
        startWith(undefined),
        switchMap(() => this.#watchOnce(pattern)),
        filter((row) => row.revision > last),
        tap((row) => {
          last = row.revision;
        }),
      );
    });
  }

  #watchOnce(pattern: string): Observable<StoreRow> {
    return new Observable((observer) => {
      let stop = () => {};
      let closed = false;
      this.#kv
        .watch({ key: pattern })
        .then(async (watch) => {
          stop = () => watch.stop();
          if (closed) stop();
          for await (const entry of watch) observer.next(rowOf(entry));
        })
        // The connection went while the watch was being set up: the reconnect sets up the next.
        .catch((error: unknown) => (isTransient(error) ? undefined : observer.error(error)));
      return () => {
        closed = true;
        stop();
      };
    });
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
