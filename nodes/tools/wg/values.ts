import { type IpPrefix, parseIp, parseIpPrefix } from '../../../protocols/ip.ts';
import { parseKey } from '../../../protocols/wireguard/crypto.ts';
import type { WireguardPeerSettings } from '../../kernel/tunnels/wireguard.ts';
import { type ToolContext, ToolError, type ToolOutput } from '../tool.ts';

/** Values of wg's settings, as arguments and configuration files have them (config.c). What is wrong with one is a `ToolError`. */

export function keyOf(text: string): Uint8Array {
  const key = parseKey(text);
  if (key === null) throw new ToolError(`Key is not the correct length or format: \`${text}'`, 1);
  return key;
}

/** Text of the standard input, of nothing, or of a file that the namespace sees; null if there is none. */
export function readFile(path: string, ctx: ToolContext): string | null {
  if (path === '/dev/null') return '';
  return path === '/dev/stdin' ? (ctx.stdin ?? '') : (ctx.files?.(path) ?? null);
}

/** Characters of a key in base64. */
const KEY_TEXT = 44;

/** The key in a file; null where that is empty, which takes a key away. */
export function keyFile(path: string, ctx: ToolContext): Uint8Array | null {
  const text = readFile(path, ctx);
  if (text === null) throw new ToolError('fopen: No such file or directory', 1);
  if (text === '') return null;
  if (text.length < KEY_TEXT) throw new ToolError('Invalid length key in key file', 1);
  const rest = /\S/.exec(text.slice(KEY_TEXT));
  if (rest !== null) throw new ToolError(`Found trailing character in key file: \`${rest[0]}'`, 1);
  return keyOf(text.slice(0, KEY_TEXT));
}

/** Of larger numbers getaddrinfo(3) takes the lower 16 bits. */
export function portOf(text: string): number {
  const port = portNumber(text);
  if (port === null) throw new ToolError(`Servname not supported for ai_socktype: \`${text}'`, 1);
  return port;
}

function portNumber(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) & 0xffff : null;
}

export function markOf(text: string): number {
  const mark = text === 'off' ? 0 : /^(0x[0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(mark <= 0xffff_ffff)) throw new ToolError(`Fwmark is neither 0/off nor 0-0xffffffff: \`${text}'`, 1);
  return mark;
}

export function keepaliveOf(text: string): number {
  const seconds = text === 'off' ? 0 : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= 65_535))
    throw new ToolError(`Persistent keepalive interval is neither 0/off nor 1-65535: \`${text}'`, 1);
  return seconds;
}

export function endpointOf(text: string): NonNullable<WireguardPeerSettings['endpoint']> {
  const wrong = (why: string) => new ToolError(`${why}: \`${text}'`, 1);
  const end = text.startsWith('[') ? text.indexOf(']') : text.lastIndexOf(':');
  if (text.startsWith('[') && end < 0) throw wrong('Unable to find matching brace of endpoint');
  const host = text.startsWith('[') ? text.slice(1, end) : text.slice(0, Math.max(end, 0));
  const behind = text.startsWith('[') ? text.slice(end + 1) : text.slice(end);
  if (end < 0 || !behind.startsWith(':') || behind.length === 1)
    throw wrong('Unable to find port of endpoint');
  const addr = parseIp(host);
  if (addr === null) throw wrong('Name or service not known');
  const port = portNumber(behind.slice(1));
  if (port === null) throw wrong('Servname not supported for ai_socktype');
  return { addr, port };
}

/** What there is to remark goes to stderr. */
export function allowedIpsOf(text: string, out: Pick<ToolOutput, 'stderr'>): IpPrefix[] {
  if (text === '') return [];
  return text.split(',').map((word) => {
    const [address = '', bits, ...rest] = word.split('/');
    const addr = parseIp(address);
    if (addr === null) throw new ToolError(`Unable to parse IP address: \`${address}'`, 1);
    const decimal = bits === undefined || /^\d+$/.test(bits);
    const prefix = parseIpPrefix(bits === undefined ? address : `${address}/${Number(bits)}`);
    if (!decimal || rest.length > 0 || prefix === null)
      throw new ToolError(`AllowedIP is not in the correct format: \`${word}'`, 1);
    if (prefix.addr !== addr) out.stderr(`Warning: AllowedIP has nonzero host part: ${word}\n`);
    return prefix;
  });
}
