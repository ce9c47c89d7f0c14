import type { IpFamily } from '../../../protocols/ip.ts';
import { parseIp4, prefixMask } from '../../../protocols/ip4.ts';
import { type Ip6, maskIp6, parseIp6 } from '../../../protocols/ip6.ts';
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../protocols/ipv6.ts';
import { protocolNumber } from '../../../protocols/protocol-names.ts';
import { servicePort } from '../../../protocols/services.ts';
import { icmpNames } from '../../kernel/netfilter/ipset/format.ts';
import {
  type Dimension,
  type KeyPart,
  netKey,
  type SetSpec,
  type SetType,
} from '../../kernel/netfilter/ipset/spec.ts';
import { syntax } from './error.ts';

/** Most elements that one word may stand for. */
const MOST_ELEMENTS = 1_048_576;
const PROTO_SCTP = 132;
const PROTO_UDPLITE = 136;

/** Elements that a word stands for: ranges are all that is within. @throws IpsetToolError */
export function parseElement(
  text: string,
  type: SetType,
  dimensions: readonly Dimension[],
  { netmask, family }: Pick<SetSpec, 'netmask' | 'family'>,
): KeyPart[][] {
  const words = text.split(',');
  if (words.length > 1 && dimensions.length === 1)
    throw syntax(`Elem separator in ${text}, but settype ${type} supports none.`);
  if (words.length > dimensions.length)
    throw syntax(
      `Elem separator in ${words.slice(dimensions.length).join(',')}, but settype ${type} supports no more.`,
    );
  if (words.length < dimensions.length)
    throw syntax(`${words.length === 1 ? 'Second' : 'Third'} element is missing from ${text}.`);
  const parts = dimensions.map((dimension, i) => partsOf(words[i]!, dimension, netmask, family));
  let keys: KeyPart[][] = [[]];
  for (const part of parts) {
    if (keys.length * part.length > MOST_ELEMENTS) throw syntax(`${text} stands for too many elements`);
    keys = keys.flatMap((key) => part.map((value) => [...key, value]));
  }
  return keys;
}

function partsOf(word: string, dimension: Dimension, netmask: number | null, family: IpFamily): KeyPart[] {
  switch (dimension) {
    case 'ip':
      return family === 'inet6' ? [address6(word)] : addressesOf(word, netmask ?? 32);
    case 'net':
      return family === 'inet6' ? [net6(word)] : netsOf(word);
    case 'port':
      return portsOf(word, family);
    case 'portnumber':
      return portNumbers(word);
    case 'iface':
      return [word];
    case 'set':
      return [word];
  }
}

function address(text: string): number {
  const addr = parseIp4(text);
  if (addr === null) throw syntax(`cannot parse ${text}: resolving to IPv4 address failed`);
  return addr;
}

/** One address: there are no ranges of IPv6. */
function address6(word: string): Ip6 {
  const plain = word.replace(/\/128$/, '').replace(/^\[(.*)\]$/, '$1');
  const addr = parseIp6(plain);
  if (addr !== null) return addr;
  if (/[/-]/.test(plain) && parseIp6(plain.split(/[/-]/)[0]!) !== null)
    throw syntax(`plain IP address must be supplied: ${word}`);
  throw syntax(`cannot parse ${word}: resolving to IPv6 address failed`);
}

function net6(word: string): KeyPart {
  if (word.includes('-')) throw syntax(`IP address or IP/cidr must be specified: ${word}`);
  const [host = '', suffix] = word.split('/');
  const addr = parseIp6(host);
  if (addr === null) throw syntax(`cannot parse ${host}: resolving to IPv6 address failed`);
  const length = suffix === undefined ? 128 : number(suffix);
  if (length > 128) throw syntax(`'${suffix}' is out of range 0-128`);
  return netKey(maskIp6(addr, length), length);
}

/** First and last of `a`, `a/24`, `a-b`. @throws IpsetToolError */
export function parseRange(word: string): readonly [number, number] {
  const slash = word.indexOf('/');
  if (slash >= 0) {
    const length = prefixLength(word.slice(slash + 1));
    const addr = (address(word.slice(0, slash)) & prefixMask(length)) >>> 0;
    return [addr, addr + 2 ** (32 - length) - 1];
  }
  const dash = word.indexOf('-');
  if (dash < 0) {
    const addr = address(word);
    return [addr, addr];
  }
  const [first, last] = [address(word.slice(0, dash)), address(word.slice(dash + 1))];
  return first <= last ? [first, last] : [last, first];
}

function prefixLength(text: string): number {
  const length = number(text);
  if (length > 32) throw syntax(`'${text}' is out of range 0-32`);
  return length;
}

/** @throws IpsetToolError */
export function number(text: string): number {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return Number(text);
  throw syntax(`'${text}' is invalid as number`);
}

function addressesOf(word: string, length: number): number[] {
  const [first, last] = parseRange(word);
  const step = 2 ** (32 - length);
  const start = (first & prefixMask(length)) >>> 0;
  if ((last - start) / step > MOST_ELEMENTS) throw syntax(`${word} stands for too many elements`);
  const list: number[] = [];
  for (let addr = start; addr <= last; addr += step) list.push(addr);
  return list;
}

/** A range as the fewest nets that make it up. */
function netsOf(word: string): KeyPart[] {
  const slash = word.indexOf('/');
  const [first, last] = parseRange(word);
  if (slash >= 0) return [netKey(first, prefixLength(word.slice(slash + 1)))];
  const nets: KeyPart[] = [];
  for (let addr = first; addr <= last; ) {
    let length = 32;
    while (length > 1 && addr % 2 ** (33 - length) === 0 && addr + 2 ** (33 - length) - 1 <= last) length--;
    nets.push(netKey(addr, length));
    addr += 2 ** (32 - length);
  }
  return nets;
}

/** `[PROTO:]PORT[-PORT]`, `icmp:TYPE/CODE`; TCP where nothing is said. */
function portsOf(word: string, family: IpFamily): number[] {
  const colon = word.indexOf(':');
  const name = colon < 0 ? 'tcp' : word.slice(0, colon);
  const rest = colon < 0 ? word : word.slice(colon + 1);
  const proto = name === 'icmpv6' ? PROTO_ICMPV6 : protocolNumber(name);
  if (proto === null || proto === 0) throw syntax(`cannot parse '${name}' as a protocol`);
  const names = icmpNames(proto);
  if (names !== null) {
    const own = proto === PROTO_ICMP ? 'inet' : 'inet6';
    const title = proto === PROTO_ICMP ? 'ICMP' : 'ICMPv6';
    if (own !== family) throw syntax(`Protocol ${title} can be used with family ${own} only`);
    return [proto * 65_536 + icmp(rest, names, title)];
  }
  const hasPorts = [PROTO_TCP, PROTO_UDP, PROTO_SCTP, PROTO_UDPLITE].includes(proto);
  if (!hasPorts) {
    if (rest === '0') return [proto * 65_536];
    throw syntax(`Protocol ${name} can be used with pseudo port value 0 only.`);
  }
  return span(rest, name).map((port) => proto * 65_536 + port);
}

function portNumbers(word: string): number[] {
  const colon = word.indexOf(':');
  return span(word.slice(colon + 1), colon < 0 ? 'tcp' : word.slice(0, colon));
}

function span(text: string, proto: string): number[] {
  const [first, last] = parsePortRange(text, proto);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** @throws IpsetToolError */
export function parsePortRange(text: string, proto: string): readonly [number, number] {
  const whole = servicePort(text, proto);
  if (whole !== null) return [whole, whole];
  const [first = '', last = first] = text.split('-');
  const port = (word: string) => {
    const value = servicePort(word, proto) ?? (/^\d+$/.test(word) ? Number(word) : null);
    if (value === null) throw syntax(`cannot parse '${word}' as a ${proto} port`);
    if (value > 65_535) throw syntax(`'${word}' is out of range 0-65535`);
    return value;
  };
  const [a, b] = [port(first), port(last)];
  return a <= b ? [a, b] : [b, a];
}

function icmp(text: string, names: readonly (readonly [string, number])[], title: string): number {
  const named = names.find(([name]) => name.toLowerCase() === text.toLowerCase());
  if (named !== undefined) return named[1];
  const [type = '', code] = text.split('/');
  if (code === undefined) throw syntax(`Cannot parse ${text} as an ${title} type/code.`);
  return number(type) * 256 + number(code);
}
