import { PROTO_ICMP } from '../../../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../../../protocols/ipv6.ts';
import { invalid, missing, usage } from '../error.ts';
import type { MatchExtension, MatchFunction } from '../extension.ts';
import { transportAt } from '../packet.ts';
import { once, parseNumber } from '../values.ts';

/** Names of types, and of codes: name, type, least and greatest code (libipt_icmp's icmp_codes). */
type Name = readonly [name: string, type: number, min: number, max: number];

const NAMES: readonly Name[] = [
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

/** The same of ICMPv6 (libip6t_icmp6's icmpv6_codes). */
const NAMES6: readonly Name[] = [
  ['destination-unreachable', 1, 0, 0xff],
  ['no-route', 1, 0, 0],
  ['communication-prohibited', 1, 1, 1],
  ['beyond-scope', 1, 2, 2],
  ['address-unreachable', 1, 3, 3],
  ['port-unreachable', 1, 4, 4],
  ['failed-policy', 1, 5, 5],
  ['reject-route', 1, 6, 6],
  ['packet-too-big', 2, 0, 0xff],
  ['time-exceeded', 3, 0, 0xff],
  ['ttl-exceeded', 3, 0, 0xff],
  ['ttl-zero-during-transit', 3, 0, 0],
  ['ttl-zero-during-reassembly', 3, 1, 1],
  ['parameter-problem', 4, 0, 0xff],
  ['bad-header', 4, 0, 0],
  ['unknown-header-type', 4, 1, 1],
  ['unknown-option', 4, 2, 2],
  ['echo-request', 128, 0, 0xff],
  ['ping', 128, 0, 0xff],
  ['echo-reply', 129, 0, 0xff],
  ['pong', 129, 0, 0xff],
  ['router-solicitation', 133, 0, 0xff],
  ['router-advertisement', 134, 0, 0xff],
  ['neighbour-solicitation', 135, 0, 0xff],
  ['neighbor-solicitation', 135, 0, 0xff],
  ['neighbour-advertisement', 136, 0, 0xff],
  ['neighbor-advertisement', 136, 0, 0xff],
  ['redirect', 137, 0, 0xff],
];

interface IcmpType {
  readonly type: number;
  readonly min: number;
  readonly max: number;
}

const ANY = 0xff;
const HEADER = 8;

/** A name, or the only one that begins so; or `TYPE[/CODE]`. */
function parseType(text: string, names: readonly Name[], protocol: string): IcmpType {
  const named = names.filter(([name]) => name.toLowerCase().startsWith(text.toLowerCase()));
  const exact = named.find(([name]) => name.toLowerCase() === text.toLowerCase());
  const found = exact ?? (named.length === 1 ? named[0] : undefined);
  if (found !== undefined) return { type: found[1], min: found[2], max: found[3] };
  if (named.length > 1)
    throw usage(`Ambiguous ${protocol} type \`${text}': \`${named[0]![0]}' or \`${named[1]![0]}'?`);
  const [first = '', second] = text.split('/');
  const type = parseNumber(first, 0, 255);
  if (type === null) throw usage(`Unknown ${protocol} type \`${first}'`);
  if (second === undefined) return { type, min: 0, max: 0xff };
  const code = parseNumber(second, 0, 255);
  if (code === null) throw usage(`Invalid ${protocol} code \`${second}'`);
  return { type, min: code, max: code };
}

function nameOf(names: readonly Name[], { type, min, max }: IcmpType): string | undefined {
  return names.find(([, ...rest]) => rest[0] === type && rest[1] === min && rest[2] === max)?.[0];
}

/** Type and code of a packet that has been found to be of the protocol. */
function typeMatch({ type, min, max }: IcmpType, any: boolean, negated: boolean): MatchFunction {
  return (skb) => {
    const at = transportAt(skb, HEADER);
    if (at < 0) return false;
    const { frame } = skb;
    return (any || (frame[at] === type && frame[at + 1]! >= min && frame[at + 1]! <= max)) !== negated;
  };
}

export const icmp: MatchExtension = {
  name: 'icmp',
  options: { '--icmp-type': 1 },
  bind(given, { proto, protoNegated }) {
    if (proto !== PROTO_ICMP || protoNegated) throw invalid();
    const found = once('icmp', given, '--icmp-type');
    const wanted =
      found === undefined
        ? { type: ANY, min: 0, max: 0xff }
        : parseType(found.values[0] ?? '', NAMES, 'ICMP');
    const { type, min, max } = wanted;
    const negated = found?.negated ?? false;
    const any = type === ANY;
    const code = min === max ? `/${min}` : '';
    return {
      save: `${negated ? '! ' : ''}--icmp-type ${any ? 'any' : `${type}${code}`}`,
      list: (numeric) => {
        const name = nameOf(NAMES, wanted);
        if (!numeric && name !== undefined) return `icmp ${negated ? '!' : ''}${name}`;
        return `icmp${negated ? ' !' : ''}type ${type}${min === max ? ` code ${min}` : ''}`;
      },
      compile: () => typeMatch(wanted, any, negated),
    };
  },
};

export const icmp6: MatchExtension = {
  name: 'icmp6',
  options: { '--icmpv6-type': 1 },
  bind(given, { proto, protoNegated }) {
    const found = once('icmp6', given, '--icmpv6-type');
    if (found === undefined) throw missing('icmp6', '--icmpv6-type');
    const wanted = parseType(found.values[0] ?? '', NAMES6, 'ICMPv6');
    if (proto !== PROTO_ICMPV6 || protoNegated) throw invalid();
    const { type, min, max } = wanted;
    const { negated } = found;
    return {
      save: `${negated ? '! ' : ''}--icmpv6-type ${type}${min === max ? `/${min}` : ''}`,
      list: (numeric) => {
        const name = nameOf(NAMES6, wanted);
        if (!numeric && name !== undefined) return `ipv6-icmp ${negated ? '!' : ''}${name}`;
        return `ipv6-icmp${negated ? ' !' : ''}type ${type}${min === max ? ` code ${min}` : ''}`;
      },
      compile: () => typeMatch(wanted, false, negated),
    };
  },
};
