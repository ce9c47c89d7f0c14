import { connect, type Socket } from 'node:net';
import { eventually } from '../support/eventually.ts';

const HEADER = 19;
const MARKER = Buffer.alloc(16, 0xff);

export const MessageType = { open: 1, update: 2, notification: 3, keepalive: 4, routeRefresh: 5 } as const;

/** A BGP message of any bytes, with the header that they should have. */
export function message(type: number, body: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(3);
  header.writeUInt16BE(HEADER + body.length);
  header[2] = type;
  return Buffer.concat([MARKER, header, body]);
}

export interface OpenFields {
  readonly version: number;
  readonly asn: number;
  /** s */
  readonly holdTime: number;
  readonly identifier: readonly number[];
  /** Optional parameters, each with type and length. */
  readonly parameters: Uint8Array;
}

/** Capabilities: IPv4 unicast, route refresh, four-octet AS. */
function capabilities(asn: number): Buffer {
  const as4 = Buffer.alloc(4);
  as4.writeUInt32BE(asn);
  const list = Buffer.concat([Buffer.of(1, 4, 0, 1, 0, 1, 2, 0, 65, 4), as4]);
  return Buffer.concat([Buffer.of(2, list.length), list]);
}

export function open(asn: number, over: Partial<OpenFields> = {}): Buffer {
  const fields: OpenFields = {
    version: 4,
    asn,
    holdTime: 3,
    identifier: [192, 0, 2, asn & 0xff],
    parameters: capabilities(over.asn ?? asn),
    ...over,
  };
  const fixed = Buffer.alloc(10);
  fixed[0] = fields.version;
  fixed.writeUInt16BE(fields.asn, 1);
  fixed.writeUInt16BE(fields.holdTime, 3);
  fixed.set(fields.identifier, 5);
  fixed[9] = fields.parameters.length;
  return message(MessageType.open, Buffer.concat([fixed, fields.parameters]));
}

/** Where a speaker is, and where its neighbour, that we are, has to come from. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly from: string;
}

/** Our end of a TCP connection to a BGP speaker, with nothing of a speaker itself: it sends the bytes that it is given. */
export class RawPeer {
  readonly #socket: Socket;
  readonly #messages: Buffer[] = [];
  #stream = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Connects, again and again as long as the speaker takes nobody, and until it has sent the first message: its OPEN. */
  static async meet({ address, port, from }: Place): Promise<RawPeer> {
    let met: RawPeer | null = null;
    await eventually(`${address} sends ${from} an OPEN`, async () => {
      const peer = new RawPeer(connect({ host: address, port, localAddress: from }));
      if ((await peer.next()) !== null) met = peer;
      return met !== null;
    });
    return met!;
  }

  send(...messages: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(messages));
  }

  /** The next message, null when there will be none. */
  async next(): Promise<Buffer | null> {
    while (this.#messages.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#messages.shift() ?? null;
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#stream = Buffer.concat([this.#stream, chunk]);
    for (;;) {
      const length = this.#stream.length < HEADER ? Number.POSITIVE_INFINITY : this.#stream.readUInt16BE(16);
      if (this.#stream.length < length) break;
      this.#messages.push(this.#stream.subarray(0, length));
      this.#stream = this.#stream.subarray(length);
    }
    this.#wake();
  }
}

/** Type of a message. */
export function typeOf(bytes: Buffer): number {
  return bytes[18] ?? 0;
}
