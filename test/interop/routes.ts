import type { RibRow } from '../../nodes/state/bgp-view.ts';
import { formatIp4 } from '../../protocols/ip4.ts';

/** A route with what two speakers must agree on, in words that every daemon's own can be put into. */
export interface Route {
  readonly prefix: string;
  readonly origin: 'IGP' | 'EGP' | 'INCOMPLETE';
  /** AS_PATH, AS numbers with spaces between. */
  readonly path: string;
  readonly nextHop: string;
  readonly med: number | null;
  /** `65000:1`, sorted. */
  readonly communities: readonly string[];
  /** `65000:1:2`, sorted. */
  readonly large: readonly string[];
  /** `rt:65000:1` and `ro:65000:1`, sorted. */
  readonly extended: readonly string[];
}

/** Routes that have all attributes but the prefix in common, as a daemon is told to announce them. */
export interface RouteGroup {
  readonly number: number;
  readonly prefixes: readonly string[];
  readonly origin: Route['origin'];
  /** AS numbers behind the daemon's own. */
  readonly path: readonly number[];
  readonly med: number;
  readonly communities: readonly (readonly [number, number])[];
  readonly large: readonly (readonly [number, number, number])[];
  readonly extended: readonly (readonly ['rt' | 'ro', number, number])[];
}

const GROUPS = 100;
const FIRST_PREFIX = 0x14000000;
const ORIGINS = ['IGP', 'EGP', 'INCOMPLETE'] as const;

/** So many routes in groups of equal attributes; every attribute takes several forms, large AS numbers among them. */
export function routeGroups(count: number): RouteGroup[] {
  return Array.from({ length: GROUPS }, (_, group) => ({
    number: group,
    prefixes: prefixesOf(group, count),
    origin: ORIGINS[group % 3] ?? 'IGP',
    path: [[], [64_600 + group], [4_200_000_000 + group, 64_600], [64_600, 64_601, 64_602]][group % 4] ?? [],
    med: group * 1_000_003,
    communities: numbers(group % 5).map((i) => [64_500 + i, group] as const),
    large: numbers(group % 3).map((i) => [4_200_000_000 + i, group, 4_294_967_295 - i] as const),
    extended: numbers(group % 4).map((i) => [i % 2 === 0 ? 'rt' : 'ro', 64_500 + i, group] as const),
  }));
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Prefixes of lengths from /24 to /28, each in a /24 of its own. */
function prefixesOf(group: number, count: number): string[] {
  const prefixes: string[] = [];
  for (let i = group; i < count; i += GROUPS) {
    prefixes.push(`${formatIp4(FIRST_PREFIX + i * 256)}/${24 + (i % 5)}`);
  }
  return prefixes;
}

/** What comes of the groups where the path is `asns` longer and the next hop this one; MED goes no further than one AS. */
export function expectedRoutes(
  groups: readonly RouteGroup[],
  asns: readonly number[],
  nextHop: string,
  med: 'kept' | 'dropped',
): Route[] {
  const routes = groups.flatMap((group) =>
    group.prefixes.map((prefix) => ({
      prefix,
      origin: group.origin,
      path: [...asns, ...group.path].join(' '),
      nextHop,
      med: med === 'kept' ? group.med : null,
      communities: group.communities.map((each) => each.join(':')).toSorted(),
      large: group.large.map((each) => each.join(':')).toSorted(),
      extended: group.extended.map((each) => each.join(':')).toSorted(),
    })),
  );
  return byPrefix(routes);
}

export function byPrefix(routes: readonly Route[]): Route[] {
  return routes.toSorted((a, b) => (a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : 0));
}

/** Of the groups alone: a lab has some routes of its own. */
export function onlyGenerated(routes: readonly Route[]): Route[] {
  return byPrefix(routes.filter(({ prefix }) => /^2\d\./.test(prefix)));
}

/** A row of an Adj-RIB of ours in the common words. */
export function routeOfRow({ prefix, attributes }: RibRow): Route {
  const { origin, asPath, nexthop, med, communities, largeCommunities, extendedCommunities } = attributes;
  return {
    prefix,
    origin,
    path: asPath,
    nextHop: nexthop,
    med,
    communities: communities.toSorted(),
    large: largeCommunities.toSorted(),
    extended: extendedCommunities.toSorted(),
  };
}

/** The first difference between two lists of routes in words, and how many there are; '' if they are equal. */
export function difference(actual: readonly Route[], expected: readonly Route[]): string {
  const wanted = new Map(expected.map((route) => [route.prefix, JSON.stringify(route)]));
  const wrong: string[] = [];
  for (const route of actual) {
    const text = wanted.get(route.prefix);
    wanted.delete(route.prefix);
    const is = JSON.stringify(ordered(route));
    if (text !== is) wrong.push(`${route.prefix} is ${is}, should be ${text ?? 'not there'}`);
  }
  for (const text of wanted.values()) wrong.push(`missing: ${text}`);
  return wrong.length === 0 ? '' : `${wrong.length} of ${expected.length} differ; ${wrong[0]}`;
}

/** With its keys in the order of the type: as text two equal routes are equal. */
function ordered({ prefix, origin, path, nextHop, med, communities, large, extended }: Route): Route {
  return { prefix, origin, path, nextHop, med, communities, large, extended };
}
