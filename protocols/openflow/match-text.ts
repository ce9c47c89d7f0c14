import { formatIp4, parseAddress, prefixMask } from '../ip4.ts';
import { formatIp6, type Ip6, parseIp6 } from '../ip6.ts';
import { formatMac, parseMac } from '../mac.ts';
import { RESERVED_PORTS, VID_PRESENT } from './constants.ts';
import { FIELDS, type FieldName, fieldOnes, type Match, normalMatch, type Oxm } from './oxm.ts';

/** What ovs-ofctl would print behind its own name. */
export class FlowSyntaxError extends Error {
  override readonly name = 'FlowSyntaxError';
}

const exact = (field: FieldName, value: number): Oxm => ({ field, value: BigInt(value), mask: null });

/** Words for a protocol (ovs-fields(7)), the most particular first. */
const PROTOCOLS: readonly { readonly word: string; readonly type: number; readonly proto: number | null }[] =
  [
    { word: 'icmp', type: 0x0800, proto: 1 },
    { word: 'tcp', type: 0x0800, proto: 6 },
    { word: 'udp', type: 0x0800, proto: 17 },
    { word: 'tcp6', type: 0x86dd, proto: 6 },
    { word: 'udp6', type: 0x86dd, proto: 17 },
    { word: 'icmp6', type: 0x86dd, proto: 58 },
    { word: 'ip', type: 0x0800, proto: null },
    { word: 'ipv6', type: 0x86dd, proto: null },
    { word: 'arp', type: 0x0806, proto: null },
  ];

const ALIASES: Readonly<Record<string, FieldName>> = {
  dl_src: 'eth_src',
  dl_dst: 'eth_dst',
  dl_type: 'eth_type',
  dl_vlan_pcp: 'vlan_pcp',
  nw_proto: 'ip_proto',
  nw_ecn: 'ip_ecn',
  ip_src: 'ipv4_src',
  ip_dst: 'ipv4_dst',
  icmp_type: 'icmpv4_type',
  icmp_code: 'icmpv4_code',
  tun_id: 'tunnel_id',
};

/** Reads the words of a match; those it does not know are left to the caller by `other`. @throws FlowSyntaxError */
export function parseMatch(words: readonly (readonly [string, string | null])[]): Match {
  const fields: Oxm[] = [];
  const short = PROTOCOLS.find(({ word }) => words.some(([name, value]) => name === word && value === null));
  if (short !== undefined) {
    fields.push(exact('eth_type', short.type));
    if (short.proto !== null) fields.push(exact('ip_proto', short.proto));
  }
  const given = (field: FieldName) => fields.find((oxm) => oxm.field === field)?.value;
  // What says the protocol comes first: what a port or an address is depends on it.
  const rank = ([name]: readonly [string, string | null]) =>
    /^(dl_type|eth_type)$/.test(name) ? 0 : /^(nw_proto|ip_proto)$/.test(name) ? 1 : 2;
  for (const [name, value] of [...words].sort((a, b) => rank(a) - rank(b))) {
    if (value === null) {
      if (PROTOCOLS.some(({ word }) => word === name)) continue;
      throw new FlowSyntaxError(`field ${name} missing value`);
    }
    if (name === 'dl_vlan') {
      // 0xffff: no tag (`match_set_dl_vlan` of lib/match.c).
      const vid = parseNumber(name, value, 2);
      fields.push(exact('vlan_vid', vid === 0xffff ? 0 : (vid & 0xfff) | VID_PRESENT));
      continue;
    }
    if (name === 'vlan_tci') {
      fields.push(...parseTci(value));
      continue;
    }
    if (name === 'nw_tos') {
      fields.push(exact('ip_dscp', parseNumber(name, value, 1) >> 2));
      continue;
    }
    fields.push(parseField(fieldOf(name, given('eth_type'), given('ip_proto')), value));
  }
  // What has a priority has a tag.
  if (given('vlan_pcp') !== undefined && given('vlan_vid') === undefined)
    fields.push(masked('vlan_vid', BigInt(VID_PRESENT), BigInt(VID_PRESENT)));
  try {
    return normalMatch(fields);
  } catch (error) {
    throw new FlowSyntaxError(error instanceof Error ? error.message : String(error));
  }
}

/** A number of so many bytes. @throws FlowSyntaxError */
function parseNumber(name: string, text: string, bytes: number): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new FlowSyntaxError(`${text}: invalid value for ${name}`);
  const value = Number(text);
  if (value >= 256 ** bytes)
    throw new FlowSyntaxError(`${text}: value too large for ${bytes}-byte field ${name}`);
  return value;
}

/** `VALUE[/MASK]` of the tag: priority (3 bits), whether there is one, VLAN (12). */
function parseTci(text: string): Oxm[] {
  const [value = 0, bits = 0xffff] = text.split('/').map((part) => parseNumber('vlan_tci', part, 2));
  const priority = bits >> 13;
  if (priority !== 0 && priority !== 7) throw new FlowSyntaxError(`${text}: invalid value for vlan_tci`);
  const isTagged = (value & bits & VID_PRESENT) !== 0;
  return [
    masked('vlan_vid', BigInt(value & bits & 0x1fff), BigInt(bits & 0x1fff)),
    // What has no tag has no priority.
    ...(priority === 0 || !isTagged ? [] : [exact('vlan_pcp', value >> 13)]),
  ];
}

function fieldOf(name: string, type: bigint | undefined, proto: bigint | undefined): FieldName {
  if (name === 'nw_src') return type === 0x806n ? 'arp_spa' : 'ipv4_src';
  if (name === 'nw_dst') return type === 0x806n ? 'arp_tpa' : 'ipv4_dst';
  if (name === 'tp_src' || name === 'tp_dst') {
    const end = name === 'tp_src' ? 'src' : 'dst';
    if (proto === 6n) return `tcp_${end}`;
    if (proto === 17n) return `udp_${end}`;
    if (proto === 1n) return end === 'src' ? 'icmpv4_type' : 'icmpv4_code';
    throw new FlowSyntaxError(`${name} needs tcp, udp or icmp`);
  }
  const field = namedField(name);
  if (field === null) throw new FlowSyntaxError(`unknown keyword ${name}`);
  return field;
}

/** A field's value with its mask, `VALUE[/MASK]`. @throws FlowSyntaxError */
export function parseField(field: FieldName, text: string): Oxm {
  const { bits, maskable } = FIELDS[field];
  if (bits === 128) return parseField6(field, text);
  const [head = '', tail] = text.split('/');
  if (bits === 32 && field !== 'in_port') {
    const address = parseAddress(text);
    if (address !== null) return masked(field, BigInt(address.addr), BigInt(prefixMask(address.len)));
  }
  const value = parseValue(field, head);
  const mask = tail === undefined ? null : parseValue(field, tail);
  if (value === null || (tail !== undefined && mask === null))
    throw new FlowSyntaxError(`${text}: invalid value for ${field}`);
  if (mask !== null && !maskable) throw new FlowSyntaxError(`${field} does not allow a mask`);
  return masked(field, value, mask ?? fieldOnes(field));
}

function parseField6(field: FieldName, text: string): Oxm {
  const [head = '', tail] = text.split('/');
  const address = parseIp6(head);
  const length = Number(tail ?? 128);
  const mask = tail?.includes(':') === true ? parseIp6(tail) : null;
  if (address !== null && mask === null && !(length >= 0 && length <= 128))
    throw new FlowSyntaxError(`${text}: IPv6 network prefix bits not between 0 and 128, inclusive`);
  if (address === null) throw new FlowSyntaxError(`${text}: invalid value for ${field}`);
  const ones = fieldOnes(field);
  const bits = mask === null ? ones ^ (ones >> BigInt(length)) : bigOf(mask);
  return masked(field, bigOf(address) & bits, bits);
}

function bigOf(address: Ip6): bigint {
  let value = 0n;
  for (let i = 0; i < address.length; i++) value = (value << 8n) | BigInt(address.charCodeAt(i));
  return value;
}

function ip6Of(value: bigint): Ip6 {
  return String.fromCharCode(
    ...Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(120 - 8 * i)) & 0xffn)),
  );
}

function masked(field: FieldName, value: bigint, mask: bigint): Oxm {
  return { field, value, mask: mask === fieldOnes(field) ? null : mask };
}

function parseValue(field: FieldName, text: string): bigint | null {
  const { bits } = FIELDS[field];
  if (field === 'in_port') {
    const port = parsePort(text);
    return port === null ? null : BigInt(port);
  }
  if (bits === 48) {
    const mac = parseMac(text);
    return mac === null ? null : BigInt(mac);
  }
  if (bits === 32) {
    const address = parseAddress(text);
    if (address !== null) return BigInt(address.addr);
  }
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) return null;
  const value = BigInt(text);
  return value > fieldOnes(field) ? null : value;
}

/** A field by any of its names, null for none of that name. */
export function namedField(name: string): FieldName | null {
  const field = ALIASES[name] ?? name;
  return Object.hasOwn(FIELDS, field) ? (field as FieldName) : null;
}

/** A field as Open vSwitch names it in `set_field` (lib/meta-flow.h). */
export function fieldName(field: FieldName): string {
  return SET_NAMES[field] ?? field;
}

const SET_NAMES: Partial<Record<FieldName, string>> = {
  ipv4_src: 'ip_src',
  ipv4_dst: 'ip_dst',
  ip_ecn: 'nw_ecn',
  tunnel_id: 'tun_id',
};

export function parsePort(text: string): number | null {
  const reserved = text.toUpperCase();
  if (Object.hasOwn(RESERVED_PORTS, reserved)) return Reflect.get(RESERVED_PORTS, reserved) as number;
  const port = Number(text);
  return /^\d+$/.test(text) && port <= 0xffffffff ? port : null;
}

export function formatPort(port: number): string {
  for (const [name, number] of Object.entries(RESERVED_PORTS)) if (number === port) return name;
  return String(port);
}

/** In the order in which `match_format` of Open vSwitch writes them. */
const ORDER: readonly FieldName[] = [
  'tunnel_id',
  'metadata',
  'in_port',
  'vlan_vid',
  'vlan_pcp',
  'eth_src',
  'eth_dst',
  'eth_type',
  'ipv4_src',
  'ipv4_dst',
  'ipv6_src',
  'ipv6_dst',
  'arp_spa',
  'arp_tpa',
  'ip_proto',
  'arp_op',
  'arp_sha',
  'arp_tha',
  'ip_dscp',
  'ip_ecn',
  'tcp_src',
  'tcp_dst',
  'udp_src',
  'udp_dst',
  'icmpv4_type',
  'icmpv4_code',
];

const NAMES: Partial<Record<FieldName, string>> = {
  tunnel_id: 'tun_id',
  eth_src: 'dl_src',
  eth_dst: 'dl_dst',
  eth_type: 'dl_type',
  ipv4_src: 'nw_src',
  ipv4_dst: 'nw_dst',
  ip_proto: 'nw_proto',
  ip_ecn: 'nw_ecn',
  tcp_src: 'tp_src',
  tcp_dst: 'tp_dst',
  udp_src: 'tp_src',
  udp_dst: 'tp_dst',
  icmpv4_type: 'icmp_type',
  icmpv4_code: 'icmp_code',
};

/** The words of a match as ovs-ofctl prints them. */
export function matchWords(match: Match): string[] {
  const find = (field: FieldName) => match.find((oxm) => oxm.field === field);
  const type = find('eth_type')?.value;
  const proto = find('ip_proto')?.value;
  const short =
    PROTOCOLS.find((one) => BigInt(one.type) === type && one.proto !== null && BigInt(one.proto) === proto) ??
    PROTOCOLS.find((one) => BigInt(one.type) === type && one.proto === null);
  const words = short === undefined ? [] : [short.word];
  for (const field of ORDER) {
    if (field === 'vlan_vid') words.push(...vlanWords(find('vlan_vid'), find('vlan_pcp')));
    const oxm = find(field);
    if (oxm === undefined || field.startsWith('vlan_') || (field === 'eth_type' && short !== undefined))
      continue;
    if (field === 'ip_proto' && short?.proto !== undefined && short.proto !== null) continue;
    if (field === 'ip_dscp') words.push(`nw_tos=${oxm.value << 2n}`);
    else words.push(`${NAMES[field] ?? field}=${fieldText(oxm)}`);
  }
  return words;
}

/** A tag as a whole, unless it is one whose VLAN or priority is asked for (`format_flow_vlan` of lib/match.c). */
function vlanWords(vid: Oxm | undefined, pcp: Oxm | undefined): string[] {
  if (vid === undefined && pcp === undefined) return [];
  const ones = Number(vid === undefined ? 0n : (vid.mask ?? 0x1fffn));
  const mask = ones | (pcp === undefined ? 0 : 0xe000);
  const value = Number(vid?.value ?? 0n) | (Number(pcp?.value ?? 0n) << 13);
  const isWhole = (ones & 0xfff) === 0 || (ones & 0xfff) === 0xfff;
  if ((value & ones & VID_PRESENT) !== 0 && isWhole && (mask & 0xefff) !== 0)
    return [
      ...((ones & 0xfff) === 0 ? [] : [`dl_vlan=${value & 0xfff}`]),
      ...(pcp === undefined ? [] : [`dl_vlan_pcp=${pcp.value}`]),
    ];
  const hex = (number: number) => `0x${number.toString(16).padStart(4, '0')}`;
  return [mask === 0xffff ? `vlan_tci=${hex(value)}` : `vlan_tci=${hex(value)}/${hex(mask)}`];
}

export function fieldText({ field, value, mask }: Oxm): string {
  const { bits } = FIELDS[field];
  if (field === 'in_port') return formatPort(Number(value));
  if (bits === 48) {
    const text = formatMac(Number(value));
    return mask === null ? text : `${text}/${formatMac(Number(mask))}`;
  }
  if (bits === 32) {
    const text = formatIp4(Number(value));
    if (mask === null) return text;
    for (let len = 1; len < 32; len++) if (BigInt(prefixMask(len)) === mask) return `${text}/${len}`;
    return `${text}/${formatIp4(Number(mask))}`;
  }
  if (bits === 128) {
    const text = formatIp6(ip6Of(value));
    if (mask === null) return text;
    for (let len = 0; len < 128; len++)
      if ((fieldOnes(field) ^ (fieldOnes(field) >> BigInt(len))) === mask) return `${text}/${len}`;
    return `${text}/${formatIp6(ip6Of(mask))}`;
  }
  const hex = mask !== null || field === 'eth_type' || bits >= 64;
  const show = (number: bigint) => (hex ? `0x${number.toString(16)}` : String(number));
  return mask === null ? show(value) : `${show(value)}/${show(mask)}`;
}
