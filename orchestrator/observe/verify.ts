import { isDeepStrictEqual } from 'node:util';
import type { LabEvent } from '../../nodes/events/index.ts';
import { eventSeq } from '../../nodes/events/record.ts';
import { NodeFold, type NodeView } from '../../nodes/state/node-fold.ts';
import { NodeDownError, type RunningLab } from '../running-lab.ts';

/** A slice of a node's state whose fold is not the live state. */
export interface Difference {
  readonly node: string;
  /** Path of the slice, `kernel.routes`. */
  readonly slice: string;
  readonly folded: unknown;
  readonly live: unknown;
}

export interface NodeVerdict {
  readonly node: string;
  readonly state: 'verified' | 'differs' | 'down';
  readonly events: number;
  readonly differences: readonly Difference[];
}

/** A live state with the number of the last event that it includes. */
export interface Snapshot {
  readonly seq: number;
  readonly view: NodeView;
}

/** Folds one node's log and compares it, slice by slice, with what the node says it is now. */
export async function verifyNode(lab: RunningLab, node: string): Promise<NodeVerdict> {
  let snapshot: Snapshot;
  try {
    const reply = await lab.command(node, { type: 'snapshot' });
    if (reply.type !== 'value') throw new Error(`node ${node} gave no snapshot`);
    snapshot = reply.value as Snapshot;
  } catch (error) {
    if (error instanceof NodeDownError) return { node, state: 'down', events: 0, differences: [] };
    throw error;
  }
  const fold = new NodeFold();
  let events = 0;
  for await (const record of lab.records(node)) {
    // The log goes on while the snapshot travels: only what the snapshot includes is compared.
    if (eventSeq(record.id) > snapshot.seq) break;
    fold.apply(record.event as LabEvent);
    events++;
  }
  const differences = compare(node, fold.view(), snapshot.view);
  return { node, state: differences.length === 0 ? 'verified' : 'differs', events, differences };
}

/** Slices in which two states differ; the slices are the second-level keys of the view. */
export function compare(node: string, folded: NodeView, live: NodeView): Difference[] {
  const differences: Difference[] = [];
  for (const part of Object.keys(live) as (keyof NodeView)[]) {
    const left: Readonly<Record<string, unknown>> = { ...folded[part] };
    const right: Readonly<Record<string, unknown>> = { ...live[part] };
    for (const slice of new Set([...Object.keys(left), ...Object.keys(right)])) {
      if (isDeepStrictEqual(left[slice], right[slice])) continue;
      differences.push({ node, slice: `${part}.${slice}`, folded: left[slice], live: right[slice] });
    }
  }
  return differences;
}
