import { z } from 'zod';
import { formatKey, parseKey } from '../../protocols/bgp/nlri.ts';
import {
  formatIp,
  formatIpPrefix,
  type IpAddress,
  type IpPrefix,
  parseIp,
  parseIpAddress,
  parseIpPrefix,
} from '../../protocols/ip.ts';
import { formatIp4, type Prefix, parseAddress, parseIp4, prefixMask } from '../../protocols/ip4.ts';
import {
  formatIp6,
  formatPrefix6,
  type Ip6,
  maskIp6,
  type Prefix6,
  parseAddress6,
  parseIp6,
} from '../../protocols/ip6.ts';
import { parseScoped, type ScopedAddress } from '../../protocols/scoped-address.ts';
import { DurationError, parseDuration } from './duration.ts';

/** An object that takes these keys and no others. Its error for others carries the keys it knows, for a suggestion. */
export function map<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined),
  });
}

/** What a scalar's text turned out to be: its value, or what is wrong with it and what to write. */
export type Parsed<T> = { readonly value: T } | { readonly wrong: string; readonly mend: string };

/** A value that is written as text (or a bare number) and means something else. */
export function scalar<T>(what: string, example: string, parse: (text: string) => Parsed<T>) {
  return z.unknown().transform((input, ctx): T => {
    const written = typeof input === 'string' || typeof input === 'number';
    const parsed: Parsed<T> = written
      ? parse(String(input))
      : {
          wrong: input === undefined ? 'missing' : `${show(input)} is no ${what}`,
          mend: `write it like ${example}`,
        };
    if ('value' in parsed) return parsed.value;
    ctx.addIssue({ code: 'custom', message: parsed.wrong, params: { mend: parsed.mend } });
    return z.NEVER;
  });
}

/** ms */
export const duration = scalar('duration', '5ms', (text): Parsed<number> => {
  try {
    return { value: parseDuration(text) };
  } catch (error) {
    if (!(error instanceof DurationError)) throw error;
    const [wrong = '', mend = ''] = error.message.split('; ');
    return { wrong, mend };
  }
});

export const ip = scalar('IPv4 address', '172.18.18.1', (text): Parsed<number> => {
  const value = parseIp4(text);
  if (value !== null) return { value };
  return { wrong: `'${text}' is no IPv4 address`, mend: 'write it like 172.18.18.1' };
});

/** IPv6, kept as text. */
export const ip6 = scalar('IPv6 address', '2001:db8::1', (text): Parsed<string> => {
  const value = parseIp6(text);
  if (value !== null) return { value: formatIp6(value) };
  return { wrong: `'${text}' is no IPv6 address`, mend: 'write it like 2001:db8::1' };
});

/** A prefix of IPv6 whose host bits are 0. */
export const cidr6 = scalar('IPv6 prefix', '2001:db8::/64', (text): Parsed<Prefix6> => {
  const parsed = text.includes('/') ? parseAddress6(text) : null;
  if (parsed === null) return { wrong: `'${text}' is no IPv6 prefix`, mend: 'write it like 2001:db8::/64' };
  const meant = { addr: maskIp6(parsed.addr, parsed.len), len: parsed.len };
  if (meant.addr === parsed.addr) return { value: parsed };
  const wrong = `'${text}' has bits set beyond its prefix length`;
  return { wrong, mend: `did you mean ${formatPrefix6(meant)}?` };
});

/** An IPv6 address of an interface; `len` is null where only the address is given. 'auto': what routers advertise. */
export type InterfaceAddress6 = { readonly addr: Ip6; readonly len: number | null } | 'auto';

export const interfaceAddress6 = scalar(
  'IPv6 address',
  '2001:db8::11/64',
  (text): Parsed<InterfaceAddress6> => {
    if (text === 'auto') return { value: 'auto' };
    const parsed = parseAddress6(text);
    if (parsed === null)
      return { wrong: `'${text}' is no IPv6 address`, mend: 'write it like 2001:db8::11/64' };
    return { value: { addr: parsed.addr, len: text.includes('/') ? parsed.len : null } };
  },
);

export const address6 = scalar('IPv6 address', '2001:db8::1', (text): Parsed<Ip6> => {
  const value = parseIp6(text);
  if (value !== null) return { value };
  return { wrong: `'${text}' is no IPv6 address`, mend: 'write it like 2001:db8::1' };
});

/** An address of either family. */
export const anyIp = scalar('address', '172.18.18.1 or 2001:db8::1', (text): Parsed<IpAddress> => {
  const value = parseIp(text);
  if (value !== null) return { value };
  return { wrong: `'${text}' is no address`, mend: 'write it like 172.18.18.1 or 2001:db8::1' };
});

/** An address of either family, a link-local one with its interface. */
export const scopedIp = scalar('address', '172.18.18.1 or fe80::1%eth1', (text): Parsed<ScopedAddress> => {
  const value = parseScoped(text);
  if (value !== null) return { value };
  return { wrong: `'${text}' is no address`, mend: 'write it like 172.18.18.1, 2001:db8::1 or fe80::1%eth1' };
});

/** IPv4, kept as text. */
export const ip4 = scalar('IPv4 address', '172.18.18.1', (text): Parsed<string> => {
  if (parseIp4(text) !== null) return { value: text };
  return { wrong: `'${text}' is no IPv4 address`, mend: 'write it like 172.18.18.1' };
});

/** A prefix of either family whose host bits are 0. */
export const anyCidr = scalar('CIDR', '172.18.18.0/24', (text): Parsed<IpPrefix> => {
  const parsed = text.includes('/') ? parseIpAddress(text) : null;
  const meant = parseIpPrefix(text);
  if (parsed === null || meant === null)
    return { wrong: `'${text}' is no CIDR`, mend: 'write it like 172.18.18.0/24' };
  if (formatIp(parsed.addr) === formatIp(meant.addr)) return { value: parsed };
  const wrong = `'${text}' has bits set beyond its prefix length`;
  return { wrong, mend: `did you mean ${formatIpPrefix(meant)}?` };
});

/** A prefix of either family, as text. */
export const network = scalar('prefix', '10.1.0.0/16 or 2001:db8::/32', (text): Parsed<string> => {
  const key = text.includes('/') ? parseKey(text) : null;
  if (key === null)
    return { wrong: `'${text}' is no prefix`, mend: 'write it like 10.1.0.0/16 or 2001:db8::/32' };
  const meant = formatKey(key);
  const plain = text.split('/')[0] ?? '';
  const given = parseIp4(plain) !== null ? plain : formatIp6(parseIp6(plain) ?? '');
  if (meant.startsWith(`${given}/`)) return { value: meant };
  return { wrong: `'${text}' has bits set beyond its prefix length`, mend: `did you mean ${meant}?` };
});

/** A prefix whose host bits are 0. */
export const cidr = scalar('CIDR', '172.18.18.0/24', parseCidr);

function parseCidr(text: string): Parsed<Prefix> {
  const parsed = text.includes('/') ? parseAddress(text) : null;
  if (parsed === null) return { wrong: `'${text}' is no CIDR`, mend: 'write it like 172.18.18.0/24' };
  const network = (parsed.addr & prefixMask(parsed.len)) >>> 0;
  if (network === parsed.addr) return { value: parsed };
  const meant = `${formatIp4(network)}/${parsed.len}`;
  return { wrong: `'${text}' has bits set beyond its prefix length`, mend: `did you mean ${meant}?` };
}

/** A wire's IPv4 prefix, or that there is none. */
export const subnet = scalar('CIDR', '172.18.18.0/24', (text): Parsed<Prefix | 'none'> => {
  return text === 'none' ? { value: text } : parseCidr(text);
});

/** An address of an interface; `len` is null where only the address is given. */
export interface InterfaceAddress {
  readonly addr: number;
  readonly len: number | null;
}

export const interfaceAddress = scalar('address', '172.18.18.11/24', (text): Parsed<InterfaceAddress> => {
  const parsed = parseAddress(text);
  if (parsed === null) return { wrong: `'${text}' is no address`, mend: 'write it like 172.18.18.11/24' };
  return { value: { addr: parsed.addr, len: text.includes('/') ? parsed.len : null } };
});

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Names that would be taken for something else; the orchestrator's log stands beside the nodes'. */
const RESERVED_NAMES = ['orchestrator'];

function parseName(text: string): Parsed<string> {
  if (RESERVED_NAMES.includes(text))
    return { wrong: `'${text}' is taken by reroute itself`, mend: 'use another name' };
  if (NAME.test(text)) return { value: text };
  const meant = slug(text);
  const wrong = `'${text}' is no name: small letters, digits and '-', at most 63 (RFC 1123)`;
  return { wrong, mend: meant === '' ? 'use another name' : `use '${meant}'` };
}

/** A name as Kubernetes has them; also a token of a bus subject and of a store key. */
export const name = scalar('name', 'n1', parseName);

/** The same as the key of a map, where the key must stay what it is. */
export const nameKey = keyOf(parseName);

/** What is left of a text when it is made into a name; '' if nothing is. */
export function slug(text: string): string {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return plain
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '');
}

/** Names that the node's own daemons give to devices. */
const DAEMON_DEVICES = /^(lo|docker\d+|cni\d+|tunl\d+|flannel.*|cali.*|veth.*)$/;

function parseInterfaceName(text: string): Parsed<string> {
  if (DAEMON_DEVICES.test(text)) {
    return { wrong: `'${text}' is a device that a node makes by itself`, mend: 'call it ethN' };
  }
  if (/^[a-zA-Z][-a-zA-Z0-9_.]{0,14}$/.test(text)) return { value: text };
  return {
    wrong: `'${text}' is no interface name: a letter, then letters, digits, '-', '_', '.', at most 15`,
    mend: 'call it ethN',
  };
}

export const interfaceKey = keyOf(parseInterfaceName);

export interface Endpoint {
  readonly node: string;
  readonly iface: string;
}

/** One end of a link, `n1:eth1`. */
export const endpoint = scalar('end of a link', 'n1:eth1', (text): Parsed<Endpoint> => {
  const [node = '', iface = '', ...rest] = text.split(':');
  if (node === '' || iface === '' || rest.length > 0) {
    return { wrong: `'${text}' is no end of a link`, mend: 'write it as node:interface, n1:eth1' };
  }
  const parsed = parseInterfaceName(iface);
  return 'value' in parsed ? { value: { node, iface } } : parsed;
});

/** RFC 5396 asplain, without the numbers that no speaker may have as its own (RFC 7607, RFC 6793, RFC 7300). */
export const asNumber = scalar('AS number', '65001', (text): Parsed<number> => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffffffff) {
    const wrong = `'${text}' is no AS number`;
    return { wrong, mend: 'write one whole number from 1 to 4294967294, as 65001 or 4200000001' };
  }
  if ([0, 23456, 65535, 0xffffffff].includes(value)) {
    return {
      wrong: `AS ${value} is reserved`,
      mend: 'private ones are 64512 to 65534 and 4200000000 to 4294967294',
    };
  }
  return { value };
});

/** Only text: `1.10` unquoted would be the number 1.1. */
export const labels = z.record(
  z.string(),
  z.string({ error: (issue) => (issue.input === undefined ? undefined : LABEL_VALUE) }),
);

export const LABEL_VALUE = 'a label is text; put it in quotes';

function keyOf(parse: (text: string) => Parsed<string>) {
  return z.string().check((ctx) => {
    const parsed = parse(ctx.value);
    if ('value' in parsed) return;
    ctx.issues.push({
      code: 'custom',
      message: parsed.wrong,
      params: { mend: parsed.mend },
      input: ctx.value,
    });
  });
}

/** A value as a message shows it. */
export function show(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return `'${value}'`;
  return typeof value === 'object' ? 'a map' : String(value);
}
