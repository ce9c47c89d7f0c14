import { setU32 } from '../bytes.ts';
import { formatIp4, parseIp4 } from '../ip4.ts';
import { formatIp6, IP6_LENGTH, type Ip6, parseIp6, readIp6, writeIp6 } from '../ip6.ts';
import type { Cursor } from './cursor.ts';

/** An address of either family: IPv4 a 32-bit number, IPv6 16 characters as in ip6.ts. */
export type MrtAddress = number | Ip6;

/** A peer of the collector, RFC 6396 §4.3.1. */
export interface MrtPeer {
  /** BGP Identifier as a 32-bit number; 0 where the dump does not tell. */
  readonly identifier: number;
  readonly address: MrtAddress;
  readonly asn: number;
}

/** Address families as MRT numbers them, those of RFC 4760. */
export const AFI_IPV4 = 1;
export const AFI_IPV6 = 2;

export function formatMrtAddress(address: MrtAddress): string {
  return typeof address === 'number' ? formatIp4(address) : formatIp6(address);
}

/** null if it is an address of neither family. */
export function parseMrtAddress(text: string): MrtAddress | null {
  return parseIp4(text) ?? parseIp6(text);
}

/** `127.0.0.1 AS65001` */
export function formatPeer({ address, asn }: MrtPeer): string {
  return `${formatMrtAddress(address)} AS${asn}`;
}

export function afiOf(address: MrtAddress): number {
  return typeof address === 'number' ? AFI_IPV4 : AFI_IPV6;
}

export function readAddress(cursor: Cursor, afi: number): MrtAddress {
  return afi === AFI_IPV4 ? cursor.u32() : readIp6(cursor.bytes(IP6_LENGTH), 0);
}

export function addressSize(address: MrtAddress): number {
  return typeof address === 'number' ? 4 : IP6_LENGTH;
}

/** Returns the offset after it. */
export function writeAddress(buf: Uint8Array, off: number, address: MrtAddress): number {
  if (typeof address === 'number') setU32(buf, off, address);
  else writeIp6(buf, off, address);
  return off + addressSize(address);
}
