import { u16 } from './bytes.ts';
import { CRC32C_START, crc32cOf, crc32cUpdate } from './crc32c.ts';

/**
 * SCTP as far as those on the way see it (RFC 9260 §3): a common header of source and destination port, verification tag and checksum,
 * then chunks of type, flags, length with this head, and value, each filled up to a word.
 */
export const PROTO_SCTP = 132;
export const SCTP_HLEN = 12;
export const SCTP_VTAG = 4;
export const SCTP_CHECKSUM = 8;
export const SCTP_CHUNK_HLEN = 4;

/** Types of chunks (RFC 9260 §3.2). */
export const SCTP_DATA = 0;
export const SCTP_INIT = 1;
export const SCTP_INIT_ACK = 2;
export const SCTP_HEARTBEAT = 4;
export const SCTP_HEARTBEAT_ACK = 5;
export const SCTP_ABORT = 6;
export const SCTP_SHUTDOWN = 7;
export const SCTP_SHUTDOWN_ACK = 8;
export const SCTP_ERROR = 9;
export const SCTP_COOKIE_ECHO = 10;
export const SCTP_COOKIE_ACK = 11;
export const SCTP_SHUTDOWN_COMPLETE = 14;

const ZEROS = new Uint8Array(4);

/** The checksum of a packet from its header on, as four bytes read as a number, the first the highest (RFC 9260 §6.8). */
export function sctpChecksum(buf: Uint8Array, at: number, end: number): number {
  let state = crc32cUpdate(CRC32C_START, buf, at, at + SCTP_CHECKSUM);
  state = crc32cUpdate(state, ZEROS, 0, 4);
  const sum = crc32cOf(crc32cUpdate(state, buf, at + SCTP_HLEN, end));
  // It is sent with its lowest byte first.
  return (((sum & 0xff) << 24) | ((sum & 0xff00) << 8) | ((sum >>> 8) & 0xff00) | (sum >>> 24)) >>> 0;
}

/** Where the chunk behind one begins. One without a length has no end, and leads nowhere: `at` itself. */
export function nextSctpChunk(buf: Uint8Array, at: number): number {
  return at + ((u16(buf, at + 2) + 3) & ~3);
}
