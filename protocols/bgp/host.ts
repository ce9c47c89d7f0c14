import type { IpAddress } from '../ip.ts';
import type { Ip6 } from '../ip6.ts';
import type { FamilyName } from './config.ts';
import type { Destination } from './destination.ts';
import type { SessionState } from './fsm.ts';
import type { NextHopAddress } from './nexthops.ts';
import type { PrefixKey } from './nlri.ts';

/** Number of a TCP connection, given by the speaker, unique in its life. */
export type ConnectionId = number;

export interface Endpoint {
  readonly addr: IpAddress;
  readonly port: number;
}

export interface TimerHandle {
  readonly at: number;
}

/** How a connection ends: 'fin' after what was sent has gone out, 'rst' at once. */
export type CloseMode = 'fin' | 'rst';

export interface ConnectRequest {
  readonly peer: string;
  readonly localAddress: IpAddress;
  readonly address: IpAddress;
  /** Interface whose link the addresses are of, '' unless they are link-local. */
  readonly zone: string;
  readonly ttl: number;
  /** Least TTL of what may come in, RFC 5082; 0 for any. */
  readonly minTtl: number;
}

/** The link of ours that a peer is on. */
export interface PeerLink {
  /** Name of the interface. */
  readonly dev: string;
  /** Our link-local address there; null while there is none. */
  readonly linkLocal: Ip6 | null;
}

/** A change for the forwarding table: next hops as BGP has them, still to be resolved; empty to remove the route. */
export interface ForwardingChange {
  readonly key: PrefixKey;
  readonly nextHops: readonly NextHopAddress[];
}

/**
 * Everything that a speaker asks of what surrounds it. The calls may answer at once: the speaker takes inputs that
 * arrive while it works one after the other.
 */
export interface SpeakerHost {
  /** ms */
  readonly now: number;
  readonly random: { unit(): number };
  readonly timers: {
    set(at: number, fire: () => void): TimerHandle;
    cancel(timer: TimerHandle): void;
  };
  /**
   * Id of the event that what happens now follows from. The hooks below that record an event move it to that event;
   * the speaker saves and restores it around independent things.
   */
  cause: number;

  /** Begins a TCP connect to port 179; answered by `tcpConnected` or `tcpClosed`. */
  connect(connection: ConnectionId, request: ConnectRequest): void;
  /** Returns the number of bytes taken. When it is not all, `tcpWritable` follows once there is room. */
  send(connection: ConnectionId, bytes: Uint8Array, cause: number): number;
  /** No `tcpClosed` follows. */
  close(connection: ConnectionId, how: CloseMode): void;

  /** Where a peer is whose packets nobody forwards; null if it is on none of our links. */
  linkTo(peer: string, address: IpAddress, zone: string): PeerLink | null;
  /** Cost of reaching a next hop; null if it cannot be reached, or is this node itself. */
  resolveNexthop(addr: NextHopAddress): { readonly metric: number } | null;
  installRoutes(changes: readonly ForwardingChange[]): void;

  sessionChanged(peer: string, from: SessionState, to: SessionState, reason: string): void;
  /**
   * What becomes of the routes of a peer that has gone, or tells all anew: they are kept as stale from now on; the stale ones
   * that are left count as long-lived stale; or they are removed. Comes before `sessionChanged` for a session that is lost.
   */
  stale(peer: string, family: FamilyName, what: 'retained' | 'long-lived' | 'swept'): void;
  /** A dynamic session is over, and forgotten. */
  vanished(peer: string): void;
  /** Something that the operator should know of. */
  notice(peer: string, text: string): void;
  received(peer: string, message: Uint8Array): void;
  sent(peer: string, message: Uint8Array): void;
  /** Best paths or next hops are others now; `bestPathChange` puts it in words. */
  bestChanged(destinations: readonly Destination[]): void;
  originated(prefix: string): void;
  unoriginated(prefix: string): void;
}
