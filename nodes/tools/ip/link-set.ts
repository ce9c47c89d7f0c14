import { parseMac } from '../../../protocols/mac.ts';
import { BridgeDevice } from '../../kernel/bridge.ts';
import type { Device } from '../../kernel/device.ts';
import { IpvlanDevice } from '../../kernel/ipvlan.ts';
import { MacvlanDevice } from '../../kernel/macvlan.ts';
import type { Netns } from '../../kernel/netns.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, refused, requireDevice, takeDevice } from './context.ts';
import { parseBridge, parseIpvlan, parseMacvlan } from './link-types.ts';
import { linkNamespace } from './namespaces.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, invalidArgument, notEmulated, type Words } from './words.ts';

const MTU_MIN = 68;
const MTU_MAX = 65_535;

type Change = (ns: Netns, device: Device) => void;

/** Settings of `ip link set` that iproute2 has and the emulated devices have not. */
const UNKNOWN_SETTINGS = new Set([
  ...[
    'arp',
    'dynamic',
    'multicast',
    'allmulticast',
    'promisc',
    'trailers',
    'carrier',
    'txqueuelen',
    'broadcast',
  ],
  ...['brd', 'link-netns', 'link-netnsid', 'alias', 'vf', 'xdp', 'vrf', 'group', 'addrgenmode', 'protodown'],
  ...['gso_max_size', 'gso_max_segs', 'gro_max_size', 'txqlen', 'qlen', 'index'],
]);

/** `ip link set`. @throws ToolError */
export function linkSet(words: Words, ctx: IpContext): void {
  const changes: Change[] = [];
  let dev: string | null = null;
  let target: Netns | null = null;
  let rename: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'up') changes.push((ns, device) => ns.setUp(device.name));
    else if (word === 'down') changes.push((ns, device) => ns.setDown(device.name));
    else if (word === 'mtu') changes.push(mtuChange(words.argument()));
    else if (word === 'address') changes.push(macChange(words.argument()));
    else if (word === 'master') changes.push(masterChange(ctx.ns, words.argument()));
    else if (word === 'nomaster') changes.push((ns, device) => ns.setMaster(device.name, null));
    else if (word === 'netns') {
      const name = words.argument();
      target = linkNamespace(ctx.tool.kernel, name) ?? null;
      if (target === null) throw invalidArgument(name, 'Invalid "netns" value\n');
    } else if (word === 'name') rename = nameOf(words.argument());
    else if (word === 'type') changes.push(typeChange(words));
    else if (UNKNOWN_SETTINGS.has(word)) throw notEmulated(`ip link set ${word}`);
    else dev = takeDevice(dev, word === 'dev' ? words.argument() : word);
  }
  if (dev === null) throw new ToolError('Not enough information: "dev" argument is required.', EXIT_USAGE);
  const device = requireDevice(ctx.ns, dev);
  // In the order of `do_setlink`: the namespace first, then the rest there.
  if (target !== null && target !== ctx.ns)
    change(() => ctx.ns.links.move(device.name, target, rename ?? device.name));
  else if (rename !== null) change(() => ctx.ns.links.rename(device.name, rename));
  for (const apply of changes) change(() => apply(device.ns, device));
}

function nameOf(word: string): string {
  if (word === '' || word.length > 15 || /[/\s]/.test(word))
    throw new ToolError(`Error: argument "${word}" is wrong: "name" not a valid ifname`, EXIT_USAGE);
  return word;
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

/** Settings of a kind of device that can be changed. */
function typeChange(words: Words): Change {
  const kind = words.argument();
  switch (kind) {
    case 'bridge': {
      const settings = parseBridge(words);
      return (ns, device) => {
        if (!(device instanceof BridgeDevice)) throw otherKind();
        ns.links.configureBridge(device, settings);
      };
    }
    case 'macvlan': {
      const mode = parseMacvlan(words);
      return (ns, device) => {
        if (!(device instanceof MacvlanDevice)) throw otherKind();
        if (mode !== null) ns.links.setMacvlanMode(device, mode);
      };
    }
    case 'ipvlan': {
      const { mode, flag } = parseIpvlan(words);
      return (ns, device) => {
        if (!(device instanceof IpvlanDevice)) throw otherKind();
        ns.links.configureIpvlan(device, mode ?? device.mode, flag);
      };
    }
    default:
      throw notEmulated(`ip link set type ${kind}`);
  }
}

function otherKind(): ToolError {
  return refused('RTNETLINK answers: Operation not supported');
}
