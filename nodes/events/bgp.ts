/**
 * Events of the BGP speaker. Every message sent and received is here as bytes, so Adj-RIB-In and Adj-RIB-Out
 * are folds of the messages themselves, and Loc-RIB is the fold of the best-path changes.
 */

/** RFC 4271 §8.2.2 */
export type BgpSessionState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** The best path of one prefix, as the decision process chose it. */
export interface BestPathFacts {
  /** NLRI, `10.244.1.0/26`. */
  readonly prefix: string;
  /** Peer the path was learned from (its key in the configuration), '' for a locally originated one. */
  readonly peer: string;
  readonly nexthop: string;
  readonly asPath: string;
  readonly localPref: number;
  readonly origin: 'IGP' | 'EGP' | 'INCOMPLETE';
  readonly med: number | null;
  readonly communities: readonly string[];
  readonly originatorId: string;
  readonly clusterList: readonly string[];
  /** Next hops used for forwarding when several equal paths are installed, the best one's first. */
  readonly multipath: readonly string[];
}

export type BestPathChange =
  | ({ readonly op: 'set' } & BestPathFacts)
  | { readonly op: 'del'; readonly prefix: string };

export type BgpEvent =
  | {
      readonly type: 'bgp.session';
      readonly peer: string;
      readonly from: BgpSessionState;
      readonly to: BgpSessionState;
      /** The FSM event or the error that moved it, in RFC 4271's words: 'HoldTimer_Expires', 'TcpConnectionFails', … */
      readonly reason: string;
    }
  /**
   * RFC 4724, RFC 9494, RFC 7313: what the peer has told of a family is kept as stale from now on, until it is told again;
   * what is still stale goes on as long-lived stale, but for paths with NO_LLGR, which are removed; or it is removed.
   */
  | {
      readonly type: 'bgp.stale';
      readonly peer: string;
      readonly family: 'ipv4' | 'ipv6';
      readonly what: 'retained' | 'long-lived' | 'swept';
    }
  /** The daemon has died and begins anew; its sessions and tables are gone, the kernel's routes may be there still. */
  | { readonly type: 'bgp.restarted'; readonly forwarding: 'kept' | 'lost' }
  /** A session that was not configured by name is over. */
  | { readonly type: 'bgp.vanished'; readonly peer: string }
  /** For the operator: a limit that comes near, say. */
  | { readonly type: 'bgp.notice'; readonly peer: string; readonly text: string }
  | { readonly type: 'bgp.received'; readonly peer: string; readonly message: Uint8Array }
  | { readonly type: 'bgp.sent'; readonly peer: string; readonly message: Uint8Array }
  | { readonly type: 'bgp.best'; readonly changes: readonly BestPathChange[] }
  | { readonly type: 'bgp.originated'; readonly prefix: string }
  | { readonly type: 'bgp.unoriginated'; readonly prefix: string };
