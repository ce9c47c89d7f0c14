import { parseMac } from '../../../protocols/mac.ts';
import type { Device } from '../../kernel/device.ts';
import type { Netns } from '../../kernel/netns.ts';
import { formatLinks } from '../format/links.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, linksOf, refused, requireDevice, takeDevice } from './context.ts';
import { LinkSelection } from './selection.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, invalidArgument, notEmulated, usage, type Words } from './words.ts';

const USAGE = `Usage: ip link delete { DEVICE | dev DEVICE }

	ip link set { DEVICE | dev DEVICE } [ { up | down } ]
		[ address LLADDR ]
		[ mtu MTU ]
		[ master DEVICE ]
		[ nomaster ]

	ip link show [ DEVICE ] [up] [master DEV] [type TYPE] [nomaster]`;

const MTU_MIN = 68;
const MTU_MAX = 65_535;

const LINK: Subcommands = {
  object: 'ip link',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    add: null,
    set,
    change: set,
    replace: null,
    delete: remove,
    show,
    lst: show,
    list: show,
    xstats: null,
    afstats: null,
    property: null,
  },
};

/** `ip link`. @throws ToolError */
export function ipLink(args: readonly string[], ctx: IpContext): void {
  runSubcommand(LINK, args, ctx);
}

function show(words: Words, ctx: IpContext): void {
  const selection = new LinkSelection(ctx);
  for (let word = words.next(); word !== undefined; word = words.next()) selection.take(word, words);
  const { style, json, details } = ctx.options;
  const text = formatLinks(linksOf(ctx.ns), {
    ns: ctx.ns.name,
    style,
    only: selection.matches,
    ...(json === undefined ? {} : { json }),
    ...(details === undefined ? {} : { details }),
  });
  ctx.out.stdout(text);
}

type Change = (ns: Netns, device: Device) => void;

/** Settings of `ip link set` that iproute2 has and the emulated devices have not. */
const UNKNOWN_SETTINGS = new Set([
  ...['arp', 'dynamic', 'multicast', 'allmulticast', 'promisc', 'trailers', 'carrier', 'txqueuelen', 'name'],
  ...[
    'broadcast',
    'brd',
    'netns',
    'link-netns',
    'link-netnsid',
    'alias',
    'vf',
    'xdp',
    'vrf',
    'type',
    'group',
  ],
  ...['addrgenmode', 'protodown', 'gso_max_size', 'gso_max_segs', 'gro_max_size', 'txqlen', 'qlen', 'index'],
]);

function set(words: Words, ctx: IpContext): void {
  const changes: Change[] = [];
  let dev: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'up') changes.push((ns, device) => ns.setUp(device.name));
    else if (word === 'down') changes.push((ns, device) => ns.setDown(device.name));
    else if (word === 'mtu') changes.push(mtuChange(words.argument()));
    else if (word === 'address') changes.push(macChange(words.argument()));
    else if (word === 'master') changes.push(masterChange(ctx.ns, words.argument()));
    else if (word === 'nomaster') changes.push((ns, device) => ns.setMaster(device.name, null));
    else if (UNKNOWN_SETTINGS.has(word)) throw notEmulated(`ip link set ${word}`);
    else dev = takeDevice(dev, word === 'dev' ? words.argument() : word);
  }
  if (dev === null) throw new ToolError('Not enough information: "dev" argument is required.', EXIT_USAGE);
  const device = requireDevice(ctx.ns, dev);
  for (const apply of changes) change(() => apply(ctx.ns, device));
}

function mtuChange(word: string): Change {
  if (!/^\d{1,9}$/.test(word)) throw invalidArgument(word, 'Invalid "mtu" value\n');
  const mtu = Number(word);
  return (ns, device) => {
    if (mtu < MTU_MIN) throw refused('Error: mtu less than device minimum.');
    if (mtu > MTU_MAX && device.kind !== 'loopback') throw refused('Error: mtu greater than device maximum.');
    ns.setMtu(device.name, mtu);
  };
}

function macChange(word: string): Change {
  const mac = parseMac(word);
  if (mac === null) throw new ToolError(`"${word}" is invalid lladdr.`, EXIT_ARGUMENT);
  return (ns, device) => {
    if (!device.hasLinkLayer) throw refused('RTNETLINK answers: Operation not supported');
    ns.setMac(device.name, mac);
  };
}

function masterChange(ns: Netns, name: string): Change {
  const master = ns.device(name);
  if (master === undefined) throw invalidArgument(name, 'Device does not exist\n');
  return (_, device) => {
    if (device.kind === 'bridge' && master.kind === 'bridge')
      throw refused('Error: Can not enslave a bridge to a bridge.');
    if (device.kind === 'loopback') throw refused('RTNETLINK answers: Invalid argument');
    if (device.master?.name === name) return;
    ns.setMaster(device.name, name);
  };
}

function remove(words: Words, ctx: IpContext): void {
  let dev: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'type') words.argument();
    else if (word === 'group') throw notEmulated('ip link delete group');
    else dev = takeDevice(dev, word === 'dev' ? words.argument() : word);
  }
  if (dev === null) throw new ToolError('Not enough information: "dev" argument is required.', EXIT_USAGE);
  const device = requireDevice(ctx.ns, dev);
  if (device.kind === 'loopback' || device.kind === 'ether')
    throw refused('RTNETLINK answers: Operation not supported');
  change(() => ctx.ns.removeDevice(device.name));
}
