import { ipv6Key, type PrefixKey } from '../bgp/nlri.ts';
import type { IpAddress } from '../ip.ts';
import { prefixKey, prefixMask } from '../ip4.ts';
import { Cursor } from './cursor.ts';
import { AFI_IPV4, AFI_IPV6, readAddress } from './peer.ts';

/** TABLE_DUMP, RFC 6396 §4.2: one peer's route to one prefix, as collectors wrote until TABLE_DUMP_V2. */
export interface TableDump {
  readonly kind: 'table-dump';
  readonly view: number;
  /** Counts from 0 and wraps at 65536. */
  readonly sequence: number;
  readonly prefix: PrefixKey;
  /** When it was heard, ms since the Unix epoch, whole seconds. */
  readonly originatedAt: number;
  readonly peerAddress: IpAddress;
  readonly peerAs: number;
  /** Path attributes as they are, with AS numbers of two bytes; `decodeRibAttributes` reads them. */
  readonly attributes: Uint8Array;
}

/**
 * View (2), sequence (2), prefix (4 or 16), its length (1), status (1), originated time (4), peer's address (4 or 16), its
 * AS (2), attribute length (2), attributes. The subtype is the address family. null for a subtype that is not read
 * here; a text says what is wrong.
 */
export function decodeTableDump(subtype: number, message: Uint8Array): TableDump | string | null {
  if (subtype !== AFI_IPV4 && subtype !== AFI_IPV6) return null;
  const cursor = new Cursor(message);
  const view = cursor.u16();
  const sequence = cursor.u16();
  const address = readAddress(cursor, subtype);
  const len = cursor.u8();
  // §4.2: the status has no meaning and is set to 1.
  cursor.u8();
  const originatedAt = cursor.u32() * 1000;
  const peerAddress = readAddress(cursor, subtype);
  const peerAs = cursor.u16();
  const attributes = cursor.bytes(cursor.u16());
  if (cursor.overrun) return 'a field runs over the end of the record';
  if (cursor.left > 0) return `${cursor.left} bytes are left over at the end of the record`;
  const longest = subtype === AFI_IPV4 ? 32 : 128;
  if (len > longest) return `the prefix is longer than ${longest} bits`;
  const prefix =
    typeof address === 'number' ? prefixKey((address & prefixMask(len)) >>> 0, len) : ipv6Key(address, len);
  return { kind: 'table-dump', view, sequence, prefix, originatedAt, peerAddress, peerAs, attributes };
}
