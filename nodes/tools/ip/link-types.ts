import { ETHERTYPE_8021AD, ETHERTYPE_8021Q } from '../../../protocols/vlan.ts';
import type { BridgeFacts } from '../../events/kernel.ts';
import type { IpvlanFlag, IpvlanMode } from '../../kernel/ipvlan.ts';
import type { MacvlanMode } from '../../kernel/macvlan.ts';
import type { TunnelOptions } from '../../kernel/tunnels/ip-tunnel.ts';
import type { Tunnel6Options } from '../../kernel/tunnels/ip6-tunnel.ts';
import type { UpperOptions } from '../../kernel/uppers.ts';
import type { VxlanOptions } from '../../kernel/vxlan.ts';
import { ToolError } from '../tool.ts';
import { type IpContext, refused } from './context.ts';
import { numberOf } from './rule-words.ts';
import { parseTunnel } from './tunnel-type.ts';
import { parseTunnel6 } from './tunnel6-type.ts';
import { parseVxlan } from './vxlan-type.ts';
import { EXIT_ARGUMENT, invalidArgument, notEmulated, type Words } from './words.ts';

/** What kind of link is to be made, with the settings of its kind. */
export type LinkType =
  | { readonly kind: 'bridge'; readonly settings: BridgeFacts }
  | { readonly kind: 'dummy' }
  | { readonly kind: 'wireguard' }
  | { readonly kind: 'veth'; readonly peer: readonly string[] }
  | { readonly kind: 'vxlan'; readonly vxlan: VxlanOptions }
  | { readonly kind: 'tunnel'; readonly tunnel: TunnelOptions | Tunnel6Options }
  | { readonly kind: 'upper'; readonly upper: UpperOptions };

/** Kinds that iproute2 knows and the emulation has no device of, or only one that a daemon makes. */
const OTHERS = [
  ...['amt', 'bareudp', 'bond', 'dsa', 'erspan', 'geneve', 'gtp', 'ifb'],
  ...['ipoib', 'ipvtap', 'macsec', 'macvtap', 'netdevsim', 'team', 'tun', 'vcan', 'vrf', 'vti'],
  'xfrm',
];

/** The words behind `type`. @throws ToolError */
export function parseLinkType(words: Words, ctx: IpContext): LinkType {
  const kind = words.argument();
  switch (kind) {
    case 'bridge':
      return { kind, settings: parseBridge(words) };
    case 'dummy':
    case 'wireguard':
      if (!words.done) throw unknownCommand(kind, words.argument());
      return { kind };
    case 'veth':
      return { kind, peer: parsePeer(words) };
    case 'vxlan':
      return { kind, vxlan: parseVxlan(words, ctx) };
    case 'ipip':
    case 'sit':
    case 'gre':
    case 'gretap':
      return { kind: 'tunnel', tunnel: parseTunnel(kind, words) };
    case 'ip6tnl':
    case 'ip6gre':
    case 'ip6gretap':
      return { kind: 'tunnel', tunnel: parseTunnel6(kind, words) };
    case 'vlan':
      return { kind: 'upper', upper: parseVlan(words) };
    case 'macvlan':
      return { kind: 'upper', upper: { kind, mode: parseMacvlan(words) ?? 'vepa' } };
    case 'ipvlan':
      return { kind: 'upper', upper: ipvlanOf(words) };
    default:
      if (OTHERS.includes(kind)) throw notEmulated(`ip link add type ${kind}`);
      throw refused('Error: Unknown device type.');
  }
}

function unknownCommand(kind: string, word: string): ToolError {
  return new ToolError(`${kind}: unknown command "${word}"?`, EXIT_ARGUMENT);
}

function unknownOption(kind: string, word: string): ToolError {
  return new ToolError(`${kind}: unknown option "${word}"?`, EXIT_ARGUMENT);
}

function onOff(words: Words, name: string): boolean {
  const word = words.argument();
  if (word !== 'on' && word !== 'off')
    throw new ToolError(`Error: argument of "${name}" must be "on" or "off", not "${word}"`, EXIT_ARGUMENT);
  return word === 'on';
}

const OTHER_BRIDGE_SETTINGS =
  /^(fdb_flush|group_addr(ess)?|no_linklocal_learn|vlan_stats_|mcast_(?!snooping$)|nf_call_)/;

/** Settings of a bridge, as `ip link add` and `set` have them behind `type bridge`. @throws ToolError */
export function parseBridge(words: Words): BridgeFacts {
  const settings: { -readonly [K in keyof BridgeFacts]: BridgeFacts[K] } = {};
  const value = (max: number, name: string) => numberOf(words.argument(), max, `invalid ${name}`);
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'forward_delay':
        settings.forwardDelay = value(0xffff_ffff, word);
        break;
      case 'hello_time':
        settings.helloTime = value(0xffff_ffff, word);
        break;
      case 'max_age':
        settings.maxAge = value(0xffff_ffff, word);
        break;
      case 'ageing_time':
        settings.ageingTime = value(0xffff_ffff, word);
        break;
      case 'priority':
        settings.priority = value(0xffff, word);
        break;
      case 'stp_state':
        if (value(0xffff_ffff, word) !== 0) throw notEmulated('the spanning tree of a bridge');
        break;
      case 'group_fwd_mask':
        settings.groupFwdMask = value(0xffff, word);
        // Those for spanning tree, pause frames and link aggregation stay here (`BR_GROUPFWD_RESTRICTED`).
        if ((settings.groupFwdMask & 7) !== 0) throw refused('RTNETLINK answers: Invalid argument');
        break;
      case 'vlan_filtering':
        settings.vlanFiltering = value(255, word) !== 0;
        break;
      case 'vlan_protocol': {
        const protocol = words.argument();
        if (protocol !== '802.1Q' && protocol !== '802.1ad')
          throw invalidArgument(protocol, 'invalid vlan_protocol');
        settings.vlanProtocol = protocol;
        break;
      }
      case 'vlan_default_pvid':
        settings.defaultPvid = value(0xffff, word);
        if (settings.defaultPvid > 4094) throw refused('RTNETLINK answers: Invalid argument');
        break;
      case 'mcast_snooping':
        settings.mcastSnooping = value(255, word) !== 0;
        break;
      default:
        if (OTHER_BRIDGE_SETTINGS.test(word)) throw notEmulated(`bridge ${word}`);
        throw unknownCommand('bridge', word);
    }
  }
  return settings;
}

function parsePeer(words: Words): string[] {
  const word = words.next();
  if (word === undefined) return [];
  if (word !== 'peer') throw unknownCommand('veth', word);
  const peer: string[] = [];
  for (let next = words.next(); next !== undefined; next = words.next()) peer.push(next);
  return peer;
}

function parseVlan(words: Words): UpperOptions {
  if (words.done) throw refused('Error: 8021q: VLAN properties not specified.');
  let id: number | null = null;
  let protocol: typeof ETHERTYPE_8021Q | typeof ETHERTYPE_8021AD = ETHERTYPE_8021Q;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'id':
        id = numberOf(words.argument(), 0xffff, 'id is invalid');
        break;
      case 'protocol': {
        const name = words.argument();
        if (!/^802\.1(q|ad)$/i.test(name)) throw invalidArgument(name, 'protocol is invalid');
        protocol = name.toLowerCase() === '802.1ad' ? ETHERTYPE_8021AD : ETHERTYPE_8021Q;
        break;
      }
      case 'reorder_hdr':
        if (!onOff(words, word)) throw notEmulated('vlan reorder_hdr off');
        break;
      case 'gvrp':
      case 'mvrp':
      case 'loose_binding':
      case 'bridge_binding':
        if (onOff(words, word)) throw notEmulated(`vlan ${word}`);
        break;
      case 'ingress-qos-map':
      case 'egress-qos-map':
        throw notEmulated(`vlan ${word}`);
      default:
        throw unknownCommand('vlan', word);
    }
  }
  if (id === null) throw refused('Error: 8021q: VLAN id not specified.');
  return { kind: 'vlan', id, protocol };
}

function ipvlanOf(words: Words): UpperOptions {
  const { mode, flag } = parseIpvlan(words);
  return { kind: 'ipvlan', mode: mode ?? 'l3', flag };
}

const MACVLAN_MODES: readonly MacvlanMode[] = ['private', 'vepa', 'bridge', 'passthru'];

/** The mode, if one is said. @throws ToolError */
export function parseMacvlan(words: Words): MacvlanMode | null {
  let mode: MacvlanMode | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'flag' || word === 'bcqueuelen' || word === 'macaddr') throw notEmulated(`macvlan ${word}`);
    if (word !== 'mode') throw unknownOption('macvlan', word);
    const name = words.argument();
    if (name === 'source') throw notEmulated('macvlan mode source');
    const found = MACVLAN_MODES.find((candidate) => candidate === name);
    if (found === undefined)
      throw new ToolError(
        `Error: argument of "mode" must be "private", "vepa", "bridge", "passthru" or "source", not "${name}"`,
        EXIT_ARGUMENT,
      );
    mode = found;
  }
  return mode;
}

const IPVLAN_MODES: readonly IpvlanMode[] = ['l2', 'l3', 'l3s'];
const IPVLAN_FLAGS: readonly IpvlanFlag[] = ['bridge', 'private', 'vepa'];

/** The mode, if one is said, and the flag, which is always set. @throws ToolError */
export function parseIpvlan(words: Words): { readonly mode: IpvlanMode | null; readonly flag: IpvlanFlag } {
  let mode: IpvlanMode | null = null;
  let flag: IpvlanFlag | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    const isFlag = IPVLAN_FLAGS.find((candidate) => candidate === word);
    if (isFlag !== undefined && flag === null) flag = isFlag;
    else if (word === 'mode') {
      const name = words.argument();
      const found = IPVLAN_MODES.find((candidate) => candidate === name);
      if (found === undefined)
        throw new ToolError(`Error: argument of "mode" must be either "l2", "l3" or "l3s"`, EXIT_ARGUMENT);
      mode = found;
    } else throw unknownOption('ipvlan', word);
  }
  return { mode, flag: flag ?? 'bridge' };
}
