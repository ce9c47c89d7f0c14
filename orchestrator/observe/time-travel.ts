import type { LabEvent } from '../../nodes/events/index.ts';
import { type EventId, eventId } from '../../nodes/events/record.ts';
import { NodeFold, type NodeView } from '../../nodes/state/node-fold.ts';
import type { AnyRecord } from '../events.ts';
import { DurationError, parseDuration } from '../lab/duration.ts';

/** A moment of a lab: a time on its clock, ms, or the moment right after an event. */
export type Moment =
  | { readonly type: 'time'; readonly at: number }
  | { readonly type: 'event'; readonly node: string; readonly id: EventId; readonly at: number };

export class MomentError extends Error {
  override readonly name = 'MomentError';
}

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/;

/** What reading a lab's past needs of it: alive, simulated, or down with its log still there. */
export interface LogSource {
  records(node: string): AsyncIterable<AnyRecord>;
  /** Number of a node by name, the orchestrator's 0; undefined if there is none. */
  numberOf(node: string): number | undefined;
  /** Time of the first event of the lab, ms. */
  startedAt(): Promise<number>;
}

/**
 * Reads what a user wrote for `--at`: an event id (`n3:120`), a time since the lab's start (`+2.5s`), or a time
 * of day in ISO 8601.
 * @throws MomentError
 */
export async function parseMoment(source: LogSource, text: string, option = '--at'): Promise<Moment> {
  const event = /^([^:\s]+):(\d+)$/.exec(text);
  if (event !== null) {
    const [, node = '', seq = ''] = event;
    const number = source.numberOf(node);
    if (number === undefined) throw new MomentError(`${option} ${text}: no node ${node} in this lab`);
    const id = eventId(number, Number(seq));
    for await (const record of source.records(node)) {
      if (record.id === id) return { type: 'event', node, id, at: record.at };
    }
    throw new MomentError(
      `${option} ${text}: no such event in ${node}'s log; reroute log --node ${node} lists them`,
    );
  }
  if (text.startsWith('+')) {
    const since = durationOf(text, option);
    return { type: 'time', at: (await source.startedAt()) + since };
  }
  // Left to itself, Date.parse takes `5` for a day of May 2001.
  const at = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) {
    throw new MomentError(
      `${option} ${text}: give an event (n1:42), a time since the start (+2.5s) or an ISO time`,
    );
  }
  return { type: 'time', at };
}

function durationOf(text: string, option: string): number {
  try {
    return parseDuration(text.slice(1));
  } catch (error) {
    if (!(error instanceof DurationError)) throw error;
    throw new MomentError(`${option} ${text}: ${error.message}`);
  }
}

/**
 * A node as it was at a moment. Right after an event of its own: the fold up to and with that event. After
 * another node's event: the fold of what happened until then by the lab's clock.
 */
export async function viewAt(source: LogSource, node: string, moment: Moment): Promise<NodeView> {
  const fold = new NodeFold();
  for await (const record of source.records(node)) {
    const past =
      moment.type === 'event' && moment.node === node ? record.id <= moment.id : record.at <= moment.at;
    if (!past) break;
    fold.apply(record.event as LabEvent);
  }
  return fold.view();
}
