import { setU16, u16 } from '../../../../../protocols/bytes.ts';
import { adjustChecksum16 } from '../../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { IPV4_HLEN, ipDst, ipSrc, ipTos, ipTtl, PROTO_TCP } from '../../../../../protocols/ipv4.ts';
import type { Netns } from '../../../netns.ts';
import { NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING } from '../../hooks.ts';
import type { Skb } from '../../skb.ts';
import { invalid, usage } from '../error.ts';
import type { Given, TargetExtension } from '../extension.ts';
import { byteHex, parseDscp, parseTos, TOS_NAME_MASK, TOS_NAMES } from '../match/header.ts';
import { findTcpOption, transportAt } from '../packet.ts';
import { once, parseNumber } from '../values.ts';

/** Changes a 16-bit word of the IP header, and the checksum with it. */
function changeIpWord(frame: Uint8Array, off: number, word: number): void {
  const at = ETH_HLEN + off;
  const sum = ETH_HLEN + 10;
  setU16(frame, sum, adjustChecksum16(u16(frame, sum), u16(frame, at), word));
  setU16(frame, at, word);
}

function setTos(frame: Uint8Array, tos: number): void {
  if (ipTos(frame, ETH_HLEN) !== tos) changeIpWord(frame, 0, (frame[ETH_HLEN]! << 8) | tos);
}

const TTL_OPTIONS = {
  '--ttl-set': 'set to',
  '--ttl-dec': 'decrement by',
  '--ttl-inc': 'increment by',
} as const;

export const ttl: TargetExtension = {
  name: 'TTL',
  options: { '--ttl-set': 1, '--ttl-dec': 1, '--ttl-inc': 1 },
  tables: ['mangle'],
  bind(given) {
    const found = once('TTL', given, '--ttl-set', '--ttl-dec', '--ttl-inc');
    const value = parseNumber(found?.values[0] ?? '', 0, 255);
    if (found === undefined || value === null) throw usage('TTL: You must specify an action');
    const option = found.option as keyof typeof TTL_OPTIONS;
    if (option !== '--ttl-set' && value === 0) throw usage('TTL: increment/decrement by zero makes no sense');
    return {
      save: `${option} ${value}`,
      list: () => `TTL ${TTL_OPTIONS[option]} ${value}`,
      compile: () => (skb) => {
        const { frame } = skb;
        const old = ipTtl(frame, ETH_HLEN);
        const change = option === '--ttl-inc' ? value : -value;
        const next = option === '--ttl-set' ? value : Math.min(Math.max(old + change, 0), 255);
        if (next !== old) changeIpWord(frame, 8, (next << 8) | frame[ETH_HLEN + 9]!);
        return 'continue';
      },
    };
  },
};

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
        setTos(skb.frame, (ipTos(skb.frame, ETH_HLEN) & ~mask) ^ value);
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
        setTos(skb.frame, (ipTos(skb.frame, ETH_HLEN) & 3) | (value << 2));
        return 'continue';
      },
    };
  },
};

const OPTION_MSS = 2;
const TCP_HLEN = 20;
const SYN = 0x02;

/** The MSS that a SYN tells is made smaller, never larger (xt_TCPMSS.c). */
export const tcpmss: TargetExtension = {
  name: 'TCPMSS',
  needsSyn: true,
  options: { '--set-mss': 1, '--clamp-mss-to-pmtu': 0 },
  bind(given, { proto, protoNegated }) {
    const found = once('TCPMSS', given, '--set-mss', '--clamp-mss-to-pmtu');
    if (found === undefined) throw usage('TCPMSS target: At least one parameter is required');
    if (proto !== PROTO_TCP || protoNegated) throw invalid();
    const mss = found.option === '--set-mss' ? parseNumber(found.values[0] ?? '', 0, 65_495) : 0;
    if (mss === null) throw usage(`TCPMSS: Bad value for "--set-mss" option: "${found.values[0] ?? ''}"`);
    const clamps = found.option !== '--set-mss';
    return {
      // Before routing there is no path yet.
      ...(clamps ? { hooks: [NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING] } : {}),
      save: clamps ? '--clamp-mss-to-pmtu' : `--set-mss ${mss}`,
      list: () => (clamps ? 'TCPMSS clamp to PMTU' : `TCPMSS set ${mss}`),
      compile:
        ({ ns }) =>
        (skb, hook) => {
          if (clamps && hook !== NF_FORWARD && hook !== NF_LOCAL_OUT && hook !== NF_POST_ROUTING)
            return 'continue';
          // The way back counts as well (`tcpmss_reverse_mtu`).
          const mtu = clamps
            ? Math.min(mtuTo(ns, ipDst(skb.frame, ETH_HLEN)), mtuTo(ns, ipSrc(skb.frame, ETH_HLEN)))
            : 0;
          limitMss(skb, clamps ? mtu - IPV4_HLEN - TCP_HLEN : mss);
          return 'continue';
        },
    };
  },
};

/** MTU of the way to an address, as far as it is known. */
function mtuTo(ns: Netns, addr: number): number {
  const path = ns.lookup(addr, 0);
  return path === null ? 0xffff : ns.pathMtus.of(addr, path);
}

function limitMss(skb: Skb, mss: number): void {
  const at = transportAt(skb, TCP_HLEN);
  if (at < 0 || (skb.frame[at + 13]! & SYN) === 0) return;
  const { frame } = skb;
  const option = findTcpOption(frame, at, OPTION_MSS);
  // Linux adds the option where there is none; no stack of the emulation leaves it out.
  if (option < 0 || frame[option + 1] !== 4) return;
  if (u16(frame, option + 2) > mss) changeTcpBytes(frame, at, option + 2, mss);
}

/** Writes 16 bits at any place of a TCP header, and the checksum with it. */
function changeTcpBytes(frame: Uint8Array, at: number, off: number, value: number): void {
  const sum = at + 16;
  const odd = (off - at) % 2 === 1;
  const swap = (word: number) => (odd ? ((word & 0xff) << 8) | (word >> 8) : word);
  setU16(frame, sum, adjustChecksum16(u16(frame, sum), swap(u16(frame, off)), swap(value)));
  setU16(frame, off, value);
}
