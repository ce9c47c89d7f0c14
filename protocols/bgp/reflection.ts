import type { AttributeFields } from './attributes.ts';
import type { Peer } from './path.ts';

/** RFC 4456 §6: from a client to all internal peers, from a non-client to the clients. */
export function mayReflect(source: Peer, to: Peer): boolean {
  return source.client || to.client;
}

/** RFC 4456 §8: ORIGINATOR_ID if there is none yet, own cluster in front; everything else as it came. */
export function reflected(attributes: AttributeFields, source: Peer, clusterId: number): AttributeFields {
  return {
    ...attributes,
    originatorId: attributes.originatorId ?? source.identifier,
    clusterList: [clusterId, ...attributes.clusterList],
  };
}
