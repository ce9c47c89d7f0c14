import { TAG_LENGTH } from './crypto.ts';

/** The messages of WireGuard (whitepaper §5.4.2 to §5.4.7). Numbers are little endian. */

export const TYPE_INITIATION = 1;
export const TYPE_RESPONSE = 2;
export const TYPE_COOKIE = 3;
export const TYPE_DATA = 4;

export const INITIATION_LENGTH = 148;
export const RESPONSE_LENGTH = 92;
export const COOKIE_LENGTH = 64;
/** Type, receiver and counter. */
export const DATA_HLEN = 16;
export const DATA_OVERHEAD = DATA_HLEN + TAG_LENGTH;
export const MAC_LENGTH = 16;

export interface Initiation {
  readonly type: typeof TYPE_INITIATION;
  readonly sender: number;
  readonly ephemeral: Uint8Array;
  /** 48 bytes, sealed. */
  readonly static: Uint8Array;
  /** 28 bytes, sealed. */
  readonly timestamp: Uint8Array;
}

export interface Response {
  readonly type: typeof TYPE_RESPONSE;
  readonly sender: number;
  readonly receiver: number;
  readonly ephemeral: Uint8Array;
  /** 16 bytes, sealed: a tag alone. */
  readonly empty: Uint8Array;
}

export interface CookieReply {
  readonly type: typeof TYPE_COOKIE;
  readonly receiver: number;
  readonly nonce: Uint8Array;
  readonly cookie: Uint8Array;
}

export interface Data {
  readonly type: typeof TYPE_DATA;
  readonly receiver: number;
  /** Of more than 2^53 it is not exact: no session lasts as long. */
  readonly counter: number;
  readonly sealed: Uint8Array;
}

export type Message = Initiation | Response | CookieReply | Data;

/** Null for what is none, or not of its length. The byte arrays are parts of `bytes`. */
export function decodeMessage(bytes: Uint8Array): Message | null {
  if (bytes.length < 4) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const part = (from: number, length: number) => bytes.subarray(from, from + length);
  switch (view.getUint32(0, true)) {
    case TYPE_INITIATION:
      if (bytes.length !== INITIATION_LENGTH) return null;
      return {
        type: TYPE_INITIATION,
        sender: view.getUint32(4, true),
        ephemeral: part(8, 32),
        static: part(40, 48),
        timestamp: part(88, 28),
      };
    case TYPE_RESPONSE:
      if (bytes.length !== RESPONSE_LENGTH) return null;
      return {
        type: TYPE_RESPONSE,
        sender: view.getUint32(4, true),
        receiver: view.getUint32(8, true),
        ephemeral: part(12, 32),
        empty: part(44, 16),
      };
    case TYPE_COOKIE:
      if (bytes.length !== COOKIE_LENGTH) return null;
      return {
        type: TYPE_COOKIE,
        receiver: view.getUint32(4, true),
        nonce: part(8, 24),
        cookie: part(32, 32),
      };
    case TYPE_DATA:
      if (bytes.length < DATA_OVERHEAD) return null;
      return {
        type: TYPE_DATA,
        receiver: view.getUint32(4, true),
        counter: view.getUint32(12, true) * 2 ** 32 + view.getUint32(8, true),
        sealed: bytes.subarray(DATA_HLEN),
      };
    default:
      return null;
  }
}

/** With both MACs left zero. */
export function encodeInitiation(message: Omit<Initiation, 'type'>): Uint8Array {
  const bytes = new Uint8Array(INITIATION_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, TYPE_INITIATION, true);
  view.setUint32(4, message.sender, true);
  bytes.set(message.ephemeral, 8);
  bytes.set(message.static, 40);
  bytes.set(message.timestamp, 88);
  return bytes;
}

/** With both MACs left zero. */
export function encodeResponse(message: Omit<Response, 'type'>): Uint8Array {
  const bytes = new Uint8Array(RESPONSE_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, TYPE_RESPONSE, true);
  view.setUint32(4, message.sender, true);
  view.setUint32(8, message.receiver, true);
  bytes.set(message.ephemeral, 12);
  bytes.set(message.empty, 44);
  return bytes;
}

export function encodeCookieReply(message: Omit<CookieReply, 'type'>): Uint8Array {
  const bytes = new Uint8Array(COOKIE_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, TYPE_COOKIE, true);
  view.setUint32(4, message.receiver, true);
  bytes.set(message.nonce, 8);
  bytes.set(message.cookie, 32);
  return bytes;
}

/** Writes the header of transport data; what is sealed goes behind it. */
export function writeDataHeader(buffer: Uint8Array, at: number, receiver: number, counter: number): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset + at, DATA_HLEN);
  view.setUint32(0, TYPE_DATA, true);
  view.setUint32(4, receiver, true);
  view.setUint32(8, counter >>> 0, true);
  view.setUint32(12, Math.floor(counter / 2 ** 32), true);
}
