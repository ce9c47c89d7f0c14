import { open, seal, TAG_LENGTH } from './crypto.ts';
import { DATA_HLEN, type Data, writeDataHeader } from './messages.ts';
import type { SessionKeys } from './noise.ts';
import { ReplayWindow } from './replay-window.ts';

/** Times of the whitepaper's §6.1, ms. */
export const REKEY_AFTER_TIME = 120_000;
export const REJECT_AFTER_TIME = 180_000;
export const REKEY_TIMEOUT = 5_000;
export const REKEY_ATTEMPT_TIME = 90_000;
export const KEEPALIVE_TIMEOUT = 10_000;
export const REKEY_AFTER_MESSAGES = 2 ** 60;
export const REJECT_AFTER_MESSAGES = 2 ** 64 - 2 ** 13 - 1;

const NO_AAD = new Uint8Array(0);
const PADDING = 16;

/** Length of a packet once it is padded, to 16 bytes but to no more than the MTU (`calculate_skb_padding`). */
export function paddedLength(length: number, mtu: number): number {
  const padded = Math.ceil(length / PADDING) * PADDING;
  return mtu === 0 || length > mtu ? padded : Math.min(mtu, padded);
}

/** The keys that came of one handshake, with what has been sent and received under them (`noise_keypair`). */
export class Session {
  readonly keys: SessionKeys;
  readonly role: 'initiator' | 'responder';
  /** ms */
  readonly born: number;
  /** Number of the next packet. */
  counter = 0;
  readonly #window = new ReplayWindow();

  constructor(keys: SessionKeys, role: Session['role'], born: number) {
    this.keys = keys;
    this.role = role;
    this.born = born;
  }

  /** Whether it may be used at all. */
  isGood(now: number): boolean {
    return now - this.born < REJECT_AFTER_TIME && this.counter < REJECT_AFTER_MESSAGES;
  }

  /** Whether one that sends by it should ask for another. */
  isStale(now: number): boolean {
    return (
      this.counter > REKEY_AFTER_MESSAGES ||
      (this.role === 'initiator' && now - this.born >= REKEY_AFTER_TIME)
    );
  }

  /** A message of transport data with a packet in it. */
  seal(packet: Uint8Array, mtu: number): Uint8Array {
    const length = paddedLength(packet.length, mtu);
    let plain = packet;
    if (length !== packet.length) {
      plain = new Uint8Array(length);
      plain.set(packet);
    }
    const message = new Uint8Array(DATA_HLEN + length + TAG_LENGTH);
    writeDataHeader(message, 0, this.keys.remoteIndex, this.counter);
    message.set(seal(this.keys.send, this.counter, plain, NO_AAD), DATA_HLEN);
    this.counter++;
    return message;
  }

  /** The padded packet, or why it is dropped. */
  open({ counter, sealed }: Data): Uint8Array | 'forged' | 'replayed' {
    if (!Number.isSafeInteger(counter)) return 'replayed';
    const plain = open(this.keys.receive, counter, sealed, NO_AAD);
    if (plain === null) return 'forged';
    return this.#window.take(counter) ? plain : 'replayed';
  }
}
