/** IPv6 addresses as strings of 16 characters, one for each byte: values that compare, key a map and cost no table. */
export type Ip6 = string;

export const IP6_LENGTH = 16;

/** 16 bytes at an offset. */
export function readIp6(buf: Uint8Array, off: number): Ip6 {
  let text = '';
  for (let i = off; i < off + IP6_LENGTH; i++) text += String.fromCharCode(buf[i] ?? 0);
  return text;
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

/** RFC 5952: lower case, no leading zeros, the longest run of zero groups as `::`. */
export function formatIp6(address: Ip6): string {
  const mapped = mappedIp4(address);
  if (mapped !== null) {
    return `::ffff:${mapped >>> 24}.${(mapped >>> 16) & 0xff}.${(mapped >>> 8) & 0xff}.${mapped & 0xff}`;
  }
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
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
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
