import { formatMac } from './mac.ts';

/**
 * Writer of the pcapng capture format (draft-ietf-opsawg-pcapng). A file is a row of blocks, here little-endian:
 * type (4), total length (4), body padded to 32 bits, total length again (4). Bodies end with options: code (2),
 * length (2), value padded to 32 bits; the list ends with code 0.
 */
const BLOCK_SECTION = 0x0a0d0d0a;
const BLOCK_INTERFACE = 1;
const BLOCK_STATISTICS = 5;
const BLOCK_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** LINKTYPE_ETHERNET and LINKTYPE_RAW (an IP packet without a link-layer header) of the tcpdump registry. */
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;

const OPT_END = 0;
const OPT_COMMENT = 1;
/** Timestamps count units of 10^-9 s. */
const NANOSECONDS = 9;
/** The longest text of an option; its length field has 16 bits. */
const MAX_TEXT = 0xfff0;

const utf8 = new TextEncoder();

interface Option {
  readonly code: number;
  readonly value: Uint8Array;
}

export interface SectionInfo {
  readonly hardware: string;
  readonly os: string;
  /** Name of the program that writes. */
  readonly application: string;
  /** '' for none. */
  readonly comment: string;
}

export interface InterfaceInfo {
  readonly linkType: number;
  /** Most bytes kept of a frame; 0 for all. */
  readonly snapLength: number;
  readonly name: string;
  readonly description: string;
  /** The interface's own MAC address; 0 for none. */
  readonly mac: number;
  /** Text of the filter, '' for none. */
  readonly filter: string;
}

/** Seen from the interface; 'none' where an interface stands for a whole wire. */
export type PacketDirection = 'in' | 'out' | 'none';

export interface PacketInfo {
  /** Number of the interface in the section, from 0. */
  readonly interfaceId: number;
  /** ms since the Unix epoch. */
  readonly at: number;
  readonly direction: PacketDirection;
  /** Bytes on the wire; `data` may hold fewer. */
  readonly length: number;
  readonly data: Uint8Array;
  /** '' for none. */
  readonly comment: string;
  /** Whether `data` begins with an Ethernet header, which tells broadcasts from unicasts. */
  readonly linkType: number;
}

export interface StatisticsInfo {
  readonly interfaceId: number;
  /** Time of the block, and when the capture began and ended, ms since the Unix epoch. */
  readonly at: number;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Frames seen, those among them that the filter took, those lost for want of room, those in the file. */
  readonly received: number;
  readonly accepted: number;
  readonly dropped: number;
  readonly delivered: number;
}

/** Section Header Block (§4.1): magic (4), version 1.0 (2, 2), section length unknown (8), options. */
export function sectionHeader(info: SectionInfo): Uint8Array {
  const options = [
    ...text(OPT_COMMENT, info.comment),
    ...text(2, info.hardware),
    ...text(3, info.os),
    ...text(4, info.application),
  ];
  const { bytes, view } = block(BLOCK_SECTION, 16, options);
  view.setUint32(8, BYTE_ORDER_MAGIC, true);
  view.setUint16(12, 1, true);
  view.setBigInt64(16, -1n, true);
  return bytes;
}

/** Interface Description Block (§4.2): link type (2), reserved (2), snap length (4), options. Times are in ns. */
export function interfaceDescription(info: InterfaceInfo): Uint8Array {
  const options = [
    ...text(2, info.name),
    ...text(3, info.description),
    ...(info.mac === 0 ? [] : [{ code: 6, value: macBytes(info.mac) }]),
    { code: 9, value: Uint8Array.of(NANOSECONDS) },
    // The first byte says what the filter is: 0, a text in libpcap's language.
    ...(info.filter === '' ? [] : [{ code: 11, value: Uint8Array.of(0, ...utf8.encode(info.filter)) }]),
  ];
  const { bytes, view } = block(BLOCK_INTERFACE, 8, options);
  view.setUint16(8, info.linkType, true);
  view.setUint32(12, info.snapLength, true);
  return bytes;
}

/**
 * Enhanced Packet Block (§4.3): interface (4), time high (4) and low (4), captured length (4), length on the wire (4),
 * the frame padded to 32 bits, options. The frame is copied.
 */
export function enhancedPacket(packet: PacketInfo): Uint8Array {
  const { data, direction } = packet;
  const flags = direction === 'none' ? [] : [{ code: 2, value: flagWord(packet) }];
  const { bytes, view } = block(BLOCK_PACKET, 20 + padded(data.length), [
    ...text(OPT_COMMENT, packet.comment),
    ...flags,
  ]);
  view.setUint32(8, packet.interfaceId, true);
  setTime(view, 12, packet.at);
  view.setUint32(20, data.length, true);
  view.setUint32(24, packet.length, true);
  bytes.set(data, 28);
  return bytes;
}

/** Interface Statistics Block (§4.6): interface (4), time high (4) and low (4), options. */
export function interfaceStatistics(info: StatisticsInfo): Uint8Array {
  const { bytes, view } = block(BLOCK_STATISTICS, 12, [
    { code: 2, value: time(info.startedAt) },
    { code: 3, value: time(info.endedAt) },
    { code: 4, value: count(info.received) },
    { code: 6, value: count(info.accepted) },
    { code: 7, value: count(info.dropped) },
    { code: 8, value: count(info.delivered) },
  ]);
  view.setUint32(8, info.interfaceId, true);
  setTime(view, 12, info.at);
  return bytes;
}

/** A block with its type, lengths and options in place; `fixed` is the length of the body before the options. */
function block(type: number, fixed: number, options: readonly Option[]) {
  let length = 12 + fixed;
  for (const option of options) length += 4 + padded(option.value.length);
  if (options.length > 0) length += 4;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  view.setUint32(length - 4, length, true);
  let at = 8 + fixed;
  for (const { code, value } of options) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  // The end of the options is code 0, length 0: what a fresh buffer holds.
  if (options.length > 0) view.setUint16(at, OPT_END, true);
  return { bytes, view };
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function text(code: number, value: string): Option[] {
  if (value === '') return [];
  const bytes = utf8.encode(value);
  let end = Math.min(bytes.length, MAX_TEXT);
  // Not within a character: bytes of the form 10xxxxxx go on one (RFC 3629 §3).
  while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--;
  return [{ code, value: bytes.subarray(0, end) }];
}

function macBytes(mac: number): Uint8Array {
  return Uint8Array.from(formatMac(mac).split(':'), (octet) => Number.parseInt(octet, 16));
}

/** epb_flags: direction in bits 0 and 1; how it was addressed in bits 2 to 4 (unicast 1, multicast 2, broadcast 3). */
function flagWord({ direction, data, linkType }: PacketInfo): Uint8Array {
  const word = new Uint8Array(4);
  word[0] = direction === 'in' ? 1 : 2;
  if (linkType === LINKTYPE_ETHERNET && data.length >= 6) {
    const broadcast = data.subarray(0, 6).every((octet) => octet === 0xff);
    word[0] |= (broadcast ? 3 : (data[0]! & 1) === 1 ? 2 : 1) << 2;
  }
  return word;
}

/** The longest time that 64 bits of ns hold, ms. */
const LAST_TIME = 2 ** 64 / 1e6;

/** A time that the format cannot hold is written as 0. */
function nanoseconds(ms: number): bigint {
  if (!(ms >= 0 && ms < LAST_TIME)) return 0n;
  const whole = Math.floor(ms);
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1e6));
}

/** High half first, each half in the section's byte order. */
function setTime(view: DataView, off: number, ms: number): void {
  const ns = nanoseconds(ms);
  view.setUint32(off, Number(ns >> 32n), true);
  view.setUint32(off + 4, Number(ns & 0xffff_ffffn), true);
}

function time(ms: number): Uint8Array {
  const value = new Uint8Array(8);
  setTime(new DataView(value.buffer), 0, ms);
  return value;
}

function count(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
