/** CRC32c (Castagnoli), as SCTP and iSCSI have it (RFC 9260 appendix A), by a table of its bits turned round. */
const POLYNOMIAL = 0x82f6_3b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 0 ? rest >>> 1 : (rest >>> 1) ^ POLYNOMIAL;
  return rest >>> 0;
});

/** The state of a sum over no bytes. */
export const CRC32C_START = 0xffff_ffff;

/** The state of a sum, over more bytes. `crc32cOf` makes the sum of it. */
export function crc32cUpdate(state: number, bytes: Uint8Array, from: number, to: number): number {
  let rest = state;
  for (let i = from; i < to; i++) rest = TABLE[(rest ^ bytes[i]!) & 0xff]! ^ (rest >>> 8);
  return rest;
}

/** The sum, unsigned 32 bits. */
export function crc32cOf(state: number): number {
  return (state ^ 0xffff_ffff) >>> 0;
}
