import type { VxlanOptions } from '../../kernel/vxlan.ts';
import { ToolError } from '../tool.ts';
import { type IpContext, requireAddress, requireDevice } from './context.ts';
import { parseDsfield } from './dsfield.ts';
import { numberOf } from './rule-words.ts';
import { EXIT_ARGUMENT, invalidArgument, notEmulated, type Words } from './words.ts';

/** IANA's port is used only where it is asked for. */
const LINUX_VXLAN_PORT = 8472;
const QUIET = ['noudp6zerocsumtx', 'noudp6zerocsumrx'];
const SWITCHES = ['proxy', 'l2miss', 'l3miss'] as const;

type Draft = { -readonly [K in keyof VxlanOptions]?: VxlanOptions[K] };

/** The words behind `type vxlan`. @throws ToolError */
export function parseVxlan(words: Words, ctx: IpContext): VxlanOptions {
  const draft: Draft = {};
  for (let word = words.next(); word !== undefined; word = words.next()) option(word, words, ctx, draft);
  const { vni, ...given } = draft;
  if (vni === undefined) throw new ToolError('vxlan: missing virtual network identifier', EXIT_ARGUMENT);
  return { local: 0, dstPort: LINUX_VXLAN_PORT, learning: 'on', ...given, vni };
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
      draft.local = requireAddress(words.argument(), 'inet');
      return;
    case 'remote':
      draft.remote = requireAddress(words.argument(), 'inet');
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
    default:
      if (!QUIET.includes(word)) throw notEmulated(`vxlan ${word}`);
  }
}
