import { type KV, type KvEntry, type NatsConnection, NatsError, StorageType } from 'nats';
import { Observable } from 'rxjs';
import { decode, encode } from './codec.ts';
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

/** A lab's desired state and leases, on a JetStream KV bucket. Every value travels with the event that wrote it. */
export class Store {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  /** Opens the lab's bucket, creating it if it is not there. */
  static async open(nc: NatsConnection, lab: string): Promise<Store> {
    const kv = await nc.jetstream().views.kv(storeBucket(lab), { history: 1, storage: StorageType.File });
    return new Store(kv);
  }

  /** Opens the bucket of a lab that is known to have one, without a round trip. */
  static async bind(nc: NatsConnection, lab: string): Promise<Store> {
    return new Store(await nc.jetstream().views.kv(storeBucket(lab), { bindOnly: true }));
  }

  async write(write: Write, cause: number): Promise<WriteResult> {
    try {
      return { ok: true, revision: await this.#apply(write, cause) };
    } catch (error) {
      if (error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE) {
        return { ok: false, conflict: true };
      }
      return { ok: false, conflict: false, error: error instanceof Error ? error.message : String(error) };
    }
  }

  async get(key: string): Promise<StoreRow | null> {
    const entry = await this.#kv.get(key);
    if (entry === null || entry.operation !== 'PUT') return null;
    return rowOf(entry);
  }

  /** The rows whose keys match a pattern (`*` one token, `>` the rest), as of now. */
  async list(pattern: string): Promise<StoreRow[]> {
    const rows: StoreRow[] = [];
    const watch = await this.#kv.watch({
      key: pattern,
      ignoreDeletes: true,
      initializedFn: () => watch.stop(),
    });
    for await (const entry of watch) rows.push(rowOf(entry));
    return rows;
  }

  /** The rows that are there, then every change, for as long as it is subscribed to; survives reconnects. */
  watch(pattern: string): Observable<StoreRow> {
    return new Observable((observer) => {
      let stop = () => {};
      let closed = false;
      this.#kv
        .watch({ key: pattern })
        .then(async (watch) => {
          stop = () => watch.stop();
          if (closed) stop();
          for await (const entry of watch) observer.next(rowOf(entry));
          observer.complete();
        })
        .catch((error: unknown) => observer.error(error));
      return () => {
        closed = true;
        stop();
      };
    });
  }

  async #apply(write: Write, cause: number): Promise<number> {
    switch (write.op) {
      case 'put':
        return this.#kv.put(write.key, encode({ cause, value: write.value }));
      case 'create':
        return this.#kv.create(write.key, encode({ cause, value: write.value }));
      case 'update':
        return this.#kv.update(write.key, encode({ cause, value: write.value }), write.revision);
      case 'delete':
        await this.#kv.delete(write.key, write.revision === undefined ? {} : { previousSeq: write.revision });
        return 0;
    }
  }
}

function rowOf(entry: KvEntry): StoreRow {
  const { key, revision } = entry;
  if (entry.operation !== 'PUT') return { key, value: null, revision, cause: 0 };
  const { value, cause } = decode(entry.value) as { readonly value: unknown; readonly cause: number };
  return { key, value, revision, cause };
}
