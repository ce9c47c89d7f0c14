import { formatIp4, parseIp4, prefixMask } from '../../../../protocols/ip4.ts';
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

export interface Network {
  readonly addr: number;
  readonly mask: number;
}

/** An address with a prefix length or mask, as `-s` takes it. @throws XtablesError */
export function parseNetwork(text: string): Network {
  const [host = '', suffix] = text.split('/');
  // `10/8` is 10.0.0.0/8.
  const padded = suffix === undefined ? host : [...host.split('.'), '0', '0', '0'].slice(0, 4).join('.');
  const addr = parseIp4(host) ?? parseIp4(padded);
  if (addr === null) throw usage(`host/network \`${host}' not found`);
  const mask = suffix === undefined ? 0xffffffff : parseMask(suffix);
  if (mask === null) throw usage(`invalid mask \`${suffix}' specified`);
  return { addr: (addr & mask) >>> 0, mask };
}

function parseMask(text: string): number | null {
  if (/^\d{1,2}$/.test(text)) return Number(text) <= 32 ? prefixMask(Number(text)) >>> 0 : null;
  return parseIp4(text);
}

/** Prefix length of a mask, null if it has gaps. */
export function maskLength(mask: number): number | null {
  const inverse = ~mask >>> 0;
  return (inverse & (inverse + 1)) === 0 ? Math.clz32(inverse) : null;
}

/** As -S prints it, `10.0.0.1/32`. */
export function formatNetwork({ addr, mask }: Network): string {
  return `${formatIp4(addr)}/${maskLength(mask) ?? formatIp4(mask)}`;
}

/** As -L prints it: the length of 32 is left out. */
export function listNetwork(network: Network): string {
  if (network.mask === 0) return '';
  return network.mask === 0xffffffff ? formatIp4(network.addr) : formatNetwork(network);
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
