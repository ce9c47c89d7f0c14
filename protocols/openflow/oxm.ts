import { u16, u32 } from '../bytes.ts';
import { BAD_MATCH, ERROR, OpenFlowError } from './constants.ts';
import type { OfWriter } from './writer.ts';

/** OpenFlow basic match fields (§7.2.3.7): number, bits, whether a mask may come with it, and the words that it has in a packet's key. */
export const FIELDS = {
  in_port: { id: 0, bits: 32, maskable: false, word: 0 },
  metadata: { id: 2, bits: 64, maskable: true, word: 1 },
  eth_dst: { id: 3, bits: 48, maskable: true, word: 3 },
  eth_src: { id: 4, bits: 48, maskable: true, word: 5 },
  eth_type: { id: 5, bits: 16, maskable: false, word: 7 },
  vlan_vid: { id: 6, bits: 13, maskable: true, word: 8 },
  vlan_pcp: { id: 7, bits: 3, maskable: false, word: 9 },
  ip_dscp: { id: 8, bits: 6, maskable: false, word: 10 },
  ip_ecn: { id: 9, bits: 2, maskable: false, word: 11 },
  ip_proto: { id: 10, bits: 8, maskable: false, word: 12 },
  ipv4_src: { id: 11, bits: 32, maskable: true, word: 13 },
  ipv4_dst: { id: 12, bits: 32, maskable: true, word: 14 },
  tcp_src: { id: 13, bits: 16, maskable: false, word: 15 },
  tcp_dst: { id: 14, bits: 16, maskable: false, word: 16 },
  udp_src: { id: 15, bits: 16, maskable: false, word: 15 },
  udp_dst: { id: 16, bits: 16, maskable: false, word: 16 },
  icmpv4_type: { id: 19, bits: 8, maskable: false, word: 17 },
  icmpv4_code: { id: 20, bits: 8, maskable: false, word: 18 },
  arp_op: { id: 21, bits: 16, maskable: false, word: 19 },
  arp_spa: { id: 22, bits: 32, maskable: true, word: 20 },
  arp_tpa: { id: 23, bits: 32, maskable: true, word: 21 },
  arp_sha: { id: 24, bits: 48, maskable: true, word: 22 },
  arp_tha: { id: 25, bits: 48, maskable: true, word: 24 },
  ipv6_src: { id: 26, bits: 128, maskable: true, word: 26 },
  ipv6_dst: { id: 27, bits: 128, maskable: true, word: 30 },
  tunnel_id: { id: 38, bits: 64, maskable: true, word: 34 },
} as const satisfies Record<string, FieldFacts>;

/** 32-bit words of a packet's key. */
export const KEY_WORDS = 36;

interface FieldFacts {
  readonly id: number;
  readonly bits: number;
  readonly maskable: boolean;
  readonly word: number;
}

export type FieldName = keyof typeof FIELDS;

/** A field's value, and which of its bits count; a null mask is all of them. */
export interface Oxm {
  readonly field: FieldName;
  readonly value: bigint;
  readonly mask: bigint | null;
}

/** In the order of their numbers, each once: an empty one takes every packet. */
export type Match = readonly Oxm[];

const BASIC = 0x8000;
const byId = new Map<number, FieldName>(
  (Object.keys(FIELDS) as FieldName[]).map((name) => [FIELDS[name].id, name]),
);

export function fieldBytes(field: FieldName): number {
  return (FIELDS[field].bits + 7) >> 3;
}

export function fieldOnes(field: FieldName): bigint {
  return (1n << BigInt(FIELDS[field].bits)) - 1n;
}

const bad = (message: string, code: number) => new OpenFlowError(message, ERROR.BAD_MATCH, code);

/** Puts fields in the order of their numbers and clears what a mask hides. @throws OpenFlowError */
export function normalMatch(fields: readonly Oxm[]): Match {
  const sorted = [...fields].sort((a, b) => FIELDS[a.field].id - FIELDS[b.field].id);
  return sorted.flatMap(({ field, value, mask }, i) => {
    if (sorted[i - 1]?.field === field) throw bad(`${field} is there twice`, BAD_MATCH.DUP_FIELD);
    const ones = fieldOnes(field);
    if (value > ones) throw bad(`${field} has ${FIELDS[field].bits} bits`, BAD_MATCH.BAD_VALUE);
    if (mask === null || mask === ones) return { field, value, mask: null };
    if (!FIELDS[field].maskable) throw bad(`${field} takes no mask`, BAD_MATCH.BAD_MASK);
    return mask === 0n ? [] : { field, value: value & mask, mask };
  });
}

export function sameMatch(a: Match, b: Match): boolean {
  return (
    a.length === b.length &&
    a.every(({ field, value, mask }, i) => {
      const other = b[i];
      return other?.field === field && other.value === value && other.mask === mask;
    })
  );
}

/** Whether every packet that `inner` takes is one that `outer` takes. */
export function matchCovers(outer: Match, inner: Match): boolean {
  return outer.every(({ field, value, mask }) => {
    const other = inner.find((oxm) => oxm.field === field);
    if (other === undefined) return false;
    const ones = fieldOnes(field);
    const wide = mask ?? ones;
    const narrow = other.mask ?? ones;
    return (wide & narrow) === wide && (other.value & wide) === value;
  });
}

/** Whether a packet can be in both (§6.4 `OFPFF_CHECK_OVERLAP`). */
export function matchesOverlap(a: Match, b: Match): boolean {
  return a.every(({ field, value, mask }) => {
    const other = b.find((oxm) => oxm.field === field);
    if (other === undefined) return true;
    const ones = fieldOnes(field);
    const both = (mask ?? ones) & (other.mask ?? ones);
    return (value & both) === (other.value & both);
  });
}

/** Class, field, has-mask and length as one number, as the features of tables have them. */
export function oxmHeader(field: FieldName, how: 'exact' | 'masked'): number {
  const bytes = fieldBytes(field);
  const masked = how === 'masked' ? 1 : 0;
  return ((BASIC << 16) | (FIELDS[field].id << 9) | (masked << 8) | (bytes << masked)) >>> 0;
}

/** class (2), field (7 bits) and has-mask (1), length (1), value, mask. */
export function writeOxm(out: OfWriter, { field, value, mask }: Oxm): void {
  const bytes = fieldBytes(field);
  out.u16(BASIC);
  out.u8((FIELDS[field].id << 1) | (mask === null ? 0 : 1));
  out.u8(mask === null ? bytes : 2 * bytes);
  out.big(value, bytes);
  if (mask !== null) out.big(mask, bytes);
}

/** One field at `off`, which does not pass `end`. @throws OpenFlowError */
export function readOxm(
  buf: Uint8Array,
  off: number,
  end: number,
): { readonly oxm: Oxm; readonly next: number } {
  if (end - off < 4) throw bad('a match field is cut short', BAD_MATCH.BAD_LEN);
  const length = buf[off + 3]!;
  const next = off + 4 + length;
  if (next > end) throw bad('a match field is longer than its match', BAD_MATCH.BAD_LEN);
  const id = buf[off + 2]! >> 1;
  const field = u16(buf, off) === BASIC ? byId.get(id) : undefined;
  if (field === undefined)
    throw bad(`no match field ${id} of class 0x${u16(buf, off).toString(16)}`, BAD_MATCH.BAD_FIELD);
  const masked = (buf[off + 2]! & 1) === 1;
  const bytes = fieldBytes(field);
  if (length !== (masked ? 2 * bytes : bytes)) throw bad(`${field} is of ${length} bytes`, BAD_MATCH.BAD_LEN);
  const value = readBig(buf, off + 4, bytes);
  const mask = masked ? readBig(buf, off + 4 + bytes, bytes) : null;
  return { oxm: { field, value, mask }, next };
}

/** `ofp_match`: type OFPMT_OXM (2), length without padding (2), fields, padding to 8 bytes. */
export function writeMatch(out: OfWriter, match: Match): void {
  const start = out.length;
  out.u16(1);
  out.u16(0);
  for (const oxm of match) writeOxm(out, oxm);
  out.setU16(start + 2, out.length - start);
  out.align(start);
}

/** @throws OpenFlowError */
export function readMatch(
  buf: Uint8Array,
  off: number,
  end: number,
): { readonly match: Match; readonly next: number } {
  if (end - off < 8) throw bad('the match is cut short', BAD_MATCH.BAD_LEN);
  if (u16(buf, off) !== 1) throw bad('the match is not of OXM fields', BAD_MATCH.BAD_TYPE);
  const length = u16(buf, off + 2);
  const next = off + ((length + 7) & ~7);
  if (length < 4 || next > end) throw bad('the match is longer than its message', BAD_MATCH.BAD_LEN);
  const fields: Oxm[] = [];
  for (let at = off + 4; at < off + length; ) {
    const read = readOxm(buf, at, off + length);
    fields.push(read.oxm);
    at = read.next;
  }
  return { match: normalMatch(fields), next };
}

export function readBig(buf: Uint8Array, off: number, bytes: number): bigint {
  let value = 0n;
  let i = 0;
  for (; i + 4 <= bytes; i += 4) value = (value << 32n) | BigInt(u32(buf, off + i));
  for (; i < bytes; i++) value = (value << 8n) | BigInt(buf[off + i]!);
  return value;
}
