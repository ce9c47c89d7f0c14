import { setU16, setU32, u16, u32 } from './bytes.ts';
import { internetChecksum } from './checksum.ts';

/** IP protocol numbers of tunnels. */
export const PROTO_IPIP = 4;
export const PROTO_IPV6 = 41;
export const PROTO_GRE = 47;

/** EtherType of a bridged Ethernet frame in GRE (gretap). */
export const ETHERTYPE_TEB = 0x6558;

/** Bits of the first word (RFC 2784 §2.1, RFC 2890 §2). */
const CHECKSUM = 0x8000;
const ROUTING = 0x4000;
const KEY = 0x2000;
const SEQUENCE = 0x1000;
const VERSION = 0x0007;

/**
 * GRE header, RFC 2784 with the extensions of RFC 2890: flags and version (2), protocol type as an EtherType (2), then as the flags
 * say checksum and reserved (4), key (4), sequence number (4).
 */
export interface GreHeader {
  readonly etherType: number;
  readonly checksum: boolean;
  readonly key: number | null;
  readonly sequence: number | null;
}

export interface DecodedGre extends GreHeader {
  /** Where the payload begins, from the start of the buffer. */
  readonly payloadOffset: number;
}

export function greLength({ checksum, key, sequence }: GreHeader): number {
  return 4 + (checksum ? 4 : 0) + (key === null ? 0 : 4) + (sequence === null ? 0 : 4);
}

/** Writes the header; the payload stands behind it already, up to the end of the buffer. */
export function writeGre(buf: Uint8Array, off: number, header: GreHeader): void {
  const { etherType, checksum, key, sequence } = header;
  setU16(buf, off, (checksum ? CHECKSUM : 0) | (key === null ? 0 : KEY) | (sequence === null ? 0 : SEQUENCE));
  setU16(buf, off + 2, etherType);
  let at = off + 4;
  if (checksum) {
    setU32(buf, at, 0);
    at += 4;
  }
  if (key !== null) {
    setU32(buf, at, key);
    at += 4;
  }
  if (sequence !== null) setU32(buf, at, sequence);
  if (checksum) setU16(buf, off + 4, internetChecksum(buf, off, buf.length - off));
}

/** Null where it is truncated, of another version, source routed, or of a wrong checksum. */
export function decodeGre(buf: Uint8Array, off: number, len: number): DecodedGre | null {
  if (len < 4) return null;
  const flags = u16(buf, off);
  if ((flags & (ROUTING | VERSION)) !== 0) return null;
  const checksum = (flags & CHECKSUM) !== 0;
  const hasKey = (flags & KEY) !== 0;
  const hasSequence = (flags & SEQUENCE) !== 0;
  const length = 4 + (checksum ? 4 : 0) + (hasKey ? 4 : 0) + (hasSequence ? 4 : 0);
  if (len < length) return null;
  if (checksum && internetChecksum(buf, off, len) !== 0) return null;
  const keyAt = off + 4 + (checksum ? 4 : 0);
  const sequenceAt = keyAt + (hasKey ? 4 : 0);
  return {
    etherType: u16(buf, off + 2),
    checksum,
    key: hasKey ? u32(buf, keyAt) : null,
    sequence: hasSequence ? u32(buf, sequenceAt) : null,
    payloadOffset: off + length,
  };
}
