/**
 * Events of WireGuard devices. Keys are base64 as wg(8) prints them. Private and preshared keys are in no event, so that a log can
 * be shown: they are known to the device alone, and a log says only that there is one.
 */

/** What `wg show` says of an interface. */
export interface WireguardFacts {
  readonly dev: string;
  /** '' while there is no private key. */
  readonly publicKey: string;
  /** 0 before the first time that it is up, where none was chosen. */
  readonly listenPort: number;
  /** Mark of the outer packets, 0 if none. */
  readonly fwmark: number;
}

export interface WireguardPeerFacts {
  readonly publicKey: string;
  /** Whether there is a preshared key. */
  readonly presharedKey: boolean;
  /** `192.0.2.1:51820`, `[2001:db8::1]:51820`; '' while it is unknown. */
  readonly endpoint: string;
  /** Prefixes in the order in which they came. */
  readonly allowedIps: readonly string[];
  /** Seconds, 0 if off. */
  readonly persistentKeepalive: number;
}

export type WireguardEvent =
  /** Made, or one of these facts changed. */
  | ({ readonly type: 'wireguard.set'; readonly ns: string } & WireguardFacts)
  /** Added, or a fact of it changed: its endpoint too, where it was heard of from elsewhere. */
  | {
      readonly type: 'wireguard.peer.set';
      readonly ns: string;
      readonly dev: string;
      readonly peer: WireguardPeerFacts;
    }
  | {
      readonly type: 'wireguard.peer.removed';
      readonly ns: string;
      readonly dev: string;
      readonly publicKey: string;
    }
  /** A handshake is done. */
  | {
      readonly type: 'wireguard.session';
      readonly ns: string;
      readonly dev: string;
      readonly publicKey: string;
      /** Of this end. */
      readonly role: 'initiator' | 'responder';
      /** ms at the node. */
      readonly at: number;
    };
