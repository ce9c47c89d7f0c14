import { u32 } from '../bytes.ts';
import { CONTROL_LENGTH } from './control.ts';

/** Bytes before the password: type, length, key. */
const PASSWORD_HEADER = 3;

/** The keyed types by their codes, and the length of their sections: a header of 8 bytes and the digest. */
const KEYED: Partial<Record<number, { readonly name: KeyedName; readonly length: number }>> = {
  2: { name: 'Keyed MD5', length: 24 },
  3: { name: 'Meticulous Keyed MD5', length: 24 },
  4: { name: 'Keyed SHA1', length: 28 },
  5: { name: 'Meticulous Keyed SHA1', length: 28 },
};

type KeyedName = 'Keyed MD5' | 'Meticulous Keyed MD5' | 'Keyed SHA1' | 'Meticulous Keyed SHA1';

/** An authentication section (RFC 5880 §4.2 to 4.4). */
export type AuthSection =
  | { readonly type: 'Simple Password'; readonly keyId: number; readonly passwordLength: number }
  | { readonly type: KeyedName; readonly keyId: number; readonly sequence: number }
  | { readonly type: 'unknown'; readonly code: number }
  | { readonly type: 'malformed'; readonly code: number; readonly length: number };

/**
 * Reads the authentication section of a packet of `length` bytes at `off`, which `readControl` has accepted with the A bit
 * set. Never throws. Digests are not looked at: no session here uses authentication.
 */
export function readAuth(buf: Uint8Array, off: number, length: number): AuthSection {
  const at = off + CONTROL_LENGTH;
  const code = buf[at]!;
  const authLength = buf[at + 1]!;
  const keyed = KEYED[code];
  if (code !== 1 && keyed === undefined) return { type: 'unknown', code };
  const fits =
    keyed === undefined ? authLength > PASSWORD_HEADER && authLength <= 19 : authLength === keyed.length;
  if (!fits || CONTROL_LENGTH + authLength > length) return { type: 'malformed', code, length: authLength };
  const keyId = buf[at + 2]!;
  if (keyed === undefined)
    return { type: 'Simple Password', keyId, passwordLength: authLength - PASSWORD_HEADER };
  return { type: keyed.name, keyId, sequence: u32(buf, at + 4) };
}

/** `Keyed SHA1 authentication with key 3` */
export function formatAuth(section: AuthSection): string {
  switch (section.type) {
    case 'unknown':
      return `authentication of the unknown type ${section.code}`;
    case 'malformed':
      return `authentication of type ${section.code} in a section of a wrong length, ${section.length}`;
    default:
      return `${section.type} authentication with key ${section.keyId}`;
  }
}
