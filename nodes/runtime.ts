import type { LabEvent } from './events/index.ts';
import type { EventId } from './events/record.ts';
import type { StoreOp } from './store.ts';

/** A pending timer; opaque to its owner. */
export interface TimerHandle {
  readonly at: number;
}

export interface Timers {
  /** Calls `fire` once when the machine's time reaches `at` (ms). Timers of equal time fire in the order they were set. */
  set(at: number, fire: () => void): TimerHandle;
  /** Cancels; does nothing if it fired or was cancelled already. */
  cancel(timer: TimerHandle): void;
}

/** The node's seeded generator; the only source of randomness inside the machine. */
export interface Random {
  /** Uniform integer in [from, to], both inclusive. */
  int(from: number, to: number): number;
  /** Uniform in [0, 1). */
  unit(): number;
}

/**
 * What the machine offers its kernel and daemons: time, randomness, timers, the log, the store. Everything
 * that a room of the node may ask for comes through here, so that a room under test needs only this.
 */
export interface Runtime {
  /** Time of the current step, ms. It does not move within a step. */
  readonly now: number;
  readonly random: Random;
  readonly timers: Timers;
  /**
   * Id of the event that what happens now follows from. The machine sets it from the input at the start of a
   * step and of each timer (a timer keeps the cause it was set under); `emit` moves it to the event emitted.
   * Code that handles several independent things in one step saves and restores it around each.
   *
   * A negative cause is that of a packet which is followed (`reroute trace`): the event's id with its sign turned, which `emit`
   * keeps. In records and outside of the node it has no sign but on the wire.
   */
  cause: EventId;
  /** Appends an event to the node's log under the current cause, makes it the current cause, returns its id. */
  emit(event: LabEvent): EventId;
  /** Requests a change in the store. `done` runs in a later step, when the store has answered. */
  store(op: StoreOp, done?: (result: StoreResult) => void): void;
}

export type StoreResult =
  | { readonly ok: true; readonly revision: number }
  /** `create` of a key that exists, or `update`/`delete` whose revision is not the current one. */
  | { readonly ok: false; readonly conflict: true }
  | { readonly ok: false; readonly conflict: false; readonly error: string };
