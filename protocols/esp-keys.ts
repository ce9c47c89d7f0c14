import { createHmac } from 'node:crypto';
import { u32 } from './bytes.ts';
import type { EspSuite } from './esp.ts';

/** The first SPI that is not reserved (RFC 4303 §2.1). */
const SPI_MIN = 256;

/**
 * Keys of an association with AES-128-GCM, and its SPI, out of a secret that both ends have: HKDF (RFC 5869) of SHA-256, with the
 * context, which must be another for each association.
 */
export function espKeys(psk: string, context: string): { readonly spi: number; readonly suite: EspSuite } {
  const extracted = createHmac('sha256', 'reroute esp').update(psk).digest();
  const material = new Uint8Array(createHmac('sha256', extracted).update(`${context}\x01`).digest());
  return {
    spi: Math.max(SPI_MIN, u32(material, 20)),
    suite: {
      type: 'gcm',
      key: material.subarray(0, 16),
      salt: material.subarray(16, 20),
      icvLength: 16,
    },
  };
}
