import { asPathCount } from './as-path.ts';
import type { AttributeTable } from './attribute-table.ts';
import type { PathAttributes } from './attributes.ts';
import type { FamilyName } from './config.ts';
import { familyOf, type PrefixKey } from './nlri.ts';
import type { Peer, Rejection } from './path.ts';
import type { PolicyContext, RoutePolicy } from './route-policy.ts';

/** What of the speaker bears on what it accepts. */
export interface ImportContext {
  readonly asn: number;
  readonly identifier: number;
  /** null if the speaker is no route reflector. */
  readonly clusterId: number | null;
  readonly ebgpRequiresPolicy: 'on' | 'off';
  readonly attributes: AttributeTable;
}

export interface Imported {
  readonly attributes: PathAttributes;
  readonly rejection: Rejection | null;
}

/** Why a path cannot be a candidate whatever policy says; null if it can be one. */
export function rejectionOf(
  attributes: PathAttributes,
  peer: Peer,
  context: ImportContext,
): Rejection | null {
  const { allowAsIn = 0, enforceFirstAs = 'off' } = peer.options;
  if (asPathCount(attributes.asPath, context.asn) > allowAsIn) return 'as-loop';
  if (attributes.originatorId === context.identifier) return 'own-originator';
  if (context.clusterId !== null && attributes.clusterList.includes(context.clusterId)) return 'cluster-loop';
  if (attributes.nextHop === null && attributes.nextHop6 === null) return 'no-next-hop';
  if (attributes.nextHop === peer.localAddress || isOwn(attributes.nextHop6, peer)) return 'own-next-hop';
  if (enforceFirstAs === 'on' && peer.kind === 'external' && attributes.neighborAs !== peer.asn)
    return 'first-as';
  return null;
}

function isOwn(nextHop6: string | null, { localAddress }: Peer): boolean {
  return nextHop6 !== null && typeof localAddress === 'string' && nextHop6.startsWith(localAddress);
}

/** The way from what one peer sent to what becomes of it. One a session. */
export class Importer {
  readonly #peer: Peer;
  readonly #context: ImportContext;
  readonly #policy: RoutePolicy | null;
  readonly #policyContext: PolicyContext;
  /** The last result, for a run of prefixes with one set of attributes. */
  #last: PathAttributes | null = null;
  #lastFamily: FamilyName = 'ipv4';
  #lastResult: Imported | null = null;

  constructor(peer: Peer, context: ImportContext, policy: RoutePolicy | null) {
    this.#peer = peer;
    this.#context = context;
    this.#policy = policy;
    this.#policyContext = { source: peer, peer, direction: 'import', asn: context.asn };
  }

  judge(key: PrefixKey, received: PathAttributes): Imported {
    const family = familyOf(key);
    if (this.#last === received && this.#lastFamily === family && this.#lastResult !== null)
      return this.#lastResult;
    const result = this.#decide(key, received);
    const shared = this.#policy === null || !this.#policy.dependsOnPrefix;
    this.#last = shared ? received : null;
    this.#lastFamily = family;
    this.#lastResult = result;
    return result;
  }

  #decide(key: PrefixKey, received: PathAttributes): Imported {
    const rejection = rejectionOf(received, this.#peer, this.#context);
    if (rejection !== null) return { attributes: received, rejection };
    const { localPref } = this.#peer.options;
    const { attributes: table, ebgpRequiresPolicy } = this.#context;
    const external = this.#peer.kind === 'external';
    const attributes =
      external && localPref !== undefined ? table.intern({ ...received, localPref }) : received;
    if (this.#policy === null) {
      const missing = external && ebgpRequiresPolicy === 'on';
      return { attributes, rejection: missing ? 'no-import-policy' : null };
    }
    const outcome = this.#policy.apply(key, attributes, this.#policyContext);
    if (outcome === null) return { attributes: received, rejection: 'import-policy' };
    return { attributes: outcome === attributes ? attributes : table.intern(outcome), rejection: null };
  }
}
