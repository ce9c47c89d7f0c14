import { type DnsChannelHandlers, type DnsHost, DnsTcpReader } from '../../../protocols/dns/transport.ts';

/** A server as the fake network has it; null: it stays silent. 'refused': nothing listens there. */
export type FakeServer = ((message: Uint8Array, by: 'udp' | 'tcp') => Uint8Array | null) | 'refused';

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

/** A virtual clock and servers at addresses, each an answer or a silence away. */
export class FakeHost implements DnsHost {
  now = 0;
  /** What was sent: when, whereto, how. */
  readonly sent: { readonly at: number; readonly server: string; readonly by: 'udp' | 'tcp' }[] = [];
  open = 0;
  readonly #servers: ReadonlyMap<string, FakeServer>;
  #timers: Timer[] = [];
  #id = 0;

  constructor(servers: Readonly<Record<string, FakeServer>>) {
    this.#servers = new Map(Object.entries(servers));
  }

  openUdp(server: string, handlers: DnsChannelHandlers) {
    return this.#open(server, 'udp', handlers, (bytes, answer) => {
      const reply = answer(bytes);
      if (reply !== null) this.after(1, () => handlers.onBytes(reply));
    });
  }

  openTcp(server: string, handlers: DnsChannelHandlers) {
    return this.#open(server, 'tcp', handlers, (bytes, answer) => {
      const reader = new DnsTcpReader((message) => {
        const reply = answer(message);
        if (reply === null) return;
        // Byte by byte, as a stream may well come.
        this.after(2, () => {
          for (const byte of [reply.length >>> 8, reply.length & 0xff, ...reply])
            handlers.onBytes(Uint8Array.of(byte));
        });
      });
      reader.receive(bytes);
    });
  }

  after(ms: number, fire: () => void): () => void {
    const timer = { at: this.now + ms, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  randomId(): number {
    return this.#id++ & 0xffff;
  }

  /** Runs until nothing is left to do. */
  settle(): void {
    for (;;) {
      const [first] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (first === undefined) return;
      this.#timers = this.#timers.filter((other) => other !== first);
      this.now = first.at;
      first.fire();
    }
  }

  #open(
    server: string,
    by: 'udp' | 'tcp',
    handlers: DnsChannelHandlers,
    deliver: (bytes: Uint8Array, answer: (message: Uint8Array) => Uint8Array | null) => void,
  ) {
    this.open++;
    return {
      send: (bytes: Uint8Array) => {
        this.sent.push({ at: this.now, server, by });
        const there = this.#servers.get(server);
        if (there === 'refused') handlers.onError();
        else if (there !== undefined) deliver(bytes, (message) => there(message, by));
      },
      close: () => {
        this.open--;
      },
    };
  }
}
