import { decode, encode } from '../../../bus/codec.ts';
import type { PacketDirection } from '../../../protocols/pcapng.ts';

/**
 * What a recording consists of, in the order in which it was seen. It is kept in files, each of which can be read without the ones
 * before it: a head, the devices that are known, then frames. An entry is its length (4, big-endian) and its MessagePack.
 */
export type RecordingEntry = RecordingHead | RecordedDevice | WireEntry | DeviceEntry;

export interface RecordingHead {
  readonly type: 'head';
  readonly version: 1;
  /** Start of the whole recording, ms on the lab's clock. */
  readonly startedAt: number;
  /** In the words of `reroute capture`. */
  readonly targets: readonly string[];
  /** The links whose frames are here. */
  readonly segments: readonly string[];
  /** Frames that the limit has cost by now, and the time of the last of them. */
  readonly lost: { readonly frames: number; readonly until: number };
}

/** A device is about to be read; once more when it is read anew, after a reboot say. */
export interface RecordedDevice {
  readonly type: 'device';
  /** `n1:flannel.1` */
  readonly name: string;
  readonly description: string;
  readonly linkType: number;
  readonly mac: number;
  readonly at: number;
}

export interface WireEntry {
  readonly type: 'wire';
  readonly segment: string;
  readonly node: number;
  readonly port: number;
  readonly cause: number;
  readonly sentAt: number;
  readonly arrivesAt: number;
  /** Bytes on the wire; `frame` may hold fewer. */
  readonly length: number;
  readonly frame: Uint8Array;
}

export interface DeviceEntry {
  readonly type: 'frame';
  readonly device: string;
  readonly at: number;
  readonly direction: PacketDirection;
  readonly length: number;
  readonly cause: number;
  readonly order: number;
  /** Frames that the device's buffer has lost since the entry before. */
  readonly dropped: number;
  readonly data: Uint8Array;
}

export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

const LENGTH = 4;

/** Frames go without the names of their fields, which would be longer than many a frame. */
export function encodeEntry(entry: RecordingEntry): Uint8Array {
  const body = encode(entry.type === 'wire' || entry.type === 'frame' ? fieldsOf(entry) : entry);
  const bytes = Buffer.allocUnsafe(LENGTH + body.length);
  bytes.writeUInt32BE(body.length);
  bytes.set(body, LENGTH);
  return bytes;
}

/** As `decodeEntry` expects them. */
function fieldsOf(entry: WireEntry | DeviceEntry): readonly unknown[] {
  if (entry.type === 'wire') {
    const { type, segment, node, port, cause, sentAt, arrivesAt, length, frame } = entry;
    return [type, segment, node, port, cause, sentAt, arrivesAt, length, frame];
  }
  const { type, device, at, direction, length, cause, order, dropped, data } = entry;
  return [type, device, at, direction, length, cause, order, dropped, data];
}

/**
 * The entries of one file. One that is cut off at the end, as a process that was killed leaves it, is left out.
 * @throws RecordingError for what is no recording, or one of a version that is not known.
 */
export function* decodeEntries(bytes: Uint8Array): Generator<RecordingEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let first = true;
  for (let at = 0; at + LENGTH <= bytes.length; ) {
    const end = at + LENGTH + view.getUint32(at);
    if (end > bytes.length) return;
    const entry = decodeEntry(bytes.subarray(at + LENGTH, end));
    if (first && (entry.type !== 'head' || entry.version !== 1))
      throw new RecordingError('this is no recording that this version of reroute can read');
    first = false;
    yield entry;
    at = end;
  }
}

function decodeEntry(body: Uint8Array): RecordingEntry {
  let value: unknown;
  try {
    value = decode(body);
  } catch {
    throw new RecordingError('the recording is damaged');
  }
  if (!Array.isArray(value)) return value as RecordingEntry;
  if (value[0] === 'wire') {
    const [, segment, node, port, cause, sentAt, arrivesAt, length, frame] = value;
    return { type: 'wire', segment, node, port, cause, sentAt, arrivesAt, length, frame };
  }
  const [, device, at, direction, length, cause, order, dropped, data] = value;
  return { type: 'frame', device, at, direction, length, cause, order, dropped, data };
}
