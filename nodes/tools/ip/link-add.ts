import { familyOf } from '../../../protocols/ip.ts';
import { isGroupMac, parseMac } from '../../../protocols/mac.ts';
import type { Netns } from '../../kernel/netns.ts';
import { isTap } from '../../kernel/tunnels/tunnel-device.ts';
import { WIREGUARD_MTU } from '../../kernel/tunnels/wireguard.ts';
import { type VxlanOptions, vxlanHeadroom } from '../../kernel/vxlan.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, refused, requireDevice } from './context.ts';
import { type LinkType, parseLinkType } from './link-types.ts';
import { linkNamespace } from './namespaces.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, garbage, invalidArgument, notEmulated, Words } from './words.ts';

/** What is said of a link whatever its kind; null where nothing is. */
interface Common {
  readonly name: string | null;
  readonly parent: string | null;
  readonly mac: number | null;
  readonly mtu: number | null;
  readonly ns: Netns | null;
}

/** `IFNAMSIZ` without its NUL. */
const NAME_LENGTH = 15;
const MTU_MIN = 68;
const MTU_MAX = 65_535;
const QUIET = ['txqueuelen', 'qlen', 'txqlen', 'numtxqueues', 'numrxqueues', 'index'];
const UNKNOWN = [
  'broadcast',
  'brd',
  'alias',
  'group',
  'vrf',
  'parentdev',
  'link-netns',
  'link-netnsid',
  'addrgenmode',
];

/** `ip link add`. @throws ToolError */
export function linkAdd(words: Words, ctx: IpContext): void {
  let type: LinkType | null = null;
  const common = parseCommon(words, ctx, () => {
    type = parseLinkType(words, ctx);
  });
  // The compiler does not see the assignment in the callback.
  const parsed = type as LinkType | null;
  if (parsed === null)
    throw new ToolError('Not enough information: "type" argument is required', EXIT_ARGUMENT);
  if (common.mtu !== null && common.mtu < MTU_MIN) throw refused('Error: mtu less than device minimum.');
  if (common.mtu !== null && common.mtu > MTU_MAX) throw refused('Error: mtu greater than device maximum.');
  if (common.mac !== null && !isStationMac(common.mac) && kindOf(parsed) !== 'ipvlan')
    throw refused(
      kindOf(parsed) === 'vlan'
        ? 'Error: 8021q: Invalid link address.'
        : 'RTNETLINK answers: Cannot assign requested address',
    );
  change(() => create(ctx, common, parsed));
}

/** @throws ToolError */
function parseCommon(words: Words, ctx: IpContext, onType: (() => void) | null): Common {
  let name: string | null = null;
  let parent: string | null = null;
  let mac: number | null = null;
  let mtu: number | null = null;
  let ns: Netns | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'type' && onType !== null) {
      onType();
      break;
    }
    if (word === 'link') {
      parent = words.argument();
      requireDevice(ctx.ns, parent);
    } else if (word === 'address') {
      const text = words.argument();
      mac = parseMac(text);
      if (mac === null) throw new ToolError(`"${text}" is invalid lladdr.`, EXIT_ARGUMENT);
    } else if (word === 'mtu') {
      const text = words.argument();
      if (!/^\d{1,9}$/.test(text)) throw invalidArgument(text, 'Invalid "mtu" value\n');
      mtu = Number(text);
    } else if (word === 'netns') {
      const text = words.argument();
      ns = linkNamespace(ctx.tool.kernel, text) ?? null;
      if (ns === null) throw invalidArgument(text, 'Invalid "netns" value\n');
    } else if (QUIET.includes(word)) words.argument();
    else if (UNKNOWN.includes(word)) throw notEmulated(`ip link add ${word}`);
    else {
      const text = word === 'name' || word === 'dev' ? words.argument() : word;
      if (name !== null) throw garbage('dev', text);
      name = text;
      if (/[/\s]/.test(name) || name === '.' || name === '..')
        throw new ToolError(`Error: argument "${name}" is wrong: "dev" not a valid ifname`, EXIT_USAGE);
    }
  }
  if (name !== null && name.length > NAME_LENGTH) throw refused('Error: Attribute failed policy validation.');
  return { name, parent, mac, mtu, ns };
}

function kindOf(type: LinkType): string {
  if (type.kind === 'upper') return type.upper.kind;
  return type.kind === 'tunnel' ? type.tunnel.kind : type.kind;
}

/** `is_valid_ether_addr` */
function isStationMac(mac: number): boolean {
  return mac !== 0 && !isGroupMac(mac);
}

function create(ctx: IpContext, common: Common, type: LinkType): void {
  const ns = common.ns ?? ctx.ns;
  const kind = kindOf(type);
  const name = common.name ?? freeName(ns, kind);
  const mac = common.mac ?? randomMac(ctx);
  const { mtu } = common;
  switch (type.kind) {
    case 'bridge': {
      const bridge = ns.addBridge({ name, mac, mtu: mtu ?? 1500 });
      bridge.macSet = common.mac !== null;
      bridge.mtuSet = mtu !== null;
      if (Object.keys(type.settings).length > 0) ns.links.configureBridge(bridge, type.settings);
      return;
    }
    case 'dummy':
      ns.addDummy({ name, mac, mtu: mtu ?? 1500 });
      return;
    case 'wireguard':
      ns.links.addWireguard({ name, mtu: mtu ?? WIREGUARD_MTU });
      return;
    case 'veth': {
      const peer = parseCommon(new Words(type.peer), ctx, null);
      const peerNs = peer.ns ?? ctx.ns;
      const peerName = peer.name ?? freeName(peerNs, 'veth', peerNs === ns ? [name] : []);
      ns.addVeth({
        name,
        mac,
        mtu: mtu ?? 1500,
        peer: { ns: peerNs, name: peerName, mac: peer.mac ?? randomMac(ctx) },
      });
      if ((peer.mtu ?? mtu) !== null && peer.mtu !== mtu) peerNs.setMtu(peerName, peer.mtu ?? 1500);
      return;
    }
    case 'tunnel': {
      const { tunnel } = type;
      const own = isTap(tunnel.kind) ? mac : 0;
      ns.links.addTunnel({ name, mac: own, ...(mtu === null ? {} : { mtu }) }, tunnel);
      return;
    }
    case 'vxlan':
      createVxlan(ctx, ns, { name, mac, mtu }, type.vxlan);
      return;
    case 'upper': {
      if (common.parent === null)
        throw refused(
          kind === 'vlan' ? 'Error: 8021q: link not specified.' : 'RTNETLINK answers: Invalid argument',
        );
      const below = requireDevice(ctx.ns, common.parent);
      // A device on one of its own kind stands on the same device as that.
      const parent = below.kind === kind && kind !== 'vlan' ? (below.lower() ?? below) : below;
      const own = kind === 'macvlan' || common.mac !== null ? { mac } : {};
      ns.links.addUpper({ name, parent, upper: type.upper, ...own, ...(mtu === null ? {} : { mtu }) });
    }
  }
}

function createVxlan(
  ctx: IpContext,
  ns: Netns,
  { name, mac, mtu }: { name: string; mac: number; mtu: number | null },
  vxlan: VxlanOptions,
): void {
  const { link = null, local } = vxlan;
  const most = link === null ? 1500 : link.mtu - vxlanHeadroom(familyOf(local));
  ctx.ns.addVxlan({ name, mac, mtu: mtu ?? Math.max(most, MTU_MIN), ...vxlan });
  if (ns !== ctx.ns) ctx.ns.links.move(name, ns);
}

/** The first of a kind's names that is free: `bridge0`. */
function freeName(ns: Netns, kind: string, taken: readonly string[] = []): string {
  for (let n = 0; ; n++) {
    const name = `${kind}${n}`;
    if (ns.device(name) === undefined && !taken.includes(name)) return name;
  }
}

/** A locally administered unicast address (`eth_hw_addr_random`). */
function randomMac(ctx: IpContext): number {
  const { random } = ctx.tool.rt;
  const first = (random.int(0, 255) & 0xfc) | 2;
  return first * 2 ** 40 + random.int(0, 0xff_ffff) * 2 ** 16 + random.int(0, 0xffff);
}
