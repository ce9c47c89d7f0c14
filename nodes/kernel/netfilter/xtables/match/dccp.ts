import type { Skb } from '../../skb.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { transportAt } from '../packet.ts';
import { byteOf, once } from '../values.ts';
import { PORT_OPTIONS, PortPair, requireProto } from './ports.ts';

const PROTO_DCCP = 33;
/** Ports, data offset, CCVal and CsCov, checksum, type, sequence number; more of that if X is set (RFC 4340 §5.1). */
const HEADER = 12;
const LONG_SEQUENCE = 4;

/** Types by their number, and bytes that a header of each has more (RFC 4340 §5.2 to §5.8); what comes behind has no meaning yet. */
const TYPES = [
  ['REQUEST', 4],
  ['RESPONSE', 12],
  ['DATA', 0],
  ['ACK', 8],
  ['DATAACK', 8],
  ['CLOSEREQ', 8],
  ['CLOSE', 8],
  ['RESET', 12],
  ['SYNC', 8],
  ['SYNCACK', 8],
] as const;
const INVALID = 'INVALID';
const NUMBERS = 16;
const OTHER_LENGTH = 12;

/** Numbers of the types that are asked for, in their order. */
function typesOf(found: Given): number[] {
  const asked = new Set<number>();
  for (const word of (found.values[0] ?? '').split(',')) {
    const name = word.toUpperCase();
    const number = TYPES.findIndex(([known]) => known === name);
    if (number >= 0) asked.add(number);
    else if (name === INVALID) for (let other = TYPES.length; other < NUMBERS; other++) asked.add(other);
    else if (word !== '') throw usage(`Unknown DCCP type \`${word}'`);
  }
  return [...asked].sort((a, b) => a - b);
}

function typesText(types: readonly number[], numeric: boolean): string {
  if (numeric) return types.join(',');
  const names = types.map((type) => TYPES[type]?.[0] ?? INVALID);
  return [...new Set(names)].join(',');
}

/** Whether a header has an option; one that is shorter than it has to be, or cut off, is dropped (`dccp_find_option`). */
function hasOption(skb: Skb, at: number, option: number): boolean {
  const { frame } = skb;
  const word = frame[at + 8]!;
  const type = (word >> 1) & 0xf;
  const from = at + HEADER + ((word & 1) === 0 ? 0 : LONG_SEQUENCE) + (TYPES[type]?.[1] ?? OTHER_LENGTH);
  const end = at + frame[at + 4]! * 4;
  if (end < from || (end > from && end > frame.length)) {
    skb.hotdrop = true;
    return false;
  }
  for (let i = from; i < end; i += frame[i]! < 2 || i + 1 >= end ? 1 : Math.max(frame[i + 1]!, 1))
    if (frame[i] === option) return true;
  return false;
}

/** Ports, types and options of DCCP (xt_dccp.c). */
export const dccp: MatchExtension = {
  name: 'dccp',
  options: { ...PORT_OPTIONS, '--dccp-types': 1, '--dccp-option': 1 },
  bind(given, head) {
    const ports = new PortPair('dccp', given, PROTO_DCCP);
    const typesGiven = once('dccp', given, '--dccp-types');
    const optionGiven = once('dccp', given, '--dccp-option');
    const types = typesGiven === undefined ? null : typesOf(typesGiven);
    const option = optionGiven === undefined ? null : byteOf('dccp', optionGiven, 1);
    requireProto(head, PROTO_DCCP);
    const not = (found: Given | undefined, mark: string) => (found?.negated === true ? mark : '');
    return {
      save: [
        ...ports.save(),
        ...(types === null ? [] : [`${not(typesGiven, '! ')}--dccp-types ${typesText(types, false)}`]),
        ...(option === null ? [] : [`${not(optionGiven, '! ')}--dccp-option ${option}`]),
      ].join(' '),
      list: (numeric) =>
        [
          'dccp',
          ...ports.list(numeric),
          ...(types === null ? [] : [`${not(typesGiven, '! ')}${typesText(types, numeric)}`]),
          ...(option === null ? [] : [`option=${not(optionGiven, '!')}${option}`]),
        ].join(' '),
      compile: () => {
        const portsFit = ports.match(HEADER);
        return (skb) => {
          if (!portsFit(skb)) return false;
          const at = transportAt(skb, HEADER);
          const type = (skb.frame[at + 8]! >> 1) & 0xf;
          if (types !== null && types.includes(type) === (typesGiven?.negated === true)) return false;
          if (option === null) return true;
          const found = hasOption(skb, at, option);
          return !skb.hotdrop && found !== (optionGiven?.negated === true);
        };
      },
    };
  },
};
