import { setU16, setU32, u16, u32 } from '../bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../checksum.ts';
import type { IpAddress } from '../ip.ts';
import { PROTO_TCP } from '../ipv4.ts';

/**
 * TCP header, RFC 9293 §3.1: source port (2), destination port (2), sequence (4), acknowledgment (4), data offset
 * and flags (2), window (2), checksum (2), urgent pointer (2), options.
 */
const TCP_HLEN = 20;

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export interface TcpSegment {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  /** Maximum segment size option (RFC 9293 §3.7.1). */
  readonly mss?: number;
  /** Shift count of the window scale option (RFC 7323 §2). */
  readonly windowScale?: number;
  readonly sackPermitted?: boolean;
  /** Value and echo reply of the timestamps option (RFC 7323 §3). */
  readonly timestamps?: { readonly value: number; readonly echo: number };
  readonly payload: Uint8Array;
}

/** SEG.LEN: sequence numbers that a segment takes. */
export function segmentLength({ flags, payload }: TcpSegment): number {
  return payload.length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
}

const OPT_END = 0;
const OPT_NOP = 1;
const OPT_MSS = 2;
const OPT_WSCALE = 3;
const OPT_SACK_PERMITTED = 4;
const OPT_TIMESTAMPS = 8;

type Options = Pick<TcpSegment, 'mss' | 'windowScale' | 'sackPermitted' | 'timestamps'>;

/** Null when truncated, of a bad data offset, or of a wrong checksum. The payload is a view of the buffer. */
export function decodeTcp(
  buf: Uint8Array,
  off: number,
  len: number,
  src: IpAddress,
  dst: IpAddress,
): TcpSegment | null {
  if (len < TCP_HLEN) return null;
  const headerLength = (buf[off + 12]! >> 4) * 4;
  if (headerLength < TCP_HLEN || headerLength > len) return null;
  if (internetChecksum(buf, off, len, pseudoHeaderSum(src, dst, PROTO_TCP, len)) !== 0) return null;
  return {
    srcPort: u16(buf, off),
    dstPort: u16(buf, off + 2),
    seq: u32(buf, off + 4),
    ack: u32(buf, off + 8),
    flags: buf[off + 13]! & 0x3f,
    window: u16(buf, off + 14),
    urgent: u16(buf, off + 18),
    ...(headerLength > TCP_HLEN ? decodeOptions(buf, off + TCP_HLEN, off + headerLength) : {}),
    payload: buf.subarray(off + headerLength, off + len),
  };
}

/** Reads what options can be read; a malformed one ends the list, as in Linux. */
function decodeOptions(buf: Uint8Array, start: number, end: number): Options {
  let options: Options = {};
  let at = start;
  while (at < end) {
    const kind = buf[at]!;
    if (kind === OPT_END) break;
    if (kind === OPT_NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? buf[at + 1]! : 0;
    if (length < 2 || at + length > end) break;
    if (kind === OPT_MSS && length === 4) options = { ...options, mss: u16(buf, at + 2) };
    else if (kind === OPT_WSCALE && length === 3) options = { ...options, windowScale: buf[at + 2]! };
    else if (kind === OPT_SACK_PERMITTED && length === 2) options = { ...options, sackPermitted: true };
    else if (kind === OPT_TIMESTAMPS && length === 10) {
      options = { ...options, timestamps: { value: u32(buf, at + 2), echo: u32(buf, at + 6) } };
    }
    at += length;
  }
  return options;
}

/** The segment as bytes with its checksum, for a packet between the two addresses. */
export function encodeTcp(segment: TcpSegment, src: IpAddress, dst: IpAddress): Uint8Array {
  const options = encodeOptions(segment);
  const headerLength = TCP_HLEN + options.length;
  const buf = new Uint8Array(headerLength + segment.payload.length);
  setU16(buf, 0, segment.srcPort);
  setU16(buf, 2, segment.dstPort);
  setU32(buf, 4, segment.seq);
  setU32(buf, 8, segment.ack);
  buf[12] = (headerLength / 4) << 4;
  buf[13] = segment.flags;
  setU16(buf, 14, segment.window);
  setU16(buf, 18, segment.urgent);
  buf.set(options, TCP_HLEN);
  buf.set(segment.payload, headerLength);
  setU16(buf, 16, internetChecksum(buf, 0, buf.length, pseudoHeaderSum(src, dst, PROTO_TCP, buf.length)));
  return buf;
}

function encodeOptions(segment: TcpSegment): readonly number[] {
  const { mss, windowScale, timestamps } = segment;
  if (mss === undefined && windowScale === undefined && !segment.sackPermitted && timestamps === undefined)
    return [];
  const bytes: number[] = [];
  if (mss !== undefined) bytes.push(OPT_MSS, 4, mss >>> 8, mss & 255);
  if (segment.sackPermitted) bytes.push(OPT_SACK_PERMITTED, 2);
  if (timestamps !== undefined) {
    bytes.push(OPT_TIMESTAMPS, 10);
    for (const word of [timestamps.value, timestamps.echo]) {
      bytes.push(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
    }
  }
  if (windowScale !== undefined) bytes.push(OPT_WSCALE, 3, windowScale);
  while (bytes.length % 4 !== 0) bytes.push(OPT_NOP);
  return bytes;
}
