import { setU16, setU32, u16, u32 } from '../bytes.ts';

/**
 * The common header of an MRT record, RFC 6396 §2: timestamp (4), type (2), subtype (2), length of the message (4),
 * message. A type with extended timestamps has microseconds (4) first in its message, counted in the length (§3).
 */
export const RECORD_HEADER = 12;

/** Types of RFC 6396 §4. */
export const MrtType = {
  ospfv2: 11,
  tableDump: 12,
  tableDumpV2: 13,
  bgp4mp: 16,
  bgp4mpEt: 17,
  isis: 32,
  isisEt: 33,
  ospfv3: 48,
  ospfv3Et: 49,
} as const;

const TYPES: ReadonlySet<number> = new Set(Object.values(MrtType));
const EXTENDED: ReadonlySet<number> = new Set([MrtType.bgp4mpEt, MrtType.isisEt, MrtType.ospfv3Et]);

/** Whether a record of the type may stand in a file that is written today: those of appendix B, long gone, do not count. */
export function isMrtType(type: number): boolean {
  return TYPES.has(type);
}

export interface RecordHeader {
  /** ms since the Unix epoch, with microseconds as a fraction where the record has them. */
  readonly timestamp: number;
  readonly type: number;
  readonly subtype: number;
  /** Bytes after the header. */
  readonly length: number;
}

/** What is left of a record's message after the extended timestamp. */
export interface RawRecord extends RecordHeader {
  readonly message: Uint8Array;
}

/** Type field of a header that begins at the offset. */
export function recordType(buf: Uint8Array, off: number): number {
  return u16(buf, off + 4);
}

/** Length field of a header that begins at the offset. */
export function recordLength(buf: Uint8Array, off: number): number {
  return u32(buf, off + 8);
}

/** Takes one whole record apart; null if it is too short for its extended timestamp. The message is a view. */
export function splitRecord(record: Uint8Array): RawRecord | null {
  const seconds = u32(record, 0);
  const type = u16(record, 4);
  const head = { type, subtype: u16(record, 6), length: recordLength(record, 0) };
  if (!EXTENDED.has(type)) {
    return { ...head, timestamp: seconds * 1000, message: record.subarray(RECORD_HEADER) };
  }
  if (record.length < RECORD_HEADER + 4) return null;
  const timestamp = seconds * 1000 + u32(record, RECORD_HEADER) / 1000;
  return { ...head, timestamp, message: record.subarray(RECORD_HEADER + 4) };
}

/** A whole record. `timestamp` in ms; a type with extended timestamps keeps its microseconds, another its seconds. */
export function encodeRecord(
  timestamp: number,
  type: number,
  subtype: number,
  message: Uint8Array,
): Uint8Array {
  const extra = EXTENDED.has(type) ? 4 : 0;
  const record = new Uint8Array(RECORD_HEADER + extra + message.length);
  const microseconds = Math.round(timestamp * 1000);
  const seconds = extra === 0 ? epochSeconds(timestamp) : epochSeconds(microseconds / 1000);
  setU32(record, 0, seconds);
  setU16(record, 4, type);
  setU16(record, 6, subtype);
  setU32(record, 8, extra + message.length);
  if (extra > 0) setU32(record, RECORD_HEADER, Math.max(0, microseconds - seconds * 1e6) % 1e6);
  record.set(message, RECORD_HEADER + extra);
  return record;
}

/** Whole seconds of a time in ms. What 32 bits cannot hold is written as 0. */
export function epochSeconds(ms: number): number {
  const seconds = Math.floor(ms / 1000);
  return seconds >= 0 && seconds <= 0xffffffff ? seconds : 0;
}
