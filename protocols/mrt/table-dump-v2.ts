import { ipv6Key, nlriSize, type PathIds, type PrefixKey, writeNlri } from '../bgp/nlri.ts';
import { setU16, setU32 } from '../bytes.ts';
import { prefixKey, prefixMask } from '../ip4.ts';
import { IP6_LENGTH, readIp6 } from '../ip6.ts';
import { Cursor } from './cursor.ts';
import { AFI_IPV4, AFI_IPV6, addressSize, type MrtPeer, readAddress, writeAddress } from './peer.ts';
import { encodeRecord, epochSeconds, MrtType } from './record.ts';

/** PEER_INDEX_TABLE, RFC 6396 §4.3.1: what the peer indices of the RIB records after it mean. */
export interface PeerIndexTable {
  readonly kind: 'peer-index-table';
  /** BGP Identifier of the collector as a 32-bit number. */
  readonly collector: number;
  /** '' for none. */
  readonly viewName: string;
  readonly peers: readonly MrtPeer[];
}

/** One peer's route to the prefix of a RIB record, §4.3.4. */
export interface RibEntry {
  /** Index into the peers of the last PEER_INDEX_TABLE. */
  readonly peerIndex: number;
  /** When it was heard, ms since the Unix epoch, whole seconds. */
  readonly originatedAt: number;
  /** RFC 7911; 0 without ADD-PATH. */
  readonly pathId: number;
  /** Path attributes as they are, with AS numbers of four bytes; `decodeRibAttributes` reads them. */
  readonly attributes: Uint8Array;
}

/** RIB_IPV4_UNICAST and its kin: all routes to one prefix (§4.3.2, §4.3.3; RFC 8050 §4). */
export interface Rib {
  readonly kind: 'rib';
  readonly sequence: number;
  readonly prefix: PrefixKey;
  readonly cast: 'unicast' | 'multicast';
  readonly pathIds: PathIds;
  readonly entries: readonly RibEntry[];
}

const PEER_INDEX_TABLE = 1;
const RIB_GENERIC = 6;
const RIB_GENERIC_ADDPATH = 12;

interface RibForm {
  readonly afi: number;
  readonly cast: Rib['cast'];
  readonly pathIds: PathIds;
}

/** The subtypes that name their family, RFC 6396 §4.3 and RFC 8050 §4. */
const RIB_FORMS: ReadonlyMap<number, RibForm> = new Map<number, RibForm>([
  [2, { afi: AFI_IPV4, cast: 'unicast', pathIds: 'none' }],
  [3, { afi: AFI_IPV4, cast: 'multicast', pathIds: 'none' }],
  [4, { afi: AFI_IPV6, cast: 'unicast', pathIds: 'none' }],
  [5, { afi: AFI_IPV6, cast: 'multicast', pathIds: 'none' }],
  [8, { afi: AFI_IPV4, cast: 'unicast', pathIds: 'present' }],
  [9, { afi: AFI_IPV4, cast: 'multicast', pathIds: 'present' }],
  [10, { afi: AFI_IPV6, cast: 'unicast', pathIds: 'present' }],
  [11, { afi: AFI_IPV6, cast: 'multicast', pathIds: 'present' }],
]);

/** Bits of a peer's type: the address is an IPv6 one, the AS number has four bytes. */
const PEER_IPV6 = 1;
const PEER_AS4 = 2;

const MAX_16 = 0xffff;

const RUNS_OVER = 'a field runs over the end of the record';

/** null for a subtype, or a family of RIB_GENERIC, that is not read here; a text says what is wrong. */
export function decodeTableDumpV2(
  subtype: number,
  message: Uint8Array,
): PeerIndexTable | Rib | string | null {
  if (subtype === PEER_INDEX_TABLE) return decodePeerIndexTable(message);
  if (subtype === RIB_GENERIC) return decodeRibGeneric(message, 'none');
  if (subtype === RIB_GENERIC_ADDPATH) return decodeGenericAddPath(message);
  const form = RIB_FORMS.get(subtype);
  if (form === undefined) return null;
  const cursor = new Cursor(message);
  return decodeRib(cursor, cursor.u32(), form, form.pathIds);
}

/**
 * Collector's BGP Identifier (4), view name length (2), view name, peer count (2); for each peer: type (1), BGP
 * Identifier (4), address (4 or 16), AS number (2 or 4).
 */
function decodePeerIndexTable(message: Uint8Array): PeerIndexTable | string {
  const cursor = new Cursor(message);
  const collector = cursor.u32();
  const viewName = new TextDecoder('utf-8', { ignoreBOM: true }).decode(cursor.bytes(cursor.u16()));
  const count = cursor.u16();
  const peers: MrtPeer[] = [];
  while (peers.length < count && !cursor.overrun) {
    const type = cursor.u8();
    const identifier = cursor.u32();
    const address = readAddress(cursor, (type & PEER_IPV6) === 0 ? AFI_IPV4 : AFI_IPV6);
    peers.push({ identifier, address, asn: (type & PEER_AS4) === 0 ? cursor.u16() : cursor.u32() });
  }
  return atEnd(cursor) ?? { kind: 'peer-index-table', collector, viewName, peers };
}

/** Sequence (4), AFI (2), SAFI (1), one NLRI, then as the others: §4.3.3. */
function decodeRibGeneric(message: Uint8Array, entryPathIds: PathIds): Rib | string | null {
  const cursor = new Cursor(message);
  const sequence = cursor.u32();
  const form = genericForm(cursor, 'none');
  return form === null ? null : decodeRib(cursor, sequence, form, entryPathIds);
}

function genericForm(cursor: Cursor, pathIds: PathIds): RibForm | null {
  const afi = cursor.u16();
  const safi = cursor.u8();
  if (cursor.overrun || (afi !== AFI_IPV4 && afi !== AFI_IPV6) || (safi !== 1 && safi !== 2)) return null;
  return { afi, cast: safi === 1 ? 'unicast' : 'multicast', pathIds };
}

/**
 * RFC 8050 §4.2 has the path identifier in the NLRI, before the prefix, and the entries without one; GoBGP and OpenBGPD
 * write it into each entry, as the other subtypes do. What the first does not fit is read as the second.
 */
function decodeGenericAddPath(message: Uint8Array): Rib | string | null {
  const cursor = new Cursor(message);
  const sequence = cursor.u32();
  const form = genericForm(cursor, 'present');
  if (form === null) return null;
  const pathId = cursor.u32();
  const asWritten = decodeRib(cursor, sequence, form, 'none');
  if (typeof asWritten !== 'string') {
    return { ...asWritten, entries: asWritten.entries.map((entry) => ({ ...entry, pathId })) };
  }
  const other = decodeRibGeneric(message, 'present');
  return other === null || typeof other === 'string' ? asWritten : { ...other, pathIds: 'present' };
}

/**
 * Prefix length (1), prefix; entry count (2); for each: peer index (2), originated time (4), with ADD-PATH a path
 * identifier (4), attribute length (2), attributes.
 */
function decodeRib(cursor: Cursor, sequence: number, form: RibForm, entryPathIds: PathIds): Rib | string {
  const { afi, cast, pathIds } = form;
  const prefix = readPrefix(cursor, afi);
  if (prefix === null) return `the prefix is longer than ${afi === AFI_IPV4 ? 32 : 128} bits`;
  const count = cursor.u16();
  const entries: RibEntry[] = [];
  while (entries.length < count && !cursor.overrun) {
    const peerIndex = cursor.u16();
    const originatedAt = cursor.u32() * 1000;
    const pathId = entryPathIds === 'present' ? cursor.u32() : 0;
    entries.push({ peerIndex, originatedAt, pathId, attributes: cursor.bytes(cursor.u16()) });
  }
  return atEnd(cursor) ?? { kind: 'rib', sequence, prefix, cast, pathIds, entries };
}

function readPrefix(cursor: Cursor, afi: number): PrefixKey | null {
  const len = cursor.u8();
  if (len > (afi === AFI_IPV4 ? 32 : 128)) return null;
  const bytes = cursor.bytes((len + 7) >> 3);
  if (afi === AFI_IPV6) {
    const address = new Uint8Array(IP6_LENGTH);
    address.set(bytes);
    return ipv6Key(readIp6(address, 0), len);
  }
  let addr = 0;
  for (const [i, byte] of bytes.entries()) addr |= byte << (24 - 8 * i);
  return prefixKey((addr & prefixMask(len)) >>> 0, len);
}

function atEnd(cursor: Cursor): string | null {
  if (cursor.overrun) return RUNS_OVER;
  return cursor.left === 0 ? null : `${cursor.left} bytes are left over at the end of the record`;
}

/**
 * A whole record, with AS numbers of four bytes. `timestamp` in ms.
 * @throws RangeError for more than 65535 peers, or as many bytes of view name.
 */
export function encodePeerIndexTable(timestamp: number, table: Omit<PeerIndexTable, 'kind'>): Uint8Array {
  const { collector, peers } = table;
  const viewName = new TextEncoder().encode(table.viewName);
  if (viewName.length > MAX_16) throw new RangeError(`a view name of ${viewName.length} bytes`);
  if (peers.length > MAX_16) throw new RangeError(`${peers.length} peers in one table`);
  const size = peers.reduce((sum, { address }) => sum + 9 + addressSize(address), 0);
  const message = new Uint8Array(8 + viewName.length + size);
  setU32(message, 0, collector);
  setU16(message, 4, viewName.length);
  message.set(viewName, 6);
  let at = 6 + viewName.length;
  setU16(message, at, peers.length);
  at += 2;
  for (const { identifier, address, asn } of peers) {
    message[at] = PEER_AS4 | (typeof address === 'number' ? 0 : PEER_IPV6);
    setU32(message, at + 1, identifier);
    at = writeAddress(message, at + 5, address);
    setU32(message, at, asn);
    at += 4;
  }
  return encodeRecord(timestamp, MrtType.tableDumpV2, PEER_INDEX_TABLE, message);
}

/**
 * A whole record of the subtype that the prefix, `cast` and `pathIds` call for. `timestamp` in ms.
 * @throws RangeError for more than 65535 entries, or as many bytes of attributes in one.
 */
export function encodeRib(timestamp: number, rib: Omit<Rib, 'kind'>): Uint8Array {
  const { prefix, cast, pathIds, entries } = rib;
  if (entries.length > MAX_16) throw new RangeError(`${entries.length} entries for one prefix`);
  const fixed = pathIds === 'present' ? 12 : 8;
  let size = 6 + nlriSize(prefix);
  for (const { attributes } of entries) {
    if (attributes.length > MAX_16) throw new RangeError(`${attributes.length} bytes of attributes`);
    size += fixed + attributes.length;
  }
  const message = new Uint8Array(size);
  setU32(message, 0, rib.sequence);
  let at = writeNlri(message, 4, prefix);
  setU16(message, at, entries.length);
  at += 2;
  for (const { peerIndex, originatedAt, pathId, attributes } of entries) {
    setU16(message, at, peerIndex);
    setU32(message, at + 2, epochSeconds(originatedAt));
    if (pathIds === 'present') setU32(message, at + 6, pathId);
    setU16(message, at + fixed - 2, attributes.length);
    message.set(attributes, at + fixed);
    at += fixed + attributes.length;
  }
  const base = (typeof prefix === 'number' ? 2 : 4) + (cast === 'unicast' ? 0 : 1);
  const subtype = pathIds === 'present' ? base + 6 : base;
  return encodeRecord(timestamp, MrtType.tableDumpV2, subtype, message);
}
