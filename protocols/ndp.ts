import { setU16, setU32, u16, u32 } from './bytes.ts';
import { IP6_LENGTH, type Ip6, readIp6, writeIp6 } from './ip6.ts';
import { readMac, writeMac } from './mac.ts';

/** Neighbour discovery (RFC 4861 §4): ICMPv6 messages of code 0 and hop limit 255, and their options. */
export const ND_ROUTER_SOLICIT = 133;
export const ND_ROUTER_ADVERT = 134;
export const ND_NEIGHBOR_SOLICIT = 135;
export const ND_NEIGHBOR_ADVERT = 136;
export const ND_REDIRECT = 137;
/** Length of a redirect without options. */
export const ND_REDIRECT_HLEN = 40;

/** Prefix information, RFC 4861 §4.6.2. Lifetimes are seconds; 0xffffffff is for ever. */
export interface PrefixInformation {
  readonly prefix: Ip6;
  readonly len: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
}

/** Recursive DNS servers, RFC 8106 §5.1. */
export interface RecursiveDns {
  readonly lifetime: number;
  readonly servers: readonly Ip6[];
}

export interface NdpOptions {
  /** Source (of a solicitation, a router's advertisement) or target (of an advertisement, a redirect) MAC. */
  readonly sourceMac?: number;
  readonly targetMac?: number;
  readonly prefixes?: readonly PrefixInformation[];
  readonly mtu?: number;
  readonly rdnss?: readonly RecursiveDns[];
  /** The head of the packet that a redirect is about, of a length that 8 divides (§4.6.3). */
  readonly redirected?: Uint8Array;
}

export type RouterPreference = 'low' | 'medium' | 'high';

export type NdpMessage = { readonly options: NdpOptions } & (
  | { readonly type: 'router-solicit' }
  | {
      readonly type: 'router-advert';
      /** 0: not specified. */
      readonly hopLimit: number;
      readonly managed: boolean;
      readonly otherConfig: boolean;
      /** RFC 4191 §2.2. */
      readonly preference: RouterPreference;
      /** As a default router, s; 0: it is none. */
      readonly routerLifetime: number;
      /** ms; 0: not specified. */
      readonly reachableTime: number;
      readonly retransTimer: number;
    }
  | { readonly type: 'neighbor-solicit'; readonly target: Ip6 }
  | {
      readonly type: 'neighbor-advert';
      readonly target: Ip6;
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
    }
  | { readonly type: 'redirect'; readonly target: Ip6; readonly destination: Ip6 }
);

/** Length without options. */
const FIXED: Readonly<Record<NdpMessage['type'], number>> = {
  'router-solicit': 8,
  'router-advert': 16,
  'neighbor-solicit': 24,
  'neighbor-advert': 24,
  redirect: ND_REDIRECT_HLEN,
};

const TYPES: Readonly<Record<NdpMessage['type'], number>> = {
  'router-solicit': ND_ROUTER_SOLICIT,
  'router-advert': ND_ROUTER_ADVERT,
  'neighbor-solicit': ND_NEIGHBOR_SOLICIT,
  'neighbor-advert': ND_NEIGHBOR_ADVERT,
  redirect: ND_REDIRECT,
};

const PREFERENCES = ['medium', 'high', 'medium', 'low'] as const;

/**
 * Decodes an ICMPv6 message of whose checksum the caller has made sure. Null when truncated, of a wrong code, of an
 * option of no length (RFC 4861 §4.6) or a target that is multicast (§7.1). Options not known are passed over.
 */
export function decodeNdp(buf: Uint8Array, off: number, len: number): NdpMessage | null {
  if (len < 8 || buf[off + 1] !== 0) return null;
  const type = buf[off]!;
  const end = off + len;
  switch (type) {
    case ND_ROUTER_SOLICIT: {
      const options = decodeOptions(buf, off + 8, end);
      return options && { type: 'router-solicit', options };
    }
    case ND_ROUTER_ADVERT: {
      const options = len < 16 ? null : decodeOptions(buf, off + 16, end);
      const flags = buf[off + 5]!;
      return (
        options && {
          type: 'router-advert',
          hopLimit: buf[off + 4]!,
          managed: (flags & 0x80) !== 0,
          otherConfig: (flags & 0x40) !== 0,
          preference: PREFERENCES[(flags >> 3) & 3]!,
          routerLifetime: u16(buf, off + 6),
          reachableTime: u32(buf, off + 8),
          retransTimer: u32(buf, off + 12),
          options,
        }
      );
    }
    case ND_NEIGHBOR_SOLICIT:
    case ND_NEIGHBOR_ADVERT: {
      const options = len < 24 || buf[off + 8] === 0xff ? null : decodeOptions(buf, off + 24, end);
      if (options === null) return null;
      const target = readIp6(buf, off + 8);
      if (type === ND_NEIGHBOR_SOLICIT) return { type: 'neighbor-solicit', target, options };
      const flags = buf[off + 4]!;
      return {
        type: 'neighbor-advert',
        target,
        router: (flags & 0x80) !== 0,
        solicited: (flags & 0x40) !== 0,
        override: (flags & 0x20) !== 0,
        options,
      };
    }
    case ND_REDIRECT: {
      const options =
        len < ND_REDIRECT_HLEN || buf[off + 24] === 0xff
          ? null
          : decodeOptions(buf, off + ND_REDIRECT_HLEN, end);
      return (
        options && {
          type: 'redirect',
          target: readIp6(buf, off + 8),
          destination: readIp6(buf, off + 24),
          options,
        }
      );
    }
    default:
      return null;
  }
}

const OPT_SOURCE_MAC = 1;
const OPT_TARGET_MAC = 2;
const OPT_PREFIX = 3;
/** Option of the packet that a redirect is about (RFC 4861 §4.6.3). */
export const ND_OPT_REDIRECTED = 4;
const OPT_MTU = 5;
const OPT_RDNSS = 25;

function decodeOptions(buf: Uint8Array, start: number, end: number): NdpOptions | null {
  let options: NdpOptions = {};
  const prefixes: PrefixInformation[] = [];
  const rdnss: RecursiveDns[] = [];
  for (let at = start; at < end; ) {
    const length = at + 2 > end ? 0 : buf[at + 1]! * 8;
    if (length === 0 || at + length > end) return null;
    const type = buf[at]!;
    if (type === OPT_SOURCE_MAC && length === 8) options = { ...options, sourceMac: readMac(buf, at + 2) };
    else if (type === OPT_TARGET_MAC && length === 8)
      options = { ...options, targetMac: readMac(buf, at + 2) };
    else if (type === ND_OPT_REDIRECTED) options = { ...options, redirected: buf.slice(at + 8, at + length) };
    else if (type === OPT_MTU && length === 8) options = { ...options, mtu: u32(buf, at + 4) };
    else if (type === OPT_PREFIX && length === 32 && buf[at + 2]! <= 128)
      prefixes.push({
        len: buf[at + 2]!,
        onLink: (buf[at + 3]! & 0x80) !== 0,
        autonomous: (buf[at + 3]! & 0x40) !== 0,
        validLifetime: u32(buf, at + 4),
        preferredLifetime: u32(buf, at + 8),
        prefix: readIp6(buf, at + 16),
      });
    else if (type === OPT_RDNSS && length >= 24 && length % 16 === 8) {
      const servers: Ip6[] = [];
      for (let i = at + 8; i < at + length; i += IP6_LENGTH) servers.push(readIp6(buf, i));
      rdnss.push({ lifetime: u32(buf, at + 4), servers });
    }
    at += length;
  }
  if (prefixes.length > 0) options = { ...options, prefixes };
  return rdnss.length > 0 ? { ...options, rdnss } : options;
}

function optionsLength(options: NdpOptions): number {
  const { sourceMac, targetMac, mtu, prefixes = [], rdnss = [], redirected } = options;
  const eights = [sourceMac, targetMac, mtu].filter((option) => option !== undefined).length;
  const dns = rdnss.reduce((sum, { servers }) => sum + 8 + IP6_LENGTH * servers.length, 0);
  return 8 * eights + 32 * prefixes.length + dns + (redirected === undefined ? 0 : 8 + redirected.length);
}

/** The message behind `room` bytes for the headers before it, for `sealIcmpv6` to finish. */
export function encodeNdp(message: NdpMessage, room: number): Uint8Array {
  const { options } = message;
  const buf = new Uint8Array(room + FIXED[message.type] + optionsLength(options));
  buf[room] = TYPES[message.type];
  switch (message.type) {
    case 'router-solicit':
      break;
    case 'router-advert':
      buf[room + 4] = message.hopLimit;
      buf[room + 5] =
        (message.managed ? 0x80 : 0) |
        (message.otherConfig ? 0x40 : 0) |
        (message.preference === 'medium' ? 0 : message.preference === 'high' ? 0x08 : 0x18);
      setU16(buf, room + 6, message.routerLifetime);
      setU32(buf, room + 8, message.reachableTime);
      setU32(buf, room + 12, message.retransTimer);
      break;
    case 'neighbor-advert':
      buf[room + 4] =
        (message.router ? 0x80 : 0) | (message.solicited ? 0x40 : 0) | (message.override ? 0x20 : 0);
      writeIp6(buf, room + 8, message.target);
      break;
    case 'neighbor-solicit':
      writeIp6(buf, room + 8, message.target);
      break;
    case 'redirect':
      writeIp6(buf, room + 8, message.target);
      writeIp6(buf, room + 24, message.destination);
  }
  encodeOptions(buf, room + FIXED[message.type], options);
  return buf;
}

function encodeOptions(buf: Uint8Array, start: number, options: NdpOptions): void {
  const { sourceMac, targetMac, mtu, prefixes = [], rdnss = [], redirected } = options;
  let at = start;
  const begin = (type: number, length: number): number => {
    const from = at;
    buf[from] = type;
    buf[from + 1] = length / 8;
    at += length;
    return from;
  };
  if (sourceMac !== undefined) writeMac(buf, begin(OPT_SOURCE_MAC, 8) + 2, sourceMac);
  if (targetMac !== undefined) writeMac(buf, begin(OPT_TARGET_MAC, 8) + 2, targetMac);
  for (const { prefix, len, onLink, autonomous, validLifetime, preferredLifetime } of prefixes) {
    const from = begin(OPT_PREFIX, 32);
    buf[from + 2] = len;
    buf[from + 3] = (onLink ? 0x80 : 0) | (autonomous ? 0x40 : 0);
    setU32(buf, from + 4, validLifetime);
    setU32(buf, from + 8, preferredLifetime);
    writeIp6(buf, from + 16, prefix);
  }
  if (redirected !== undefined) buf.set(redirected, begin(ND_OPT_REDIRECTED, 8 + redirected.length) + 8);
  if (mtu !== undefined) setU32(buf, begin(OPT_MTU, 8) + 4, mtu);
  for (const { lifetime, servers } of rdnss) {
    const from = begin(OPT_RDNSS, 8 + IP6_LENGTH * servers.length);
    setU32(buf, from + 4, lifetime);
    for (const [i, server] of servers.entries()) writeIp6(buf, from + 8 + IP6_LENGTH * i, server);
  }
}
