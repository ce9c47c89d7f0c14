import type { AttributeFields } from '../bgp/attributes.ts';
import type { PrefixKey } from '../bgp/nlri.ts';
import type { MrtPeer } from './peer.ts';
import { encodeRibAttributes } from './rib-attributes.ts';
import { encodePeerIndexTable, encodeRib, type RibEntry } from './table-dump-v2.ts';

/** A path to a prefix as it is dumped. */
export interface TablePath {
  /** Index into the table's peers. */
  readonly peerIndex: number;
  /** When it was learned, ms since the Unix epoch; kept to the second. */
  readonly originatedAt: number;
  /** RFC 7911; null from a peer without ADD-PATH. */
  readonly pathId: number | null;
  readonly attributes: AttributeFields;
}

/** A routing table to be dumped. */
export interface Table {
  /** When it is dumped, ms since the Unix epoch; kept to the second. */
  readonly timestamp: number;
  /** Router id of the node as a 32-bit number. */
  readonly collector: number;
  readonly viewName: string;
  readonly peers: readonly MrtPeer[];
  /** Each prefix once. */
  readonly routes: Iterable<{ readonly prefix: PrefixKey; readonly paths: readonly TablePath[] }>;
}

/**
 * The records of a TABLE_DUMP_V2 file (RFC 6396 §4.3), one after another: PEER_INDEX_TABLE, then each prefix, in two
 * records if some of its paths have identifiers and some have none.
 * @throws RangeError for more than 65535 peers, or as many paths to a prefix.
 */
export function* tableDump({ timestamp, collector, viewName, peers, routes }: Table): Generator<Uint8Array> {
  yield encodePeerIndexTable(timestamp, { collector, viewName, peers });
  let sequence = 0;
  for (const { prefix, paths } of routes) {
    for (const pathIds of ['none', 'present'] as const) {
      const chosen = paths.filter(({ pathId }) => (pathId !== null) === (pathIds === 'present'));
      if (chosen.length === 0) continue;
      const entries = chosen.map(entryOf);
      yield encodeRib(timestamp, { sequence: sequence++ >>> 0, prefix, cast: 'unicast', pathIds, entries });
    }
  }
}

function entryOf({ peerIndex, originatedAt, pathId, attributes }: TablePath): RibEntry {
  return { peerIndex, originatedAt, pathId: pathId ?? 0, attributes: encodeRibAttributes(attributes) };
}
