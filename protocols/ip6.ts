import { u32 } from './bytes.ts';

/** IPv6 addresses as strings of 16 characters, one for each byte: values that compare, key a map and cost no table. */
export type Ip6 = string;

export const IP6_LENGTH = 16;

/** 16 bytes at an offset. */
export function readIp6(buf: Uint8Array, off: number): Ip6 {
  return String.fromCharCode(
    buf[off] ?? 0,
    buf[off + 1] ?? 0,
    buf[off + 2] ?? 0,
    buf[off + 3] ?? 0,
    buf[off + 4] ?? 0,
    buf[off + 5] ?? 0,
    buf[off + 6] ?? 0,
    buf[off + 7] ?? 0,
    buf[off + 8] ?? 0,
    buf[off + 9] ?? 0,
    buf[off + 10] ?? 0,
    buf[off + 11] ?? 0,
    buf[off + 12] ?? 0,
    buf[off + 13] ?? 0,
    buf[off + 14] ?? 0,
    buf[off + 15] ?? 0,
  );
}

export function writeIp6(buf: Uint8Array, off: number, address: Ip6): void {
  for (let i = 0; i < IP6_LENGTH; i++) buf[off + i] = address.charCodeAt(i);
}

/** The address with everything behind the prefix length zero. */
export function maskIp6(address: Ip6, len: number): Ip6 {
  let masked = '';
  for (let i = 0; i < IP6_LENGTH; i++) {
    const bits = Math.min(8, Math.max(0, len - 8 * i));
    masked += String.fromCharCode(address.charCodeAt(i) & (0xff00 >> bits) & 0xff);
  }
  return masked;
}

/** IPv4 address of an IPv4-mapped one, `::ffff:10.0.0.1` (RFC 4291 §2.5.5.2); null of any other. */
export function mappedIp4(address: Ip6): number | null {
  for (let i = 0; i < 12; i++) if (address.charCodeAt(i) !== (i < 10 ? 0 : 0xff)) return null;
  const [a, b, c, d] = [12, 13, 14, 15].map((i) => address.charCodeAt(i));
  return ((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0;
}

export function mapIp4(addr: number): Ip6 {
  const head = `${'\0'.repeat(10)}\xff\xff`;
  return head + String.fromCharCode(addr >>> 24, (addr >>> 16) & 0xff, (addr >>> 8) & 0xff, addr & 0xff);
}

/**
 * RFC 5952: lower case, no leading zeros, the longest run of zero groups as `::`. One that ends in an address of IPv4, mapped or
 * compatible (RFC 4291 §2.5.5), has that in its own way, as inet_ntop writes it.
 */
export function formatIp6(address: Ip6): string {
  if (mappedIp4(address) !== null) return `::ffff:${lastQuad(address)}`;
  const groups = Array.from(
    { length: 8 },
    (_, i) => (address.charCodeAt(2 * i) << 8) | address.charCodeAt(2 * i + 1),
  );
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
  }
  if (start === 0 && length === 6) return `::${lastQuad(address)}`;
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function lastQuad(address: Ip6): string {
  return [12, 13, 14, 15].map((i) => address.charCodeAt(i)).join('.');
}

/** RFC 4291 §2.2, dotted quads at the end included; null if it is no address. */
export function parseIp6(text: string): Ip6 | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return String.fromCharCode(...groups.flatMap((group) => [group >>> 8, group & 0xff]));
}

function parseGroups(text: string, mayEndInQuad: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(part);
    if (quad !== null && mayEndInQuad && i === parts.length - 1) {
      const [a, b, c, d] = quad.slice(1).map(Number);
      if ([a, b, c, d].some((byte) => byte! > 255)) return null;
      groups.push((a! << 8) | b!, (c! << 8) | d!);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

/** `::`, the unspecified address. */
export const ANY_IP6: Ip6 = '\0'.repeat(IP6_LENGTH);
/** `::1` */
export const LOOPBACK_IP6: Ip6 = `${'\0'.repeat(15)}\x01`;
/** `ff02::1` and `ff02::2` */
export const ALL_NODES: Ip6 = `\xff\x02${'\0'.repeat(13)}\x01`;
export const ALL_ROUTERS: Ip6 = `\xff\x02${'\0'.repeat(13)}\x02`;

export interface Prefix6 {
  readonly addr: Ip6;
  /** 0 to 128. */
  readonly len: number;
}

/** `2001:db8::1/64` with its host bits kept; an address alone counts as /128. Null if it is neither. */
export function parseAddress6(text: string): Prefix6 | null {
  const slash = text.indexOf('/');
  const addr = parseIp6(slash < 0 ? text : text.slice(0, slash));
  if (addr === null) return null;
  if (slash < 0) return { addr, len: 128 };
  const length = text.slice(slash + 1);
  return /^\d{1,3}$/.test(length) && Number(length) <= 128 ? { addr, len: Number(length) } : null;
}

/** Like `parseAddress6`, with the host bits cleared. */
export function parsePrefix6(text: string): Prefix6 | null {
  const parsed = parseAddress6(text);
  return parsed === null ? null : { addr: maskIp6(parsed.addr, parsed.len), len: parsed.len };
}

export function formatPrefix6({ addr, len }: Prefix6): string {
  return `${formatIp6(addr)}/${len}`;
}

export function prefixContains6(prefix: Prefix6, addr: Ip6): boolean {
  return commonBits6(prefix.addr, addr) >= prefix.len;
}

/** Number of leading bits that two addresses share. */
export function commonBits6(a: Ip6, b: Ip6): number {
  for (let i = 0; i < IP6_LENGTH; i++) {
    const differ = a.charCodeAt(i) ^ b.charCodeAt(i);
    if (differ !== 0) return 8 * i + Math.clz32(differ) - 24;
  }
  return 128;
}

/** The address so many after another; `count` is below 2^53. */
export function addToIp6(address: Ip6, count: number): Ip6 {
  const bytes = Array.from(address, (char) => char.charCodeAt(0));
  let carry = count;
  for (let i = IP6_LENGTH - 1; i >= 0 && carry > 0; i--) {
    const sum = bytes[i]! + carry;
    bytes[i] = sum % 256;
    carry = Math.floor(sum / 256);
  }
  return String.fromCharCode(...bytes);
}

/** One 32-bit word of an address, 0 the first. */
export function ip6Word(address: Ip6, word: number): number {
  const i = 4 * word;
  const high = (address.charCodeAt(i) << 24) | (address.charCodeAt(i + 1) << 16);
  return (high | (address.charCodeAt(i + 2) << 8) | address.charCodeAt(i + 3)) >>> 0;
}

/** Whether the address at an offset is one of ff00::/8. */
export function isMulticast6(buf: Uint8Array, off: number): boolean {
  return buf[off] === 0xff;
}

export function isMulticastIp6(address: Ip6): boolean {
  return address.charCodeAt(0) === 0xff;
}

/** fe80::/10 */
export function isLinkLocal(address: Ip6): boolean {
  return address.charCodeAt(0) === 0xfe && (address.charCodeAt(1) & 0xc0) === 0x80;
}

/** `ff02::1:ffXX:XXXX` of a unicast address (RFC 4291 §2.7.1). */
export function solicitedNode(address: Ip6): Ip6 {
  return `\xff\x02${'\0'.repeat(9)}\x01\xff${address.slice(13)}`;
}

/** 33:33 and the last four bytes of a multicast address (RFC 2464 §7). */
export function multicastMac(address: Ip6): number {
  return 0x3333 * 2 ** 32 + ip6Word(address, 3);
}

/** Modified EUI-64 of a MAC in the last 64 bits, the first 64 of a prefix (RFC 4291 appendix A). */
export function eui64(prefix: Ip6, mac: number): Ip6 {
  const high = Math.floor(mac / 2 ** 24);
  const oui = [high >>> 16, (high >>> 8) & 0xff, high & 0xff];
  const low = [(mac / 2 ** 16) & 0xff, (mac / 2 ** 8) & 0xff, mac % 256];
  return prefix.slice(0, 8) + String.fromCharCode(oui[0]! ^ 2, oui[1]!, oui[2]!, 0xff, 0xfe, ...low);
}

/** `fe80::/64` */
export const LINK_LOCAL_PREFIX: Ip6 = `\xfe\x80${'\0'.repeat(14)}`;

const CACHE = 1024;
const cachedWords = new Uint32Array(4 * CACHE);
const cachedText = new Array<Ip6>(CACHE).fill('');

/**
 * As `readIp6`, for the path of every packet: an address read lately costs no new string, and being the same string has
 * its hash already. 20 ns with a look-up in a map, where a new string of 16 codes takes 60 and a bigint 110.
 */
export function readIp6Cached(buf: Uint8Array, off: number): Ip6 {
  const a = u32(buf, off);
  const b = u32(buf, off + 4);
  const c = u32(buf, off + 8);
  const d = u32(buf, off + 12);
  const mixed = Math.imul(a ^ Math.imul(b, 0x9e3779b1) ^ Math.imul(c, 0x85ebca6b), 0xc2b2ae35);
  const hash = mixed ^ Math.imul(d, 0x27d4eb2f);
  const slot = (hash ^ (hash >>> 15)) & (CACHE - 1);
  const i = 4 * slot;
  const text = cachedText[slot]!;
  const same =
    cachedWords[i] === a && cachedWords[i + 1] === b && cachedWords[i + 2] === c && cachedWords[i + 3] === d;
  if (same && text !== '') return text;
  cachedWords[i] = a;
  cachedWords[i + 1] = b;
  cachedWords[i + 2] = c;
  cachedWords[i + 3] = d;
  const fresh = readIp6(buf, off);
  cachedText[slot] = fresh;
  return fresh;
}
