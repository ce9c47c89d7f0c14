import { ANY_IP6, type Ip6 } from '../../../protocols/ip6.ts';
import type { Tunnel6Options } from '../../kernel/tunnels/ip6-tunnel.ts';
import { requireIpAddress } from './context.ts';
import { numberOf } from './rule-words.ts';
import { parseGreWord } from './tunnel-type.ts';
import { invalidArgument, notEmulated, type Words } from './words.ts';

/** `IPV6_DEFAULT_TNL_ENCAP_LIMIT`, `DEFAULT_TNL_HOP_LIMIT` */
const ENCAP_LIMIT = 4;
const HOP_LIMIT = 64;

const MODES: Readonly<Record<string, Tunnel6Options['mode']>> = {
  ...{ ip6ip6: 'ip6ip6', 'ipv6/ipv6': 'ip6ip6', any: 'any' },
  ...{ ipip6: 'ipip6', ip4ip6: 'ipip6', 'ip/ipv6': 'ipip6', 'ipv4/ipv6': 'ipip6' },
};

/** The words behind `type ip6tnl`, `ip6gre` or `ip6gretap` (link_ip6tnl.c, link_gre6.c). @throws ToolError */
export function parseTunnel6(kind: Tunnel6Options['kind'], words: Words): Tunnel6Options {
  const options: { -readonly [K in keyof Tunnel6Options]: Tunnel6Options[K] } = {
    ...{ kind, local: ANY_IP6, remote: ANY_IP6, mode: 'any', key: null, checksum: 'off', sequence: 'off' },
    ...{ hopLimit: HOP_LIMIT, encapLimit: ENCAP_LIMIT, trafficClass: 0, flowLabel: 0 },
  };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'remote':
      case 'local':
        options[word] = end(words.argument());
        break;
      case 'mode': {
        const text = words.argument();
        const mode = MODES[text];
        if (mode === undefined || kind !== 'ip6tnl') throw invalidArgument(text, 'Cannot guess tunnel mode.');
        options.mode = mode;
        break;
      }
      case 'ttl':
      case 'hoplimit':
      case 'hlim': {
        const text = words.argument();
        const message = kind === 'ip6tnl' ? 'invalid HLIM\n' : 'invalid TTL';
        options.hopLimit = text === 'inherit' ? 0 : numberOf(text, 255, message);
        break;
      }
      case 'encaplimit': {
        const text = words.argument();
        options.encapLimit = text === 'none' ? null : numberOf(text, 255, 'invalid ELIM');
        break;
      }
      case 'tclass':
      case 'tc':
      case 'tos':
      case 'dsfield': {
        const text = words.argument();
        options.trafficClass = text === 'inherit' ? text : hexOf(text, 0xff, 'invalid TClass');
        break;
      }
      case 'flowlabel':
      case 'fl': {
        const text = words.argument();
        options.flowLabel = text === 'inherit' ? text : hexOf(text, 0xf_ffff, 'invalid Flowlabel');
        break;
      }
      case 'noencap':
      case 'noallow-localremote':
        break;
      default:
        if (kind === 'ip6tnl' || !parseGreWord(word, words, options)) throw notEmulated(`${kind} ${word}`);
    }
  }
  return options;
}

/** @throws ToolError */
function end(word: string): Ip6 {
  if (word === 'any' || word === 'default' || word === 'all') return ANY_IP6;
  const address = requireIpAddress(word, 'inet6');
  return typeof address === 'string' ? address : ANY_IP6;
}

/** A number of base 16, with `0x` or without. @throws ToolError */
function hexOf(word: string, max: number, message: string): number {
  const value = /^(0x)?[0-9a-f]{1,8}$/i.test(word) ? Number.parseInt(word, 16) : Number.NaN;
  if (!(value <= max)) throw invalidArgument(word, message);
  return value;
}
