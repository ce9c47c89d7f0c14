import { type IpAddress, ipPrefixContains, parseIpPrefix } from '../ip.ts';
import { formatScoped } from '../scoped-address.ts';
import type { NeighborConfig, SpeakerConfig } from './config.ts';

/** Peers from ranges that are listened to, as FRR's `bgp listen limit`. */
const DYNAMIC_LIMIT = 100;

interface DynamicNeighbor {
  readonly neighbor: NeighborConfig;
  readonly remoteAs: readonly number[];
}

/** Whom a connection has come from, and to which address; `zone` is the interface of link-local ones. */
export interface Arrival {
  readonly remote: IpAddress;
  readonly local: IpAddress;
  readonly zone: string;
}

/**
 * A neighbour that nobody has named, if its address is in one of the ranges that are listened to; `present` is how many
 * such there are already.
 */
export function dynamicNeighbor(
  { dynamicNeighbors = [], asn }: SpeakerConfig,
  { remote, local, zone }: Arrival,
  present: number,
): DynamicNeighbor | null {
  for (const { prefix: text, remoteAs, limit = DYNAMIC_LIMIT, ...options } of dynamicNeighbors) {
    const prefix = parseIpPrefix(text);
    if (prefix === null || !ipPrefixContains(prefix, remote)) continue;
    if (present >= limit) return null;
    const [address, localAddress] = [
      formatScoped({ addr: remote, zone }),
      formatScoped({ addr: local, zone }),
    ];
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
