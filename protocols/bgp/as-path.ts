import { setU16, setU32, u16, u32 } from '../bytes.ts';
import { AS_TRANS } from './constants.ts';

/** AS_PATH segment types, RFC 4271 §4.3 b, and those of confederations, which are not valid outside one (RFC 5065 §5). */
const SegmentType = { set: 1, sequence: 2, confedSequence: 3, confedSet: 4 } as const;

export interface AsSegment {
  readonly type: 'set' | 'sequence';
  /** One to 255 AS numbers. */
  readonly asns: readonly number[];
}

export type AsPath = readonly AsSegment[];

const EMPTY_AS_PATH: AsPath = [];
const MAX_SEGMENT = 255;

/** Size of an AS number on the session: 2 bytes with a speaker that lacks the 4-octet AS capability. */
export type AsSize = 2 | 4;

/**
 * Segments: type (1), count (1), AS numbers. Null if malformed: unknown type, empty segment, overrun
 * (RFC 7606 §7.2), a confederation segment (RFC 5065 §5) that is not left out, AS 0 (RFC 7607).
 */
export function decodeAsPath(
  buf: Uint8Array,
  off: number,
  end: number,
  size: AsSize,
  confederations: 'malformed' | 'left-out' = 'malformed',
): AsPath | null {
  if (off === end) return EMPTY_AS_PATH;
  let segments: readonly AsSegment[] = EMPTY_AS_PATH;
  let at = off;
  while (at < end) {
    if (at + 2 > end) return null;
    const code = buf[at]!;
    const count = buf[at + 1]!;
    const confederation = code === SegmentType.confedSequence || code === SegmentType.confedSet;
    const plain = code === SegmentType.set || code === SegmentType.sequence;
    if (count === 0 || !(plain || (confederation && confederations === 'left-out'))) return null;
    at += 2;
    if (at + count * size > end) return null;
    const asns = new Array<number>(count);
    for (let i = 0; i < count; i++, at += size) {
      const asn = size === 4 ? u32(buf, at) : u16(buf, at);
      if (asn === 0) return null;
      asns[i] = asn;
    }
    if (confederation) continue;
    // Paths are kept: an array that grows by pushing would keep room for sixteen more.
    segments = [...segments, { type: code === SegmentType.set ? 'set' : 'sequence', asns }];
  }
  return segments;
}

/** Bytes of an encoded path. */
export function asPathSize(path: AsPath, size: AsSize): number {
  let bytes = 0;
  for (const { asns } of path) bytes += 2 + size * asns.length;
  return bytes;
}

/** With 2-byte numbers, AS_TRANS stands for what does not fit. */
export function writeAsPath(buf: Uint8Array, off: number, path: AsPath, size: AsSize): void {
  let at = off;
  for (const { type, asns } of path) {
    buf[at] = SegmentType[type];
    buf[at + 1] = asns.length;
    at += 2;
    for (const asn of asns) {
      if (size === 4) setU32(buf, at, asn);
      else setU16(buf, at, asn > 0xffff ? AS_TRANS : asn);
      at += size;
    }
  }
}

export function encodeAsPath(path: AsPath, size: AsSize): Uint8Array {
  const encoded = new Uint8Array(asPathSize(path, size));
  writeAsPath(encoded, 0, path, size);
  return encoded;
}

/** Length as the decision process counts it: a set is one, whatever it holds (RFC 4271 §9.1.2.2 a). */
export function asPathLength(path: AsPath): number {
  let length = 0;
  for (const segment of path) length += segment.type === 'set' ? 1 : segment.asns.length;
  return length;
}

/** How often an AS is in the path. */
export function asPathCount(path: AsPath, asn: number): number {
  let count = 0;
  for (const segment of path) for (const each of segment.asns) if (each === asn) count++;
  return count;
}

export function asPathContains(path: AsPath, asn: number): boolean {
  for (const segment of path) if (segment.asns.includes(asn)) return true;
  return false;
}

/** The AS next to us on the path; null if the path is empty or begins with a set (RFC 4271 §9.1.2.2 c). */
export function neighborAs(path: AsPath): number | null {
  const first = path[0];
  return first === undefined || first.type === 'set' ? null : first.asns[0]!;
}

/** RFC 4271 §5.1.2 b: into the first sequence if it has room, else as a new one. */
export function prependAs(path: AsPath, asn: number): AsPath {
  const first = path[0];
  if (first === undefined || first.type === 'set' || first.asns.length >= MAX_SEGMENT) {
    return [{ type: 'sequence', asns: [asn] }, ...path];
  }
  return [{ type: 'sequence', asns: [asn, ...first.asns] }, ...path.slice(1)];
}

/** RFC 6996 §5, of both sizes. */
export function isPrivateAs(asn: number): boolean {
  return (asn >= 64512 && asn <= 65534) || (asn >= 4_200_000_000 && asn <= 4_294_967_294);
}

/** The path with AS numbers taken out (`null`) or put in the place of others. */
export function mapAsPath(path: AsPath, change: (asn: number) => number | null): AsPath {
  const segments: AsSegment[] = [];
  for (const { type, asns } of path) {
    const kept = asns.map(change).filter((asn) => asn !== null);
    if (kept.length > 0) segments.push({ type, asns: kept });
  }
  return segments;
}

/** Whether some number of the path needs four bytes, so that an AS4_PATH goes with it (RFC 6793 §4.2.2). */
export function needsFourOctets(path: AsPath): boolean {
  return path.some((segment) => segment.asns.some((asn) => asn > 0xffff));
}

/**
 * The true path of a route from a speaker without 4-octet AS numbers: as much of the head of AS_PATH as AS4_PATH
 * lacks, then AS4_PATH. An AS4_PATH longer than AS_PATH is ignored. RFC 6793 §4.2.3.
 */
export function mergeAs4Path(path: AsPath, as4Path: AsPath): AsPath {
  let missing = asPathLength(path) - asPathLength(as4Path);
  if (missing < 0) return path;
  const head: AsSegment[] = [];
  for (const segment of path) {
    if (missing === 0) break;
    if (segment.type === 'set') {
      head.push(segment);
      missing--;
    } else {
      const taken = segment.asns.slice(0, missing);
      head.push({ type: 'sequence', asns: taken });
      missing -= taken.length;
    }
  }
  const last = head.at(-1);
  const next = as4Path[0];
  const joins = last?.type === 'sequence' && next?.type === 'sequence';
  if (!joins || last.asns.length + next.asns.length > MAX_SEGMENT) return [...head, ...as4Path];
  const joint: AsSegment = { type: 'sequence', asns: [...last.asns, ...next.asns] };
  return [...head.slice(0, -1), joint, ...as4Path.slice(1)];
}

/** `65001 65002 {65003 65004}`, as BIRD prints it; '' for the empty path. */
export function formatAsPath(path: AsPath): string {
  return path
    .map((segment) => (segment.type === 'set' ? `{${segment.asns.join(' ')}}` : segment.asns.join(' ')))
    .join(' ');
}
