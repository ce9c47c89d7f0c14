import { connect, ErrorCode, Events, type NatsConnection, NatsError } from 'nats';
import { filter, from, map, type Observable } from 'rxjs';

export interface BusAddress {
  readonly url: string;
  /** '' where the server asks for none. */
  readonly token: string;
}

export interface ConnectOptions extends BusAddress {
  /** Shown in the server's own lists. */
  readonly name: string;
  /** A node does not hear its own broadcasts. */
  readonly echo: 'on' | 'off';
}

export class BusError extends Error {
  override readonly name = 'BusError';
}

const RECONNECT_WAIT = 100;
const FIRST_TIMEOUT = 10_000;

/**
 * Connects to the bus; afterwards reconnects for ever.
 * @throws BusError that says which server could not be reached and why.
 */
export async function connectBus(options: ConnectOptions): Promise<NatsConnection> {
  try {
    return await connect({
      servers: options.url,
      name: options.name,
      noEcho: options.echo === 'off',
      reconnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT,
      reconnectJitter: RECONNECT_WAIT,
      timeout: FIRST_TIMEOUT,
      ...(options.token === '' ? {} : { token: options.token }),
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BusError(`cannot reach the bus at ${options.url}: ${reason}; is the lab up? reroute ls shows`);
  }
}

/** Emits each time the connection has come back. */
export function reconnects(nc: NatsConnection): Observable<void> {
  return from(nc.status()).pipe(
    filter((status) => status.type === Events.Reconnect),
    map(() => undefined),
  );
}

/** Whether an error tells that the server was away rather than unwilling. */
export function isTransient(error: unknown): boolean {
  const codes: readonly string[] = [ErrorCode.Timeout, ErrorCode.NoResponders, ErrorCode.Disconnect];
  return error instanceof NatsError && codes.includes(error.code);
}

/** ms that one request to the server waits. */
export const ANSWER_TIMEOUT = 1_000;
/** Tries at what gets no answer, each as long as the request waits: a bus that restarts, or is busy, is back long before the last. */
export const TRIES = 30;

/** Asks the server for what may be asked for twice, until it answers. @throws NatsError */
export async function insistently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === TRIES || !isTransient(error)) throw error;
    }
  }
}
