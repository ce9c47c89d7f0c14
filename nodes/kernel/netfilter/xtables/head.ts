import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ipDst, ipFragmentOffset, ipSrc } from '../../../../protocols/ipv4.ts';
import type { Device } from '../../device.ts';
import type { MatchFunction } from './extension.ts';
import type { Network } from './values.ts';

/** `-i eth+`; the empty name is any. */
export interface InterfaceSpec {
  readonly name: string;
  readonly negated: boolean;
}

export interface AddressSpec extends Network {
  readonly negated: boolean;
}

/** What a rule says of a packet before its matches (`struct ipt_ip`). */
export interface HeadSpec {
  readonly src: AddressSpec | null;
  readonly dst: AddressSpec | null;
  readonly in: InterfaceSpec | null;
  readonly out: InterfaceSpec | null;
  /** 0 for any. */
  readonly proto: number;
  readonly protoNegated: boolean;
  /** `-f`: second and later fragments alone, or with `!` all but them. */
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
  const { src, dst, fragment } = head;
  if (src?.negated === true)
    conditions.push(({ frame }) => ((ipSrc(frame, ETH_HLEN) ^ src.addr) & src.mask) !== 0);
  if (dst?.negated === true)
    conditions.push(({ frame }) => ((ipDst(frame, ETH_HLEN) ^ dst.addr) & dst.mask) !== 0);
  if (head.protoNegated) {
    const { proto } = head;
    conditions.push(({ frame }) => frame[ETH_HLEN + 9] !== proto);
  }
  if (fragment !== 'any')
    conditions.push(({ frame }) => ipFragmentOffset(frame, ETH_HLEN) > 0 === (fragment === 'later'));
  return all(conditions);
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
