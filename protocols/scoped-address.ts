import { formatIp, type IpAddress, parseIp } from './ip.ts';
import { isLinkLocal } from './ip6.ts';

/** An address with its zone, `fe80::1%eth1` (RFC 4007 §11): the interface whose link a link-local address is of, '' for any other. */
export interface ScopedAddress {
  readonly addr: IpAddress;
  readonly zone: string;
}

/** Null if it is no address, or has a zone and is not link-local. */
export function parseScoped(text: string): ScopedAddress | null {
  const at = text.indexOf('%');
  const addr = parseIp(at < 0 ? text : text.slice(0, at));
  if (addr === null) return null;
  if (at < 0) return { addr, zone: '' };
  const zone = text.slice(at + 1);
  return zone !== '' && isLinkLocalAddress(addr) ? { addr, zone } : null;
}

export function formatScoped({ addr, zone }: ScopedAddress): string {
  return zone === '' ? formatIp(addr) : `${formatIp(addr)}%${zone}`;
}

export function isLinkLocalAddress(addr: IpAddress): boolean {
  return typeof addr === 'string' && isLinkLocal(addr);
}
