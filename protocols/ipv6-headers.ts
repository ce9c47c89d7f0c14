import { u16 } from './bytes.ts';
import { ETH_HLEN } from './ethernet.ts';
import { FRAGMENT_HLEN, IPV6_HLEN, ip6NextHeader } from './ipv6.ts';

/** Extension headers by their numbers (RFC 8200 §4, RFC 4302). */
export const NEXT_HOP_BY_HOP = 0;
export const NEXT_ROUTING = 43;
export const NEXT_FRAGMENT = 44;
export const NEXT_AH = 51;
export const NEXT_NONE = 59;
export const NEXT_DEST_OPTIONS = 60;

/** Whether a number is that of an extension header, 'no next header' among them (`ipv6_ext_hdr`). */
export function isExtensionHeader(proto: number): boolean {
  return (
    proto === NEXT_HOP_BY_HOP ||
    proto === NEXT_ROUTING ||
    proto === NEXT_FRAGMENT ||
    proto === NEXT_AH ||
    proto === NEXT_NONE ||
    proto === NEXT_DEST_OPTIONS
  );
}

/** Bytes of the extension header at `at` that has at least two. */
export function extensionLength(buf: Uint8Array, at: number, proto: number): number {
  if (proto === NEXT_FRAGMENT) return FRAGMENT_HLEN;
  return proto === NEXT_AH ? (buf[at + 1]! + 2) * 4 : (buf[at + 1]! + 1) * 8;
}

/** What the extension headers of a packet lead to. */
export interface LastHeader {
  readonly proto: number;
  /** Where it begins, from the buffer's start. */
  readonly offset: number;
  /** Of a fragment that is not the first, where in the whole it stands, bytes: there is no header at `offset` then. Else 0. */
  readonly fragment: number;
}

/** What nearly every packet of a frame leads to, made once for all: it has no extension headers. */
const FIRST_HEADER = ETH_HLEN + IPV6_HLEN;
const PLAIN: readonly LastHeader[] = Array.from({ length: 256 }, (_, proto) => ({
  proto,
  offset: FIRST_HEADER,
  fragment: 0,
}));

/**
 * Goes past the extension headers of the packet at `off` that ends at `end`, without a look at what they say, as those on the way
 * do (`ipv6_find_hdr` for no header in particular). Null: they end in the middle of one.
 */
export function lastHeader(buf: Uint8Array, off: number, end: number): LastHeader | null {
  let proto = ip6NextHeader(buf, off);
  let at = off + IPV6_HLEN;
  if (at === FIRST_HEADER && !isExtensionHeader(proto)) return PLAIN[proto]!;
  while (isExtensionHeader(proto) && proto !== NEXT_NONE) {
    if (at + 2 > end) return null;
    if (proto === NEXT_FRAGMENT) {
      if (at + 4 > end) return null;
      const fragment = u16(buf, at + 2) & 0xfff8;
      const next = buf[at]!;
      if (fragment !== 0)
        return isExtensionHeader(next) && next !== NEXT_NONE ? null : { proto: next, offset: at, fragment };
    }
    const length = extensionLength(buf, at, proto);
    proto = buf[at]!;
    at += length;
  }
  return { proto, offset: at, fragment: 0 };
}

/** Where a packet has a header of a number, an extension's or the last one's; -1 if nowhere (`ipv6_find_hdr`). */
export function findHeader(buf: Uint8Array, off: number, end: number, wanted: number): number {
  let proto = ip6NextHeader(buf, off);
  let at = off + IPV6_HLEN;
  while (proto !== wanted) {
    if (!isExtensionHeader(proto) || proto === NEXT_NONE || at + 2 > end) return -1;
    if (proto === NEXT_FRAGMENT && (at + 4 > end || (u16(buf, at + 2) & 0xfff8) !== 0)) return -1;
    const length = extensionLength(buf, at, proto);
    proto = buf[at]!;
    at += length;
  }
  return at;
}
