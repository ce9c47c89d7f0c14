import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { formatIp, type IpAddress, type IpFamily } from '../../../../../protocols/ip.ts';
import { parseIp4 } from '../../../../../protocols/ip4.ts';
import { parseIp6 } from '../../../../../protocols/ip6.ts';
import { missing, usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { destinationOf, sourceOf, tosOf, ttlOf } from '../packet.ts';
import { byteOf, once, parseNumber, parsePortRange, savePorts } from '../values.ts';

export const length: MatchExtension = {
  name: 'length',
  options: { '--length': 1 },
  bind(given) {
    const found = once('length', given, '--length');
    if (found === undefined) throw missing('length', '--length');
    const range = parsePortRange(found.values[0] ?? '', 0);
    const { negated } = found;
    return {
      save: `${negated ? '! ' : ''}--length ${savePorts(range)}`,
      list: () => `length ${negated ? '!' : ''}${savePorts(range)}`,
      compile:
        () =>
        ({ frame }) => {
          const total = frame.length - ETH_HLEN;
          return (total >= range.from && total <= range.to) !== negated;
        },
    };
  },
};

/** TTL of IPv4 and hop limit of IPv6 are asked for alike. */
function ttlMatch(name: 'ttl' | 'hl'): MatchExtension {
  const shown = name.toUpperCase();
  const signs = { [`--${name}-eq`]: '==', [`--${name}-lt`]: '<', [`--${name}-gt`]: '>' };
  return {
    name,
    options: { [`--${name}-eq`]: 1, [`--${name}-lt`]: 1, [`--${name}-gt`]: 1 },
    bind(given) {
      const found = once(name, given, ...Object.keys(signs));
      if (found === undefined)
        throw usage(
          `${shown} match: You must specify one of \`--${name}-eq', \`--${name}-lt', \`--${name}-gt${name === 'hl' ? "'" : ''}`,
        );
      const value = byteOf(name, found);
      const sign = signs[found.option] ?? '==';
      const negated = found.negated && sign === '==';
      const holds = {
        '==': (ttl: number) => ttl === value,
        '<': (ttl: number) => ttl < value,
        '>': (ttl: number) => ttl > value,
      }[sign as '==' | '<' | '>'];
      return {
        save: `${negated ? '! ' : ''}${found.option} ${value}`,
        list: () => `${shown} match ${shown} ${negated ? '!=' : sign} ${value}`,
        compile: () => (skb) => holds(ttlOf(skb)) !== negated,
      };
    },
  };
}

export const ttl = ttlMatch('ttl');
export const hl = ttlMatch('hl');

/** Names of TOS values, all under the mask 0x3f. */
export const TOS_NAMES: readonly (readonly [name: string, value: number])[] = [
  ['Minimize-Delay', 0x10],
  ['Maximize-Throughput', 0x08],
  ['Maximize-Reliability', 0x04],
  ['Minimize-Cost', 0x02],
  ['Normal-Service', 0x00],
];
export const TOS_NAME_MASK = 0x3f;

/** `0x10`, `0x10/0x3f`, `Minimize-Delay`; null for what is none. */
export function parseTos(
  text: string,
  mask: number,
): { readonly value: number; readonly mask: number } | null {
  const named = TOS_NAMES.find(([name]) => name.toLowerCase() === text.toLowerCase());
  if (named !== undefined) return { value: named[1], mask: TOS_NAME_MASK };
  const [first = '', second] = text.split('/');
  const value = parseNumber(first, 0, 255);
  const given = second === undefined ? mask : parseNumber(second, 0, 255);
  return value === null || given === null ? null : { value, mask: given };
}

export function byteHex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

export const tos: MatchExtension = {
  name: 'tos',
  options: { '--tos': 1 },
  bind(given) {
    const found = once('tos', given, '--tos');
    if (found === undefined) throw missing('tos', '--tos');
    const parsed = parseTos(found.values[0] ?? '', 0xff);
    if (parsed === null) throw usage(`tos: Bad value for "--tos" option: "${found.values[0] ?? ''}"`);
    const { value, mask } = parsed;
    const { negated } = found;
    const text = `${byteHex(value)}/${byteHex(mask)}`;
    return {
      save: `${negated ? '! ' : ''}--tos ${text}`,
      list: (numeric) => {
        const named = mask === TOS_NAME_MASK ? TOS_NAMES.find((name) => name[1] === value) : undefined;
        if (numeric || named === undefined) return `tos match${negated ? '!' : ''}${text}`;
        return `tos match${negated ? '!' : ''} ${named[0]}`;
      },
      compile: () => (skb) => ((tosOf(skb) & mask) === value) !== negated,
    };
  },
};

/** Names of code points (RFC 2474, RFC 2597, RFC 3246). */
const CLASSES: Readonly<Record<string, number>> = {
  BE: 0,
  CS0: 0,
  CS1: 8,
  CS2: 16,
  CS3: 24,
  CS4: 32,
  CS5: 40,
  CS6: 48,
  CS7: 56,
  EF: 46,
  AF11: 10,
  AF12: 12,
  AF13: 14,
  AF21: 18,
  AF22: 20,
  AF23: 22,
  AF31: 26,
  AF32: 28,
  AF33: 30,
  AF41: 34,
  AF42: 36,
  AF43: 38,
};

/** The code point that `--dscp` or `--dscp-class` means. @throws XtablesError */
export function parseDscp({ option, values }: Given): number {
  const text = values[0] ?? '';
  const value = option.endsWith('-class') ? CLASSES[text.toUpperCase()] : parseNumber(text, 0, 63);
  if (value === undefined || value === null) throw usage(`Invalid dscp \`${text}'`);
  return value;
}

export const dscp: MatchExtension = {
  name: 'dscp',
  options: { '--dscp': 1, '--dscp-class': 1 },
  bind(given) {
    const found = once('dscp', given, '--dscp', '--dscp-class');
    if (found === undefined) throw usage('DSCP match: Parameter --dscp is required');
    const value = parseDscp(found);
    const { negated } = found;
    return {
      save: `${negated ? '! ' : ''}--dscp ${byteHex(value)}`,
      list: () => `DSCP match ${negated ? '!' : ''}${byteHex(value)}`,
      compile: () => (skb) => (tosOf(skb) >> 2 === value) !== negated,
    };
  },
};

interface AddressRange {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly negated: boolean;
}

function rangeOf(found: Given | undefined, family: IpFamily): AddressRange | null {
  if (found === undefined) return null;
  const text = found.values[0] ?? '';
  const [first = '', second = first] = text.split('-');
  const parse = family === 'inet' ? parseIp4 : parseIp6;
  const from = parse(first);
  const to = parse(second);
  if (from === null || to === null) throw usage(`iprange match: Bad IP address "${text}"`);
  if (from > to) throw usage(`iprange match: Bad IP range "${text}"`);
  return { from, to, negated: found.negated };
}

function rangeText({ from, to }: AddressRange): string {
  return `${formatIp(from)}-${formatIp(to)}`;
}

function rangeHolds(range: AddressRange | null, addr: IpAddress): boolean {
  return range === null || (addr >= range.from && addr <= range.to) !== range.negated;
}

export const iprange: MatchExtension = {
  name: 'iprange',
  options: { '--src-range': 1, '--dst-range': 1 },
  bind(given, { family }) {
    const src = rangeOf(once('iprange', given, '--src-range'), family);
    const dst = rangeOf(once('iprange', given, '--dst-range'), family);
    if (src === null && dst === null)
      throw usage("iprange match: You must specify `--src-range' or `--dst-range'");
    const saved = (name: string, range: AddressRange | null) =>
      range === null ? [] : [`${range.negated ? '! ' : ''}${name} ${rangeText(range)}`];
    const listed = (name: string, range: AddressRange | null) =>
      range === null ? [] : [`${name} IP range ${range.negated ? '! ' : ''}${rangeText(range)}`];
    return {
      save: [...saved('--src-range', src), ...saved('--dst-range', dst)].join(' '),
      list: () => [...listed('source', src), ...listed('destination', dst)].join(' '),
      compile: () => (skb) => rangeHolds(src, sourceOf(skb)) && rangeHolds(dst, destinationOf(skb)),
    };
  },
};
