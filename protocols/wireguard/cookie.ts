import { blake2s } from './blake2s.ts';
import { hash, KEY_LENGTH } from './crypto.ts';
import { type CookieReply, encodeCookieReply, MAC_LENGTH } from './messages.ts';
import { XNONCE_LENGTH, xopen, xseal } from './xchacha.ts';

/** The two MACs of a handshake message, and the cookies that make one wait its turn (whitepaper §5.3, §5.4.4, §5.4.7). */

const encoder = new TextEncoder();
const LABEL_MAC1 = encoder.encode('mac1----');
const LABEL_COOKIE = encoder.encode('cookie--');

/** How long a secret makes cookies, ms (`COOKIE_SECRET_MAX_AGE`). */
export const COOKIE_SECRET_MAX_AGE = 120_000;
/** So much sooner a cookie is not used any more, ms (`COOKIE_SECRET_LATENCY`). */
const COOKIE_SECRET_LATENCY = 5_000;

const mac1At = (message: Uint8Array) => message.length - 2 * MAC_LENGTH;
const mac2At = (message: Uint8Array) => message.length - MAC_LENGTH;
const mac1Of = (message: Uint8Array) => message.slice(mac1At(message), mac2At(message));

function mac1(message: Uint8Array, receiver: Uint8Array): Uint8Array {
  return blake2s(hash(LABEL_MAC1, receiver), message.subarray(0, mac1At(message)), MAC_LENGTH);
}

function mac2(message: Uint8Array, cookie: Uint8Array): Uint8Array {
  return blake2s(cookie, message.subarray(0, mac2At(message)), MAC_LENGTH);
}

const cookieKey = (receiver: Uint8Array) => hash(LABEL_COOKIE, receiver);

function stands(mac: Uint8Array, message: Uint8Array, at: number): boolean {
  return mac.every((byte, i) => byte === message[at + i]);
}

/** Of one who sends handshake messages to a peer: its MACs, and the cookie that the peer has given (`struct cookie`). */
export class Cookie {
  readonly #receiver: Uint8Array;
  /** Of the message that was sent last, until a cookie has come for it. */
  #sent: Uint8Array | null = null;
  #cookie: Uint8Array | null = null;
  #born = 0;

  /** `receiver` is the peer's public key. */
  constructor(receiver: Uint8Array) {
    this.#receiver = receiver;
  }

  /** Writes both MACs into a message; the second is zero where there is no cookie. */
  stamp(message: Uint8Array, now: number): void {
    message.set(mac1(message, this.#receiver), mac1At(message));
    this.#sent = mac1Of(message);
    const cookie = this.#cookie;
    if (cookie !== null && now - this.#born < COOKIE_SECRET_MAX_AGE - COOKIE_SECRET_LATENCY)
      message.set(mac2(message, cookie), mac2At(message));
  }

  /** False where it is no answer to what was sent last. */
  take({ nonce, cookie: sealed }: CookieReply, now: number): boolean {
    if (this.#sent === null) return false;
    const cookie = xopen(cookieKey(this.#receiver), nonce, sealed, this.#sent);
    if (cookie === null) return false;
    this.#cookie = cookie;
    this.#born = now;
    this.#sent = null;
    return true;
  }
}

/** Of one who receives handshake messages (`struct cookie_checker`). */
export class CookieChecker {
  readonly #random: (length: number) => Uint8Array;
  #secret = new Uint8Array(0);
  #born = Number.NEGATIVE_INFINITY;

  constructor(random: (length: number) => Uint8Array) {
    this.#random = random;
  }

  /** Whether the sender knows whom it is talking to; `receiver` is this end's public key. */
  hasMac1(message: Uint8Array, receiver: Uint8Array): boolean {
    return stands(mac1(message, receiver), message, mac1At(message));
  }

  /** Whether the sender has had a cookie at the address, in bytes with its port, that it sends from. */
  hasMac2(message: Uint8Array, source: Uint8Array, now: number): boolean {
    return stands(mac2(message, this.#cookieFor(source, now)), message, mac2At(message));
  }

  /** The answer to a message whose sender called itself `sender`. */
  reply(
    message: Uint8Array,
    sender: number,
    receiver: Uint8Array,
    source: Uint8Array,
    now: number,
  ): Uint8Array {
    const nonce = this.#random(XNONCE_LENGTH);
    const cookie = xseal(cookieKey(receiver), nonce, this.#cookieFor(source, now), mac1Of(message));
    return encodeCookieReply({ receiver: sender, nonce, cookie });
  }

  #cookieFor(source: Uint8Array, now: number): Uint8Array {
    if (now - this.#born >= COOKIE_SECRET_MAX_AGE) {
      this.#secret = Uint8Array.from(this.#random(KEY_LENGTH));
      this.#born = now;
    }
    return blake2s(this.#secret, source, MAC_LENGTH);
  }
}
