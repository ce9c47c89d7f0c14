/** Events of the BFD daemon. Packets that change nothing leave no trace. */

/** RFC 5880 §6.2 */
export type BfdSessionState = 'AdminDown' | 'Down' | 'Init' | 'Up';

/** RFC 5881 (UDP 3784, TTL 255) or RFC 5883 (UDP 4784). */
export type BfdMode = 'single-hop' | 'multihop';

/** What names a session on a node. */
export interface BfdSessionKey {
  readonly local: string;
  readonly remote: string;
  readonly mode: BfdMode;
}

/** What the two ends have agreed on, ms. */
export interface BfdIntervals {
  /** Between two packets sent, before jitter. */
  readonly transmit: number;
  /** Detection Time: without a packet for so long, the session has failed. 0 while nothing has come from the peer. */
  readonly detection: number;
}

export type BfdEvent =
  /** It starts in Down, with nothing known of the peer. */
  | (BfdSessionKey & {
      readonly type: 'bfd.added';
      /** The local one. */
      readonly discriminator: number;
      readonly transmit: number;
    })
  | (BfdSessionKey &
      BfdIntervals & {
        readonly type: 'bfd.session';
        readonly from: BfdSessionState;
        readonly to: BfdSessionState;
        /** In the words of RFC 5880 §4.1; the peer's as it was last heard. */
        readonly diag: string;
        readonly remoteState: BfdSessionState;
        readonly remoteDiag: string;
      })
  /** Negotiated anew, in the same state. */
  | (BfdSessionKey & BfdIntervals & { readonly type: 'bfd.intervals' })
  /** A packet for the session was discarded; the first one for this reason in the session's state. */
  | (BfdSessionKey & { readonly type: 'bfd.discarded'; readonly reason: string })
  | (BfdSessionKey & { readonly type: 'bfd.removed' });
