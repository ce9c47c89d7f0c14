import { broadcastOf, formatIp4, prefixMask } from '../../../protocols/ip4.ts';
import { formatIp6 } from '../../../protocols/ip6.ts';
import type { Device } from '../../kernel/device.ts';
import { LinkNames } from '../format/link-names.ts';
import { getopt } from '../getopt.ts';
import { type Command, ToolError } from '../tool.ts';

/** ifconfig(8) of net-tools, to look at devices; it does not change them. Packets are not counted here, so it shows no counts. */
export const ifconfig: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: 'av', values: '' });
  if (!parsed.ok) {
    if (parsed.name === 's') throw new ToolError('ifconfig: -s: packets are not counted', 1);
    throw new ToolError(
      `ifconfig: option \`-${parsed.name}' not recognised.\nifconfig: \`--help' gives usage information.`,
      1,
    );
  }
  const [name, ...more] = parsed.operands.map(({ text }) => text);
  if (more.length > 0)
    throw new ToolError('ifconfig: changing a device is not emulated: use ip link and ip address', 1);
  const devices = ctx.ns.devices();
  const names = new LinkNames(
    devices.map((device) => device.facts()),
    ctx.ns.name,
  );
  const all = parsed.options.some((option) => option.name === 'a');
  const shown =
    name === undefined
      ? devices.filter((device) => all || device.up)
      : devices.filter((device) => device.name === name);
  if (name !== undefined && shown.length === 0)
    throw new ToolError(`${name}: error fetching interface information: Device not found`, 1);
  // By name, but lo comes where it comes: net-tools sorts as /proc/net/dev is sorted by it.
  const ordered = [...shown].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  out.stdout(ordered.map((device) => `${describe(device, names)}\n`).join(''));
  return 0;
};

const FLAGS: readonly (readonly [name: string, bit: number])[] = [
  ['UP', 0x1],
  ['BROADCAST', 0x2],
  ['LOOPBACK', 0x8],
  ['POINTOPOINT', 0x10],
  ['RUNNING', 0x40],
  ['NOARP', 0x80],
  ['PROMISC', 0x100],
  ['MULTICAST', 0x1000],
];

const SCOPES = { global: [0x0, 'global'], link: [0x20, 'link'], host: [0x10, 'host'] } as const;

function describe(device: Device, names: LinkNames): string {
  const facts = device.facts();
  const { flags: kindFlags, txqlen } = names.traits(facts);
  const set = new Set<string>(kindFlags);
  if (device.up) set.add('UP');
  if (device.up && device.carrier) set.add('RUNNING');
  const present = FLAGS.filter(([name]) => set.has(name));
  const bits = present.reduce((sum, [, bit]) => sum | bit, 0);
  const lines = [
    `${device.name}: flags=${bits}<${present.map(([name]) => name).join(',')}>  mtu ${device.mtu}`,
  ];
  // An address beyond the first would need a label of its own to be shown.
  const [first] = device.addresses;
  if (first !== undefined) {
    const broadcast =
      set.has('BROADCAST') && first.len < 31
        ? `  broadcast ${formatIp4(broadcastOf({ addr: (first.addr & prefixMask(first.len)) >>> 0, len: first.len }))}`
        : '';
    lines.push(
      `        inet ${formatIp4(first.addr)}  netmask ${formatIp4(prefixMask(first.len))}${broadcast}`,
    );
  }
  for (const { addr, len, scope } of device.inet6.addresses) {
    const [value, name] = SCOPES[scope];
    lines.push(
      `        inet6 ${formatIp6(addr)}  prefixlen ${len}  scopeid 0x${value.toString(16)}<${name}>`,
    );
  }
  if (device.kind === 'loopback') lines.push(`        loop  txqueuelen ${txqlen}  (Local Loopback)`);
  else if (facts.mac !== '') lines.push(`        ether ${facts.mac}  txqueuelen ${txqlen}  (Ethernet)`);
  else
    lines.push(
      `        unspec ${Array.from({ length: 16 }, () => '00').join('-')}  txqueuelen ${txqlen}  (UNSPEC)`,
    );
  return `${lines.join('\n')}\n`;
}
