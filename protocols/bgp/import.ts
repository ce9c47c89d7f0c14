import { asPathContains } from './as-path.ts';
import type { PathAttributes } from './attributes.ts';
import type { Peer, Rejection } from './path.ts';

/** What of the speaker bears on what it accepts. */
export interface ImportContext {
  readonly asn: number;
  readonly identifier: number;
  /** null if the speaker is no route reflector. */
  readonly clusterId: number | null;
}

/** Why a path cannot be a candidate whatever else is known; null if it can be one. */
export function rejectionOf(
  attributes: PathAttributes,
  peer: Peer,
  context: ImportContext,
): Rejection | null {
  if (asPathContains(attributes.asPath, context.asn)) return 'as-loop';
  if (attributes.originatorId === context.identifier) return 'own-originator';
  if (context.clusterId !== null && attributes.clusterList.includes(context.clusterId)) return 'cluster-loop';
  if (attributes.nextHop === null || attributes.nextHop === peer.localAddress) return 'own-next-hop';
  return null;
}
