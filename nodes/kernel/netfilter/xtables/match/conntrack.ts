import type { IpAddress, IpFamily } from '../../../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../../../protocols/ip6.ts';
import { protocolNumber } from '../../../../../protocols/protocol-names.ts';
import type { Conntrack, CtTuple } from '../../conntrack-entry.ts';
import type { Skb } from '../../skb.ts';
import { missing, usage } from '../error.ts';
import type { CompileContext, Given, MatchExtension, MatchFunction } from '../extension.ts';
import {
  listNetwork,
  networkMatch,
  once,
  type PortRange,
  parseNetwork,
  parsePortRange,
  savePorts,
} from '../values.ts';

/** In the order in which they are printed. */
const STATES = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'] as const;
const PLAIN_STATES = STATES.slice(0, 5);
const STATUS = ['EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'] as const;

interface Condition {
  readonly option: string;
  readonly text: string;
  /** What -L prints instead of `text`, unless numbers are asked for. */
  readonly named?: string;
  readonly negated: boolean;
  readonly holds: MatchFunction;
}

function words<T extends string>(what: string, { values }: Given, known: readonly T[]): T[] {
  const asked = (values[0] ?? '').split(',').map((word) => word.toUpperCase());
  for (const word of asked)
    if (!known.some((name) => name === word)) throw usage(`Bad ${what} "${values[0] ?? ''}"`);
  return known.filter((name) => asked.includes(name));
}

function hasState({ ct, ctState }: Skb, states: readonly string[]): boolean {
  if (ctState === 'none') return states.includes('INVALID');
  if (states.includes(ctState.toUpperCase())) return true;
  return ct !== null && ((ct.srcNat && states.includes('SNAT')) || (ct.dstNat && states.includes('DNAT')));
}

/** The same, quickly where there is neither SNAT nor DNAT among the states. */
function stateMatch(states: readonly string[]): MatchFunction {
  if (states.includes('SNAT') || states.includes('DNAT')) return (skb) => hasState(skb, states);
  const wanted = new Set(states.map((state) => state.toLowerCase()));
  // What conntrack has not seen yet, as in the raw table, belongs to no flow either.
  if (wanted.has('invalid')) wanted.add('none');
  return ({ ctState }) => wanted.has(ctState);
}

function addressCondition(
  found: Given | undefined,
  family: IpFamily,
  pick: (ct: Conntrack) => IpAddress,
): Condition[] {
  if (found === undefined) return [];
  const network = parseNetwork(found.values[0] ?? '', family);
  const contains = networkMatch(network);
  const holds = ({ ct }: Skb) => ct !== null && contains(pick(ct));
  const condition = { option: found.option, text: listNetwork(network), negated: found.negated, holds };
  const unspecified = network.addr === 0 || network.addr === ANY_IP6;
  return [unspecified ? { ...condition, named: 'anywhere' } : condition];
}

function portCondition(found: Given | undefined, pick: (ct: Conntrack) => number): Condition[] {
  if (found === undefined) return [];
  const range: PortRange = parsePortRange(found.values[0] ?? '', 0);
  const holds = ({ ct }: Skb) => ct !== null && pick(ct) >= range.from && pick(ct) <= range.to;
  return [{ option: found.option, text: savePorts(range), negated: found.negated, holds }];
}

function hasStatus({ assured, seenReply, confirmed }: Conntrack, name: string): boolean {
  return (
    (seenReply && name === 'SEEN_REPLY') ||
    (assured && name === 'ASSURED') ||
    (confirmed && name === 'CONFIRMED')
  );
}

export const conntrack: MatchExtension = {
  name: 'conntrack',
  options: {
    '--ctstate': 1,
    '--ctproto': 1,
    '--ctorigsrc': 1,
    '--ctorigdst': 1,
    '--ctreplsrc': 1,
    '--ctrepldst': 1,
    '--ctorigsrcport': 1,
    '--ctorigdstport': 1,
    '--ctreplsrcport': 1,
    '--ctrepldstport': 1,
    '--ctstatus': 1,
    '--ctexpire': 1,
    '--ctdir': 1,
  },
  bind(given, { family }) {
    const one = (option: string) => once('conntrack', given, option);
    if (one('--ctexpire') !== undefined) throw usage('conntrack: --ctexpire is not emulated');
    const conditions: Condition[] = [];
    const state = one('--ctstate');
    if (state !== undefined) {
      const states = words('ctstate', state, STATES);
      conditions.push({
        option: '--ctstate',
        text: states.join(','),
        negated: state.negated,
        holds: stateMatch(states),
      });
    }
    const proto = one('--ctproto');
    if (proto !== undefined) {
      const number = protocolNumber(proto.values[0] ?? '');
      if (number === null) throw usage(`unknown protocol "${proto.values[0] ?? ''}" specified`);
      const holds = ({ ct }: Skb) => ct !== null && ct.original.proto === number;
      conditions.push({ option: '--ctproto', text: String(number), negated: proto.negated, holds });
    }
    const tuples: readonly (readonly [name: string, pick: (ct: Conntrack) => CtTuple])[] = [
      ['orig', (ct) => ct.original],
      ['repl', (ct) => ct.reply],
    ];
    for (const [name, pick] of tuples) {
      conditions.push(...addressCondition(one(`--ct${name}src`), family, (ct) => pick(ct).src));
      conditions.push(...addressCondition(one(`--ct${name}dst`), family, (ct) => pick(ct).dst));
    }
    for (const [name, pick] of tuples) {
      conditions.push(...portCondition(one(`--ct${name}srcport`), (ct) => pick(ct).srcPort));
      conditions.push(...portCondition(one(`--ct${name}dstport`), (ct) => pick(ct).dstPort));
    }
    const status = one('--ctstatus');
    if (status !== undefined) {
      const none = status.values[0]?.toUpperCase() === 'NONE';
      const asked = none ? [] : words('ctstatus', status, STATUS);
      const holds = ({ ct }: Skb) => ct !== null && asked.some((name) => hasStatus(ct, name));
      conditions.push({
        option: '--ctstatus',
        text: none ? 'NONE' : asked.join(','),
        negated: status.negated,
        holds,
      });
    }
    const direction = one('--ctdir');
    if (direction !== undefined) {
      const word = direction.values[0]?.toUpperCase() ?? '';
      if (word !== 'ORIGINAL' && word !== 'REPLY')
        throw usage(`conntrack: Bad value for "--ctdir" option: "${direction.values[0] ?? ''}"`);
      const wanted = word === 'ORIGINAL' ? 0 : 1;
      const holds = ({ ct, ctDirection }: Skb) => ct !== null && ctDirection === wanted;
      conditions.push({ option: '--ctdir', text: word, negated: direction.negated, holds });
    }
    if (conditions.length === 0) throw usage('conntrack: At least one option is required');
    return bound(conditions);
  },
};

export const state: MatchExtension = {
  name: 'state',
  options: { '--state': 1 },
  bind(given) {
    const found = once('state', given, '--state');
    if (found === undefined) throw missing('state', '--state');
    const states = words('state', found, PLAIN_STATES);
    return bound([
      { option: '--state', text: states.join(','), negated: found.negated, holds: stateMatch(states) },
    ]);
  },
};

function bound(conditions: readonly Condition[]) {
  const words = (named: 'named' | 'numeric') =>
    conditions
      .map(({ option, text, named: name = text, negated }) => {
        return `${negated ? '! ' : ''}${option} ${named === 'named' ? name : text}`;
      })
      .join(' ');
  return {
    save: words('numeric'),
    list: (numeric: boolean) => words(numeric ? 'numeric' : 'named').replaceAll('--', ''),
    compile: ({ ns, family }: CompileContext): MatchFunction => {
      ns.conntrack.require(family);
      const [state] = conditions.filter(({ option }) => option === '--ctstate' || option === '--state');
      const others = conditions.filter((condition) => condition !== state);
      if (others.length === 0 && state !== undefined && !state.negated) return state.holds;
      return (skb) => {
        if (state !== undefined && state.holds(skb) === state.negated) return false;
        // Of a packet without a flow only the state can be told (`conntrack_mt`).
        if (skb.ct === null) return state !== undefined;
        return others.every(({ holds, negated }) => holds(skb) !== negated);
      };
    },
  };
}
