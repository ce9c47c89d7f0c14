import { formatIp4, parsePrefix, prefixContains } from '../ip4.ts';
import type { NeighborConfig, SpeakerConfig } from './config.ts';

/** Peers from ranges that are listened to, as FRR's `bgp listen limit`. */
const DYNAMIC_LIMIT = 100;

interface DynamicNeighbor {
  readonly neighbor: NeighborConfig;
  readonly remoteAs: readonly number[];
}

/**
 * A neighbour that nobody has named, if its address is in one of the ranges that are listened to; `present` is how many
 * such there are already.
 */
export function dynamicNeighbor(
  { dynamicNeighbors = [], asn }: SpeakerConfig,
  remote: number,
  local: number,
  present: number,
): DynamicNeighbor | null {
  for (const { prefix: text, remoteAs, limit = DYNAMIC_LIMIT, ...options } of dynamicNeighbors) {
    const prefix = parsePrefix(text);
    if (prefix === null || !prefixContains(prefix, remote)) continue;
    if (present >= limit) return null;
    const [address, localAddress] = [formatIp4(remote), formatIp4(local)];
    const neighbor: NeighborConfig = {
      ...options,
      name: address,
      address,
      localAddress,
      remoteAs: remoteAs[0] ?? asn,
      passive: true,
    };
    return { neighbor, remoteAs };
  }
  return null;
}
