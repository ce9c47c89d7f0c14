import { type BgpMessage, decodeBgp4mp, type StateChange } from './bgp4mp.ts';
import { MrtType, RECORD_HEADER, recordLength, splitRecord } from './record.ts';
import { decodeTableDump, type TableDump } from './table-dump.ts';
import { decodeTableDumpV2, type PeerIndexTable, type Rib } from './table-dump-v2.ts';

/** A record of a type, a subtype or a family that is not read here. */
export interface UnsupportedRecord {
  readonly kind: 'unsupported';
  readonly type: number;
  readonly subtype: number;
}

interface Place {
  /** Of the record's header, bytes from the beginning of the (uncompressed) stream. */
  readonly offset: number;
  /** Of the record's header, ms since the Unix epoch, with microseconds as a fraction where the record has them. */
  readonly timestamp: number;
}

export interface MalformedRecord {
  readonly kind: 'malformed';
  readonly offset: number;
  readonly reason: string;
}

type MrtBody = PeerIndexTable | Rib | TableDump | StateChange | BgpMessage | UnsupportedRecord;

/** One record of a stream. Its byte arrays are views of what was read, of use as long as that is left alone. */
export type MrtRecord = (MrtBody & Place) | MalformedRecord;

/** Longest record that is taken for one, bytes: 65535 routes to a prefix of 256 bytes each. */
const MAX_RECORD = 16 * 1024 * 1024;

/**
 * Cuts a stream of bytes into MRT records and decodes them. Never throws: a record that cannot be read is malformed, and
 * reading goes on where its length says that it ends. Holds one record at most, and of one that claims more than 16 MiB
 * nothing.
 */
export class MrtReader {
  /** Of the record that comes next or is being gathered. */
  #offset = 0;
  /** A record that a chunk has broken off: room for its header, then for all of it. */
  #record = new Uint8Array(RECORD_HEADER);
  #have = 0;
  /** Bytes to come of a record that is not read. */
  #skip = 0;

  /** Records that the chunk completes. To be run to its end before the next chunk. */
  *read(chunk: Uint8Array): Generator<MrtRecord> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      const end = this.#have === 0 ? endOfRecord(chunk, at) : null;
      if (end !== null) {
        yield decodeRecord(chunk.subarray(at, end), this.#offset);
        this.#offset += end - at;
        at = end;
      } else {
        at += this.#gather(chunk.subarray(at));
        const record = this.#gathered();
        if (record !== null) yield record;
      }
    }
  }

  /** The end of the stream: a record that it cuts short is malformed. */
  *end(): Generator<MrtRecord> {
    if (this.#have === 0 && this.#skip === 0) return;
    // Of a record that is skipped it has been said that it is malformed.
    if (this.#have > 0) yield malformed(this.#offset, 'the file ends within this record');
    this.#reset(0);
    this.#skip = 0;
  }

  #gather(bytes: Uint8Array): number {
    const step = Math.min(this.#record.length - this.#have, bytes.length);
    this.#record.set(bytes.subarray(0, step), this.#have);
    this.#have += step;
    return step;
  }

  /** What has been gathered, once it is all there; from its header on, room is made for the rest. */
  #gathered(): MrtRecord | null {
    const record = this.#record;
    if (this.#have < record.length) return null;
    const length = recordLength(record, 0);
    const offset = this.#offset;
    if (length > MAX_RECORD) {
      this.#reset(RECORD_HEADER + length);
      this.#skip = length;
      return malformed(offset, `a record of ${length} bytes is longer than any`);
    }
    if (record.length < RECORD_HEADER + length) {
      this.#record = new Uint8Array(RECORD_HEADER + length);
      this.#record.set(record);
      return null;
    }
    this.#reset(record.length);
    return decodeRecord(record, offset);
  }

  /** The next record begins so many bytes behind this one. */
  #reset(distance: number): void {
    this.#offset += distance;
    this.#record = new Uint8Array(RECORD_HEADER);
    this.#have = 0;
  }
}

/** Records of a file that is in memory. */
export function* readMrt(bytes: Uint8Array): Generator<MrtRecord> {
  const reader = new MrtReader();
  yield* reader.read(bytes);
  yield* reader.end();
}

/** null if the bytes do not hold all of the record at the offset, or it is longer than any. */
function endOfRecord(buf: Uint8Array, off: number): number | null {
  if (off + RECORD_HEADER > buf.length) return null;
  const length = recordLength(buf, off);
  const end = off + RECORD_HEADER + length;
  return length > MAX_RECORD || end > buf.length ? null : end;
}

function malformed(offset: number, reason: string): MalformedRecord {
  return { kind: 'malformed', offset, reason };
}

function decodeRecord(bytes: Uint8Array, offset: number): MrtRecord {
  const record = splitRecord(bytes);
  if (record === null) return malformed(offset, 'no room for the extended timestamp');
  const { type, subtype, timestamp, message } = record;
  const body = decodeBody(type, subtype, message);
  if (typeof body === 'string') return malformed(offset, body);
  return { offset, timestamp, ...(body ?? { kind: 'unsupported', type, subtype }) };
}

/** null for what is not read here; a text says what is wrong. */
function decodeBody(type: number, subtype: number, message: Uint8Array): MrtBody | string | null {
  switch (type) {
    case MrtType.tableDump:
      return decodeTableDump(subtype, message);
    case MrtType.tableDumpV2:
      return decodeTableDumpV2(subtype, message);
    case MrtType.bgp4mp:
    case MrtType.bgp4mpEt:
      return decodeBgp4mp(subtype, message);
    default:
      return null;
  }
}
