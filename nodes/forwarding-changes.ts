import type { LabEvent } from './events/index.ts';
import { type EventId, NO_CAUSE } from './events/record.ts';

/** Counts the changes to the node's forwarding state, by which convergence is timed. */
export class ForwardingChanges {
  count = 0;
  /** When the last one was, ms, and its event. */
  lastAt = 0;
  last: EventId = NO_CAUSE;

  seen(event: LabEvent, id: EventId, now: number): void {
    if (!isForwardingChange(event)) return;
    this.count++;
    this.lastAt = now;
    this.last = id;
  }
}

function isForwardingChange(event: LabEvent): boolean {
  switch (event.type) {
    case 'route.changed':
      return event.ns === '';
    case 'neighbor.set':
      return event.ns === '' && event.neighbor.state === 'PERMANENT';
    case 'fdb.set':
      return event.ns === '' && event.fdb.kind === 'permanent';
    default:
      return false;
  }
}
