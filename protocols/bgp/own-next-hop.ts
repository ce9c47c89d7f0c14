import { parseIp4 } from '../ip4.ts';
import { type Ip6, isLinkLocal, mapIp4, parseIp6 } from '../ip6.ts';
import type { AttributeFields } from './attributes.ts';
import { BgpConfigError, type FamilyName } from './config.ts';
import type { Peer } from './path.ts';

/** The next hop of a route, of one family or the other. */
export type NextHopFields = Pick<AttributeFields, 'nextHop' | 'nextHop6'>;

/** Our next hop for a peer; null if there is none that it would understand. @throws BgpConfigError */
export function ownNextHop(peer: Peer, family: FamilyName): NextHopFields | null {
  const { localAddress, extendedNextHop, options, name } = peer;
  if (family === 'ipv6') return { nextHop: null, nextHop6: ownNextHop6(peer) };
  if (typeof localAddress === 'number') return { nextHop: localAddress, nextHop6: null };
  if (extendedNextHop === 'yes') return { nextHop: null, nextHop6: ownNextHop6(peer) };
  if (options.nextHop4 === undefined) return null;
  const nextHop = parseIp4(options.nextHop4);
  if (nextHop === null)
    throw new BgpConfigError(`BGP neighbor ${name}: ${options.nextHop4} is not an IPv4 address`);
  return { nextHop, nextHop6: null };
}

/** With our link-local address for a peer on the same link (RFC 2545 §3); twice that one where there is no other, as FRR has it. */
function ownNextHop6(peer: Peer): string {
  const global = ownGlobal(peer);
  const linkLocal = peer.link?.linkLocal ?? null;
  if (global === null) return typeof peer.localAddress === 'string' ? peer.localAddress.repeat(2) : '';
  // One in the mapped form is no address of the link.
  const near = typeof peer.localAddress === 'string' || peer.options.nextHop6 !== undefined;
  return near && linkLocal !== null ? `${global}${linkLocal}` : global;
}

/** null: the session has link-local addresses alone. @throws BgpConfigError */
function ownGlobal({ options, localAddress, name }: Peer): Ip6 | null {
  if (options.nextHop6 === undefined) {
    if (typeof localAddress === 'number') return mapIp4(localAddress);
    return isLinkLocal(localAddress) ? null : localAddress;
  }
  const address = parseIp6(options.nextHop6);
  if (address === null)
    throw new BgpConfigError(`BGP neighbor ${name}: ${options.nextHop6} is not an IPv6 address`);
  return address;
}
