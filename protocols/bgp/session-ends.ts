import { compareIp, familyOf, formatIp } from '../ip.ts';
import { isLinkLocalAddress, parseScoped, type ScopedAddress } from '../scoped-address.ts';
import { BgpConfigError, type NeighborConfig } from './config.ts';
import type { Endpoint } from './host.ts';

/** The addresses of a session. @throws BgpConfigError if they are none, or not of one family and one link. */
export function endsOf({ name, address, localAddress }: NeighborConfig): {
  readonly remote: ScopedAddress;
  readonly local: ScopedAddress;
} {
  const fault = (text: string) => new BgpConfigError(`BGP neighbor ${name}: ${text}`);
  const parse = (text: string): ScopedAddress => {
    const parsed = parseScoped(text);
    if (parsed === null) throw fault(`${text} is neither an IPv4 nor an IPv6 address`);
    if (parsed.zone === '' && isLinkLocalAddress(parsed.addr))
      throw fault(`${text} is of a link: name the interface, ${text}%eth0`);
    return parsed;
  };
  const [remote, local] = [parse(address), parse(localAddress)];
  if (familyOf(remote.addr) !== familyOf(local.addr))
    throw fault(`${address} and ${localAddress} are of two families`);
  if (remote.zone !== '' && remote.zone !== local.zone)
    throw fault(`${address} can be reached from a link-local address of ${remote.zone} alone`);
  return { remote, local };
}

/** A text for a TCP connection that both ends give; of link-local addresses, which any number of links may have, with `identifiers`. */
export function connectionKey(
  ends: readonly [Endpoint, Endpoint],
  zone: string,
  identifiers: readonly [number, number],
): string {
  const text = [...ends]
    .sort((a, b) => compareIp(a.addr, b.addr) || a.port - b.port)
    .map(({ addr, port }) => `${typeof addr === 'number' ? addr.toString(16) : formatIp(addr)}:${port}`);
  if (zone === '') return text.join('-');
  const speakers = [...identifiers].sort((a, b) => a - b).map((each) => each.toString(16));
  return [...text, ...speakers].join('-');
}
