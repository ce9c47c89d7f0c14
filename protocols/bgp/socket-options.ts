import type { NeighborConfig } from './config.ts';

/** What a socket with a peer has to be like. */
export interface SocketOptions {
  readonly ttl: number;
  /** Least TTL of what may come in; 0 for any. */
  readonly minTtl: number;
}

/** RFC 5082 §3: with a limit of hops segments go out with TTL 255, and come in with at least what so many hops leave of it. */
export function socketOptions({ ttl, ttlSecurity }: NeighborConfig): SocketOptions {
  return ttlSecurity === undefined ? { ttl, minTtl: 0 } : { ttl: 255, minTtl: 256 - ttlSecurity };
}
