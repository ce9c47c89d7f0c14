import { familyOf, type IpAddress, type IpPrefix, parseIp, parseIpPrefix } from '../../../../protocols/ip.ts';
import { protocolName, protocolNumber } from '../../../../protocols/protocol-names.ts';
import type { XfrmMode } from '../../../events/xfrm.ts';
import { UNLIMITED, type XfrmLimits } from '../../../kernel/xfrm/lifetime.ts';
import type { XfrmSelector } from '../../../kernel/xfrm/policy.ts';
import { ToolError } from '../../tool.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, invalidArgument, notEmulated, type Words } from '../words.ts';

/** What names an association, as far as it was given (`xfrm_id_parse`). */
export interface XfrmId {
  src: IpAddress | null;
  dst: IpAddress | null;
  /** Absent: none was named. */
  proto?: 'esp';
  spi: number;
}

export const required = (what: string): ToolError =>
  new ToolError(`Error: argument "${what}" is required`, EXIT_USAGE);

/** @throws ToolError */
export function addressOf(text: string): IpAddress {
  const address = parseIp(text);
  if (address === null)
    throw new ToolError(`Error: any valid prefix is expected rather than "${text}".`, EXIT_ARGUMENT);
  return address;
}

export function numberOf(text: string, name: string): number {
  const number = /^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 0xffff_ffff)) throw invalidArgument(text, `${name} value is invalid`);
  return number;
}

export function modeOf(text: string): XfrmMode {
  if (text === 'transport' || text === 'tunnel') return text;
  if (['beet', 'ro', 'in_trigger'].includes(text)) throw notEmulated(`ip xfrm mode ${text}`);
  throw invalidArgument(text, 'MODE value is invalid');
}

const ID_WORDS = ['src', 'dst', 'proto', 'spi'];
const SAME_FAMILY = 'the same address family is required between values after "src" and "dst"';

/** Takes a word of an ID; false where it is none. */
export function takeId(id: XfrmId, word: string, words: Words): boolean {
  if (!ID_WORDS.includes(word)) return false;
  const text = words.argument();
  if (word === 'src') id.src = addressOf(text);
  else if (word === 'dst') id.dst = addressOf(text);
  else if (word === 'spi') id.spi = numberOf(text, 'SPI');
  else {
    if (['ah', 'comp', 'route2', 'hao'].includes(text)) throw notEmulated(`ip xfrm proto ${text}`);
    if (text !== 'esp') throw invalidArgument(text, 'XFRM-PROTO value is invalid');
    id.proto = text;
  }
  const ends = !ID_WORDS.includes(words.peek() ?? '');
  if (ends && id.src !== null && id.dst !== null && familyOf(id.src) !== familyOf(id.dst))
    throw invalidArgument(text, SAME_FAMILY);
  return true;
}

const LIMITS: Readonly<Record<string, keyof XfrmLimits>> = {
  'time-soft': 'softAdd',
  'time-hard': 'hardAdd',
  'time-use-soft': 'softUse',
  'time-use-hard': 'hardUse',
  'byte-soft': 'softBytes',
  'byte-hard': 'hardBytes',
  'packet-soft': 'softPackets',
  'packet-hard': 'hardPackets',
};

/** The two words behind `limit` (`xfrm_lifetime_cfg_parse`). @throws ToolError */
export function takeLimit(limits: XfrmLimits, words: Words): XfrmLimits {
  const word = words.argument();
  const name = LIMITS[word];
  if (name === undefined) throw invalidArgument(word, 'LIMIT value is invalid');
  const text = words.argument();
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw invalidArgument(text, `value after "${word}" is invalid`);
  return { ...limits, [name]: value };
}

export { UNLIMITED };

/** A selector, as far as it was given. */
export interface GivenSelector {
  src: IpPrefix | null;
  dst: IpPrefix | null;
  proto: number | null;
  sport: number | null;
  dport: number | null;
  /** As what the two were named. */
  named: 'ports' | 'type' | null;
}

export const noSelector = (): GivenSelector => ({
  named: null,
  src: null,
  dst: null,
  proto: null,
  sport: null,
  dport: null,
});

function prefixOf(text: string): IpPrefix {
  const prefix = parseIpPrefix(text);
  if (prefix === null)
    throw new ToolError(`Error: any valid prefix is expected rather than "${text}".`, EXIT_ARGUMENT);
  return prefix;
}

function portOf(word: string, words: Words, most: number): number {
  const text = words.argument();
  const port = /^(0x[0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= most)) throw invalidArgument(text, `value after "${word}" is invalid`);
  return port;
}

/** Takes a word of a selector; false where it is none. @throws ToolError */
export function takeSelector(given: GivenSelector, word: string, words: Words): boolean {
  switch (word) {
    case 'src':
    case 'dst': {
      const text = words.argument();
      given[word] = prefixOf(text);
      const { src, dst } = given;
      if (src !== null && dst !== null && familyOf(src.addr) !== familyOf(dst.addr))
        throw invalidArgument(text, SAME_FAMILY);
      break;
    }
    case 'proto': {
      const text = words.argument();
      given.proto = text === 'any' ? 0 : protocolNumber(text);
      if (given.proto === null) throw invalidArgument(text, 'PROTO value is invalid');
      break;
    }
    case 'sport':
    case 'dport':
      // Port 0 is any (`sel->sport_mask`).
      given[word] = portOf(word, words, 0xffff) || null;
      given.named = 'ports';
      break;
    case 'type':
      given.sport = portOf(word, words, 0xff);
      given.named = 'type';
      break;
    case 'code':
      given.dport = portOf(word, words, 0xff);
      given.named = 'type';
      break;
    case 'key':
    case 'dev':
      throw notEmulated(`ip xfrm selector ${word}`);
    default:
      return false;
  }
  return true;
}

const WITH_PORTS = ['tcp', 'udp', 'sctp', 'dccp'];
const WITH_TYPES = ['icmp', 'ipv6-icmp', 'mobility-header'];

/** @throws ToolError where ports are asked for of what has none. */
export function selectorOf({ src, dst, proto, sport, dport, named }: GivenSelector): XfrmSelector {
  const like = src?.addr ?? dst?.addr ?? 0;
  const any: IpPrefix = typeof like === 'number' ? { addr: 0, len: 0 } : ANY6;
  const selector = { src: src ?? any, dst: dst ?? any, proto: proto ?? 0, sport, dport };
  const name = protocolName(selector.proto) ?? String(selector.proto);
  // Ports of any protocol may be asked for, types of none.
  const fits =
    named === 'type' ? WITH_TYPES.includes(name) : selector.proto === 0 || WITH_PORTS.includes(name);
  if (named === null || fits) return selector;
  const words = named === 'type' ? '"type" and "code"' : '"sport" and "dport"';
  throw new ToolError(`${words} are invalid with PROTO value "${name}"`, EXIT_ARGUMENT);
}

const ANY6 = parseIpPrefix('::/0') as IpPrefix;
