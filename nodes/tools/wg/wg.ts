import {
  clampKey,
  formatKey,
  KEY_LENGTH,
  parseKey,
  publicKeyOf,
} from '../../../protocols/wireguard/crypto.ts';
import { WireguardDevice } from '../../kernel/tunnels/wireguard.ts';
import { type Command, type ToolContext, ToolError } from '../tool.ts';
import { applyChange } from './change.ts';
import { readConf } from './conf.ts';
import { set } from './set.ts';
import { confText, prettyText, scriptText } from './show.ts';
import { SET_USAGE, SHOW_USAGE, SHOWCONF_USAGE, USAGE } from './usage.ts';
import { readFile } from './values.ts';

/** wg(8) of wireguard-tools. Keys are read from the standard input (`/dev/stdin`) and the few files that there are. */
export const wg: Command = (args, ctx, out) => {
  const [command = 'show', ...rest] = args;
  const help = (usage: string) => (rest[0] === '--help' || rest[0] === '-h' ? usage : null);
  switch (command) {
    case 'help':
    case '--help':
    case '-h':
      out.stdout(USAGE);
      return 0;
    case '--version':
    case '-v':
      out.stdout('wireguard-tools v1.0.20210914 - https://git.zx2c4.com/wireguard-tools/\n');
      return 0;
    case 'show': {
      const usage = help(SHOW_USAGE);
      if (usage !== null) throw new ToolError(usage, 0);
      out.stdout(show(rest, ctx));
      return 0;
    }
    case 'showconf':
      if (rest.length !== 1) throw new ToolError(SHOWCONF_USAGE, 1);
      out.stdout(confText(deviceOf(rest[0]!, ctx, 'access')));
      return 0;
    case 'set': {
      const [name, ...settings] = rest;
      if (help('') !== null) throw new ToolError(SET_USAGE, 0);
      if (name === undefined || settings.length === 0) throw new ToolError(SET_USAGE, 1);
      set(() => deviceOf(name, ctx, 'modify'), settings, ctx, out);
      return 0;
    }
    case 'genkey':
    case 'genpsk': {
      if (rest.length > 0) throw new ToolError(`Usage: wg ${command}`, 1);
      const key = Uint8Array.from({ length: KEY_LENGTH }, () => ctx.rt.random.int(0, 255));
      out.stdout(`${formatKey(command === 'genkey' ? clampKey(key) : key)}\n`);
      return 0;
    }
    case 'pubkey': {
      if (rest.length > 0) throw new ToolError('Usage: wg pubkey', 1);
      const key = parseKey((ctx.stdin ?? '').trim());
      if (key === null) throw new ToolError('wg: Key is not the correct length or format', 1);
      out.stdout(`${formatKey(publicKeyOf(key))}\n`);
      return 0;
    }
    case 'setconf':
    case 'addconf':
    case 'syncconf': {
      const [name, path, ...more] = rest;
      if (name === undefined || path === undefined || more.length > 0)
        throw new ToolError(`Usage: wg ${command} <interface> <configuration filename>`, 1);
      const text = readFile(path, ctx);
      if (text === null) throw new ToolError('fopen: No such file or directory', 1);
      const change = parsing(() => readConf(text, command, out));
      applyChange(deviceOf(name, ctx, 'modify'), change);
      return 0;
    }
    default:
      throw new ToolError(`Invalid subcommand: \`${command}'\n${USAGE.trimEnd()}`, 1);
  }
};

/** A line that is wrong says so, and that the file is. */
function parsing<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ToolError) || error.message.endsWith('Invalid configuration')) throw error;
    throw new ToolError(`${error.message}\nConfiguration parsing error`, error.code);
  }
}

/** @throws ToolError */
function show(args: readonly string[], ctx: ToolContext): string {
  const [name = 'all', what, ...more] = args;
  if (more.length > 0) throw new ToolError(SHOW_USAGE, 1);
  const all = ctx.ns.devices().filter((device) => device instanceof WireguardDevice);
  if (name === 'interfaces') {
    if (what !== undefined) throw new ToolError(SHOW_USAGE, 1);
    return all.length === 0 ? '' : `${all.map((device) => device.name).join(' ')}\n`;
  }
  const devices = name === 'all' ? all : [deviceOf(name, ctx, 'access')];
  if (what === undefined) return devices.map((device) => prettyText(device, ctx.rt.now)).join('\n');
  return devices
    .map((device) => {
      const text = scriptText(device, what, name === 'all' ? `${device.name}\t` : '');
      if (text === null) throw new ToolError(`Invalid parameter: \`${what}'\n${SHOW_USAGE}`, 1);
      return text;
    })
    .join('');
}

/** @throws ToolError */
function deviceOf(name: string, ctx: ToolContext, verb: 'access' | 'modify'): WireguardDevice {
  const device = ctx.ns.device(name);
  if (device instanceof WireguardDevice) return device;
  const reason = device === undefined ? 'No such device' : 'Operation not supported';
  throw new ToolError(`Unable to ${verb} interface: ${reason}`, 1);
}
