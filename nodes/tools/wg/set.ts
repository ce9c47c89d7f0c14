import { type IpPrefix, parseIp, parseIpPrefix } from '../../../protocols/ip.ts';
import { parseKey } from '../../../protocols/wireguard/crypto.ts';
import { NetlinkError } from '../../kernel/netlink.ts';
import type {
  WireguardDevice,
  WireguardPeerSettings,
  WireguardSettings,
} from '../../kernel/tunnels/wireguard.ts';
import { type ToolContext, ToolError } from '../tool.ts';
import { SET_USAGE } from './usage.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface PeerChange {
  readonly publicKey: Uint8Array;
  remove: boolean;
  readonly settings: Mutable<WireguardPeerSettings>;
}

/** `wg set DEV …`: everything is read before anything is changed. @throws ToolError */
export function set(device: () => WireguardDevice, args: readonly string[], ctx: ToolContext): void {
  const settings: Mutable<WireguardSettings> = {};
  const peers: PeerChange[] = [];
  let at = 0;
  const value = (): string => {
    const word = args[at++];
    if (word === undefined) throw new ToolError(SET_USAGE, 1);
    return word;
  };
  while (at < args.length) {
    const word = args[at++]!;
    const peer = peers.at(-1);
    if (word === 'peer') peers.push({ publicKey: keyOf(value()), remove: false, settings: {} });
    else if (peer === undefined) {
      if (at === args.length) throw new ToolError(`Invalid argument: ${word}`, 1);
      if (word === 'listen-port') settings.listenPort = portOf(value());
      else if (word === 'fwmark') settings.fwmark = markOf(value());
      else if (word === 'private-key') settings.privateKey = keyFile(value(), ctx);
      else throw new ToolError(`Invalid argument: ${word}`, 1);
    } else if (word === 'remove') peer.remove = true;
    else {
      if (at === args.length) throw new ToolError(`Invalid argument: ${word}`, 1);
      if (word === 'preshared-key') peer.settings.presharedKey = keyFile(value(), ctx);
      else if (word === 'endpoint') peer.settings.endpoint = endpointOf(value());
      else if (word === 'persistent-keepalive') peer.settings.persistentKeepalive = keepaliveOf(value());
      else if (word === 'allowed-ips') peer.settings.allowedIps = allowedIpsOf(value());
      else throw new ToolError(`Invalid argument: ${word}`, 1);
    }
  }
  const target = device();
  try {
    target.configure(settings);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    throw new ToolError(
      `Unable to modify interface: ${error.message.replace(/^RTNETLINK answers: /, '')}`,
      1,
    );
  }
  for (const { publicKey, remove, settings: change } of peers) {
    if (remove) target.removePeer(publicKey);
    else target.setPeer(publicKey, change);
  }
}

function keyOf(text: string): Uint8Array {
  const key = parseKey(text);
  if (key === null) throw new ToolError(`Key is not the correct length or format: \`${text}'`, 1);
  return key;
}

/** The key in a file; null where that is empty, which takes a key away. */
function keyFile(path: string, ctx: ToolContext): Uint8Array | null {
  const text =
    path === '/dev/null' ? '' : path === '/dev/stdin' ? (ctx.stdin ?? '') : (ctx.files?.(path) ?? null);
  if (text === null) throw new ToolError('fopen: No such file or directory', 1);
  if (text === '') return null;
  if (text.trim().length !== 44) throw new ToolError('Invalid length key in key file', 1);
  return keyOf(text.trim());
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 0xffff)
    throw new ToolError(`Servname not supported for ai_socktype: \`${text}'`, 1);
  return Number(text);
}

function markOf(text: string): number {
  const mark = text === 'off' ? 0 : /^(0x[0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(mark <= 0xffff_ffff)) throw new ToolError(`Fwmark is neither 0/off nor 0-0xffffffff: \`${text}'`, 1);
  return mark;
}

function keepaliveOf(text: string): number {
  const seconds = text === 'off' ? 0 : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= 65_535))
    throw new ToolError(`Persistent keepalive interval is neither 0/off nor 1-65535: \`${text}'`, 1);
  return seconds;
}

function endpointOf(text: string): NonNullable<WireguardPeerSettings['endpoint']> {
  const [, six, four, port] = /^(?:\[([^\]]*)\]|([^:]*)):(.*)$/.exec(text) ?? [];
  const host = six ?? four;
  if (host === undefined || port === undefined)
    throw new ToolError(`Unable to find port of endpoint: \`${text}'`, 1);
  const addr = parseIp(host);
  if (addr === null) throw new ToolError(`Name or service not known: \`${text}'`, 1);
  return { addr, port: portOf(port) };
}

function allowedIpsOf(text: string): IpPrefix[] {
  if (text === '') return [];
  return text.split(',').map((word) => {
    const [address = '', ...rest] = word.split('/');
    if (parseIp(address) === null) throw new ToolError(`Unable to parse IP address: \`${address}'`, 1);
    const prefix = rest.length > 1 ? null : parseIpPrefix(word);
    if (prefix === null) throw new ToolError(`AllowedIP is not in the correct format: \`${word}'`, 1);
    return prefix;
  });
}
