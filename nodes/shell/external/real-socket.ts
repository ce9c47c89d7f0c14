import type { Socket } from 'node:net';
import type { SocketEvent } from '../../machine-io.ts';

/** Bytes handed to the machine and not yet worked off, above which the socket is not read. */
const READ_WINDOW = 262_144;
/** Written bytes are reported when they come to so many: well under the machine's window, so that it never waits in vain. */
const REPORT_EVERY = 65_536;
/** How long the other end may take to close after we have, ms. */
const LINGER = 2_000;

/** What strerror(3) calls the errors that a TCP connection dies of, as far as Node's codes tell. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EPIPE: 'Broken pipe',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EADDRINUSE: 'Address already in use',
  EACCES: 'Permission denied',
  ENOTFOUND: 'Name or service not known',
};

/** A real TCP socket as the machine wants it: numbered bytes both ways, and one word on how it ended. */
export class RealSocket {
  readonly #socket: Socket;
  readonly #tell: (event: SocketEvent) => void;
  #reading = 0;
  #written = 0;
  #reason = 'Connection closed';
  /** The machine has closed it, or has been told that it is closed. */
  #over = false;

  constructor(socket: Socket, tell: (event: SocketEvent) => void) {
    this.#socket = socket;
    this.#tell = tell;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason = REASONS[error.code ?? ''] ?? error.message;
    });
    socket.on('close', () => {
      if (this.#over) return;
      this.#over = true;
      tell({ type: 'closed', reason: this.#reason });
    });
  }

  get ports(): { readonly localPort: number; readonly remotePort: number } {
    return { localPort: this.#socket.localPort ?? 0, remotePort: this.#socket.remotePort ?? 0 };
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes, (error) => {
      if (error !== null && error !== undefined) return;
      this.#written += bytes.length;
      if (this.#written < REPORT_EVERY || this.#over) return;
      this.#tell({ type: 'written', bytes: this.#written });
      this.#written = 0;
    });
  }

  taken(bytes: number): void {
    this.#reading -= bytes;
    if (this.#reading < READ_WINDOW) this.#socket.resume();
  }

  /** 'fin' after what was sent has gone out, 'rst' at once. Nothing is told of it. */
  close(how: 'fin' | 'rst'): void {
    this.#over = true;
    const socket = this.#socket;
    if (how === 'rst' && !socket.connecting) {
      socket.resetAndDestroy();
      return;
    }
    if (socket.connecting) {
      socket.destroy();
      return;
    }
    // Unread bytes would turn the end into a reset, and the other end would lose our last words.
    socket.resume();
    socket.end();
    const linger = setTimeout(() => socket.destroy(), LINGER).unref();
    socket.once('close', () => clearTimeout(linger));
  }

  #read(chunk: Buffer): void {
    if (this.#over) return;
    this.#reading += chunk.length;
    if (this.#reading >= READ_WINDOW) this.#socket.pause();
    this.#tell({ type: 'data', bytes: chunk });
  }
}
