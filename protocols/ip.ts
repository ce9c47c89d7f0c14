import { formatIp4, parseAddress, parseIp4, parsePrefix, prefixContains } from './ip4.ts';
import {
  ANY_IP6,
  addToIp6,
  formatIp6,
  IP6_LENGTH,
  type Ip6,
  parseAddress6,
  parseIp6,
  parsePrefix6,
  prefixContains6,
} from './ip6.ts';

/** An address of either family: IPv4 a 32-bit number, IPv6 16 characters as in ip6.ts. */
export type IpAddress = number | Ip6;

export function formatIp(address: IpAddress): string {
  return typeof address === 'number' ? formatIp4(address) : formatIp6(address);
}

/** Null if it is an address of neither family. */
export function parseIp(text: string): IpAddress | null {
  return parseIp4(text) ?? parseIp6(text);
}

/** A prefix of either family. */
export interface IpPrefix<A extends IpAddress = IpAddress> {
  readonly addr: A;
  readonly len: number;
}

export type IpFamily = 'inet' | 'inet6';

export function familyOf(address: IpAddress): IpFamily {
  return typeof address === 'number' ? 'inet' : 'inet6';
}

/** Bits of an address. */
export function bitsOf(address: IpAddress): 32 | 128 {
  return typeof address === 'number' ? 32 : 128;
}

/** The address so many after another. */
export function addToIp<A extends IpAddress>(address: A, count: number): A;
export function addToIp(address: IpAddress, count: number): IpAddress {
  return typeof address === 'number' ? address + count : addToIp6(address, count);
}

/** The bits of an address that a mask of its family has. */
export function maskIp(address: IpAddress, mask: IpAddress): IpAddress {
  if (typeof address === 'number') return typeof mask === 'number' ? (address & mask) >>> 0 : 0;
  if (typeof mask === 'number') return ANY_IP6;
  let masked = '';
  for (let i = 0; i < IP6_LENGTH; i++)
    masked += String.fromCharCode(address.charCodeAt(i) & mask.charCodeAt(i));
  return masked;
}

/** The bits of one address that a mask has, with those of another that it has not. */
export function joinIp(net: IpAddress, host: IpAddress, mask: IpAddress): IpAddress {
  if (typeof net === 'number') return ((net & Number(mask)) | (Number(host) & ~Number(mask))) >>> 0;
  const bits = String(mask);
  let joined = '';
  for (let i = 0; i < IP6_LENGTH; i++) {
    const byte = bits.charCodeAt(i);
    joined += String.fromCharCode((net.charCodeAt(i) & byte) | (String(host).charCodeAt(i) & ~byte & 0xff));
  }
  return joined;
}

/** Order of addresses by number, those of IPv4 first. */
export function compareIp(a: IpAddress, b: IpAddress): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** An address with a prefix length, its host bits kept; alone it is a host. Null if it is neither. */
export function parseIpAddress(text: string): IpPrefix | null {
  return parseAddress(text) ?? parseAddress6(text);
}

/** Like `parseIpAddress`, with the host bits cleared. */
export function parseIpPrefix(text: string): IpPrefix | null {
  return parsePrefix(text) ?? parsePrefix6(text);
}

export function formatIpPrefix({ addr, len }: IpPrefix): string {
  return `${formatIp(addr)}/${len}`;
}

/** Whether an address of the same family is within a prefix. */
export function ipPrefixContains({ addr, len }: IpPrefix, other: IpAddress): boolean {
  if (typeof addr === 'number') return typeof other === 'number' && prefixContains({ addr, len }, other);
  return typeof other === 'string' && prefixContains6({ addr, len }, other);
}
