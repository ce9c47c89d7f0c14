import { familyOf, type IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import { isGroup, type VxlanOptions } from '../../kernel/vxlan.ts';
import { ToolError } from '../tool.ts';
import { type IpContext, requireDevice, requireIpAddress } from './context.ts';
import { parseDsfield } from './dsfield.ts';
import { numberOf } from './rule-words.ts';
import { EXIT_ARGUMENT, invalidArgument, notEmulated, type Words } from './words.ts';

/** IANA's port is used only where it is asked for. */
const LINUX_VXLAN_PORT = 8472;
const SWITCHES = ['proxy', 'l2miss', 'l3miss'] as const;

type Draft = { -readonly [K in keyof VxlanOptions]?: VxlanOptions[K] };

/** The words behind `type vxlan`. @throws ToolError */
export function parseVxlan(words: Words, ctx: IpContext): VxlanOptions {
  const draft: Draft = {};
  for (let word = words.next(); word !== undefined; word = words.next()) option(word, words, ctx, draft);
  const { vni, ...given } = draft;
  if (vni === undefined) throw new ToolError('vxlan: missing virtual network identifier', EXIT_ARGUMENT);
  const { remote, link } = given;
  if (remote !== undefined && isGroup(remote) && link === undefined)
    throw new ToolError("vxlan: 'group' requires 'dev' to be specified", EXIT_ARGUMENT);
  const local = typeof remote === 'string' ? ANY_IP6 : 0;
  return { local, dstPort: LINUX_VXLAN_PORT, learning: 'on', ...given, vni };
}

/** An end, of the family of the other one where that has been said. @throws ToolError */
function end(word: string, other: IpAddress | undefined, what: 'local' | 'remote' | 'group'): IpAddress {
  const invalid = () => invalidArgument(word, `invalid ${what} address`);
  if (word === 'any' || word === 'default' || word === 'all') throw invalid();
  const address = requireIpAddress(word, other === undefined ? 'any' : familyOf(other));
  if (isGroup(address) !== (what === 'group')) throw invalid();
  if (what === 'group' && typeof address === 'number') throw notEmulated('vxlan group over IPv4');
  return address;
}

function option(word: string, words: Words, ctx: IpContext, draft: Draft): void {
  const flag = SWITCHES.find((name) => word === name || word === `no${name}`);
  if (flag !== undefined) {
    draft[flag] = word === flag ? 'on' : 'off';
    return;
  }
  switch (word) {
    case 'id':
    case 'vni':
      draft.vni = numberOf(words.argument(), 0xff_ffff, 'invalid id');
      return;
    case 'local':
      draft.local = end(words.argument(), draft.remote, word);
      return;
    case 'remote':
    case 'group':
      draft.remote = end(words.argument(), draft.local, word);
      return;
    case 'dev':
      draft.link = requireDevice(ctx.ns, words.argument());
      return;
    case 'dstport':
      draft.dstPort = numberOf(words.argument(), 65_535, 'dst port');
      return;
    case 'port':
    case 'srcport': {
      const first = numberOf(words.argument(), 65_535, 'min port');
      draft.srcPorts = [first, numberOf(words.argument(), 65_535, 'max port')];
      return;
    }
    case 'ttl':
    case 'hoplimit': {
      const text = words.argument();
      if (text === 'inherit') draft.ttl = text;
      else draft.ttl = text === 'auto' ? 0 : numberOf(text, 255, 'invalid TTL');
      return;
    }
    case 'tos':
    case 'dsfield': {
      const text = words.argument();
      const value = text === 'inherit' ? text : parseDsfield(text);
      if (value === null) throw invalidArgument(text, 'bad TOS value');
      draft.tos = value;
      return;
    }
    case 'df': {
      const text = words.argument();
      if (text !== 'unset' && text !== 'set' && text !== 'inherit')
        throw invalidArgument(text, 'DF must be "unset", "set" or "inherit"');
      draft.df = text;
      return;
    }
    case 'flowlabel':
    case 'flow_label':
      draft.flowLabel = numberOf(words.argument(), 0xf_ffff, 'invalid flowlabel');
      return;
    case 'ageing': {
      const text = words.argument();
      // 0 stands for the usual age (`FDB_AGE_DEFAULT`).
      const ageing = text === 'none' ? 0 : numberOf(text, 0xffff_ffff, 'ageing timer');
      if (ageing !== 0) draft.ageing = ageing;
      return;
    }
    case 'learning':
    case 'nolearning':
      draft.learning = word === 'learning' ? 'on' : 'off';
      return;
    case 'udpcsum':
    case 'noudpcsum':
      draft.checksum = word === 'udpcsum' ? 'compute' : 'zero';
      return;
    case 'udp6zerocsumtx':
    case 'noudp6zerocsumtx':
      draft.checksum6 = word === 'udp6zerocsumtx' ? 'zero' : 'compute';
      return;
    case 'udp6zerocsumrx':
    case 'noudp6zerocsumrx':
      draft.zeroChecksum6 = word === 'udp6zerocsumrx' ? 'taken' : 'dropped';
      return;
    default:
      throw notEmulated(`vxlan ${word}`);
  }
}
