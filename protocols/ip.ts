import { formatIp4, parseIp4 } from './ip4.ts';
import { formatIp6, type Ip6, parseIp6 } from './ip6.ts';

/** An address of either family: IPv4 a 32-bit number, IPv6 16 characters as in ip6.ts. */
export type IpAddress = number | Ip6;

export function formatIp(address: IpAddress): string {
  return typeof address === 'number' ? formatIp4(address) : formatIp6(address);
}

/** Null if it is an address of neither family. */
export function parseIp(text: string): IpAddress | null {
  return parseIp4(text) ?? parseIp6(text);
}
