/**
 * How events are numbered, chained and stored.
 *
 * An event id packs the node's number in the lab and the event's sequence number on that node into one
 * JavaScript number, `node * 2^36 + seq`, so that a cause travels with every frame and every timer without
 * an allocation: up to 131,071 nodes and 68 thousand million events a node. Node 0 is the orchestrator.
 */
export type EventId = number;

/** The cause of what has none: the first events of a boot, an input from outside the lab. */
export const NO_CAUSE: EventId = 0;

const SEQ_SPACE = 2 ** 36;

export function eventId(node: number, seq: number): EventId {
  return node * SEQ_SPACE + seq;
}

/** Number of the node that emitted the event. */
export function eventNode(id: EventId): number {
  return Math.floor(id / SEQ_SPACE);
}

/** Sequence number of the event on its node, from 1. */
export function eventSeq(id: EventId): number {
  return id % SEQ_SPACE;
}

/** Version of the event schema that this code writes. A reader accepts all versions up to it. */
export const EVENT_SCHEMA = 1;

/** What stands in the log around every event. */
export interface EventRecord<E> {
  /** Schema version the event was written with. */
  readonly v: number;
  readonly id: EventId;
  /** Id of the event that caused this one, `NO_CAUSE` if none. */
  readonly cause: EventId;
  /** Time at the node, ms: since the Unix epoch in real time, since the lab's start in simulated time. */
  readonly at: number;
  readonly event: E;
}
