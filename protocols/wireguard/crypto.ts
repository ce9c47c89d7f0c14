import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from 'node:crypto';

/** The primitives of WireGuard's whitepaper (§5.4) by their names there. Keys and hashes are 32 bytes. */

export const KEY_LENGTH = 32;
/** Bytes of a Poly1305 tag. */
export const TAG_LENGTH = 16;

/** DER headers of an X25519 key alone (RFC 8410 §4, §7). */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');

function privateObject(key: Uint8Array) {
  return createPrivateKey({ key: Buffer.concat([PKCS8, key]), format: 'der', type: 'pkcs8' });
}

/** The key with the bits set and cleared that X25519 wants (`curve25519_clamp_secret`): what `wg` shows of it. */
export function clampKey(key: Uint8Array): Uint8Array {
  const clamped = Uint8Array.from(key);
  clamped[0]! &= 248;
  clamped[31] = (clamped[31]! & 127) | 64;
  return clamped;
}

export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateObject(privateKey)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(SPKI.length));
}

/** DH(): null where the other's point is of small order, so that all that comes of it is zero. */
export function sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
  const point = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
  try {
    const secret = diffieHellman({ privateKey: privateObject(privateKey), publicKey: point });
    return secret.every((byte) => byte === 0) ? null : new Uint8Array(secret);
  } catch {
    return null;
  }
}

export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const state = createHash('blake2s256');
  for (const part of parts) state.update(part);
  return new Uint8Array(state.digest());
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = createHmac('blake2s256', key);
  for (const part of parts) state.update(part);
  return new Uint8Array(state.digest());
}

/** Kdf1 to Kdf3: HKDF (RFC 5869) of BLAKE2s. */
export function kdf(key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const prk = hmac(key, input);
  const first = hmac(prk, Uint8Array.of(1));
  const second = hmac(prk, first, Uint8Array.of(2));
  return [first, second, hmac(prk, second, Uint8Array.of(3))];
}

/** 32 bits of zero and the counter in little endian. */
function nonce(counter: number | bigint): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  if (typeof counter === 'bigint') view.setBigUint64(4, counter, true);
  else {
    view.setUint32(4, counter >>> 0, true);
    view.setUint32(8, Math.floor(counter / 2 ** 32), true);
  }
  return bytes;
}

/** Aead(): ChaCha20-Poly1305 (RFC 8439), the tag behind the ciphertext. */
export function seal(
  key: Uint8Array,
  counter: number | bigint,
  plain: Uint8Array,
  aad: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('chacha20-poly1305', key, nonce(counter), { authTagLength: TAG_LENGTH });
  cipher.setAAD(aad, { plaintextLength: plain.length });
  const out = new Uint8Array(plain.length + TAG_LENGTH);
  out.set(cipher.update(plain));
  cipher.final();
  out.set(cipher.getAuthTag(), plain.length);
  return out;
}

/** Null where the tag does not fit. */
export function open(
  key: Uint8Array,
  counter: number | bigint,
  sealed: Uint8Array,
  aad: Uint8Array,
): Uint8Array | null {
  const length = sealed.length - TAG_LENGTH;
  if (length < 0) return null;
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce(counter), { authTagLength: TAG_LENGTH });
  decipher.setAAD(aad, { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  const plain = new Uint8Array(decipher.update(sealed.subarray(0, length)));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return plain;
}

/** A key as wg(8) writes it. */
export function formatKey(key: Uint8Array): string {
  return Buffer.from(key).toString('base64');
}

/** Null if it is not the base64 of 32 bytes. */
export function parseKey(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text)) return null;
  return new Uint8Array(Buffer.from(text, 'base64'));
}
