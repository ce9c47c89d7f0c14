import { formatIp4, parseAddress, parseIp4, parsePrefix, prefixContains } from './ip4.ts';
import { formatIp6, type Ip6, parseAddress6, parseIp6, parsePrefix6, prefixContains6 } from './ip6.ts';

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
