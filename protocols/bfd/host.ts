import type { BfdState } from './control.ts';

/** What a system wishes; µs, each at least 1. */
export interface BfdParameters {
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
  /** 1 to 255 */
  readonly detectMult: number;
}

/** A passive system does not speak before it is spoken to (RFC 5880 §6.1). */
export type BfdRole = 'active' | 'passive';

export interface TimerHandle {
  readonly at: number;
}

/** What a session asks of what surrounds it. */
export interface BfdSessionHost {
  /** ms */
  readonly now: number;
  readonly random: { unit(): number };
  readonly timers: {
    set(at: number, fire: () => void): TimerHandle;
    cancel(timer: TimerHandle): void;
  };
  /** Comes before the packet that tells the peer. The host must not call the session from within. */
  stateChanged(from: BfdState, to: BfdState): void;
  /** The transmit interval or the Detection Time is another one, and the state the same. Nor from within this. */
  intervalsChanged(): void;
  /** Send a packet with the session's fields and these flags, now. */
  transmit(flags: number): void;
}
