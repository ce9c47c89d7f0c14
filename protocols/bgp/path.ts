import type { AsSize } from './as-path.ts';
import type { PathAttributes } from './attributes.ts';
import type { Destination } from './loc-rib.ts';
import type { NextHop } from './nexthops.ts';

export type PeerKind = 'internal' | 'external';

/** What the RIBs know of an established session's peer. A new one for each session. */
export interface Peer {
  readonly name: string;
  readonly kind: PeerKind;
  readonly asn: number;
  readonly identifier: number;
  readonly address: number;
  /** Our address on the session. */
  readonly localAddress: number;
  readonly client: boolean;
  readonly nextHopSelf: boolean;
  readonly asSize: AsSize;
}

/** Why a path is kept in the Adj-RIB-In but is no candidate: RFC 4271 §9.1.2, §5.1.3; RFC 4456 §8. */
export type Rejection = 'as-loop' | 'own-originator' | 'cluster-loop' | 'own-next-hop';

/** One route to one destination, as it was learned from a peer or originated here. Immutable. */
export interface Path {
  readonly destination: Destination;
  /** null for one originated here. */
  readonly peer: Peer | null;
  /** RFC 7911; 0 without ADD-PATH. */
  readonly pathId: number;
  readonly attributes: PathAttributes;
  /** null for one originated here, and for one that is rejected. */
  readonly nextHop: NextHop | null;
  readonly rejection: Rejection | null;
  /** Time it was learned, ms; for display, never for a decision. */
  readonly at: number;
}
