import type { Prefix } from '../../../protocols/ip4.ts';
import { addToIp6, type Ip6, type Prefix6 } from '../../../protocols/ip6.ts';

/** IPv6 of a flannel that has both families (`EnableIPv6`). */
export interface FlannelIpv6 {
  readonly network: Prefix6;
  readonly subnetLen: number;
  /** The node's own address that peers send to. */
  readonly publicIP: Ip6;
}

/**
 * The IPv6 subnet that goes with an IPv4 subnet: of the same number in its network, so that one lease, which is had by compare and
 * swap of the IPv4 subnet's row, is enough to have both.
 */
export function subnet6Of(
  network: Prefix,
  subnet: Prefix,
  { network: network6, subnetLen }: FlannelIpv6,
): Prefix6 {
  const number = (subnet.addr - network.addr) / 2 ** (32 - subnet.len);
  const bytes = [...network6.addr].map((char) => char.charCodeAt(0));
  // The number's lowest bit is the last of the prefix.
  for (let bit = 0; bit < 32; bit++) {
    if (Math.floor(number / 2 ** bit) % 2 === 0) continue;
    const at = subnetLen - 1 - bit;
    bytes[at >> 3]! |= 0x80 >> (at & 7);
  }
  return { addr: String.fromCharCode(...bytes), len: subnetLen };
}

/** The address of a pod beside its IPv4 address: the same number in the subnet. */
export function address6Of(subnet: Prefix, address: number, subnet6: Prefix6): Ip6 {
  return addToIp6(subnet6.addr, address - subnet.addr);
}
