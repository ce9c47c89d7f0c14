import type { BfdIntervals, BfdSessionKey, BfdSessionState } from '../events/bfd.ts';
import { compareText } from './bgp-view.ts';

export interface BfdSessionFacts extends BfdSessionKey, BfdIntervals {
  /** The local one. */
  readonly discriminator: number;
  readonly state: BfdSessionState;
  /** Why it is in that state, in the words of RFC 5880 §4.1. */
  readonly diag: string;
}

export interface BfdView {
  /** In order of their names as text. */
  readonly sessions: readonly BfdSessionFacts[];
}

/** One text for a session's three names. */
export function bfdSessionName({ local, remote, mode }: BfdSessionKey): string {
  return `${remote} ${local} ${mode}`;
}

export function bfdView(sessions: Iterable<BfdSessionFacts>): BfdView {
  const rows = [...sessions];
  return { sessions: rows.sort((a, b) => compareText(bfdSessionName(a), bfdSessionName(b))) };
}
