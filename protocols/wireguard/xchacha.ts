import { KEY_LENGTH, open, seal } from './crypto.ts';

/** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), which OpenSSL has not: ChaCha20-Poly1305 under a key that HChaCha20 makes. */

export const XNONCE_LENGTH = 24;
/** `expand 32-byte k` */
const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;

/** HChaCha20 (§2.2): the block function without the last addition, of which the first and the last row are the key. */
export function hchacha20(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const state = new Uint32Array(16);
  state.set(CONSTANTS);
  const words = (bytes: Uint8Array, count: number) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
  };
  state.set(words(key, 8), 4);
  state.set(words(nonce, 4), 12);
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(state, i, i + 4, i + 8, i + 12);
    for (let i = 0; i < 4; i++) quarter(state, i, 4 + ((i + 1) & 3), 8 + ((i + 2) & 3), 12 + ((i + 3) & 3));
  }
  const out = new Uint8Array(KEY_LENGTH);
  const view = new DataView(out.buffer);
  for (let i = 0; i < 4; i++) {
    view.setUint32(4 * i, state[i]!, true);
    view.setUint32(16 + 4 * i, state[12 + i]!, true);
  }
  return out;
}

function quarter(s: Uint32Array, a: number, b: number, c: number, d: number): void {
  s[a] = s[a]! + s[b]!;
  s[d] = rotate(s[d]! ^ s[a]!, 16);
  s[c] = s[c]! + s[d]!;
  s[b] = rotate(s[b]! ^ s[c]!, 12);
  s[a] = s[a]! + s[b]!;
  s[d] = rotate(s[d]! ^ s[a]!, 8);
  s[c] = s[c]! + s[d]!;
  s[b] = rotate(s[b]! ^ s[c]!, 7);
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** The nonce that is left for ChaCha20-Poly1305: 4 bytes of zero and the last 8, here as its counter is written. */
function parts(key: Uint8Array, nonce: Uint8Array): readonly [key: Uint8Array, rest: bigint] {
  const view = new DataView(nonce.buffer, nonce.byteOffset, nonce.length);
  return [hchacha20(key, nonce.subarray(0, 16)), view.getBigUint64(16, true)];
}

/** Xaead(): the tag stands behind the ciphertext. */
export function xseal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array {
  const [sub, rest] = parts(key, nonce);
  return seal(sub, rest, plain, aad);
}

/** Null where the tag does not fit. */
export function xopen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  aad: Uint8Array,
): Uint8Array | null {
  const [sub, rest] = parts(key, nonce);
  return open(sub, rest, sealed, aad);
}
