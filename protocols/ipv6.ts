import { setU16, setU32, u16, u32 } from './bytes.ts';
import { ETH_HLEN } from './ethernet.ts';
import { type Ip6, isMulticast6, writeIp6 } from './ip6.ts';

/**
 * The IPv6 header, RFC 8200 §3: version, traffic class and flow label (4), payload length (2), next header (1), hop
 * limit (1), source (16), destination (16). The accessors take the buffer and the offset of the header, of bounds
 * checked by `validateIpv6`; addresses are read with `readIp6` at the offsets given here.
 */
export const IPV6_HLEN = 40;
export const IP6_SRC = 8;
export const IP6_DST = 24;
/** Every link carries packets of this size (RFC 8200 §5). */
export const IPV6_MIN_MTU = 1280;

export const PROTO_ICMPV6 = 58;

const NEXT_HOP_BY_HOP = 0;
const NEXT_ROUTING = 43;
const NEXT_FRAGMENT = 44;
const NEXT_AH = 51;
const NEXT_DEST_OPTIONS = 60;

export type Ipv6Validity = 'ok' | 'truncated' | 'bad-version';

/** Bytes past the payload length are padding. Jumbograms (RFC 2675) are not known: they read as of no payload. */
export function validateIpv6(buf: Uint8Array, off: number, len: number): Ipv6Validity {
  if (len < IPV6_HLEN) return 'truncated';
  if (buf[off]! >> 4 !== 6) return 'bad-version';
  return IPV6_HLEN + ip6PayloadLength(buf, off) > len ? 'truncated' : 'ok';
}

export function ip6TrafficClass(buf: Uint8Array, off: number): number {
  return (u16(buf, off) >> 4) & 0xff;
}

export function ip6FlowLabel(buf: Uint8Array, off: number): number {
  return u32(buf, off) & 0xfffff;
}

/** Bytes behind the header, extension headers included. */
export function ip6PayloadLength(buf: Uint8Array, off: number): number {
  return u16(buf, off + 4);
}

export function ip6NextHeader(buf: Uint8Array, off: number): number {
  return buf[off + 6]!;
}

export function ip6HopLimit(buf: Uint8Array, off: number): number {
  return buf[off + 7]!;
}

export interface Ipv6Header {
  readonly src: Ip6;
  readonly dst: Ip6;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly payloadLength: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
}

export function writeIpv6Header(buf: Uint8Array, off: number, header: Ipv6Header): void {
  const { trafficClass = 0, flowLabel = 0 } = header;
  setU32(buf, off, ((6 << 28) | (trafficClass << 20) | flowLabel) >>> 0);
  setU16(buf, off + 4, header.payloadLength);
  buf[off + 6] = header.nextHeader;
  buf[off + 7] = header.hopLimit;
  writeIp6(buf, off + IP6_SRC, header.src);
  writeIp6(buf, off + IP6_DST, header.dst);
}

/** What the chain of extension headers leads to. */
export type UpperLayer =
  | {
      readonly type: 'upper';
      readonly proto: number;
      /** Where it begins, from the buffer's start. */
      readonly offset: number;
      /** Where the byte stands that names it. */
      readonly namedAt: number;
    }
  | {
      readonly type: 'fragment';
      /** Where the fragment header begins, and where the byte stands that names it. */
      readonly offset: number;
      readonly namedAt: number;
    }
  | { readonly type: 'truncated' | 'discard' }
  /** To be answered with an ICMPv6 parameter problem; the pointer counts from the IPv6 header. */
  | { readonly type: 'problem'; readonly code: number; readonly pointer: number };

/**
 * Parameter problem: erroneous header field, unrecognized next header, unrecognized option (RFC 4443 §3.4), a first fragment
 * without all headers (RFC 7112 §5).
 */
export const PROBLEM_HEADER = 0;
export const PROBLEM_NEXT_HEADER = 1;
export const PROBLEM_OPTION = 2;
export const PROBLEM_INCOMPLETE = 3;

/** What nearly every packet of a frame leads to, made once for all: it has no extension headers. */
const FIRST_HEADER = ETH_HLEN + IPV6_HLEN;
const PLAIN: readonly UpperLayer[] = Array.from({ length: 256 }, (_, proto) => ({
  type: 'upper',
  proto,
  offset: FIRST_HEADER,
  namedAt: ETH_HLEN + 6,
}));

/**
 * Walks the extension headers of a valid packet (RFC 8200 §4) and acts on them as its destination: options by the two
 * highest bits of their type (§4.2), routing headers of no segments left passed over, others refused (§4.4, RFC 5095).
 * Stops at a fragment header. `end` is where the packet ends in the buffer.
 */
export function upperLayer(buf: Uint8Array, off: number, end: number): UpperLayer {
  let next = ip6NextHeader(buf, off);
  let namedAt = off + 6;
  let at = off + IPV6_HLEN;
  for (;;) {
    switch (next) {
      case NEXT_HOP_BY_HOP:
        // Only ever the first (RFC 8200 §4.1).
        if (namedAt !== off + 6)
          return { type: 'problem', code: PROBLEM_NEXT_HEADER, pointer: namedAt - off };
        break;
      case NEXT_FRAGMENT:
        return at + FRAGMENT_HLEN > end ? { type: 'truncated' } : { type: 'fragment', offset: at, namedAt };
      case NEXT_DEST_OPTIONS:
      case NEXT_ROUTING:
      case NEXT_AH:
        break;
      default:
        if (at === FIRST_HEADER && namedAt === off + 6) return PLAIN[next]!;
        return { type: 'upper', proto: next, offset: at, namedAt };
    }
    if (at + 8 > end) return { type: 'truncated' };
    const length = next === NEXT_AH ? (buf[at + 1]! + 2) * 4 : (buf[at + 1]! + 1) * 8;
    if (at + length > end) return { type: 'truncated' };
    if (next === NEXT_HOP_BY_HOP || next === NEXT_DEST_OPTIONS) {
      const refused = options(buf, off, at + 2, at + length, next === NEXT_HOP_BY_HOP);
      if (refused !== null) return refused;
    } else if (next === NEXT_ROUTING) {
      const type = buf[at + 2]!;
      // Source routes of RPL and of segment routing are for those who take part in them (`seg6_enabled`, `rpl_seg_enabled`).
      if (type === 3 || type === 4 || isMulticast6(buf, off + IP6_DST)) return { type: 'discard' };
      if (buf[at + 3] !== 0) return { type: 'problem', code: PROBLEM_HEADER, pointer: at + 2 - off };
    }
    next = buf[at]!;
    namedAt = at;
    at += length;
  }
}

const PAD1 = 0;
const PADN = 1;
const ROUTER_ALERT = 5;
const JUMBO_PAYLOAD = 0xc2;
const PADDING_MAX = 7;
/** `net.ipv6.max_hbh_opts_number` and `max_dst_opts_number` */
const OPTIONS_MAX = 8;

/**
 * Walks the options of a hop-by-hop or destination header (`ip6_parse_tlv`): null where there is nothing to object to. Padding of more
 * than 7 bytes, or that is not zero, and more than 8 options are refused.
 */
function options(
  buf: Uint8Array,
  off: number,
  start: number,
  end: number,
  hopByHop: boolean,
): UpperLayer | null {
  let padding = 0;
  let count = 0;
  let at = start;
  while (at < end) {
    const type = buf[at]!;
    if (type === PAD1) {
      if (++padding > PADDING_MAX) return { type: 'discard' };
      at++;
      continue;
    }
    const length = at + 2 > end ? end : 2 + buf[at + 1]!;
    if (at + length > end) return { type: 'discard' };
    if (type === PADN) {
      padding += length;
      for (let i = at + 2; i < at + length; i++) if (buf[i] !== 0) return { type: 'discard' };
      if (padding > PADDING_MAX) return { type: 'discard' };
    } else {
      if (++count > OPTIONS_MAX) return { type: 'discard' };
      const refused = option(buf, off, at, type, hopByHop);
      if (refused !== null) return refused;
      padding = 0;
    }
    at += length;
  }
  return null;
}

function option(
  buf: Uint8Array,
  off: number,
  at: number,
  type: number,
  hopByHop: boolean,
): UpperLayer | null {
  if (hopByHop && type === ROUTER_ALERT) return buf[at + 1] === 2 ? null : { type: 'discard' };
  if (hopByHop && type === JUMBO_PAYLOAD) {
    // A jumbogram is longer than any frame here.
    if (buf[at + 1] !== 4 || ((at - off) & 3) !== 2) return { type: 'discard' };
    if (u32(buf, at + 2) <= 0xffff) return { type: 'problem', code: PROBLEM_HEADER, pointer: at + 2 - off };
    if (ip6PayloadLength(buf, off) !== 0) return { type: 'problem', code: PROBLEM_HEADER, pointer: at - off };
    return { type: 'discard' };
  }
  const action = type >> 6;
  if (action === 0) return null;
  const answered = action === 2 || (action === 3 && !isMulticast6(buf, off + IP6_DST));
  return answered ? { type: 'problem', code: PROBLEM_OPTION, pointer: at - off } : { type: 'discard' };
}

/** What every router looks at on the way (RFC 8200 §4.3, `ipv6_parse_hopopts`): null where there is nothing to object to. */
export function hopByHopRefusal(buf: Uint8Array, off: number, end: number): UpperLayer | null {
  const at = off + IPV6_HLEN;
  if (ip6NextHeader(buf, off) !== NEXT_HOP_BY_HOP) return null;
  const next = at + 8 > end ? end + 1 : at + (buf[at + 1]! + 1) * 8;
  return next > end ? { type: 'truncated' } : options(buf, off, at + 2, next, true);
}

/** Fragment header, RFC 8200 §4.5: next header (1), reserved (1), offset in 8 bytes and M flag (2), identification (4). */
export const FRAGMENT_HLEN = 8;

export interface FragmentHeader {
  readonly nextHeader: number;
  /** Bytes, a multiple of 8. */
  readonly offset: number;
  readonly more: boolean;
  readonly id: number;
}

export function readFragmentHeader(buf: Uint8Array, at: number): FragmentHeader {
  const word = u16(buf, at + 2);
  return { nextHeader: buf[at]!, offset: word & 0xfff8, more: (word & 1) !== 0, id: u32(buf, at + 4) };
}

export function writeFragmentHeader(buf: Uint8Array, at: number, header: FragmentHeader): void {
  buf[at] = header.nextHeader;
  buf[at + 1] = 0;
  setU16(buf, at + 2, header.offset | Number(header.more));
  setU32(buf, at + 4, header.id);
}
