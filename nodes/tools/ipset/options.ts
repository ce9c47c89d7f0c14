import type { IpFamily } from '../../../protocols/ip.ts';
import {
  type ElementOptions,
  isSetType,
  type SetSpec,
  type SetType,
} from '../../kernel/netfilter/ipset/spec.ts';
import { number, parsePortRange, parseRange } from './element.ts';
import { parameter, syntax } from './error.ts';

/** Most seconds that the kernel's clock of milliseconds takes. */
const MOST_TIMEOUT = 2_147_483;

/** Values behind the names of options; `flag` options have none. @throws IpsetToolError */
function read(
  words: readonly string[],
  valued: readonly string[],
  flags: readonly string[],
): Map<string, string> {
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (flags.includes(word)) values.set(word, '');
    else if (valued.includes(word)) {
      const value = words[++i];
      if (value === undefined) throw parameter(`Missing mandatory argument of option \`${word}'`);
      values.set(word, value);
    } else throw parameter(`Unknown argument: \`${word}'`);
  }
  return values;
}

function bounded(text: string | undefined, least: number, most: number): number | null {
  if (text === undefined) return null;
  const value = number(text);
  if (value < least || value > most) throw syntax(`'${text}' is out of range ${least}-${most}`);
  return value;
}

/** @throws IpsetToolError */
export function parseType(text: string): SetType {
  if (isSetType(text)) return text;
  if (KNOWN_TYPES.has(text)) throw parameter(`the set type ${text} is not emulated`);
  throw syntax(`typename '${text}' is unknown`);
}

const KNOWN_TYPES: ReadonlySet<string> = new Set([
  'bitmap:ip,mac',
  'hash:mac',
  'hash:ip,mac',
  'hash:ip,mark',
  'hash:net,net',
  'hash:net,port',
  'hash:net,port,net',
]);

/** What stands behind the type in `ipset create`. @throws IpsetToolError */
export function parseCreate(type: SetType, words: readonly string[]): Omit<SetSpec, 'initval'> {
  const hash = type.startsWith('hash:');
  const bitmap = type.startsWith('bitmap:');
  const valued = [
    'timeout',
    ...(hash ? ['family', 'hashsize', 'maxelem', 'bucketsize', 'initval'] : []),
    ...(bitmap ? ['range'] : []),
    ...(type === 'hash:ip' || type === 'bitmap:ip' ? ['netmask'] : []),
    ...(type === 'list:set' ? ['size'] : []),
  ];
  const values = read(words, valued, [
    'counters',
    'comment',
    'skbinfo',
    ...(hash ? ['forceadd', '-4', '-6'] : []),
  ]);
  if (values.has('skbinfo')) throw parameter('skbinfo is not emulated');
  if (type === 'list:set')
    for (const extension of ['timeout', 'counters', 'comment'])
      if (values.has(extension)) throw parameter(`${extension} of a list:set is not emulated`);
  const family = values.has('-6') ? 'inet6' : familyOf(values.get('family') ?? 'inet');
  const range = values.get('range');
  if (bitmap && range === undefined) throw parameter("Mandatory option `range' is missing");
  return {
    type,
    family,
    range:
      range === undefined ? null : type === 'bitmap:port' ? parsePortRange(range, 'tcp') : parseRange(range),
    hashsize: powerOfTwo(bounded(values.get('hashsize'), 1, 0x80000000) ?? 1024),
    maxelem: bounded(values.get('maxelem'), 0, 0xffffffff) ?? 65_536,
    netmask: bounded(values.get('netmask'), 1, family === 'inet6' ? 128 : 32),
    size: bounded(values.get('size'), 0, 0xffffffff) ?? 8,
    timeout: bounded(values.get('timeout'), 0, MOST_TIMEOUT),
    counters: values.has('counters'),
    comment: values.has('comment'),
    forceadd: values.has('forceadd'),
  };
}

function familyOf(text: string): IpFamily {
  if (text === 'inet' || text === 'ipv4' || text === '-4') return 'inet';
  if (text === 'inet6' || text === 'ipv6' || text === '-6') return 'inet6';
  throw syntax(`unknown inet family ${text}`);
}

/** The kernel takes at least 64 buckets, and a power of two of them. */
function powerOfTwo(size: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(size, 64)));
}

/** What stands behind the element in `ipset add`. @throws IpsetToolError */
export function parseAdd(words: readonly string[], type: SetType): ElementOptions {
  const nets = type.includes('net');
  const values = read(words, ['timeout', 'packets', 'bytes', 'comment'], nets ? ['nomatch'] : []);
  return {
    nomatch: values.has('nomatch'),
    timeout: bounded(values.get('timeout'), 0, MOST_TIMEOUT),
    comment: values.get('comment') ?? null,
    packets: bounded(values.get('packets'), 0, Number.MAX_SAFE_INTEGER) ?? 0,
    bytes: bounded(values.get('bytes'), 0, Number.MAX_SAFE_INTEGER) ?? 0,
  };
}

/** `before SET`, `after SET` of a list:set. @throws IpsetToolError */
export function parsePlace(
  words: readonly string[],
): { readonly at: 'before' | 'after'; readonly reference: string } | null {
  const values = read(words, ['before', 'after'], []);
  for (const at of ['before', 'after'] as const) {
    const reference = values.get(at);
    if (reference !== undefined) return { at, reference };
  }
  return null;
}
