import { setU16, setU32, u16, u32 } from './bytes.ts';
import { internetChecksum } from './checksum.ts';
import { ipHeaderLength } from './ipv4.ts';

/** ICMP (RFC 792): type (1), code (1), checksum (2), four bytes by type, then data or the quoted packet. */
export const ICMP_HLEN = 8;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_DEST_UNREACHABLE = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMP_REPLY = 14;

/** Redirect for the host (RFC 792). */
export const REDIRECT_HOST = 1;

export const UNREACH_NET = 0;
export const UNREACH_HOST = 1;
export const UNREACH_PROTOCOL = 2;
export const UNREACH_PORT = 3;
/** RFC 1812 §5.2.7.1: communication administratively prohibited. */
export const UNREACH_ADMIN = 13;
/** Fragmentation needed and DF set; carries the next hop's MTU (RFC 1191 §4). */
export const UNREACH_FRAG_NEEDED = 4;
export const UNREACH_SOURCE_ROUTE = 5;

export const EXCEEDED_TTL = 0;
export const EXCEEDED_REASSEMBLY = 1;

export type IcmpMessage =
  | {
      readonly type: 'echo-request' | 'echo-reply';
      readonly id: number;
      readonly seq: number;
      readonly payloadOffset: number;
      readonly payloadLength: number;
    }
  | {
      readonly type: 'dest-unreachable';
      readonly code: number;
      /** For code 4, else 0. */
      readonly nextHopMtu: number;
      /** Offset and length of the quoted packet. */
      readonly innerOffset: number;
      readonly innerLength: number;
    }
  | {
      readonly type: 'time-exceeded' | 'redirect' | 'parameter-problem';
      readonly code: number;
      readonly innerOffset: number;
      readonly innerLength: number;
    }
  | {
      readonly type: 'timestamp-request';
      readonly id: number;
      readonly seq: number;
      /** ms since midnight UT, as the sender has it. */
      readonly originate: number;
    }
  | { readonly type: 'other'; readonly icmpType: number; readonly code: number };

/** Decodes `len` bytes from `off`; null when truncated or of a wrong checksum. Offsets count from the buffer's start. */
export function decodeIcmp(buf: Uint8Array, off: number, len: number): IcmpMessage | null {
  if (len < ICMP_HLEN || internetChecksum(buf, off, len) !== 0) return null;
  const icmpType = buf[off]!;
  const code = buf[off + 1]!;
  const rest = { innerOffset: off + ICMP_HLEN, innerLength: len - ICMP_HLEN };
  switch (icmpType) {
    case ICMP_ECHO_REQUEST:
    case ICMP_ECHO_REPLY:
      return {
        type: icmpType === ICMP_ECHO_REQUEST ? 'echo-request' : 'echo-reply',
        id: u16(buf, off + 4),
        seq: u16(buf, off + 6),
        payloadOffset: off + ICMP_HLEN,
        payloadLength: len - ICMP_HLEN,
      };
    case ICMP_DEST_UNREACHABLE:
      return {
        type: 'dest-unreachable',
        code,
        nextHopMtu: code === UNREACH_FRAG_NEEDED ? u16(buf, off + 6) : 0,
        ...rest,
      };
    case ICMP_TIME_EXCEEDED:
      return { type: 'time-exceeded', code, ...rest };
    case ICMP_REDIRECT:
      return { type: 'redirect', code, ...rest };
    case ICMP_PARAMETER_PROBLEM:
      return { type: 'parameter-problem', code, ...rest };
    case ICMP_TIMESTAMP:
      if (len < ICMP_HLEN + 4) return { type: 'other', icmpType, code };
      return {
        type: 'timestamp-request',
        id: u16(buf, off + 4),
        seq: u16(buf, off + 6),
        originate: u32(buf, off + 8),
      };
    default:
      return { type: 'other', icmpType, code };
  }
}

/** Writes the echo header at `off` for a payload already in place behind it. */
export function writeEcho(
  buf: Uint8Array,
  off: number,
  type: typeof ICMP_ECHO_REQUEST | typeof ICMP_ECHO_REPLY,
  id: number,
  seq: number,
  payloadLength: number,
): void {
  buf[off] = type;
  buf[off + 1] = 0;
  setU16(buf, off + 2, 0);
  setU16(buf, off + 4, id);
  setU16(buf, off + 6, seq);
  setU16(buf, off + 2, internetChecksum(buf, off, ICMP_HLEN + payloadLength));
}

/** Bytes of a timestamp message (RFC 792): id (2), sequence (2), originate, receive and transmit timestamp (4 each). */
export const ICMP_TIMESTAMP_LENGTH = 20;

/** Writes the answer to a timestamp request at `off`; `now` is ms since midnight UT. */
export function writeTimestampReply(
  buf: Uint8Array,
  off: number,
  { id, seq, originate }: { readonly id: number; readonly seq: number; readonly originate: number },
  now: number,
): void {
  buf[off] = ICMP_TIMESTAMP_REPLY;
  buf[off + 1] = 0;
  setU16(buf, off + 2, 0);
  setU16(buf, off + 4, id);
  setU16(buf, off + 6, seq);
  setU32(buf, off + 8, originate);
  setU32(buf, off + 12, now);
  setU32(buf, off + 16, now);
  setU16(buf, off + 2, internetChecksum(buf, off, ICMP_TIMESTAMP_LENGTH));
}

/** Most that an ICMP error may be, IP header included (RFC 1812 §4.3.2.3). */
export const MAX_ERROR = 576;

/**
 * An ICMP error message about a packet, without its own IP header. `extra` is the second word: the next hop's MTU for
 * code 4 of destination unreachable, the gateway of a redirect, 0 otherwise. `room` is what it may take with its IP header.
 */
export function encodeIcmpError(
  type: number,
  code: number,
  extra: number,
  original: Uint8Array,
  originalOff: number,
  originalLen: number,
  room = MAX_ERROR,
): Uint8Array {
  const quoted = Math.min(
    originalLen,
    Math.max(room - 20 - ICMP_HLEN, ipHeaderLength(original, originalOff) + 8),
  );
  const message = new Uint8Array(ICMP_HLEN + quoted);
  message[0] = type;
  message[1] = code;
  setU32(message, 4, extra);
  message.set(original.subarray(originalOff, originalOff + quoted), ICMP_HLEN);
  setU16(message, 2, internetChecksum(message, 0, message.length));
  return message;
}
