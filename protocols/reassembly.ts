import { setU16 } from './bytes.ts';
import { internetChecksum } from './checksum.ts';
import {
  ipDf,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipId,
  ipMf,
  ipProto,
  ipSrc,
  ipTos,
  ipTotalLength,
} from './ipv4.ts';

interface Piece {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Fragments that came one behind the other, from one place to another. */
interface Run {
  readonly start: number;
  end: number;
}

interface Datagram {
  readonly deadline: number;
  pieces: Piece[];
  /** In the order in which they began. */
  runs: Run[];
  /** Where the fragments so far end. */
  reach: number;
  /** Codepoints of ECN that there were, a bit each. */
  ecn: number;
  /** First fragment as it came, for its header and for the ICMP error. */
  first: Uint8Array | null;
  /** Length of the payload, -1 until the last fragment is here. */
  total: number;
  bytes: number;
  /** Bytes of the largest fragment, header included; of the largest that had DF. */
  largest: number;
  largestDf: number;
}

export interface ReassemblerLimits {
  /** ms from the first fragment to arrive; Linux `ipfrag_time`. */
  readonly timeout: number;
  readonly maxDatagrams: number;
  /** Bytes held over all datagrams; Linux `ipfrag_high_thresh`. */
  readonly maxBytes: number;
}

const DEFAULTS: ReassemblerLimits = { timeout: 30_000, maxDatagrams: 256, maxBytes: 4 * 1024 * 1024 };

/** A fragment as reassembly sees it, of either family. */
export interface Fragment {
  /** What the fragments of one datagram have in common. */
  readonly key: string;
  /** Bytes. */
  readonly offset: number;
  readonly more: boolean;
  /** IPv4's. */
  readonly df?: boolean;
  /** The two bits of ECN (RFC 3168 §5). */
  readonly ecn?: number;
  /** Bytes before the data that the whole packet will have. */
  readonly headerLength: number;
  readonly data: Uint8Array;
}

export interface FragmentFormat {
  parse(packet: Uint8Array): Fragment;
  /**
   * Turns what has the headers of the first fragment, and all the data, into the packet that it was. `isCongested`: it is to be
   * marked so, as a fragment was.
   */
  finish(whole: Uint8Array, first: Uint8Array, isCongested: boolean): void;
}

const IPV4_FRAGMENTS: FragmentFormat = {
  parse: (packet) => {
    const headerLength = ipHeaderLength(packet, 0);
    return {
      key: `${ipSrc(packet, 0)},${ipDst(packet, 0)},${ipProto(packet, 0)},${ipId(packet, 0)}`,
      offset: ipFragmentOffset(packet, 0),
      more: ipMf(packet, 0),
      df: ipDf(packet, 0),
      ecn: ipTos(packet, 0) & 3,
      headerLength,
      data: packet.subarray(headerLength, ipTotalLength(packet, 0)),
    };
  },
  finish: (whole, _first, isCongested) => {
    if (isCongested) whole[1]! |= 3;
    setU16(whole, 2, whole.length);
    setU16(whole, 6, 0);
    setU16(whole, 10, 0);
    setU16(whole, 10, internetChecksum(whole, 0, ipHeaderLength(whole, 0)));
  },
};

/** Bits of `Datagram.ecn`. */
const NOT_ECT = 1 << 0;
const CE = 1 << 3;

/**
 * Reassembly (RFC 791 §3.2, RFC 815; RFC 8200 §4.5). Overlapping fragments end their datagram, as RFC 5722 asks for IPv6
 * and Linux does for both; what has come already, as part of fragments that came in a row, is passed over (`inet_frag_queue_insert`).
 * Over its limits, the oldest datagram is given up.
 */
export class Reassembler {
  readonly #format: FragmentFormat;
  readonly #limits: ReassemblerLimits;
  readonly #datagrams = new Map<string, Datagram>();
  #bytes = 0;
  /** Of the datagram that was completed last: bytes of its largest fragment, whether that had DF, and of the data of each. */
  largest = 0;
  sizes: readonly number[] = [];
  df = false;

  constructor(limits: Partial<ReassemblerLimits> = {}, format = IPV4_FRAGMENTS) {
    this.#format = format;
    this.#limits = { ...DEFAULTS, ...limits };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Earliest time at which a datagram times out, `Infinity` if none is held. */
  get nextDeadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { deadline } of this.#datagrams.values()) earliest = Math.min(earliest, deadline);
    return earliest;
  }

  /** Takes a fragment (a whole valid packet); gives the datagram when it is complete. `timeout` in ms, for one that begins. */
  add(packet: Uint8Array, now: number, timeout = this.#limits.timeout): Uint8Array | null {
    const fragment = this.#format.parse(packet);
    const { key, offset, more, df = false, ecn = 0, headerLength } = fragment;
    let datagram = this.#datagrams.get(key);
    if (datagram === undefined) {
      datagram = {
        ...{ deadline: now + timeout, pieces: [], runs: [], first: null, total: -1, reach: 0, ecn: 0 },
        ...{ bytes: 0, largest: 0, largestDf: 0 },
      };
      this.#datagrams.set(key, datagram);
    }
    // Others than the last are of whole words of 8 bytes: what is more is left out.
    const whole = offset + fragment.data.length;
    const end = more ? whole & ~7 : whole;
    const data = fragment.data.subarray(0, end - offset);
    const place = fits(datagram, end, more) && end > offset ? placeOf(datagram.runs, offset, end) : 'overlap';
    if (place === 'overlap') {
      this.#drop(key);
      return null;
    }
    datagram.reach = Math.max(datagram.reach, end);
    if (!more) datagram.total = end;
    if (place === 'duplicate') return null;
    if (place === 'behind') datagram.runs.at(-1)!.end = end;
    else datagram.runs.push({ start: offset, end });
    datagram.runs.sort((one, other) => one.start - other.start);
    if (offset === 0) datagram.first = packet.subarray(0, packet.length - (whole - end));
    datagram.pieces.push({ offset, data });
    datagram.ecn |= 1 << ecn;
    datagram.bytes += data.length;
    const size = headerLength + data.length;
    datagram.largest = Math.max(datagram.largest, size);
    if (df) datagram.largestDf = Math.max(datagram.largestDf, size);
    this.#bytes += data.length;
    if (datagram.total === datagram.bytes && datagram.first !== null) {
      this.#drop(key);
      return this.#complete(datagram, datagram.first);
    }
    this.#enforceLimits();
    return null;
  }

  /** Null where the whole is too long, or its parts are not of one kind (RFC 3168 §5.3). */
  #complete(datagram: Datagram, first: Uint8Array): Uint8Array | null {
    const { pieces, total, ecn } = datagram;
    const { headerLength } = this.#format.parse(first);
    if (headerLength + total > 65_535) return null;
    if ((ecn & NOT_ECT) !== 0 && ecn !== NOT_ECT) return null;
    this.largest = datagram.largest;
    this.df = datagram.largest === datagram.largestDf;
    this.sizes = pieces.sort((a, b) => a.offset - b.offset).map((piece) => piece.data.length);
    const whole = new Uint8Array(headerLength + total);
    whole.set(first.subarray(0, headerLength));
    for (const piece of pieces) whole.set(piece.data, headerLength + piece.offset);
    this.#format.finish(whole, first, (ecn & CE) !== 0);
    return whole;
  }

  /** Gives up what is older than the timeout; returns the first fragments there were, for ICMP time exceeded code 1. */
  expire(now: number): Uint8Array[] {
    const firsts: Uint8Array[] = [];
    for (const [key, datagram] of this.#datagrams) {
      if (datagram.deadline > now) continue;
      if (datagram.first !== null) firsts.push(datagram.first);
      this.#drop(key);
    }
    return firsts;
  }

  #drop(key: string): void {
    this.#bytes -= this.#datagrams.get(key)?.bytes ?? 0;
    this.#datagrams.delete(key);
  }

  #enforceLimits(): void {
    for (const key of this.#datagrams.keys()) {
      if (this.#datagrams.size <= this.#limits.maxDatagrams && this.#bytes <= this.#limits.maxBytes) return;
      this.#drop(key);
    }
  }
}

/** Whether a fragment's end agrees with those so far. */
function fits({ total, reach }: Datagram, end: number, more: boolean): boolean {
  if (more) return total < 0 || end <= reach;
  return end >= reach && (total < 0 || end === total);
}

/** Where a fragment stands to those so far. */
function placeOf(
  runs: readonly Run[],
  offset: number,
  end: number,
): 'behind' | 'apart' | 'duplicate' | 'overlap' {
  const last = runs.at(-1);
  if (last !== undefined && last.end < end && offset === last.end) return 'behind';
  for (const run of runs) {
    if (end <= run.start || offset >= run.end) continue;
    return offset >= run.start && end <= run.end ? 'duplicate' : 'overlap';
  }
  return 'apart';
}
