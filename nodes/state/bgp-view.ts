import { formatAsPath } from '../../protocols/bgp/as-path.ts';
import { type AttributeFields, ORIGIN_NAMES } from '../../protocols/bgp/attributes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
} from '../../protocols/bgp/community.ts';
import { formatNextHop } from '../../protocols/bgp/nexthops.ts';
import { compareKeys, formatKey, type PrefixKey, parseKey } from '../../protocols/bgp/nlri.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import type { BestPathFacts, BgpSessionState } from '../events/bgp.ts';

/** A path's attributes in words; what is absent is null, '' or an empty list. */
interface AttributeFacts {
  readonly origin: 'IGP' | 'EGP' | 'INCOMPLETE';
  readonly asPath: string;
  readonly nexthop: string;
  readonly med: number | null;
  readonly localPref: number | null;
  readonly atomicAggregate: boolean;
  /** `65001 10.0.0.1` */
  readonly aggregator: string;
  readonly communities: readonly string[];
  readonly extendedCommunities: readonly string[];
  readonly largeCommunities: readonly string[];
  readonly originatorId: string;
  readonly clusterList: readonly string[];
  /** Attributes passed on unread: `flags type value`, in hex. */
  readonly unknown: readonly string[];
}

export interface RibRow {
  readonly prefix: string;
  /** RFC 7911; absent without a path identifier. */
  readonly pathId?: number;
  readonly attributes: AttributeFacts;
}

/** A BGP speaker's state. Lists are in order of peer or prefix; a peer without routes is not in the Adj-RIBs. */
export interface BgpView {
  /** Every session that was ever started. */
  readonly sessions: readonly { readonly peer: string; readonly state: BgpSessionState }[];
  /** As received: before loop checks, which keep paths from being candidates. */
  readonly adjRibIn: Readonly<Record<string, readonly RibRow[]>>;
  readonly locRib: readonly BestPathFacts[];
  /** As sent. */
  readonly adjRibOut: Readonly<Record<string, readonly RibRow[]>>;
  readonly originated: readonly string[];
}

export const EMPTY_BGP_VIEW: BgpView = {
  sessions: [],
  adjRibIn: {},
  locRib: [],
  adjRibOut: {},
  originated: [],
};

function attributeFacts(attributes: AttributeFields): AttributeFacts {
  const { aggregator } = attributes;
  return {
    origin: ORIGIN_NAMES[attributes.origin],
    asPath: formatAsPath(attributes.asPath),
    nexthop: formatHop(attributes),
    med: attributes.med,
    localPref: attributes.localPref,
    atomicAggregate: attributes.atomicAggregate,
    aggregator: aggregator === null ? '' : `${aggregator.asn} ${formatIp4(aggregator.address)}`,
    communities: attributes.communities.map(formatCommunity),
    extendedCommunities: attributes.extendedCommunities.map(formatExtendedCommunity),
    largeCommunities: attributes.largeCommunities.map(formatLargeCommunity),
    originatorId: attributes.originatorId === null ? '' : formatIp4(attributes.originatorId),
    clusterList: attributes.clusterList.map(formatIp4),
    unknown: attributes.unknown.map(
      ({ flags, type, value }) => `${hex([flags])} ${hex([type])} ${hex(value)}`,
    ),
  };
}

function formatHop({ nextHop, nextHop6 }: AttributeFields): string {
  const address = nextHop ?? nextHop6;
  return address === null ? '' : formatNextHop(address);
}

function hex(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One route of an Adj-RIB; `pathId` is 0 without ADD-PATH. */
export interface RibEntry {
  readonly key: PrefixKey;
  readonly pathId: number;
  readonly attributes: AttributeFields;
}

/** One peer's Adj-RIB as rows in order of prefix and path identifier. */
export function ribRows(rib: Iterable<RibEntry>): RibRow[] {
  const rows = [...rib].sort((a, b) => compareKeys(a.key, b.key) || a.pathId - b.pathId);
  return rows.map(({ key, pathId, attributes }) => ({
    prefix: formatKey(key),
    ...(pathId === 0 ? {} : { pathId }),
    attributes: attributeFacts(attributes),
  }));
}

/** Record of the lists that are not empty, in order of peer. */
export function byPeer(
  lists: Iterable<readonly [string, readonly RibRow[]]>,
): Record<string, readonly RibRow[]> {
  const kept = [...lists].filter(([, rows]) => rows.length > 0);
  return Object.fromEntries(kept.sort(([a], [b]) => compareText(a, b)));
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function inPrefixOrder<T>(rows: Iterable<T>, prefixOf: (row: T) => string): T[] {
  const keyed = Array.from(rows, (row) => ({ key: keyOf(prefixOf(row)), row }));
  return keyed.sort((a, b) => compareKeys(a.key, b.key)).map(({ row }) => row);
}

function keyOf(text: string): PrefixKey {
  return parseKey(text) ?? -1;
}
