import { type IpAddress, parseIp } from '../../ip.ts';
import { mapIp4 } from '../../ip6.ts';
import { asPathLength, formatAsPath, isPrivateAs, mapAsPath, neighborAs, prependAs } from '../as-path.ts';
import type { AttributeFields, Origin } from '../attributes.ts';
import type { FamilyName } from '../config.ts';
import { DEFAULT_LOCAL_PREF } from '../constants.ts';
import { splitNextHop } from '../nexthops.ts';
import { familyOf, type PrefixKey } from '../nlri.ts';
import { type NextHopFields, ownNextHop } from '../own-next-hop.ts';
import type { PolicyContext, PolicySet, RoutePolicy } from '../route-policy.ts';
import { AsPathRegex } from './as-path-regex.ts';
import { CommunityPattern, parseCommunity, withCommunity } from './community-pattern.ts';
import {
  type Actions,
  type Conditions,
  type PolicyConfig,
  PolicyError,
  type Range,
  type Term,
} from './config.ts';
import { PrefixSet } from './prefix-set.ts';

interface Route {
  readonly key: PrefixKey;
  readonly attributes: AttributeFields;
  readonly context: PolicyContext;
}

/** One condition: what it says, and whether a route meets it. */
interface Condition {
  readonly text: string;
  readonly holds: (route: Route) => boolean;
}

type Action = (attributes: AttributeFields, context: PolicyContext, family: FamilyName) => AttributeFields;

interface CompiledTerm {
  readonly name: string;
  readonly conditions: readonly Condition[];
  readonly actions: readonly { readonly text: string; readonly run: Action }[];
  readonly action: Term['action'];
}

/** What one term made of a route. */
export interface TermTrace {
  readonly term: string;
  /** Each condition in words with its outcome, up to the first that does not hold. */
  readonly conditions: readonly { readonly text: string; readonly holds: boolean }[];
  readonly matched: boolean;
  readonly set: readonly string[];
  readonly action: Term['action'] | null;
}

export interface PolicyTrace {
  readonly terms: readonly TermTrace[];
  /** Whether a term decided, or what is done with what none decides on. */
  readonly decidedBy: 'term' | 'otherwise';
  /** null if it is rejected. */
  readonly result: AttributeFields | null;
}

/** A policy that can be asked what it did. */
export class CompiledPolicy implements RoutePolicy {
  readonly dependsOnPrefix: boolean;
  readonly #terms: readonly CompiledTerm[];
  readonly #otherwise: 'accept' | 'reject';

  constructor(terms: readonly CompiledTerm[], otherwise: 'accept' | 'reject', dependsOnPrefix: boolean) {
    this.#terms = terms;
    this.#otherwise = otherwise;
    this.dependsOnPrefix = dependsOnPrefix;
  }

  apply(key: PrefixKey, attributes: AttributeFields, context: PolicyContext): AttributeFields | null {
    let current = attributes;
    for (const { conditions, actions, action } of this.#terms) {
      const route = { key, attributes: current, context };
      if (!conditions.every(({ holds }) => holds(route))) continue;
      if (action === 'reject') return null;
      for (const { run } of actions) current = run(current, context, familyOf(key));
      if (action === 'accept') return current;
    }
    return this.#otherwise === 'accept' ? current : null;
  }

  /** The same with every step. */
  trace(key: PrefixKey, attributes: AttributeFields, context: PolicyContext): PolicyTrace {
    let current = attributes;
    const traces: TermTrace[] = [];
    for (const { name, conditions, actions, action } of this.#terms) {
      const route = { key, attributes: current, context };
      const tried: { text: string; holds: boolean }[] = [];
      for (const { text, holds } of conditions) {
        tried.push({ text, holds: holds(route) });
        if (tried.at(-1)?.holds === false) break;
      }
      const matched = tried.every(({ holds }) => holds);
      const set = matched && action !== 'reject' ? actions.map(({ text }) => text) : [];
      traces.push({ term: name, conditions: tried, matched, set, action: matched ? action : null });
      if (!matched) continue;
      if (action === 'reject') return { terms: traces, decidedBy: 'term', result: null };
      for (const { run } of actions) current = run(current, context, familyOf(key));
      if (action === 'accept') return { terms: traces, decidedBy: 'term', result: current };
    }
    const result = this.#otherwise === 'accept' ? current : null;
    return { terms: traces, decidedBy: 'otherwise', result };
  }
}

const ORIGINS: Readonly<Record<'igp' | 'egp' | 'incomplete', Origin>> = { igp: 0, egp: 1, incomplete: 2 };

/**
 * Compiles all policies of a configuration.
 * @throws PolicyError that names the policy and the term.
 */
export function compilePolicies(config: PolicyConfig): PolicySet & Readonly<Record<string, CompiledPolicy>> {
  const sets = new Sets(config);
  const compiled: Record<string, CompiledPolicy> = {};
  for (const [name, { terms, otherwise }] of Object.entries(config.policies)) {
    const done = terms.map((term) => {
      try {
        return {
          name: term.name,
          conditions: conditionsOf(term.match, sets),
          actions: actionsOf(term.set),
          action: term.action,
        };
      } catch (error) {
        if (!(error instanceof PolicyError)) throw error;
        throw new PolicyError(`policy ${name}, term ${term.name}: ${error.message}`);
      }
    });
    const dependsOnPrefix = terms.some(({ match }) => match.prefixes !== undefined);
    compiled[name] = new CompiledPolicy(done, otherwise, dependsOnPrefix);
  }
  return compiled;
}

/** The named sets, compiled when they are first asked for. */
class Sets {
  readonly #config: PolicyConfig;

  constructor(config: PolicyConfig) {
    this.#config = config;
  }

  prefixes(name: string): PrefixSet {
    return new PrefixSet(this.#named('prefix set', this.#config.prefixSets, name));
  }

  asPaths(name: string): AsPathRegex[] {
    return this.#named('AS path set', this.#config.asPathSets, name).map((text) => new AsPathRegex(text));
  }

  communities(name: string): CommunityPattern[] {
    const patterns = this.#named('community set', this.#config.communitySets, name);
    return patterns.map((text) => new CommunityPattern(text));
  }

  #named<T>(what: string, sets: Readonly<Record<string, T>>, name: string): T {
    const found = sets[name];
    if (found === undefined) {
      const known = Object.keys(sets);
      throw new PolicyError(
        `there is no ${what} ${name}${known.length === 0 ? '' : `; there are: ${known.join(', ')}`}`,
      );
    }
    return found;
  }
}

function inRange(value: number, { ge = 0, le = Number.POSITIVE_INFINITY }: Range): boolean {
  return value >= ge && value <= le;
}

function rangeText({ ge, le }: Range): string {
  return [
    ...(ge === undefined ? [] : [`at least ${ge}`]),
    ...(le === undefined ? [] : [`at most ${le}`]),
  ].join(' and ');
}

function conditionsOf(match: Conditions, sets: Sets): Condition[] {
  const conditions: Condition[] = [];
  const add = (text: string, holds: (route: Route) => boolean) => conditions.push({ text, holds });
  const {
    prefixes,
    asPaths,
    asPathLength: length,
    neighborAs: neighbors,
    originAs,
    communities,
    nextHop,
  } = match;
  if (match.peers !== undefined) {
    const names = new Set(match.peers);
    add(`peer is ${match.peers.join(' or ')}`, ({ context }) => names.has(context.peer.name));
  }
  if (match.peerAs !== undefined) {
    const asns = match.peerAs;
    add(`peer is in AS ${asns.join(' or ')}`, ({ context }) => asns.includes(context.peer.asn));
  }
  if (match.source !== undefined) {
    const sources = match.source;
    add(`source is ${sources.join(' or ')}`, ({ context }) => sources.includes(sourceOf(context)));
  }
  if (match.from !== undefined) {
    const names = new Set(match.from);
    add(`learned from ${match.from.join(' or ')}`, ({ context }) => names.has(context.source?.name ?? ''));
  }
  if (prefixes !== undefined) {
    const compiled = prefixes.map((name) => sets.prefixes(name));
    add(`prefix in ${prefixes.join(' or ')}`, ({ key }) => compiled.some((set) => set.contains(key)));
  }
  if (asPaths !== undefined) {
    const compiled = asPaths.flatMap((name) => sets.asPaths(name));
    add(`AS path matches ${asPaths.join(' or ')}`, ({ attributes }) => {
      const text = formatAsPath(attributes.asPath);
      return compiled.some((regex) => regex.test(text));
    });
  }
  if (length !== undefined) {
    add(`AS path length ${rangeText(length)}`, ({ attributes }) =>
      inRange(asPathLength(attributes.asPath), length),
    );
  }
  if (neighbors !== undefined) {
    add(`first AS is ${neighbors.join(' or ')}`, ({ attributes }) =>
      neighbors.includes(neighborAs(attributes.asPath) ?? -1),
    );
  }
  if (originAs !== undefined) {
    add(`last AS is ${originAs.join(' or ')}`, ({ attributes }) =>
      originAs.includes(attributes.asPath.at(-1)?.asns.at(-1) ?? -1),
    );
  }
  if (communities !== undefined) {
    const compiled = communities.sets.map((name) => sets.communities(name));
    const has = (set: readonly CommunityPattern[], attributes: AttributeFields) =>
      set.some((pattern) => pattern.isIn(attributes));
    add(
      `a community of ${communities.sets.join(communities.which === 'any' ? ' or ' : ' and ')}`,
      ({ attributes }) =>
        communities.which === 'any'
          ? compiled.some((set) => has(set, attributes))
          : compiled.every((set) => has(set, attributes)),
    );
  }
  if (nextHop !== undefined) {
    const compiled = nextHop.map((name) => sets.prefixes(name));
    add(`next hop in ${nextHop.join(' or ')}`, ({ attributes }) => {
      const addr = addressOf(attributes);
      return compiled.some((set) => addr !== null && set.covers(addr));
    });
  }
  if (match.origin !== undefined) {
    const origins = match.origin.map((name) => ORIGINS[name]);
    add(`origin is ${match.origin.join(' or ')}`, ({ attributes }) => origins.includes(attributes.origin));
  }
  const { med, localPref } = match;
  if (med !== undefined) add(`MED ${rangeText(med)}`, ({ attributes }) => inRange(attributes.med ?? 0, med));
  if (localPref !== undefined) {
    add(`LOCAL_PREF ${rangeText(localPref)}`, ({ attributes }) =>
      inRange(attributes.localPref ?? DEFAULT_LOCAL_PREF, localPref),
    );
  }
  return conditions;
}

function sourceOf({ source }: PolicyContext): 'local' | 'ebgp' | 'ibgp' {
  return source === null ? 'local' : source.kind === 'external' ? 'ebgp' : 'ibgp';
}

function actionsOf(set: Actions): { readonly text: string; readonly run: Action }[] {
  const actions: { text: string; run: Action }[] = [];
  const add = (text: string, run: Action) => actions.push({ text, run });
  const { localPref, med, origin, nextHop, prepend, privateAs, communities } = set;
  if (localPref !== undefined) add(`LOCAL_PREF ${localPref}`, (fields) => ({ ...fields, localPref }));
  if (med !== undefined) {
    const text =
      med.how === 'none' ? 'no MED' : med.how === 'set' ? `MED ${med.value}` : `MED ${med.how} ${med.value}`;
    add(text, (fields) => ({ ...fields, med: medOf(fields.med, med) }));
  }
  if (origin !== undefined) add(`origin ${origin}`, (fields) => ({ ...fields, origin: ORIGINS[origin] }));
  if (nextHop !== undefined) {
    const address = typeof nextHop === 'string' ? null : parseIp(nextHop.address);
    if (typeof nextHop !== 'string' && address === null)
      throw new PolicyError(`'${nextHop.address}' is no address`);
    add(`next hop ${typeof nextHop === 'string' ? nextHop : nextHop.address}`, (fields, { peer }, family) => {
      const own = nextHop === 'self' ? ownNextHop(peer, family) : nextHopOf(address ?? peer.address, family);
      return { ...fields, ...own };
    });
  }
  if (privateAs !== undefined) {
    add(`private AS numbers: ${privateAs}`, (fields, { asn }) => ({
      ...fields,
      asPath: mapAsPath(fields.asPath, (each) =>
        isPrivateAs(each) ? (privateAs === 'replace' ? asn : null) : each,
      ),
    }));
  }
  if (prepend !== undefined) {
    add(`prepend ${prepend.asn === 'own' ? 'own AS' : prepend.asn} × ${prepend.times}`, (fields, { asn }) => {
      let { asPath } = fields;
      for (let i = 0; i < prepend.times; i++)
        asPath = prependAs(asPath, prepend.asn === 'own' ? asn : prepend.asn);
      return { ...fields, asPath };
    });
  }
  if (communities !== undefined) {
    const remove = communities.remove.map((text) => new CommunityPattern(text));
    const more = communities.add.map(parseCommunity);
    const words = [
      ...(communities.keep === 'no' ? ['no communities'] : []),
      ...communities.remove.map((text) => `-${text}`),
      ...communities.add.map((text) => `+${text}`),
    ];
    add(`communities: ${words.join(' ')}`, (fields) => {
      const none = { communities: [], largeCommunities: [], extendedCommunities: [] };
      let result: AttributeFields = communities.keep === 'no' ? { ...fields, ...none } : fields;
      for (const pattern of remove) result = pattern.without(result);
      for (const community of more) result = withCommunity(result, community);
      return result;
    });
  }
  return actions;
}

/** What leads to a route's next hop: the global address of an IPv6 one, if it has any. */
function addressOf({ nextHop, nextHop6 }: AttributeFields): IpAddress | null {
  if (nextHop !== null || nextHop6 === null) return nextHop;
  const { global, linkLocal } = splitNextHop(nextHop6);
  return global ?? linkLocal;
}

/** An address as the next hop of a route: an IPv4 one of IPv6 in its mapped form, an IPv6 one of IPv4 by RFC 8950. */
function nextHopOf(address: IpAddress, family: FamilyName): NextHopFields {
  if (typeof address === 'string') return { nextHop: null, nextHop6: address };
  return family === 'ipv4'
    ? { nextHop: address, nextHop6: null }
    : { nextHop: null, nextHop6: mapIp4(address) };
}

function medOf(old: number | null, action: NonNullable<Actions['med']>): number | null {
  switch (action.how) {
    case 'none':
      return null;
    case 'set':
      return action.value;
    case 'add':
      return Math.min(0xffffffff, (old ?? 0) + action.value);
    case 'subtract':
      return Math.max(0, (old ?? 0) - action.value);
  }
}
