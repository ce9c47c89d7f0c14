import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Cutter, KEEPALIVE, openMessage, Type } from './wire.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface SessionOptions {
  readonly localAddress: string;
  readonly asn: number;
  /** BGP Identifier as a number. */
  readonly identifier: number;
  readonly target: Endpoint;
  /** Gets the body of each UPDATE: buffer, start, end. Without it they are read and dropped. */
  readonly update?: (bytes: Uint8Array, at: number, end: number) => void;
}

export class SessionError extends Error {
  override readonly name = 'SessionError';
}

/** s, as it stands in the OPEN. */
const HOLD_TIME = 240;
/** ms */
const KEEPALIVE_INTERVAL = 30_000;
const RETRY_INTERVAL = 100;
const ESTABLISH_TIMEOUT = 30_000;

/** One BGP session with the target, from an address of its own; it connects, the target waits. */
export class Session {
  readonly #socket: Socket;
  readonly #options: SessionOptions;
  readonly #cutter = new Cutter();
  readonly #keepalives: NodeJS.Timeout;
  #opened = false;
  #established: () => void = () => {};
  #failed: (error: SessionError) => void = () => {};
  #error: SessionError | null = null;
  /** UPDATEs received. */
  updates = 0;
  bytesReceived = 0;

  private constructor(socket: Socket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#data(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#fail('the target has closed the connection'));
    socket.write(openMessage(options.asn, options.identifier, HOLD_TIME));
    this.#keepalives = setInterval(() => socket.write(KEEPALIVE), KEEPALIVE_INTERVAL);
  }

  /** Tries until the session is established. @throws SessionError when that takes too long. */
  static async establish(options: SessionOptions): Promise<Session> {
    const deadline = performance.now() + ESTABLISH_TIMEOUT;
    for (;;) {
      try {
        const session = new Session(await open(options), options);
        await session.#settled();
        return session;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await pause(RETRY_INTERVAL);
      }
    }
  }

  /** Why the session is lost; null while it is up. */
  get error(): SessionError | null {
    return this.#error;
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    clearInterval(this.#keepalives);
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #settled(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#established = resolve;
      this.#failed = reject;
    });
  }

  #fail(reason: string): void {
    clearInterval(this.#keepalives);
    this.#error ??= new SessionError(`session from ${this.#options.localAddress}: ${reason}`);
    this.#failed(this.#error);
    this.#socket.destroy();
  }

  #data(chunk: Uint8Array): void {
    this.bytesReceived += chunk.length;
    this.#cutter.push(chunk, (type, bytes, at, end) => {
      if (type === Type.update) {
        this.updates++;
        this.#options.update?.(bytes, at, end);
      } else if (type === Type.open) {
        this.#opened = true;
        this.#socket.write(KEEPALIVE);
      } else if (type === Type.keepalive) {
        if (this.#opened) this.#established();
      } else if (type === Type.notification) {
        this.#fail(`NOTIFICATION ${bytes[at]}/${bytes[at + 1]}`);
      }
    });
  }
}

function open({ target, localAddress }: SessionOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: target.address, port: target.port, localAddress });
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => {
      reject(new SessionError(`nobody takes connections on ${target.address}:${target.port}`));
    });
  });
}
