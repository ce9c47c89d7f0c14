import { z } from 'zod';
import {
  type Actions,
  type Conditions,
  type PolicyConfig,
  PolicyError,
  type PrefixRule,
  type Range,
  type Term,
} from '../../protocols/bgp/policy/config.ts';
import { compilePolicies } from '../../protocols/bgp/policy/policy.ts';
import { formatIp } from '../../protocols/ip.ts';
import type { Reporter } from './problem.ts';
import { anyIp, asNumber, map, name, network } from './schema-types.ts';

const prefixLength = z.int().min(0).max(128).optional();
const prefixRule = z.union([network, map({ prefix: network, ge: prefixLength, le: prefixLength })]);

const names = z.union([name, z.array(name).min(1)]);
const asNumbers = z.union([asNumber, z.array(asNumber).min(1)]);
const bound = z.int().min(0).max(0xffffffff).optional();
const range = z.union([z.int().min(0).max(0xffffffff), map({ ge: bound, le: bound })]);
const origin = z.enum(['igp', 'egp', 'incomplete']);
const texts = z.union([z.string(), z.array(z.string()).min(1)]);

const match = map({
  prefixes: names.optional(),
  asPaths: names.optional(),
  asPathLength: range.optional(),
  neighborAs: asNumbers.optional(),
  originAs: asNumbers.optional(),
  communities: names.optional(),
  allCommunities: names.optional(),
  nextHop: names.optional(),
  peers: texts.optional(),
  peerAs: asNumbers.optional(),
  from: texts.optional(),
  source: z
    .union([z.enum(['local', 'ebgp', 'ibgp']), z.array(z.enum(['local', 'ebgp', 'ibgp'])).min(1)])
    .optional(),
  origin: z.union([origin, z.array(origin).min(1)]).optional(),
  med: range.optional(),
  localPref: range.optional(),
});

const set = map({
  localPref: z.int().min(0).max(0xffffffff).optional(),
  med: z
    .union([z.int().min(0).max(0xffffffff), z.literal('none'), z.string().regex(/^[+-]\d{1,10}$/)])
    .optional(),
  origin: origin.optional(),
  nextHop: z.union([z.enum(['self', 'peer']), anyIp]).optional(),
  prepend: z.union([z.int().min(1).max(32), map({ as: asNumber, times: z.int().min(1).max(32) })]).optional(),
  privateAs: z.enum(['remove', 'replace']).optional(),
  communities: map({
    add: texts.optional(),
    remove: texts.optional(),
    set: z.union([z.string(), z.array(z.string())]).optional(),
  }).optional(),
});

const term = map({
  name: name.optional(),
  match: match.optional(),
  set: set.optional(),
  action: z.enum(['accept', 'reject', 'next']),
});

const terms = z.array(term).min(1);

export const policySchema = map({
  prefixSets: z.record(name, z.array(prefixRule).min(1)).optional(),
  asPaths: z.record(name, texts).optional(),
  communities: z.record(name, texts).optional(),
  policies: z
    .record(name, z.union([terms, map({ terms, otherwise: z.enum(['accept', 'reject']).optional() })]))
    .optional(),
});

export type PolicySpec = z.infer<typeof policySchema>;

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** An object without its keys that are undefined. */
function present<T extends object>(fields: T): Partial<Present<T>> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<Present<T>>;
}

function list<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function listed<T>(value: T | readonly T[] | undefined): readonly T[] | undefined {
  return value === undefined ? undefined : list(value);
}

function rangeOf(value: z.infer<typeof range> | undefined): Range | undefined {
  if (value === undefined) return undefined;
  return typeof value === 'number' ? { ge: value, le: value } : (present(value) as Range);
}

function conditionsOf(spec: z.infer<typeof match>): Conditions {
  const { communities, allCommunities, ...rest } = spec;
  const sets: Conditions['communities'] =
    communities !== undefined
      ? { which: 'any', sets: list(communities) }
      : allCommunities !== undefined
        ? { which: 'all', sets: list(allCommunities) }
        : undefined;
  return present({
    prefixes: listed(rest.prefixes),
    asPaths: listed(rest.asPaths),
    asPathLength: rangeOf(rest.asPathLength),
    neighborAs: listed(rest.neighborAs),
    originAs: listed(rest.originAs),
    communities: sets,
    nextHop: listed(rest.nextHop),
    peers: listed(rest.peers),
    peerAs: listed(rest.peerAs),
    from: listed(rest.from),
    source: listed(rest.source),
    origin: listed(rest.origin),
    med: rangeOf(rest.med),
    localPref: rangeOf(rest.localPref),
  }) as Conditions;
}

function actionsOf(spec: z.infer<typeof set>): Actions {
  const { nextHop, prepend, communities, med } = spec;
  return present({
    localPref: spec.localPref,
    origin: spec.origin,
    privateAs: spec.privateAs,
    med: med === undefined ? undefined : medOf(med),
    nextHop:
      nextHop === undefined || nextHop === 'self' || nextHop === 'peer'
        ? nextHop
        : { address: formatIp(nextHop) },
    prepend:
      prepend === undefined
        ? undefined
        : typeof prepend === 'number'
          ? ({ asn: 'own', times: prepend } as const)
          : { asn: prepend.as, times: prepend.times },
    communities:
      communities === undefined
        ? undefined
        : {
            add: list(communities.set ?? communities.add ?? []),
            remove: list(communities.remove ?? []),
            keep: communities.set === undefined ? ('yes' as const) : ('no' as const),
          },
  }) as Actions;
}

function medOf(text: number | string): NonNullable<Actions['med']> {
  if (text === 'none') return { how: 'none' };
  if (typeof text === 'number') return { how: 'set', value: text };
  return { how: text.startsWith('+') ? 'add' : 'subtract', value: Number(text.slice(1)) };
}

/** The policies of a lab, compiled once here so that what is wrong with them is told with their place in the file. */
export function policyConfig(spec: PolicySpec, reporter: Reporter): PolicyConfig {
  const config: PolicyConfig = {
    prefixSets: mapValues(spec.prefixSets, (rules) =>
      rules.map(
        (rule): PrefixRule => (typeof rule === 'string' ? { prefix: rule } : (present(rule) as PrefixRule)),
      ),
    ),
    asPathSets: mapValues(spec.asPaths, list),
    communitySets: mapValues(spec.communities, list),
    policies: mapValues(spec.policies, (policy) => {
      const { terms: given, otherwise = 'reject' } = Array.isArray(policy)
        ? { terms: policy }
        : (policy as { terms: z.infer<typeof terms>; otherwise?: 'accept' | 'reject' });
      return { otherwise, terms: given.map(termOf) };
    }),
  };
  for (const [policyName, rules] of Object.entries(config.policies)) {
    try {
      compilePolicies({ ...config, policies: { [policyName]: rules } });
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      reporter.problem(
        ['policy', 'policies', policyName],
        error.message,
        'docs/lab-file.md has the words of a policy',
        'key',
      );
    }
  }
  return config;
}

function termOf(spec: z.infer<typeof term>, i: number): Term {
  return {
    name: spec.name ?? String(i + 1),
    match: conditionsOf(spec.match ?? {}),
    set: actionsOf(spec.set ?? {}),
    action: spec.action,
  };
}

function mapValues<T, U>(
  entries: Readonly<Record<string, T>> | undefined,
  change: (value: T) => U,
): Record<string, U> {
  return Object.fromEntries(Object.entries(entries ?? {}).map(([key, value]) => [key, change(value)]));
}
