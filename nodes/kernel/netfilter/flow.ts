import { type EventId, NO_CAUSE } from '../../events/record.ts';
import type { Conntrack, CtTuple } from './conntrack-entry.ts';
import type { TcpTrack } from './tcp-track.ts';
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
  readonly tcp: TcpTrack | null;
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
  /** The last event that told of it. */
  lastEvent: EventId = NO_CAUSE;
  readonly #owner: FlowOwner;
  #mark = 0;

  constructor(owner: FlowOwner, original: CtTuple, tcp: TcpTrack | null) {
    this.#owner = owner;
    this.original = new TupleHash(this, 0);
    this.reply = new TupleHash(this, 1);
    this.original.set(original);
    this.reply.set(invertTuple(original));
    this.tcp = tcp;
  }

  get mark(): number {
    return this.#mark;
  }

  set mark(value: number) {
    if (value === this.#mark) return;
    this.#mark = value;
    this.#owner.flowChanged(this);
  }

  /** State of a TCP connection, '' of any other flow. */
  get state(): string {
    return this.tcp === null ? '' : this.tcp.state;
  }
}

const PROTO_ICMP = 1;
/** What answers an ICMP query (`invmap`), by its type. */
const ICMP_ANSWERS: Readonly<Record<number, number>> = {
  8: 0,
  0: 8,
  13: 14,
  14: 13,
  15: 16,
  16: 15,
  17: 18,
  18: 17,
};

/** The tuple of what answers (`nf_ct_invert_tuple`). */
export function invertTuple(tuple: CtTuple): CtTuple {
  const { src, dst, proto, srcPort, dstPort } = tuple;
  if (proto !== PROTO_ICMP) return { src: dst, dst: src, proto, srcPort: dstPort, dstPort: srcPort };
  const type = ICMP_ANSWERS[dstPort >>> 8] ?? dstPort >>> 8;
  return { src: dst, dst: src, proto, srcPort, dstPort: type * 256 + (dstPort & 0xff) };
}

/** Whether an ICMP type asks for an answer, and so begins a flow; and whether it is one of those that do or answer. */
export function isIcmpQuery(type: number): boolean {
  return type === 8 || type === 13 || type === 15 || type === 17;
}

export function isIcmpQueryOrAnswer(type: number): boolean {
  return ICMP_ANSWERS[type] !== undefined;
}
