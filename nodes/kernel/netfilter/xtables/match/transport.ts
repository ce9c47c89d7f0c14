import { u16 } from '../../../../../protocols/bytes.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../../../protocols/ipv4.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension, MatchFunction } from '../extension.ts';
import { findTcpOption, transportAt } from '../packet.ts';
import { listPorts, once, type PortRange, parseNumber, parsePort, savePorts } from '../values.ts';
import { PORT_OPTIONS, PortPair, requireProto } from './ports.ts';

/** Names and bits of --tcp-flags, in the order in which they are printed. */
const FLAGS = [
  ['FIN', 0x01],
  ['SYN', 0x02],
  ['RST', 0x04],
  ['PSH', 0x08],
  ['ACK', 0x10],
  ['URG', 0x20],
] as const;
const ALL_FLAGS = 0x3f;
const SYN_MASK = 0x17;
const SYN = 0x02;

export const udp: MatchExtension = {
  name: 'udp',
  options: PORT_OPTIONS,
  bind(given, head) {
    requireProto(head, PROTO_UDP);
    const ports = new PortPair('udp', given, PROTO_UDP);
    return {
      save: ports.save().join(' '),
      list: (numeric) => ['udp', ...ports.list(numeric)].join(' '),
      compile: () => ports.match(8),
    };
  },
};

export const tcp: MatchExtension = {
  name: 'tcp',
  options: {
    ...PORT_OPTIONS,
    '--tcp-flags': 2,
    '--syn': 0,
    '--tcp-option': 1,
  },
  bind(given, head) {
    requireProto(head, PROTO_TCP);
    const ports = new PortPair('tcp', given, PROTO_TCP);
    const asked = flagsOf(once('tcp', given, '--tcp-flags', '--syn'));
    // Nothing is asked for where no flag is looked at.
    const flags = asked !== null && asked.mask === 0 && !asked.negated ? null : asked;
    const option = optionOf(once('tcp', given, '--tcp-option'));
    const inverted = (negated: boolean) => (negated ? '! ' : '');
    const save = [
      ...ports.save(),
      ...(option === null ? [] : [`${inverted(option.negated)}--tcp-option ${option.kind}`]),
      ...(flags === null
        ? []
        : [`${inverted(flags.negated)}--tcp-flags ${flagNames(flags.mask)} ${flagNames(flags.value)}`]),
    ].join(' ');
    const list = (numeric: boolean) => {
      const words = ['tcp', ...ports.list(numeric)];
      if (option !== null) words.push(`option=${option.negated ? '!' : ''}${option.kind}`);
      if (flags !== null) {
        const show = numeric ? flagBits : flagNames;
        words.push(`flags:${flags.negated ? '!' : ''}${show(flags.mask)}/${show(flags.value)}`);
      }
      return words.join(' ');
    };
    const compile = (): MatchFunction => {
      const portsFit = ports.match(20);
      return (skb) => {
        if (!portsFit(skb)) return false;
        const at = transportAt(skb, 20);
        const { frame } = skb;
        if (flags !== null && ((frame[at + 13]! & flags.mask) === flags.value) === flags.negated)
          return false;
        return option === null || findTcpOption(frame, at, option.kind) >= 0 !== option.negated;
      };
    };
    const asksForSyn = flags !== null && !flags.negated && (flags.value & SYN) !== 0;
    return { asksForSyn, save, list, compile };
  },
};

interface Flags {
  readonly mask: number;
  readonly value: number;
  readonly negated: boolean;
}

function flagsOf(found: Given | undefined): Flags | null {
  if (found === undefined) return null;
  const { option, negated, values } = found;
  if (option === '--syn') return { mask: SYN_MASK, value: SYN, negated };
  const [mask, value] = values.map(parseFlags);
  return { mask: mask ?? 0, value: value ?? 0, negated };
}

function parseFlags(text: string): number {
  let bits = 0;
  for (const word of text.split(',')) {
    const name = word.toUpperCase();
    const known = FLAGS.find(([flag]) => flag === name);
    if (name === 'ALL') bits |= ALL_FLAGS;
    else if (known !== undefined) bits |= known[1];
    else if (name !== 'NONE') throw usage(`Unknown TCP flag \`${word}'`);
  }
  return bits;
}

function flagNames(bits: number): string {
  if (bits === 0) return 'NONE';
  return FLAGS.filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(',');
}

function flagBits(bits: number): string {
  return `0x${bits.toString(16).toUpperCase().padStart(2, '0')}`;
}

function optionOf(found: Given | undefined) {
  if (found === undefined) return null;
  const kind = parseNumber(found.values[0] ?? '', 1, 255);
  if (kind === null) throw usage(`Bad TCP option "${found.values[0] ?? ''}"`);
  return { kind, negated: found.negated };
}

/** A span has both its ends here, the second the greater. @throws XtablesError */
function multiportRange(word: string, proto: number): PortRange {
  const [first = '', second] = word.split(':');
  const from = parsePort(first, proto);
  if (second === undefined) return { from, to: from };
  const to = parsePort(second, proto);
  if (from >= to) throw usage('invalid portrange specified');
  return { from, to };
}

const MULTIPORT = {
  '--sports': 1,
  '--source-ports': 1,
  '--dports': 1,
  '--destination-ports': 1,
  '--ports': 1,
} as const;

export const multiport: MatchExtension = {
  name: 'multiport',
  options: MULTIPORT,
  bind(given, { proto, protoNegated }) {
    if (proto === 0) throw usage("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'");
    if (![PROTO_TCP, PROTO_UDP, 33, 132, 136].includes(proto) || protoNegated)
      throw usage('multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP');
    const found = once('multiport', given, ...Object.keys(MULTIPORT));
    if (found === undefined) throw usage('multiport expection an option');
    const { negated } = found;
    const which = found.option.startsWith('--s')
      ? 'sports'
      : found.option.startsWith('--d')
        ? 'dports'
        : 'ports';
    const words = (found.values[0] ?? '').split(',');
    const ranges = words.map((word) => multiportRange(word, proto));
    const size = words.reduce((sum, word) => sum + (word.includes(':') ? 2 : 1), 0);
    if (size > 15) throw usage('too many ports specified');
    const fits = (port: number) => ranges.some(({ from, to }) => port >= from && port <= to);
    return {
      save: `${negated ? '! ' : ''}--${which} ${ranges.map(savePorts).join(',')}`,
      list: (numeric) =>
        `multiport ${which} ${negated ? ' !' : ''}${ranges.map((range) => listPorts(range, proto, numeric)).join(',')}`,
      compile: () => (skb) => {
        const at = transportAt(skb, 4);
        if (at < 0) return false;
        const { frame } = skb;
        const matches =
          (which !== 'dports' && fits(u16(frame, at))) || (which !== 'sports' && fits(u16(frame, at + 2)));
        return matches !== negated;
      },
    };
  },
};
