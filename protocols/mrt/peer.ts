import { setU32 } from '../bytes.ts';
import { formatIp, type IpAddress } from '../ip.ts';
import { IP6_LENGTH, readIp6, writeIp6 } from '../ip6.ts';
import type { Cursor } from './cursor.ts';

/** A peer of the collector, RFC 6396 §4.3.1. */
export interface MrtPeer {
  /** BGP Identifier as a 32-bit number; 0 where the dump does not tell. */
  readonly identifier: number;
  readonly address: IpAddress;
  readonly asn: number;
}

/** Address families as MRT numbers them, those of RFC 4760. */
export const AFI_IPV4 = 1;
export const AFI_IPV6 = 2;

/** `127.0.0.1 AS65001` */
export function formatPeer({ address, asn }: MrtPeer): string {
  return `${formatIp(address)} AS${asn}`;
}

export function afiOf(address: IpAddress): number {
  return typeof address === 'number' ? AFI_IPV4 : AFI_IPV6;
}

export function readAddress(cursor: Cursor, afi: number): IpAddress {
  return afi === AFI_IPV4 ? cursor.u32() : readIp6(cursor.bytes(IP6_LENGTH), 0);
}

export function addressSize(address: IpAddress): number {
  return typeof address === 'number' ? 4 : IP6_LENGTH;
}

/** Returns the offset after it. */
export function writeAddress(buf: Uint8Array, off: number, address: IpAddress): number {
  if (typeof address === 'number') setU32(buf, off, address);
  else writeIp6(buf, off, address);
  return off + addressSize(address);
}
