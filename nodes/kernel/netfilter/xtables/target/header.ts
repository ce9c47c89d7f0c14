import { setU16, u16 } from '../../../../../protocols/bytes.ts';
import { adjustChecksum16 } from '../../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import type { Skb } from '../../skb.ts';
import { usage } from '../error.ts';
import type { Given, TargetExtension } from '../extension.ts';
import { byteHex, parseDscp, parseTos, TOS_NAME_MASK, TOS_NAMES } from '../match/header.ts';
import { isIpv6, tosOf, ttlOf } from '../packet.ts';
import { byteOf, once, parseNumber } from '../values.ts';

/** Changes a 16-bit word of the IP header, and the checksum with it. */
function changeIpWord(frame: Uint8Array, off: number, word: number): void {
  const at = ETH_HLEN + off;
  const sum = ETH_HLEN + 10;
  setU16(frame, sum, adjustChecksum16(u16(frame, sum), u16(frame, at), word));
  setU16(frame, at, word);
}

export function setTos(skb: Skb, tos: number): void {
  const { frame } = skb;
  if (tosOf(skb) === tos) return;
  if (isIpv6(skb)) setU16(frame, ETH_HLEN, (u16(frame, ETH_HLEN) & 0xf00f) | (tos << 4));
  else changeIpWord(frame, 0, (frame[ETH_HLEN]! << 8) | tos);
}

/** TTL of IPv4 and hop limit of IPv6 are changed alike. */
function ttlTarget(name: 'TTL' | 'HL'): TargetExtension {
  const option = (what: string) => `--${name.toLowerCase()}-${what}`;
  const words = {
    [option('set')]: 'set to',
    [option('dec')]: 'decrement by',
    [option('inc')]: 'increment by',
  };
  return {
    name,
    options: Object.fromEntries(Object.keys(words).map((one) => [one, 1])),
    tables: ['mangle'],
    bind(given) {
      const found = once(name, given, ...Object.keys(words));
      if (found === undefined) throw usage(`${name}: You must specify an action`);
      const sets = found.option === option('set');
      const value = byteOf(name, found, sets ? 0 : 1);
      const change = found.option === option('inc') ? value : -value;
      return {
        save: `${found.option} ${value}`,
        list: () => `${name} ${words[found.option]} ${value}`,
        compile: () => (skb) => {
          const { frame } = skb;
          const old = ttlOf(skb);
          const next = sets ? value : Math.min(Math.max(old + change, 0), 255);
          if (next === old) return 'continue';
          if (isIpv6(skb)) frame[ETH_HLEN + 7] = next;
          else changeIpWord(frame, 8, (next << 8) | frame[ETH_HLEN + 9]!);
          return 'continue';
        },
      };
    },
  };
}

export const ttl = ttlTarget('TTL');
export const hl = ttlTarget('HL');

const TOS_OPTIONS = ['--set-tos', '--and-tos', '--or-tos', '--xor-tos'] as const;

/** Bits that are cleared, then bits that are flipped. @throws XtablesError */
function tosChange({ option, values }: Given): { readonly value: number; readonly mask: number } {
  const text = values[0] ?? '';
  if (option === '--set-tos') {
    const parsed = parseTos(text, 0xff);
    if (parsed !== null) return parsed;
  }
  const bits = parseNumber(text, 0, 255);
  if (bits === null) throw usage(`TOS: Bad value for "${option}" option: "${text}"`);
  if (option === '--and-tos') return { value: 0, mask: ~bits & 0xff };
  return option === '--or-tos' ? { value: bits, mask: bits } : { value: bits, mask: 0 };
}

export const tos: TargetExtension = {
  name: 'TOS',
  options: Object.fromEntries(TOS_OPTIONS.map((option) => [option, 1])),
  tables: ['mangle'],
  bind(given) {
    const found = once('TOS', given, ...TOS_OPTIONS);
    if (found === undefined) throw usage('TOS: An action is required');
    const { value, mask } = tosChange(found);
    const text = `${byteHex(value)}/${byteHex(mask)}`;
    return {
      save: `--set-tos ${text}`,
      list: (numeric) => {
        const named = mask === TOS_NAME_MASK ? TOS_NAMES.find((name) => name[1] === value) : undefined;
        if (!numeric && named !== undefined) return ` TOS set${named[0]}`;
        if (!numeric && value === 0) return `TOS and ${byteHex(~mask & 0xff)}`;
        if (!numeric && (value === mask || mask === 0))
          return `TOS ${mask === 0 ? 'xor' : 'or'} ${byteHex(value)}`;
        return `TOS set ${text}`;
      },
      compile: () => (skb) => {
        setTos(skb, (tosOf(skb) & ~mask) ^ value);
        return 'continue';
      },
    };
  },
};

export const dscp: TargetExtension = {
  name: 'DSCP',
  options: { '--set-dscp': 1, '--set-dscp-class': 1 },
  tables: ['mangle'],
  bind(given) {
    const found = once('DSCP', given, '--set-dscp', '--set-dscp-class');
    if (found === undefined) throw usage('DSCP target: Parameter --set-dscp is required');
    const value = parseDscp(found);
    return {
      save: `--set-dscp ${byteHex(value)}`,
      list: () => `DSCP set ${byteHex(value)}`,
      compile: () => (skb) => {
        setTos(skb, (tosOf(skb) & 3) | (value << 2));
        return 'continue';
      },
    };
  },
};
