import { u16, u32 } from '../../../protocols/bytes.ts';
import { seqLt } from '../../../protocols/tcp/sequence.ts';
import { flagSetOf } from './tcp-states.ts';

/** What is read of a segment; `end` is the sequence number behind it, `options` the bytes of its header's options. */
export interface Segment {
  readonly flags: number;
  readonly flagSet: number;
  readonly seq: number;
  readonly ack: number;
  readonly end: number;
  readonly window: number;
  readonly options: Uint8Array;
}

/** What the options of a SYN offer. */
export interface SynOptions {
  /** Bits that windows are to be shifted by. */
  scale: number;
  scaled: boolean;
  sackPermitted: boolean;
}

const FIN = 1;
const SYN = 2;
const TCP_HLEN = 20;
const NO_OPTIONS = new Uint8Array(0);

/** Reads a TCP header of bounds checked by `isWholeTcp`. */
export function readSegment(frame: Uint8Array, at: number, length: number): Segment {
  const headerLength = (frame[at + 12]! >> 4) * 4;
  const flags = frame[at + 13]! & 0x3f;
  const seq = u32(frame, at + 4);
  const taken = length - headerLength + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
  return {
    flags,
    flagSet: flagSetOf(flags),
    seq,
    ack: u32(frame, at + 8),
    end: (seq + taken) >>> 0,
    window: u16(frame, at + 14),
    options: headerLength > TCP_HLEN ? frame.subarray(at + TCP_HLEN, at + headerLength) : NO_OPTIONS,
  };
}

/** Whether `length` bytes from `at` hold a whole TCP header. */
export function isWholeTcp(frame: Uint8Array, at: number, length: number): boolean {
  if (length < TCP_HLEN) return false;
  const headerLength = (frame[at + 12]! >> 4) * 4;
  return headerLength >= TCP_HLEN && headerLength <= length;
}

const OPT_END = 0;
const OPT_NOP = 1;
const OPT_WSCALE = 3;
const OPT_SACK_PERMITTED = 4;
const OPT_SACK = 5;
/** RFC 7323 §2.3 */
const MAX_SCALE = 14;

/** Goes through the options of a header, up to the first that is malformed. */
function eachOption(options: Uint8Array, visit: (kind: number, at: number, length: number) => void): void {
  for (let at = 0; at < options.length; ) {
    const kind = options[at]!;
    if (kind === OPT_END) return;
    if (kind === OPT_NOP) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) return;
    visit(kind, at, length);
    at += length;
  }
}

/** What a SYN offers (`tcp_options`); without any option, what was known stays. */
export function readSynOptions(options: Uint8Array, end: SynOptions): void {
  if (options.length === 0) return;
  end.scale = 0;
  end.scaled = false;
  end.sackPermitted = false;
  eachOption(options, (kind, at, length) => {
    if (kind === OPT_SACK_PERMITTED && length === 2) end.sackPermitted = true;
    else if (kind === OPT_WSCALE && length === 3) {
      end.scale = Math.min(options[at + 2]!, MAX_SCALE);
      end.scaled = true;
    }
  });
}

/** The right edge of the highest SACK block, or `ack` where it is higher (`tcp_sack`). */
export function highestSack(options: Uint8Array, ack: number): number {
  let highest = ack;
  if (options.length < 10) return highest;
  eachOption(options, (kind, at, length) => {
    if (kind !== OPT_SACK || length < 10 || (length - 2) % 8 !== 0) return;
    for (let block = at + 2; block < at + length; block += 8) {
      const edge = u32(options, block + 4);
      if (seqLt(highest, edge)) highest = edge;
    }
  });
  return highest;
}
