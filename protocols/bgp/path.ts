import type { IpAddress } from '../ip.ts';
import type { AsSize } from './as-path.ts';
import type { PathAttributes } from './attributes.ts';
import type { NeighborOptions } from './config.ts';
import type { PeerLink } from './host.ts';
import type { MpPathIds } from './mp-nlri.ts';
import type { NextHop } from './nexthops.ts';

export type PeerKind = 'internal' | 'external';

/** What the RIBs know of an established session's peer. A new one for each session. */
export interface Peer {
  readonly name: string;
  readonly kind: PeerKind;
  readonly asn: number;
  readonly identifier: number;
  readonly address: IpAddress;
  /** Our address on the session. */
  readonly localAddress: IpAddress;
  /** Where it is on a link of ours and the session crosses no router; else null. */
  readonly link: PeerLink | null;
  /** Whether IPv4 routes with IPv6 next hops are agreed on, RFC 8950. */
  readonly extendedNextHop: 'yes' | 'no';
  readonly client: boolean;
  readonly nextHopSelf: boolean;
  readonly asSize: AsSize;
  /** Families that both ends carry. */
  readonly ipv4: 'yes' | 'no';
  readonly ipv6: 'yes' | 'no';
  /** Whether the peer has announced RFC 9494. */
  readonly longLived: 'yes' | 'no';
  /** RFC 7911, for what we send; 'none' for the best path alone. */
  readonly sendsPathIds: MpPathIds;
  /** Longest message that the peer takes, bytes. */
  readonly maxMessage: number;
  readonly options: NeighborOptions;
}

/**
 * Why a path is kept in the Adj-RIB-In but is no candidate: RFC 4271 §9.1.2, §5.1.3, §6.3; RFC 4456 §8; a policy, or
 * RFC 8212 for want of one; RFC 2439.
 */
export type Rejection =
  | 'as-loop'
  | 'own-originator'
  | 'cluster-loop'
  | 'own-next-hop'
  | 'no-next-hop'
  | 'first-as'
  | 'import-policy'
  | 'no-import-policy'
  | 'damped';

/**
 * A route as it was learned from a peer or originated here. Destinations that came in one UPDATE share it, so that a table of
 * half a million has an object for each attribute set and not for each prefix. Immutable.
 */
export interface Path {
  /** null for one originated here. */
  readonly peer: Peer | null;
  /** RFC 7911; 0 without ADD-PATH. */
  readonly pathId: number;
  /** As the peer sent them. */
  readonly received: PathAttributes;
  /** As import policy made them. */
  readonly attributes: PathAttributes;
  /** null for one originated here, and for one that is rejected. */
  readonly nextHop: NextHop | null;
  readonly rejection: Rejection | null;
  /** RFC 9494: kept though its peer is gone for long; chosen only if there is no other. */
  readonly stale: 'no' | 'long-lived';
  /** Time it was learned, ms; for display, never for a decision. */
  readonly at: number;
  /** Which telling of the peer's it was heard in, see `AdjRibIn`; 0 for one originated here. */
  readonly telling: number;
}
