import { familyOf, formatIp, type IpAddress, type IpFamily, maskIp } from '../../../../protocols/ip.ts';
import { parseIp4, prefixMask } from '../../../../protocols/ip4.ts';
import { commonBits6, IP6_LENGTH, type Ip6, ip6Word, maskIp6, parseIp6 } from '../../../../protocols/ip6.ts';
import { protocolName } from '../../../../protocols/protocol-names.ts';
import { serviceName, servicePort } from '../../../../protocols/services.ts';
import { usage } from './error.ts';
import type { Given } from './extension.ts';

/** A number as strtoul(3) reads it with base 0; null for what is none or lies outside. */
export function parseNumber(text: string, min = 0, max = 0xffffffff): number | null {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) return null;
  const value = /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return value >= min && value <= max ? value : null;
}

/** A value of an option as libxtables' own parser reads it (`XTTYPE_UINT8`). @throws XtablesError */
export function byteOf(module: string, { option, values }: Given, min = 0): number {
  const value = parseNumber(values[0] ?? '', min, 255);
  if (value === null)
    throw usage(`${module}: bad value for option "${option}", or out of range (${min}-255).\n`);
  return value;
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** A value with a mask, `0x4000/0xff00`; without one the mask is all ones. Null for what is none. */
export function parseMasked(text: string): { readonly value: number; readonly mask: number } | null {
  const [first = '', second] = text.split('/');
  const value = parseNumber(first);
  const mask = second === undefined ? 0xffffffff : parseNumber(second);
  return value === null || mask === null ? null : { value, mask };
}

/** The one time that an option is given, undefined if never. @throws XtablesError if more often */
export function once(
  module: string,
  given: readonly Given[],
  ...options: readonly string[]
): Given | undefined {
  const found = given.filter(({ option }) => options.includes(option));
  if (found.length > 1) throw usage(`${module}: option "${found[0]!.option}" can only be used once.`);
  return found[0];
}

/** An address with a mask, which may have gaps. */
export interface Network {
  readonly addr: IpAddress;
  readonly mask: IpAddress;
}

const ALL_ONES6: Ip6 = '\xff'.repeat(IP6_LENGTH);
const ALL_ONES: Readonly<Record<IpFamily, IpAddress>> = { inet: 0xffffffff, inet6: ALL_ONES6 };

/** The mask of a single address. */
export function hostMask(family: IpFamily): IpAddress {
  return ALL_ONES[family];
}

/** An address with a prefix length or mask, as `-s` takes it. @throws XtablesError */
export function parseNetwork(text: string, family: IpFamily): Network {
  const [host = '', suffix] = text.split('/');
  const addr = family === 'inet' ? parseHost4(host, suffix) : parseIp6(host);
  if (addr === null) throw usage(`host/network \`${host}' not found`);
  const mask = suffix === undefined ? ALL_ONES[family] : parseMask(suffix, family);
  if (mask === null) throw usage(`invalid mask \`${suffix}' specified`);
  return { addr: maskIp(addr, mask), mask };
}

/** `10/8` is 10.0.0.0/8. */
function parseHost4(host: string, suffix: string | undefined): number | null {
  const padded = suffix === undefined ? host : [...host.split('.'), '0', '0', '0'].slice(0, 4).join('.');
  return parseIp4(host) ?? parseIp4(padded);
}

/** A prefix length or a mask; null for what is neither. */
export function parseMask(text: string, family: IpFamily): IpAddress | null {
  const bits = family === 'inet' ? 32 : 128;
  if (!/^\d{1,3}$/.test(text)) return family === 'inet' ? parseIp4(text) : parseIp6(text);
  const length = Number(text);
  if (length > bits) return null;
  return family === 'inet' ? prefixMask(length) >>> 0 : maskIp6(ALL_ONES6, length);
}

/** Prefix length of a mask, null if it has gaps. */
function maskLength(mask: IpAddress): number | null {
  if (typeof mask === 'number') {
    const inverse = ~mask >>> 0;
    return (inverse & (inverse + 1)) === 0 ? Math.clz32(inverse) : null;
  }
  const length = commonBits6(mask, ALL_ONES6);
  return maskIp6(ALL_ONES6, length) === mask ? length : null;
}

/** Whether the mask leaves every address in. */
export function isEverything({ mask }: Network): boolean {
  return maskLength(mask) === 0;
}

/** As -S prints it, `10.0.0.1/32`. */
export function formatNetwork({ addr, mask }: Network): string {
  return `${formatIp(addr)}/${maskLength(mask) ?? formatIp(mask)}`;
}

/** What stands behind an address that has a mask of its own: `/24`, `/255.0.255.0`, nothing for a single address. */
export function formatMaskOf({ mask }: Network): string {
  return mask === ALL_ONES[familyOf(mask)] ? '' : `/${maskLength(mask) ?? formatIp(mask)}`;
}

/** As -L prints it: the length of a single address is left out. */
export function listNetwork(network: Network): string {
  const { addr, mask } = network;
  return mask === ALL_ONES[familyOf(mask)] ? formatIp(addr) : formatNetwork(network);
}

/** An address of 32 bits as one signed word, one of 128 as four. */
export function wordsOf(address: IpAddress): readonly number[] {
  if (typeof address === 'number') return [address | 0];
  return [0, 1, 2, 3].map((word) => ip6Word(address, word) | 0);
}

/** Whether addresses of the network's family are in it. */
export function networkMatch({ addr, mask }: Network): (address: IpAddress) => boolean {
  if (typeof addr === 'number' && typeof mask === 'number')
    return (address) => typeof address === 'number' && ((address ^ addr) & mask) === 0;
  const wanted = wordsOf(addr);
  const bits = wordsOf(mask);
  return (address) =>
    typeof address === 'string' && wanted.every((word, i) => ((ip6Word(address, i) ^ word) & bits[i]!) === 0);
}

/** A port by number or name. @throws XtablesError */
export function parsePort(text: string, proto: number): number {
  const port = parseNumber(text, 0, 0xffff) ?? servicePort(text, protocolName(proto) ?? '');
  if (port === null) throw usage(`invalid port/service \`${text}' specified`);
  return port;
}

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** `80`, `80:90`, `:90`, `80:`. @throws XtablesError */
export function parsePortRange(text: string, proto: number): PortRange {
  const [first = '', second] = text.split(':');
  if (second === undefined) {
    const port = parsePort(first, proto);
    return { from: port, to: port };
  }
  const from = first === '' ? 0 : parsePort(first, proto);
  const to = second === '' ? 0xffff : parsePort(second, proto);
  if (from > to) throw usage('invalid portrange (min > max)');
  return { from, to };
}

export function savePorts({ from, to }: PortRange): string {
  return from === to ? String(from) : `${from}:${to}`;
}

/** By name where the port has one. */
export function listPort(port: number, proto: number, numeric: boolean): string {
  return (numeric ? null : serviceName(port, protocolName(proto) ?? '')) ?? String(port);
}

export function listPorts({ from, to }: PortRange, proto: number, numeric: boolean): string {
  const first = listPort(from, proto, numeric);
  return from === to ? first : `${first}:${listPort(to, proto, numeric)}`;
}

/** Text as -S quotes it: in double quotes where a shell would part it. */
export function quoted(text: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(text) && text !== '') return text;
  return `"${text.replace(/["\\']/g, (mark) => `\\${mark}`)}"`;
}
