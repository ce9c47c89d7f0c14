import type { AttributeFields } from './attributes.ts';
import { BgpConfigError } from './config.ts';
import type { PrefixKey } from './nlri.ts';
import type { Peer } from './path.ts';

/** What a policy may look at beside the attributes. */
export interface PolicyContext {
  /** Peer that the route came from, null for one originated here. */
  readonly source: Peer | null;
  /** Peer whose import or export it is. */
  readonly peer: Peer;
  readonly direction: 'import' | 'export';
  /** Our own AS. */
  readonly asn: number;
}

/** Import and export policies as the speaker applies them. */
export interface RoutePolicy {
  /** Whether the outcome depends on the prefix: if not, it is worked out once for all prefixes of a family with the same attributes. */
  readonly dependsOnPrefix: boolean;
  /** The attributes that the route goes on with, the same object if they are not changed; null if it is rejected. */
  apply(key: PrefixKey, attributes: AttributeFields, context: PolicyContext): AttributeFields | null;
}

/** Policies by name. */
export interface PolicySet {
  readonly [name: string]: RoutePolicy;
}

/**
 * The policy that a list of names stands for: each decides on what the one before has made of a route, and rejects what it
 * rejects; null for an empty list, and for none. `where` names the place in errors.
 * @throws BgpConfigError for a name that there is no policy of.
 */
export function policyOf(
  policies: PolicySet,
  names: readonly string[] | undefined,
  where: string,
): RoutePolicy | null {
  if (names === undefined || names.length === 0) return null;
  const chain = names.map((name) => {
    const policy = policies[name];
    if (policy === undefined) throw new BgpConfigError(`${where}: there is no policy ${name}`);
    return policy;
  });
  const [only] = chain;
  return chain.length === 1 && only !== undefined ? only : new PolicyChain(chain);
}

class PolicyChain implements RoutePolicy {
  readonly dependsOnPrefix: boolean;
  readonly #chain: readonly RoutePolicy[];

  constructor(chain: readonly RoutePolicy[]) {
    this.#chain = chain;
    this.dependsOnPrefix = chain.some((policy) => policy.dependsOnPrefix);
  }

  apply(key: PrefixKey, attributes: AttributeFields, context: PolicyContext): AttributeFields | null {
    let outcome: AttributeFields | null = attributes;
    for (const policy of this.#chain) {
      if (outcome === null) return null;
      outcome = policy.apply(key, outcome, context);
    }
    return outcome;
  }
}
