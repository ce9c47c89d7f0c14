import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../../protocols/ip.ts';
import { ipFragmentOffset } from '../../../../protocols/ipv4.ts';
import type { Device } from '../../device.ts';
import type { Skb } from '../skb.ts';
import type { MatchFunction } from './extension.ts';
import { destinationOf, protoOf, sourceOf } from './packet.ts';
import { type Network, networkMatch } from './values.ts';

/** `-i eth+`; the empty name is any. */
export interface InterfaceSpec {
  readonly name: string;
  readonly negated: boolean;
}

export interface AddressSpec extends Network {
  readonly negated: boolean;
}

/** What a rule says of a packet before its matches (`struct ipt_ip`, `struct ip6t_ip6`). */
export interface HeadSpec {
  readonly family: IpFamily;
  readonly src: AddressSpec | null;
  readonly dst: AddressSpec | null;
  readonly in: InterfaceSpec | null;
  readonly out: InterfaceSpec | null;
  /** 0 for any. */
  readonly proto: number;
  readonly protoNegated: boolean;
  /** `-f`: second and later fragments alone, or with `!` all but them. IPv4 only. */
  readonly fragment: 'any' | 'later' | 'not-later';
}

/** Whether a device fits a name, as `-i` has it. */
export function interfaceMatch({ name, negated }: InterfaceSpec): (device: Device | null) => boolean {
  if (name.endsWith('+')) {
    const prefix = name.slice(0, -1);
    return (device) => (device?.name ?? '').startsWith(prefix) !== negated;
  }
  return (device) => ((device?.name ?? '') === name) !== negated;
}

/**
 * What of the head is left to be asked once addresses and protocol, as far as they are not negated, have been found to fit; null
 * if nothing is.
 */
export function headRest(head: HeadSpec): MatchFunction | null {
  const conditions: MatchFunction[] = [];
  if (head.in !== null) {
    const fits = interfaceMatch(head.in);
    conditions.push((skb) => fits(skb.in));
  }
  if (head.out !== null) {
    const fits = interfaceMatch(head.out);
    conditions.push((skb) => fits(skb.out));
  }
  const { src, dst, proto, fragment } = head;
  if (src?.negated === true) {
    const contains = networkMatch(src);
    conditions.push((skb) => !contains(sourceOf(skb)));
  }
  if (dst?.negated === true) {
    const contains = networkMatch(dst);
    conditions.push((skb) => !contains(destinationOf(skb)));
  }
  if (head.family === 'inet6' && (proto !== 0 || head.protoNegated)) conditions.push(hasHeaders);
  if (head.protoNegated) conditions.push((skb) => protoOf(skb) !== proto);
  if (fragment !== 'any')
    conditions.push(({ frame }) => ipFragmentOffset(frame, ETH_HLEN) > 0 === (fragment === 'later'));
  return all(conditions);
}

/** A packet of IPv6 that ends in the middle of its extension headers has no protocol, and is dropped where it is asked for. */
function hasHeaders(skb: Skb): boolean {
  if (skb.upper !== null) return true;
  skb.hotdrop = true;
  return false;
}

/** One function for several conditions; null for none. */
export function all(conditions: readonly MatchFunction[]): MatchFunction | null {
  const [a, b, c] = conditions;
  if (a === undefined) return null;
  if (b === undefined) return a;
  if (c === undefined) return (skb) => a(skb) && b(skb);
  if (conditions.length === 3) return (skb) => a(skb) && b(skb) && c(skb);
  return (skb) => conditions.every((holds) => holds(skb));
}
