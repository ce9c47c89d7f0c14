import { u16 } from '../bytes.ts';

/** One way to a server, open until it is closed. */
export interface DnsChannel {
  send(bytes: Uint8Array): void;
  close(): void;
}

export interface DnsChannelHandlers {
  /** A datagram from the server; over TCP, bytes as they come. */
  onBytes(bytes: Uint8Array): void;
  /** The server cannot be reached, or has closed: nothing comes any more. May be called from within `open` or `send`. */
  onError(): void;
}

/** What a DNS client needs of the place where it runs. Servers are addresses as text, at port 53. */
export interface DnsHost {
  /** A connected UDP socket of a port of its own. */
  openUdp(server: string, handlers: DnsChannelHandlers): DnsChannel;
  openTcp(server: string, handlers: DnsChannelHandlers): DnsChannel;
  /** Calls `fire` after some ms; the function returned cancels. */
  after(ms: number, fire: () => void): () => void;
  /** A random number of 16 bits. */
  randomId(): number;
}

/** Messages in a TCP stream, each behind its length of two bytes (RFC 1035 §4.2.2). */
export class DnsTcpReader {
  readonly #onMessage: (message: Uint8Array) => void;
  #pending = new Uint8Array(0);

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  receive(bytes: Uint8Array): void {
    const data = new Uint8Array(this.#pending.length + bytes.length);
    data.set(this.#pending);
    data.set(bytes, this.#pending.length);
    let at = 0;
    while (data.length - at >= 2 && data.length - at >= 2 + u16(data, at)) {
      const end = at + 2 + u16(data, at);
      this.#onMessage(data.slice(at + 2, end));
      at = end;
    }
    this.#pending = data.slice(at);
  }
}
