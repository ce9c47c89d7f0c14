import { setU16 } from './bytes.ts';
import { readIp6 } from './ip6.ts';
import {
  FRAGMENT_HLEN,
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  ip6NextHeader,
  ip6PayloadLength,
  readFragmentHeader,
  writeFragmentHeader,
} from './ipv6.ts';
import {
  extensionLength,
  findHeader,
  NEXT_DEST_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from './ipv6-headers.ts';
import type { FragmentFormat } from './reassembly.ts';

/** Where the part of a packet ends that each of its fragments has, and where the byte stands that names what follows. */
function unfragmentable(packet: Uint8Array): { readonly end: number; readonly namedAt: number } {
  let namedAt = 6;
  let end = IPV6_HLEN;
  let routed = false;
  for (let next = ip6NextHeader(packet, 0); end + 2 <= packet.length; next = packet[namedAt]!) {
    if (next !== NEXT_HOP_BY_HOP && next !== NEXT_ROUTING && (next !== NEXT_DEST_OPTIONS || routed)) break;
    if (next === NEXT_ROUTING) routed = true;
    namedAt = end;
    end += extensionLength(packet, end, next);
  }
  return { end: Math.min(end, packet.length), namedAt };
}

/**
 * Splits a packet to fit an MTU (RFC 8200 §4.5), behind the headers that routers look at (`ip6_find_1stfragopt`). One that was put
 * together from fragments is split in any case, as it came where its parts still fit: `sizes` are their bytes.
 */
export function fragmentIpv6(
  packet: Uint8Array,
  mtu: number,
  id: number,
  sizes: readonly number[] | null = null,
): Uint8Array[] {
  const { end: head, namedAt } = unfragmentable(packet);
  const chunk = (mtu - head - FRAGMENT_HLEN) & ~7;
  if ((sizes === null && packet.length <= mtu) || chunk <= 0) return [packet];
  const parts = sizes !== null && fits(sizes, packet.length - head, chunk) ? sizes : null;
  const nextHeader = packet[namedAt]!;
  const fragments: Uint8Array[] = [];
  for (let at = head; at < packet.length; ) {
    const end = Math.min(at + (parts?.[fragments.length] ?? chunk), packet.length);
    const fragment = new Uint8Array(head + FRAGMENT_HLEN + end - at);
    fragment.set(packet.subarray(0, head));
    setU16(fragment, 4, fragment.length - IPV6_HLEN);
    fragment[namedAt] = NEXT_FRAGMENT;
    writeFragmentHeader(fragment, head, { nextHeader, offset: at - head, more: end < packet.length, id });
    fragment.set(packet.subarray(at, end), head + FRAGMENT_HLEN);
    fragments.push(fragment);
    at = end;
  }
  return fragments;
}

function fits(sizes: readonly number[], total: number, most: number): boolean {
  let sum = 0;
  for (const size of sizes) {
    if (size > most) return false;
    sum += size;
  }
  return sum === total;
}

/** For a `Reassembler` of packets that have a fragment header. */
export const IPV6_FRAGMENTS: FragmentFormat = {
  parse: (packet) => {
    const end = IPV6_HLEN + ip6PayloadLength(packet, 0);
    const found = findHeader(packet, 0, end, NEXT_FRAGMENT);
    const at = found < 0 || found + FRAGMENT_HLEN > end ? end : found;
    const { offset, more, id } = readFragmentHeader(packet, at);
    return {
      key: `${readIp6(packet, IP6_SRC)}${readIp6(packet, IP6_DST)}${id}`,
      offset,
      more,
      headerLength: at,
      data: packet.subarray(at + FRAGMENT_HLEN, end),
    };
  },
  finish: (whole, first) => {
    const at = findHeader(first, 0, first.length, NEXT_FRAGMENT);
    if (at >= 0) whole[namedAtOf(first, at)] = first[at]!;
    setU16(whole, 4, whole.length - IPV6_HLEN);
  },
};

/** Where the byte stands that names the header at `at`. */
function namedAtOf(packet: Uint8Array, at: number): number {
  let namedAt = 6;
  for (let here = IPV6_HLEN; here < at; ) {
    const length = extensionLength(packet, here, packet[namedAt]!);
    namedAt = here;
    here += length;
  }
  return namedAt;
}
