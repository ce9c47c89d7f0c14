import { bitsOf, formatIp, type IpAddress } from '../../../../protocols/ip.ts';
import { formatIp4, prefixMask } from '../../../../protocols/ip4.ts';
import { maskIp6 } from '../../../../protocols/ip6.ts';
import { PROTO_ICMP } from '../../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../../protocols/ipv6.ts';
import { protocolName } from '../../../../protocols/protocol-names.ts';
import { type Dimension, type KeyPart, netOf, SET_TYPES, type SetSpec } from './spec.ts';

/** Names of ICMP messages that ipset prints: type times 256 plus code. */
const ICMP_NAMES: readonly (readonly [string, number])[] = [
  ['echo-reply', 0],
  ['pong', 0],
  ['network-unreachable', 0x300],
  ['host-unreachable', 0x301],
  ['protocol-unreachable', 0x302],
  ['port-unreachable', 0x303],
  ['fragmentation-needed', 0x304],
  ['source-route-failed', 0x305],
  ['network-unknown', 0x306],
  ['host-unknown', 0x307],
  ['network-prohibited', 0x309],
  ['host-prohibited', 0x30a],
  ['TOS-network-unreachable', 0x30b],
  ['TOS-host-unreachable', 0x30c],
  ['communication-prohibited', 0x30d],
  ['host-precedence-violation', 0x30e],
  ['precedence-cutoff', 0x30f],
  ['source-quench', 0x400],
  ['network-redirect', 0x500],
  ['host-redirect', 0x501],
  ['TOS-network-redirect', 0x502],
  ['TOS-host-redirect', 0x503],
  ['echo-request', 0x800],
  ['ping', 0x800],
  ['router-advertisement', 0x900],
  ['router-solicitation', 0xa00],
  ['ttl-zero-during-transit', 0xb00],
  ['ttl-zero-during-reassembly', 0xb01],
  ['ip-header-bad', 0xc00],
  ['required-option-missing', 0xc01],
  ['timestamp-request', 0xd00],
  ['timestamp-reply', 0xe00],
  ['address-mask-request', 0x1100],
  ['address-mask-reply', 0x1200],
];

const ICMPV6_NAMES: readonly (readonly [string, number])[] = [
  ['no-route', 0x100],
  ['communication-prohibited', 0x101],
  ['address-unreachable', 0x103],
  ['port-unreachable', 0x104],
  ['packet-too-big', 0x200],
  ['ttl-zero-during-transit', 0x300],
  ['ttl-zero-during-reassembly', 0x301],
  ['bad-header', 0x400],
  ['unknown-header-type', 0x401],
  ['unknown-option', 0x402],
  ['echo-request', 0x8000],
  ['ping', 0x8000],
  ['echo-reply', 0x8100],
  ['pong', 0x8100],
  ['router-solicitation', 0x8500],
  ['router-advertisement', 0x8600],
  ['neighbour-solicitation', 0x8700],
  ['neighbor-solicitation', 0x8700],
  ['neighbour-advertisement', 0x8800],
  ['neighbor-advertisement', 0x8800],
  ['redirect', 0x8900],
];

/** Names of the messages of ICMP or ICMPv6; null for any other protocol. */
export function icmpNames(proto: number): readonly (readonly [string, number])[] | null {
  if (proto === PROTO_ICMP) return ICMP_NAMES;
  return proto === PROTO_ICMPV6 ? ICMPV6_NAMES : null;
}

/** An element as ipset prints it. */
export function formatElement(dimensions: readonly Dimension[], key: readonly KeyPart[]): string {
  return key.map((part, i) => formatPart(dimensions[i] ?? 'set', part)).join(',');
}

function formatPart(dimension: Dimension, part: KeyPart): string {
  switch (dimension) {
    case 'ip':
      return formatIp(part);
    case 'net': {
      const { addr, length } = netOf(part);
      return length === bitsOf(addr) ? formatIp(addr) : `${formatIp(addr)}/${length}`;
    }
    case 'port':
      return formatPort(Math.floor(Number(part) / 65_536), Number(part) % 65_536);
    default:
      return String(part);
  }
}

function formatPort(proto: number, port: number): string {
  const name = protocolName(proto) ?? String(proto);
  const names = icmpNames(proto);
  if (names === null) return `${name}:${port}`;
  const known = names.find(([, value]) => value === port);
  return `${name}:${known?.[0] ?? `${port >>> 8}/${port & 255}`}`;
}

/** What a set was created with, as `ipset save` prints it. */
export function formatOptions(spec: SetSpec): string {
  const { type, range, netmask, timeout } = spec;
  const words: string[] = [];
  const hash = type.startsWith('hash:');
  if (hash) words.push(`family ${spec.family} hashsize ${spec.hashsize} maxelem ${spec.maxelem}`);
  if (range !== null) words.push(`range ${formatRange(spec, range)}`);
  if (type === 'list:set') words.push(`size ${spec.size}`);
  if (netmask !== null) words.push(`netmask ${netmask}`);
  if (timeout !== null) words.push(`timeout ${timeout}`);
  if (spec.counters) words.push('counters');
  if (spec.comment) words.push('comment');
  if (spec.forceadd) words.push('forceadd');
  if (hash) words.push(`bucketsize 12 initval 0x${spec.initval.toString(16).padStart(8, '0')}`);
  return words.join(' ');
}

function formatRange({ type }: SetSpec, [first, last]: readonly [number, number]): string {
  return type === 'bitmap:port' ? `${first}-${last}` : `${formatIp4(first)}-${formatIp4(last)}`;
}

/** Bytes that a set takes in the kernel beside its comments, if each element has a bucket to itself. */
export function memorySize(spec: SetSpec, elements: number): number {
  const info = SET_TYPES[spec.type];
  const { empty, element } = spec.family === 'inet6' ? (info.inet6 ?? info) : info;
  const extensions = (spec.timeout === null ? 0 : 8) + (spec.counters ? 16 : 0) + (spec.comment ? 8 : 0);
  if (spec.range !== null) {
    const places = spec.range[1] - spec.range[0] + 1;
    const bits = spec.netmask === null ? places : places / 2 ** (32 - spec.netmask);
    return empty + Math.ceil(bits / 64) * 8 + bits * extensions;
  }
  const aligned = extensions === 0 ? element : Math.ceil(element / 8) * 8 + extensions;
  return spec.type === 'list:set'
    ? empty + elements * (element + extensions)
    : empty + elements * (32 + 2 * aligned);
}

export function maskAddress(addr: IpAddress, length: number): IpAddress {
  return typeof addr === 'number' ? (addr & prefixMask(length)) >>> 0 : maskIp6(addr, length);
}
