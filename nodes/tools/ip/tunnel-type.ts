import { parseIp4 } from '../../../protocols/ip4.ts';
import type { TunnelOptions } from '../../kernel/tunnels/ip-tunnel.ts';
import type { TunnelParameters } from '../../kernel/tunnels/tunnel-device.ts';
import { ToolError } from '../tool.ts';
import { requireIpAddress } from './context.ts';
import { numberOf } from './rule-words.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, notEmulated, type Words } from './words.ts';

const SIT_MODES: Readonly<Record<string, 'ip6ip' | 'ipip' | 'any'>> = {
  ...{ ip6ip: 'ip6ip', 'ipv6/ipv4': 'ip6ip', 'ipv6/ip': 'ip6ip' },
  ...{ ipip: 'ipip', 'ipv4/ipv4': 'ipip', ip4ip4: 'ipip', any: 'any', 'any/ip': 'any' },
};

/** The words behind `type ipip`, `sit`, `gre` or `gretap` (link_iptnl.c, link_gre.c). @throws ToolError */
export function parseTunnel(kind: TunnelOptions['kind'], words: Words): TunnelOptions {
  const options: { -readonly [K in keyof TunnelOptions]: TunnelOptions[K] } = {
    kind,
    local: 0,
    remote: 0,
    ttl: 0,
    pmtudisc: 'on',
    key: null,
    checksum: 'off',
    sequence: 'off',
  };
  const isGre = kind === 'gre' || kind === 'gretap';
  const end = () => {
    const word = words.argument();
    return word === 'any' ? 0 : Number(requireIpAddress(word, 'inet'));
  };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'remote') options.remote = end();
    else if (word === 'local') options.local = end();
    else if (word === 'ttl' || word === 'hoplimit') {
      const text = words.argument();
      options.ttl = text === 'inherit' ? 0 : numberOf(text, 255, 'invalid TTL');
    } else if (word === 'pmtudisc') options.pmtudisc = 'on';
    else if (word === 'nopmtudisc') options.pmtudisc = 'off';
    else if (word === 'noencap') continue;
    else if (kind === 'sit' && word === 'mode') {
      const mode = SIT_MODES[words.argument()];
      if (mode === undefined) throw new ToolError('Unknown protocol.', EXIT_ARGUMENT);
      options.mode = mode;
    } else if (!isGre || !parseGreWord(word, words, options)) throw notEmulated(`${kind} ${word}`);
  }
  if (!isGre && options.ttl !== 0 && options.pmtudisc === 'off')
    throw new ToolError('ttl != 0 and nopmtudisc are incompatible', EXIT_USAGE);
  return options;
}

type GreSettings = { -readonly [K in 'key' | 'checksum' | 'sequence']: TunnelParameters[K] };

/** What all tunnels of GRE have in common; false: it is no word of theirs. @throws ToolError */
export function parseGreWord(word: string, words: Words, settings: GreSettings): boolean {
  if (word === 'key' || word === 'ikey' || word === 'okey') settings.key = keyOf(words.argument());
  else if (word === 'nokey' || word === 'noikey' || word === 'nookey') settings.key = null;
  else if (['csum', 'icsum', 'ocsum'].includes(word)) settings.checksum = 'on';
  else if (['seq', 'iseq', 'oseq'].includes(word)) settings.sequence = 'on';
  else return false;
  return true;
}

/** A number, or four bytes as an address. */
function keyOf(text: string): number {
  const key = parseIp4(text) ?? (/^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff ? Number(text) : null);
  if (key === null)
    throw new ToolError(
      `invalid value for "key": "${text}"; it should be an unsigned integer`,
      EXIT_ARGUMENT,
    );
  return key;
}
