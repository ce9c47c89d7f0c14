import type { ExecutionContext } from 'ava';
import { snapshotSpeaker } from '../../nodes/daemons/bgp/snapshot.ts';
import { BgpFold } from '../../nodes/state/bgp-fold.ts';
import type { Lab } from '../protocols/bgp/lab.ts';

/** Asserts that the fold of every speaker's events is its state. */
export function checkFolds(t: ExecutionContext, lab: Lab): void {
  for (const node of lab.nodes.values()) {
    if (!node.up) continue;
    const fold = new BgpFold();
    for (const { event } of node.log) fold.apply(event);
    t.deepEqual(fold.view(), snapshotSpeaker(node.speaker), node.name);
  }
}
