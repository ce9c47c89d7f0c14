/** IPv4 addresses as unsigned 32-bit numbers, and prefixes of them. */

export interface Prefix {
  readonly addr: number;
  /** Prefix length, 0 to 32. */
  readonly len: number;
}

export const LIMITED_BROADCAST = 0xffffffff;

const DOT = 0x2e;
const ZERO = 0x30;

/** Dotted quad to number; null if it is not one (four decimal octets, no leading zeros). */
export function parseIp4(text: string): number | null {
  let addr = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (octet === -1 || ++dots > 3) return null;
      addr = addr * 256 + octet;
      octet = -1;
    } else {
      const digit = code - ZERO;
      if (digit < 0 || digit > 9 || octet === 0) return null;
      octet = octet === -1 ? digit : octet * 10 + digit;
      if (octet > 255) return null;
    }
  }
  return dots === 3 && octet !== -1 ? addr * 256 + octet : null;
}

export function formatIp4(addr: number): string {
  return `${addr >>> 24}.${(addr >>> 16) & 255}.${(addr >>> 8) & 255}.${addr & 255}`;
}

/** Network mask of a prefix length. */
export function prefixMask(len: number): number {
  return len === 0 ? 0 : (0xffffffff << (32 - len)) >>> 0;
}

/** `172.17.0.1/16` with its host bits kept; an address alone counts as /32. Null if it is neither. */
export function parseAddress(text: string): Prefix | null {
  const slash = text.indexOf('/');
  const addr = parseIp4(slash < 0 ? text : text.slice(0, slash));
  if (addr === null) return null;
  if (slash < 0) return { addr, len: 32 };
  const length = text.slice(slash + 1);
  if (!/^\d{1,2}$/.test(length) || Number(length) > 32) return null;
  return { addr, len: Number(length) };
}

/** Like `parseAddress`, with the host bits cleared. */
export function parsePrefix(text: string): Prefix | null {
  const parsed = parseAddress(text);
  return parsed === null ? null : { addr: (parsed.addr & prefixMask(parsed.len)) >>> 0, len: parsed.len };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp4(prefix.addr)}/${prefix.len}`;
}

export function prefixContains(prefix: Prefix, addr: number): boolean {
  return (addr & prefixMask(prefix.len)) >>> 0 === prefix.addr;
}

/** Whether two prefixes have an address in common: one of them contains the other then. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return a.len <= b.len ? prefixContains(a, b.addr) : prefixContains(b, a.addr);
}

/** Directed broadcast address of a prefix. */
export function broadcastOf(prefix: Prefix): number {
  return (prefix.addr | ~prefixMask(prefix.len)) >>> 0;
}

/** One number for a prefix, to key maps with. */
export function prefixKey(addr: number, len: number): number {
  return addr * 64 + len;
}

export function isMulticast(addr: number): boolean {
  return addr >>> 28 === 0xe;
}

export function isLoopback(addr: number): boolean {
  return addr >>> 24 === 127;
}
