import { decodeDns } from './decode.ts';
import { encodeDns, encodeDnsTcp } from './encode.ts';
import { type DnsMessage, type DnsQuestion, RCODE } from './message.ts';
import { nameKey } from './name.ts';
import { type DnsChannel, type DnsHost, DnsTcpReader } from './transport.ts';

export interface ExchangeOptions {
  /** Addresses, in the order in which they are asked. */
  readonly servers: readonly string[];
  /** ms to wait for a server at the first attempt. */
  readonly timeout: number;
  /** How often the servers are gone through. */
  readonly attempts: number;
  /** How they are asked first; absent: by UDP. */
  readonly transport?: 'udp' | 'tcp';
}

/** An answer, and how it came. */
export interface DnsAnswer {
  readonly message: DnsMessage;
  readonly server: string;
  readonly by: 'udp' | 'tcp';
  /** Bytes. */
  readonly size: number;
}

/** What became of a query. */
export type ExchangeResult =
  | ({ readonly type: 'response' } & DnsAnswer)
  /** `answer`: the last one, that a server gave for its inability (SERVFAIL, NOTIMP, REFUSED). */
  | {
      readonly type: 'failed';
      readonly reason: 'timeout' | 'unreachable' | 'refused';
      readonly answer: DnsAnswer | null;
    };

interface Asked {
  readonly query: DnsMessage;
  result: ExchangeResult | null;
  /** What the server that is asked now did with it. */
  state: 'waiting' | 'failed' | 'answered';
  last: DnsAnswer | null;
}

/** RFC 1035 §4.2.1; what glibc waits at least, ms. */
const MIN_TIMEOUT = 1000;

/**
 * Asks servers one after the other as glibc's `__res_context_send` does: by UDP, again by TCP what came truncated, on to the
 * next server after a time-out, an ICMP error or an answer of SERVFAIL, NOTIMP or REFUSED; the time-out doubles with each
 * attempt, shared by the servers. Several queries go out together from one port. `done` is called once, not within this call.
 */
export function exchange(
  host: DnsHost,
  queries: readonly DnsMessage[],
  options: ExchangeOptions,
  done: (results: readonly ExchangeResult[]) => void,
): { cancel(): void } {
  const run = new Exchange(host, queries, options, done);
  run.start();
  return run;
}

class Exchange {
  readonly #host: DnsHost;
  readonly #options: ExchangeOptions;
  readonly #done: (results: readonly ExchangeResult[]) => void;
  readonly #asked: readonly Asked[];
  #server = -1;
  #attempt = 0;
  #channels: DnsChannel[] = [];
  #cancelTimer: (() => void) | null = null;
  #reason: 'timeout' | 'unreachable' | 'refused' = 'timeout';
  /** The next step's timer is set already. */
  #moving = false;
  #ended = false;

  constructor(
    host: DnsHost,
    queries: readonly DnsMessage[],
    options: ExchangeOptions,
    done: (results: readonly ExchangeResult[]) => void,
  ) {
    this.#host = host;
    this.#options = options;
    this.#done = done;
    const ids = new Set<number>();
    this.#asked = queries.map((query) => {
      let id = host.randomId();
      while (ids.has(id)) id = (id + 1) & 0xffff;
      ids.add(id);
      return { query: { ...query, id }, result: null, state: 'waiting', last: null };
    });
  }

  start(): void {
    this.#next();
  }

  cancel(): void {
    this.#ended = true;
    this.#close();
  }

  /** Goes to the next server, at the end of them to the next attempt. */
  #next(): void {
    this.#close();
    this.#moving = false;
    const { servers, attempts } = this.#options;
    this.#server++;
    if (this.#server >= servers.length) {
      this.#server = 0;
      this.#attempt++;
    }
    if (servers.length === 0 || this.#attempt >= attempts) {
      this.#soon(() => this.#finish());
      return;
    }
    for (const asked of this.#asked) if (asked.state !== 'answered') asked.state = 'waiting';
    const server = servers[this.#server]!;
    const waiting = this.#asked.filter(({ state }) => state === 'waiting');
    if (this.#options.transport === 'tcp') {
      for (const asked of waiting) this.#overTcp(server, asked);
      return;
    }
    const channel = this.#open('udp', server, (bytes) => this.#received(server, bytes, 'udp'));
    for (const asked of waiting) channel.send(encodeDns(asked.query));
    this.#wait();
  }

  #wait(): void {
    if (this.#moving) return;
    this.#cancelTimer?.();
    const { timeout, servers } = this.#options;
    const doubled = timeout * 2 ** this.#attempt;
    const ms = this.#attempt === 0 ? doubled : Math.floor(doubled / servers.length);
    this.#cancelTimer = this.#host.after(Math.max(ms, MIN_TIMEOUT), () => {
      this.#reason = 'timeout';
      this.#next();
    });
  }

  #open(kind: 'udp' | 'tcp', server: string, onBytes: (bytes: Uint8Array) => void): DnsChannel {
    let open = true;
    const handlers = {
      onBytes: (bytes: Uint8Array) => {
        if (open && !this.#ended) onBytes(bytes);
      },
      onError: () => {
        if (!open || this.#ended) return;
        open = false;
        this.#reason = 'unreachable';
        // It can come from within `send`, before the timer of this server is set.
        this.#soon(() => this.#next());
      },
    };
    const channel =
      kind === 'udp' ? this.#host.openUdp(server, handlers) : this.#host.openTcp(server, handlers);
    this.#channels.push({
      send: (bytes) => channel.send(bytes),
      close: () => {
        open = false;
        channel.close();
      },
    });
    return channel;
  }

  #received(server: string, bytes: Uint8Array, by: 'udp' | 'tcp'): void {
    const decoded = decodeDns(bytes);
    if (!decoded.ok) return;
    const { message } = decoded;
    const asked = this.#asked.find((one) => one.state === 'waiting' && answers(message, one.query));
    if (asked === undefined) return;
    if (by === 'udp' && message.truncated) {
      this.#overTcp(server, asked);
      return;
    }
    const { rcode } = message;
    const answer: DnsAnswer = { message, server, by, size: bytes.length };
    if (rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP || rcode === RCODE.REFUSED) {
      asked.state = 'failed';
      asked.last = answer;
      this.#reason = 'refused';
    } else {
      asked.state = 'answered';
      asked.result = { type: 'response', ...answer };
    }
    if (this.#asked.some(({ state }) => state === 'waiting')) return;
    if (this.#asked.some(({ state }) => state === 'answered')) this.#finish();
    else this.#next();
  }

  #overTcp(server: string, asked: Asked): void {
    const reader = new DnsTcpReader((bytes) => this.#received(server, bytes, 'tcp'));
    const channel = this.#open('tcp', server, (bytes) => reader.receive(bytes));
    channel.send(encodeDnsTcp(asked.query));
    this.#wait();
  }

  /** In a timer of its own, in place of the one that waits for the server. */
  #soon(run: () => void): void {
    this.#moving = true;
    this.#cancelTimer?.();
    this.#cancelTimer = this.#host.after(0, run);
  }

  #finish(): void {
    this.#close();
    this.#ended = true;
    this.#done(
      this.#asked.map(({ result, last }) => result ?? { type: 'failed', reason: this.#reason, answer: last }),
    );
  }

  #close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const channels = this.#channels;
    this.#channels = [];
    for (const channel of channels) channel.close();
  }
}

/** Whether a message is an answer to a query, and to no other (RFC 5452 §9.1). */
function answers(message: DnsMessage, query: DnsMessage): boolean {
  if (message.id !== query.id || message.kind !== 'response') return false;
  if (message.questions.length === 0) return message.rcode !== RCODE.NOERROR;
  return sameQuestion(message.questions[0]!, query.questions[0]!);
}

function sameQuestion(a: DnsQuestion, b: DnsQuestion): boolean {
  return a.type === b.type && a.class === b.class && nameKey(a.name) === nameKey(b.name);
}
