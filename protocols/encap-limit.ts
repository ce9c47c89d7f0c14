import { u16 } from './bytes.ts';
import { IPV6_HLEN, ip6NextHeader } from './ipv6.ts';
import {
  extensionLength,
  isExtensionHeader,
  NEXT_DEST_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_NONE,
} from './ipv6-headers.ts';

/**
 * The option that says how often a packet may be put into another one (RFC 2473 §4.1.1), in a header of its own: next header (1),
 * length (1, 0), type 4 (1), length 1 (1), the limit (1), and one PadN of three bytes.
 */
export const ENCAP_LIMIT_HLEN = 8;

const ENCAP_LIMIT = 4;
const PADN = 1;

export function writeEncapLimit(buf: Uint8Array, at: number, next: number, limit: number): void {
  buf.set([next, 0, ENCAP_LIMIT, 1, limit, PADN, 1, 0], at);
}

/**
 * Where the option stands in the packet of IPv6 at `off` that ends at `end`, from its header; 0 if nowhere
 * (`ip6_tnl_parse_tlv_enc_lim`). What it says is two bytes behind that.
 */
export function findEncapLimit(buf: Uint8Array, off: number, end: number): number {
  let proto = ip6NextHeader(buf, off);
  let at = off + IPV6_HLEN;
  while (isExtensionHeader(proto) && proto !== NEXT_NONE) {
    if (at + 2 > end) return 0;
    const length = extensionLength(buf, at, proto);
    if (at + length > end) return 0;
    if (proto === NEXT_FRAGMENT && u16(buf, at + 2) !== 0) return 0;
    if (proto === NEXT_DEST_OPTIONS) {
      let i = 2;
      while (i + 3 <= length) {
        const type = buf[at + i]!;
        if (type === ENCAP_LIMIT && buf[at + i + 1] === 1) return at + i - off;
        i += type === 0 ? 1 : buf[at + i + 1]! + 2;
      }
    }
    proto = buf[at]!;
    at += length;
  }
  return 0;
}
