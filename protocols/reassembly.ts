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
  ipTotalLength,
} from './ipv4.ts';

interface Piece {
  readonly offset: number;
  readonly data: Uint8Array;
}

interface Datagram {
  readonly deadline: number;
  pieces: Piece[];
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
  /** Bytes before the data that the whole packet will have. */
  readonly headerLength: number;
  readonly data: Uint8Array;
}

export interface FragmentFormat {
  parse(packet: Uint8Array): Fragment;
  /** Turns what has the headers of the first fragment, and all the data, into the packet that it was. */
  finish(whole: Uint8Array, first: Uint8Array): void;
}

const IPV4_FRAGMENTS: FragmentFormat = {
  parse: (packet) => {
    const headerLength = ipHeaderLength(packet, 0);
    return {
      key: `${ipSrc(packet, 0)},${ipDst(packet, 0)},${ipProto(packet, 0)},${ipId(packet, 0)}`,
      offset: ipFragmentOffset(packet, 0),
      more: ipMf(packet, 0),
      df: ipDf(packet, 0),
      headerLength,
      data: packet.subarray(headerLength, ipTotalLength(packet, 0)),
    };
  },
  finish: (whole) => {
    setU16(whole, 2, whole.length);
    setU16(whole, 6, 0);
    setU16(whole, 10, 0);
    setU16(whole, 10, internetChecksum(whole, 0, ipHeaderLength(whole, 0)));
  },
};

/**
 * Reassembly (RFC 791 §3.2, RFC 815; RFC 8200 §4.5). Overlapping fragments end their datagram, as RFC 5722 asks for IPv6
 * and Linux does for both. Over its limits, the oldest datagram is given up.
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
    const first = this.#datagrams.values().next();
    return first.done ? Number.POSITIVE_INFINITY : first.value.deadline;
  }

  /** Takes a fragment (a whole valid packet); gives the datagram when it is complete. */
  add(packet: Uint8Array, now: number): Uint8Array | null {
    const { key, offset, more, df = false, headerLength, data } = this.#format.parse(packet);
    if (
      data.length === 0 ||
      (more && data.length % 8 !== 0) ||
      offset + data.length + headerLength > 65_535
    ) {
      this.#drop(key);
      return null;
    }
    let datagram = this.#datagrams.get(key);
    if (datagram === undefined) {
      datagram = {
        deadline: now + this.#limits.timeout,
        pieces: [],
        first: null,
        total: -1,
        bytes: 0,
        largest: 0,
        largestDf: 0,
      };
      this.#datagrams.set(key, datagram);
    }
    const end = offset + data.length;
    const overlaps = datagram.pieces.some(
      (piece) => offset < piece.offset + piece.data.length && piece.offset < end,
    );
    const duplicate = datagram.pieces.some(
      (piece) => piece.offset === offset && piece.data.length === data.length,
    );
    if (duplicate) return null;
    const beyond = datagram.total >= 0 && (end > datagram.total || !more);
    const short = !more && datagram.pieces.some((piece) => piece.offset + piece.data.length > end);
    if (overlaps || beyond || short) {
      this.#drop(key);
      return null;
    }
    if (offset === 0) datagram.first = packet;
    if (!more) datagram.total = end;
    datagram.pieces.push({ offset, data });
    datagram.bytes += data.length;
    const size = headerLength + data.length;
    datagram.largest = Math.max(datagram.largest, size);
    if (df) datagram.largestDf = Math.max(datagram.largestDf, size);
    this.#bytes += data.length;
    if (datagram.total === datagram.bytes && datagram.first !== null) {
      const whole = this.#join(datagram.first, datagram.pieces, datagram.total);
      this.largest = datagram.largest;
      this.df = datagram.largest === datagram.largestDf;
      this.sizes = datagram.pieces.sort((a, b) => a.offset - b.offset).map((piece) => piece.data.length);
      this.#drop(key);
      return whole;
    }
    this.#enforceLimits();
    return null;
  }

  /** Gives up what is older than the timeout; returns the first fragments there were, for ICMP time exceeded code 1. */
  expire(now: number): Uint8Array[] {
    const firsts: Uint8Array[] = [];
    for (const [key, datagram] of this.#datagrams) {
      if (datagram.deadline > now) break;
      if (datagram.first !== null) firsts.push(datagram.first);
      this.#drop(key);
    }
    return firsts;
  }

  #join(first: Uint8Array, pieces: readonly Piece[], total: number): Uint8Array {
    const { headerLength } = this.#format.parse(first);
    const whole = new Uint8Array(headerLength + total);
    whole.set(first.subarray(0, headerLength));
    for (const piece of pieces) whole.set(piece.data, headerLength + piece.offset);
    this.#format.finish(whole, first);
    return whole;
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
