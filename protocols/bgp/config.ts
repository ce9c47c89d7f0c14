/** What a speaker is configured with. The lab's `BgpConfig` and `Timings.bgp` have this shape. */

export interface SpeakerConfig {
  readonly asn: number;
  /** BGP Identifier as a dotted quad. */
  readonly routerId: string;
  /** Set on a route reflector, RFC 4456 §7. A reflector without one uses its router id. */
  readonly clusterId?: string;
  /** Prefixes that it originates from its start. */
  readonly networks: readonly string[];
  /** Equal paths installed at once; 1 for none but the best. */
  readonly maximumPaths: number;
  readonly neighbors: readonly NeighborConfig[];
  /**
   * What keeps a route from going back where it came from. 'split-horizon': never to the peer it was learned from (BIRD,
   * FRR); 'sender-side-loop-detection': moreover never to an AS that is in its path; 'plain': the receiver's checks
   * alone, as RFC 4271 has it. Default 'split-horizon'.
   */
  readonly loopAvoidance?: LoopAvoidance;
  /** RFC 4271 §9.2.1.1 limits advertisements; 'all' holds withdrawals back as well. Default 'advertisements'. */
  readonly mraiAppliesTo?: 'advertisements' | 'all';
  /** Whether MED is compared between paths of one neighbour AS only. Default 'same-as'. */
  readonly compareMed?: CompareMed;
}

export type LoopAvoidance = 'split-horizon' | 'plain' | 'sender-side-loop-detection';
export type CompareMed = 'same-as' | 'always';

export interface NeighborConfig {
  /** Unique on the speaker; the `peer` of every event. */
  readonly name: string;
  readonly address: string;
  readonly localAddress: string;
  readonly remoteAs: number;
  readonly routeReflectorClient: boolean;
  readonly nextHopSelf: boolean;
  /** Never connects, only accepts. */
  readonly passive: boolean;
  /** TTL of outgoing segments. */
  readonly ttl: number;
}

/** All in ms. */
export interface SpeakerTimings {
  /**
   * 0 for none. On the wire it is whole seconds, at least 3; between speakers with the same value here it is in force
   * to the millisecond, so that scaled labs keep their proportions.
   */
  readonly holdTime: number;
  readonly keepalive: number;
  readonly connectRetry: number;
  /** From a start to the first connect, while the peer's connections are already accepted (BIRD's connect delay time). */
  readonly connectDelay: number;
  /** MinRouteAdvertisementInterval; 0 sends at the end of every batch. */
  readonly mraiIbgp: number;
  readonly mraiEbgp: number;
  /** IdleHoldTime after a first error, and the limit that doubling stops at. */
  readonly idleHold: number;
  readonly idleHoldMax: number;
  /** DelayOpenTime, 0 for none. Default 0. */
  readonly delayOpen?: number;
}

export class BgpConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BgpConfigError';
  }
}
