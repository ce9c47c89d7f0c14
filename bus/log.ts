import { type JetStreamClient, type NatsConnection, NatsError, RetentionPolicy, StorageType } from 'nats';
import { firstValueFrom, map, type Observable, takeWhile, toArray } from 'rxjs';
import { decode, encode } from './codec.ts';
import { ANSWER_TIMEOUT, insistently } from './connection.ts';
import { logStream, logSubject, logSubjects } from './subjects.ts';
import { tail } from './tail.ts';

/** What the log needs to know of a record. */
export interface Numbered {
  readonly id: number;
}

/** The log as one stream a lab, one subject a node, a batch of records a message. Creates it if it is not there. */
export async function ensureLog(nc: NatsConnection, lab: string): Promise<void> {
  await insistently(async () => {
    const manager = await nc.jetstreamManager({ timeout: ANSWER_TIMEOUT });
    await manager.streams.add({
      name: logStream(lab),
      subjects: [logSubjects(lab)],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      duplicate_window: 120 * 1_000_000_000,
    });
  });
}

const BATCH_RECORDS = 512;
/** Time a record waits for company, ms. */
const BATCH_DELAY = 40;
/** Batches on their way at one time. */
const WINDOW = 16;
const RETRY_DELAY = 50;
const ACK_TIMEOUT = 5_000;

/**
 * Appends a node's records to the log: batched, several batches on their way at once, each kept until the server
 * has stored it and sent again if it has not. A batch has an id, so that sending it twice stores it once.
 */
export class LogPublisher<R extends Numbered> {
  readonly #js: JetStreamClient;
  readonly #subject: string;
  readonly #onError: (error: unknown) => void;
  #open: R[] = [];
  readonly #waiting: R[][] = [];
  #inFlight = 0;
  #unstored = 0;
  #timer: NodeJS.Timeout | null = null;
  #idle: (() => void)[] = [];
  #abandoned = false;

  constructor(nc: NatsConnection, lab: string, node: string, onError: (error: unknown) => void = () => {}) {
    this.#js = nc.jetstream({ timeout: ACK_TIMEOUT });
    this.#subject = logSubject(lab, node);
    this.#onError = onError;
  }

  /** Records not yet stored: what a crash now would lose. */
  get lag(): number {
    return this.#unstored;
  }

  append(record: R): void {
    this.#open.push(record);
    this.#unstored++;
    if (this.#open.length >= BATCH_RECORDS) this.#close();
    else if (this.#timer === null) this.#timer = setTimeout(() => this.#close(), BATCH_DELAY);
  }

  /** Resolves when everything appended so far is stored. */
  flush(): Promise<void> {
    this.#close();
    if (this.#unstored === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Stores nothing more, and does not try again. */
  abandon(): void {
    this.#abandoned = true;
  }

  #close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#open.length > 0) {
      this.#waiting.push(this.#open);
      this.#open = [];
    }
    this.#send();
  }

  #send(): void {
    while (this.#inFlight < WINDOW) {
      const batch = this.#waiting.shift();
      if (batch === undefined) return;
      this.#inFlight++;
      void this.#store(batch);
    }
  }

  async #store(batch: R[]): Promise<void> {
    const bytes = encode(batch);
    const msgID = `${batch[0]?.id ?? 0}`;
    for (;;) {
      if (this.#abandoned) return;
      try {
        await this.#js.publish(this.#subject, bytes, { msgID });
        break;
      } catch (error) {
        this.#onError(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
      }
    }
    this.#inFlight--;
    this.#unstored -= batch.length;
    if (this.#unstored === 0) {
      const idle = this.#idle;
      this.#idle = [];
      for (const resolve of idle) resolve();
    }
    this.#send();
  }
}

/** Reads logs of a lab. */
export class LogReader<R extends Numbered> {
  readonly #nc: NatsConnection;
  readonly #lab: string;

  constructor(nc: NatsConnection, lab: string) {
    this.#nc = nc;
    this.#lab = lab;
  }

  /** The records of one node that are stored now, in order. */
  async *read(node: string): AsyncIterable<R> {
    const last = await this.#lastSequence(node);
    if (last === 0) return;
    const late = new Sequencer<R>();
    const batches = tail(this.#nc, logStream(this.#lab), logSubject(this.#lab, node), 'beginning').pipe(
      takeWhile(({ seq }) => seq < last, true),
      toArray(),
    );
    // Batches sent again after a lost acknowledgment stand later in the stream than they were appended.
    for (const { data } of await firstValueFrom(batches)) yield* late.add(decode(data) as R[]);
    yield* late.rest();
  }

  /**
   * Batches as they are stored, of one node or of all, from now on or from the beginning; takes up again after a
   * reconnect where it was.
   */
  follow(node: string | null, from: 'now' | 'beginning'): Observable<readonly R[]> {
    const subject = node === null ? logSubjects(this.#lab) : logSubject(this.#lab, node);
    return tail(this.#nc, logStream(this.#lab), subject, from).pipe(map(({ data }) => decode(data) as R[]));
  }

  async #lastSequence(node: string): Promise<number> {
    const last = { last_by_subj: logSubject(this.#lab, node) };
    try {
      const { seq } = await insistently(async () => {
        const manager = await this.#nc.jetstreamManager({ timeout: ANSWER_TIMEOUT });
        return manager.streams.getMessage(logStream(this.#lab), last);
      });
      return seq;
    } catch (error) {
      if (error instanceof NatsError && error.code === '404') return 0;
      throw error;
    }
  }
}

/** Puts batches of consecutive records back in order, and drops what it has seen. */
class Sequencer<R extends Numbered> {
  #last = 0;
  #held: R[][] = [];

  /** Gives on what follows directly; holds what came too early, within the publisher's window. */
  *add(batch: R[]): Iterable<R> {
    this.#held.push(batch);
    this.#held.sort((a, b) => (a[0]?.id ?? 0) - (b[0]?.id ?? 0));
    while (this.#held.length > WINDOW || this.#follows(this.#held[0])) {
      const next = this.#held.shift();
      if (next === undefined) return;
      yield* this.#take(next);
    }
  }

  *rest(): Iterable<R> {
    for (const batch of this.#held) yield* this.#take(batch);
    this.#held = [];
  }

  #follows(batch: R[] | undefined): boolean {
    const first = batch?.[0]?.id;
    return first !== undefined && this.#last !== 0 && first <= this.#last + 1;
  }

  *#take(batch: R[]): Iterable<R> {
    for (const record of batch) {
      if (record.id <= this.#last) continue;
      this.#last = record.id;
      yield record;
    }
  }
}
