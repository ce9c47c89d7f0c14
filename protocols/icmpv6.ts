import { setU16, setU32, u16, u32 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import type { Ip6 } from './ip6.ts';
import { IPV6_HLEN, IPV6_MIN_MTU, PROTO_ICMPV6 } from './ipv6.ts';

/** ICMPv6 (RFC 4443): type (1), code (1), checksum over pseudo-header and message (2), four bytes by type, the rest. */
export const ICMPV6_HLEN = 8;

export const ICMPV6_DEST_UNREACHABLE = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;

export const UNREACH6_NO_ROUTE = 0;
export const UNREACH6_ADDRESS = 3;
export const UNREACH6_PORT = 4;

export const EXCEEDED6_HOP_LIMIT = 0;
export const EXCEEDED6_REASSEMBLY = 1;

export type Icmpv6Message =
  | {
      readonly type: 'echo-request' | 'echo-reply';
      readonly id: number;
      readonly seq: number;
      readonly payloadOffset: number;
      readonly payloadLength: number;
    }
  | {
      readonly type: 'dest-unreachable' | 'packet-too-big' | 'time-exceeded' | 'parameter-problem';
      readonly code: number;
      /** Packet too big: the MTU; parameter problem: the pointer; else 0. */
      readonly extra: number;
      /** Offset and length of the quoted packet. */
      readonly innerOffset: number;
      readonly innerLength: number;
    }
  /** Router and neighbour solicitation and advertisement, redirect: for ndp.ts. */
  | { readonly type: 'ndp' }
  | { readonly type: 'other'; readonly icmpType: number; readonly code: number };

/** Decodes `len` bytes from `off`; null when truncated or of a wrong checksum. Offsets count from the buffer's start. */
export function decodeIcmpv6(
  buf: Uint8Array,
  off: number,
  len: number,
  src: Ip6,
  dst: Ip6,
): Icmpv6Message | null {
  if (len < ICMPV6_HLEN) return null;
  if (internetChecksum(buf, off, len, pseudoHeaderSum(src, dst, PROTO_ICMPV6, len)) !== 0) return null;
  const icmpType = buf[off]!;
  const code = buf[off + 1]!;
  if (icmpType === ICMPV6_ECHO_REQUEST || icmpType === ICMPV6_ECHO_REPLY)
    return {
      type: icmpType === ICMPV6_ECHO_REQUEST ? 'echo-request' : 'echo-reply',
      id: u16(buf, off + 4),
      seq: u16(buf, off + 6),
      payloadOffset: off + ICMPV6_HLEN,
      payloadLength: len - ICMPV6_HLEN,
    };
  if (icmpType >= 133 && icmpType <= 137) return { type: 'ndp' };
  const type = ERRORS[icmpType];
  if (type === undefined) return { type: 'other', icmpType, code };
  const extra =
    icmpType === ICMPV6_PACKET_TOO_BIG || icmpType === ICMPV6_PARAMETER_PROBLEM ? u32(buf, off + 4) : 0;
  return { type, code, extra, innerOffset: off + ICMPV6_HLEN, innerLength: len - ICMPV6_HLEN };
}

const ERRORS = [
  undefined,
  'dest-unreachable',
  'packet-too-big',
  'time-exceeded',
  'parameter-problem',
] as const;

/** Computes the checksum of a message in place at `off`, all else of it written. */
export function sealIcmpv6(buf: Uint8Array, off: number, len: number, src: Ip6, dst: Ip6): void {
  setU16(buf, off + 2, 0);
  setU16(buf, off + 2, internetChecksum(buf, off, len, pseudoHeaderSum(src, dst, PROTO_ICMPV6, len)));
}

/** Writes the echo header at `off`; the checksum is for `sealIcmpv6`. */
export function writeEcho6(
  buf: Uint8Array,
  off: number,
  type: typeof ICMPV6_ECHO_REQUEST | typeof ICMPV6_ECHO_REPLY,
  id: number,
  seq: number,
): void {
  buf[off] = type;
  buf[off + 1] = 0;
  setU16(buf, off + 4, id);
  setU16(buf, off + 6, seq);
}

/**
 * An error about a packet: as much of it as fits the minimum MTU (RFC 4443 §3), behind `room` bytes for the headers
 * before it. `extra` is the MTU of 'packet too big', the pointer of 'parameter problem', else 0. Not sealed.
 */
export function encodeIcmpv6Error(
  type: number,
  code: number,
  extra: number,
  original: Uint8Array,
  room: number,
): Uint8Array {
  const quoted = Math.min(original.length, IPV6_MIN_MTU - IPV6_HLEN - ICMPV6_HLEN);
  const message = new Uint8Array(room + ICMPV6_HLEN + quoted);
  message[room] = type;
  message[room + 1] = code;
  setU32(message, room + 4, extra);
  message.set(original.subarray(0, quoted), room + ICMPV6_HLEN);
  return message;
}
