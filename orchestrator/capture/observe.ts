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

/** The wires of a simulated lab, with its virtual times. */
export function simWires(sim: SimLab): ObserveWire {
  const listeners = new Map<string, (frame: SimFrame) => void>();
  sim.onFrame = (sent) => listeners.get(sent.segment)?.(sent);
  return (segment, onFrame) => {
    listeners.set(segment, onFrame);
    return () => listeners.delete(segment);
  };
}
