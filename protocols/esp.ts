import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { setU32, u32 } from './bytes.ts';

/**
 * ESP (RFC 4303) with AES-GCM (RFC 4106) or AES-CBC and an HMAC (RFC 3602, RFC 2404, RFC 4868): SPI and sequence number, an IV, what is
 * sealed with its padding, the padding's length and the next header, and the integrity check value.
 */

export const PROTO_ESP = 50;
const ESP_HLEN = 8;
/** Padding's length and next header. */
const TRAILER = 2;

export type Hmac = 'sha1' | 'sha256' | 'sha384' | 'sha512';

export type EspSuite =
  | {
      readonly type: 'gcm';
      /** 16, 24 or 32 bytes. */
      readonly key: Uint8Array;
      /** 4 bytes of the nonce that are agreed upon with the key. */
      readonly salt: Uint8Array;
      /** Bytes: 8, 12 or 16. */
      readonly icvLength: number;
    }
  | {
      readonly type: 'cbc';
      readonly key: Uint8Array;
      readonly hmac: Hmac;
      readonly authKey: Uint8Array;
      /** Bytes of the digest that are sent. */
      readonly icvLength: number;
    };

/** Bytes of the IV in front of what is sealed. */
export function ivLength(suite: EspSuite): number {
  return suite.type === 'gcm' ? 8 : 16;
}

/** What is sealed is padded to a multiple of so many bytes. */
function blockSize(suite: EspSuite): number {
  return suite.type === 'gcm' ? 4 : 16;
}

/** Bytes in front of what is sealed. */
export function espHeaderLength(suite: EspSuite): number {
  return ESP_HLEN + ivLength(suite);
}

/** Length of an ESP packet with so many bytes in it. */
export function espLength(suite: EspSuite, length: number): number {
  const block = blockSize(suite);
  const sealed = Math.ceil((length + TRAILER) / block) * block;
  return espHeaderLength(suite) + sealed + suite.icvLength;
}

/** The most that goes into an ESP packet of so many bytes (`xfrm_state_mtu`). */
export function espCapacity(suite: EspSuite, length: number): number {
  const block = blockSize(suite);
  const sealed = Math.floor((length - espHeaderLength(suite) - suite.icvLength) / block) * block;
  return sealed - TRAILER;
}

function aes(suite: EspSuite): string {
  return `aes-${8 * suite.key.length}-${suite.type}`;
}

function gcmNonce(salt: Uint8Array, iv: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(salt);
  nonce.set(iv, 4);
  return nonce;
}

/** The upper half of an extended sequence number stands behind what is covered, and is not sent (RFC 4303 §2.2.1). */
function icv(
  suite: Extract<EspSuite, { type: 'cbc' }>,
  covered: Uint8Array,
  high: number | null,
): Uint8Array {
  const hmac = createHmac(suite.hmac, suite.authKey).update(covered);
  if (high !== null) {
    const bytes = new Uint8Array(4);
    setU32(bytes, 0, high);
    hmac.update(bytes);
  }
  return hmac.digest().subarray(0, suite.icvLength);
}

/** SPI and sequence number, with its upper half between them where it is an extended one (RFC 4106 §5). */
function associated(buffer: Uint8Array, at: number, high: number | null): Uint8Array {
  if (high === null) return buffer.subarray(at, at + ESP_HLEN);
  const bytes = new Uint8Array(ESP_HLEN + 4);
  bytes.set(buffer.subarray(at, at + 4));
  setU32(bytes, 4, high);
  bytes.set(buffer.subarray(at + 4, at + 8), 8);
  return bytes;
}

export interface EspPacket {
  readonly spi: number;
  /** Of an extended one the lower half is sent. */
  readonly sequence: number;
  /** Upper half of an extended sequence number (RFC 4303 §2.2.1); null: it is none. */
  readonly high: number | null;
  /** As long as `ivLength` says; never the same twice under one key of AES-GCM, not to be guessed with AES-CBC. */
  readonly iv: Uint8Array;
  readonly payload: Uint8Array;
  readonly nextHeader: number;
}

/** Writes an ESP packet, `espLength` bytes, to `buffer` at `at`. */
export function sealEsp(buffer: Uint8Array, at: number, suite: EspSuite, packet: EspPacket): void {
  const { spi, sequence, high, iv, payload, nextHeader } = packet;
  const header = espHeaderLength(suite);
  const length = espLength(suite, payload.length);
  const plain = new Uint8Array(length - header - suite.icvLength);
  plain.set(payload);
  const padding = plain.length - payload.length - TRAILER;
  for (let i = 0; i < padding; i++) plain[payload.length + i] = i + 1;
  plain[plain.length - 2] = padding;
  plain[plain.length - 1] = nextHeader;
  setU32(buffer, at, spi);
  setU32(buffer, at + 4, sequence >>> 0);
  buffer.set(iv, at + ESP_HLEN);
  const tagAt = at + length - suite.icvLength;
  if (suite.type === 'gcm') {
    const cipher = createCipheriv(gcmName(suite), suite.key, gcmNonce(suite.salt, iv), {
      authTagLength: suite.icvLength,
    });
    cipher.setAAD(associated(buffer, at, high));
    buffer.set(cipher.update(plain), at + header);
    cipher.final();
    buffer.set(cipher.getAuthTag(), tagAt);
    return;
  }
  const cipher = createCipheriv(aes(suite), suite.key, iv);
  cipher.setAutoPadding(false);
  buffer.set(cipher.update(plain), at + header);
  buffer.set(icv(suite, buffer.subarray(at, tagAt), high), tagAt);
}

function gcmName(suite: Extract<EspSuite, { type: 'gcm' }>): 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' {
  return suite.key.length === 16 ? 'aes-128-gcm' : suite.key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm';
}

/** SPI and sequence number; null for what is too short to have them. */
export function peekEsp(
  buffer: Uint8Array,
  at: number,
  length: number,
): { readonly spi: number; readonly sequence: number } | null {
  return length < ESP_HLEN ? null : { spi: u32(buffer, at), sequence: u32(buffer, at + 4) };
}

export type OpenedEsp =
  | { readonly payload: Uint8Array; readonly nextHeader: number }
  | 'malformed'
  | 'forged';

/** Takes an ESP packet of `length` bytes apart; `high` is the upper half that its sequence number must have, null for none. */
export function openEsp(
  buffer: Uint8Array,
  at: number,
  length: number,
  suite: EspSuite,
  high: number | null,
): OpenedEsp {
  const header = espHeaderLength(suite);
  const sealedLength = length - header - suite.icvLength;
  if (sealedLength < TRAILER || sealedLength % blockSize(suite) !== 0) return 'malformed';
  const iv = buffer.subarray(at + ESP_HLEN, at + header);
  const tagAt = at + length - suite.icvLength;
  const sealed = buffer.subarray(at + header, tagAt);
  const tag = buffer.subarray(tagAt, at + length);
  let plain: Uint8Array;
  if (suite.type === 'gcm') {
    const decipher = createDecipheriv(gcmName(suite), suite.key, gcmNonce(suite.salt, iv), {
      authTagLength: suite.icvLength,
    });
    decipher.setAAD(associated(buffer, at, high));
    decipher.setAuthTag(tag);
    plain = decipher.update(sealed);
    try {
      decipher.final();
    } catch {
      return 'forged';
    }
  } else {
    const expected = icv(suite, buffer.subarray(at, tagAt), high);
    if (!expected.every((byte, i) => byte === tag[i])) return 'forged';
    const decipher = createDecipheriv(aes(suite), suite.key, iv);
    decipher.setAutoPadding(false);
    plain = decipher.update(sealed);
  }
  const padding = plain[plain.length - 2]!;
  const end = plain.length - TRAILER - padding;
  if (end < 0) return 'malformed';
  return { payload: new Uint8Array(plain.subarray(0, end)), nextHeader: plain[plain.length - 1]! };
}

const WRAP = 2 ** 32;

/** Which sequence numbers have come (RFC 4303 §3.4.3): none twice, none behind the window. A window of 0 takes all. */
export class EspWindow {
  readonly size: number;
  #bits = 0n;
  /** The highest that has come. */
  last = 0;

  constructor(size: number) {
    this.size = size;
  }

  /**
   * The extended number of which a packet has the lower half: the one that is nearest to the window (RFC 4303 appendix A2.2).
   */
  extended(low: number): number {
    const top = Math.floor(this.last / WRAP);
    const last = this.last % WRAP;
    const bottom = last - this.size + 1;
    if (bottom >= 0) return (low >= bottom ? top : top + 1) * WRAP + low;
    // The window reaches back over the turn.
    return (low >= bottom + WRAP && top > 0 ? top - 1 : top) * WRAP + low;
  }

  /** Whether a number may still come; to be asked before a packet is opened. */
  mayTake(sequence: number): boolean {
    if (this.size === 0) return true;
    if (sequence === 0) return false;
    if (sequence > this.last) return true;
    const behind = this.last - sequence;
    return behind < this.size && ((this.#bits >> BigInt(behind)) & 1n) === 0n;
  }

  /** Notes the number of a packet that was authentic. */
  take(sequence: number): void {
    if (this.size === 0) return;
    if (sequence > this.last) {
      const ahead = sequence - this.last;
      this.#bits = ahead >= this.size ? 1n : ((this.#bits << BigInt(ahead)) | 1n) & this.#mask;
      this.last = sequence;
    } else this.#bits |= 1n << BigInt(this.last - sequence);
  }

  /** Of the newest numbers, the last in the lowest bit, which have come: words of 32, so many as the window has. */
  words(count: number): number[] {
    return Array.from({ length: count }, (_, i) => Number((this.#bits >> BigInt(32 * i)) & 0xffffffffn));
  }

  /** Of the newest 32 numbers, the last in the lowest bit, which have come (`ip xfrm state` prints it). */
  get bitmap(): number {
    return Number(this.#bits & 0xffffffffn);
  }

  get #mask(): bigint {
    return (1n << BigInt(this.size)) - 1n;
  }
}
