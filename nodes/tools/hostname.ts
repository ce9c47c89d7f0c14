import { formatIp } from '../../protocols/ip.ts';
import { getopt } from './getopt.ts';
import type { Command } from './tool.ts';
import { ToolError } from './tool.ts';

/** hostname(1): the name; `-I` the addresses, `-s` the name up to the first dot. It cannot be set. */
export const hostname: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: 'sI', values: '' });
  if (!parsed.ok) throw new ToolError(`hostname: invalid option -- '${parsed.name}'`, 255);
  if (parsed.operands.length > 0)
    throw new ToolError('hostname: you must be root to change the host name', 1);
  const flags = new Set(parsed.options.map((option) => option.name));
  if (flags.has('I')) {
    const devices = ctx.ns.devices().filter((device) => device.kind !== 'loopback' && device.up);
    // As getifaddrs(3) lists them, without those of a link.
    const all = [
      ...devices.flatMap((device) => device.addresses.map(({ addr }) => formatIp(addr))),
      ...devices.flatMap(({ inet6 }) =>
        inet6.addresses.filter(({ scope }) => scope !== 'link').map(({ addr }) => formatIp(addr)),
      ),
    ];
    out.stdout(`${all.map((address) => `${address} `).join('')}\n`);
    return 0;
  }
  const name = ctx.hostname;
  if (name === undefined) throw new ToolError('hostname: this namespace has no host name', 1);
  out.stdout(`${flags.has('s') ? name.split('.')[0] : name}\n`);
  return 0;
};
