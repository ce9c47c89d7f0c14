import { packetSummary } from '../../protocols/packet-summary.ts';
import type { PacketStep } from '../events/packet.ts';
import type { Runtime } from '../runtime.ts';
import type { Netns } from './netns.ts';

/** Steps that are told in so many ms at most; a packet that multiplies is let go. */
const LIMIT = 4_096;
const WINDOW = 10_000;

/**
 * Follows packets. A packet is followed where its cause is negative: the sign goes wherever the cause goes, through queues, timers
 * and over the wire, so that nothing has to be kept for those that are not. What follows from the packet is followed as well: what
 * it makes a host ask, and the answer to it.
 */
export class PacketTracer {
  readonly #rt: Runtime;
  #told = 0;
  #since = 0;
  /** Where a packet set out whose answer ends the trace. */
  #home: Netns | null = null;
  /** Where the last step was. */
  #last: Netns | null = null;

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /** What is done next is followed, from the last event on. */
  begin(home: Netns): void {
    this.#home = home;
    this.#rt.cause = -Math.abs(this.#rt.cause);
  }

  /** The packet has been dropped where it was last seen. */
  dropped(reason: string): void {
    if (this.#last !== null) this.step(this.#last, { at: 'drop', reason }, null);
  }

  /** To be called where `rt.cause` is negative alone. */
  step(ns: Netns, step: PacketStep, frame: Uint8Array | null): void {
    const rt = this.#rt;
    this.#last = ns;
    if (rt.now - this.#since > WINDOW) {
      this.#since = rt.now;
      this.#told = 0;
    }
    if (++this.#told > LIMIT) {
      rt.cause = -rt.cause;
      return;
    }
    rt.emit({ type: 'packet.step', ns: ns.name, step, packet: frame === null ? '' : packetSummary(frame) });
    // The answer is home.
    if (step.at === 'socket.receive' && ns === this.#home) {
      this.#home = null;
      rt.cause = Math.abs(rt.cause);
    }
  }
}
