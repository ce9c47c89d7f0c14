import { BinaryHeap } from '../../../protocols/heap.ts';
import {
  type TcpCloseReason,
  TcpConnection,
  type TcpOptions,
  type TcpOutput,
} from '../../../protocols/tcp/connection.ts';
import { SYN, type TcpSegment } from '../../../protocols/tcp/segment.ts';

export const timings = { rtoInitial: 1000, rtoMin: 200, rtoMax: 60_000, msl: 30_000, userTimeout: 600_000 };

export interface Sent {
  readonly at: number;
  readonly segment: TcpSegment;
  readonly cause: number;
}

/** One end: records what its connection tells it. */
export class End implements TcpOutput {
  readonly name: string;
  readonly options: TcpOptions;
  connection: TcpConnection | null = null;
  readonly sent: Sent[] = [];
  readonly received: number[] = [];
  readonly closings: TcpCloseReason[] = [];
  connects = 0;
  eof = 0;
  drains = 0;
  onData: (() => void) | null = null;
  onWritable: (() => void) | null = null;
  readonly #net: Net;

  constructor(net: Net, name: string, options: TcpOptions) {
    this.#net = net;
    this.name = name;
    this.options = options;
  }

  get tcp(): TcpConnection {
    if (this.connection === null) throw new Error(`${this.name} has no connection`);
    return this.connection;
  }

  get last(): TcpSegment | undefined {
    return this.sent.at(-1)?.segment;
  }

  connect(cause = 0): void {
    this.connection = TcpConnection.connect(this.options, this, this.#net.now, cause);
  }

  segment(segment: TcpSegment, cause: number): void {
    this.#over('segment');
    this.sent.push({ at: this.#net.now, segment, cause });
    this.#net.carry(this, segment);
  }

  connected(): void {
    this.#over('connected');
    this.connects++;
  }

  data(bytes: Uint8Array): void {
    this.#over('data');
    if (this.eof > 0) throw new Error('data behind the end');
    this.received.push(...bytes);
    this.onData?.();
  }

  peerClosed(): void {
    this.#over('peerClosed');
    this.eof++;
  }

  closed(reason: TcpCloseReason): void {
    this.#over('closed');
    this.closings.push(reason);
  }

  drained(): void {
    this.#over('drained');
    this.drains++;
  }

  writable(): void {
    this.#over('writable');
    this.onWritable?.();
  }

  #over(call: string): void {
    if (this.closings.length > 0) throw new Error(`${call} after closed`);
  }
}

/** What becomes of a segment: the delays of its copies, ms. None: it is lost. */
export type Fate = (from: End, segment: TcpSegment) => readonly number[];

/** Two ends and the wire between them, under a virtual clock. `b` listens unless it connects itself. */
export class Net {
  now = 0;
  readonly a: End;
  readonly b: End;
  fate: Fate = () => [10];
  readonly #wire = new BinaryHeap<{ at: number; seq: number; to: End; segment: TcpSegment }>(
    (x, y) => x.at - y.at || x.seq - y.seq,
  );
  #seq = 0;

  constructor(options: { readonly a?: Partial<TcpOptions>; readonly b?: Partial<TcpOptions> } = {}) {
    const base = { mss: 1000, timings };
    this.a = new End(this, 'a', { ...base, localPort: 40_000, remotePort: 179, iss: 1000, ...options.a });
    this.b = new End(this, 'b', { ...base, localPort: 179, remotePort: 40_000, iss: 9000, ...options.b });
  }

  carry(from: End, segment: TcpSegment): void {
    for (const delay of this.fate(from, segment)) {
      this.#wire.push({
        at: this.now + delay,
        seq: this.#seq++,
        to: from === this.a ? this.b : this.a,
        segment,
      });
    }
  }

  next(): number {
    const timers = [this.a, this.b].map((end) => end.connection?.nextDeadline() ?? Number.POSITIVE_INFINITY);
    return Math.min(this.#wire.peek()?.at ?? Number.POSITIVE_INFINITY, ...timers);
  }

  /** Runs until `end`, or until nothing is left to do. Throws when that takes too many steps. */
  run(end = Number.POSITIVE_INFINITY): void {
    for (let steps = 0; this.next() <= end && this.next() < Number.POSITIVE_INFINITY; steps++) {
      if (steps > 200_000) throw new Error('the ends do not come to rest');
      this.now = Math.max(this.now, this.next());
      const first = this.#wire.peek();
      if (first !== undefined && first.at <= this.now) {
        this.#wire.pop();
        this.#deliver(first.to, first.segment);
      } else {
        for (const { connection } of [this.a, this.b]) {
          if (connection !== null && connection.nextDeadline() <= this.now) connection.tick(this.now);
        }
      }
    }
    if (end < Number.POSITIVE_INFINITY) this.now = end;
  }

  advance(ms: number): void {
    this.run(this.now + ms);
  }

  /** Opens the connection from `a` to `b`. */
  open(): this {
    this.a.connect();
    this.advance(100);
    return this;
  }

  /** Hands a forged segment to an end, from the other. */
  inject(to: End, fields: Partial<TcpSegment>): void {
    const { localPort, remotePort } = to.options;
    const base = {
      srcPort: remotePort,
      dstPort: localPort,
      seq: 0,
      ack: 0,
      flags: 0,
      window: 65_535,
      urgent: 0,
    };
    to.tcp.receive({ ...base, payload: new Uint8Array(0), ...fields }, this.now, 0);
  }

  #deliver(to: End, segment: TcpSegment): void {
    if (to.connection !== null) to.connection.receive(segment, this.now, 0);
    else if ((segment.flags & SYN) !== 0)
      to.connection = TcpConnection.accept(to.options, segment, to, this.now, 0);
  }
}

/** Bytes that differ from place to place. */
export function bytes(length: number, salt = 0): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 7 + (i >> 8) + salt) & 255);
}
