import type { PolicySet } from './route-policy.ts';

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
  /** Peers that are not named: whoever connects from one of these prefixes. */
  readonly dynamicNeighbors?: readonly DynamicNeighbors[];
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
  /** Whether equal paths of different AS_PATHs are installed together, `bestpath as-path multipath-relax`. Default 'relaxed'. */
  readonly multipathAsPath?: 'relaxed' | 'same';
  /** RFC 8212: without a policy nothing is taken from, or told to, an external peer. Default 'off'. */
  readonly ebgpRequiresPolicy?: 'on' | 'off';
  /** Whether timers vary by up to a quarter, RFC 4271 §10. Default 'on'; without it rounds of updates stay in step. */
  readonly jitter?: 'on' | 'off';
  /** RFC 2439; none without. */
  readonly damping?: DampingConfig;
  /** RFC 4724: announced to every peer unless its own options say otherwise. */
  readonly gracefulRestart?: GracefulRestartConfig;
  /** What the names in the neighbours' `import` and `export` stand for. */
  readonly policies?: PolicySet;
}

export type LoopAvoidance = 'split-horizon' | 'plain' | 'sender-side-loop-detection';
export type CompareMed = 'same-as' | 'always';
export type FamilyName = 'ipv4' | 'ipv6';

export interface NeighborOptions {
  readonly routeReflectorClient: boolean;
  readonly nextHopSelf: boolean;
  /** Never connects, only accepts. */
  readonly passive: boolean;
  /** TTL of outgoing segments. */
  readonly ttl: number;
  /** RFC 5082: packets that have come further than this many hops are dropped; segments go out with TTL 255. */
  readonly ttlSecurity?: number;
  /** Default `['ipv4']`. */
  readonly families?: readonly FamilyName[];
  /** RFC 7911, for all families of the session; with 'send' and 'both', at most `addPathLimit` paths, all by default. */
  readonly addPath?: 'off' | 'receive' | 'send' | 'both';
  readonly addPathLimit?: number;
  /** RFC 8654. Default 'on'. */
  readonly extendedMessages?: 'on' | 'off';
  /** RFC 4724 and RFC 9494 on this session; default the speaker's own. */
  readonly gracefulRestart?: GracefulRestartConfig | 'off';
  /** How often our own AS may be in a path that is taken. Default 0. */
  readonly allowAsIn?: number;
  /** Whether the first AS of a path has to be the peer's (RFC 4271 §6.3). Default 'off', as route servers are transparent. */
  readonly enforceFirstAs?: 'on' | 'off';
  /** Private AS numbers (RFC 6996) in paths told to an external peer. Default 'keep'. */
  readonly privateAs?: 'keep' | 'remove' | 'replace';
  /** The peer's own AS in paths told to it is replaced by ours, `as-override`. Default 'off'. */
  readonly asOverride?: 'on' | 'off';
  /** LOCAL_PREF that paths of an external peer get. */
  readonly localPref?: number;
  /** MED of routes told to an external peer. */
  readonly med?: number;
  readonly maximumPrefixes?: MaximumPrefixes;
  /** In the place of the speaker's timings, ms. */
  readonly holdTime?: number;
  readonly keepalive?: number;
  readonly mrai?: number;
  /** IPv6 next hop of routes told to the peer; without, our address on the session, an IPv4 one in its mapped form. */
  readonly nextHop6?: string;
  /** IPv4 next hop of routes told over a session of IPv6 addresses to a peer without RFC 8950; without, there are none. */
  readonly nextHop4?: string;
  /** RFC 8950: whether IPv4 routes with IPv6 next hops are agreed on. Default 'on' over IPv6, and where both families are carried. */
  readonly extendedNextHop?: 'on' | 'off';
  /** RFC 5882: the session falls with the BFD session to the peer, which runs while it is established. */
  readonly bfd?: BfdOptions;
  /** Names of policies, applied in order; a route that none of them decides on is rejected. */
  readonly import?: readonly string[];
  readonly export?: readonly string[];
}

export interface NeighborConfig extends NeighborOptions {
  /** Unique on the speaker; the `peer` of every event. */
  readonly name: string;
  /** IPv4 or IPv6; a link-local one with its interface, `fe80::1%eth1`, as the local one is then too. */
  readonly address: string;
  readonly localAddress: string;
  readonly remoteAs: number;
}

/** `bgp listen range PREFIX peer-group …` */
export interface DynamicNeighbors extends NeighborOptions {
  /** IPv4 or IPv6. */
  readonly prefix: string;
  /** AS numbers that are taken; any other gets Bad Peer AS. */
  readonly remoteAs: readonly number[];
  /** Peers at one time; further ones are refused. Default 100, as FRR has it. */
  readonly limit?: number;
}

export interface BfdOptions {
  /** Desired Min TX and Required Min RX intervals, ms. */
  readonly minTx: number;
  readonly minRx: number;
  /** Detect Mult, 1 to 255. */
  readonly multiplier: number;
}

export interface MaximumPrefixes {
  readonly limit: number;
  /** Share of the limit from which a warning is given, 0 to 1. Default 0.75. */
  readonly warnAt?: number;
  /** Default 'reset': Cease/Maximum Number of Prefixes Reached. */
  readonly action?: 'reset' | 'warn';
  /** Time until the session is tried again, ms; never without. */
  readonly restartAfter?: number;
}

export interface GracefulRestartConfig {
  /** How long a peer is to keep our routes after we have gone, ms; whole seconds, at most 4095 s. */
  readonly restartTime: number;
  /** How long, at most, routes of a peer that is back are kept until its End-of-RIB, ms. Default 360 s. */
  readonly stalePathTime?: number;
  /** RFC 8538: whether routes are kept after a NOTIFICATION and an expired hold timer too, if the peer has it as well. Default 'on'. */
  readonly notification?: 'on' | 'off';
  /** RFC 9494: how long they are kept as long-lived stale after that, ms; 0 for not at all. Default 0. */
  readonly longLivedTime?: number;
}

/** RFC 2439 §4.2; RFC 7196 §3 recommends a suppress threshold of 6000. */
export interface DampingConfig {
  /** ms. Default 15 min. */
  readonly halfLife?: number;
  readonly reuse?: number;
  readonly suppress?: number;
  /** ms. Default 60 min. */
  readonly maxSuppress?: number;
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
  /** Hold time until the OPENs have been exchanged, RFC 4271 §8.2.2's "large value" (BIRD's startup hold time); default 4 minutes. */
  readonly startupHold?: number;
  /** DelayOpenTime, 0 for none. Default 0. */
  readonly delayOpen?: number;
  /** RFC 9687; default the larger of 8 minutes and twice the hold time. */
  readonly sendHold?: number;
}

export class BgpConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BgpConfigError';
  }
}
