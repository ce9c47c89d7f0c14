import { formatIp4 } from '../ip4.ts';
import { formatAsPath } from './as-path.ts';
import { ORIGIN_NAMES, type PathAttributes } from './attributes.ts';
import { formatCommunity } from './community.ts';
import { DEFAULT_LOCAL_PREF } from './constants.ts';
import type { Destination } from './destination.ts';
import { formatNextHop } from './nexthops.ts';
import { formatKey } from './nlri.ts';

/** The best path of a prefix in words, as it is logged. Nexthop 0.0.0.0 is this node's own route. */
export interface BestPathFacts {
  readonly prefix: string;
  readonly peer: string;
  readonly nexthop: string;
  readonly asPath: string;
  readonly localPref: number;
  readonly origin: 'IGP' | 'EGP' | 'INCOMPLETE';
  readonly med: number | null;
  readonly communities: readonly string[];
  readonly originatorId: string;
  readonly clusterList: readonly string[];
  readonly multipath: readonly string[];
}

export type BestPathChange =
  | ({ readonly op: 'set' } & BestPathFacts)
  | { readonly op: 'del'; readonly prefix: string };

/** What of it is the same for all the prefixes that share an attribute set. */
export type AttributeFacts = Omit<BestPathFacts, 'prefix' | 'peer' | 'multipath'> & {
  readonly alone: readonly string[];
};

const NONE: readonly string[] = [];

function sharedFacts(attributes: PathAttributes): AttributeFacts {
  let { facts } = attributes;
  if (facts === null) {
    const nexthop = formatNextHop(attributes.nextHop ?? attributes.nextHop6 ?? 0);
    facts = {
      nexthop,
      alone: [nexthop],
      asPath: formatAsPath(attributes.asPath),
      localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF,
      origin: ORIGIN_NAMES[attributes.origin],
      med: attributes.med,
      communities: attributes.communities.length === 0 ? NONE : attributes.communities.map(formatCommunity),
      originatorId: attributes.originatorId === null ? '' : formatIp4(attributes.originatorId),
      clusterList: attributes.clusterList.length === 0 ? NONE : attributes.clusterList.map(formatIp4),
    };
    attributes.facts = facts;
  }
  return facts;
}

/** Null if the destination has no best path. */
export function bestPathFacts({ key, best, nextHops }: Destination): BestPathFacts | null {
  if (best === null) return null;
  const facts = sharedFacts(best.attributes);
  return {
    prefix: formatKey(key),
    peer: best.peer?.name ?? '',
    nexthop: facts.nexthop,
    asPath: facts.asPath,
    localPref: facts.localPref,
    origin: facts.origin,
    med: facts.med,
    communities: facts.communities,
    originatorId: facts.originatorId,
    clusterList: facts.clusterList,
    multipath:
      nextHops.length === 0 ? NONE : nextHops.length === 1 ? facts.alone : nextHops.map(formatNextHop),
  };
}

export function bestPathChange(destination: Destination): BestPathChange {
  const facts = bestPathFacts(destination);
  return facts === null ? { op: 'del', prefix: formatKey(destination.key) } : { op: 'set', ...facts };
}
