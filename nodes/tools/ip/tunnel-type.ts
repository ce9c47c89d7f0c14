import { parseIp4 } from '../../../protocols/ip4.ts';
import type { TunnelKind, TunnelOptions } from '../../kernel/tunnels/ip-tunnel.ts';
import { ToolError } from '../tool.ts';
import { requireAddress } from './context.ts';
import { numberOf } from './rule-words.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, notEmulated, type Words } from './words.ts';

/** The words behind `type ipip`, `gre` or `gretap` (link_iptnl.c, link_gre.c). @throws ToolError */
export function parseTunnel(kind: TunnelKind, words: Words): TunnelOptions {
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
  const isGre = kind !== 'ipip';
  const end = () => {
    const word = words.argument();
    return word === 'any' ? 0 : requireAddress(word, 'inet');
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
    else if (isGre && (word === 'key' || word === 'ikey' || word === 'okey'))
      options.key = keyOf(words.argument());
    else if (isGre && (word === 'nokey' || word === 'noikey' || word === 'nookey')) options.key = null;
    else if (isGre && ['csum', 'icsum', 'ocsum'].includes(word)) options.checksum = 'on';
    else if (isGre && ['seq', 'iseq', 'oseq'].includes(word)) options.sequence = 'on';
    else throw notEmulated(`${kind} ${word}`);
  }
  if (!isGre && options.ttl !== 0 && options.pmtudisc === 'off')
    throw new ToolError('ttl != 0 and nopmtudisc are incompatible', EXIT_USAGE);
  return options;
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
