import { PROTO_ICMP } from '../../../../../protocols/ipv4.ts';
import { invalid, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { transportAt } from '../packet.ts';
import { once, parseNumber } from '../values.ts';

/** Names of types, and of codes: name, type, least and greatest code (libipt_icmp's icmp_codes). */
const NAMES: readonly (readonly [name: string, type: number, min: number, max: number])[] = [
  ['any', 0xff, 0, 0xff],
  ['echo-reply', 0, 0, 0xff],
  ['pong', 0, 0, 0xff],
  ['destination-unreachable', 3, 0, 0xff],
  ['network-unreachable', 3, 0, 0],
  ['host-unreachable', 3, 1, 1],
  ['protocol-unreachable', 3, 2, 2],
  ['port-unreachable', 3, 3, 3],
  ['fragmentation-needed', 3, 4, 4],
  ['source-route-failed', 3, 5, 5],
  ['network-unknown', 3, 6, 6],
  ['host-unknown', 3, 7, 7],
  ['network-prohibited', 3, 9, 9],
  ['host-prohibited', 3, 10, 10],
  ['TOS-network-unreachable', 3, 11, 11],
  ['TOS-host-unreachable', 3, 12, 12],
  ['communication-prohibited', 3, 13, 13],
  ['host-precedence-violation', 3, 14, 14],
  ['precedence-cutoff', 3, 15, 15],
  ['source-quench', 4, 0, 0xff],
  ['redirect', 5, 0, 0xff],
  ['network-redirect', 5, 0, 0],
  ['host-redirect', 5, 1, 1],
  ['TOS-network-redirect', 5, 2, 2],
  ['TOS-host-redirect', 5, 3, 3],
  ['echo-request', 8, 0, 0xff],
  ['ping', 8, 0, 0xff],
  ['router-advertisement', 9, 0, 0xff],
  ['router-solicitation', 10, 0, 0xff],
  ['time-exceeded', 11, 0, 0xff],
  ['ttl-exceeded', 11, 0, 0xff],
  ['ttl-zero-during-transit', 11, 0, 0],
  ['ttl-zero-during-reassembly', 11, 1, 1],
  ['parameter-problem', 12, 0, 0xff],
  ['ip-header-bad', 12, 0, 0],
  ['required-option-missing', 12, 1, 1],
  ['timestamp-request', 13, 0, 0xff],
  ['timestamp-reply', 14, 0, 0xff],
  ['address-mask-request', 17, 0, 0xff],
  ['address-mask-reply', 18, 0, 0xff],
];

interface IcmpType {
  readonly type: number;
  readonly min: number;
  readonly max: number;
}

const ANY = 0xff;

/** A name, or the only one that begins so; or `TYPE[/CODE]`. */
function parseType(text: string): IcmpType {
  const named = NAMES.filter(([name]) => name.toLowerCase().startsWith(text.toLowerCase()));
  const exact = named.find(([name]) => name.toLowerCase() === text.toLowerCase());
  const found = exact ?? (named.length === 1 ? named[0] : undefined);
  if (found !== undefined) return { type: found[1], min: found[2], max: found[3] };
  if (named.length > 1)
    throw usage(`Ambiguous ICMP type \`${text}': \`${named[0]![0]}' or \`${named[1]![0]}'?`);
  const [first = '', second] = text.split('/');
  const type = parseNumber(first, 0, 255);
  if (type === null) throw usage(`Unknown ICMP type \`${first}'`);
  if (second === undefined) return { type, min: 0, max: 0xff };
  const code = parseNumber(second, 0, 255);
  if (code === null) throw usage(`Invalid ICMP code \`${second}'`);
  return { type, min: code, max: code };
}

export const icmp: MatchExtension = {
  name: 'icmp',
  options: { '--icmp-type': 1 },
  bind(given, { proto, protoNegated }) {
    if (proto !== PROTO_ICMP || protoNegated) throw invalid();
    const found = once('icmp', given, '--icmp-type');
    const { type, min, max } =
      found === undefined ? { type: ANY, min: 0, max: 0xff } : parseType(found.values[0] ?? '');
    const negated = found?.negated ?? false;
    const any = type === ANY;
    const code = min === max ? `/${min}` : '';
    return {
      save: `${negated ? '! ' : ''}--icmp-type ${any ? 'any' : `${type}${code}`}`,
      list: (numeric) => {
        const named = NAMES.find(([, ...rest]) => rest[0] === type && rest[1] === min && rest[2] === max);
        if (!numeric && named !== undefined) return `icmp ${negated ? '!' : ''}${named[0]}`;
        return `icmp${negated ? ' !' : ''}type ${type}${min === max ? ` code ${min}` : ''}`;
      },
      compile: () => (skb) => {
        const at = transportAt(skb, 4);
        if (at < 0) return false;
        const { frame } = skb;
        return (any || (frame[at] === type && frame[at + 1]! >= min && frame[at + 1]! <= max)) !== negated;
      },
    };
  },
};
