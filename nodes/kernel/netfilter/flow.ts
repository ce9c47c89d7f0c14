import { familyOf, type IpFamily } from '../../../protocols/ip.ts';
import { PROTO_ICMP } from '../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../protocols/ipv6.ts';
import { type EventId, NO_CAUSE } from '../../events/record.ts';
import type { Conntrack, CtDirection, CtTuple } from './conntrack-entry.ts';
import { SctpTrack } from './sctp-track.ts';
import { TcpTrack } from './tcp-track.ts';
import { TupleHash } from './tuple-table.ts';

/** What a flow is to its table. */
export interface FlowOwner {
  /** Something that the log tells of a flow has changed. */
  flowChanged(flow: Flow): void;
}

/** A flow (`struct nf_conn`): in the table once its first packet has got through. */
export class Flow implements Conntrack {
  readonly original: TupleHash;
  readonly reply: TupleHash;
  /** What follows the connection, of TCP or SCTP; both null for any other flow. */
  readonly tcp: TcpTrack | null;
  readonly sctp: SctpTrack | null;
  /** In the table, or has been (IPS_CONFIRMED); out of it again (IPS_DYING). */
  confirmed = false;
  dying = false;
  seenReply = false;
  assured = false;
  /** IPS_SRC_NAT, IPS_DST_NAT: packets are to be changed. */
  srcNat = false;
  dstNat = false;
  /** IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE: it has been decided whether they are. */
  srcNatDone = false;
  dstNatDone = false;
  /** Index of the device that MASQUERADE took the address of, 0 for none. */
  masqIndex = 0;
  /** Time it is forgotten at, ms. */
  expires = 0;
  /** Deadline that stands in the queue of expiries. */
  queuedAt = 0;
  /** UDP: time from which packets both ways make it a stream, ms. */
  streamAt = 0;
  /** Packets and bytes one way, then the other; null where nobody counted as it began (`nf_conntrack_acct`). */
  counters: Float64Array | null = null;
  /** The last event that told of it. */
  lastEvent: EventId = NO_CAUSE;
  readonly #owner: FlowOwner;
  #mark = 0;

  constructor(owner: FlowOwner, original: CtTuple, track: TcpTrack | SctpTrack | null) {
    this.#owner = owner;
    this.original = new TupleHash(this, 0);
    this.reply = new TupleHash(this, 1);
    this.original.set(original);
    this.reply.set(invertTuple(original));
    this.tcp = track instanceof TcpTrack ? track : null;
    this.sctp = track instanceof SctpTrack ? track : null;
  }

  count(direction: CtDirection, bytes: number): void {
    const { counters } = this;
    if (counters === null) return;
    counters[direction * 2]!++;
    counters[direction * 2 + 1]! += bytes;
  }

  get family(): IpFamily {
    return familyOf(this.original.src);
  }

  get mark(): number {
    return this.#mark;
  }

  set mark(value: number) {
    if (value === this.#mark) return;
    this.#mark = value;
    this.#owner.flowChanged(this);
  }

  /** State of a TCP connection or an SCTP association, '' of any other flow. */
  get state(): string {
    return (this.tcp ?? this.sctp)?.state ?? '';
  }
}

/** What answers an ICMP query (`invmap`), by its type; the same of ICMPv6. */
const ANSWERS: Readonly<Record<number, Readonly<Record<number, number>>>> = {
  [PROTO_ICMP]: { 8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17 },
  [PROTO_ICMPV6]: { 128: 129, 129: 128, 139: 140, 140: 139 },
};
/** Types that ask for an answer, and so begin a flow (`valid_new`). */
const QUERIES: Readonly<Record<number, readonly number[]>> = {
  [PROTO_ICMP]: [8, 13, 15, 17],
  [PROTO_ICMPV6]: [128, 139],
};

/** Whether a protocol is that of the messages of IP itself, of either family. */
export function isIcmp(proto: number): boolean {
  return proto === PROTO_ICMP || proto === PROTO_ICMPV6;
}

/** The tuple of what answers (`nf_ct_invert_tuple`). */
export function invertTuple(tuple: CtTuple): CtTuple {
  const { src, dst, proto, srcPort, dstPort } = tuple;
  if (!isIcmp(proto)) return { src: dst, dst: src, proto, srcPort: dstPort, dstPort: srcPort };
  const type = ANSWERS[proto]?.[dstPort >>> 8] ?? dstPort >>> 8;
  return { src: dst, dst: src, proto, srcPort, dstPort: type * 256 + (dstPort & 0xff) };
}

/** Whether a type of ICMP or ICMPv6 asks for an answer; and whether it is one of those that do or answer. */
export function isIcmpQuery(proto: number, type: number): boolean {
  return QUERIES[proto]?.includes(type) === true;
}

export function isIcmpQueryOrAnswer(proto: number, type: number): boolean {
  return ANSWERS[proto]?.[type] !== undefined;
}
