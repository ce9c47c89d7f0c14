import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { observeSegment } from '../../bus/wire.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import type { SimFrame, SimLab } from '../simulate/sim-lab.ts';
import type { ObserveWire } from './wires.ts';

/** The wires of a lab of processes, from its bus. A frame is sent when the link's delay is over, and arrives at once. */
export function busWires(nc: NatsConnection, lab: CompiledLab, now: () => number): ObserveWire {
  return (segment, onFrame) => {
    const subscription = observeSegment(nc, { lab: lab.name, segment }, (observed) => {
      const sentAt = observed.sentAt > 0 && observed.sentAt < Infinity ? observed.sentAt : now();
      onFrame({ ...observed, sentAt, arrivesAt: sentAt });
    });
    return () => subscription.unsubscribe();
  };
}

/** A bus that has gone answers no more, ms. */
const SETTLE_WITHIN = 2_000;

/**
 * Resolves when a connection has shown what the bus had for it: the server answers a PING behind all that it has written before.
 * A process that gets no time reads late, so that whoever ends by the clock would leave frames unread.
 */
export async function settleWires(nc: NatsConnection): Promise<void> {
  if (nc.isClosed()) return;
  const given = new AbortController();
  const { signal } = given;
  await Promise.race([nc.flush(), nc.closed(), pause(SETTLE_WITHIN, null, { signal })]).catch(() => {});
  given.abort();
}

/** The wires of a simulated lab, with its virtual times. */
export function simWires(sim: SimLab): ObserveWire {
  const listeners = new Map<string, (frame: SimFrame) => void>();
  sim.onFrame = (sent) => listeners.get(sent.segment)?.(sent);
  return (segment, onFrame) => {
    listeners.set(segment, onFrame);
    return () => listeners.delete(segment);
  };
}
