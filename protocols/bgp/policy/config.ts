/** Policies as data: what a lab file says, checked and with its defaults in place. */
export interface PolicyConfig {
  readonly prefixSets: Readonly<Record<string, readonly PrefixRule[]>>;
  /** AS path expressions, one of which has to match. */
  readonly asPathSets: Readonly<Record<string, readonly string[]>>;
  readonly communitySets: Readonly<Record<string, readonly string[]>>;
  readonly policies: Readonly<Record<string, PolicyRules>>;
}

export interface PolicyRules {
  readonly terms: readonly Term[];
  /** What becomes of a route that no term decides on. */
  readonly otherwise: 'accept' | 'reject';
}

/** `ip prefix-list … permit PREFIX ge … le …`: without either the prefix itself, with `ge` alone up to the longest. */
export interface PrefixRule {
  readonly prefix: string;
  readonly ge?: number;
  readonly le?: number;
}

export interface Term {
  readonly name: string;
  /** All of it has to hold; a term without conditions matches every route. */
  readonly match: Conditions;
  readonly set: Actions;
  /** 'next' goes on with the term after it, with what was set. */
  readonly action: 'accept' | 'reject' | 'next';
}

export interface Range {
  readonly ge?: number;
  readonly le?: number;
}

export interface Conditions {
  /** Names of prefix sets; one has to contain the prefix. */
  readonly prefixes?: readonly string[];
  /** Names of AS path sets. */
  readonly asPaths?: readonly string[];
  readonly asPathLength?: Range;
  /** First AS of the path, and its last one. */
  readonly neighborAs?: readonly number[];
  readonly originAs?: readonly number[];
  /** Names of community sets; 'any' one community of any of them, 'all' one of each. */
  readonly communities?: { readonly which: 'any' | 'all'; readonly sets: readonly string[] };
  /** Names of prefix sets; one has to contain the next hop. */
  readonly nextHop?: readonly string[];
  /** Names of peers: on import the one it comes from, on export the one it goes to. */
  readonly peers?: readonly string[];
  readonly peerAs?: readonly number[];
  readonly origin?: readonly ('igp' | 'egp' | 'incomplete')[];
  readonly med?: Range;
  readonly localPref?: Range;
  /** Where the speaker has the route from. */
  readonly source?: readonly ('local' | 'ebgp' | 'ibgp')[];
  /** Peers that the speaker may have the route from, by name. */
  readonly from?: readonly string[];
}

export interface Actions {
  readonly localPref?: number;
  /** A number, one to be added to or taken from the MED (absent counts as 0), or none at all. */
  readonly med?:
    | { readonly how: 'set' | 'add' | 'subtract'; readonly value: number }
    | { readonly how: 'none' };
  readonly origin?: 'igp' | 'egp' | 'incomplete';
  /** IPv4 address; 'self' and 'peer' are those of the session. */
  readonly nextHop?: 'self' | 'peer' | { readonly address: string };
  readonly prepend?: { readonly asn: number | 'own'; readonly times: number };
  readonly privateAs?: 'remove' | 'replace';
  readonly communities?: {
    readonly add: readonly string[];
    /** Communities, with `*` for any part. */
    readonly remove: readonly string[];
    /** Whether those that are there are taken away first. */
    readonly keep: 'yes' | 'no';
  };
}

export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}
