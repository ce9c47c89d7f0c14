import { u16, u32 } from '../../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { IPV6_HLEN, ip6NextHeader } from '../../../../../protocols/ipv6.ts';
import {
  extensionLength,
  findHeader,
  NEXT_AH,
  NEXT_DEST_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_NONE,
  NEXT_ROUTING,
} from '../../../../../protocols/ipv6-headers.ts';
import { protocolNumber } from '../../../../../protocols/protocol-names.ts';
import type { Skb } from '../../skb.ts';
import { missing, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { listedSpan, savedSpan, singleOf, spanOf, within } from '../span.ts';
import { once, parseNumber } from '../values.ts';

/** Where a packet has an extension header, `length` bytes of it at least; -1 if it has none. What is cut off is dropped. */
export function headerAt(skb: Skb, wanted: number, length: number): number {
  const { frame } = skb;
  const at = findHeader(frame, ETH_HLEN, frame.length, wanted);
  if (at < 0 ? skb.upper !== null : at + length <= frame.length) return at;
  skb.hotdrop = true;
  return -1;
}

/** The same of one that says how long it is, all of it. */
function wholeHeaderAt(skb: Skb, wanted: number): number {
  const at = headerAt(skb, wanted, 2);
  if (at < 0 || at + extensionLength(skb.frame, at, wanted) <= skb.frame.length) return at;
  skb.hotdrop = true;
  return -1;
}

/** `-m frag`: the fragment header (ip6t_frag.c). */
export const frag: MatchExtension = {
  name: 'frag',
  options: {
    '--fragid': 1,
    '--fraglen': 1,
    '--fragres': 0,
    '--fragfirst': 0,
    '--fragmore': 0,
    '--fraglast': 0,
  },
  bind(given) {
    const one = (option: string) => once('frag', given, option);
    const id = spanOf('frag', one('--fragid'));
    // The kernel does not look at it: a fragment header has the one length.
    const length = singleOf('frag', one('--fraglen'));
    const has = (option: string) => one(option) !== undefined;
    const [reserved, first, more, last] = ['--fragres', '--fragfirst', '--fragmore', '--fraglast'].map(has);
    if (more === true && last === true)
      throw usage('frag: option "--fragmore" cannot be used together with "--fraglast".\n');
    const flags = [
      ...(reserved === true ? [['--fragres', 'reserved'] as const] : []),
      ...(first === true ? [['--fragfirst', 'first'] as const] : []),
      ...(more === true ? [['--fragmore', 'more'] as const] : []),
      ...(last === true ? [['--fraglast', 'last'] as const] : []),
    ];
    return {
      save: [
        ...savedSpan('--fragid', id),
        ...savedSpan('--fraglen', length),
        ...flags.map(([option]) => option),
      ].join(' '),
      // The two blanks are libip6t_frag's.
      list: () =>
        `frag ${[listedSpan('id', id).join(''), ...listedSpan('length', length), ...flags.map((flag) => flag[1])].join(' ')}`,
      compile: () => (skb) => {
        const at = headerAt(skb, NEXT_FRAGMENT, 8);
        if (at < 0) return false;
        const { frame } = skb;
        const word = u16(frame, at + 2);
        return (
          within(id, u32(frame, at + 4)) &&
          (reserved !== true || (frame[at + 1] === 0 && (word & 6) === 0)) &&
          (first !== true || (word & 0xfff8) === 0) &&
          (more !== true || (word & 1) !== 0) &&
          (last !== true || (word & 1) === 0)
        );
      },
    };
  },
};

/** `-m rt`: the routing header (ip6t_rt.c). */
export const rt: MatchExtension = {
  name: 'rt',
  options: {
    '--rt-type': 1,
    '--rt-segsleft': 1,
    '--rt-len': 1,
    '--rt-0-res': 0,
    '--rt-0-addrs': 1,
    '--rt-0-not-strict': 0,
  },
  bind(given) {
    const one = (option: string) => once('rt', given, option);
    const type = singleOf('rt', one('--rt-type'));
    const left = spanOf('rt', one('--rt-segsleft'));
    const length = singleOf('rt', one('--rt-len'));
    const reserved = one('--rt-0-res') !== undefined;
    if (one('--rt-0-addrs') !== undefined || one('--rt-0-not-strict') !== undefined)
      throw usage('rt: --rt-0-addrs is not emulated');
    if (reserved && (type === null || type.from !== 0 || type.negated))
      throw usage("`--rt-type 0' required before `--rt-0-res'");
    return {
      save: [
        ...savedSpan('--rt-type', type),
        ...savedSpan('--rt-segsleft', left),
        ...savedSpan('--rt-len', length),
        ...(reserved ? ['--rt-0-res'] : []),
      ].join(' '),
      list: () =>
        [
          'rt',
          ...listedSpan('type', type),
          ...listedSpan('segsleft', left),
          ...listedSpan('length', length),
          ...(reserved ? ['reserved'] : []),
        ].join(' '),
      compile: () => (skb) => {
        const at = wholeHeaderAt(skb, NEXT_ROUTING);
        if (at < 0) return false;
        const { frame } = skb;
        const size = extensionLength(frame, at, NEXT_ROUTING);
        return (
          within(left, frame[at + 3]!) &&
          within(length, size) &&
          within(type, frame[at + 2]!) &&
          (!reserved || u32(frame, at + 4) === 0)
        );
      },
    };
  },
};

/** Headers by their bits, the highest first, as they are printed: name, short name, number (libip6t_ipv6header.c). */
const HEADERS = [
  ['hop-by-hop', 'hop', NEXT_HOP_BY_HOP, 0x80],
  ['ipv6-opts', 'dst', NEXT_DEST_OPTIONS, 0x40],
  ['ipv6-route', 'route', NEXT_ROUTING, 0x20],
  ['ipv6-frag', 'frag', NEXT_FRAGMENT, 0x10],
  ['ah', 'auth', NEXT_AH, 0x08],
  ['esp', 'esp', 50, 0x04],
  ['ipv6-nonxt', 'none', NEXT_NONE, 0x02],
  ['protocol', 'prot', 255, 0x01],
] as const;
const ESP = 50;
const PROTOCOL = 0x01;

function headerBits(text: string): number {
  let bits = 0;
  for (const word of text.split(',')) {
    const number = protocolNumber(word);
    const found = HEADERS.find(([name, short, value]) => word === name || word === short || number === value);
    if (found === undefined) throw usage(`unknown header \`${word}' specified`);
    bits |= found[3];
  }
  return bits;
}

function headersOf({ frame }: Skb): number {
  let next = ip6NextHeader(frame, ETH_HLEN);
  let at = ETH_HLEN + IPV6_HLEN;
  let bits = 0;
  for (;;) {
    const known = HEADERS.find(([, , number]) => number === next);
    if (known === undefined || known[3] === PROTOCOL) return bits | PROTOCOL;
    if (next === NEXT_NONE) return bits | known[3];
    // It ends in the middle of a header: none of the sets is its.
    if (frame.length - at < 2) return -1;
    bits |= known[3];
    if (next === ESP) return bits;
    const length = extensionLength(frame, at, next);
    next = frame[at]!;
    at += length;
    if (at > frame.length) return next === NEXT_NONE || next === ESP ? bits : bits | PROTOCOL;
  }
}

/** `-m ipv6header`: which headers a packet has, all of them or (--soft) some (ip6t_ipv6header.c). */
export const ipv6header: MatchExtension = {
  name: 'ipv6header',
  options: { '--header': 1, '--soft': 0 },
  bind(given) {
    const found = once('ipv6header', given, '--header');
    if (found === undefined) throw missing('ipv6header', '--header');
    const soft = once('ipv6header', given, '--soft') !== undefined;
    const wanted = headerBits(found.values[0] ?? '');
    const { negated } = found;
    const names = HEADERS.filter((header) => (wanted & header[3]) !== 0).map(([name]) => name);
    const tail = soft ? ' --soft' : '';
    return {
      save: `${negated ? '! ' : ''}--header ${names.join(',')}${tail}`,
      list: (numeric) => {
        const shown = numeric ? `0x${wanted.toString(16).toUpperCase().padStart(2, '0')}` : names.join(',');
        return `ipv6header flags:${negated ? '!' : ''}${shown}${soft ? ' soft' : ''}`;
      },
      compile: () => (skb) => {
        const bits = headersOf(skb);
        if (bits < 0) return false;
        if (!soft) return (bits === wanted) !== negated;
        return ((bits ^ wanted ^ (negated ? 0xff : 0)) & wanted) === 0;
      },
    };
  },
};

interface OptionSpec {
  readonly type: number;
  /** Null for any. */
  readonly length: number | null;
}

function optionSpecs(text: string): OptionSpec[] {
  return text.split(',').map((word) => {
    const [type = '', length] = word.split(':');
    const number = parseNumber(type, 0, 255);
    const size = length === undefined ? null : parseNumber(length, 0, 255);
    if (number === null || (length !== undefined && size === null)) throw usage(`invalid option \`${word}'`);
    return { type: number, length: size };
  });
}

/** Whether the options of a header begin with those that are asked for, in their order. */
function beginsWith(frame: Uint8Array, from: number, end: number, specs: readonly OptionSpec[]): boolean {
  let at = from;
  for (const { type, length } of specs) {
    if (at >= end || frame[at] !== type) return false;
    if (type === 0) {
      at++;
      continue;
    }
    if (at + 2 > end || (length !== null && frame[at + 1] !== length)) return false;
    at += 2 + frame[at + 1]!;
  }
  return true;
}

/** `-m hbh` and `-m dst`: options of a hop-by-hop or destination options header (ip6t_hbh.c). */
function optionsMatch(name: 'hbh' | 'dst', header: number): MatchExtension {
  return {
    name,
    options: { [`--${name}-len`]: 1, [`--${name}-opts`]: 1 },
    bind(given) {
      const length = singleOf(name, once(name, given, `--${name}-len`));
      const text = once(name, given, `--${name}-opts`)?.values[0];
      const specs = text === undefined ? [] : optionSpecs(text);
      const shown = specs.map((spec) => `${spec.type}${spec.length === null ? '' : `:${spec.length}`}`);
      return {
        save: [
          ...savedSpan(`--${name}-len`, length),
          ...(shown.length === 0 ? [] : [`--${name}-opts ${shown.join(',')}`]),
        ].join(' '),
        list: () =>
          [
            name,
            ...listedSpan('length', length),
            ...(shown.length === 0 ? [] : [`opts ${shown.join(',')}`]),
          ].join(' '),
        compile: () => (skb) => {
          const at = wholeHeaderAt(skb, header);
          if (at < 0) return false;
          const { frame } = skb;
          const size = extensionLength(frame, at, header);
          return within(length, size) && beginsWith(frame, at + 2, at + size, specs);
        },
      };
    },
  };
}

export const hbh = optionsMatch('hbh', NEXT_HOP_BY_HOP);
export const dst = optionsMatch('dst', NEXT_DEST_OPTIONS);
