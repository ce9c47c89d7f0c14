import { headers, type Msg, type NatsConnection, type Subscription } from 'nats';
import { decode, encode } from './codec.ts';
import { commandSubject } from './subjects.ts';

/** No process answers for the name. */
export class NoResponderError extends Error {
  constructor(name: string) {
    super(`nobody answers for ${name}`);
    this.name = 'NoResponderError';
  }
}

class CommandTimeoutError extends Error {
  constructor(name: string, ms: number) {
    super(`${name} has not answered within ${ms / 1000} s`);
    this.name = 'CommandTimeoutError';
  }
}

const STATUS_NO_RESPONDERS = 503;

/** Longest message, bytes: a server takes 1 MB if nobody has told it otherwise. A longer part of an answer goes in pieces. */
const PIECE = 786_432;
/** Header of every piece but the last. */
const MORE = 'Reroute-More';

export interface RequestOptions {
  /** Whether a part of the answer is the last. */
  readonly isFinal: (part: unknown) => boolean;
  readonly onPart?: (part: unknown) => void;
  /** Longest time between two parts, ms; none without. */
  readonly timeout?: number;
}

/** The asking end: commands go out, answers of one or several parts come back to one inbox. */
export class CommandClient {
  readonly #nc: NatsConnection;
  readonly #lab: string;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #pending = new Map<string, (message: Msg) => void>();
  #next = 0;

  constructor(nc: NatsConnection, lab: string) {
    this.#nc = nc;
    this.#lab = lab;
    this.#inbox = `_INBOX.${crypto.randomUUID()}`;
    this.#subscription = nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#pending.get(message.subject)?.(message);
      },
    });
  }

  /** Sends a command and resolves to the last part of the answer. @throws NoResponderError, CommandTimeoutError */
  request(name: string, command: unknown, options: RequestOptions): Promise<unknown> {
    const reply = `${this.#inbox}.${this.#next++}`;
    const { promise, resolve, reject } = withResolvers<unknown>();
    let timer: NodeJS.Timeout | undefined;
    const arm = () => {
      clearTimeout(timer);
      const { timeout } = options;
      // What has been given up on (its node has gone) must not hold the process.
      if (timeout !== undefined)
        timer = setTimeout(() => reject(new CommandTimeoutError(name, timeout)), timeout).unref();
    };
    let pieces: Uint8Array[] = [];
    this.#pending.set(reply, (message) => {
      if (message.headers?.code === STATUS_NO_RESPONDERS) {
        reject(new NoResponderError(name));
        return;
      }
      if (message.headers?.has(MORE)) {
        pieces.push(message.data);
        arm();
        return;
      }
      const part = decode(pieces.length === 0 ? message.data : Buffer.concat([...pieces, message.data]));
      pieces = [];
      options.onPart?.(part);
      if (options.isFinal(part)) resolve(part);
      else arm();
    });
    arm();
    this.#nc.publish(commandSubject(this.#lab, name), encode(command), { reply });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#pending.delete(reply);
    });
  }

  close(): void {
    this.#subscription.unsubscribe();
  }
}

/** The answering end. `handle` may call `reply` any number of times, also later. A message that cannot be read is dropped. */
export function serveCommands(
  nc: NatsConnection,
  lab: string,
  name: string,
  handle: (command: unknown, reply: (part: unknown) => void) => void,
): Subscription {
  return nc.subscribe(commandSubject(lab, name), {
    callback: (error, message) => {
      if (error !== null) return;
      let command: unknown;
      try {
        command = decode(message.data);
      } catch {
        message.respond(encode({ type: 'error', message: 'not a command: the message is no MessagePack' }));
        return;
      }
      handle(command, (part) => respond(message, encode(part)));
    },
  });
}

function respond(message: Msg, data: Uint8Array): void {
  let at = 0;
  for (; data.length - at > PIECE; at += PIECE) {
    const more = headers();
    more.set(MORE, 'yes');
    message.respond(data.subarray(at, at + PIECE), { headers: more });
  }
  message.respond(data.subarray(at));
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
