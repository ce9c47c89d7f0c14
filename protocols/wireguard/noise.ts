import { hash, kdf, open, publicKeyOf, seal, sharedSecret } from './crypto.ts';
import { encodeInitiation, encodeResponse, type Initiation, type Response } from './messages.ts';

/** The handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (whitepaper §5.4). Messages come without their MACs: cookie.ts. */

const encoder = new TextEncoder();
const CONSTRUCTION = hash(encoder.encode('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'));
const IDENTIFIED = hash(CONSTRUCTION, encoder.encode('WireGuard v1 zx2c4 Jason@zx2c4.com'));
const NOTHING = new Uint8Array(0);

export interface StaticKeys {
  readonly private: Uint8Array;
  readonly public: Uint8Array;
}

/** What both ends have in common in the course of a handshake. */
interface Transcript {
  readonly chainingKey: Uint8Array;
  readonly hash: Uint8Array;
}

/** A handshake that this end began. */
export interface SentInitiation extends Transcript {
  readonly index: number;
  readonly ephemeral: Uint8Array;
}

/** One that the other end began. */
export interface TakenInitiation extends Transcript {
  readonly remoteIndex: number;
  readonly remoteEphemeral: Uint8Array;
  readonly remoteStatic: Uint8Array;
  /** TAI64N, 12 bytes, to be compared as bytes. */
  readonly timestamp: Uint8Array;
}

/** What seals a session's packets in each direction, and by which number each end knows it. */
export interface SessionKeys {
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

/** Null where the peer's key is no good. */
export function initiate(
  local: StaticKeys,
  remoteStatic: Uint8Array,
  { index, ephemeral, timestamp }: { index: number; ephemeral: Uint8Array; timestamp: Uint8Array },
): { readonly message: Uint8Array; readonly state: SentInitiation } | null {
  const ephemeralPublic = publicKeyOf(ephemeral);
  let h = hash(hash(IDENTIFIED, remoteStatic), ephemeralPublic);
  const [c1] = kdf(CONSTRUCTION, ephemeralPublic);
  const dh = sharedSecret(ephemeral, remoteStatic);
  const staticDh = sharedSecret(local.private, remoteStatic);
  if (dh === null || staticDh === null) return null;
  const [c2, k2] = kdf(c1, dh);
  const sealedStatic = seal(k2, 0, local.public, h);
  h = hash(h, sealedStatic);
  const [chainingKey, k3] = kdf(c2, staticDh);
  const sealedTime = seal(k3, 0, timestamp, h);
  h = hash(h, sealedTime);
  const message = encodeInitiation({
    sender: index,
    ephemeral: ephemeralPublic,
    static: sealedStatic,
    timestamp: sealedTime,
  });
  return { message, state: { chainingKey, hash: h, index, ephemeral } };
}

/** Null where it was not made for this end, or by nobody who has the key that it names. */
export function takeInitiation(local: StaticKeys, message: Initiation): TakenInitiation | null {
  let h = hash(hash(IDENTIFIED, local.public), message.ephemeral);
  const [c1] = kdf(CONSTRUCTION, message.ephemeral);
  const dh = sharedSecret(local.private, message.ephemeral);
  if (dh === null) return null;
  const [c2, k2] = kdf(c1, dh);
  const remoteStatic = open(k2, 0, message.static, h);
  if (remoteStatic === null) return null;
  h = hash(h, message.static);
  const staticDh = sharedSecret(local.private, remoteStatic);
  if (staticDh === null) return null;
  const [chainingKey, k3] = kdf(c2, staticDh);
  const timestamp = open(k3, 0, message.timestamp, h);
  if (timestamp === null) return null;
  return {
    chainingKey,
    hash: hash(h, message.timestamp),
    remoteIndex: message.sender,
    remoteEphemeral: Uint8Array.from(message.ephemeral),
    remoteStatic,
    timestamp,
  };
}

/** Answers a handshake. Null where the other's keys are no good. */
export function respond(
  taken: TakenInitiation,
  presharedKey: Uint8Array,
  { index, ephemeral }: { index: number; ephemeral: Uint8Array },
): { readonly message: Uint8Array; readonly keys: SessionKeys } | null {
  const ephemeralPublic = publicKeyOf(ephemeral);
  const [c1] = kdf(taken.chainingKey, ephemeralPublic);
  const dh = sharedSecret(ephemeral, taken.remoteEphemeral);
  const staticDh = sharedSecret(ephemeral, taken.remoteStatic);
  if (dh === null || staticDh === null) return null;
  const [c2] = kdf(c1, dh);
  const [c3] = kdf(c2, staticDh);
  const [c4, tau, key] = kdf(c3, presharedKey);
  const h = hash(hash(taken.hash, ephemeralPublic), tau);
  const empty = seal(key, 0, NOTHING, h);
  const { remoteIndex } = taken;
  const message = encodeResponse({ sender: index, receiver: remoteIndex, ephemeral: ephemeralPublic, empty });
  const [receive, send] = kdf(c4, NOTHING);
  return {
    message,
    keys: { localIndex: index, remoteIndex, send, receive },
  };
}

/** Takes the answer to one's handshake. Null where it is not that of the peer. */
export function takeResponse(
  local: StaticKeys,
  sent: SentInitiation,
  presharedKey: Uint8Array,
  message: Response,
): SessionKeys | null {
  const [c1] = kdf(sent.chainingKey, message.ephemeral);
  const dh = sharedSecret(sent.ephemeral, message.ephemeral);
  const staticDh = sharedSecret(local.private, message.ephemeral);
  if (dh === null || staticDh === null) return null;
  const [c2] = kdf(c1, dh);
  const [c3] = kdf(c2, staticDh);
  const [c4, tau, key] = kdf(c3, presharedKey);
  const h = hash(hash(sent.hash, message.ephemeral), tau);
  if (open(key, 0, message.empty, h) === null) return null;
  const [send, receive] = kdf(c4, NOTHING);
  return { localIndex: sent.index, remoteIndex: message.sender, send, receive };
}

/** TAI64N of a time in ms, as coarse as Linux makes it (2^24 ns), so that it tells no clock's secrets (`tai64n_now`). */
export function tai64n(now: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  const seconds = Math.floor(now / 1000);
  const nanoseconds = Math.floor((now - seconds * 1000) * 1e6);
  view.setBigUint64(0, 0x400000000000000an + BigInt(seconds));
  view.setUint32(8, nanoseconds - (nanoseconds % 2 ** 24));
  return bytes;
}
