import { formatIp4, parseIp4 } from '../ip4.ts';
import { formatIp6, type Ip6, parseIp6 } from '../ip6.ts';
import type { DnsName } from './name.ts';

/** An address of either family, as names are resolved to it. */
export type HostAddress =
  | { readonly family: 4; readonly addr: number }
  | { readonly family: 6; readonly addr: Ip6 };

export function parseHostAddress(text: string): HostAddress | null {
  const four = parseIp4(text);
  if (four !== null) return { family: 4, addr: four };
  const six = parseIp6(text);
  return six === null ? null : { family: 6, addr: six };
}

export function formatHostAddress(address: HostAddress): string {
  return address.family === 4 ? formatIp4(address.addr) : formatIp6(address.addr);
}

/** Name that an address's PTR record stands at: in `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5). */
export function reverseName(address: HostAddress): DnsName {
  if (address.family === 4) return `${formatIp4(address.addr).split('.').reverse().join('.')}.in-addr.arpa`;
  const nibbles = [...address.addr].flatMap((char) => {
    const byte = char.charCodeAt(0);
    return [(byte >>> 4).toString(16), (byte & 0xf).toString(16)];
  });
  return `${nibbles.reverse().join('.')}.ip6.arpa`;
}

/** The address that a name below `in-addr.arpa` or `ip6.arpa` stands for; null if it stands for none. */
export function addressOfReverse(name: DnsName): HostAddress | null {
  const key = name.toLowerCase().replace(/\.$/, '');
  const four = /^(\d{1,3}(?:\.\d{1,3}){3})\.in-addr\.arpa$/.exec(key)?.[1];
  if (four !== undefined) return parseHostAddress(four.split('.').reverse().join('.'));
  const six = /^([0-9a-f](?:\.[0-9a-f]){31})\.ip6\.arpa$/.exec(key)?.[1];
  if (six === undefined) return null;
  const groups = six.split('.').reverse().join('').match(/.{4}/g) ?? [];
  return parseHostAddress(groups.join(':'));
}
