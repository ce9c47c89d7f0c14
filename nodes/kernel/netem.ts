import { CorrelatedUnit, LossState, spread, type Unit } from '../../protocols/netem/draw.ts';
import type { NetemParameters } from '../../protocols/netem/parameters.ts';
import type { Runtime, TimerHandle } from '../runtime.ts';
import type { Skb } from './netfilter/skb.ts';

interface Waiting {
  readonly frame: Uint8Array;
  /** When it is to go, ms. */
  readonly at: number;
  readonly skb: Skb | null;
  /** Event that sent it. */
  readonly cause: number;
}

/** What `tc -s qdisc show` counts. */
export interface QdiscStatistics {
  readonly bytes: number;
  readonly packets: number;
  readonly dropped: number;
  /** Packets, and their bytes, that wait. */
  readonly queued: number;
  readonly backlog: number;
}

/**
 * The netem queueing discipline at a device's way out (sch_netem.c): frames are lost, doubled, spoilt, and wait for their time.
 * Jitter reorders, unless a rate holds the frames apart, as there.
 */
export class NetemQdisc {
  readonly #rt: Runtime;
  readonly #send: (frame: Uint8Array, skb: Skb | null) => void;
  readonly #unit: Unit;
  readonly #loss = new LossState();
  readonly #delays = new CorrelatedUnit();
  readonly #duplicates = new CorrelatedUnit();
  readonly #reorders = new CorrelatedUnit();
  readonly #corruptions = new CorrelatedUnit();
  /** By time. */
  readonly #queue: Waiting[] = [];
  #parameters: NetemParameters;
  #timer: TimerHandle | null = null;
  /** Frames since the last one that went past the queue. */
  #counter = 0;
  #bytes = 0;
  #packets = 0;
  #dropped = 0;
  #backlog = 0;

  constructor(rt: Runtime, parameters: NetemParameters, send: (frame: Uint8Array, skb: Skb | null) => void) {
    this.#rt = rt;
    this.#parameters = parameters;
    this.#send = send;
    this.#unit = () => rt.random.unit();
  }

  get parameters(): NetemParameters {
    return this.#parameters;
  }

  /** What waits keeps its time. */
  change(parameters: NetemParameters): void {
    this.#parameters = parameters;
  }

  get statistics(): QdiscStatistics {
    return {
      bytes: this.#bytes,
      packets: this.#packets,
      dropped: this.#dropped,
      queued: this.#queue.length,
      backlog: this.#backlog,
    };
  }

  /** Takes a frame; false if it is lost or there is no room for it. */
  enqueue(frame: Uint8Array, skb: Skb | null = null): boolean {
    const { loss, duplicate, duplicateCorrelation } = this.#parameters;
    let copies = 1;
    if (duplicate > 0 && this.#duplicates.draw(this.#unit, duplicateCorrelation) < duplicate) copies++;
    if (this.#loss.lost(loss, this.#unit)) copies--;
    if (copies === 0) {
      this.#dropped++;
      return false;
    }
    // The copy goes through the whole of it again, but is not doubled.
    if (copies === 2 && !this.#loss.lost(loss, this.#unit)) this.#admit(frame.slice(), null);
    return this.#admit(frame, skb);
  }

  /** Forgets what waits, as when the device goes down. */
  reset(): void {
    this.#queue.length = 0;
    this.#backlog = 0;
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = null;
  }

  #admit(frame: Uint8Array, skb: Skb | null): boolean {
    const { limit, corrupt, corruptCorrelation, gap, reorder, reorderCorrelation } = this.#parameters;
    if (corrupt > 0 && this.#corruptions.draw(this.#unit, corruptCorrelation) < corrupt) this.#corrupt(frame);
    if (this.#queue.length >= limit) {
      this.#dropped++;
      return false;
    }
    const { now } = this.#rt;
    const waits =
      gap === 0 || this.#counter < gap - 1 || reorder <= this.#reorders.draw(this.#unit, reorderCorrelation);
    if (waits) {
      this.#counter++;
      this.#insert(frame, skb, now + this.#delayOf(frame.length));
    } else {
      this.#counter = 0;
      this.#insert(frame, skb, now);
    }
    return true;
  }

  #delayOf(length: number): number {
    const { delay, jitter, delayCorrelation, distribution, rate } = this.#parameters;
    let wait = delay;
    if (jitter > 0)
      wait = Math.max(
        0,
        spread(delay, jitter, distribution, this.#delays.draw(this.#unit, delayCorrelation)),
      );
    if (rate === 0) return wait;
    // The link is busy with what was taken before. What waited there is not waited for again.
    const last = this.#queue.at(-1);
    const busy = last === undefined ? 0 : Math.max(0, last.at - this.#rt.now);
    return busy + Math.max(0, wait - busy) + (length * 8000) / rate;
  }

  #corrupt(frame: Uint8Array): void {
    const at = Math.floor(this.#unit() * frame.length);
    frame[at] = frame[at]! ^ (1 << Math.floor(this.#unit() * 8));
  }

  #insert(frame: Uint8Array, skb: Skb | null, at: number): void {
    const queue = this.#queue;
    let place = queue.length;
    while (place > 0 && queue[place - 1]!.at > at) place--;
    queue.splice(place, 0, { frame, skb, at, cause: this.#rt.cause });
    this.#backlog += frame.length;
    if (at <= this.#rt.now) this.#release();
    else if (place === 0) this.#arm();
  }

  #release(): void {
    const rt = this.#rt;
    const cause = rt.cause;
    let due = 0;
    while (due < this.#queue.length && this.#queue[due]!.at <= rt.now) due++;
    for (const waiting of this.#queue.splice(0, due)) {
      this.#backlog -= waiting.frame.length;
      this.#bytes += waiting.frame.length;
      this.#packets++;
      rt.cause = waiting.cause;
      this.#send(waiting.frame, waiting.skb);
    }
    rt.cause = cause;
    this.#arm();
  }

  #arm(): void {
    const { timers } = this.#rt;
    const at = this.#queue[0]?.at;
    if (this.#timer !== null && this.#timer.at === at) return;
    if (this.#timer !== null) timers.cancel(this.#timer);
    this.#timer =
      at === undefined
        ? null
        : timers.set(at, () => {
            this.#timer = null;
            this.#release();
          });
  }
}
