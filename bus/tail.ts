import { AckPolicy, createInbox, DeliverPolicy, type Msg, type NatsConnection, ReplayPolicy } from 'nats';
import { Observable, retry, startWith, switchMap, timer } from 'rxjs';
import { isTransient, reconnects } from './connection.ts';

/** Where in a stream to begin: its messages, the last one of each subject, what comes from now on, a sequence number. */
export type TailFrom = 'beginning' | 'last-of-each' | 'now' | number;

export interface TailMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Sequence number in the stream. */
  readonly seq: number;
  /** Value of a header, '' if there is none. */
  header(name: string): string;
}

const RETRY = 200;

/**
 * The messages of a stream as they stand and as they come, over a push consumer of the plainest kind: no acknowledgment,
 * no flow control, no heartbeats, which a process that is busy for seconds would miss. A gap in the consumer's own count,
 * and a reconnect, begin anew where it was.
 */
export function tail(
  nc: NatsConnection,
  stream: string,
  subject: string,
  from: TailFrom,
): Observable<TailMessage> {
  return new Observable((observer) => {
    let next: TailFrom = from;
    return reconnects(nc)
      .pipe(
        startWith(undefined),
        switchMap(() =>
          once(nc, stream, subject, () => next).pipe(
            retry({
              delay: (error) =>
                isTransient(error) || error instanceof GapError ? timer(RETRY) : fail(error),
            }),
          ),
        ),
      )
      .subscribe({
        next: (message) => {
          next = message.seq + 1;
          observer.next(message);
        },
        error: (error: unknown) => observer.error(error),
      });
  });
}

/** Something was lost between the server and here. */
class GapError extends Error {
  override readonly name = 'GapError';
}

function fail(error: unknown): never {
  throw error;
}

function once(
  nc: NatsConnection,
  stream: string,
  subject: string,
  from: () => TailFrom,
): Observable<TailMessage> {
  return new Observable((observer) => {
    const inbox = createInbox();
    let delivered = 0;
    const subscription = nc.subscribe(inbox, {
      callback: (error, raw) => {
        if (error !== null) return;
        const place = parsePlace(raw.reply ?? '');
        if (place === null) return;
        if (place.delivered !== ++delivered) observer.error(new GapError());
        else observer.next(view(raw, place));
      },
    });
    nc.jetstreamManager()
      .then((manager) =>
        manager.consumers.add(stream, {
          deliver_subject: inbox,
          filter_subject: subject,
          ack_policy: AckPolicy.None,
          replay_policy: ReplayPolicy.Instant,
          max_deliver: 1,
          mem_storage: true,
          ...start(from()),
        }),
      )
      .catch((error: unknown) => {
        // A connection that was closed meanwhile has nobody left to tell.
        if (!nc.isClosed()) observer.error(error);
      });
    return () => subscription.unsubscribe();
  });
}

function start(from: TailFrom) {
  if (from === 'beginning') return { deliver_policy: DeliverPolicy.All };
  if (from === 'now') return { deliver_policy: DeliverPolicy.New };
  if (from === 'last-of-each') return { deliver_policy: DeliverPolicy.LastPerSubject };
  return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from };
}

interface Place {
  readonly seq: number;
  /** Counts what this consumer was sent, from 1. */
  readonly delivered: number;
}

/**
 * Reads a message's place from its reply subject: `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer
 * sequence>.<timestamp>.<pending>`, with a domain and an account before the stream on newer servers.
 */
function parsePlace(reply: string): Place | null {
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return null;
  const at = tokens.length === 9 ? 5 : 7;
  return { seq: Number(tokens[at]), delivered: Number(tokens[at + 1]) };
}

function view(message: Msg, { seq }: Place): TailMessage {
  const { subject, data, headers } = message;
  return { subject, data, seq, header: (name) => headers?.get(name) ?? '' };
}
