import { u16 } from '../bytes.ts';
import { HEADER_LENGTH, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, MessageType } from './constants.ts';
import { ErrorCode, HeaderError, type Notification, notification } from './notification.ts';

/** What the stream yields next: a whole message with its header, or an error after which the stream is lost. */
export type Framed =
  | { readonly ok: true; readonly message: Uint8Array }
  | { readonly ok: false; readonly error: Notification };

/** Shortest and longest total length of each message type; index 0 is unused. RFC 4271 §4, RFC 2918 §3. */
const LENGTHS: readonly (readonly [number, number])[] = [
  [0, 0],
  [29, MAX_MESSAGE],
  [23, MAX_MESSAGE],
  [21, MAX_MESSAGE],
  [19, 19],
  [23, MAX_MESSAGE],
];

const NOTHING = new Uint8Array(0);

/**
 * Cuts a TCP byte stream into BGP messages and checks their headers (RFC 4271 §6.1): marker, length against the
 * type's bounds, type. Holds at most one partial message beside the chunk pushed last.
 */
export class Framer {
  #buffer: Uint8Array = NOTHING;
  #offset = 0;
  #maximum = MAX_MESSAGE;

  /** Both ends take extended messages (RFC 8654). */
  extend(): void {
    this.#maximum = MAX_EXTENDED_MESSAGE;
  }

  /** Bytes that wait for the rest of their message. */
  get pending(): number {
    return this.#buffer.length - this.#offset;
  }

  push(chunk: Uint8Array): void {
    if (this.pending === 0) {
      this.#buffer = chunk;
    } else {
      const joined = new Uint8Array(this.pending + chunk.length);
      joined.set(this.#buffer.subarray(this.#offset));
      joined.set(chunk, this.pending);
      this.#buffer = joined;
    }
    this.#offset = 0;
  }

  /** The next whole message, as a copy of its own; null if more bytes are needed. */
  next(): Framed | null {
    if (this.pending === 0) this.#reset();
    const at = this.#offset;
    if (this.pending < HEADER_LENGTH) return null;
    for (let i = at; i < at + 16; i++) {
      if (this.#buffer[i] !== 0xff) return headerError(HeaderError.notSynchronized, new Uint8Array(0));
    }
    const length = u16(this.#buffer, at + 16);
    const type = this.#buffer[at + 18]!;
    if (length < HEADER_LENGTH || length > this.#maximum) return this.#badLength(at);
    const bounds = type === 0 ? undefined : LENGTHS[type];
    if (bounds === undefined) return headerError(HeaderError.badType, Uint8Array.of(type));
    const longest = bounds[1] < MAX_MESSAGE || type === MessageType.open ? bounds[1] : this.#maximum;
    if (length < bounds[0] || length > longest) return this.#badLength(at);
    if (this.pending < length) return null;
    this.#offset += length;
    return { ok: true, message: this.#buffer.slice(at, at + length) };
  }

  /** Lets go of a chunk that is used up. */
  #reset(): void {
    this.#buffer = NOTHING;
    this.#offset = 0;
  }

  #badLength(at: number): Framed {
    return headerError(HeaderError.badLength, this.#buffer.slice(at + 16, at + 18));
  }
}

function headerError(subcode: number, data: Uint8Array): Framed {
  return { ok: false, error: notification(ErrorCode.messageHeader, subcode, data) };
}
