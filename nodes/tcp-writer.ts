import type { IpAddress } from '../protocols/ip.ts';
import type { TcpSocket } from './kernel/tcp.ts';

/** Writes to a connection without end: what the send buffer does not take waits here, in order. Takes `onWritable` for itself. */
export class TcpWriter {
  readonly #socket: TcpSocket<IpAddress>;
  readonly #unsent: Uint8Array[] = [];
  #ending = false;
  /** Called when what has waited here is taken. */
  onFlushed: (() => void) | null = null;

  constructor(socket: TcpSocket<IpAddress>) {
    this.#socket = socket;
    socket.onWritable = () => {
      this.#flush();
      if (this.#unsent.length === 0 && !this.#ending) this.onFlushed?.();
    };
  }

  /** Bytes that wait here. */
  get waiting(): number {
    return this.#unsent.reduce((sum, { length }) => sum + length, 0);
  }

  /** The bytes are the writer's from here on. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.#flush();
  }

  /** FIN behind what is written. */
  end(): void {
    this.#ending = true;
    if (this.#unsent.length === 0) this.#socket.close();
  }

  #flush(): void {
    for (let head = this.#unsent[0]; head !== undefined; head = this.#unsent[0]) {
      const taken = this.#socket.send(head);
      if (taken < head.length) {
        this.#unsent[0] = head.subarray(taken);
        return;
      }
      this.#unsent.shift();
    }
    if (this.#ending) this.#socket.close();
  }
}
